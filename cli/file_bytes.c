/* Reading by pread, so that threads share a descriptor; writing to a temporary name, so that a file
 * is either absent or whole. */
#include "cli/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"

int ebb_file_bytes_open(const char *path, struct ebb_file_bytes *ret, struct ebb_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_INPUT, errno, "cannot open %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is not a regular file", path);
    }
    *ret = (struct ebb_file_bytes){.path = ebb_strdup(path), .fd_plus_1 = fd + 1, .stat = st};
    return 0;
}

void ebb_file_bytes_close(struct ebb_file_bytes *f)
{
    if (f->fd_plus_1 > 0)
        (void)close(f->fd_plus_1 - 1);
    free(f->path);
    *f = (struct ebb_file_bytes){0};
}

static int read_file(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct ebb_file_bytes *f = ctx;
    for (uint8_t *to = out; len > 0;) {
        ssize_t n = pread(f->fd_plus_1 - 1, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read %s", f->path);
        if (n == 0)
            return ebb_error_set(err, EBB_ERR_CONFLICT, "%s was cut while it was read", f->path);
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

struct ebb_bytes ebb_file_bytes_of(struct ebb_file_bytes *f)
{
    return (struct ebb_bytes){
        .read_at = read_file, .ctx = f, .size_bytes = (uint64_t)f->stat.st_size};
}

/* ---- new files ---- */

static int make_folder_of(const char *path, struct ebb_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    EBB_AUTO_FREE char *folder = ebb_strndup(path, (size_t)(slash - path));
    return ebb_mkdir_p(folder, 0777, err);
}

int ebb_new_file_create(const char *path, bool replace, struct ebb_new_file *ret,
                        struct ebb_error *err)
{
    struct stat st;
    bool is_there = lstat(path, &st) == 0;
    if (is_there && !replace)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is there already: --force replaces it", path);
    if (is_there && !S_ISREG(st.st_mode))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is not a regular file", path);
    int rc = make_folder_of(path, err);
    if (rc < 0)
        return rc;
    char nonce[17];
    EBB_AUTO_FREE char *temporary = ebb_sprintf("%s.tmp-%s", path, ebb_random_hex(nonce, 8));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", temporary);
    *ret = (struct ebb_new_file){
        .path = ebb_strdup(path), .temporary = EBB_TAKE(temporary), .fd_plus_1 = fd + 1};
    return 0;
}

static int write_new(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    const struct ebb_new_file *f = ctx;
    int rc = ebb_write_all(f->fd_plus_1 - 1, data, len, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", f->path) : 0;
}

struct ebb_packed_sink ebb_new_file_sink(struct ebb_new_file *f)
{
    return (struct ebb_packed_sink){.write = write_new, .ctx = f};
}

static int sync_folder_of(const char *path, struct ebb_error *err)
{
    const char *slash = strrchr(path, '/');
    EBB_AUTO_FREE char *folder = slash == NULL   ? ebb_strdup(".")
                                 : slash == path ? ebb_strdup("/")
                                                 : ebb_strndup(path, (size_t)(slash - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", folder);
    /* Some network file systems refuse fsync on a folder; they order the rename themselves. */
    int rc = fsync(fd) == 0 || errno == EINVAL || errno == EROFS
                 ? 0
                 : ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot sync %s", folder);
    (void)close(fd);
    return rc;
}

int ebb_new_file_publish(struct ebb_new_file *f, unsigned mode, int64_t mtime_ns,
                         struct ebb_error *err)
{
    int fd = f->fd_plus_1 - 1;
    int64_t second = mtime_ns / EBB_NS_PER_S, rest = mtime_ns % EBB_NS_PER_S;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = second - (rest < 0), .tv_nsec = rest + (rest < 0 ? EBB_NS_PER_S : 0)}};
    if (fchmod(fd, (mode_t)mode) < 0 || (mtime_ns != 0 && futimens(fd, times) < 0) ||
        fsync(fd) < 0 || rename(f->temporary, f->path) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", f->path);
    free(EBB_TAKE(f->temporary));
    return sync_folder_of(f->path, err);
}

void ebb_new_file_clean_up(struct ebb_new_file *f)
{
    if (f->fd_plus_1 > 0)
        (void)close(f->fd_plus_1 - 1);
    if (f->temporary != NULL)
        (void)unlink(f->temporary);
    free(f->temporary);
    free(f->path);
    *f = (struct ebb_new_file){0};
}
