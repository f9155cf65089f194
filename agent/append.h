/* Cutting files that grow (trajectories, logs) back to the restored state, by the profile's rule:
 *
 *   engine   nothing: the engine truncates them by itself
 *   length   nothing more: a restore brings the committed length and no byte more
 *   marker   cut before the first place where `marker`, with ${step} a number, tells a step at or
 *            past the restored one:
 *
 *            ...frame 900 | frame 1000 | frame 1100      restored state: step 1000
 *                         ^ cut here: the engine writes frame 1000 again
 *
 * A marker counts at the start of a line only.
 */
#ifndef EBB_AGENT_APPEND_H
#define EBB_AGENT_APPEND_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/profile.pb-c.h"

/* Offset at which to cut for `step`, or the file's length when nothing is to go. Reads from the end
 * backwards, no further than the last frame before `step`. */
int ebb_append_cut_offset(const char *path, const char *marker, int64_t step, uint64_t *ret,
                          struct ebb_error *err);
/* Applies the rules to every file below `directory` that they name. EBB_ERR_INPUT when a marker
 * rule has files to cut and the step is unknown (-1). */
int ebb_append_cut_all(const char *directory, Ebb__ProfileAppend *const *rules, size_t count,
                       int64_t step, struct ebb_error *err);

#endif
