/* The hash of a file, read in blocks. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"

#define BLOCK_BYTES (128U << 10)

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

EBB_DEFINE_AUTO_PTR(sha_auto, struct ebb_sha256, ebb_sha256_destroy)

int ebb_sha256_file(const char *path, uint8_t out[EBB_SHA256_SIZE], uint64_t *ret_bytes,
                    struct ebb_error *err)
{
    EBB_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    if (!S_ISREG(st.st_mode))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is no file", path);
    EBB_AUTO(sha_auto) struct ebb_sha256 *h = ebb_sha256_new();
    EBB_AUTO_FREE uint8_t *block = ebb_alloc_array(BLOCK_BYTES, 1);
    uint64_t bytes = 0;
    for (;;) {
        ssize_t n = read(fd, block, BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read %s", path);
        if (n == 0)
            break;
        ebb_sha256_update(h, block, (size_t)n);
        bytes += (uint64_t)n;
    }
    ebb_sha256_final(h, out);
    if (ret_bytes != NULL)
        *ret_bytes = bytes;
    return 0;
}
