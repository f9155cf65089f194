/* Deciding what of a file must be read.
 *
 * Unchanged by stat (device, inode, size, mtime, ctime): nothing. Grown since it was committed as
 * APPEND: the growth, once the last 64 KiB of the committed prefix prove to be as they were; after
 * a change of inode, or when this process has not seen the prefix itself, the whole prefix is
 * hashed again and compared with the manifest. Everything else: the whole file. A stamp taken
 * within a clock tick of the file's last change proves nothing (two writes in one tick leave the
 * same stamp), so such a file is read again. */
#include "checkpoint/file_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/packed_output.h"

/* The kernel's time stamps move in ticks of at most 10 ms. */
#define STAMP_TICK_NS (20 * EBB_NS_PER_MS)
/* Tail chunks below the size are rewritten as full ones when there are more of them than this. */
enum { SMALL_CHUNKS_MAX = 64 };
#define SMALL_CHUNK_BYTES (EBB_CHUNK_BYTES / 4)

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * EBB_NS_PER_S + t->tv_nsec;
}

struct ebb_file_stamp ebb_file_stamp(const struct stat *st)
{
    return (struct ebb_file_stamp){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size_bytes = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
    };
}

static bool same_stamp(const struct ebb_file_stamp *a, const struct ebb_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static void destroy_seen(void *value)
{
    struct ebb_seen_file *f = value;
    ebb_prefix_destroy(f->prefix);
    ebb_cutter_destroy(f->layout);
    free(f);
}

struct ebb_map *ebb_seen_new(void)
{
    return ebb_map_new(destroy_seen);
}

void ebb_seen_set(struct ebb_map *seen, const char *path, const struct ebb_file_stamp *stamp,
                  int64_t stat_wall_ns, size_t entry, struct ebb_prefix *prefix,
                  struct ebb_cutter *layout)
{
    struct ebb_seen_file *f = ebb_alloc(sizeof *f);
    f->stamp = *stamp;
    f->is_fresh = stamp->ctime_ns > stat_wall_ns - STAMP_TICK_NS;
    f->entry = entry;
    f->prefix = prefix;
    f->layout = layout;
    ebb_map_set(seen, path, f);
}

int ebb_read_at(int fd, const char *path, void *out, size_t len, uint64_t offset,
                struct ebb_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)out + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read %s", path);
        if (n == 0)
            return ebb_error_set(err, EBB_ERR_CONFLICT, "%s became shorter while it was read",
                                 path);
        done += (size_t)n;
    }
    return 0;
}

struct looking {
    int fd;
    const char *path;
};

static int read_looking(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct looking *k = ctx;
    return ebb_read_at(k->fd, k->path, out, len, offset, err);
}

struct ebb_cutter *ebb_cutter_of_file(int fd, const char *path, uint64_t size_bytes)
{
    struct looking k = {.fd = fd, .path = path};
    struct ebb_bytes bytes = {.read_at = read_looking, .ctx = &k, .size_bytes = size_bytes};
    return ebb_cutter_new(&bytes);
}

int ebb_source_open(const struct ebb_source *s, int *ret_fd, struct ebb_error *err)
{
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", s->path);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != s->stamp.device || st.st_ino != s->stamp.inode ||
        (uint64_t)st.st_size < s->length_bytes) {
        (void)close(fd);
        (void)ebb_error_set(err, EBB_ERR_CONFLICT, "%s was replaced during the commit", s->path);
        if (err != NULL)
            err->sys_errno = ESTALE;
        return EBB_ERR_CONFLICT;
    }
    *ret_fd = fd;
    return 0;
}

int ebb_source_check_unchanged(const struct ebb_source *s, int fd, struct ebb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot stat %s", s->path);
    bool may_grow =
        s->want->kind == EBB__FILE_ENTRY__KIND__APPEND ||
        (s->want->kind == EBB__FILE_ENTRY__KIND__STATE && s->want->length_bytes != UINT64_MAX);
    struct ebb_file_stamp now = ebb_file_stamp(&st);
    /* ctime also moves when a rename takes the name away: that is allowed. */
    bool same = now.size_bytes == s->stamp.size_bytes && now.mtime_ns == s->stamp.mtime_ns;
    if (may_grow ? now.size_bytes < s->length_bytes : !same)
        return ebb_error_set(err, EBB_ERR_CONFLICT,
                             "%s was changed in place while it was committed", s->path);
    return 0;
}

/* Feeds [offset, end) of the file to `prefix` or, when NULL, to `hash`. */
static int hash_range(int fd, const char *path, uint64_t offset, uint64_t end,
                      struct ebb_prefix *prefix, struct ebb_sha256 *hash, uint64_t *read_bytes,
                      struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *buffer = ebb_alloc(SMALL_CHUNK_BYTES);
    while (offset < end) {
        size_t len = end - offset < SMALL_CHUNK_BYTES ? (size_t)(end - offset) : SMALL_CHUNK_BYTES;
        int rc = ebb_read_at(fd, path, buffer, len, offset, err);
        if (rc < 0)
            return rc;
        if (prefix != NULL)
            ebb_prefix_update(prefix, buffer, len);
        else
            ebb_sha256_update(hash, buffer, len);
        offset += len;
        *read_bytes += len;
    }
    return 0;
}

/* The committed prefix, hashed: from memory when the inode is the one seen and its tail is as it
 * was, else from the file. 1: it is not what was committed. */
static int known_prefix(struct ebb_source *s, int fd, const struct ebb_seen_file *seen,
                        uint64_t *read_bytes, struct ebb_error *err)
{
    if (seen != NULL && seen->prefix != NULL && seen->prefix->bytes == s->base->size_bytes &&
        seen->stamp.inode == s->stamp.inode && seen->stamp.device == s->stamp.device) {
        size_t len = seen->prefix->tail_len;
        EBB_AUTO_FREE uint8_t *tail = ebb_alloc(len + 1);
        int rc = ebb_read_at(fd, s->path, tail, len, s->base->size_bytes - len, err);
        if (rc < 0)
            return rc;
        *read_bytes += len;
        if (len > 0 && memcmp(tail, seen->prefix->tail, len) != 0)
            return 1;
        s->prefix = ebb_prefix_copy(seen->prefix);
        return 0;
    }
    s->prefix = ebb_prefix_new();
    int rc = hash_range(fd, s->path, 0, s->base->size_bytes, s->prefix, NULL, read_bytes, err);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_prefix_digest(s->prefix, sha);
    return rc < 0 ? rc : memcmp(sha, s->base->sha256.data, sizeof sha) != 0;
}

/* Gives up the trailing small chunks when there are many: they are read and stored anew, after a
 * check against their own hashes. 1: they are not what was committed. */
static int compact_tail(struct ebb_source *s, int fd, uint64_t *read_bytes, struct ebb_error *err)
{
    size_t first = s->base->n_chunks;
    uint64_t offset = s->base->size_bytes;
    while (first > 0 && s->base->chunks[first - 1]->raw_bytes < SMALL_CHUNK_BYTES)
        offset -= s->base->chunks[--first]->raw_bytes;
    if (s->base->n_chunks - first <= SMALL_CHUNKS_MAX)
        return 0;
    EBB_AUTO(ebb_auto_sha256) struct ebb_sha256 *all = ebb_sha256_new();
    EBB_AUTO_FREE uint8_t *buffer = ebb_alloc(SMALL_CHUNK_BYTES);
    uint64_t at = offset;
    for (size_t i = first; i < s->base->n_chunks; i++) {
        const Ebb__Chunk *c = s->base->chunks[i];
        int rc = ebb_read_at(fd, s->path, buffer, (size_t)c->raw_bytes, at, err);
        if (rc < 0)
            return rc;
        uint8_t sha[EBB_SHA256_SIZE];
        ebb_sha256(buffer, (size_t)c->raw_bytes, sha);
        if (memcmp(sha, c->sha256.data, sizeof sha) != 0)
            return 1;
        ebb_sha256_update(all, buffer, (size_t)c->raw_bytes);
        at += c->raw_bytes;
        *read_bytes += c->raw_bytes;
    }
    ebb_sha256_final(all, s->overlap_sha256);
    s->keep_chunks = first;
    s->keep_bytes = offset;
    return 0;
}

static void read_it_all(struct ebb_source *s)
{
    ebb_prefix_destroy(s->prefix);
    s->prefix = ebb_prefix_new();
    s->base = NULL;
    s->keep_chunks = 0;
    s->keep_bytes = 0;
    s->hashed_bytes = 0;
    s->is_unchanged = false;
}

static int scan_growth(struct ebb_source *s, const struct ebb_seen_file *seen, uint64_t *read_bytes,
                       struct ebb_error *err)
{
    int fd = -1;
    int rc = ebb_source_open(s, &fd, err);
    if (rc < 0)
        return rc;
    s->keep_chunks = s->base->n_chunks;
    s->keep_bytes = s->base->size_bytes;
    s->hashed_bytes = s->base->size_bytes;
    rc = known_prefix(s, fd, seen, read_bytes, err);
    if (rc == 0 && s->length_bytes == s->base->size_bytes)
        s->is_unchanged = true;
    else if (rc == 0)
        rc = compact_tail(s, fd, read_bytes, err);
    (void)close(fd);
    if (rc == 1) {
        read_it_all(s);
        rc = 0;
    }
    return rc;
}

static int scan_link(struct ebb_source *s, struct ebb_error *err)
{
    char target[EBB_PATH_MAX_BYTES + 1];
    ssize_t n = readlink(s->path, target, sizeof target);
    if (n < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read the link %s", s->path);
    s->link_target = ebb_strndup(target, (size_t)n);
    if ((size_t)n == sizeof target || !ebb_link_is_contained(s->want->path, s->link_target))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: a symbolic link out of the work directory cannot be committed; "
                             "copy the file or leave it out",
                             s->path);
    return 0;
}

static int scan_regular(struct ebb_lineage *l, struct ebb_source *s, struct ebb_map *base_entries,
                        uint64_t *read_bytes, struct ebb_error *err)
{
    const struct ebb_commit_file *want = s->want;
    bool may_cut =
        want->kind == EBB__FILE_ENTRY__KIND__APPEND || want->kind == EBB__FILE_ENTRY__KIND__STATE;
    s->length_bytes = s->stamp.size_bytes;
    if (may_cut && want->length_bytes != UINT64_MAX)
        s->length_bytes = want->length_bytes;
    if (s->length_bytes > s->stamp.size_bytes)
        return ebb_error_set(err, EBB_ERR_CONFLICT,
                             "%s has %" PRIu64 " bytes, fewer than the %" PRIu64 " to commit",
                             s->path, s->stamp.size_bytes, s->length_bytes);
    s->base = base_entries != NULL ? ebb_map_get(base_entries, want->path) : NULL;
    if (s->base != NULL && (s->base->kind == EBB__FILE_ENTRY__KIND__SYMLINK ||
                            s->base->packed != NULL || want->packed != NULL))
        s->base = NULL;
    const struct ebb_seen_file *seen = l->seen != NULL ? ebb_map_get(l->seen, want->path) : NULL;
    if (s->base != NULL && seen != NULL && !seen->is_fresh && same_stamp(&seen->stamp, &s->stamp) &&
        s->base->size_bytes == s->length_bytes) {
        s->keep_chunks = s->base->n_chunks;
        s->keep_bytes = s->hashed_bytes = s->length_bytes;
        s->is_unchanged = true;
        s->prefix = seen->prefix != NULL ? ebb_prefix_copy(seen->prefix) : NULL;
        return 0;
    }
    if (s->base != NULL && s->base->kind == EBB__FILE_ENTRY__KIND__APPEND &&
        s->length_bytes >= s->base->size_bytes)
        return scan_growth(s, seen, read_bytes, err);
    read_it_all(s);
    return 0;
}

int ebb_source_scan(struct ebb_lineage *l, const char *directory,
                    const struct ebb_commit_file *want, struct ebb_map *base_entries,
                    struct ebb_source *ret, uint64_t *ret_read_bytes, struct ebb_error *err)
{
    int rc = ebb_manifest_check_path(want->path, err);
    if (rc < 0)
        return rc;
    ret->want = want;
    ret->path = want->packed != NULL ? ebb_strdup(want->packed->path)
                                     : ebb_path_join(directory, want->path);
    ret->stat_wall_ns = ebb_wall_ns(NULL);
    struct stat st;
    if (lstat(ret->path, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot commit %s", ret->path);
    ret->stamp = ebb_file_stamp(&st);
    ret->mode = st.st_mode & 07777;
    if (want->kind == EBB__FILE_ENTRY__KIND__SYMLINK)
        return scan_link(ret, err);
    if (!S_ISREG(st.st_mode))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is no regular file", ret->path);
    return scan_regular(l, ret, base_entries, ret_read_bytes, err);
}

void ebb_source_clean_up(struct ebb_source *s)
{
    ebb_prefix_destroy(s->prefix);
    free(s->path);
    free(s->link_target);
    memset(s, 0, sizeof *s);
}
