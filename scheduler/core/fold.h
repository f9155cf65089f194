/* The parts of the fold, for the files that make it up. Each handler checks first and changes
 * after, so that a refused event leaves the state as it was. */
#ifndef EBB_SCHEDULER_CORE_FOLD_H
#define EBB_SCHEDULER_CORE_FOLD_H

#include "scheduler/core/state.h"

typedef int (*ebb_fold_fn)(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);

int ebb_fold_cloud_configured(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_bag_submitted(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_bag_cancelled(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_bag_finished(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_jobs_retried(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_job_cancelled(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_outputs_verified(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_attempt_leased(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_attempt_started(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_checkpoint_committed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_attempt_ended(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_progress_seen(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_lease_revoked(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_intended(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_launched(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_launch_failed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_joined(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_noticed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_lost(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_terminating(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_vm_terminated(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_prices_observed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_requests_counted(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_budget_near(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_catalogue_imported(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_hazards_imported(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);
int ebb_fold_storage_observed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);

/* EBB_ERR_NOT_FOUND's counterpart for a log: EBB_ERR_CORRUPT, and NULL. */
struct ebb_bag *ebb_fold_bag(const struct ebb_state *s, const char *id, struct ebb_error *err);
struct ebb_vm *ebb_fold_vm(const struct ebb_state *s, const char *id, struct ebb_error *err);
struct ebb_job *ebb_fold_job(const struct ebb_state *s, const char *bag, uint64_t job,
                             struct ebb_bag **ret_bag, struct ebb_error *err);

/* Moves a job to another state: counts, the group's ready queue, groups that wait for this one.
 * `front`: at the head of the queue when it becomes ready. */
void ebb_fold_move_job(struct ebb_bag *b, uint64_t job, enum ebb_job_state to, bool front,
                       int64_t wall_ns);
void ebb_fold_set_reason(struct ebb_bag *b, uint64_t job, const char *reason);
void ebb_fold_rebuild_active(struct ebb_state *s);
void ebb_bag_destroy(struct ebb_bag *b);

size_t ebb_vm_lease_of(const struct ebb_vm *vm, uint32_t bag, uint64_t job); /* SIZE_MAX: none */
void ebb_vm_destroy(struct ebb_vm *vm);

/* Tells the hazards how long every living spot VM has lived by now, when that was long ago. */
void ebb_fold_sweep_lives(struct ebb_state *s, int64_t wall_ns);

void ebb_mean_add(struct ebb_mean *m, double value);
/* Copies by packing, so that the state owns what the event lent. */
void *ebb_fold_copy(const ProtobufCMessage *message);

/* What a group's jobs take of a VM: defaults filled in. */
struct ebb_need {
    int64_t millicpus;
    int64_t memory_bytes;
    int64_t gpus;
};
struct ebb_need ebb_need_of(const Ebb__Resources *r);
bool ebb_gpu_model_fits(const Ebb__Resources *r, const char *model);

#endif
