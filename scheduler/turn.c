/* A turn of the loop: group commit.
 *
 *   callbacks of an iteration: emit, emit, tell, emit, answer ...   (state applied at once)
 *   the turn, in the next one: plan, place leases, finish bags -> commit -> release what waited
 *
 * While the commit syncs, messages gather in the sockets and make up the next turn, so the number
 * of syncs falls as the load rises. The state runs ahead of the log by one turn at most, and
 * nothing that leaves the process shows it: a crash before the commit is a crash before the
 * messages came. A commit that fails ends the program, since the state cannot be taken back. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "scheduler/daemon.h"

enum outgoing_kind { TO_AGENT, TO_CLIENT, CALL };

struct ebb_outgoing {
    enum outgoing_kind kind;
    union {
        struct ebb_agent_link *agent;
        struct ebb_client_link *client;
        void (*fn)(struct ebb_daemon *d, uint32_t vm);
    };
    size_t offset, len; /* in outgoing_bytes */
    uint32_t vm;
};

void ebb_turn_schedule(struct ebb_daemon *d)
{
    if (d->turn_scheduled)
        return;
    d->turn_scheduled = true;
    ebb_timer_set(d->turn, 0);
}

void ebb_turn_want_plan(struct ebb_daemon *d)
{
    d->plan_wanted = true;
    ebb_turn_schedule(d);
}

int ebb_turn_emit(struct ebb_daemon *d, Ebb__Event *e, struct ebb_error *err)
{
    e->sequence = d->state->last_sequence + 1;
    e->wall_ns = ebb_wall_ns(NULL);
    if (e->wall_ns < d->state->last_wall_ns)
        e->wall_ns = d->state->last_wall_ns; /* the log's time never runs backwards */
    uint32_t gang[EBB_GANG_MOST];
    uint32_t gang_size = ebb_leases_gang(d, e, gang);
    int rc = ebb_state_apply(d->state, e, err);
    if (rc < 0)
        return rc;
    if (gang_size > 0)
        ebb_leases_disband(d, e->attempt_ended, gang, gang_size);
    struct ebb_error fault = {0};
    rc = ebb_event_log_append(d->log, e, &fault);
    if (rc < 0) {
        ebb_error_copy(err, &fault);
        ebb_daemon_fail(d, &fault);
        return rc;
    }
    if (d->committing != NULL) {
        d->committing =
            ebb_realloc_array(d->committing, d->committing_count + 2, sizeof *d->committing);
        d->committing[d->committing_count++] = (char *)(uintptr_t)ebb_event_kind_name(e);
    }
    d->plan_wanted = true;
    ebb_turn_schedule(d);
    return 0;
}

static int emit_own(void *ctx, Ebb__Event *e)
{
    struct ebb_error err = {0};
    int rc = ebb_turn_emit(ctx, e, &err);
    if (rc < 0)
        ebb_log_error("event %s: %s", ebb_event_kind_name(e), err.text);
    return rc;
}

void ebb_turn_emit_own(struct ebb_daemon *d, Ebb__Event *e)
{
    (void)emit_own(d, e);
}

struct ebb_actor ebb_turn_actor(struct ebb_daemon *d)
{
    return (struct ebb_actor){.state = d->state, .emit = emit_own, .ctx = d};
}

/* ---- what waits for the commit ---- */

static struct ebb_outgoing *add_outgoing(struct ebb_daemon *d, enum outgoing_kind kind)
{
    if (d->outgoing_count == d->outgoing_capacity) {
        d->outgoing_capacity = d->outgoing_capacity ? 2 * d->outgoing_capacity : 64;
        d->outgoing = ebb_realloc_array(d->outgoing, d->outgoing_capacity, sizeof *d->outgoing);
    }
    struct ebb_outgoing *o = &d->outgoing[d->outgoing_count++];
    *o = (struct ebb_outgoing){.kind = kind, .offset = d->outgoing_bytes.len};
    ebb_turn_schedule(d);
    return o;
}

static size_t pack(struct ebb_daemon *d, const ProtobufCMessage *m)
{
    size_t size = protobuf_c_message_get_packed_size(m);
    ebb_buffer_reserve(&d->outgoing_bytes, size + 1);
    protobuf_c_message_pack(m, d->outgoing_bytes.data + d->outgoing_bytes.len);
    d->outgoing_bytes.len += size;
    return size;
}

void ebb_turn_tell_agent(struct ebb_daemon *d, struct ebb_agent_link *a,
                         const Ebb__SchedulerMessage *m)
{
    struct ebb_outgoing *o = add_outgoing(d, TO_AGENT);
    o->agent = a;
    ebb_agent_ref(a);
    o->len = pack(d, &m->base);
}

void ebb_turn_answer(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__ClientAnswer *m)
{
    size_t size = ebb__client_answer__get_packed_size(m);
    if (size > EBB_CHANNEL_MAX_FRAME_BYTES) {
        struct ebb_error err = {0};
        ebb_error_set(&err, EBB_ERR_INPUT, "the answer has %zu MiB: ask for less at a time",
                      size >> 20);
        ebb_client_fail(d, c, &err);
        return;
    }
    struct ebb_outgoing *o = add_outgoing(d, TO_CLIENT);
    o->client = c;
    ebb_client_ref(c);
    o->len = pack(d, &m->base);
}

void ebb_turn_after(struct ebb_daemon *d, void (*fn)(struct ebb_daemon *d, uint32_t vm),
                    uint32_t vm)
{
    struct ebb_outgoing *o = add_outgoing(d, CALL);
    o->fn = fn;
    o->vm = vm;
}

/* `send` false: only lets go. */
static void release_outgoing(struct ebb_daemon *d, bool send)
{
    /* Taken first: what is called here may put new things out, for the next turn. */
    struct ebb_outgoing *list = EBB_TAKE(d->outgoing);
    struct ebb_buffer bytes = d->outgoing_bytes;
    size_t count = d->outgoing_count;
    d->outgoing_bytes = (struct ebb_buffer){0};
    d->outgoing_count = d->outgoing_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        struct ebb_outgoing *o = &list[i];
        if (o->kind == TO_AGENT) {
            if (send)
                ebb_agent_send(o->agent, bytes.data + o->offset, o->len);
            ebb_agent_unref(o->agent);
        } else if (o->kind == TO_CLIENT) {
            if (send)
                ebb_client_send(o->client, bytes.data + o->offset, o->len);
            ebb_client_unref(o->client);
        } else if (send) {
            o->fn(d, o->vm);
        }
    }
    free(list);
    ebb_buffer_clean_up(&bytes);
}

/* EBB_FAULT=log-<kind>[:n]: the n-th event of that kind has just become durable, and nothing that
 * follows from it has happened. */
void ebb_turn_pass_fault_points(struct ebb_daemon *d)
{
    static long passed;
    const char *wanted = d->committing_count > 0 ? getenv("EBB_FAULT") : NULL;
    for (size_t i = 0; wanted != NULL && i < d->committing_count; i++) {
        size_t len = strlen(d->committing[i]);
        if (strncmp(wanted, "log-", 4) != 0 || strncmp(wanted + 4, d->committing[i], len) != 0 ||
            (wanted[4 + len] != '\0' && wanted[4 + len] != ':'))
            continue;
        long n = wanted[4 + len] == ':' ? strtol(wanted + 5 + len, NULL, 10) : 1;
        if (++passed == n)
            (void)kill(getpid(), SIGKILL);
    }
    d->committing_count = 0;
}

static void plan_when_due(struct ebb_daemon *d)
{
    int64_t now_ns = ebb_now_ns(NULL);
    bool due = d->plan_wanted || (d->plan_again_ns != 0 && now_ns >= d->plan_again_ns);
    if (!due || now_ns < d->plan_not_before_ns)
        return;
    d->plan_wanted = false;
    d->plan_not_before_ns = now_ns + EBB_TIMING_PLAN_NS;
    ebb_fleet_plan(d);
}

static void on_turn(void *ctx)
{
    struct ebb_daemon *d = ctx;
    struct ebb_error err = {0};
    d->turn_scheduled = false;
    ebb_leases_warn_siblings(d);
    ebb_leases_place(d);
    ebb_leases_finish_bags(d);
    plan_when_due(d);
    if (d->failed.code != 0)
        return;
    bool news = ebb_event_log_batch_count(d->log) > 0;
    if (ebb_event_log_commit(d->log, &err) < 0) {
        ebb_daemon_fail(d, &err);
        return;
    }
    ebb_turn_pass_fault_points(d);
    release_outgoing(d, true);
    if (news) {
        d->busy_ns = ebb_now_ns(NULL);
        ebb_clients_after_commit(d);
    }
}

int ebb_turn_init(struct ebb_daemon *d, struct ebb_error *err)
{
    (void)err;
    d->turn = ebb_timer_new(d->loop, on_turn, d);
    if (getenv("EBB_FAULT") != NULL)
        d->committing = ebb_alloc(2 * sizeof *d->committing);
    return 0;
}

void ebb_turn_clean_up(struct ebb_daemon *d)
{
    release_outgoing(d, false);
    ebb_timer_destroy(d->turn);
    free(d->committing);
}
