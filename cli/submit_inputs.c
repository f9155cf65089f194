/* Hashing and uploading inputs. The key of a file is the hash of its bytes: a second submission of
 * the same files sends nothing, and a file that changes between the hash and the upload is noticed,
 * because it is hashed again as it goes out. */
#include "cli/submit_inputs.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/workers.h"
#include "base/yaml.h"
#include "cli/local_parts.h"

#define THREADS        4
#define MAX_FILE_BYTES (UINT64_C(5) << 30) /* one put */

struct file {
    char *path;
    uint8_t sha256[EBB_SHA256_SIZE];
    uint64_t size_bytes;
    uint32_t mode;
    struct ebb_error error; /* code 0: hashed */
};

struct files {
    struct file *list;
    size_t count;
    struct ebb_map *by_path; /* -> struct file, borrowed; each path once */
};

static void files_clean_up(struct files *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->list[i].path);
    free(f->list);
    ebb_map_destroy(f->by_path);
}

static bool is_own_file(const Ebb__Input *in)
{
    return in->from_group == NULL || in->from_group[0] == '\0';
}

/* Every file that the bag names, once each. */
static void collect(const struct ebb_bag_file *bag, struct files *ret)
{
    size_t capacity = 0;
    for (size_t g = 0; g < bag->spec->n_groups; g++)
        capacity += bag->spec->groups[g]->n_inputs;
    ret->list = ebb_alloc_array(capacity, sizeof(*ret->list));
    ret->by_path = ebb_map_new(NULL);
    for (size_t g = 0; g < bag->spec->n_groups; g++) {
        const Ebb__JobGroup *group = bag->spec->groups[g];
        for (size_t i = 0; i < group->n_inputs; i++) {
            const Ebb__Input *in = group->inputs[i];
            if (!is_own_file(in) || ebb_map_get(ret->by_path, in->path) != NULL)
                continue;
            struct file *f = &ret->list[ret->count++];
            f->path = ebb_path_join(bag->folder, in->path);
            ebb_map_set(ret->by_path, in->path, f);
        }
    }
}

/* ---- hashing ---- */

static void hash_file(void *ctx, size_t i)
{
    struct file *f = &((struct files *)ctx)->list[i];
    struct stat st;
    if (stat(f->path, &st) != 0)
        ebb_error_set_errno(&f->error, EBB_ERR_IO, errno, "cannot open %s", f->path);
    else if (!S_ISREG(st.st_mode))
        ebb_error_set(&f->error, EBB_ERR_INPUT, "%s is no file: name the files in it", f->path);
    else if ((uint64_t)st.st_size > MAX_FILE_BYTES)
        ebb_error_set(&f->error, EBB_ERR_INPUT, "%s is larger than 5 GiB", f->path);
    else if (ebb_sha256_file(f->path, f->sha256, &f->size_bytes, &f->error) == 0)
        f->mode = st.st_mode & 0777;
}

/* The node below jobs[g].inputs that names the path. */
static const struct ebb_yaml_node *find_input(const struct ebb_yaml_node *root, const char *path)
{
    const struct ebb_yaml_node *jobs = ebb_yaml_get(root, "jobs");
    for (size_t j = 0; jobs != NULL && j < ebb_yaml_count(jobs); j++) {
        const struct ebb_yaml_node *inputs = ebb_yaml_get(ebb_yaml_item(jobs, j), "inputs");
        for (size_t i = 0; inputs != NULL && i < ebb_yaml_count(inputs); i++) {
            const struct ebb_yaml_node *n = ebb_yaml_item(inputs, i);
            const struct ebb_yaml_node *named = n == NULL ? NULL : ebb_yaml_get(n, "path");
            n = named != NULL ? named : n;
            if (n != NULL && ebb_yaml_scalar(n) != NULL && strcmp(ebb_yaml_scalar(n), path) == 0)
                return n;
        }
    }
    return NULL;
}

static int report_faults(const struct ebb_bag_file *bag, const struct files *files,
                         struct ebb_buffer *faults, struct ebb_error *err)
{
    struct ebb_yaml *y = NULL;
    int rc = ebb_yaml_parse(bag->path, ebb_buffer_text(&bag->text), bag->text.len, &y, err);
    if (rc < 0)
        return rc;
    size_t cursor = 0;
    void *value;
    const char *path;
    while ((path = ebb_map_next(files->by_path, &cursor, &value)) != NULL) {
        const struct file *f = value;
        if (f->error.code != 0)
            ebb_yaml_fault(y, find_input(ebb_yaml_root(y), path), "input '%s': %s", path,
                           f->error.text);
    }
    rc = ebb_yaml_faults(y, faults, err);
    ebb_yaml_destroy(y);
    return rc;
}

static void fill_in(Ebb__BagSpec *spec, const struct files *files)
{
    for (size_t g = 0; g < spec->n_groups; g++) {
        for (size_t i = 0; i < spec->groups[g]->n_inputs; i++) {
            Ebb__Input *in = spec->groups[g]->inputs[i];
            const struct file *f = is_own_file(in) ? ebb_map_get(files->by_path, in->path) : NULL;
            if (f == NULL)
                continue;
            in->size_bytes = f->size_bytes;
            in->mode = f->mode;
            free(in->sha256.data);
            in->sha256.data = ebb_memdup(f->sha256, sizeof(f->sha256));
            in->sha256.len = sizeof(f->sha256);
        }
    }
}

int ebb_inputs_hash(struct ebb_bag_file *f, struct ebb_buffer *faults, struct ebb_error *err)
{
    EBB_AUTO(files_clean_up) struct files files = {0};
    collect(f, &files);
    ebb_parallel_for(THREADS, files.count, hash_file, &files);
    int rc = report_faults(f, &files, faults, err);
    if (rc == 0)
        fill_in(f->spec, &files);
    return rc;
}

/* ---- uploading ---- */

struct object {
    char *path;
    char *key;
    uint8_t sha256[EBB_SHA256_SIZE];
    uint64_t size_bytes;
};

struct upload {
    struct ebb_object_store *store;
    struct object *objects;
    size_t count;
    atomic_int failed;
    struct ebb_error error; /* of the first that failed */
    atomic_uint_fast64_t sent_files;
    atomic_uint_fast64_t sent_bytes;
};

static void upload_clean_up(struct upload *u)
{
    for (size_t i = 0; i < u->count; i++) {
        free(u->objects[i].path);
        free(u->objects[i].key);
    }
    free(u->objects);
}

static int send_object(struct upload *u, const struct object *o, struct ebb_error *err)
{
    struct ebb_object_info info;
    int rc = ebb_object_head(u->store, o->key, &info, err);
    if (rc == 0 && info.size_bytes == o->size_bytes)
        return 0;
    if (rc < 0 && rc != EBB_ERR_NOT_FOUND)
        return rc;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    rc = ebb_file_read(o->path, o->size_bytes, &b, err);
    if (rc < 0)
        return rc;
    uint8_t sha256[EBB_SHA256_SIZE];
    ebb_sha256(b.data, b.len, sha256);
    if (memcmp(sha256, o->sha256, sizeof(sha256)) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s changed while it was submitted", o->path);
    rc = ebb_object_put(u->store, o->key, ebb_buffer_text(&b), b.len, EBB_PUT_ALWAYS, NULL, NULL,
                        err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "upload of %s", o->path);
    atomic_fetch_add(&u->sent_files, 1);
    atomic_fetch_add(&u->sent_bytes, b.len);
    return 0;
}

static void upload_one(void *ctx, size_t i)
{
    struct upload *u = ctx;
    struct ebb_error err = {0};
    if (atomic_load(&u->failed) != 0 || send_object(u, &u->objects[i], &err) == 0)
        return;
    if (atomic_exchange(&u->failed, 1) == 0)
        ebb_error_copy(&u->error, &err);
}

static void add_object(struct upload *u, const char *path, const char *prefix,
                       const uint8_t *sha256, uint64_t size_bytes)
{
    char hex[EBB_SHA256_HEX_SIZE];
    struct object *o = &u->objects[u->count++];
    o->path = ebb_strdup(path);
    o->key = ebb_sprintf("%s%s", prefix, ebb_hex(sha256, EBB_SHA256_SIZE, hex));
    memcpy(o->sha256, sha256, EBB_SHA256_SIZE);
    o->size_bytes = size_bytes;
}

static void add_inputs(const struct ebb_bag_file *bag, struct upload *u)
{
    struct ebb_map *seen = ebb_map_new(NULL);
    for (size_t g = 0; g < bag->spec->n_groups; g++) {
        for (size_t i = 0; i < bag->spec->groups[g]->n_inputs; i++) {
            const Ebb__Input *in = bag->spec->groups[g]->inputs[i];
            if (!is_own_file(in) || in->sha256.len != EBB_SHA256_SIZE)
                continue;
            char hex[EBB_SHA256_HEX_SIZE];
            ebb_hex(in->sha256.data, in->sha256.len, hex);
            if (ebb_map_get(seen, hex) != NULL)
                continue;
            ebb_map_set(seen, hex, u);
            EBB_AUTO_FREE char *path = ebb_path_join(bag->folder, in->path);
            add_object(u, path, "inputs/", in->sha256.data, in->size_bytes);
        }
    }
    ebb_map_destroy(seen);
}

static int add_own_program(struct upload *u, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_local_own_program();
    struct file f = {.path = path};
    struct files one = {.list = &f, .count = 1};
    hash_file(&one, 0);
    if (f.error.code < 0) {
        ebb_error_copy(err, &f.error);
        return f.error.code;
    }
    add_object(u, path, "bin/ebb-", f.sha256, f.size_bytes);
    return 0;
}

int ebb_inputs_upload(const struct ebb_bag_file *f, struct ebb_object_store *store,
                      struct ebb_upload_totals *ret, struct ebb_error *err)
{
    size_t capacity = 1;
    for (size_t g = 0; g < f->spec->n_groups; g++)
        capacity += f->spec->groups[g]->n_inputs;
    EBB_AUTO(upload_clean_up)
    struct upload u = {.store = store, .objects = ebb_alloc_array(capacity, sizeof(struct object))};
    add_inputs(f, &u);
    int rc = add_own_program(&u, err);
    if (rc < 0)
        return rc;
    ebb_parallel_for(THREADS, u.count, upload_one, &u);
    if (atomic_load(&u.failed) != 0) {
        ebb_error_copy(err, &u.error);
        return u.error.code;
    }
    *ret = (struct ebb_upload_totals){.files = u.count,
                                      .sent_files = atomic_load(&u.sent_files),
                                      .sent_bytes = atomic_load(&u.sent_bytes)};
    for (size_t i = 0; i < u.count; i++)
        ret->bytes += u.objects[i].size_bytes;
    return 0;
}
