/* How far a job is: the last match of the profile's pattern at the end of a file. */
#ifndef EBB_AGENT_PROGRESS_H
#define EBB_AGENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/profile.pb-c.h"

/* Group 1 of the last match of `pattern` (POSIX extended) in the text's complete lines, as an
 * integer (a fraction is cut off: "1.5e3" is 1500). false: no match. `text` is NUL-terminated. */
bool ebb_progress_last(const char *text, size_t len, const char *pattern, int64_t *ret);

struct ebb_progress;

/* `log` is what "stdout" stands for. Patterns are checked here. Never NULL on success; a profile
 * without progress gives one that knows nothing. */
int ebb_progress_new(const Ebb__ProfileProgress *spec, const char *work, const char *log,
                     struct ebb_progress **ret, struct ebb_error *err);
void ebb_progress_destroy(struct ebb_progress *p);
/* Looks again when the file has changed. */
void ebb_progress_poll(struct ebb_progress *p);
/* Reads the total from the profile's total_file, or from `command` when it names none. */
void ebb_progress_find_total(struct ebb_progress *p, const char *command);
int64_t ebb_progress_step(const struct ebb_progress *p);  /* -1 unknown */
int64_t ebb_progress_total(const struct ebb_progress *p); /* -1 unknown */

#endif
