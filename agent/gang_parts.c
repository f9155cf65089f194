/* Checkpoints of a gang whose ranks have files of their own: every rank puts its files of one step
 * into the store, where nothing reaches them, and then rank 0 commits its own together with them by
 * the one put of the head. So a checkpoint holds one step of all ranks, or it is not there.
 *
 * The step is told by the names of state files (the profile's step_pattern). A rank that has no
 * state of it refuses; when it has an older one, that is tried. The outputs go the same way. */
#include <stdio.h>
#include <string.h>

#include "agent/gang_state.h"
#include "base/clock.h"
#include "base/log.h"

#define COLLECT_NS       (60 * EBB_NS_PER_S)
#define COLLECT_FINAL_NS (600 * EBB_NS_PER_S)
#define AFTER_REFUSAL_NS (5 * EBB_NS_PER_S)
#define LEAST_KEPT       2u

static bool state_of_each(const struct ebb_attempt *a)
{
    const Ebb__Profile *p = a->task->profile;
    return p->checkpoints && p->state != NULL && p->state->each_rank;
}

bool ebb_gang_has_parts(const struct ebb_attempt *a, bool outputs)
{
    if (a->gang == NULL)
        return false;
    const Ebb__JobGroup *g = a->task->group;
    for (size_t i = 0; outputs && i < g->n_outputs; i++)
        if (g->outputs[i]->each_rank)
            return true;
    return !outputs && state_of_each(a);
}

bool ebb_gang_is_collecting(const struct ebb_attempt *a)
{
    return a->gang != NULL && a->gang->is_collecting;
}

const struct ebb_commit_part *ebb_gang_parts(const struct ebb_attempt *a, bool outputs,
                                             size_t *ret_count)
{
    *ret_count = a->gang->order.part_final == outputs ? a->gang->part_count : 0;
    return a->gang->parts;
}

int64_t ebb_gang_collecting_ns(const struct ebb_attempt *a)
{
    return a->gang->collecting_ns;
}

void ebb_gang_add_bytes(const struct ebb_attempt *a, uint64_t *raw_bytes, uint64_t *sent_bytes)
{
    for (uint32_t k = 1; k < a->task->gang_size; k++) {
        const Ebb__GangStatus *s = a->gang->peers[k].status;
        *raw_bytes += s != NULL ? s->part_raw_bytes : 0;
        *sent_bytes += s != NULL ? s->part_sent_bytes : 0;
    }
}

/* ---- rank 0 ---- */

static void ask_for_parts(struct ebb_attempt *a, int64_t step, bool final)
{
    struct ebb_gang *g = a->gang;
    g->is_collecting = true;
    g->collecting_ns = ebb_now_ns(NULL);
    g->part_count = 0;
    g->order.part++;
    g->order.part_step = step;
    g->order.part_final = final;
    g->order.version++;
    ebb_gang_poll(a);
}

void ebb_gang_collect(struct ebb_attempt *a, struct ebb_state_set *state)
{
    struct ebb_gang *g = a->gang;
    ebb_state_set_clean_up(&g->pending);
    if (state != NULL) {
        g->pending = *state;
        *state = (struct ebb_state_set){0};
    }
    ask_for_parts(a, state != NULL ? ebb_state_step(&g->pending) : -1, state == NULL);
}

static void give_up(struct ebb_attempt *a, const char *why)
{
    struct ebb_gang *g = a->gang;
    g->is_collecting = false;
    ebb_log_warn("%s: checkpoint of all ranks: %s", a->task->job_name, why);
    if (g->order.part_final) {
        struct ebb_error err = {0};
        ebb_error_set(&err, EBB_ERR_NOT_FOUND, "%s", why);
        ebb_attempt_end_by_error(a, &err);
        return;
    }
    ebb_state_set_clean_up(&g->pending);
    if (a->phase != EBB_PHASE_COMMITTING) {
        a->next_commit_ns = ebb_now_ns(NULL) + AFTER_REFUSAL_NS;
        return;
    }
    /* All stand still, at different steps: from here on only the last checkpoint is one. */
    if (!a->has_verdict && a->request == EBB_REQUEST_NONE)
        ebb_attempt_end(a, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED, why);
    else
        ebb_attempt_after_commit(a);
}

/* Some rank has no state of this step; an older one that all may have is tried. */
static void step_back(struct ebb_attempt *a, int64_t step, const char *why)
{
    struct ebb_gang *g = a->gang;
    struct ebb_state_set older = {0};
    if (step > ebb_state_step(&a->committed) && step < g->order.part_step &&
        ebb_state_scan(a->task->work, a->task->profile->state, &older, NULL) == 0)
        ebb_state_keep_step(&older, step);
    if (older.count == 0 || step < 0) {
        ebb_state_set_clean_up(&older);
        give_up(a, why);
        return;
    }
    ebb_gang_collect(a, &older);
}

/* Takes over the part of a rank; false: it has not come yet. */
static bool take_part(struct ebb_attempt *a, uint32_t rank)
{
    struct ebb_gang *g = a->gang;
    const Ebb__GangStatus *s = g->peers[rank].status;
    if (s == NULL || s->part != g->order.part || s->part_refused ||
        s->part_sha256.len != EBB_SHA256_SIZE || s->part_sequence == 0)
        return false;
    struct ebb_commit_part *p = &g->parts[g->part_count++];
    p->rank = rank;
    p->manifest.epoch = g->order.epoch;
    p->manifest.sequence = s->part_sequence;
    memcpy(p->manifest.sha256, s->part_sha256.data, EBB_SHA256_SIZE);
    return true;
}

void gang_parts_act(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    char why[400];
    int64_t now_ns = ebb_now_ns(NULL), lowest = g->order.part_step;
    bool refused = false, all = true;
    if (a->lineage_busy)
        return;
    g->part_count = 0;
    for (uint32_t k = 1; k < a->task->gang_size; k++) {
        const Ebb__GangStatus *s = g->peers[k].status;
        all &= take_part(a, k);
        if (s == NULL || s->part != g->order.part || !s->part_refused)
            continue;
        refused = true;
        lowest = s->part_step < lowest ? s->part_step : lowest;
        snprintf(why, sizeof why, "rank %u of the gang: %.300s", k, s->reason);
    }
    if (refused) {
        step_back(a, lowest, why);
        return;
    }
    if (!all) {
        int64_t limit_ns = g->order.part_final ? COLLECT_FINAL_NS : COLLECT_NS;
        if (now_ns - g->collecting_ns > limit_ns)
            give_up(a, "not all ranks have put their part in time");
        return;
    }
    g->is_collecting = false;
    if (g->order.part_final)
        ebb_attempt_commit_outputs(a);
    else
        ebb_attempt_commit_state(a, &g->pending);
}

/* ---- members ---- */

static void refuse(struct ebb_attempt *a, int64_t step, const char *why)
{
    struct ebb_gang *g = a->gang;
    g->part = g->wanted->part;
    g->part_refused = true;
    g->part_step = step;
    snprintf(g->part_reason, sizeof g->part_reason, "%.290s", why);
}

static void make(struct ebb_attempt *a, struct ebb_state_set *state)
{
    a->gang->part_begun = a->gang->wanted->part;
    a->gang->part_step = a->gang->wanted->part_step;
    ebb_attempt_make_part(a, state);
    if (state != NULL)
        *state = (struct ebb_state_set){0};
}

static void find_state(struct ebb_attempt *a)
{
    const Ebb__GangOrder *o = a->gang->wanted;
    const Ebb__ProfileState *spec = a->task->profile->state;
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = {0};
    struct ebb_error err = {0};
    if (spec == NULL || ebb_state_scan(a->task->work, spec, &set, &err) < 0) {
        refuse(a, -1, spec == NULL ? "its engine has no state" : err.text);
        return;
    }
    int64_t newest = ebb_state_step(&set);
    bool is_still = a->phase != EBB_PHASE_RUNNING;
    ebb_state_keep_step(&set, o->part_step);
    bool was_seen = ebb_state_equal(&set, &a->seen);
    if (set.count > 0 && (is_still || spec->atomic || spec->tail[0] != '\0' || was_seen)) {
        make(a, &set);
    } else if (set.count > 0) { /* at rest, at the next look? */
        ebb_state_set_clean_up(&a->seen);
        a->seen = set;
        set = (struct ebb_state_set){0};
    } else if (is_still || newest > o->part_step) {
        char why[120];
        snprintf(why, sizeof why, "it has no state of step %lld, the newest is of %lld",
                 (long long)o->part_step, (long long)newest);
        refuse(a, newest < o->part_step ? newest : -1, why);
    }
}

void gang_parts_answer(struct ebb_attempt *a)
{
    const Ebb__GangOrder *o = a->gang->wanted;
    /* One that waits never saw the order to run, and has what it was given. */
    bool is_still = a->phase == EBB_PHASE_STOPPED || a->phase == EBB_PHASE_WAITING;
    if (a->lineage_busy || (!is_still && (a->phase != EBB_PHASE_RUNNING || o->part_final)))
        return;
    if (o->part_final)
        make(a, NULL);
    else
        find_state(a);
}

void ebb_gang_part_made(struct ebb_attempt *a, const struct ebb_commit_work *w)
{
    struct ebb_gang *g = a->gang;
    const Ebb__ProfileState *spec = a->task->profile->state;
    if (w->code == EBB_ERR_FENCED)
        return;
    if (w->code < 0) {
        ebb_log_warn("%s: part of a checkpoint: %s", a->task->job_name, w->err.text);
        if (ebb_code_is_transient(w->code) || w->code == EBB_ERR_CONFLICT)
            return; /* again at the next look */
        g->part_refused = true;
        g->part_step = -1;
        snprintf(g->part_reason, sizeof g->part_reason, "%.290s", w->err.text);
    } else {
        g->part_refused = false;
        g->part_manifest = w->part;
        g->part_stats = w->stats;
        if (!w->final && spec != NULL && spec->keep > 0)
            (void)ebb_state_prune(a->task->work, spec,
                                  spec->keep > LEAST_KEPT ? spec->keep : LEAST_KEPT, NULL);
    }
    g->part = g->part_begun;
}
