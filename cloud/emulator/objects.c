/* The index is an array sorted by key: lists are ranges, and most puts append near the end of their
 * folder. It is rebuilt from the files' first lines at start. */
#include "cloud/emulator/objects.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#define MAX_HEAD_BYTES (64u << 10)

struct ebb_bucket {
    struct ebb_objects *objects;
    char *name;
    char *path;
    int64_t created_wall_ns;
    struct ebb_stored **items;
    size_t count;
    size_t capacity;
};

struct ebb_objects {
    char *root;
    struct ebb_bucket **buckets;
    size_t bucket_count;
    uint64_t total_bytes;
    uint64_t temporary; /* counter for names of files being written */
};

static void stored_destroy(struct ebb_stored *s)
{
    if (s == NULL)
        return;
    free(s->key);
    free(s->content_type);
    free(s->metadata);
    free(s);
}

static void bucket_destroy(struct ebb_bucket *b)
{
    for (size_t i = 0; i < b->count; i++)
        stored_destroy(b->items[i]);
    free(b->items);
    free(b->name);
    free(b->path);
    free(b);
}

size_t ebb_bucket_lower_bound(const struct ebb_bucket *b, const char *key)
{
    size_t low = 0, high = b->count;

    if (high > 0 && strcmp(b->items[high - 1]->key, key) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(b->items[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct ebb_bucket *b, size_t i, const char *key)
{
    return i < b->count && strcmp(b->items[i]->key, key) == 0;
}

/* Takes s over. */
static void index_set(struct ebb_bucket *b, struct ebb_stored *s)
{
    size_t i = ebb_bucket_lower_bound(b, s->key);

    b->objects->total_bytes += s->size_bytes;
    if (is_at(b, i, s->key)) {
        b->objects->total_bytes -= b->items[i]->size_bytes;
        stored_destroy(b->items[i]);
        b->items[i] = s;
        return;
    }
    if (b->count == b->capacity) {
        b->capacity = b->capacity == 0 ? 64 : b->capacity * 2;
        b->items = ebb_realloc_array(b->items, b->capacity, sizeof(struct ebb_stored *));
    }
    memmove(b->items + i + 1, b->items + i, (b->count - i) * sizeof(struct ebb_stored *));
    b->items[i] = s;
    b->count++;
}

char *ebb_bucket_path(const struct ebb_bucket *b, const char *key)
{
    uint8_t digest[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE];

    ebb_sha256(key, strlen(key), digest);
    ebb_hex(digest, sizeof(digest), hex);
    return ebb_sprintf("%s/%.2s/%s", b->path, hex, hex);
}

/* ---- loading ---- */

static char *copy_string(const json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));

    return ebb_strdup(text != NULL ? text : "");
}

static struct ebb_stored *read_head(const char *path)
{
    EBB_AUTO_FREE char *line = NULL;
    size_t capacity = 0;
    FILE *f = fopen(path, "re");
    ssize_t len;
    json_t *head;
    struct ebb_stored *s = NULL;

    if (f == NULL)
        return NULL;
    len = getline(&line, &capacity, f);
    fclose(f);
    if (len <= 1 || len > (ssize_t)MAX_HEAD_BYTES || line[len - 1] != '\n')
        return NULL;
    head = json_loadb(line, (size_t)len - 1, 0, NULL);
    if (head != NULL && json_is_string(json_object_get(head, "key"))) {
        const char *etag = json_string_value(json_object_get(head, "etag"));
        const char *name = json_string_value(json_object_get(head, "checksum_name"));
        const char *checksum = json_string_value(json_object_get(head, "checksum"));

        s = ebb_alloc(sizeof(*s));
        s->key = copy_string(head, "key");
        s->content_type = copy_string(head, "content_type");
        s->metadata = copy_string(head, "metadata");
        s->size_bytes = (uint64_t)json_integer_value(json_object_get(head, "size"));
        s->modified_wall_ns = json_integer_value(json_object_get(head, "modified_wall_ns"));
        snprintf(s->etag, sizeof(s->etag), "%s", etag != NULL ? etag : "");
        snprintf(s->checksum_name, sizeof(s->checksum_name), "%s", name != NULL ? name : "");
        snprintf(s->checksum, sizeof(s->checksum), "%s", checksum != NULL ? checksum : "");
        s->body_offset = (uint64_t)len;
    }
    json_decref(head);
    return s;
}

static int load_object(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct ebb_objects *o = ctx;
    const char *slash = strchr(relative, '/');
    struct ebb_stored *s;
    struct ebb_bucket *b;
    struct stat st;

    (void)err;
    if (slash == NULL || strstr(slash, ".part") != NULL) {
        if (strstr(relative, ".part") != NULL)
            unlink(path); /* was being written when the emulator ended */
        return 0;
    }
    EBB_AUTO_FREE char *name = ebb_strndup(relative, (size_t)(slash - relative));
    b = ebb_objects_bucket(o, name);
    if (b == NULL || strcmp(slash, "/bucket.json") == 0)
        return 0;
    s = read_head(path);
    if (s == NULL || stat(path, &st) < 0 ||
        (uint64_t)st.st_size != s->body_offset + s->size_bytes) {
        ebb_log_warn("%s: not an object, or cut short; left alone", path);
        stored_destroy(s);
        return 0;
    }
    index_set(b, s);
    return 0;
}

static void add_bucket(struct ebb_objects *o, const char *name, int64_t created_wall_ns)
{
    struct ebb_bucket *b = ebb_alloc(sizeof(*b));
    size_t i = o->bucket_count;

    b->objects = o;
    b->name = ebb_strdup(name);
    b->path = ebb_path_join(o->root, name);
    b->created_wall_ns = created_wall_ns;
    o->buckets = ebb_realloc_array(o->buckets, o->bucket_count + 1, sizeof(struct ebb_bucket *));
    for (; i > 0 && strcmp(o->buckets[i - 1]->name, name) > 0; i--)
        o->buckets[i] = o->buckets[i - 1];
    o->buckets[i] = b;
    o->bucket_count++;
}

static int load_bucket(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct ebb_objects *o = ctx;
    const char *slash = strchr(relative, '/');
    struct stat st;

    (void)err;
    if (slash == NULL || strcmp(slash, "/bucket.json") != 0 || stat(path, &st) < 0)
        return 0;
    EBB_AUTO_FREE char *name = ebb_strndup(relative, (size_t)(slash - relative));
    add_bucket(o, name, (int64_t)st.st_mtim.tv_sec * EBB_NS_PER_S + st.st_mtim.tv_nsec);
    return 0;
}

int ebb_objects_open(const char *state_dir, struct ebb_objects **ret, struct ebb_error *err)
{
    struct ebb_objects *o = ebb_alloc(sizeof(*o));

    o->root = ebb_path_join(state_dir, "objects");
    int code = ebb_mkdir_p(o->root, 0700, err);
    if (code == 0)
        code = ebb_walk(o->root, load_bucket, o, err);
    if (code == 0)
        code = ebb_walk(o->root, load_object, o, err);
    if (code < 0) {
        ebb_objects_destroy(o);
        return ebb_error_wrap(err, code, "objects of the emulated S3");
    }
    *ret = o;
    return 0;
}

void ebb_objects_destroy(struct ebb_objects *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->bucket_count; i++)
        bucket_destroy(o->buckets[i]);
    free(o->buckets);
    free(o->root);
    free(o);
}

/* ---- buckets ---- */

uint64_t ebb_objects_total_bytes(const struct ebb_objects *o)
{
    return o->total_bytes;
}

struct ebb_bucket *ebb_objects_bucket(struct ebb_objects *o, const char *name)
{
    for (size_t i = 0; i < o->bucket_count; i++)
        if (strcmp(o->buckets[i]->name, name) == 0)
            return o->buckets[i];
    return NULL;
}

int ebb_objects_create_bucket(struct ebb_objects *o, const char *name, struct ebb_error *err)
{
    EBB_AUTO_FREE char *folder = ebb_path_join(o->root, name);
    EBB_AUTO_FREE char *mark = ebb_path_join(folder, "bucket.json");

    int code = ebb_mkdir_p(folder, 0700, err);
    if (code == 0)
        code = ebb_file_write_atomic(mark, "{}\n", 3, 0600, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "bucket %s", name);
    add_bucket(o, name, ebb_wall_ns(NULL));
    return 0;
}

int ebb_objects_delete_bucket(struct ebb_objects *o, const char *name, struct ebb_error *err)
{
    for (size_t i = 0; i < o->bucket_count; i++) {
        struct ebb_bucket *b = o->buckets[i];

        if (strcmp(b->name, name) != 0)
            continue;
        assert(b->count == 0);
        int code = ebb_remove_tree(b->path, err);
        if (code < 0)
            return ebb_error_wrap(err, code, "bucket %s", name);
        bucket_destroy(b);
        memmove(o->buckets + i, o->buckets + i + 1,
                (o->bucket_count - i - 1) * sizeof(struct ebb_bucket *));
        o->bucket_count--;
        return 0;
    }
    return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no bucket %s", name);
}

size_t ebb_objects_bucket_count(const struct ebb_objects *o)
{
    return o->bucket_count;
}

struct ebb_bucket *ebb_objects_bucket_at(const struct ebb_objects *o, size_t i)
{
    return o->buckets[i];
}

const char *ebb_bucket_name(const struct ebb_bucket *b)
{
    return b->name;
}

int64_t ebb_bucket_created_wall_ns(const struct ebb_bucket *b)
{
    return b->created_wall_ns;
}

/* ---- objects ---- */

size_t ebb_bucket_count(const struct ebb_bucket *b)
{
    return b->count;
}

const struct ebb_stored *ebb_bucket_at(const struct ebb_bucket *b, size_t i)
{
    return b->items[i];
}

const struct ebb_stored *ebb_bucket_find(const struct ebb_bucket *b, const char *key)
{
    size_t i = ebb_bucket_lower_bound(b, key);

    return is_at(b, i, key) ? b->items[i] : NULL;
}

static int write_file(struct ebb_bucket *b, const char *path, const char *head,
                      int (*write_body)(void *ctx, int fd, struct ebb_error *err), void *ctx,
                      struct ebb_error *err)
{
    EBB_AUTO_FREE char *temporary =
        ebb_sprintf("%s.%llu.part", path, (unsigned long long)++b->objects->temporary);
    EBB_AUTO_FREE char *folder = ebb_strndup(path, (size_t)(strrchr(path, '/') - path));
    int code = ebb_mkdir_p(folder, 0700, err);
    int fd;

    if (code < 0)
        return code;
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", temporary);
    code = ebb_write_all(fd, head, strlen(head), err);
    if (code == 0)
        code = write_body(ctx, fd, err);
    if (close(fd) < 0 && code == 0)
        code = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", temporary);
    if (code == 0 && rename(temporary, path) < 0)
        code = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", path);
    if (code < 0)
        unlink(temporary);
    return code;
}

int ebb_bucket_put(struct ebb_bucket *b, const struct ebb_stored *what,
                   int (*write_body)(void *ctx, int fd, struct ebb_error *err), void *ctx,
                   struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_bucket_path(b, what->key);
    json_t *head = json_pack("{s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:s}", "key", what->key, "size",
                             (json_int_t)what->size_bytes, "etag", what->etag, "modified_wall_ns",
                             (json_int_t)what->modified_wall_ns, "content_type", what->content_type,
                             "metadata", what->metadata, "checksum_name", what->checksum_name,
                             "checksum", what->checksum);
    EBB_AUTO_FREE char *text = head != NULL ? json_dumps(head, JSON_COMPACT) : NULL;
    EBB_AUTO_FREE char *line = text != NULL ? ebb_sprintf("%s\n", text) : NULL;
    struct ebb_stored *s;

    json_decref(head);
    if (line == NULL) /* jansson takes UTF-8 alone */
        return ebb_error_set(err, EBB_ERR_INPUT, "key or metadata is not UTF-8");
    int code = write_file(b, path, line, write_body, ctx, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "object");
    s = ebb_memdup(what, sizeof(*what));
    s->key = ebb_strdup(what->key);
    s->content_type = ebb_strdup(what->content_type);
    s->metadata = ebb_strdup(what->metadata);
    s->body_offset = strlen(line);
    index_set(b, s);
    return 0;
}

int ebb_bucket_remove(struct ebb_bucket *b, const char *key, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_bucket_path(b, key);
    size_t i = ebb_bucket_lower_bound(b, key);

    if (!is_at(b, i, key))
        return 0;
    if (unlink(path) < 0 && errno != ENOENT)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot remove %s", path);
    b->objects->total_bytes -= b->items[i]->size_bytes;
    stored_destroy(b->items[i]);
    memmove(b->items + i, b->items + i + 1, (b->count - i - 1) * sizeof(struct ebb_stored *));
    b->count--;
    return 0;
}
