/* The end of a file that may be growing. */
#ifndef EBB_AGENT_TAIL_H
#define EBB_AGENT_TAIL_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#define EBB_TAIL_BYTES (64u << 10)

/* Appends the file's last `max_bytes` bytes (all of it when it is shorter) to `out`. */
int ebb_tail_read(const char *path, size_t max_bytes, struct ebb_buffer *out,
                  struct ebb_error *err);
/* The newest file below `directory` whose relative path matches the glob, as a malloc'ed full
 * path; NULL when none does. Patterns without a wildcard cost one stat. */
char *ebb_newest_match(const char *directory, const char *glob);

#endif
