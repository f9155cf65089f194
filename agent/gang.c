/* The two ends of a gang's messages, and the hooks that differ by rank. */
#include "agent/gang.h"

#include <stdlib.h>
#include <sys/wait.h>

#include "agent/gang_state.h"
#include "base/memory.h"

struct ebb_gang *ebb_gang_new(struct ebb_attempt *a)
{
    if (a->task->gang_size <= 1)
        return NULL;
    struct ebb_gang *g = ebb_alloc(sizeof *g);
    ebb__gang_order__init(&g->order);
    g->order.reason = g->reason;
    return g;
}

void ebb_gang_destroy(struct ebb_gang *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < EBB_GANG_MOST; i++)
        if (g->peers[i].status != NULL)
            ebb__gang_status__free_unpacked(g->peers[i].status, NULL);
    if (g->wanted != NULL)
        ebb__gang_order__free_unpacked(g->wanted, NULL);
    ebb_state_set_clean_up(&g->pending);
    free(g);
}

void gang_send(struct ebb_attempt *a, uint32_t to, Ebb__GangOrder *order, Ebb__GangStatus *status)
{
    Ebb__GangMessage m = EBB__GANG_MESSAGE__INIT;
    m.bag = a->task->spec.id;
    m.job = a->task->job;
    m.attempt = a->task->attempt;
    m.from = a->task->rank;
    m.to = to;
    m.order = order;
    m.status = status;
    if (a->host.gang != NULL)
        a->host.gang(a->host.ctx, a, &m);
}

void ebb_gang_take(struct ebb_attempt *a, const Ebb__GangMessage *m)
{
    if (a->gang == NULL || m->to != a->task->rank || m->from >= a->task->gang_size)
        return;
    if (ebb_task_is_member(a->task) && m->from == 0 && m->order != NULL)
        gang_member_take(a, m->order);
    else if (!ebb_task_is_member(a->task) && m->from > 0 && m->status != NULL)
        gang_leader_take(a, m->from, m->status);
    ebb_gang_poll(a);
}

void ebb_gang_poll(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    if (g->is_polling) {
        g->poll_again = true; /* by what an act has led to */
        return;
    }
    g->is_polling = true;
    do {
        g->poll_again = false;
        if (ebb_task_is_member(a->task))
            gang_member_act(a);
        else
            gang_leader_act(a);
    } while (g->poll_again);
    g->is_polling = false;
    if (ebb_task_is_member(a->task))
        gang_member_tell(a);
    else
        gang_leader_tell(a);
}

bool ebb_gang_on_setup_end(struct ebb_attempt *a)
{
    bool is_member = ebb_task_is_member(a->task);
    bool was_stopped = is_member ? a->was_asked_to_stop : a->gang->failing_ns != 0;
    bool is_good = WIFEXITED(a->wait_status) && WEXITSTATUS(a->wait_status) == 0;
    if (a->request != EBB_REQUEST_NONE || (!was_stopped && (is_good || !is_member)))
        return false;
    a->phase = EBB_PHASE_STOPPED;
    if (is_member && !was_stopped)
        ebb_attempt_describe_setup(a);
    if (is_member)
        ebb_gang_member_ended(a, false);
    else
        ebb_attempt_judge(a);
    return true;
}

bool ebb_gang_holds_start(struct ebb_attempt *a, bool resume)
{
    if (a->gang->go) {
        a->gang->go = false;
        return false;
    }
    bool holds = ebb_task_is_member(a->task) ? gang_member_holds_start(a, resume)
                                             : gang_leader_holds_start(a, resume);
    ebb_gang_poll(a);
    return holds;
}
