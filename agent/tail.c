/* Reading the end of growing files: logs for progress and done tests. Bounded by the caller's
 * limit, whatever the file's size. */
#include "agent/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

static void close_auto(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

int ebb_tail_read(const char *path, size_t max_bytes, struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO(close_auto) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is no regular file", path);
    off_t from = st.st_size > (off_t)max_bytes ? st.st_size - (off_t)max_bytes : 0;
    size_t left = (size_t)(st.st_size - from);
    ebb_buffer_reserve(out, left);
    while (left > 0) {
        ssize_t n = pread(fd, out->data + out->len, left, from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
        if (n == 0)
            break;
        out->len += (size_t)n;
        from += n;
        left -= (size_t)n;
    }
    ebb_buffer_append(out, "", 0);
    return 0;
}

struct newest {
    const char *glob;
    char *path;
    int64_t mtime_ns;
};

static int consider(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)err;
    struct newest *n = ctx;
    struct stat st;
    if (!ebb_glob_match(n->glob, relative) || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (n->path != NULL && mtime_ns <= n->mtime_ns)
        return 0;
    free(n->path);
    n->path = ebb_strdup(path);
    n->mtime_ns = mtime_ns;
    return 0;
}

char *ebb_newest_match(const char *directory, const char *glob)
{
    if (strpbrk(glob, "*?[\\") == NULL) {
        char *path = ebb_path_join(directory, glob);
        if (ebb_file_exists(path))
            return path;
        free(path);
        return NULL;
    }
    struct newest n = {.glob = glob};
    ebb_walk(directory, consider, &n, NULL);
    return n.path;
}
