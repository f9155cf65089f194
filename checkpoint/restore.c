/* Bringing a generation back.
 *
 * Files grow under a temporary name inside the directory: chunks are written as they arrive, each
 * verified; then the whole file is hashed from what the disk gives back, and only then does it get
 * its name, mode and time. What fails leaves the directory as empty as it was. The directory held
 * nothing, no entry is below another and links come last, so no path can lead outside. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/workers.h"
#include "checkpoint/fetch.h"
#include "checkpoint/file_scan.h"
#include "checkpoint/packed_output.h"

enum { DEFAULT_THREADS = 4, HEAD_MOVES_MAX = 3 };

struct restored_file {
    const Ebb__FileEntry *entry;
    size_t number; /* in the manifest */
    struct ebb_prefix *prefix;
    struct ebb_cutter *layout;
    struct ebb_file_stamp stamp;
    int64_t stat_wall_ns;
};

struct restore {
    struct ebb_lineage *l;
    const char *directory;
    char *temporary; /* folder */
    unsigned threads;
    const Ebb__Manifest *m;
    struct restored_file *files;
    size_t file_count;
    pthread_mutex_t lock;
    struct ebb_error failure;
};

static bool is_wanted(const char *path, const char *const *patterns)
{
    for (size_t i = 0; patterns != NULL && patterns[i] != NULL; i++)
        if (ebb_glob_match(patterns[i], path))
            return true;
    return patterns == NULL;
}

static int make_empty_directory(const char *directory, struct ebb_error *err)
{
    int rc = ebb_mkdir_p(directory, 0777, err);
    if (rc < 0)
        return rc;
    DIR *d = opendir(directory);
    if (d == NULL)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot read %s", directory);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            break;
    bool is_empty = e == NULL;
    (void)closedir(d);
    if (!is_empty)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s is not empty: restore into a new or empty directory", directory);
    return 0;
}

static void empty_directory(const char *directory)
{
    DIR *d = opendir(directory);
    if (d == NULL)
        return;
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        EBB_AUTO_FREE char *path = ebb_path_join(directory, e->d_name);
        (void)ebb_remove_tree(path, NULL);
    }
    (void)closedir(d);
}

static int check_space(const struct restore *r, uint64_t bytes, struct ebb_error *err)
{
    struct statvfs fs;
    if (statvfs(r->directory, &fs) < 0)
        return 0;
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= bytes)
        return 0;
    char need[EBB_QUANTITY_TEXT_SIZE], have[EBB_QUANTITY_TEXT_SIZE];
    return ebb_error_set(err, EBB_ERR_NO_SPACE, "%s: the files need %s, the disk has %s left",
                         r->directory, ebb_format_size(bytes, need), ebb_format_size(room, have));
}

static char *temporary_path(const struct restore *r, size_t target)
{
    return ebb_sprintf("%s/%zu", r->temporary, target);
}

static int create_temporaries(struct restore *r, struct ebb_error *err)
{
    char hex[17];
    r->temporary = ebb_sprintf("%s/.ebb-restore-%s", r->directory, ebb_random_hex(hex, 8));
    int rc = ebb_mkdir_p(r->temporary, 0700, err);
    for (size_t i = 0; rc == 0 && i < r->file_count; i++) {
        if (r->files[i].entry->kind == EBB__FILE_ENTRY__KIND__SYMLINK)
            continue;
        EBB_AUTO_FREE char *path = temporary_path(r, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", path);
        (void)close(fd);
    }
    return rc;
}

static int write_chunk(void *ctx, const struct ebb_wanted_chunk *w, const uint8_t *raw,
                       struct ebb_error *err)
{
    const struct restore *r = ctx;
    EBB_AUTO_FREE char *path = temporary_path(r, w->target);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    int rc = 0;
    for (uint64_t done = 0; done < w->chunk->raw_bytes;) {
        ssize_t n = pwrite(fd, raw + done, (size_t)(w->chunk->raw_bytes - done),
                           (off_t)(w->file_offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot restore %s",
                                     r->files[w->target].entry->path);
            break;
        }
        done += (uint64_t)n;
    }
    if (close(fd) < 0 && rc == 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot restore %s",
                                 r->files[w->target].entry->path);
    return rc;
}

static int fetch_content(struct restore *r, struct ebb_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < r->file_count; i++)
        count += r->files[i].entry->n_chunks;
    EBB_AUTO_FREE struct ebb_wanted_chunk *wanted = ebb_alloc_array(count + 1, sizeof *wanted);
    count = 0;
    for (size_t i = 0; i < r->file_count; i++) {
        uint64_t offset = 0;
        for (size_t k = 0; k < r->files[i].entry->n_chunks; k++) {
            const Ebb__Chunk *c = r->files[i].entry->chunks[k];
            wanted[count++] =
                (struct ebb_wanted_chunk){.chunk = c, .target = i, .file_offset = offset};
            offset += c->raw_bytes;
        }
    }
    return ebb_fetch_chunks(r->l, r->m, wanted, count, r->threads, write_chunk, r, err);
}

/* Hashes the file as the disk gives it back. */
static int hash_file(int fd, const Ebb__FileEntry *f, struct ebb_prefix *prefix,
                     struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *buffer = ebb_alloc(EBB_CHUNK_BYTES / 4);
    for (uint64_t at = 0; at < f->size_bytes;) {
        size_t len = f->size_bytes - at < EBB_CHUNK_BYTES / 4 ? (size_t)(f->size_bytes - at)
                                                              : EBB_CHUNK_BYTES / 4;
        int rc = ebb_read_at(fd, f->path, buffer, len, at, err);
        if (rc < 0)
            return rc;
        ebb_prefix_update(prefix, buffer, len);
        at += len;
    }
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_prefix_digest(prefix, sha);
    if (memcmp(sha, f->sha256.data, sizeof sha) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: the whole file does not match its hash",
                             f->path);
    return 0;
}

static int make_parent(const struct restore *r, const char *path, struct ebb_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return 0;
    EBB_AUTO_FREE char *parent = ebb_sprintf("%s/%.*s", r->directory, (int)(slash - path), path);
    return ebb_mkdir_p(parent, 0777, err);
}

/* Content that is a packed file becomes what that holds. */
static int unpack(const Ebb__FileEntry *e, const char *temporary, struct ebb_error *err)
{
    EBB_AUTO_FREE char *whole = ebb_sprintf("%s.whole", temporary);
    int rc =
        e->packed == NULL ? 0 : ebb_output_unpack(temporary, e->packed->sha256.data, whole, err);
    if (rc == 0 && e->packed != NULL && rename(whole, temporary) < 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot restore %s", temporary);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", e->path) : 0;
}

/* For the deltas of the commits to come; small files are not worth the look. */
static struct ebb_cutter *layout_of(int fd, const char *path, const Ebb__FileEntry *e)
{
    if ((e->kind != EBB__FILE_ENTRY__KIND__STATE && e->kind != EBB__FILE_ENTRY__KIND__OUTPUT) ||
        e->size_bytes < EBB_CHUNK_BYTES)
        return NULL;
    EBB_AUTO(ebb_auto_cutter)
    struct ebb_cutter *c = ebb_cutter_of_file(fd, path, e->size_bytes);
    return ebb_cutter_has_names(c) ? EBB_TAKE(c) : NULL;
}

static int finish_regular(struct restore *r, size_t i, struct ebb_error *err)
{
    struct restored_file *f = &r->files[i];
    const Ebb__FileEntry *e = f->entry;
    EBB_AUTO_FREE char *from = temporary_path(r, i);
    EBB_AUTO_FREE char *to = ebb_path_join(r->directory, e->path);
    int rc = unpack(e, from, err);
    if (rc < 0)
        return rc;
    int fd = open(from, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", from);
    f->prefix = ebb_prefix_new();
    rc = hash_file(fd, e, f->prefix, err);
    if (rc == 0)
        rc = make_parent(r, e->path, err);
    int64_t second = e->mtime_ns / EBB_NS_PER_S, rest = e->mtime_ns % EBB_NS_PER_S;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = second - (rest < 0), .tv_nsec = rest + (rest < 0 ? EBB_NS_PER_S : 0)}};
    if (rc == 0 &&
        (fchmod(fd, e->mode & 0777) < 0 || futimens(fd, times) < 0 || rename(from, to) < 0))
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot restore %s", to);
    struct stat st;
    f->stat_wall_ns = ebb_wall_ns(NULL);
    if (rc == 0 && fstat(fd, &st) < 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot stat %s", to);
    if (rc == 0)
        f->layout = layout_of(fd, to, e);
    (void)close(fd);
    if (rc == 0)
        f->stamp = ebb_file_stamp(&st);
    if (e->kind != EBB__FILE_ENTRY__KIND__APPEND) {
        ebb_prefix_destroy(f->prefix);
        f->prefix = NULL;
    }
    return rc;
}

static void finish_file(void *ctx, size_t i)
{
    struct restore *r = ctx;
    struct ebb_error err = {0};
    if (r->files[i].entry->kind == EBB__FILE_ENTRY__KIND__SYMLINK ||
        finish_regular(r, i, &err) == 0)
        return;
    pthread_mutex_lock(&r->lock);
    if (r->failure.code == 0)
        r->failure = err;
    pthread_mutex_unlock(&r->lock);
}

static int make_links(struct restore *r, struct ebb_error *err)
{
    for (size_t i = 0; i < r->file_count; i++) {
        const Ebb__FileEntry *e = r->files[i].entry;
        if (e->kind != EBB__FILE_ENTRY__KIND__SYMLINK)
            continue;
        int rc = make_parent(r, e->path, err);
        if (rc < 0)
            return rc;
        EBB_AUTO_FREE char *to = ebb_path_join(r->directory, e->path);
        if (symlink(e->link_target, to) < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot make the link %s", to);
    }
    return 0;
}

static int run(struct restore *r, uint64_t bytes, struct ebb_error *err)
{
    int rc = check_space(r, bytes, err);
    if (rc == 0)
        rc = create_temporaries(r, err);
    if (rc == 0)
        rc = fetch_content(r, err);
    if (rc < 0)
        return rc;
    ebb_parallel_for(r->threads, r->file_count, finish_file, r);
    if (r->failure.code < 0) {
        if (err != NULL)
            ebb_error_copy(err, &r->failure);
        return r->failure.code;
    }
    rc = make_links(r, err);
    if (rc == 0 && rmdir(r->temporary) < 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot remove %s", r->temporary);
    return rc;
}

static struct ebb_map *what_is_on_disk(struct restore *r)
{
    struct ebb_map *seen = ebb_seen_new();
    for (size_t i = 0; i < r->file_count; i++) {
        struct restored_file *f = &r->files[i];
        if (f->entry->kind != EBB__FILE_ENTRY__KIND__SYMLINK)
            ebb_seen_set(seen, f->entry->path, &f->stamp, f->stat_wall_ns, f->number,
                         EBB_TAKE(f->prefix), EBB_TAKE(f->layout));
    }
    return seen;
}

/* ret_seen is set when the directory now holds the whole manifest. */
static int restore_manifest(struct ebb_lineage *l, const Ebb__Manifest *m, const char *directory,
                            const char *const *patterns, unsigned threads,
                            struct ebb_restore_result *ret, struct ebb_map **ret_seen,
                            struct ebb_error *err)
{
    struct restore r = {.l = l, .m = m, .directory = directory};
    r.threads = threads != 0 ? threads : DEFAULT_THREADS;
    pthread_mutex_init(&r.lock, NULL);
    r.files = ebb_alloc_array(m->n_files + 1, sizeof *r.files);
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->n_files; i++)
        if (is_wanted(m->files[i]->path, patterns)) {
            r.files[r.file_count++] = (struct restored_file){.entry = m->files[i], .number = i};
            bytes += m->files[i]->size_bytes;
            bytes += m->files[i]->packed != NULL ? m->files[i]->packed->size_bytes : 0;
        }
    int rc = run(&r, bytes, err);
    if (rc == 0) {
        ret->sequence = m->sequence;
        ret->step = m->step;
        ret->run_s = m->run_s;
        ret->bytes = bytes;
        *ret_seen = patterns == NULL ? what_is_on_disk(&r) : NULL;
    } else {
        empty_directory(directory);
    }
    for (size_t i = 0; i < r.file_count; i++) {
        ebb_prefix_destroy(r.files[i].prefix);
        ebb_cutter_destroy(r.files[i].layout);
    }
    free(r.files);
    free(r.temporary);
    pthread_mutex_destroy(&r.lock);
    return rc;
}

static int restore_generation(struct ebb_lineage *l, const struct ebb_generation *g,
                              const char *directory, const char *const *patterns, unsigned threads,
                              struct ebb_restore_result *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL;
    int rc = ebb_lineage_load_manifest(l, g, &m, err);
    struct ebb_map *seen = NULL;
    if (rc == 0 && l->has_rank)
        ebb_manifest_keep_rank(m, l->rank);
    if (rc == 0)
        rc = restore_manifest(l, m, directory, patterns, threads, ret, &seen, err);
    if (rc == 0 && seen != NULL)
        ebb_lineage_set_base(l, EBB_TAKE(m), g, seen);
    return rc;
}

/* A later version's manifest is no damage: going back in time for it would be wrong. */
static bool is_damage(int rc)
{
    return rc == EBB_ERR_CORRUPT || rc == EBB_ERR_NOT_FOUND;
}

/* A generation that another owner replaced and collected while it was read is not damage. */
static bool head_has_moved(struct ebb_lineage *l, const struct ebb_generation *g)
{
    if (l->is_owner || ebb_lineage_read_head(l, NULL) < 0)
        return false;
    struct ebb_generation now = ebb_head_generation(l->head, false);
    return now.sequence != 0 && memcmp(now.sha256, g->sha256, sizeof now.sha256) != 0;
}

static int fall_back(struct ebb_lineage *l, const char *directory, const char *const *patterns,
                     unsigned threads, const struct ebb_error *why, struct ebb_restore_result *ret,
                     struct ebb_error *err)
{
    struct ebb_generation g = ebb_head_generation(l->head, true);
    if (g.sequence == 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: the only checkpoint is damaged (%.300s)",
                             l->root, why->text);
    struct ebb_error second = {0};
    int rc = restore_generation(l, &g, directory, patterns, threads, ret, &second);
    if (rc == 0) {
        ret->fell_back = true;
        (void)snprintf(ret->note, sizeof ret->note, "checkpoint %" PRIu64 ": %.150s",
                       l->head->sequence, why->text);
        return 0;
    }
    if (is_damage(rc))
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "%s: both checkpoints are damaged (%.180s; %.180s)", l->root,
                             why->text, second.text);
    if (err != NULL)
        ebb_error_copy(err, &second);
    return rc;
}

int ebb_lineage_restore(struct ebb_lineage *l, const char *directory, const char *const *patterns,
                        unsigned threads, struct ebb_restore_result *ret, struct ebb_error *err)
{
    struct ebb_restore_result result = {0};
    int rc = make_empty_directory(directory, err);
    if (rc < 0)
        return rc;
    for (unsigned moves = 0;; moves++) {
        struct ebb_generation g = ebb_head_generation(l->head, false);
        if (g.sequence == 0)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s: no checkpoint", l->root);
        struct ebb_error why = {0};
        rc = restore_generation(l, &g, directory, patterns, threads, &result, &why);
        if (is_damage(rc) && moves < HEAD_MOVES_MAX && head_has_moved(l, &g))
            continue;
        if (is_damage(rc))
            rc = fall_back(l, directory, patterns, threads, &why, &result, err);
        else if (rc < 0 && err != NULL)
            ebb_error_copy(err, &why);
        break;
    }
    if (rc == 0) {
        ebb_error_clear(err);
        if (ret != NULL)
            *ret = result;
    }
    return rc;
}

int ebb_lineage_restore_exactly(struct ebb_lineage *l, const struct ebb_generation *g,
                                const char *directory, unsigned threads,
                                struct ebb_restore_result *ret, struct ebb_error *err)
{
    struct ebb_restore_result result = {0};
    int rc = make_empty_directory(directory, err);
    if (rc == 0)
        rc = restore_generation(l, g, directory, NULL, threads, &result, err);
    if (rc == 0 && ret != NULL)
        *ret = result;
    return rc;
}
