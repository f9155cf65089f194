/* Ranks above 0 of a gang: they do what rank 0 orders, and tell it what became of it. Nothing is
 * decided here: even a failure is only told, and the VM's coming end. */
#include <math.h>
#include <string.h>

#include "agent/gang_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define TELL_AGAIN_NS (3 * EBB_NS_PER_S)

void gang_member_take(struct ebb_attempt *a, const Ebb__GangOrder *order)
{
    struct ebb_gang *g = a->gang;
    g->told_ns = 0; /* it wants an answer */
    if (g->wanted != NULL && order->version <= g->wanted->version)
        return;
    size_t len = ebb__gang_order__get_packed_size(order);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(len + 1);
    ebb__gang_order__pack(order, bytes);
    if (g->wanted != NULL)
        ebb__gang_order__free_unpacked(g->wanted, NULL);
    g->wanted = ebb__gang_order__unpack(NULL, len, bytes);
}

static void begin_round(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    const Ebb__GangOrder *o = g->wanted;
    struct ebb_prepare *p = &a->prepare;
    bool has_manifest = o->sequence > 0 && o->manifest_sha256.len == EBB_SHA256_SIZE;
    g->round = o->round;
    g->is_ready = g->is_done = g->is_damaged = false;
    g->failed_ns = 0;
    a->has_verdict = false;
    a->task->gang_port = (uint16_t)o->port;
    p->epoch = o->epoch;
    p->wanted = (struct ebb_generation){0};
    if (has_manifest) {
        p->wanted.epoch = o->manifest_epoch;
        p->wanted.sequence = o->sequence;
        memcpy(p->wanted.sha256, o->manifest_sha256.data, EBB_SHA256_SIZE);
    }
    ebb_attempt_prepare(a);
}

bool gang_member_holds_start(struct ebb_attempt *a, bool resume)
{
    a->phase = EBB_PHASE_WAITING;
    a->gang->is_ready = true;
    a->gang->resume = resume;
    return true;
}

static void stop(struct ebb_attempt *a, const Ebb__GangOrder *o)
{
    if (a->phase == EBB_PHASE_SETUP || (a->phase == EBB_PHASE_RUNNING && o->kill)) {
        a->was_asked_to_stop = true;
        ebb_attempt_kill_engine(a);
    } else if (a->phase == EBB_PHASE_RUNNING) {
        if (o->within_s > 0)
            a->deadline_ns = ebb_now_ns(NULL) + (int64_t)(fmin(o->within_s, 86400) * 1e9);
        ebb_attempt_stop_engine(a);
    }
}

void gang_member_act(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    const Ebb__GangOrder *o = g->wanted;
    if (o == NULL || a->phase >= EBB_PHASE_ENDING)
        return;
    bool is_at_rest = a->phase == EBB_PHASE_WAITING || a->phase == EBB_PHASE_STOPPED;
    switch (o->will) {
    case EBB__GANG_ORDER__WILL__PREPARE:
        if (o->round > g->round && is_at_rest && !a->lineage_busy)
            begin_round(a);
        break;
    case EBB__GANG_ORDER__WILL__RUN:
        if (a->phase == EBB_PHASE_WAITING && g->is_ready && o->round == g->round) {
            g->is_ready = false;
            g->go = true;
            ebb_attempt_start_engine(a, g->resume);
        }
        break;
    case EBB__GANG_ORDER__WILL__STOP:
        stop(a, o);
        break;
    case EBB__GANG_ORDER__WILL__END:
        ebb_attempt_cancel(a, o->reason);
        break;
    default: /* of a later version: rank 0 is of the same program */
        break;
    }
    if (o->part > g->part && o->round == g->round)
        gang_parts_answer(a);
}

bool ebb_gang_on_release(struct ebb_attempt *a, const char *reason)
{
    if (!ebb_task_is_member(a->task))
        return false;
    if (!a->gang->is_leaving)
        ebb_task_note(a->task, "rank %u: %s", a->task->rank, reason);
    a->gang->is_leaving = true;
    ebb_gang_poll(a);
    return true;
}

/* The verdict is told, and the attempt waits for its order. */
static void failed(struct ebb_attempt *a)
{
    a->phase = EBB_PHASE_STOPPED;
    a->gang->failed_ns = ebb_now_ns(NULL);
    ebb_task_note(a->task, "rank %u: %s", a->task->rank, ebb_buffer_text(&a->verdict));
    ebb_gang_poll(a);
}

void ebb_gang_member_ended(struct ebb_attempt *a, bool done)
{
    a->phase = EBB_PHASE_STOPPED;
    if (a->was_asked_to_stop || done) {
        a->gang->is_done = done;
        ebb_gang_poll(a);
    } else if (a->gang->failed_ns == 0) {
        failed(a);
    }
}

void ebb_gang_member_failed(struct ebb_attempt *a, const struct ebb_error *err)
{
    bool is_restore = a->phase == EBB_PHASE_PREPARING && a->prepare.wanted.sequence > 0;
    a->gang->is_damaged =
        is_restore && (err->code == EBB_ERR_CORRUPT || err->code == EBB_ERR_NOT_FOUND);
    a->has_verdict = true;
    a->outcome = ebb_attempt_outcome_of(err->code);
    ebb_buffer_reset(&a->verdict);
    ebb_buffer_append_text(&a->verdict, err->text);
    failed(a);
}

static Ebb__GangStatus__Phase phase_of(const struct ebb_attempt *a)
{
    switch (a->phase) {
    case EBB_PHASE_WAITING:
        return a->gang->is_ready ? EBB__GANG_STATUS__PHASE__READY
                                 : EBB__GANG_STATUS__PHASE__WAITING;
    case EBB_PHASE_PREPARING:
    case EBB_PHASE_SETUP:
        return EBB__GANG_STATUS__PHASE__PREPARING;
    case EBB_PHASE_RUNNING:
    case EBB_PHASE_STOPPING:
        return EBB__GANG_STATUS__PHASE__RUNNING;
    case EBB_PHASE_ENDING:
    case EBB_PHASE_ENDED:
        return EBB__GANG_STATUS__PHASE__ENDED;
    default:
        return EBB__GANG_STATUS__PHASE__STOPPED;
    }
}

void gang_member_tell(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    int64_t now_ns = ebb_now_ns(NULL);
    Ebb__GangStatus s = EBB__GANG_STATUS__INIT;
    s.seen = g->wanted != NULL ? g->wanted->version : 0;
    s.round = g->round;
    s.phase = phase_of(a);
    s.done = g->is_done;
    s.failed = g->failed_ns != 0;
    s.damaged = g->is_damaged;
    s.leaving = g->is_leaving;
    s.part = g->part;
    uint64_t digest = s.seen * 1000003 + s.part * 10007 + s.round * 131 + (uint64_t)s.phase * 8 +
                      s.done * 4 + s.failed * 2 + s.leaving;
    if (g->told_ns != 0 && digest == g->told_digest && now_ns - g->told_ns < TELL_AGAIN_NS)
        return;
    if (s.failed) {
        s.outcome = (uint32_t)a->outcome;
        s.reason = (char *)ebb_buffer_text(&a->verdict);
        s.exit_status = a->wait_status;
        s.failed_s = (double)(now_ns - g->failed_ns) / 1e9;
    }
    s.part_refused = g->part_refused;
    s.part_step = g->part_step;
    if (g->part > 0 && g->part_refused) {
        s.reason = s.failed ? s.reason : g->part_reason;
    } else if (g->part > 0) {
        s.part_sequence = g->part_manifest.sequence;
        s.part_sha256 = (ProtobufCBinaryData){EBB_SHA256_SIZE, g->part_manifest.sha256};
        s.part_raw_bytes = g->part_stats.raw_bytes;
        s.part_sent_bytes = g->part_stats.sent_bytes;
    }
    if (g->is_leaving && a->deadline_ns > now_ns)
        s.leaving_within_s = (double)(a->deadline_ns - now_ns) / 1e9;
    g->told_digest = digest;
    g->told_ns = now_ns;
    gang_send(a, 0, NULL, &s);
}
