/* Which files belong to a commit. The rule is inclusive: what is not known to be useless is kept,
 * for a resume in an empty directory must find what the engine found. Equal content costs nothing
 * twice (the lineage deduplicates by hash). */
#include "agent/commit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pack_outputs.h"
#include "agent/stage.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#define RESERVE_NS (3 * EBB_NS_PER_S)

void ebb_commit_list_clean_up(struct ebb_commit_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((char *)l->files[i].path);
    free(l->files);
    *l = (struct ebb_commit_list){0};
}

static void list_add(struct ebb_commit_list *l, const char *path, Ebb__FileEntry__Kind kind)
{
    l->files = ebb_realloc_array(l->files, l->count + 1, sizeof *l->files);
    l->files[l->count++] = (struct ebb_commit_file){
        .path = ebb_strdup(path), .kind = kind, .length_bytes = UINT64_MAX};
}

static bool is_ignored(const Ebb__Profile *p, const char *relative)
{
    for (size_t i = 0; i < p->n_ignore; i++) {
        size_t len = strlen(p->ignore[i]);
        bool below = strncmp(relative, p->ignore[i], len) == 0 && relative[len] == '/';
        if (below || ebb_glob_match(p->ignore[i], relative))
            return true;
    }
    return false;
}

static bool grows(const Ebb__Profile *p, const char *relative)
{
    for (size_t i = 0; i < p->n_append; i++)
        if (ebb_glob_match(p->append[i]->glob, relative))
            return true;
    return false;
}

static bool in_state(const struct ebb_state_set *state, const char *relative)
{
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->files[i].path, relative) == 0)
            return true;
    return false;
}

struct listing {
    const struct ebb_task *task;
    const struct ebb_state_set *state;
    struct ebb_commit_list *list;
    bool *matched; /* one per output pattern */
};

static int add_to_checkpoint(void *ctx, const char *relative, const char *path,
                             struct ebb_error *err)
{
    (void)path;
    (void)err;
    struct listing *l = ctx;
    const Ebb__Profile *p = l->task->profile;
    if (in_state(l->state, relative))
        list_add(l->list, relative, EBB__FILE_ENTRY__KIND__STATE);
    else if (is_ignored(p, relative) || ebb_state_matches(p->state, relative) ||
             ebb_stage_is_upstream(l->task, relative))
        return 0;
    else if (grows(p, relative))
        list_add(l->list, relative, EBB__FILE_ENTRY__KIND__APPEND);
    else
        list_add(l->list, relative, EBB__FILE_ENTRY__KIND__STATIC);
    return 0;
}

/* State before what grows: an engine flushes its trajectory before it replaces its state file, so a
 * trajectory that is looked at later is never too short for the state. */
static int state_first(const void *a, const void *b)
{
    const struct ebb_commit_file *x = a, *y = b;
    bool x_is_state = x->kind == EBB__FILE_ENTRY__KIND__STATE;
    bool y_is_state = y->kind == EBB__FILE_ENTRY__KIND__STATE;
    if (x_is_state != y_is_state)
        return x_is_state ? -1 : 1;
    return strcmp(x->path, y->path);
}

int ebb_commit_list_checkpoint(const struct ebb_task *t, const struct ebb_state_set *state,
                               struct ebb_commit_list *ret, struct ebb_error *err)
{
    struct ebb_commit_list list = {0};
    struct listing l = {.task = t, .state = state, .list = &list};
    int r = ebb_walk(t->work, add_to_checkpoint, &l, err);
    if (r < 0) {
        ebb_commit_list_clean_up(&list);
        return r;
    }
    if (list.count > 1)
        qsort(list.files, list.count, sizeof *list.files, state_first);
    *ret = list;
    return 0;
}

static int add_to_outputs(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)path;
    (void)err;
    struct listing *l = ctx;
    const struct ebb_task *t = l->task;
    const Ebb__JobGroup *g = t->group;
    bool wanted = false;
    bool is_member = ebb_task_is_member(t);
    for (size_t i = 0; i < g->n_outputs; i++)
        if ((g->outputs[i]->each_rank || !is_member) &&
            ebb_glob_match(g->outputs[i]->pattern, relative))
            wanted = l->matched[i] = true;
    if (g->n_outputs == 0 && !is_member)
        wanted = !is_ignored(t->profile, relative) && !ebb_stage_is_input(t, relative) &&
                 !ebb_stage_is_upstream(t, relative) &&
                 !ebb_state_matches(t->profile->state, relative);
    if (wanted)
        list_add(l->list, relative, EBB__FILE_ENTRY__KIND__OUTPUT);
    return 0;
}

int ebb_commit_list_outputs(const struct ebb_task *t, struct ebb_commit_list *ret,
                            struct ebb_error *err)
{
    struct ebb_commit_list list = {0};
    EBB_AUTO_FREE bool *matched = ebb_alloc_array(t->group->n_outputs + 1, sizeof(bool));
    struct listing l = {.task = t, .list = &list, .matched = matched};
    int r = ebb_walk(t->work, add_to_outputs, &l, err);
    for (size_t i = 0; r == 0 && i < t->group->n_outputs; i++)
        if (!matched[i] && !t->group->outputs[i]->optional &&
            (t->group->outputs[i]->each_rank || !ebb_task_is_member(t)))
            r = ebb_error_set(err, EBB_ERR_NOT_FOUND, "output %s was not written",
                              t->group->outputs[i]->pattern);
    if (r < 0) {
        ebb_commit_list_clean_up(&list);
        return r;
    }
    *ret = list;
    return 0;
}

void ebb_commit_outputs_free(Ebb__OutputFile **outputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ebb__output_file__free_unpacked(outputs[i], NULL);
    free(outputs);
}

int ebb_commit_read_outputs(struct ebb_lineage *l, Ebb__OutputFile ***ret, size_t *ret_count,
                            struct ebb_error *err)
{
    Ebb__Manifest *m = NULL;
    int r = ebb_lineage_manifest(l, false, &m, err);
    if (r < 0)
        return r;
    Ebb__OutputFile **outputs = ebb_alloc_array(m->n_files + 1, sizeof(*outputs));
    for (size_t i = 0; i < m->n_files; i++) {
        const Ebb__FileEntry *f = m->files[i];
        outputs[i] = ebb_alloc(sizeof **outputs);
        ebb__output_file__init(outputs[i]);
        outputs[i]->path = ebb_strdup(f->path);
        outputs[i]->size_bytes = f->size_bytes;
        outputs[i]->source_bytes = f->packed != NULL ? f->packed->source_bytes : f->size_bytes;
        for (size_t k = 0; k < f->n_chunks; k++)
            outputs[i]->stored_bytes += f->chunks[k]->stored_bytes;
        if (f->sha256.len > 0) {
            outputs[i]->sha256.data = ebb_memdup(f->sha256.data, f->sha256.len);
            outputs[i]->sha256.len = f->sha256.len;
        }
    }
    *ret = outputs;
    *ret_count = m->n_files;
    ebb__manifest__free_unpacked(m, NULL);
    return 0;
}

static void put_portability(const struct ebb_commit_work *w, const char **out, char *cpus,
                            size_t size)
{
    const struct ebb_machine *m = &w->task->machine;
    const Ebb__Resources *r = w->task->group->resources;
    size_t n = 0;
    snprintf(cpus, size, "%g", r != NULL && r->cpus > 0 ? r->cpus : 1);
    const char *const pairs[] = {"engine_version", w->engine_version, "cpu_model", m->cpu_model,
                                 "gpu_model",      m->gpu_model,      "cpus",      cpus};
    for (size_t i = 0; i < EBB_ARRAY_LEN(pairs); i++)
        out[n++] = pairs[i];
    out[n] = NULL;
}

static int run(struct ebb_commit_work *w)
{
    EBB_AUTO(ebb_commit_list_clean_up) struct ebb_commit_list list = {0};
    int r = w->final ? ebb_commit_list_outputs(w->task, &list, &w->err)
                     : ebb_commit_list_checkpoint(w->task, &w->state, &list, &w->err);
    EBB_AUTO(ebb_packed_outputs_clean_up) struct ebb_packed_outputs packed = {0};
    if (r == 0 && w->final)
        r = ebb_outputs_pack(w->task, &list, w->deadline_ns, &packed, &w->err);
    if (r < 0)
        return r;
    const char *portability[9];
    char cpus[32];
    put_portability(w, portability, cpus, sizeof cpus);
    struct ebb_commit_request q = {
        .directory = w->task->work,
        .files = list.files,
        .file_count = list.count,
        .step = w->step,
        .total_steps = w->total_steps,
        .run_s = w->run_s,
        .attempt = w->task->attempt,
        .engine_version = w->engine_version,
        .portability = portability,
        .final = w->final,
        .deltas = w->task->profile->state != NULL && w->task->profile->state->deltas,
        .deadline_ns = w->deadline_ns > 0 ? w->deadline_ns - RESERVE_NS : 0,
        .parts = w->parts,
        .part_count = w->part_count,
    };
    if (w->part_of_epoch > 0)
        return ebb_lineage_put_part(w->lineage, w->part_of_epoch, &q, &w->part, &w->stats, &w->err);
    r = ebb_lineage_commit(w->lineage, &q, &w->stats, &w->err);
    if (r == 0 && w->final)
        r = ebb_commit_read_outputs(w->lineage, &w->outputs, &w->output_count, &w->err);
    return r;
}

void ebb_commit_work_run(struct ebb_commit_work *w)
{
    w->code = run(w);
}

void ebb_commit_work_clean_up(struct ebb_commit_work *w)
{
    ebb_state_set_clean_up(&w->state);
    ebb_commit_outputs_free(w->outputs, w->output_count);
    w->outputs = NULL;
    w->output_count = 0;
}
