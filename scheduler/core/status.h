/* Answers to the command line, from the state. Each is freed with its ..._free_unpacked. */
#ifndef EBB_SCHEDULER_CORE_STATUS_H
#define EBB_SCHEDULER_CORE_STATUS_H

#include "proto/wire.pb-c.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/state.h"

Ebb__BagStatus *ebb_bag_status_new(const struct ebb_state *s, const struct ebb_bag *b,
                                   int64_t now_wall_ns);
/* Jobs by state, those that there are, for a message that takes them over. Returns how many. */
size_t ebb_bag_counts_new(const struct ebb_bag *b, Ebb__StateCount ***ret);
Ebb__VmStatus *ebb_vm_status_new(const struct ebb_state *s, const struct ebb_vm *vm,
                                 int64_t now_wall_ns);
Ebb__JobStatus *ebb_job_status_new(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job,
                                   int64_t now_wall_ns);
/* Jobs in the states named (NULL or empty: all) from `first` of them on, at most `limit`. */
Ebb__JobsAnswer *ebb_jobs_answer_new(const struct ebb_state *s, const struct ebb_bag *b,
                                     char *const *states, size_t state_count, uint64_t first,
                                     uint32_t limit, int64_t now_wall_ns);

/* History of one job's attempts: feed it every event of the log in order. */
struct ebb_job_history;
struct ebb_job_history *ebb_job_history_new(const char *bag, uint64_t job);
void ebb_job_history_destroy(struct ebb_job_history *h);
void ebb_job_history_add(struct ebb_job_history *h, const Ebb__Event *e);

/* Why the job is where it is: waiting for what, tried where, refused by what, and the planner's
 * notes when `plan` (may be NULL) is given. `history` may be NULL. */
Ebb__ExplainAnswer *ebb_explain_new(const struct ebb_plan_input *in, const struct ebb_bag *b,
                                    uint64_t job, const struct ebb_job_history *history,
                                    const struct ebb_plan *plan);

#endif
