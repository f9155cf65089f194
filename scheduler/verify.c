/* `ebb verify`: the outputs of two finished bags, compared by the hashes in their final manifests.
 * Jobs are paired by name, files by path; what the bag or the profile calls nondeterministic is
 * left out. The manifests are read by worker threads; the outcome goes into the log. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/lineage.h"
#include "scheduler/client_requests.h"
#include "scheduler/core/sweep.h"

#define READERS 8

struct pair {
    uint64_t job, other;
    bool matched;
    Ebb__JobVerification *result;
    struct ebb_error err;
};

struct verify {
    struct ebb_daemon *daemon;
    struct ebb_client_link *client;
    struct ebb_bag *bag,
        *against; /* specs do not change, bags are never freed before the loop ends */
    struct pair *pairs;
    size_t count;
    struct ebb_object_store *store, *other_store;
    struct ebb_error err;
};

EBB_DEFINE_AUTO_PTR(auto_lineage, struct ebb_lineage, ebb_lineage_destroy)

static int read_manifest(struct ebb_object_store *store, const struct ebb_bag *b, uint64_t job,
                         Ebb__Manifest **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer root = {0};
    EBB_AUTO(auto_lineage) struct ebb_lineage *l = NULL;
    ebb_job_store_root(b->spec->id, b->spec, job, &root);
    int rc = ebb_lineage_open(store, ebb_buffer_text(&root), &l, err);
    return rc < 0 ? rc : ebb_lineage_manifest(l, false, ret, err);
}

static bool matches_any(char *const *patterns, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (ebb_glob_match(patterns[i], path))
            return true;
    }
    return false;
}

static bool is_compared(const struct ebb_group *g, const char *path)
{
    if (g->profile != NULL &&
        matches_any(g->profile->nondeterministic, g->profile->n_nondeterministic, path))
        return false;
    for (size_t i = 0; i < g->spec->n_outputs; i++) {
        const Ebb__Output *o = g->spec->outputs[i];
        if (ebb_glob_match(o->pattern, path))
            return !o->nondeterministic;
    }
    return false; /* not an output: state that the last checkpoint held */
}

static const Ebb__FileEntry *find_file(const Ebb__Manifest *m, const char *path)
{
    for (size_t i = 0; i < m->n_files; i++) {
        if (strcmp(m->files[i]->path, path) == 0)
            return m->files[i];
    }
    return NULL;
}

static void add_name(char ***list, size_t *count, const char *name)
{
    *list = ebb_realloc_array(*list, *count + 1, sizeof **list);
    (*list)[(*count)++] = ebb_strdup(name);
}

static void compare_manifests(const struct ebb_group *g, const Ebb__Manifest *a,
                              const Ebb__Manifest *b, Ebb__JobVerification *r)
{
    for (size_t i = 0; i < a->n_files; i++) {
        const Ebb__FileEntry *f = a->files[i];
        if (!is_compared(g, f->path))
            continue;
        const Ebb__FileEntry *other = find_file(b, f->path);
        if (other == NULL)
            add_name(&r->files_missing, &r->n_files_missing, f->path);
        else if (f->size_bytes == other->size_bytes && f->sha256.len == other->sha256.len &&
                 memcmp(f->sha256.data, other->sha256.data, f->sha256.len) == 0)
            r->files_equal++;
        else
            add_name(&r->files_different, &r->n_files_different, f->path);
    }
    for (size_t i = 0; i < b->n_files; i++) {
        const char *path = b->files[i]->path;
        if (is_compared(g, path) && find_file(a, path) == NULL)
            add_name(&r->files_missing, &r->n_files_missing, path);
    }
}

static void compare_pair(void *ctx, size_t i)
{
    struct verify *t = ctx;
    struct pair *p = &t->pairs[i];
    Ebb__Manifest *a = NULL, *b = NULL;
    p->result = ebb_alloc(sizeof *p->result);
    ebb__job_verification__init(p->result);
    p->result->job = p->job;
    if (!p->matched) {
        add_name(&p->result->files_missing, &p->result->n_files_missing, "(the whole job)");
        return;
    }
    if (read_manifest(t->store, t->bag, p->job, &a, &p->err) == 0 &&
        read_manifest(t->other_store, t->against, p->other, &b, &p->err) == 0)
        compare_manifests(ebb_bag_group_of(t->bag, p->job), a, b, p->result);
    if (a != NULL)
        ebb__manifest__free_unpacked(a, NULL);
    if (b != NULL)
        ebb__manifest__free_unpacked(b, NULL);
}

static void verify_work(void *ctx)
{
    struct verify *t = ctx;
    if (ebb_stores_get(t->daemon, t->bag->spec->store_url, &t->store, &t->err) < 0 ||
        ebb_stores_get(t->daemon, t->against->spec->store_url, &t->other_store, &t->err) < 0)
        return;
    ebb_parallel_for(READERS, t->count, compare_pair, t);
    for (size_t i = 0; i < t->count && t->err.code == 0; i++)
        ebb_error_copy(&t->err, &t->pairs[i].err);
}

static void publish(struct verify *t)
{
    struct ebb_daemon *d = t->daemon;
    struct ebb_error err = {0};
    Ebb__JobVerification **jobs EBB_AUTO_FREE = ebb_alloc_array(t->count + 1, sizeof *jobs);
    for (size_t i = 0; i < t->count; i++)
        jobs[i] = t->pairs[i].result;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__OutputsVerified m = EBB__OUTPUTS_VERIFIED__INIT;
    m.bag = t->bag->spec->id;
    m.against = t->against->spec->id;
    m.n_jobs = t->count;
    m.jobs = jobs;
    e.kind_case = EBB__EVENT__KIND_OUTPUTS_VERIFIED;
    e.outputs_verified = &m;
    if (ebb_turn_emit(d, &e, &err) < 0) {
        ebb_client_fail(d, t->client, &err);
        return;
    }
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    a.verified = &m;
    ebb_turn_answer(d, t->client, &a);
}

static void verify_done(void *ctx)
{
    struct verify *t = ctx;
    if (t->err.code != 0)
        ebb_client_fail(t->daemon, t->client, &t->err);
    else
        publish(t);
    ebb_client_unref(t->client);
    for (size_t i = 0; i < t->count; i++) {
        if (t->pairs[i].result != NULL)
            ebb__job_verification__free_unpacked(t->pairs[i].result, NULL);
    }
    free(t->pairs);
    free(t);
}

/* Done jobs of the bag, with the done job of the same name in the other. */
static void make_pairs(struct verify *t)
{
    const struct ebb_bag *b = t->bag;
    t->pairs = ebb_alloc_array(b->counts[EBB_JOB_DONE] + 1, sizeof *t->pairs);
    for (uint64_t j = 0; j < b->job_count; j++) {
        if (b->jobs[j].state != EBB_JOB_DONE)
            continue;
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
        struct pair *p = &t->pairs[t->count++];
        uint64_t index;
        const Ebb__JobGroup *g = ebb_bag_group(b->spec, j, &index);
        ebb_job_name(g, index, &name);
        p->job = j;
        p->matched = ebb_bag_find_job(t->against->spec, ebb_buffer_text(&name), &p->other) &&
                     t->against->jobs[p->other].state == EBB_JOB_DONE;
    }
}

void ebb_verify_start(struct ebb_daemon *d, struct ebb_client_link *c, struct ebb_bag *bag,
                      struct ebb_bag *against)
{
    struct verify *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->client = c;
    ebb_client_ref(c);
    t->bag = bag;
    t->against = against;
    make_pairs(t);
    ebb_workers_submit(d->workers, verify_work, verify_done, t);
}
