/* The program's own log: one line per message on stderr or a file, with an ISO-8601 UTC time.
 * Levels: error, warn, info, debug. Never log secrets: no keys, tokens, presigned URLs. */
#ifndef EBB_BASE_LOG_H
#define EBB_BASE_LOG_H

#include <stdio.h>

#include "base/error.h"

enum ebb_log_level { EBB_LOG_ERROR, EBB_LOG_WARN, EBB_LOG_INFO, EBB_LOG_DEBUG };

/* `program` stands in each line ("scheduler", "agent i-0abc"). `out` is borrowed; NULL is stderr.
 * The level is EBB_LOG (environment) when set, else `level`. */
void ebb_log_init(const char *program, enum ebb_log_level level, FILE *out);
void ebb_log_set_level(enum ebb_log_level level);
void ebb_log_write(enum ebb_log_level level, const char *fmt, ...) EBB_PRINTF(2, 3);

#define ebb_log_error(...) ebb_log_write(EBB_LOG_ERROR, __VA_ARGS__)
#define ebb_log_warn(...)  ebb_log_write(EBB_LOG_WARN, __VA_ARGS__)
#define ebb_log_info(...)  ebb_log_write(EBB_LOG_INFO, __VA_ARGS__)
#define ebb_log_debug(...) ebb_log_write(EBB_LOG_DEBUG, __VA_ARGS__)

#endif
