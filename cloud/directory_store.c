/* A directory as an object store. An object is a plain file at its key, so that a person can read
 * and copy it; several processes may write at once.
 *
 *   DIR/<key>              the objects
 *   DIR/.ebb/tmp/<nonce>   being written
 *   DIR/.ebb/locks/<xx>    flock'ed while a key is decided; xx from the key's hash
 *
 * A put writes and syncs a temporary file, then takes the key's lock, looks at the present object,
 * sets the new file's time to a value above the old one's and moves the file into place. The ETag
 * is made of inode, time in nanoseconds and size: since the time only rises and no two live files
 * share an inode, a key never gets the same ETag twice, whatever its content (no ABA). A file
 * system that does not keep nanoseconds is refused at open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "cloud/object_store_methods.h"

#define TEMPORARY_KEPT_S (24 * 3600)

struct directory_store {
    struct ebb_object_store base;
    char *root;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static struct directory_store *self(struct ebb_object_store *s)
{
    return (struct directory_store *)s;
}

static void destroy(struct ebb_object_store *s)
{
    free(self(s)->root);
    free(s);
}

static int64_t time_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * EBB_NS_PER_S + st->st_mtim.tv_nsec;
}

static void fill_info(const struct stat *st, struct ebb_object_info *info)
{
    info->size_bytes = (uint64_t)st->st_size;
    info->modified_wall_ns = time_of(st);
    snprintf(info->etag, sizeof(info->etag), "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
             (unsigned long long)time_of(st), (unsigned long long)st->st_size);
}

/* The file of a key, malloc'ed. Parts that a directory cannot hold, or that are ours, are bad
 * input. */
static int path_of(const struct directory_store *d, const char *key, char **ret,
                   struct ebb_error *err)
{
    const char *part = key;
    for (;;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || len > NAME_MAX || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.') ||
            (part == key && len == 4 && memcmp(part, ".ebb", 4) == 0))
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "store %s: a directory cannot hold the key \"%s\"", d->root, key);
        if (part[len] == '\0')
            break;
        part += len + 1;
    }
    *ret = ebb_path_join(d->root, key);
    return 0;
}

static int fail(struct ebb_error *err, const char *what, const char *key)
{
    int saved = errno;
    if (saved == ENOTDIR || saved == EISDIR)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s %s: a key cannot lie below another key in a directory store", what,
                             key);
    return ebb_error_set_errno(err, EBB_ERR_IO, saved, "%s %s", what, key);
}

/* ---- reading ---- */

static int open_object(struct directory_store *d, const char *key, int *ret_fd, struct stat *st,
                       struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = NULL;
    int code = path_of(d, key, &path, err);
    if (code < 0)
        return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s/%s is not there", d->root, key);
    if (fd < 0 || fstat(fd, st) != 0) {
        code = fail(err, "read", key);
        close_fd(&fd);
        return code;
    }
    if (!S_ISREG(st->st_mode)) {
        close(fd);
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s/%s is no object", d->root, key);
    }
    *ret_fd = fd;
    return 0;
}

static int read_range(int fd, const char *key, uint64_t offset, size_t len, struct ebb_buffer *out,
                      struct ebb_error *err)
{
    size_t done = 0, before = out->len;
    ebb_buffer_reserve(out, len + 1);
    while (done < len) {
        ssize_t n = pread(fd, out->data + before + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, "read", key);
        if (n == 0)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "get %s: cut short while read", key);
        done += (size_t)n;
    }
    out->len = before + len;
    out->data[out->len] = '\0';
    return 0;
}

static int get(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
               size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
               struct ebb_error *err)
{
    EBB_AUTO(close_fd) int fd = -1;
    struct stat st;
    atomic_fetch_add(&s->gets, 1);
    int code = open_object(self(s), key, &fd, &st, err);
    if (code < 0)
        return code;
    uint64_t size = (uint64_t)st.st_size;
    uint64_t wanted = len > 0 ? len : size > offset ? size - offset : 0;
    if (offset > size || wanted > size - offset)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "get %s: has %llu bytes, %llu from %llu wanted",
                             key, (unsigned long long)size, (unsigned long long)wanted,
                             (unsigned long long)offset);
    if (wanted > max_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "get %s: %llu bytes, at most %zu expected", key,
                             (unsigned long long)wanted, max_bytes);
    code = read_range(fd, key, offset, (size_t)wanted, out, err);
    if (code < 0)
        return code;
    atomic_fetch_add(&s->bytes_down, wanted);
    if (ret_info != NULL)
        fill_info(&st, ret_info);
    return 0;
}

static int head(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                struct ebb_error *err)
{
    EBB_AUTO(close_fd) int fd = -1;
    struct stat st;
    atomic_fetch_add(&s->gets, 1);
    int code = open_object(self(s), key, &fd, &st, err);
    if (code == 0)
        fill_info(&st, ret_info);
    return code;
}

/* ---- writing ---- */

static int lock_key(struct directory_store *d, const char *key, int *ret_fd, struct ebb_error *err)
{
    uint8_t hash[EBB_SHA256_SIZE];
    ebb_sha256(key, strlen(key), hash);
    EBB_AUTO_FREE char *path = ebb_sprintf("%s/.ebb/locks/%02x", d->root, hash[0]);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "lock %s", path);
    while (flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        int saved = errno;
        close(fd);
        return ebb_error_set_errno(err, EBB_ERR_IO, saved, "lock %s", path);
    }
    *ret_fd = fd;
    return 0;
}

/* A temporary file with the content, synced; *ret_path malloc'ed. */
static int write_temporary(struct directory_store *d, const char *key, const void *data, size_t len,
                           char **ret_path, struct ebb_error *err)
{
    char nonce[33];
    char *path = ebb_sprintf("%s/.ebb/tmp/%s", d->root, ebb_random_hex(nonce, 16));
    EBB_AUTO(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int code = fd < 0 ? fail(err, "put", key) : ebb_write_all(fd, data, len, err);
    if (code == 0 && fsync(fd) != 0)
        code = fail(err, "put", key);
    if (code < 0) {
        if (fd >= 0)
            unlink(path);
        free(path);
        return code;
    }
    *ret_path = path;
    return 0;
}

static int sync_parent(const char *path, const char *key, struct ebb_error *err)
{
    EBB_AUTO_FREE char *parent = ebb_strndup(path, (size_t)(strrchr(path, '/') - path));
    EBB_AUTO(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        return fail(err, "put", key);
    return 0;
}

static int make_parent(const char *path, const char *key, struct ebb_error *err)
{
    EBB_AUTO_FREE char *parent = ebb_strndup(path, (size_t)(strrchr(path, '/') - path));
    struct ebb_error cause = {0};
    if (ebb_mkdir_p(parent, 0755, &cause) == 0)
        return 0;
    errno = cause.sys_errno != 0 ? cause.sys_errno : EIO;
    return fail(err, "put", key);
}

static int check_condition(const char *path, const char *key, enum ebb_put_condition condition,
                           const char *etag, int64_t *ret_time_ns, struct ebb_error *err)
{
    struct stat st;
    struct ebb_object_info info = {0};
    bool there = stat(path, &st) == 0;
    if (!there && errno != ENOENT)
        return fail(err, "put", key);
    if (there && !S_ISREG(st.st_mode)) {
        errno = EISDIR;
        return fail(err, "put", key);
    }
    if (there) {
        fill_info(&st, &info);
        *ret_time_ns = info.modified_wall_ns;
    }
    if (condition == EBB_PUT_IF_ABSENT && there)
        return ebb_error_set(err, EBB_ERR_EXISTS, "put %s: it exists already", key);
    if (condition == EBB_PUT_IF_MATCH && (!there || strcmp(info.etag, etag) != 0))
        return ebb_error_set(err, EBB_ERR_PRECONDITION, "put %s: it is no longer the version %s",
                             key, etag);
    return 0;
}

static int set_time(const char *path, int64_t wall_ns)
{
    struct timespec t = {wall_ns / EBB_NS_PER_S, wall_ns % EBB_NS_PER_S};
    const struct timespec times[2] = {t, t};
    return utimensat(AT_FDCWD, path, times, 0);
}

/* With the key's lock held. */
static int publish(const char *temporary, const char *path, const char *key,
                   enum ebb_put_condition condition, const char *etag, struct ebb_object_info *ret,
                   struct ebb_error *err)
{
    int64_t old_time_ns = 0;
    struct stat st;
    int code = check_condition(path, key, condition, etag, &old_time_ns, err);
    if (code < 0)
        return code;
    int64_t time_ns = ebb_wall_ns(NULL);
    if (time_ns <= old_time_ns)
        time_ns = old_time_ns + 1;
    if (set_time(temporary, time_ns) != 0 || stat(temporary, &st) != 0)
        return fail(err, "put", key);
    fill_info(&st, ret);
    /* link() refuses an existing name also where locks do not reach, as on some shared mounts. */
    if (condition != EBB_PUT_IF_ABSENT && rename(temporary, path) != 0)
        return fail(err, "put", key);
    if (condition == EBB_PUT_IF_ABSENT && link(temporary, path) != 0) {
        if (errno == EEXIST)
            return ebb_error_set(err, EBB_ERR_EXISTS, "put %s: it exists already", key);
        return fail(err, "put", key);
    }
    return sync_parent(path, key, err);
}

static int put(struct ebb_object_store *s, const char *key, const void *data, size_t len,
               enum ebb_put_condition condition, const char *etag, char *ret_etag,
               struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = NULL;
    EBB_AUTO_FREE char *temporary = NULL;
    EBB_AUTO(close_fd) int lock = -1;
    struct directory_store *d = self(s);
    struct ebb_object_info info;
    atomic_fetch_add(&s->puts, 1);
    int code = path_of(d, key, &path, err);
    if (code == 0)
        code = make_parent(path, key, err);
    if (code == 0)
        code = write_temporary(d, key, data, len, &temporary, err);
    if (code < 0)
        return code;
    code = lock_key(d, key, &lock, err);
    if (code == 0)
        code = publish(temporary, path, key, condition, etag, &info, err);
    unlink(temporary);
    if (code < 0)
        return code;
    atomic_fetch_add(&s->bytes_up, len);
    if (ret_etag != NULL)
        memcpy(ret_etag, info.etag, EBB_ETAG_SIZE);
    return 0;
}

static int remove_object(struct ebb_object_store *s, const char *key, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = NULL;
    EBB_AUTO(close_fd) int lock = -1;
    atomic_fetch_add(&s->gets, 1);
    int code = path_of(self(s), key, &path, err);
    if (code == 0)
        code = lock_key(self(s), key, &lock, err);
    if (code < 0)
        return code;
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
        return fail(err, "delete", key);
    return 0;
}

/* ---- listing ---- */

struct listing {
    struct directory_store *store;
    const char *prefix;
    const char *folder; /* part of the prefix up to its last '/', "" or with that '/' */
    ebb_object_fn fn;
    void *ctx;
};

static int on_file(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct listing *l = ctx;
    struct ebb_object_info info;
    struct stat st;
    (void)err;
    EBB_AUTO_FREE char *key = ebb_sprintf("%s%s", l->folder, relative);
    if (!ebb_starts_with(key, l->prefix) || ebb_starts_with(key, ".ebb/") || stat(path, &st) != 0 ||
        !S_ISREG(st.st_mode))
        return 0;
    fill_info(&st, &info);
    return l->fn(l->ctx, key, &info);
}

static int list(struct ebb_object_store *s, const char *prefix, ebb_object_fn fn, void *ctx,
                struct ebb_error *err)
{
    const char *slash = strrchr(prefix, '/');
    EBB_AUTO_FREE char *folder =
        ebb_strndup(prefix, slash != NULL ? (size_t)(slash - prefix) + 1 : 0);
    struct directory_store *d = self(s);
    struct listing l = {d, prefix, folder, fn, ctx};
    atomic_fetch_add(&s->puts, 1);
    if (folder[0] != '\0' && !ebb_path_is_contained(folder))
        return ebb_error_set(err, EBB_ERR_INPUT, "list %s: not a prefix of a directory store",
                             prefix);
    EBB_AUTO_FREE char *path = ebb_path_join(d->root, folder);
    struct stat st;
    if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    return ebb_walk(path, on_file, &l, err);
}

static char *presign(struct ebb_object_store *s, const char *key, double valid_s,
                     struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = NULL;
    struct ebb_buffer url = {0};
    (void)valid_s;
    if (path_of(self(s), key, &path, err) < 0)
        return NULL;
    ebb_buffer_append_text(&url, "file://");
    ebb_percent_encode(&url, path, strlen(path), true);
    return ebb_buffer_take_text(&url);
}

/* ---- opening ---- */

static void remove_old_temporaries(const char *folder)
{
    DIR *dir = opendir(folder);
    int64_t limit_ns = ebb_wall_ns(NULL) - TEMPORARY_KEPT_S * EBB_NS_PER_S;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            time_of(&st) < limit_ns)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir != NULL)
        closedir(dir);
}

static int check_file_system(struct directory_store *d, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = NULL;
    struct stat st;
    const int64_t odd_ns = INT64_C(1700000000123456789);
    int code = write_temporary(d, "", "", 0, &path, err);
    if (code < 0)
        return code;
    bool kept = set_time(path, odd_ns) == 0 && stat(path, &st) == 0 && time_of(&st) == odd_ns;
    unlink(path);
    if (!kept)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "store %s: its file system does not keep times to the nanosecond, "
                             "which compare-and-swap needs; choose another directory",
                             d->root);
    return 0;
}

static int prepare(struct directory_store *d, struct ebb_error *err)
{
    EBB_AUTO_FREE char *temporaries = ebb_sprintf("%s/.ebb/tmp", d->root);
    EBB_AUTO_FREE char *locks = ebb_sprintf("%s/.ebb/locks", d->root);
    int code = ebb_mkdir_p(temporaries, 0755, err);
    if (code == 0)
        code = ebb_mkdir_p(locks, 0755, err);
    if (code < 0)
        return code;
    remove_old_temporaries(temporaries);
    return check_file_system(d, err);
}

int ebb_directory_store_open(const char *url, struct ebb_object_store **ret, struct ebb_error *err)
{
    static const struct ebb_object_store_methods methods = {
        destroy, get, head, put, remove_object, list, presign,
    };
    const char *path = url + strlen("file://");
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (path[0] != '/')
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "store %s: a directory is written file:///absolute/path", url);
    struct directory_store *d = ebb_alloc(sizeof(*d));
    d->base.methods = &methods;
    d->root = ebb_percent_decode(path, len, false, NULL);
    int code = d->root == NULL
                   ? ebb_error_set(err, EBB_ERR_INPUT, "store %s: bad percent escape", url)
                   : prepare(d, err);
    if (code < 0) {
        destroy(&d->base);
        return ebb_error_wrap(err, code, "store %s", url);
    }
    *ret = &d->base;
    return 0;
}
