/* What one attempt works on: fixed when the lease comes, read by the loop and by workers alike. */
#ifndef EBB_AGENT_TASK_H
#define EBB_AGENT_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/machine.h"
#include "base/error.h"
#include "proto/wire.pb-c.h"

/* A bag as the scheduler told it; shared by the attempts of the bag. Loop's thread counts. */
struct ebb_bag_context {
    unsigned references;
    Ebb__BagContext *message;
};
struct ebb_bag_context *ebb_bag_context_new(const Ebb__BagContext *message); /* copies */
struct ebb_bag_context *ebb_bag_context_ref(struct ebb_bag_context *b);
void ebb_bag_context_unref(struct ebb_bag_context *b);

struct ebb_task {
    struct ebb_bag_context *bag;
    Ebb__BagSpec spec; /* borrows the context's groups: what scheduler/core's functions take */
    const Ebb__JobGroup *group;
    uint64_t index; /* of the job in its group */
    const Ebb__Profile *profile;
    uint64_t job; /* in the bag */
    uint32_t attempt;
    bool resume;
    double checkpoint_interval_s;
    char **gang_hosts;  /* addresses of the job's VMs by rank; NULL: it is alone */
    size_t gang_size;   /* 1: it is alone */
    uint32_t rank;      /* of this VM */
    uint16_t gang_port; /* of the rendezvous on rank 0's VM; 0: not told yet */
    char *vm;
    char *job_name;
    char *store_root; /* "bags/<bag>/jobs/<job name>" */
    char *directory;  /* <vm dir>/attempts/<bag>-<job>-<attempt> */
    char *work;       /* <directory>/work */
    char *log_path;   /* <directory>/output.log: standard output and error, and our own remarks */
    char *cache;      /* <vm dir>/cache: input files by hash, shared by all attempts of the VM */
    char *marker;     /* value of EBB_ATTEMPT_ID in the job's environment, unlike any other's */
    struct ebb_machine machine;
    uint64_t gpus;     /* bit i: GPU i of the machine is this attempt's alone */
    atomic_int cancel; /* store calls of this attempt give up soon */
};

bool ebb_task_is_member(const struct ebb_task *t); /* of a gang, and not its rank 0 */

/* EBB_ERR_INPUT when the lease names a job that the bag has not, or an engine without profile. */
int ebb_task_new(struct ebb_bag_context *bag, const Ebb__Lease *lease, const char *vm,
                 const char *vm_directory, const struct ebb_machine *machine, struct ebb_task **ret,
                 struct ebb_error *err);
void ebb_task_destroy(struct ebb_task *t);
/* Appends "ebb: ..." as a line to the job's log. */
void ebb_task_note(const struct ebb_task *t, const char *fmt, ...) EBB_PRINTF(2, 3);

#endif
