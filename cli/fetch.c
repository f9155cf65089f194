/* `ebb fetch`: the outputs of a bag's done jobs, one folder a job.
 *
 * A job's outputs are the files of its final commit. What is already there, whole and equal by
 * hash, is not read again; the rest arrives in a folder beside (.part-<job>), verified, and is then
 * moved in file by file, so that an interrupted fetch leaves no half file and is simply run again.
 * The folder beside is locked while it is filled; what a killed fetch left of it goes with the
 * next. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/text.h"
#include "base/workers.h"
#include "checkpoint/lineage.h"
#include "cli/jobs_page.h"
#include "cli/json_out.h"
#include "cli/store_access.h"
#include "scheduler/core/sweep.h"

extern const struct ebb_command ebb_command_fetch;

#define THREADS 4

static const char *job_glob;
static bool as_json;

struct job {
    uint64_t index;
    char *name;
    struct ebb_error error;
    uint64_t files, bytes, fetched_files;
};

struct fetch {
    const struct ebb_bag_access *access;
    const char *folder;
    struct job *jobs;
    size_t count;
    size_t capacity;
};

static void fetch_clean_up(struct fetch *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->jobs[i].name);
    free(f->jobs);
}

static int add_job(void *ctx, const Ebb__JobStatus *j)
{
    struct fetch *f = ctx;
    if (job_glob != NULL && fnmatch(job_glob, j->name, 0) != 0)
        return 0;
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? 64 : f->capacity * 2;
        f->jobs = ebb_realloc_array(f->jobs, f->capacity, sizeof(*f->jobs));
    }
    f->jobs[f->count++] = (struct job){.index = j->job, .name = ebb_strdup(j->name)};
    return 0;
}

/* ---- one job ---- */

static bool is_equal_file(const char *path, const Ebb__FileEntry *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return false;
    if (e->kind == EBB__FILE_ENTRY__KIND__SYMLINK) {
        char target[4096];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
            return false;
        target[n] = '\0';
        return strcmp(target, e->link_target) == 0;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size_bytes)
        return false;
    uint8_t sha256[EBB_SHA256_SIZE];
    return ebb_sha256_file(path, sha256, NULL, NULL) == 0 && e->sha256.len == sizeof(sha256) &&
           memcmp(sha256, e->sha256.data, sizeof(sha256)) == 0;
}

static bool have_all(const char *folder, const Ebb__Manifest *m, struct job *j)
{
    bool all = true;
    for (size_t i = 0; i < m->n_files; i++) {
        EBB_AUTO_FREE char *path = ebb_path_join(folder, m->files[i]->path);
        j->files++;
        j->bytes += m->files[i]->size_bytes;
        all = all && is_equal_file(path, m->files[i]);
    }
    return all;
}

static int move_file(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    const char *folder = ctx;
    EBB_AUTO_FREE char *to = ebb_path_join(folder, relative);
    EBB_AUTO_FREE char *parent = ebb_strndup(to, (size_t)(strrchr(to, '/') - to));
    int rc = ebb_mkdir_p(parent, 0755, err);
    if (rc == 0 && rename(path, to) != 0)
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot write %s", to);
    return rc;
}

EBB_DEFINE_AUTO_PTR(lineage_auto, struct ebb_lineage, ebb_lineage_destroy)

static void free_manifest(Ebb__Manifest *m)
{
    ebb__manifest__free_unpacked(m, NULL);
}
EBB_DEFINE_AUTO_PTR(manifest_auto, Ebb__Manifest, free_manifest)

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* The folder beside, and the lock on it. */
static int open_beside(const char *beside, int *ret_fd, struct ebb_error *err)
{
    int rc = ebb_mkdir_p(beside, 0755, err);
    if (rc < 0)
        return rc;
    *ret_fd = open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", beside);
    if (flock(*ret_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return ebb_error_set(err, EBB_ERR_EXISTS, "another `ebb fetch` brings it just now");
    return 0;
}

static int bring_into(struct ebb_lineage *l, const char *files, const char *folder,
                      struct ebb_error *err)
{
    struct ebb_restore_result result;
    int rc = ebb_remove_tree(files, err);
    if (rc == 0)
        rc = ebb_lineage_restore(l, files, NULL, THREADS, &result, err);
    if (rc == 0 && result.fell_back)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the outputs are damaged in the store: %s",
                           result.note);
    if (rc == 0)
        rc = ebb_mkdir_p(folder, 0755, err);
    return rc == 0 ? ebb_walk(files, move_file, (void *)folder, err) : rc;
}

static int bring(struct ebb_lineage *l, const struct fetch *f, const struct job *j,
                 const char *folder, struct ebb_error *err)
{
    EBB_AUTO(close_fd) int lock = -1;
    EBB_AUTO_FREE char *beside = ebb_sprintf("%s/.part-%s", f->folder, j->name);
    EBB_AUTO_FREE char *files = ebb_path_join(beside, "files");
    int rc = open_beside(beside, &lock, err);
    if (rc < 0)
        return rc;
    rc = bring_into(l, files, folder, err);
    (void)ebb_remove_tree(beside, NULL);
    return rc;
}

static int fetch_one(const struct fetch *f, struct job *j, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer root = {0};
    ebb_job_store_root(f->access->bag, f->access->spec, j->index, &root);
    EBB_AUTO(lineage_auto) struct ebb_lineage *l = NULL;
    EBB_AUTO(manifest_auto) Ebb__Manifest *m = NULL;
    int rc = ebb_lineage_open(f->access->store, ebb_buffer_text(&root), &l, err);
    if (rc == 0)
        rc = ebb_lineage_manifest(l, false, &m, err);
    if (rc < 0)
        return rc;
    if (!m->final)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "its outputs are not in the store");
    EBB_AUTO_FREE char *folder = ebb_path_join(f->folder, j->name);
    if (have_all(folder, m, j))
        return 0;
    rc = bring(l, f, j, folder, err);
    if (rc == 0)
        j->fetched_files = j->files;
    return rc;
}

static void fetch_job(void *ctx, size_t i)
{
    struct fetch *f = ctx;
    struct job *j = &f->jobs[i];
    int rc = fetch_one(f, j, &j->error);
    if (rc < 0)
        (void)ebb_error_wrap(&j->error, rc, "%s", j->name);
}

/* ---- the whole ---- */

static int print_json(const struct fetch *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count; i++) {
        const struct job *j = &f->jobs[i];
        EBB_AUTO_FREE char *folder = ebb_path_join(f->folder, j->name);
        json_t *o = json_object();
        (void)json_object_set_new(o, "job", json_integer((json_int_t)j->index));
        (void)json_object_set_new(o, "name", json_string(j->name));
        (void)json_object_set_new(o, "folder", json_string(folder));
        (void)json_object_set_new(o, "files", json_integer((json_int_t)j->files));
        (void)json_object_set_new(o, "fetched_files", json_integer((json_int_t)j->fetched_files));
        (void)json_object_set_new(o, "bytes", json_integer((json_int_t)j->bytes));
        (void)json_object_set_new(o, "error",
                                  j->error.code < 0 ? json_string(j->error.text) : json_null());
        (void)json_array_append_new(list, o);
    }
    json_t *v = ebb_json_new("fetch");
    (void)json_object_set_new(v, "bag", json_string(f->access->bag));
    (void)json_object_set_new(v, "jobs", list);
    return ebb_json_print(v);
}

static int finish(const struct fetch *f, uint64_t left_out)
{
    const struct ebb_error *first = NULL;
    uint64_t files = 0, bytes = 0, fetched = 0;
    size_t done = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct job *j = &f->jobs[i];
        if (j->error.code < 0) {
            first = first == NULL ? &j->error : first;
            (void)fprintf(stderr, "error: %s\n", j->error.text);
            continue;
        }
        done++;
        files += j->files;
        bytes += j->bytes;
        fetched += j->fetched_files;
    }
    int status = first != NULL ? ebb_code_exit_status(first->code) : 0;
    if (as_json)
        return print_json(f) != 0 ? 1 : status;
    char text[EBB_QUANTITY_TEXT_SIZE];
    (void)printf("%zu jobs, %llu files (%llu fetched), %s in %s\n", done, (unsigned long long)files,
                 (unsigned long long)fetched, ebb_format_size(bytes, text), f->folder);
    if (left_out > 0)
        (void)fprintf(stderr, "%llu jobs are not done, their outputs are left out\n",
                      (unsigned long long)left_out);
    return status;
}

static int fetch_bag(struct fetch *f, uint64_t *ret_left_out, struct ebb_error *err)
{
    uint64_t done = 0, all = ebb_bag_job_count(f->access->spec);
    int rc = ebb_jobs_each(f->access->client, f->access->bag, "done", 0, add_job, f, &done, err);
    if (rc < 0)
        return rc;
    if (f->count == 0)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no job of %s%s%s is done", f->access->bag,
                             job_glob != NULL ? " that matches " : "",
                             job_glob != NULL ? job_glob : "");
    *ret_left_out = job_glob == NULL && done < all ? all - done : 0;
    rc = ebb_mkdir_p(f->folder, 0755, err);
    if (rc == 0)
        ebb_parallel_for(THREADS, f->count, fetch_job, f);
    return rc;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_bag_access_clean_up) struct ebb_bag_access a = {0};
    EBB_AUTO(fetch_clean_up) struct fetch f = {.access = &a};
    uint64_t left_out = 0;
    int rc = ebb_bag_access_open(argc > 0 ? argv[0] : "last", &a, &err);
    if (rc == 0) {
        f.folder = argc > 1 ? argv[1] : a.bag;
        rc = fetch_bag(&f, &left_out, &err);
    }
    return rc < 0 ? ebb_command_fail(&err) : finish(&f, left_out);
}

static const struct ebb_option options[] = {
    {.name = "job",
     .kind = EBB_OPTION_TEXT,
     .target = &job_glob,
     .value = "GLOB",
     .help = "Only jobs whose name matches, e.g. 'nvt,*seed=1'."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_fetch = {
    .name = "fetch",
    .arguments = "[BAG] [DIR]",
    .summary = "Download the outputs of a bag, one folder a job",
    .details = "Every byte is checked against its hash. What is there already is not fetched\n"
               "again. DIR is the bag's id when not given.",
    .options = options,
    .max_arguments = 2,
    .run = run,
};
