/* Sweeps: job i of a group has its parameters computed from i; nothing is expanded in memory. */
#ifndef EBB_SCHEDULER_CORE_SWEEP_H
#define EBB_SCHEDULER_CORE_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/bag.pb-c.h"

/* Number of values of an axis; jobs of a sweep (1 for none). EBB_ERR_INPUT over 10 million. */
uint64_t ebb_axis_count(const Ebb__Axis *axis);
int ebb_sweep_count(const Ebb__Sweep *sweep, uint64_t *ret, struct ebb_error *err);
/* The text of value i of an axis, as it stands in names and is filled in: "290", "0.85". */
void ebb_axis_value(const Ebb__Axis *axis, uint64_t i, struct ebb_buffer *out);

/* Index of the axis' value for job i of the group (0 <= i < job_count). */
uint64_t ebb_sweep_index(const Ebb__Sweep *sweep, size_t axis, uint64_t i);
/* "nvt,temperature=290,seed=1"; "train" for a group without a sweep. Stable, unique in the bag,
 * safe as a file name and object key. */
void ebb_job_name(const Ebb__JobGroup *group, uint64_t i, struct ebb_buffer *out);
/* The value of ${name} for job i: sweep parameters, and job, group, index. false: no such name. */
bool ebb_job_parameter(const Ebb__JobGroup *group, uint64_t i, const char *name,
                       struct ebb_buffer *out);
/* Copies `text` with ${name} replaced by parameters; "$${" gives "${". `more` (may be NULL)
 * supplies names the group does not know. Unknown names: EBB_ERR_INPUT with the nearest right one
 * (strict), or left as they stand for the shell (not strict). */
int ebb_job_fill(const Ebb__JobGroup *group, uint64_t i, const char *text, bool strict,
                 bool (*more)(void *ctx, const char *name, struct ebb_buffer *out), void *ctx,
                 struct ebb_buffer *out, struct ebb_error *err);

/* The group that holds bag job `job`, and the job's index in it. NULL: out of range. */
const Ebb__JobGroup *ebb_bag_group(const Ebb__BagSpec *spec, uint64_t job, uint64_t *ret_index);
uint64_t ebb_bag_job_count(const Ebb__BagSpec *spec);
/* The job called `name`, without walking the bag. */
bool ebb_bag_find_job(const Ebb__BagSpec *spec, const char *name, uint64_t *ret_job);
/* "bags/<bag id>/jobs/<job name>": the root of the job's objects in the store. */
void ebb_job_store_root(const char *bag, const Ebb__BagSpec *spec, uint64_t job,
                        struct ebb_buffer *out);

#endif
