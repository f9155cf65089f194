/* A rename puts a regular file in the place of whatever had the name: right for files, wrong for
 * devices (root would lose /dev/null) and for links (the file that they lead to is meant). */
#include "cli/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define MODE 0644

static int write_into(const char *path, const void *data, size_t len, struct ebb_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    int rc = ebb_write_all(fd, data, len, err);
    if (rc < 0)
        (void)ebb_error_wrap(err, rc, "%s", path);
    if (close(fd) != 0 && rc == 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot close %s", path);
    return rc;
}

static int is_folder(const char *path, struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_INPUT, "%s is a folder: name a file in it", path);
}

int ebb_output_file_check(const char *path, struct ebb_error *err)
{
    struct stat st;
    if (path == NULL)
        return 0;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return is_folder(path, err);
    const char *slash = strrchr(path, '/');
    EBB_AUTO_FREE char *folder =
        slash != NULL ? ebb_strndup(path, (size_t)(slash - path) + 1) : ebb_strdup(".");
    bool into = there && !S_ISREG(st.st_mode);
    if (access(into ? path : folder, into ? W_OK : W_OK | X_OK) != 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", path);
    return 0;
}

int ebb_output_file_write(const char *path, const void *data, size_t len, struct ebb_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return ebb_file_write_atomic(path, data, len, MODE, err);
    if (S_ISDIR(st.st_mode))
        return is_folder(path, err);
    if (!S_ISREG(st.st_mode))
        return write_into(path, data, len, err);
    EBB_AUTO_FREE char *whole = realpath(path, NULL);
    return ebb_file_write_atomic(whole != NULL ? whole : path, data, len, MODE, err);
}
