/* Claim, then read: once the claim is in the store no earlier attempt can commit, so what is
 * restored here is the job's last word. A resume never turns into a start from zero by itself:
 * a checkpoint that should be there and is not, or that holds no valid state file, is an error. */
#include "agent/prepare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/append.h"
#include "agent/commit.h"
#include "agent/engine.h"
#include "agent/stage.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#define RESTORE_THREADS 4

static void note(struct ebb_prepare *p, const char *fmt, ...) EBB_PRINTF(2, 3);
static void note(struct ebb_prepare *p, const char *fmt, ...)
{
    size_t len = strlen(p->note);
    if (len > 0 && len + 3 < sizeof p->note)
        len += (size_t)snprintf(p->note + len, sizeof p->note - len, "; ");
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->note + len, sizeof p->note - len, fmt, args);
    va_end(args);
}

static int open_and_claim(struct ebb_prepare *p)
{
    const struct ebb_task *t = p->task;
    struct ebb_object_store_options options = {.cancel = &t->cancel};
    int r = ebb_object_store_open(t->bag->message->store_url, &options, &p->store, &p->err);
    if (r == 0)
        r = ebb_lineage_open(p->store, t->store_root, &p->lineage, &p->err);
    if (r < 0)
        return ebb_error_wrap(&p->err, r, "store");
    if (t->gang_size > 1)
        ebb_lineage_set_rank(p->lineage, t->rank);
    EBB_AUTO_FREE char *owner = ebb_sprintf("%s attempt %u", t->vm, t->attempt);
    p->claimed_ns = ebb_now_ns(NULL);
    r = ebb_lineage_claim(p->lineage, owner, t->attempt, &p->err);
    if (r == EBB_ERR_EXISTS) {
        p->already_done = true;
        r = ebb_commit_read_outputs(p->lineage, &p->outputs, &p->output_count, &p->err);
        const Ebb__Head *head = ebb_lineage_head(p->lineage);
        p->resumed_sequence = head != NULL ? head->sequence : 0;
    }
    return r < 0 ? ebb_error_wrap(&p->err, r, "claim") : 0;
}

/* Ranks above 0: the head is rank 0's. Another round of the same attempt brings all files anew. */
static int open_and_join(struct ebb_prepare *p)
{
    const struct ebb_task *t = p->task;
    struct ebb_object_store_options options = {.cancel = &t->cancel};
    p->resumed = false;
    p->resumed_step = -1;
    p->note[0] = '\0';
    int r = ebb_remove_tree(t->work, &p->err);
    if (r == 0 && p->store == NULL)
        r = ebb_object_store_open(t->bag->message->store_url, &options, &p->store, &p->err);
    if (r == 0 && p->lineage == NULL)
        r = ebb_lineage_open(p->store, t->store_root, &p->lineage, &p->err);
    p->claimed_ns = ebb_now_ns(NULL);
    if (r == 0) {
        ebb_lineage_set_rank(p->lineage, t->rank);
        r = ebb_lineage_check_epoch(p->lineage, p->epoch, &p->err);
    }
    return r < 0 ? ebb_error_wrap(&p->err, r, "store") : 0;
}

/* Rank 0, which has claimed and restored: again, from another checkpoint. */
static int go_back(struct ebb_prepare *p)
{
    p->resumed = false;
    p->resumed_step = -1;
    p->note[0] = '\0';
    note(p, "%s, resumed from %llu", p->why, (unsigned long long)p->wanted.sequence);
    return ebb_remove_tree(p->task->work, &p->err);
}

static const char *value_here(const struct ebb_prepare *p, const char *name, char *cpus,
                              size_t size)
{
    const struct ebb_machine *m = &p->task->machine;
    const Ebb__Resources *r = p->task->group->resources;
    if (strcmp(name, "engine_version") == 0)
        return p->engine_version;
    if (strcmp(name, "cpu_model") == 0)
        return m->cpu_model;
    if (strcmp(name, "gpu_model") == 0)
        return m->gpu_model;
    if (strcmp(name, "cpus") == 0) {
        snprintf(cpus, size, "%g", r != NULL && r->cpus > 0 ? r->cpus : 1);
        return cpus;
    }
    return NULL;
}

/* Says where this VM differs from the one that wrote the checkpoint. */
static void compare_portability(struct ebb_prepare *p)
{
    Ebb__Manifest *m = NULL;
    char cpus[32];
    if (ebb_lineage_manifest(p->lineage, false, &m, NULL) < 0)
        return;
    const Ebb__Profile *profile = p->task->profile;
    for (size_t i = 0; i < profile->n_must_match; i++)
        for (size_t k = 0; k < m->n_portability; k++) {
            const char *name = profile->must_match[i], *there = m->portability[k]->value;
            const char *here = value_here(p, name, cpus, sizeof cpus);
            if (strcmp(name, m->portability[k]->key) == 0 && here != NULL &&
                strcmp(here, there) != 0)
                note(p, "%s was '%s', is '%s': continuity is statistical here", name, there, here);
        }
    ebb__manifest__free_unpacked(m, NULL);
}

static int check_restored_state(struct ebb_prepare *p)
{
    const Ebb__Profile *profile = p->task->profile;
    if (profile->state == NULL || profile->state->n_files == 0)
        return 0;
    int r = ebb_state_scan(p->task->work, profile->state, &p->state, &p->err);
    if (r < 0)
        return r;
    ebb_state_keep_newest(&p->state);
    if (p->state.count == 0)
        return ebb_error_set(&p->err, EBB_ERR_CORRUPT,
                             "checkpoint %llu holds no valid state file (%s): the job is not "
                             "started from zero by itself",
                             (unsigned long long)p->resumed_sequence, profile->state->files[0]);
    if (ebb_state_step(&p->state) >= 0)
        p->resumed_step = ebb_state_step(&p->state);
    return 0;
}

static int restore(struct ebb_prepare *p)
{
    const struct ebb_task *t = p->task;
    struct ebb_restore_result result = {0};
    atomic_store(&p->restoring, true);
    int r = p->wanted.sequence > 0
                ? ebb_lineage_restore_exactly(p->lineage, &p->wanted, t->work, RESTORE_THREADS,
                                              &result, &p->err)
                : ebb_lineage_restore(p->lineage, t->work, NULL, RESTORE_THREADS, &result, &p->err);
    if (r < 0)
        return ebb_error_wrap(&p->err, r, "restore");
    p->resumed = true;
    p->resumed_step = result.step;
    p->resumed_sequence = result.sequence;
    p->earlier_run_s = result.run_s;
    if (result.fell_back)
        note(p, "the newest checkpoint is damaged (%s), resumed from %llu", result.note,
             (unsigned long long)result.sequence);
    if ((r = check_restored_state(p)) < 0)
        return r;
    return ebb_append_cut_all(t->work, t->profile->append, t->profile->n_append, p->resumed_step,
                              &p->err);
}

static int bring_files(struct ebb_prepare *p)
{
    const struct ebb_task *t = p->task;
    const Ebb__Head *head = ebb_lineage_head(p->lineage);
    bool has_checkpoint =
        p->wanted.sequence > 0 || (!ebb_task_is_member(t) && head != NULL && head->sequence > 0);
    int64_t begin_ns = ebb_now_ns(NULL);
    int r;
    if (has_checkpoint && t->profile->checkpoints) {
        r = restore(p);
        p->restore_s = (double)(ebb_now_ns(NULL) - begin_ns) / 1e9;
        if (r < 0)
            return r;
        begin_ns = ebb_now_ns(NULL);
    } else if (t->resume && t->profile->checkpoints && !ebb_task_is_member(t)) {
        return ebb_error_set(&p->err, EBB_ERR_CORRUPT,
                             "a checkpoint is known to exist but the store has none below %s: the "
                             "job is not started from zero by itself",
                             t->store_root);
    } else if ((r = ebb_stage_files(t, p->store, &p->err)) < 0) {
        return r;
    }
    r = ebb_stage_upstream(t, p->store, &p->err);
    p->staging_s += (double)(ebb_now_ns(NULL) - begin_ns) / 1e9;
    return r;
}

static int run(struct ebb_prepare *p)
{
    int64_t begin_ns = ebb_now_ns(NULL);
    int r = ebb_task_is_member(p->task) ? open_and_join(p)
            : p->wanted.sequence > 0    ? go_back(p)
                                        : open_and_claim(p);
    p->staging_s = (double)(ebb_now_ns(NULL) - begin_ns) / 1e9;
    if (r < 0 || p->already_done)
        return r;
    if ((r = bring_files(p)) < 0)
        return r;
    begin_ns = ebb_now_ns(NULL);
    if (!ebb_task_is_member(p->task)) /* rank 0's stands for all: the VMs are of one type */
        ebb_engine_version(p->task, p->task->directory, p->engine_version,
                           sizeof p->engine_version);
    if (p->resumed && !ebb_task_is_member(p->task))
        compare_portability(p);
    p->staging_s += (double)(ebb_now_ns(NULL) - begin_ns) / 1e9;
    return 0;
}

void ebb_prepare_run(struct ebb_prepare *p)
{
    p->resumed_step = -1;
    p->code = run(p);
}

void ebb_prepare_clean_up(struct ebb_prepare *p)
{
    ebb_lineage_destroy(p->lineage);
    ebb_object_store_destroy(p->store);
    ebb_state_set_clean_up(&p->state);
    ebb_commit_outputs_free(p->outputs, p->output_count);
    p->lineage = NULL;
    p->store = NULL;
    p->outputs = NULL;
    p->output_count = 0;
}
