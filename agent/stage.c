/* Staging. A submitted file goes store -> cache (verified while it comes) -> work directory
 * (verified again while it is copied, so that a rotten cache is found), in pieces, so that memory
 * stays small whatever the file's size. The cache file gets its name only when its hash is right.
 */
#include "agent/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/workers.h"
#include "checkpoint/lineage.h"
#include "scheduler/core/sweep.h"

#define PIECE_BYTES        (8u << 20)
#define MAX_TEMPLATE_BYTES (16u << 20)
#define UPSTREAM_THREADS   4

EBB_DEFINE_AUTO_PTR(sha_auto, struct ebb_sha256, ebb_sha256_destroy)
EBB_DEFINE_AUTO_PTR(lineage_auto, struct ebb_lineage, ebb_lineage_destroy)

static void close_auto(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

char *ebb_stage_name(const Ebb__Input *input)
{
    const char *slash = strrchr(input->path, '/');
    const char *base = slash != NULL ? slash + 1 : input->path;
    size_t len = strlen(base);
    if (input->is_template && ebb_ends_with(base, ".in"))
        len -= 3;
    return ebb_strndup(base, len);
}

static bool is_upstream_input(const Ebb__Input *input)
{
    return input->from_group[0] != '\0';
}

bool ebb_stage_is_upstream(const struct ebb_task *t, const char *relative)
{
    for (size_t i = 0; i < t->group->n_inputs; i++) {
        const Ebb__Input *input = t->group->inputs[i];
        size_t len = strlen(input->from_group);
        if (is_upstream_input(input) && strncmp(relative, input->from_group, len) == 0 &&
            (relative[len] == '/' || relative[len] == '\0'))
            return true;
    }
    return false;
}

bool ebb_stage_is_input(const struct ebb_task *t, const char *relative)
{
    for (size_t i = 0; i < t->group->n_inputs; i++) {
        if (is_upstream_input(t->group->inputs[i]))
            continue;
        EBB_AUTO_FREE char *name = ebb_stage_name(t->group->inputs[i]);
        if (strcmp(name, relative) == 0)
            return true;
    }
    return false;
}

static int fetch_pieces(struct ebb_object_store *store, const char *key, const Ebb__Input *input,
                        int fd, struct ebb_error *err)
{
    EBB_AUTO(sha_auto) struct ebb_sha256 *sha = ebb_sha256_new();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer piece = {0};
    uint8_t hash[EBB_SHA256_SIZE];
    for (uint64_t at = 0; at < input->size_bytes;) {
        uint64_t left = input->size_bytes - at;
        uint64_t len = left < PIECE_BYTES ? left : PIECE_BYTES;
        ebb_buffer_reset(&piece);
        int r = ebb_object_get(store, key, at, len, PIECE_BYTES, &piece, NULL, err);
        if (r < 0)
            return r;
        if (piece.len != len)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "%zu bytes came instead of %llu", piece.len,
                                 (unsigned long long)len);
        ebb_sha256_update(sha, piece.data, piece.len);
        if ((r = ebb_write_all(fd, piece.data, piece.len, err)) < 0)
            return r;
        at += len;
    }
    ebb_sha256_final(sha, hash);
    if (memcmp(hash, input->sha256.data, sizeof hash) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the stored bytes do not have their hash");
    return 0;
}

static int fetch_to_cache(struct ebb_object_store *store, const Ebb__Input *input, const char *path,
                          struct ebb_error *err)
{
    char hex[EBB_SHA256_HEX_SIZE], nonce[17], key[96];
    snprintf(key, sizeof key, "inputs/%s", ebb_hex(input->sha256.data, EBB_SHA256_SIZE, hex));
    EBB_AUTO_FREE char *partial = ebb_sprintf("%s.%s", path, ebb_random_hex(nonce, 8));
    EBB_AUTO(close_auto) int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", partial);
    int r = fetch_pieces(store, key, input, fd, err);
    if (r == 0 && rename(partial, path) < 0)
        r = ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
    if (r < 0)
        unlink(partial);
    return r;
}

/* EBB_ERR_CORRUPT when the source is not what its name says. */
static int copy_verified(const char *from, const Ebb__Input *input, const char *to,
                         struct ebb_error *err)
{
    EBB_AUTO(close_auto) int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", from);
    EBB_AUTO(close_auto) int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", to);
    EBB_AUTO(sha_auto) struct ebb_sha256 *sha = ebb_sha256_new();
    EBB_AUTO_FREE uint8_t *piece = ebb_alloc(1u << 18);
    uint8_t hash[EBB_SHA256_SIZE];
    for (;;) {
        ssize_t n = read(in, piece, 1u << 18);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", from);
        if (n == 0)
            break;
        ebb_sha256_update(sha, piece, (size_t)n);
        int r = ebb_write_all(out, piece, (size_t)n, err);
        if (r < 0)
            return r;
    }
    ebb_sha256_final(sha, hash);
    if (memcmp(hash, input->sha256.data, sizeof hash) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s does not have its hash", from);
    unsigned mode = input->mode & 0777 ? input->mode & 0777 : 0644;
    if (fchmod(out, mode | 0200) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", to);
    return 0;
}

static int fill_template(const struct ebb_task *t, const char *path, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0}, filled = {0};
    struct stat st;
    int r = ebb_file_read(path, MAX_TEMPLATE_BYTES, &text, err);
    if (r < 0)
        return r;
    if (stat(path, &st) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", path);
    if (strlen(ebb_buffer_text(&text)) != text.len)
        return ebb_error_set(err, EBB_ERR_INPUT, "the template holds a zero byte");
    r = ebb_job_fill(t->group, t->index, ebb_buffer_text(&text), false, NULL, NULL, &filled, err);
    if (r < 0)
        return r;
    return ebb_file_write_atomic(path, filled.data, filled.len, st.st_mode & 0777, err);
}

static int stage_file(const struct ebb_task *t, struct ebb_object_store *store,
                      const Ebb__Input *input, struct ebb_error *err)
{
    EBB_AUTO_FREE char *name = ebb_stage_name(input);
    if (strchr(name, '/') != NULL || !ebb_path_is_contained(name))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no file name", name);
    if (input->sha256.len != EBB_SHA256_SIZE)
        return ebb_error_set(err, EBB_ERR_INPUT, "it came without its hash");
    char hex[EBB_SHA256_HEX_SIZE];
    EBB_AUTO_FREE char *cached =
        ebb_path_join(t->cache, ebb_hex(input->sha256.data, EBB_SHA256_SIZE, hex));
    EBB_AUTO_FREE char *to = ebb_path_join(t->work, name);
    int r = ebb_file_exists(cached) ? copy_verified(cached, input, to, err) : EBB_ERR_NOT_FOUND;
    if (r == EBB_ERR_CORRUPT || r == EBB_ERR_NOT_FOUND) {
        unlink(cached);
        unlink(to);
        r = fetch_to_cache(store, input, cached, err);
        if (r == 0)
            r = copy_verified(cached, input, to, err);
    }
    if (r == 0 && input->is_template)
        r = fill_template(t, to, err);
    return r;
}

int ebb_stage_files(const struct ebb_task *t, struct ebb_object_store *store, struct ebb_error *err)
{
    int r = ebb_mkdir_p(t->cache, 0700, err);
    if (r == 0)
        r = ebb_mkdir_p(t->work, 0755, err);
    for (size_t i = 0; r == 0 && i < t->group->n_inputs; i++) {
        const Ebb__Input *input = t->group->inputs[i];
        if (is_upstream_input(input))
            continue;
        r = stage_file(t, store, input, err);
        if (r < 0)
            return ebb_error_wrap(err, r, "input %s", input->path);
    }
    return r;
}

struct upstream {
    const struct ebb_task *task;
    struct ebb_object_store *store;
    const Ebb__Input *input;
    const Ebb__JobGroup *group;
    pthread_mutex_t lock; /* guards first */
    struct ebb_error first;
};

/* The files that all the job's inputs from `from` ask for, NULL-terminated; NULL: everything. */
static const char **patterns_of(const Ebb__JobGroup *group, const char *from)
{
    const char **patterns = NULL;
    size_t count = 0;
    for (size_t i = 0; i < group->n_inputs; i++) {
        const Ebb__Input *input = group->inputs[i];
        if (strcmp(input->from_group, from) != 0)
            continue;
        if (input->n_files == 0) {
            free(patterns);
            return NULL;
        }
        patterns = ebb_realloc_array(patterns, count + input->n_files + 1, sizeof *patterns);
        for (size_t k = 0; k < input->n_files; k++)
            patterns[count++] = input->files[k];
        patterns[count] = NULL;
    }
    return patterns;
}

/* An earlier input of the job names the same group: its files came with that one. */
static bool came_before(const Ebb__JobGroup *group, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(group->inputs[k]->from_group, group->inputs[i]->from_group) == 0)
            return true;
    return false;
}

static int restore_outputs(const struct upstream *u, size_t i, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0}, root = {0};
    ebb_job_name(u->group, i, &name);
    ebb_job_store_root(u->task->spec.id, &u->task->spec, u->group->first_job + i, &root);
    EBB_AUTO(lineage_auto) struct ebb_lineage *l = NULL;
    int r = ebb_lineage_open(u->store, ebb_buffer_text(&root), &l, err);
    if (r < 0)
        return r;
    const Ebb__Head *head = ebb_lineage_head(l);
    if (head == NULL || !head->final)
        return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "%s has no outputs yet",
                             ebb_buffer_text(&name));
    EBB_AUTO_FREE char *folder = ebb_path_join(u->task->work, u->input->from_group);
    EBB_AUTO_FREE char *directory = ebb_path_join(folder, ebb_buffer_text(&name));
    EBB_AUTO_FREE const char **patterns = patterns_of(u->task->group, u->input->from_group);
    struct ebb_restore_result result = {0};
    r = ebb_lineage_restore(l, directory, patterns, 1, &result, err);
    return r < 0 ? ebb_error_wrap(err, r, "outputs of %s", ebb_buffer_text(&name)) : 0;
}

static void restore_one(void *ctx, size_t i)
{
    struct upstream *u = ctx;
    struct ebb_error err = {0};
    if (atomic_load(&u->task->cancel))
        ebb_error_set(&err, EBB_ERR_CANCELLED, "asked to stop");
    else if (restore_outputs(u, i, &err) == 0)
        return;
    pthread_mutex_lock(&u->lock);
    if (u->first.code == 0)
        u->first = err;
    pthread_mutex_unlock(&u->lock);
}

static int stage_group(const struct ebb_task *t, struct ebb_object_store *store,
                       const Ebb__Input *input, struct ebb_error *err)
{
    const Ebb__JobGroup *group = NULL;
    for (size_t i = 0; i < t->spec.n_groups; i++)
        if (strcmp(t->spec.groups[i]->name, input->from_group) == 0)
            group = t->spec.groups[i];
    if (group == NULL || !ebb_path_is_contained(input->from_group))
        return ebb_error_set(err, EBB_ERR_INPUT, "no group '%s' in the bag", input->from_group);
    struct upstream u = {.task = t, .store = store, .input = input, .group = group};
    pthread_mutex_init(&u.lock, NULL);
    ebb_parallel_for(UPSTREAM_THREADS, group->job_count, restore_one, &u);
    pthread_mutex_destroy(&u.lock);
    if (u.first.code != 0)
        ebb_error_copy(err, &u.first);
    return u.first.code;
}

int ebb_stage_upstream(const struct ebb_task *t, struct ebb_object_store *store,
                       struct ebb_error *err)
{
    for (size_t i = 0; i < t->group->n_inputs; i++) {
        if (!is_upstream_input(t->group->inputs[i]) || came_before(t->group, i))
            continue;
        int r = stage_group(t, store, t->group->inputs[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}
