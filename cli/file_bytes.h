/* Files as the bytes that pack/ reads and writes. */
#ifndef EBB_CLI_FILE_BYTES_H
#define EBB_CLI_FILE_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "pack/bytes.h"
#include "pack/container.h"

/* A regular file that is open for reading. A zeroed struct may be closed. */
struct ebb_file_bytes {
    char *path;
    int fd_plus_1; /* 0: not open */
    struct stat stat;
};
int ebb_file_bytes_open(const char *path, struct ebb_file_bytes *ret, struct ebb_error *err);
void ebb_file_bytes_close(struct ebb_file_bytes *f);
/* `f` must stay where it is. */
struct ebb_bytes ebb_file_bytes_of(struct ebb_file_bytes *f);

/* A file that gets its name only when it is whole. It has none before, or a temporary one beside it
 * where the file system wants one; a process that is interrupted or killed leaves nothing that
 * stays. */
struct ebb_new_file {
    char *path;
    char *temporary; /* NULL: it has none */
    bool replace;
    int fd_plus_1;
    uint64_t written_bytes; /* through the sink */
};
/* EBB_ERR_INPUT when `path` is there and may not be replaced. Makes its folder. One at a time. */
int ebb_new_file_create(const char *path, bool replace, struct ebb_new_file *ret,
                        struct ebb_error *err);
/* As where the file system knows no files without a name. */
int ebb_new_file_create_named(const char *path, bool replace, struct ebb_new_file *ret,
                              struct ebb_error *err);
struct ebb_packed_sink ebb_new_file_sink(struct ebb_new_file *f);
/* What went through the sink so far; `f` must stay where it is. */
struct ebb_bytes ebb_new_file_bytes(struct ebb_new_file *f);
/* Mode, time (when not 0), to disk, and the name. */
int ebb_new_file_publish(struct ebb_new_file *f, unsigned mode, int64_t mtime_ns,
                         struct ebb_error *err);
/* The same, but not to disk: for many files, before ebb_sync_file_system_of their folder. */
int ebb_new_file_publish_unsynced(struct ebb_new_file *f, unsigned mode, int64_t mtime_ns,
                                  struct ebb_error *err);
int ebb_sync_file_system_of(const char *folder, struct ebb_error *err);
/* Removes what was not published. */
void ebb_new_file_clean_up(struct ebb_new_file *f);

#endif
