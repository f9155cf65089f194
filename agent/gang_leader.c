/* Rank 0 of a gang: when the others prepare, start, stop and end; and whose failure it was.
 *
 * An engine that ends badly proves little: when a VM dies, the engines that talked to it fail, too.
 * So all are stopped, every rank must then have been heard from once more (SETTLE_NS later, so that
 * a VM that dies piece by piece is gone by then), and the failure that came first counts. A rank
 * that stays silent is the scheduler's to judge: it ends the attempt as lost. */
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/gang_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"

#define SETTLE_NS       (2 * EBB_NS_PER_S)
#define SETTLE_LIMIT_NS (600 * EBB_NS_PER_S)
#define TELL_AGAIN_NS   (2 * EBB_NS_PER_S)
#define BARRIER_NS      (600 * EBB_NS_PER_S) /* or four times what bringing the files took here */
#define ENDING_NS       (5 * EBB_NS_PER_S)
#define LAST_WORDS_NS   (EBB_NS_PER_S + EBB_NS_PER_S / 2)
/* Below what the kernel gives to connections, so that none takes it before the engine does. */
#define PORT_FIRST 15000
#define PORT_COUNT 17000
#define PORT_TRIES 200

static bool is_free(int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int r = family == AF_INET6 ? bind(fd, (struct sockaddr *)&v6, sizeof v6)
                               : bind(fd, (struct sockaddr *)&v4, sizeof v4);
    (void)close(fd);
    return r == 0;
}

static uint16_t pick_port(const struct ebb_task *t)
{
    int family = strchr(t->gang_hosts[0], ':') != NULL ? AF_INET6 : AF_INET;
    uint16_t port = PORT_FIRST;
    for (int i = 0; i < PORT_TRIES; i++) {
        uint32_t chance;
        ebb_random_secret(&chance, sizeof chance);
        port = (uint16_t)(PORT_FIRST + chance % PORT_COUNT);
        if (is_free(family, port))
            break;
    }
    return port;
}

static void order(struct ebb_attempt *a, Ebb__GangOrder__Will will)
{
    a->gang->order.will = will;
    a->gang->order.version++;
}

/* Another round of starting, from the newest checkpoint. */
static void order_prepare(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    const Ebb__Head *head = ebb_lineage_head(a->prepare.lineage);
    const struct ebb_prepare *p = &a->prepare;
    g->order.round++;
    g->order.epoch = head != NULL ? head->epoch : 0;
    g->order.sequence = 0;
    g->order.kill = false;
    g->order.within_s = 0;
    g->order.port = a->task->gang_port = pick_port(a->task);
    if (head != NULL && (p->resumed || a->committed.count > 0)) {
        bool fell_back = !a->started_reported && p->resumed_sequence != head->sequence;
        const ProtobufCBinaryData *sha =
            fell_back ? &head->previous_manifest_sha256 : &head->manifest_sha256;
        if (sha->len == EBB_SHA256_SIZE) {
            memcpy(g->manifest_sha256, sha->data, EBB_SHA256_SIZE);
            g->order.manifest_sha256 = (ProtobufCBinaryData){EBB_SHA256_SIZE, g->manifest_sha256};
            g->order.sequence = fell_back ? head->previous_sequence : head->sequence;
            g->order.manifest_epoch = fell_back ? head->previous_epoch : head->manifest_epoch;
        }
    }
    order(a, EBB__GANG_ORDER__WILL__PREPARE);
}

void ebb_gang_lead(struct ebb_attempt *a)
{
    order_prepare(a);
    ebb_gang_poll(a);
}

void gang_leader_take(struct ebb_attempt *a, uint32_t rank, const Ebb__GangStatus *status)
{
    struct gang_peer *p = &a->gang->peers[rank];
    size_t len = ebb__gang_status__get_packed_size(status);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(len + 1);
    ebb__gang_status__pack(status, bytes);
    if (p->status != NULL)
        ebb__gang_status__free_unpacked(p->status, NULL);
    p->status = ebb__gang_status__unpack(NULL, len, bytes);
    if (!status->failed)
        p->failed_ns = 0;
    else if (p->failed_ns == 0)
        p->failed_ns = ebb_now_ns(NULL) - (int64_t)(fmax(0, fmin(status->failed_s, 3600)) * 1e9);
}

static const Ebb__GangStatus *status_of(const struct ebb_attempt *a, uint32_t rank)
{
    return a->gang->peers[rank].status;
}

/* In this round, or before it could prepare at all. */
static bool has_failed(const struct ebb_attempt *a, uint32_t rank)
{
    const Ebb__GangStatus *s = status_of(a, rank);
    return s != NULL && s->failed && (s->round == a->gang->order.round || s->round == 0);
}

static uint32_t first_failed(const struct ebb_attempt *a)
{
    uint32_t first = 0;
    for (uint32_t k = 1; k < a->task->gang_size; k++)
        if (has_failed(a, k) &&
            (first == 0 || a->gang->peers[k].failed_ns < a->gang->peers[first].failed_ns))
            first = k;
    return first;
}

/* ---- together into the run ---- */

bool gang_leader_holds_start(struct ebb_attempt *a, bool resume)
{
    struct ebb_gang *g = a->gang;
    if (g->order.will != EBB__GANG_ORDER__WILL__PREPARE && g->failing_ns == 0)
        order_prepare(a); /* after a stop for a checkpoint */
    a->phase = EBB_PHASE_WAITING;
    g->resume = resume;
    g->waiting_since_ns = ebb_now_ns(NULL);
    return true;
}

static uint32_t first_unready(const struct ebb_attempt *a)
{
    for (uint32_t k = 1; k < a->task->gang_size; k++) {
        const Ebb__GangStatus *s = status_of(a, k);
        if (s == NULL || s->round != a->gang->order.round ||
            s->phase != EBB__GANG_STATUS__PHASE__READY)
            return k;
    }
    return 0;
}

static void pass_barrier(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    uint32_t missing = first_unready(a);
    int64_t waited_ns = ebb_now_ns(NULL) - g->waiting_since_ns;
    int64_t own_ns = a->staging_ns + a->restore_ns + a->setup_ns;
    if (missing == 0) {
        ebb_attempt_lap(a, &a->staging_ns);
        order(a, EBB__GANG_ORDER__WILL__RUN);
        gang_leader_tell(a);
        g->go = true;
        ebb_attempt_start_engine(a, g->resume);
    } else if (waited_ns > (4 * own_ns > BARRIER_NS ? 4 * own_ns : BARRIER_NS)) {
        char text[160];
        snprintf(text, sizeof text, "rank %u of the gang (%s) was not ready within %.0f s", missing,
                 a->task->gang_hosts[missing], (double)waited_ns / 1e9);
        ebb_attempt_end(a, EBB__ATTEMPT_ENDED__OUTCOME__REFUSED, text);
    }
}

/* ---- and out of it ---- */

void ebb_gang_on_stop(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    if (ebb_task_is_member(a->task))
        return;
    int64_t left_ns = a->deadline_ns - ebb_now_ns(NULL);
    g->order.within_s = a->deadline_ns == 0 ? 0 : left_ns > 0 ? (double)left_ns / 1e9 : 1e-3;
    order(a, EBB__GANG_ORDER__WILL__STOP);
    ebb_gang_poll(a);
}

static void begin_failing(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    g->failing_ns = ebb_now_ns(NULL);
    g->order.kill = true;
    order(a, EBB__GANG_ORDER__WILL__STOP);
}

static void stop_for_a_failure(struct ebb_attempt *a)
{
    begin_failing(a);
    if (a->phase == EBB_PHASE_RUNNING || a->phase == EBB_PHASE_SETUP)
        ebb_attempt_kill_engine(a);
    else if (a->phase == EBB_PHASE_WAITING)
        a->phase = EBB_PHASE_STOPPED;
}

static bool all_have_seen(const struct ebb_attempt *a, uint64_t version)
{
    for (uint32_t k = 1; k < a->task->gang_size; k++)
        if (status_of(a, k) == NULL || status_of(a, k)->seen < version)
            return false;
    return true;
}

static bool has_settled(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    int64_t since_ns = ebb_now_ns(NULL) - g->failing_ns;
    if (g->settle_version == 0 && since_ns >= SETTLE_NS)
        g->settle_version = ++g->order.version;
    return since_ns >= SETTLE_LIMIT_NS ||
           (g->settle_version != 0 && all_have_seen(a, g->settle_version));
}

bool ebb_gang_is_done(const struct ebb_attempt *a)
{
    for (uint32_t k = 1; k < a->task->gang_size; k++)
        if (status_of(a, k) == NULL || !status_of(a, k)->done ||
            status_of(a, k)->round != a->gang->order.round)
            return false;
    return true;
}

enum ebb_gang_verdict ebb_gang_judge(struct ebb_attempt *a, bool done)
{
    struct ebb_gang *g = a->gang;
    if (a->request == EBB_REQUEST_RELEASE || a->was_asked_to_stop)
        return EBB_GANG_OWN;
    if (!done && g->failing_ns == 0) {
        begin_failing(a);
        g->own_failed_ns = g->failing_ns;
        gang_leader_tell(a);
    }
    if (g->failing_ns == 0)
        return ebb_gang_is_done(a) ? EBB_GANG_OWN : EBB_GANG_WAIT;
    if (!has_settled(a))
        return EBB_GANG_WAIT;
    uint32_t first = first_failed(a);
    if (first == 0 || (g->own_failed_ns != 0 && g->own_failed_ns <= g->peers[first].failed_ns))
        return EBB_GANG_OWN;
    return EBB_GANG_FAILED;
}

void ebb_gang_end_by_member(struct ebb_attempt *a)
{
    uint32_t k = first_failed(a);
    const Ebb__GangStatus *s = status_of(a, k);
    Ebb__AttemptEnded__Outcome outcome = EBB__ATTEMPT_ENDED__OUTCOME__FAILED;
    if (s->outcome == EBB__ATTEMPT_ENDED__OUTCOME__REFUSED)
        outcome = EBB__ATTEMPT_ENDED__OUTCOME__REFUSED;
    /* "Preempted", says the profile: that is believed of what has got somewhere. */
    if (s->outcome == EBB__ATTEMPT_ENDED__OUTCOME__RELEASED &&
        (a->committed_run_s > 0 || s->round == 0))
        outcome = EBB__ATTEMPT_ENDED__OUTCOME__RELEASED;
    EBB_AUTO_FREE char *text =
        ebb_sprintf("rank %u of the gang: %.800s", k, s->reason[0] != '\0' ? s->reason : "failed");
    a->wait_status = s->exit_status;
    ebb_attempt_end(a, outcome, text);
}

void ebb_gang_on_end(struct ebb_attempt *a, const char *reason)
{
    struct ebb_gang *g = a->gang;
    if (!ebb_task_is_member(a->task)) {
        snprintf(g->reason, sizeof g->reason, "the gang's attempt has ended%s%.120s",
                 reason[0] != '\0' ? ": " : "", reason);
        g->ending_ns = ebb_now_ns(NULL);
        order(a, EBB__GANG_ORDER__WILL__END);
    }
    ebb_gang_poll(a);
}

bool ebb_gang_is_over(const struct ebb_attempt *a)
{
    const struct ebb_gang *g = a->gang;
    int64_t now_ns = ebb_now_ns(NULL);
    if (ebb_task_is_member(a->task) || a->request > EBB_REQUEST_RELEASE ||
        now_ns - g->ending_ns > ENDING_NS ||
        (a->deadline_ns > 0 && now_ns > a->deadline_ns - LAST_WORDS_NS))
        return true;
    for (uint32_t k = 1; k < a->task->gang_size; k++)
        if (status_of(a, k) == NULL || status_of(a, k)->phase != EBB__GANG_STATUS__PHASE__ENDED)
            return false;
    return true;
}

/* ---- acting ---- */

static void heed_leaving(struct ebb_attempt *a)
{
    for (uint32_t k = 1; k < a->task->gang_size; k++) {
        const Ebb__GangStatus *s = status_of(a, k);
        if (s == NULL || !s->leaving || a->gang->peers[k].is_leaving)
            continue;
        a->gang->peers[k].is_leaving = true;
        int64_t within_ns = (int64_t)(fmax(0, fmin(s->leaving_within_s, 86400)) * 1e9);
        char text[120];
        snprintf(text, sizeof text, "the VM of rank %u is about to go", k);
        ebb_attempt_release(a, within_ns > 0 ? ebb_now_ns(NULL) + within_ns : 0, text);
    }
}

/* A rank whose part of the newest checkpoint is damaged: all restore the one before. */
static bool goes_back(struct ebb_attempt *a)
{
    struct ebb_prepare *p = &a->prepare;
    const Ebb__Head *head = ebb_lineage_head(p->lineage);
    uint32_t k = first_failed(a);
    if (k == 0 || !status_of(a, k)->damaged || a->started_reported || !p->resumed || head == NULL ||
        p->resumed_sequence != head->sequence || head->previous_sequence == 0)
        return false;
    p->wanted = ebb_head_generation(head, true);
    snprintf(p->why, sizeof p->why, "the newest checkpoint is damaged (rank %u: %.160s)", k,
             status_of(a, k)->reason);
    ebb_attempt_prepare(a);
    return true;
}

void gang_leader_act(struct ebb_attempt *a)
{
    const struct ebb_gang *g = a->gang;
    if (a->phase >= EBB_PHASE_ENDED)
        return;
    if (a->phase == EBB_PHASE_ENDING) {
        ebb_attempt_on_lineage_idle(a);
        return;
    }
    heed_leaving(a);
    if (a->phase == EBB_PHASE_WAITING && a->request == EBB_REQUEST_NONE && !a->lineage_busy &&
        goes_back(a))
        return;
    bool together = g->order.will == EBB__GANG_ORDER__WILL__PREPARE ||
                    g->order.will == EBB__GANG_ORDER__WILL__RUN;
    if (a->phase != EBB_PHASE_PREPARING && together && g->failing_ns == 0 &&
        a->request == EBB_REQUEST_NONE && first_failed(a) > 0)
        stop_for_a_failure(a);
    if (a->phase == EBB_PHASE_WAITING)
        pass_barrier(a);
    if (g->is_collecting)
        gang_parts_act(a);
    if (a->phase == EBB_PHASE_STOPPED)
        ebb_attempt_judge(a);
}

void gang_leader_tell(struct ebb_attempt *a)
{
    struct ebb_gang *g = a->gang;
    int64_t now_ns = ebb_now_ns(NULL);
    if (g->order.version == 0)
        return;
    for (uint32_t k = 1; k < a->task->gang_size; k++) {
        struct gang_peer *p = &g->peers[k];
        bool has_seen = p->status != NULL && p->status->seen >= g->order.version;
        bool is_ended = p->status != NULL && p->status->phase == EBB__GANG_STATUS__PHASE__ENDED;
        if (has_seen || is_ended ||
            (p->sent_version == g->order.version && now_ns - p->sent_ns < TELL_AGAIN_NS))
            continue;
        p->sent_version = g->order.version;
        p->sent_ns = now_ns;
        gang_send(a, k, &g->order, NULL);
    }
}
