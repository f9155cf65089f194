/* Jobs in the fold: their states, the ready queue of each group, and the groups that wait.
 *
 * The queue is a list through the job records. Jobs come at its end in order of their index; one
 * that was revoked comes back at the head, as it has a checkpoint and others may wait for it.
 *
 * When the last job of a group is done, its dependents become ready. When a group has settled and
 * some job of it is not done, its dependents can never run: they are skipped (cancelled, flagged),
 * and come back when a retry gives the needed group another chance. */
#include <stdio.h>

#include "base/memory.h"
#include "scheduler/core/fold.h"

static void queue_push(struct ebb_bag *b, struct ebb_group *g, uint32_t job, bool front)
{
    struct ebb_job *j = &b->jobs[job];
    uint32_t *near = front ? &g->first_ready : &g->last_ready;
    uint32_t *far = front ? &g->last_ready : &g->first_ready;
    j->next = j->prev = EBB_NONE;
    if (*near == EBB_NONE) {
        *near = *far = job;
        return;
    }
    if (front) {
        j->next = *near;
        b->jobs[*near].prev = job;
    } else {
        j->prev = *near;
        b->jobs[*near].next = job;
    }
    *near = job;
}

static void queue_remove(struct ebb_bag *b, struct ebb_group *g, uint32_t job)
{
    struct ebb_job *j = &b->jobs[job];
    if (j->prev == EBB_NONE)
        g->first_ready = j->next;
    else
        b->jobs[j->prev].next = j->next;
    if (j->next == EBB_NONE)
        g->last_ready = j->prev;
    else
        b->jobs[j->next].prev = j->prev;
    j->next = j->prev = EBB_NONE;
}

static bool group_is_settled(const struct ebb_group *g)
{
    return g->counts[EBB_JOB_DONE] + g->counts[EBB_JOB_FAILED] + g->counts[EBB_JOB_CANCELLED] ==
           g->spec->job_count;
}

/* Moves without looking at dependents. */
static void move(struct ebb_bag *b, struct ebb_group *g, uint64_t job, enum ebb_job_state to,
                 bool front, int64_t wall_ns)
{
    struct ebb_job *j = &b->jobs[job];
    if (j->state == EBB_JOB_READY)
        queue_remove(b, g, (uint32_t)job);
    b->counts[j->state]--;
    g->counts[j->state]--;
    j->state = (uint8_t)to;
    j->since_wall_ns = wall_ns;
    b->counts[to]++;
    g->counts[to]++;
    if (to == EBB_JOB_READY)
        queue_push(b, g, (uint32_t)job, front);
}

static void settled_badly(struct ebb_bag *b, struct ebb_group *g, int64_t wall_ns)
{
    for (size_t d = 0; d < g->dependent_count; d++) {
        struct ebb_group *dependent = &b->groups[g->dependents[d]];
        if (dependent->counts[EBB_JOB_WAITING] == 0)
            continue;
        for (uint64_t i = 0; i < dependent->spec->job_count; i++) {
            uint64_t job = dependent->spec->first_job + i;
            if (b->jobs[job].state != EBB_JOB_WAITING)
                continue;
            b->jobs[job].flags |= EBB_JOB_SKIPPED;
            dependent->skipped++;
            move(b, dependent, job, EBB_JOB_CANCELLED, false, wall_ns);
        }
        settled_badly(b, dependent, wall_ns);
    }
}

/* A needed group runs again: jobs skipped because of it wait once more. */
static void reopened(struct ebb_bag *b, struct ebb_group *g, int64_t wall_ns)
{
    for (size_t d = 0; d < g->dependent_count; d++) {
        struct ebb_group *dependent = &b->groups[g->dependents[d]];
        if (dependent->skipped == 0)
            continue;
        dependent->skipped = 0;
        for (uint64_t i = 0; i < dependent->spec->job_count; i++) {
            uint64_t job = dependent->spec->first_job + i;
            if ((b->jobs[job].flags & EBB_JOB_SKIPPED) == 0)
                continue;
            b->jobs[job].flags &= (uint8_t)~EBB_JOB_SKIPPED;
            move(b, dependent, job, EBB_JOB_WAITING, false, wall_ns);
        }
        reopened(b, dependent, wall_ns);
    }
}

static void group_done(struct ebb_bag *b, struct ebb_group *g, int64_t wall_ns)
{
    for (size_t d = 0; d < g->dependent_count; d++) {
        struct ebb_group *dependent = &b->groups[g->dependents[d]];
        if (--dependent->unmet_needs > 0)
            continue;
        for (uint64_t i = 0; i < dependent->spec->job_count; i++) {
            uint64_t job = dependent->spec->first_job + i;
            if (b->jobs[job].state == EBB_JOB_WAITING)
                move(b, dependent, job, EBB_JOB_READY, false, wall_ns);
        }
    }
}

static bool is_terminal(int state)
{
    return state == EBB_JOB_DONE || state == EBB_JOB_FAILED || state == EBB_JOB_CANCELLED;
}

void ebb_fold_move_job(struct ebb_bag *b, uint64_t job, enum ebb_job_state to, bool front,
                       int64_t wall_ns)
{
    struct ebb_group *g = ebb_bag_group_of(b, job);
    bool was_terminal = is_terminal(b->jobs[job].state);
    move(b, g, job, to, front, wall_ns);
    if (g->counts[EBB_JOB_DONE] == g->spec->job_count)
        group_done(b, g, wall_ns);
    else if (is_terminal(to) && group_is_settled(g))
        settled_badly(b, g, wall_ns);
    else if (was_terminal && !is_terminal(to))
        reopened(b, g, wall_ns);
}

void ebb_fold_set_reason(struct ebb_bag *b, uint64_t job, const char *reason)
{
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)job);
    if (reason == NULL || reason[0] == '\0')
        ebb_map_remove(b->reasons, key);
    else
        ebb_map_set(b->reasons, key, ebb_strdup(reason));
}

void ebb_mean_add(struct ebb_mean *m, double value)
{
    if (!(value >= 0) || value > 1e12)
        return;
    m->count++;
    double weight = m->count < 10 ? 1.0 / (double)m->count : 0.1;
    m->value += weight * (value - m->value);
}
