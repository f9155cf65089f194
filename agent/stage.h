/* Staging: a job's inputs into its work directory. Blocks; runs on workers. */
#ifndef EBB_AGENT_STAGE_H
#define EBB_AGENT_STAGE_H

#include <stdbool.h>

#include "agent/task.h"
#include "base/error.h"
#include "cloud/object_store.h"

/* Files of the submitter by hash (inputs/<sha256>), every byte verified; templates filled in. A
 * file is fetched once per VM. */
int ebb_stage_files(const struct ebb_task *t, struct ebb_object_store *store,
                    struct ebb_error *err);
/* Outputs of other groups' jobs, from their final checkpoints, to <group>/<job name>/<file>.
 * EBB_ERR_UNAVAILABLE when such a job has no final checkpoint. */
int ebb_stage_upstream(const struct ebb_task *t, struct ebb_object_store *store,
                       struct ebb_error *err);
/* True when `relative` was placed by ebb_stage_upstream: never in a checkpoint, staged again. */
bool ebb_stage_is_upstream(const struct ebb_task *t, const char *relative);
/* True when `relative` was placed by ebb_stage_files. */
bool ebb_stage_is_input(const struct ebb_task *t, const char *relative);
/* The name that an input has in the work directory, malloc'ed: base name, ".in" of a template
 * dropped. */
char *ebb_stage_name(const Ebb__Input *input);

#endif
