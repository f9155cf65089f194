/* Errors: a code with a class, an errno, and a text, in the caller's stack.
 *
 * A function that can fail returns 0 or a negative `enum ebb_code` and takes
 * `struct ebb_error *err` last. `err` may be NULL. Retry policy reads the class
 * alone (ebb_code_class), never the text.
 *
 *     int rc = ebb_file_read(path, 4096, &bytes, err);
 *     if (rc < 0)
 *         return ebb_error_wrap(err, rc, "bag %s", path);
 */
#ifndef EBB_BASE_ERROR_H
#define EBB_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define EBB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum ebb_code {
    EBB_OK = 0,
    EBB_ERR_INPUT = -1,        /* what the user gave is wrong: say where */
    EBB_ERR_NOT_FOUND = -2,    /* no such object, job, VM */
    EBB_ERR_EXISTS = -3,       /* create-only refused: it is there already */
    EBB_ERR_PRECONDITION = -4, /* compare-and-swap lost (HTTP 412) */
    EBB_ERR_CONFLICT = -5,     /* concurrent operation, undecided (HTTP 409): read back, retry */
    EBB_ERR_FENCED = -6,       /* a later epoch owns the job: stop working on it */
    EBB_ERR_CORRUPT = -7,      /* stored bytes do not match their hash or format */
    EBB_ERR_UNSUPPORTED = -8,  /* a format or request from a later version */
    EBB_ERR_DENIED = -9,       /* credentials or permission */
    EBB_ERR_THROTTLED = -10,   /* slow down (HTTP 429/503 SlowDown, RequestLimitExceeded) */
    EBB_ERR_UNAVAILABLE = -11, /* 5xx, connection refused or reset: try again */
    EBB_ERR_TIMEOUT = -12,     /* no answer: the outcome is unknown */
    EBB_ERR_NO_CAPACITY = -13, /* this pool has no VM: try another */
    EBB_ERR_QUOTA = -14,       /* the account's limit, not the pool's */
    EBB_ERR_PREEMPTED = -15,   /* the cloud took the VM */
    EBB_ERR_NO_SPACE = -16,    /* disk full */
    EBB_ERR_CANCELLED = -17,   /* asked to stop */
    EBB_ERR_IO = -18,          /* other local I/O failure, errno says which */
    EBB_ERR_INTERNAL = -19,    /* our own fault */
};

enum ebb_class {
    EBB_CLASS_PERMANENT,
    EBB_CLASS_RETRY,
    EBB_CLASS_THROTTLED,
    EBB_CLASS_NO_CAPACITY,
    EBB_CLASS_PREEMPTED,
};

struct ebb_error {
    int code;       /* enum ebb_code; 0 when nothing happened */
    int sys_errno;  /* errno at the place of failure, or 0 */
    char text[480]; /* one line, no trailing newline */
};

/* Fill `err` (if not NULL) and return `code`, so that `return ebb_error_set(...)` works. */
int ebb_error_set(struct ebb_error *err, int code, const char *fmt, ...) EBB_PRINTF(3, 4);
/* As ebb_error_set, with ": strerror(sys_errno)" at the end; ENOSPC and EDQUOT become
 * EBB_ERR_NO_SPACE, ENOENT becomes EBB_ERR_NOT_FOUND, whatever `code` says. */
int ebb_error_set_errno(struct ebb_error *err, int code, int sys_errno, const char *fmt, ...)
    EBB_PRINTF(4, 5);
/* Put "context: " before the text already in `err` (if not NULL; its code and errno stay) and
 * return `code`: what the failed call returned. */
int ebb_error_wrap(struct ebb_error *err, int code, const char *fmt, ...) EBB_PRINTF(3, 4);
void ebb_error_clear(struct ebb_error *err);
void ebb_error_copy(struct ebb_error *to, const struct ebb_error *from);

enum ebb_class ebb_code_class(int code);
/* "input", "not-found", "throttled": stable names, used in JSON and the event log. */
const char *ebb_code_name(int code);
/* Process exit status of a command that failed with `code`: 1 job, 2 input or use, 3 cloud or
 * store. */
int ebb_code_exit_status(int code);
/* True when the same call may be tried again (retry, throttled). */
bool ebb_code_is_transient(int code);

#endif
