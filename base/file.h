/* Files and folders. Paths are NUL-terminated UTF-8; functions block. */
#ifndef EBB_BASE_FILE_H
#define EBB_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Appends the whole file to `out`; refuses files over max_bytes (EBB_ERR_INPUT). */
int ebb_file_read(const char *path, size_t max_bytes, struct ebb_buffer *out,
                  struct ebb_error *err);
/* Write to a temporary name beside `path`, fsync, rename, fsync the folder. */
int ebb_file_write_atomic(const char *path, const void *data, size_t len, unsigned mode,
                          struct ebb_error *err);
int ebb_write_all(int fd, const void *data, size_t len, struct ebb_error *err);
int ebb_mkdir_p(const char *path, unsigned mode, struct ebb_error *err);
int ebb_remove_tree(const char *path, struct ebb_error *err); /* absent is success */
bool ebb_file_exists(const char *path);
char *ebb_path_join(const char *a, const char *b); /* malloc'ed */
/* Calls fn for each regular file and symbolic link below `root`, in byte order of the relative
 * path; stops at the first non-zero return and returns it. */
int ebb_walk(const char *root,
             int (*fn)(void *ctx, const char *relative, const char *path, struct ebb_error *err),
             void *ctx, struct ebb_error *err);
/* True when `relative` stays inside its root: not absolute, no ".." component, not empty. */
bool ebb_path_is_contained(const char *relative);

#endif
