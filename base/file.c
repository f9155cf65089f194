/* Files and folders. A file written atomically is either the old one or the new one, whole, after
 * a crash at any point: temporary name, fsync, rename, fsync of the folder. Trees are read and
 * removed without following links below their root. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int io_error(struct ebb_error *err, const char *verb, const char *path)
{
    return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot %s %s", verb, path);
}

static int read_to_end(int fd, const char *path, size_t max_bytes, struct ebb_buffer *out,
                       struct ebb_error *err)
{
    size_t start = out->len;
    for (;;) {
        ebb_buffer_reserve(out, 16384);
        ssize_t n = read(fd, out->data + out->len, out->capacity - out->len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(err, "read", path);
        if (n == 0)
            return 0;
        out->len += (size_t)n;
        out->data[out->len] = 0;
        if (out->len - start > max_bytes)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s is larger than %zu bytes", path,
                                 max_bytes);
    }
}

int ebb_file_read(const char *path, size_t max_bytes, struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return io_error(err, "read", path);
    if (S_ISDIR(st.st_mode))
        return ebb_error_set_errno(err, EBB_ERR_IO, EISDIR, "cannot read %s", path);
    if (S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= max_bytes)
        ebb_buffer_reserve(out, (size_t)st.st_size + 1);
    size_t start = out->len;
    int rc = read_to_end(fd, path, max_bytes, out, err);
    if (rc < 0 && out->data != NULL) {
        out->len = start;
        out->data[start] = 0;
    }
    return rc;
}

int ebb_write_all(int fd, const void *data, size_t len, struct ebb_error *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_folder_of(const char *path, struct ebb_error *err)
{
    const char *slash = strrchr(path, '/');
    EBB_AUTO_FREE char *folder =
        slash == NULL ? ebb_strdup(".")
                      : ebb_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    EBB_AUTO(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", folder);
    /* Some network file systems refuse fsync on a folder; they order the rename themselves. */
    if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS)
        return io_error(err, "sync", folder);
    return 0;
}

/* `path` is what the messages call it. */
static int write_and_sync(const char *temporary, const char *path, const void *data, size_t len,
                          unsigned mode, struct ebb_error *err)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return io_error(err, "create", path);
    int rc = ebb_write_all(fd, data, len, err);
    if (rc < 0)
        (void)ebb_error_wrap(err, rc, "%s", path);
    else if (fsync(fd) != 0)
        rc = io_error(err, "sync", path);
    if (close(fd) != 0 && rc == 0)
        rc = io_error(err, "close", path);
    return rc;
}

int ebb_file_write_atomic(const char *path, const void *data, size_t len, unsigned mode,
                          struct ebb_error *err)
{
    char nonce[17];
    EBB_AUTO_FREE char *temporary = ebb_sprintf("%s.tmp-%s", path, ebb_random_hex(nonce, 8));
    int rc = write_and_sync(temporary, path, data, len, mode, err);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = io_error(err, "replace", path);
    if (rc < 0) {
        (void)unlink(temporary);
        return rc;
    }
    return sync_folder_of(path, err);
}

static int mkdir_one(const char *path, unsigned mode, struct ebb_error *err)
{
    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    int saved = errno;
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        return ebb_error_set_errno(err, EBB_ERR_IO, ENOTDIR, "cannot create folder %s", path);
    }
    return ebb_error_set_errno(err, EBB_ERR_IO, saved, "cannot create folder %s", path);
}

int ebb_mkdir_p(const char *path, unsigned mode, struct ebb_error *err)
{
    EBB_AUTO_FREE char *copy = ebb_strdup(path);
    for (char *p = copy; *p != '\0'; p++) {
        if (*p != '/' || p == copy)
            continue;
        *p = '\0';
        int rc = mkdir_one(copy, mode, err);
        if (rc < 0)
            return rc;
        *p = '/';
    }
    return mkdir_one(copy, mode, err);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int remove_entries(int folder_fd, const char *shown, struct ebb_error *err);

static int remove_entry(int folder_fd, const char *name, const char *shown, struct ebb_error *err)
{
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return io_error(err, "remove", shown);
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "remove", shown);
    int rc = remove_entries(fd, shown, err);
    if (rc == 0 && unlinkat(folder_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = io_error(err, "remove", shown);
    return rc;
}

/* Takes over folder_fd. */
static int remove_entries(int folder_fd, const char *shown, struct ebb_error *err)
{
    EBB_AUTO(close_dir) DIR *dir = fdopendir(folder_fd);
    if (dir == NULL) {
        int rc = io_error(err, "remove", shown);
        (void)close(folder_fd);
        return rc;
    }
    struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        if (is_dot(e->d_name))
            continue;
        EBB_AUTO_FREE char *child = ebb_path_join(shown, e->d_name);
        int rc = remove_entry(dirfd(dir), e->d_name, child, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int ebb_remove_tree(const char *path, struct ebb_error *err)
{
    return remove_entry(AT_FDCWD, path, path, err);
}

bool ebb_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *ebb_path_join(const char *a, const char *b)
{
    size_t len = strlen(a);
    if (len == 0 || b[0] == '/')
        return ebb_strdup(b);
    return ebb_sprintf("%s%s%s", a, a[len - 1] == '/' ? "" : "/", b);
}

bool ebb_path_is_contained(const char *relative)
{
    if (relative[0] == '\0' || relative[0] == '/')
        return false;
    for (const char *p = relative; *p != '\0';) {
        size_t len = strcspn(p, "/");
        if (len == 2 && memcmp(p, "..", 2) == 0)
            return false;
        p += len;
        while (*p == '/')
            p++;
    }
    return true;
}

/* ---- walking ---- */

struct names {
    char **list;
    size_t count;
};

static void names_clean_up(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n->list);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* DT_DIR, DT_REG, DT_LNK, or DT_UNKNOWN for what a walk leaves out. */
static int entry_type(DIR *dir, const struct dirent *e)
{
    if (e->d_type != DT_UNKNOWN)
        return e->d_type;
    struct stat st;
    if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_UNKNOWN;
    return S_ISDIR(st.st_mode)   ? DT_DIR
           : S_ISREG(st.st_mode) ? DT_REG
           : S_ISLNK(st.st_mode) ? DT_LNK
                                 : DT_UNKNOWN;
}

/* The entries of a folder, a sub-folder's with a '/' at the end: sorted so, a depth-first walk
 * comes out in byte order of whole paths ("a-b" before "a/x"). */
static int list_folder(const char *path, struct names *ret, struct ebb_error *err)
{
    EBB_AUTO(close_dir) DIR *dir = opendir(path);
    if (dir == NULL)
        return io_error(err, "list", path);
    struct dirent *e;
    size_t capacity = 0;
    while ((e = readdir(dir)) != NULL) {
        int type = is_dot(e->d_name) ? DT_UNKNOWN : entry_type(dir, e);
        if (type != DT_DIR && type != DT_REG && type != DT_LNK)
            continue;
        if (ret->count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            ret->list = ebb_realloc_array(ret->list, capacity, sizeof(*ret->list));
        }
        ret->list[ret->count++] = ebb_sprintf("%s%s", e->d_name, type == DT_DIR ? "/" : "");
    }
    if (ret->count > 1)
        qsort(ret->list, ret->count, sizeof(*ret->list), compare_names);
    return 0;
}

struct walk {
    int (*fn)(void *ctx, const char *relative, const char *path, struct ebb_error *err);
    void *ctx;
};

static int walk_folder(const struct walk *w, const char *path, const char *relative,
                       struct ebb_error *err)
{
    EBB_AUTO(names_clean_up) struct names names = {0};
    int rc = list_folder(path, &names, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        char *name = names.list[i];
        size_t len = strlen(name);
        bool folder = name[len - 1] == '/';
        if (folder)
            name[len - 1] = '\0';
        EBB_AUTO_FREE char *child = ebb_path_join(path, name);
        EBB_AUTO_FREE char *child_relative = ebb_path_join(relative, name);
        rc = folder ? walk_folder(w, child, child_relative, err)
                    : w->fn(w->ctx, child_relative, child, err);
    }
    return rc;
}

int ebb_walk(const char *root,
             int (*fn)(void *ctx, const char *relative, const char *path, struct ebb_error *err),
             void *ctx, struct ebb_error *err)
{
    struct walk w = {fn, ctx};
    return walk_folder(&w, root, "", err);
}
