/* Reading by pread, so that threads share a descriptor. Writing to a file that has no name until it
 * is whole (O_TMPFILE), or a temporary one where the file system has no such files: removed by
 * SIGINT and SIGTERM, and by the next run after a SIGKILL. */
#include "cli/file_bytes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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

static int read_fd(int fd, const char *path, uint64_t offset, void *out, size_t len,
                   struct ebb_error *err)
{
    for (uint8_t *to = out; len > 0;) {
        ssize_t n = pread(fd, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read %s", path);
        if (n == 0)
            return ebb_error_set(err, EBB_ERR_CONFLICT, "%s was cut while it was read", path);
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int read_file(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct ebb_file_bytes *f = ctx;
    return read_fd(f->fd_plus_1 - 1, f->path, offset, out, len, err);
}

struct ebb_bytes ebb_file_bytes_of(struct ebb_file_bytes *f)
{
    return (struct ebb_bytes){
        .read_at = read_file, .ctx = f, .size_bytes = (uint64_t)f->stat.st_size};
}

/* ---- new files ---- */

#define TEMPORARY_MARK ".ebb-tmp-"
enum { NONCE_BYTES = 8, NAMED_TRIES = 16 };

static int make_folder_of(const char *path, struct ebb_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    EBB_AUTO_FREE char *folder = ebb_strndup(path, (size_t)(slash - path));
    return ebb_mkdir_p(folder, 0777, err);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? ebb_strdup(".")
           : slash == path ? ebb_strdup("/")
                           : ebb_strndup(path, (size_t)(slash - path));
}

/* ---- one without a name: nothing is left however the process ends ---- */

static int open_nameless(const char *path)
{
    EBB_AUTO_FREE char *folder = folder_of(path);
    /* Its name is given through /proc. */
    return access("/proc/self/fd", X_OK) == 0 ? open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                                              : -1;
}

static int link_nameless(int fd, const char *to)
{
    char from[64];
    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

/* ---- one with a temporary name, where the file system has no other ---- */

/* What a signal has to remove. The handler does nothing else. */
static char doomed_path[PATH_MAX];
static volatile sig_atomic_t is_doomed;

static void remove_doomed(int number)
{
    if (is_doomed)
        (void)unlink(doomed_path);
    (void)raise(number); /* the action is the default one by now */
}

static void doom(const char *temporary)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    is_doomed = 0;
    if (temporary == NULL || strlen(temporary) >= sizeof doomed_path)
        return;
    (void)snprintf(doomed_path, sizeof doomed_path, "%s", temporary);
    is_doomed = 1;
    for (size_t i = 0; i < EBB_ARRAY_LEN(signals); i++) {
        struct sigaction now;
        struct sigaction action = {.sa_handler = remove_doomed, .sa_flags = (int)SA_RESETHAND};
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &action, NULL);
    }
}

static bool is_temporary_name(const char *name)
{
    const char *mark = strstr(name, TEMPORARY_MARK);
    if (mark == NULL)
        return false;
    mark += strlen(TEMPORARY_MARK);
    return strlen(mark) == 2 * NONCE_BYTES && strspn(mark, "0123456789abcdef") == 2 * NONCE_BYTES;
}

/* Who writes a temporary file holds a lock on it: one that nobody holds is left over from a process
 * that was killed. */
static void remove_if_abandoned(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    (void)close(fd);
}

/* Each folder once. */
static void remove_abandoned_beside(const char *path)
{
    static char *swept;
    EBB_AUTO_FREE char *folder = folder_of(path);
    if (swept != NULL && strcmp(swept, folder) == 0)
        return;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (is_temporary_name(e->d_name))
            remove_if_abandoned(dirfd(d), e->d_name);
    if (d != NULL)
        (void)closedir(d);
    free(swept);
    swept = EBB_TAKE(folder);
}

static char *temporary_name(const char *path)
{
    char nonce[2 * NONCE_BYTES + 1];
    return ebb_sprintf("%s" TEMPORARY_MARK "%s", path, ebb_random_hex(nonce, NONCE_BYTES));
}

/* Created and locked; again when another process has taken it for abandoned in between. */
static int open_named(const char *path, char **ret_temporary, struct ebb_error *err)
{
    for (int i = 0; i < NAMED_TRIES; i++) {
        EBB_AUTO_FREE char *temporary = temporary_name(path);
        int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", path);
        struct stat st;
        bool is_locked = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
        if (is_locked && fstat(fd, &st) == 0 && st.st_nlink == 1) {
            doom(temporary);
            *ret_temporary = EBB_TAKE(temporary);
            return fd;
        }
        (void)close(fd);
    }
    return ebb_error_set(err, EBB_ERR_IO, "cannot create a temporary file beside %s", path);
}

static int check_target(const char *path, bool replace, struct ebb_error *err)
{
    struct stat st;
    bool is_there = lstat(path, &st) == 0;
    if (is_there && !replace)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is there already: --force replaces it", path);
    if (is_there && !S_ISREG(st.st_mode))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is not a regular file", path);
    return make_folder_of(path, err);
}

int ebb_new_file_create_named(const char *path, bool replace, struct ebb_new_file *ret,
                              struct ebb_error *err)
{
    int rc = check_target(path, replace, err);
    if (rc < 0)
        return rc;
    remove_abandoned_beside(path);
    char *temporary = NULL;
    int fd = open_named(path, &temporary, err);
    if (fd < 0)
        return fd;
    *ret = (struct ebb_new_file){
        .path = ebb_strdup(path), .temporary = temporary, .replace = replace, .fd_plus_1 = fd + 1};
    return 0;
}

int ebb_new_file_create(const char *path, bool replace, struct ebb_new_file *ret,
                        struct ebb_error *err)
{
    int rc = check_target(path, replace, err);
    if (rc < 0)
        return rc;
    int fd = open_nameless(path);
    if (fd < 0)
        return ebb_new_file_create_named(path, replace, ret, err);
    remove_abandoned_beside(path);
    *ret = (struct ebb_new_file){.path = ebb_strdup(path), .replace = replace, .fd_plus_1 = fd + 1};
    return 0;
}

static int write_new(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    struct ebb_new_file *f = ctx;
    int rc = ebb_write_all(f->fd_plus_1 - 1, data, len, err);
    if (rc == 0)
        f->written_bytes += len;
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", f->path) : 0;
}

struct ebb_packed_sink ebb_new_file_sink(struct ebb_new_file *f)
{
    return (struct ebb_packed_sink){.write = write_new, .ctx = f};
}

static int read_new(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct ebb_new_file *f = ctx;
    return read_fd(f->fd_plus_1 - 1, f->path, offset, out, len, err);
}

struct ebb_bytes ebb_new_file_bytes(struct ebb_new_file *f)
{
    return (struct ebb_bytes){.read_at = read_new, .ctx = f, .size_bytes = f->written_bytes};
}

static int sync_folder_of(const char *path, struct ebb_error *err)
{
    EBB_AUTO_FREE char *folder = folder_of(path);
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

/* A name for what has none; over a file that is there by way of a temporary name. */
static int name_nameless(struct ebb_new_file *f)
{
    int fd = f->fd_plus_1 - 1;
    if (link_nameless(fd, f->path) == 0)
        return 0;
    if (errno != EEXIST || !f->replace)
        return -1;
    f->temporary = temporary_name(f->path);
    return link_nameless(fd, f->temporary) < 0 ? -1 : rename(f->temporary, f->path);
}

static int name_named(struct ebb_new_file *f)
{
    if (f->replace)
        return rename(f->temporary, f->path);
    if (renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? rename(f->temporary, f->path) : -1;
}

int ebb_new_file_publish_unsynced(struct ebb_new_file *f, unsigned mode, int64_t mtime_ns,
                                  struct ebb_error *err)
{
    int fd = f->fd_plus_1 - 1;
    int64_t second = mtime_ns / EBB_NS_PER_S, rest = mtime_ns % EBB_NS_PER_S;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = second - (rest < 0), .tv_nsec = rest + (rest < 0 ? EBB_NS_PER_S : 0)}};
    if (fchmod(fd, (mode_t)mode) < 0 || (mtime_ns != 0 && futimens(fd, times) < 0) ||
        (f->temporary == NULL ? name_nameless(f) : name_named(f)) < 0)
        return errno == EEXIST
                   ? ebb_error_set(err, EBB_ERR_INPUT,
                                   "%s was made by somebody else meanwhile: --force replaces it",
                                   f->path)
                   : ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", f->path);
    doom(NULL);
    free(EBB_TAKE(f->temporary));
    return 0;
}

int ebb_new_file_publish(struct ebb_new_file *f, unsigned mode, int64_t mtime_ns,
                         struct ebb_error *err)
{
    if (fsync(f->fd_plus_1 - 1) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", f->path);
    int rc = ebb_new_file_publish_unsynced(f, mode, mtime_ns, err);
    return rc < 0 ? rc : sync_folder_of(f->path, err);
}

int ebb_sync_file_system_of(const char *folder, struct ebb_error *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", folder);
    int rc = syncfs(fd) == 0
                 ? 0
                 : ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write to %s", folder);
    (void)close(fd);
    return rc;
}

void ebb_new_file_clean_up(struct ebb_new_file *f)
{
    if (f->temporary != NULL)
        (void)unlink(f->temporary);
    if (f->fd_plus_1 > 0) {
        (void)close(f->fd_plus_1 - 1);
        doom(NULL);
    }
    free(f->temporary);
    free(f->path);
    *f = (struct ebb_new_file){0};
}
