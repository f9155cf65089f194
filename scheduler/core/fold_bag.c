/* Bags in the fold: submitted, cancelled, retried, verified, finished. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/sweep.h"

#define MOST_JOBS_A_BAG 100000000u

void ebb_bag_destroy(struct ebb_bag *b)
{
    if (b == NULL)
        return;
    for (size_t g = 0; b->groups != NULL && g < b->group_count; g++)
        free(b->groups[g].dependents);
    free(b->groups);
    free(b->jobs);
    ebb_map_destroy(b->reasons);
    if (b->spec != NULL)
        ebb__bag_spec__free_unpacked(b->spec, NULL);
    if (b->estimate != NULL)
        ebb__estimate__free_unpacked(b->estimate, NULL);
    free(b->idempotency_key);
    free(b->cancel_reason);
    free(b->verified_against);
    free(b);
}

static uint32_t group_index(const Ebb__BagSpec *spec, const char *name)
{
    for (size_t g = 0; g < spec->n_groups; g++) {
        if (strcmp(spec->groups[g]->name, name) == 0)
            return (uint32_t)g;
    }
    return EBB_NONE;
}

static const Ebb__Profile *profile_of(const Ebb__BagSpec *spec, const char *engine)
{
    for (size_t p = 0; p < spec->n_profiles; p++) {
        if (strcmp(spec->profiles[p]->name, engine) == 0)
            return spec->profiles[p];
    }
    return NULL;
}

/* ebb_bag_check has passed: every need is a group. */
static void link_needs(struct ebb_bag *b, size_t g)
{
    const Ebb__JobGroup *spec = b->groups[g].spec;
    b->groups[g].unmet_needs = (uint32_t)spec->n_needs;
    for (size_t n = 0; n < spec->n_needs; n++) {
        struct ebb_group *needed = &b->groups[group_index(b->spec, spec->needs[n])];
        needed->dependents = ebb_realloc_array(needed->dependents, needed->dependent_count + 1,
                                               sizeof *needed->dependents);
        needed->dependents[needed->dependent_count++] = (uint32_t)g;
    }
}

static void make_jobs(struct ebb_bag *b, int64_t wall_ns)
{
    b->jobs = ebb_alloc_array(b->job_count, sizeof *b->jobs);
    for (uint64_t j = 0; j < b->job_count; j++) {
        b->jobs[j] = (struct ebb_job){.step = -1,
                                      .total_steps = -1,
                                      .since_wall_ns = wall_ns,
                                      .vm = EBB_NONE,
                                      .next = EBB_NONE,
                                      .prev = EBB_NONE,
                                      .state = EBB_JOB_WAITING};
    }
    b->counts[EBB_JOB_WAITING] = b->job_count;
    for (size_t g = 0; g < b->group_count; g++)
        b->groups[g].counts[EBB_JOB_WAITING] = b->groups[g].spec->job_count;
    for (size_t g = 0; g < b->group_count; g++) {
        const Ebb__JobGroup *spec = b->groups[g].spec;
        for (uint64_t i = 0; b->groups[g].unmet_needs == 0 && i < spec->job_count; i++)
            ebb_fold_move_job(b, spec->first_job + i, EBB_JOB_READY, false, wall_ns);
    }
}

static struct ebb_bag *bag_new(const Ebb__BagSubmitted *e, uint32_t index, int64_t wall_ns)
{
    struct ebb_bag *b = ebb_alloc(sizeof *b);
    b->index = index;
    b->spec = ebb_fold_copy(&e->spec->base);
    if (strcmp(b->spec->id, e->bag) != 0) {
        if (b->spec->id != protobuf_c_empty_string)
            free(b->spec->id);
        b->spec->id = ebb_strdup(e->bag);
    }
    b->estimate = e->estimate == NULL ? NULL : ebb_fold_copy(&e->estimate->base);
    b->idempotency_key = ebb_strdup(e->idempotency_key);
    b->submitted_wall_ns = wall_ns;
    b->reasons = ebb_map_new(free);
    b->group_count = b->spec->n_groups;
    b->groups = ebb_alloc_array(b->group_count, sizeof *b->groups);
    b->job_count = ebb_bag_job_count(b->spec);
    for (size_t g = 0; g < b->group_count; g++) {
        b->groups[g].spec = b->spec->groups[g];
        b->groups[g].profile = profile_of(b->spec, b->spec->groups[g]->engine);
        b->groups[g].bag = index;
        b->groups[g].index = (uint32_t)g;
        b->groups[g].first_ready = b->groups[g].last_ready = EBB_NONE;
    }
    for (size_t g = 0; g < b->group_count; g++)
        link_needs(b, g);
    make_jobs(b, wall_ns);
    return b;
}

int ebb_fold_bag_submitted(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__BagSubmitted *m = e->bag_submitted;
    if (m->spec == NULL || m->bag[0] == '\0')
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a bag without an id or a spec");
    if (ebb_state_bag(s, m->bag) != NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' was submitted before", m->bag);
    struct ebb_error why = {0};
    if (ebb_bag_check(m->spec, &why) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s': %s", m->bag, why.text);
    if (ebb_bag_job_count(m->spec) > MOST_JOBS_A_BAG)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' has over %u jobs", m->bag,
                             MOST_JOBS_A_BAG);
    if (s->bag_count == s->bag_capacity) {
        s->bag_capacity = s->bag_capacity == 0 ? 8 : s->bag_capacity * 2;
        s->bags = ebb_realloc_array(s->bags, s->bag_capacity, sizeof *s->bags);
    }
    struct ebb_bag *b = bag_new(m, (uint32_t)s->bag_count, e->wall_ns);
    s->bags[s->bag_count++] = b;
    ebb_map_set(s->bags_by_id, m->bag, b);
    if (m->idempotency_key[0] != '\0')
        ebb_map_set(s->bags_by_key, m->idempotency_key, b);
    ebb_fold_rebuild_active(s);
    return 0;
}

static int by_priority(const void *a, const void *b)
{
    const struct ebb_group *x = *(struct ebb_group *const *)a, *y = *(struct ebb_group *const *)b;
    if (x->spec->priority != y->spec->priority)
        return x->spec->priority > y->spec->priority ? -1 : 1;
    if (x->bag != y->bag)
        return x->bag < y->bag ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void ebb_fold_rebuild_active(struct ebb_state *s)
{
    s->active_count = 0;
    for (size_t i = 0; i < s->bag_count; i++) {
        struct ebb_bag *b = s->bags[i];
        for (size_t g = 0; !ebb_bag_is_finished(b) && g < b->group_count; g++) {
            if (s->active_count == s->active_capacity) {
                s->active_capacity = s->active_capacity == 0 ? 16 : s->active_capacity * 2;
                s->active = ebb_realloc_array(s->active, s->active_capacity, sizeof *s->active);
            }
            s->active[s->active_count++] = &b->groups[g];
        }
    }
    if (s->active_count > 0)
        qsort(s->active, s->active_count, sizeof *s->active, by_priority);
}

static void cancel_job(struct ebb_bag *b, uint64_t job, int64_t wall_ns)
{
    struct ebb_job *j = &b->jobs[job];
    if (j->state == EBB_JOB_LEASED || j->state == EBB_JOB_RUNNING)
        j->flags |= EBB_JOB_CANCELLING;
    else if (j->state == EBB_JOB_WAITING || j->state == EBB_JOB_READY)
        ebb_fold_move_job(b, job, EBB_JOB_CANCELLED, false, wall_ns);
}

int ebb_fold_bag_cancelled(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__BagCancelled *m = e->bag_cancelled;
    struct ebb_bag *b = ebb_fold_bag(s, m->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    if (ebb_bag_is_finished(b))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' cancelled after its end", m->bag);
    b->cancelled = true;
    free(b->cancel_reason);
    b->cancel_reason = ebb_strdup(m->reason);
    for (uint64_t j = 0; j < b->job_count; j++)
        cancel_job(b, j, e->wall_ns);
    return 0;
}

int ebb_fold_budget_near(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_bag *b = ebb_fold_bag(s, e->budget_near->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    b->budget_near_wall_ns = e->wall_ns == 0 ? 1 : e->wall_ns;
    return 0;
}

int ebb_fold_job_cancelled(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_bag *b = NULL;
    if (ebb_fold_job(s, e->job_cancelled->bag, e->job_cancelled->job, &b, err) == NULL)
        return EBB_ERR_CORRUPT;
    cancel_job(b, e->job_cancelled->job, e->wall_ns);
    return 0;
}

int ebb_fold_bag_finished(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_bag *b = ebb_fold_bag(s, e->bag_finished->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_bag_is_settled(b) || ebb_bag_is_finished(b))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' finished %s", b->spec->id,
                             ebb_bag_is_finished(b) ? "twice" : "with jobs left to do");
    b->finished_wall_ns = e->wall_ns == 0 ? 1 : e->wall_ns;
    ebb_fold_rebuild_active(s);
    return 0;
}

int ebb_fold_jobs_retried(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__JobsRetried *m = e->jobs_retried;
    struct ebb_bag *b = ebb_fold_bag(s, m->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    for (size_t i = 0; i < m->n_jobs; i++) {
        if (m->jobs[i] >= b->job_count || b->jobs[m->jobs[i]].state != EBB_JOB_FAILED)
            return ebb_error_set(err, EBB_ERR_CORRUPT,
                                 "bag '%s': job %llu retried, which has not "
                                 "failed",
                                 m->bag, (unsigned long long)m->jobs[i]);
    }
    b->finished_wall_ns = 0;
    b->cancelled = false;
    for (size_t i = 0; i < m->n_jobs; i++) {
        struct ebb_job *j = &b->jobs[m->jobs[i]];
        if (j->state != EBB_JOB_FAILED)
            continue; /* named twice */
        j->failures = 0;
        j->refusals = 0;
        ebb_fold_move_job(b, m->jobs[i], EBB_JOB_READY, false, e->wall_ns);
    }
    ebb_fold_rebuild_active(s);
    return 0;
}

int ebb_fold_outputs_verified(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__OutputsVerified *m = e->outputs_verified;
    struct ebb_bag *b = ebb_fold_bag(s, m->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    for (size_t i = 0; i < m->n_jobs; i++) {
        if (m->jobs[i]->job >= b->job_count)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' has no job %llu", m->bag,
                                 (unsigned long long)m->jobs[i]->job);
    }
    free(b->verified_against);
    b->verified_against = ebb_strdup(m->against);
    b->verified_jobs = b->verified_files_equal = b->verified_files_different = 0;
    for (uint64_t j = 0; j < b->job_count; j++)
        b->jobs[j].flags &= (uint8_t) ~(EBB_JOB_VERIFIED | EBB_JOB_DIFFERENT);
    for (size_t i = 0; i < m->n_jobs; i++) {
        const Ebb__JobVerification *v = m->jobs[i];
        size_t different = v->n_files_different + v->n_files_missing;
        b->verified_jobs++;
        b->verified_files_equal += v->files_equal;
        b->verified_files_different += different;
        b->jobs[v->job].flags |= EBB_JOB_VERIFIED | (different > 0 ? EBB_JOB_DIFFERENT : 0);
    }
    return 0;
}
