/* The fleet: the planner's launches and ends made true in the cloud.
 *
 *   VmIntended (with the boot script in a note) --commit--> launch(client token)
 *       answer ----------------------------> VmLaunched | VmLaunchFailed
 *       no answer, throttled, unavailable -> the same call again, same token, same script:
 *                                            the cloud gives the same VM
 *   VmTerminating --commit--> terminate, again until the cloud says it has ended (reconcile.c)
 *
 * Silence of an agent for the lease's time, or a boot that never ends, loses the VM: its attempts
 * go back to the queue at once; the epoch in the store keeps out what may still run there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "scheduler/daemon.h"

#define GIVE_UP_LAUNCH_NS (EBB_TIMING_GIVE_UP_LAUNCH_S * EBB_NS_PER_S)
#define END_AGAIN_NS      (EBB_TIMING_END_AGAIN_S * EBB_NS_PER_S)
#define NOTICED_GRACE_NS  (EBB_TIMING_NOTICED_GRACE_S * EBB_NS_PER_S)
#define JOIN_TOKEN_BYTES  24

/* ---- launching ---- */

struct launch {
    struct ebb_daemon *daemon;
    uint32_t vm;
    Ebb__Offer *offer;
    char *client_token, *id, *scheduler, *user_data;
    struct ebb_instance instance;
    int rc;
    struct ebb_error err;
};

static void launch_free(struct launch *t)
{
    ebb__offer__free_unpacked(t->offer, NULL);
    free(t->client_token);
    free(t->id);
    free(t->scheduler);
    free(t->user_data);
    free(t);
}

static void launch_work(void *ctx)
{
    struct launch *t = ctx;
    const struct ebb_launch_request q = {.offer = t->offer,
                                         .client_token = t->client_token,
                                         .vm = t->id,
                                         .scheduler = t->scheduler,
                                         .user_data = t->user_data};
    t->rc = ebb_provider_launch(t->daemon->provider, &q, &t->instance, &t->err);
}

static void note_key(const struct ebb_vm *vm, char *out, size_t size)
{
    snprintf(out, size, "launch-%s", vm->id);
}

static void forget_user_data(struct ebb_daemon *d, const struct ebb_vm *vm)
{
    char key[48];
    struct ebb_error err = {0};
    note_key(vm, key, sizeof key);
    if (ebb_event_log_set_note(d->log, key, NULL, &err) < 0)
        ebb_log_warn("%s: %s", vm->id, err.text);
    ebb_turn_schedule(d);
}

static void launched(struct ebb_daemon *d, struct ebb_vm *vm, const struct ebb_instance *i)
{
    if (!ebb_vm_is_live(vm)) { /* it was given up */
        ebb_fleet_terminate_instance(d, i->id);
        return;
    }
    if (vm->instance[0] == '\0') {
        struct ebb_actor a = ebb_turn_actor(d);
        ebb_act_launched(&a, vm, i->id, i->launched_wall_ns);
        ebb_log_info("%s is %s: %s in %s", vm->id, i->id, vm->offer->type, vm->offer->zone);
    }
    forget_user_data(d, vm);
}

static void launch_failed(struct ebb_daemon *d, struct ebb_vm *vm, int code, const char *reason)
{
    struct ebb_actor a = ebb_turn_actor(d);
    if (!ebb_act_launch_failed(&a, vm, code, reason))
        return; /* it runs: reconciling has found it, or its agent has come */
    ebb_log_warn("%s was not launched: %s", vm->id, reason);
    forget_user_data(d, vm);
}

static void launch_done(void *ctx)
{
    struct launch *t = ctx;
    struct ebb_daemon *d = t->daemon;
    struct ebb_vm *vm = d->state->vms[t->vm];
    struct ebb_vm_run *run = ebb_daemon_run_of(d, t->vm);
    run->launching = false;
    if (t->rc == 0) {
        launched(d, vm, &t->instance);
        d->list_soon = true;
    } else if (ebb_code_is_transient(t->rc) &&
               ebb_now_ns(NULL) - run->intended_ns < GIVE_UP_LAUNCH_NS && ebb_vm_is_live(vm)) {
        ebb_log_info("%s: launching again soon: %s", vm->id, t->err.text);
        run->launch_again_ns = ebb_now_ns(NULL) + ebb_daemon_back_off(d, run->launch_tries++);
    } else {
        launch_failed(d, vm, t->rc, t->err.text);
    }
    launch_free(t);
}

/* Also the way on after a restart: the note holds what the first call sent. */
static void launch_call(struct ebb_daemon *d, uint32_t index)
{
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_vm_run *run = ebb_daemon_run_of(d, index);
    char key[48];
    run->launch_again_ns = 0;
    if (run->launching || !ebb_vm_is_live(vm) || vm->instance[0] != '\0')
        return;
    note_key(vm, key, sizeof key);
    char *user_data = ebb_event_log_note(d->log, key);
    if (user_data == NULL) {
        launch_failed(d, vm, EBB_ERR_INTERNAL, "its boot script is not in the log");
        return;
    }
    struct launch *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->vm = index;
    t->offer = ebb_offer_copy(vm->offer);
    t->client_token = ebb_strdup(vm->client_token);
    t->id = ebb_strdup(vm->id);
    t->scheduler = ebb_strdup(ebb_event_log_id(d->log));
    t->user_data = user_data;
    t->rc = EBB_ERR_UNAVAILABLE; /* should it never be called */
    run->launching = true;
    ebb_workers_submit(d->workers, launch_work, launch_done, t);
}

static char *make_user_data(struct ebb_daemon *d, const char *vm, const char *token,
                            const Ebb__Offer *offer)
{
    return ebb_user_data_new(
        &(struct ebb_user_data){.program_url = d->program_url,
                                .vm = vm,
                                .token = token,
                                .scheduler = d->advertised,
                                .proxy = d->options.agent_proxy,
                                .authority_pem = ebb_tls_authority_certificate(d->authority),
                                .emulated = d->options.emulated,
                                .bill_time_scale = d->options.bill_time_scale,
                                .cpus = offer->cpus,
                                .memory_bytes = offer->memory_bytes});
}

static void intend(struct ebb_daemon *d, const Ebb__Offer *offer, const char *reason)
{
    char vm[32], token[2 * JOIN_TOKEN_BYTES + 1], key[64], client_token[72];
    uint8_t hash[EBB_SHA256_SIZE];
    struct ebb_error err = {0};
    ebb_state_next_vm_id(d->state, vm);
    ebb_random_hex(token, JOIN_TOKEN_BYTES);
    ebb_sha256(token, strlen(token), hash);
    snprintf(client_token, sizeof client_token, "%s-%s", ebb_event_log_id(d->log), vm);
    snprintf(key, sizeof key, "launch-%s", vm);
    EBB_AUTO_FREE char *user_data = make_user_data(d, vm, token, offer);
    const struct ebb_vm_intent intent = {.offer = offer,
                                         .vm = vm,
                                         .client_token = client_token,
                                         .join_token_sha256 = hash,
                                         .reason = reason};
    struct ebb_actor a = ebb_turn_actor(d);
    uint32_t index = (uint32_t)d->state->vm_count;
    if (ebb_act_intend(&a, &intent) < 0)
        return;
    if (ebb_event_log_set_note(d->log, key, user_data, &err) < 0) {
        ebb_daemon_fail(d, &err);
        return;
    }
    ebb_daemon_run_of(d, index);
    ebb_log_info("%s: launching %s in %s: %s", vm, offer->type, offer->zone, reason);
    ebb_turn_after(d, launch_call, index);
}

/* ---- planning ---- */

static void act_on_plan(struct ebb_daemon *d, const struct ebb_plan *p, int64_t now_wall_ns)
{
    for (size_t i = 0; i < p->launch_count; i++) {
        for (uint32_t n = 0; n < p->launches[i].count; n++)
            intend(d, d->offers[p->launches[i].offer], p->launches[i].reason);
    }
    for (size_t i = 0; i < p->end_count; i++)
        ebb_fleet_end(d, d->state->vms[p->ends[i].vm], p->ends[i].drain, p->ends[i].reason);
    for (size_t i = 0; i < p->over_budget_count; i++) {
        struct ebb_bag *b = d->state->bags[p->over_budget[i]];
        if (!b->cancelled)
            ebb_leases_cancel_bag(d, b, "its budget is spent", true);
    }
    for (size_t i = 0; i < p->near_budget_count; i++) {
        struct ebb_actor a = ebb_turn_actor(d);
        ebb_act_budget_near(&a, &p->near_budget[i]);
        ebb_log_warn("bag %s has nearly spent its budget",
                     d->state->bags[p->near_budget[i].bag]->spec->id);
    }
    int64_t in_ns = p->again_wall_ns - now_wall_ns;
    d->plan_again_ns = p->again_wall_ns == 0 ? 0 : ebb_now_ns(NULL) + (in_ns > 0 ? in_ns : 0);
}

void ebb_fleet_plan(struct ebb_daemon *d)
{
    if (d->stopping || !d->offers_known || d->program_url == NULL)
        return; /* wanted again when these are there */
    struct ebb_plan plan = {0};
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    const struct ebb_plan_input in = {.state = d->state,
                                      .offers = (const Ebb__Offer *const *)d->offers,
                                      .offer_count = d->offer_count,
                                      .policy = &d->options.policy,
                                      .now_wall_ns = now_wall_ns,
                                      .random = ebb_random_uniform(&d->random),
                                      .tables = d->tables};
    ebb_plan(&in, &plan);
    act_on_plan(d, &plan, now_wall_ns);
    ebb_plan_clean_up(&plan);
}

/* ---- ending ---- */

struct ending {
    struct ebb_daemon *daemon;
    uint32_t vm; /* EBB_NONE: one that nobody owns */
    char instance[32];
    int rc;
    struct ebb_error err;
};

static void end_work(void *ctx)
{
    struct ending *t = ctx;
    const char *ids[] = {t->instance};
    t->rc = ebb_provider_terminate(t->daemon->provider, ids, 1, &t->err);
}

static void end_done(void *ctx)
{
    struct ending *t = ctx;
    struct ebb_daemon *d = t->daemon;
    if (t->rc < 0)
        ebb_log_warn("cannot terminate %s, will try again: %s", t->instance, t->err.text);
    if (t->vm != EBB_NONE) {
        struct ebb_vm_run *run = ebb_daemon_run_of(d, t->vm);
        run->ending = false;
        run->end_ns = ebb_now_ns(NULL) +
                      (t->rc == 0 ? END_AGAIN_NS : ebb_daemon_back_off(d, run->end_tries++));
    }
    d->list_soon = true;
    free(t);
}

static void terminate(struct ebb_daemon *d, uint32_t vm, const char *instance)
{
    struct ending *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->vm = vm;
    snprintf(t->instance, sizeof t->instance, "%s", instance);
    ebb_workers_submit(d->workers, end_work, end_done, t);
}

void ebb_fleet_terminate_instance(struct ebb_daemon *d, const char *instance)
{
    ebb_log_warn("terminating %s, which nobody owns", instance);
    terminate(d, EBB_NONE, instance);
}

static void end_call(struct ebb_daemon *d, uint32_t index)
{
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_vm_run *run = ebb_daemon_run_of(d, index);
    if (!ebb_vm_is_live(vm) || run->ending)
        return;
    if (vm->instance[0] == '\0') {
        /* Perhaps the launch is still under way: its answer says what there is to end. */
        if (!run->launching && run->launch_again_ns == 0)
            launch_failed(d, vm, EBB_ERR_CANCELLED, "no longer wanted before it was launched");
        run->end_ns = ebb_now_ns(NULL) + EBB_NS_PER_S;
        return;
    }
    run->ending = true;
    terminate(d, index, vm->instance);
}

static void log_terminating(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_terminating(&a, vm, reason);
    ebb_log_info("%s: terminating: %s", vm->id, reason);
}

static void end_now(struct ebb_daemon *d, struct ebb_vm *vm)
{
    ebb_daemon_run_of(d, vm->index)->end_ns = ebb_now_ns(NULL);
    ebb_turn_after(d, end_call, vm->index);
}

void ebb_fleet_end(struct ebb_daemon *d, struct ebb_vm *vm, bool drain, const char *reason)
{
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    if (!ebb_vm_is_live(vm))
        return;
    if (vm->state == EBB_VM_TERMINATING) {
        if (!drain) { /* nor does it wait for the cloud, or for its jobs, any longer */
            ebb_leases_lose(d, vm, reason);
            end_now(d, vm);
        }
        return;
    }
    log_terminating(d, vm, reason);
    if (!drain || vm->lease_count == 0) {
        ebb_leases_lose(d, vm, reason);
        end_now(d, vm);
        return;
    }
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__Drain order = EBB__DRAIN__INIT;
    order.reason = (char *)(uintptr_t)reason;
    order.within_s = d->options.drain_s;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_DRAIN;
    m.drain = &order;
    if (run->link != NULL) /* else at its next Hello, unless it stays silent */
        ebb_turn_tell_agent(d, run->link, &m);
    run->end_ns =
        ebb_now_ns(NULL) + (int64_t)((d->options.drain_s + EBB_TIMING_DRAIN_GRACE_S) * 1e9);
}

static void give_up(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    struct ebb_actor a = ebb_turn_actor(d);
    if (vm->state != EBB_VM_TERMINATING)
        ebb_log_warn("%s is lost: %s", vm->id, reason);
    ebb_act_give_up(&a, vm, reason);
    d->plan_not_before_ns = 0; /* a replacement is not put off */
}

void ebb_fleet_lose(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    if (!ebb_vm_is_live(vm))
        return;
    give_up(d, vm, reason);
    end_now(d, vm);
}

void ebb_fleet_vanish(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    if (!ebb_vm_is_live(vm) || vm->state >= EBB_VM_LOST)
        return;
    give_up(d, vm, reason);
    ebb_daemon_run_of(d, vm->index)->end_ns = ebb_now_ns(NULL) + END_AGAIN_NS;
}

int64_t ebb_fleet_taken_ns(const struct ebb_vm *vm)
{
    int64_t left_ns = vm->notice_deadline_wall_ns - ebb_wall_ns(NULL);
    if (vm->notice_deadline_wall_ns == 0)
        return 0;
    return ebb_now_ns(NULL) + (left_ns > 0 ? left_ns : 0) + NOTICED_GRACE_NS;
}

void ebb_fleet_left(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    if (!ebb_vm_is_live(vm))
        return;
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    if (vm->state != EBB_VM_TERMINATING)
        log_terminating(d, vm, reason);
    run->end_ns = ebb_fleet_taken_ns(vm);
    if (run->end_ns == 0)
        end_now(d, vm);
}

/* ---- deadlines ---- */

static void watch_agent(struct ebb_daemon *d, struct ebb_vm *vm, const struct ebb_vm_run *run,
                        int64_t now_ns)
{
    char reason[120];
    double silent_s = (double)(now_ns - run->heard_ns) / 1e9;
    double age_s = (double)(now_ns - run->intended_ns) / 1e9;
    const struct ebb_terms terms = {d->options.lease_ttl_s, d->options.boot_timeout_s};
    if (ebb_vm_is_overdue(vm, silent_s, age_s, &terms, reason))
        ebb_fleet_lose(d, vm, reason);
}

static void watch_vm(struct ebb_daemon *d, struct ebb_vm *vm, int64_t now_ns)
{
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    watch_agent(d, vm, run, now_ns);
    run = ebb_daemon_run_of(d, vm->index);
    if (run->launch_again_ns != 0 && now_ns >= run->launch_again_ns)
        ebb_turn_after(d, launch_call, vm->index);
    if (run->end_ns != 0 && now_ns >= run->end_ns && !run->ending &&
        vm->state == EBB_VM_TERMINATING) {
        ebb_leases_lose(d, vm, "its VM was ended before it was handed back");
        run->end_ns = now_ns + END_AGAIN_NS;
        ebb_turn_after(d, end_call, vm->index);
    }
}

/* While this process stood still (a slow disk, a halted machine) nobody was heard, and what agents
 * said lies unread: that is no silence of theirs. */
static void forgive_own_silence(struct ebb_daemon *d, int64_t now_ns)
{
    int64_t still_ns = d->ticked_ns == 0 ? 0 : now_ns - d->ticked_ns - EBB_TIMING_TICK_NS;
    d->ticked_ns = now_ns;
    for (size_t i = 0; i < d->run_count && still_ns > EBB_TIMING_TICK_NS; i++) {
        int64_t heard_ns = d->runs[i].heard_ns + still_ns;
        d->runs[i].heard_ns = heard_ns < now_ns ? heard_ns : now_ns;
    }
}

void ebb_fleet_tick(struct ebb_daemon *d, int64_t now_ns)
{
    forgive_own_silence(d, now_ns);
    size_t count = d->state->live_count;
    EBB_AUTO_FREE uint32_t *live = ebb_memdup(d->state->live, count * sizeof *live);
    for (size_t i = 0; i < count; i++) {
        struct ebb_vm *vm = d->state->vms[live[i]];
        if (ebb_vm_is_live(vm))
            watch_vm(d, vm, now_ns);
    }
}
