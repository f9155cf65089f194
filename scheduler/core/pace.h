/* How long jobs take, by their own progress: told beforehand, seen in siblings, seen in the job.
 *
 * What a job shows is a stretch of its steps, the part p of all of them, and the useful seconds r
 * that the stretch took, by the speed of the VM's type. With a Gamma prior on seconds per unit of
 * progress that counts as much as the part p0 of a job,
 *
 *     full time = (p0 F + r) / (p0 + p),   F the group's
 *
 * is the posterior's mean. The group's is the mean of what was told beforehand (of one job's
 * weight, until jobs are done), of its jobs that are done, and of those under way, each of the
 * weight p / (p0 + p): short jobs end first, and are not all there are. Start-up is no pace: agents
 * leave it out (agent/pace.h), and where they tell none the time to an attempt's first commit is.
 */
#ifndef EBB_SCHEDULER_CORE_PACE_H
#define EBB_SCHEDULER_CORE_PACE_H

#include "scheduler/core/state.h"

/* p0: a job that has done so much of its steps is believed as much as all that was known before. */
#define EBB_PACE_PRIOR 0.05

/* Useful seconds of the group's jobs, when those supposed (`known`: told) beforehand are so many.
 */
double ebb_pace_group_s(const struct ebb_group *g, double supposed_s, bool known);
/* ... and of this one, in a group whose jobs take so many. */
double ebb_pace_job_s(const struct ebb_job *j, double group_s);
/* The group's jobs that are under way have shown how long they take. */
bool ebb_pace_is_seen(const struct ebb_group *g);

/* For the fold: in the lease's attempt, on a VM of this type, `steps` of `total` have taken so many
 * useful seconds in all, start-up apart. Nothing changes when one of them is not positive. */
void ebb_pace_observe(const struct ebb_state *s, struct ebb_group *g, struct ebb_job *j,
                      struct ebb_lease *lease, const char *type, int64_t steps, int64_t total,
                      double useful_s);
/* For the fold: the job is done, and counts as such. */
void ebb_pace_forget(struct ebb_group *g, struct ebb_job *j);

/* What a live attempt tells of its progress is worth a record: the job's full time changes by more
 * than a tenth. */
bool ebb_pace_is_news(const struct ebb_state *s, const char *bag, uint64_t job, uint32_t attempt,
                      int64_t steps, int64_t total, double useful_s);

#endif
