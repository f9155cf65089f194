/* The daemon's life: open the log, replay it, listen, reconcile, work, end.
 *
 * After the replay the state is as it was at the last commit; what was under way in the cloud is
 * taken up from it: intended VMs are launched again with their old token and script, VMs being
 * ended are ended again, agents have a lease's time to come back. */
#include "scheduler/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "scheduler/core/intervals.h"
#include "scheduler/core/time_price.h"

#define WORKERS 8

struct ebb_vm_run *ebb_daemon_run_of(struct ebb_daemon *d, uint32_t vm)
{
    if (vm >= d->run_count) {
        size_t count = vm + 64;
        d->runs = ebb_realloc_array(d->runs, count, sizeof *d->runs);
        int64_t now_ns = ebb_now_ns(NULL);
        for (size_t i = d->run_count; i < count; i++)
            d->runs[i] = (struct ebb_vm_run){.heard_ns = now_ns, .intended_ns = now_ns};
        d->run_count = count;
    }
    return &d->runs[vm];
}

int64_t ebb_daemon_back_off(struct ebb_daemon *d, uint32_t tries)
{
    return ebb_timing_back_off_ns(tries, ebb_random_uniform(&d->random));
}

void ebb_daemon_fail(struct ebb_daemon *d, const struct ebb_error *err)
{
    if (d->failed.code == 0) {
        ebb_error_copy(&d->failed, err);
        ebb_log_error("ending, to start again from the log: %s", err->text);
    }
    ebb_loop_stop(d->loop);
}

/* ---- start ---- */

static int replay_one(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_daemon *d = ctx;
    int rc = ebb_state_apply(d->state, e, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "event %llu (%s)", (unsigned long long)e->sequence,
                              ebb_event_kind_name(e));
    return 0;
}

static bool is_configured(const struct ebb_daemon *d)
{
    const Ebb__CloudConfigured *c = d->state->cloud;
    return c != NULL && strcmp(c->provider, d->provider->name) == 0 &&
           strcmp(c->region, d->provider->region) == 0 &&
           (bool)c->emulated == d->options.emulated &&
           c->bill_time_scale == d->options.bill_time_scale &&
           strcmp(c->store_url, d->store_url != NULL ? d->store_url : "") == 0;
}

static void configure_cloud(struct ebb_daemon *d)
{
    const char *store = d->options.store_url;
    if (store == NULL && d->state->cloud != NULL && d->state->cloud->store_url[0] != '\0')
        store = d->state->cloud->store_url;
    d->store_url = ebb_strdup(store);
    if (is_configured(d))
        return;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__CloudConfigured m = EBB__CLOUD_CONFIGURED__INIT;
    m.provider = (char *)(uintptr_t)d->provider->name;
    m.region = d->provider->region;
    m.emulated = d->options.emulated;
    m.bill_time_scale = d->options.bill_time_scale;
    m.store_url = d->store_url != NULL ? d->store_url : (char *)"";
    e.kind_case = EBB__EVENT__KIND_CLOUD_CONFIGURED;
    e.cloud_configured = &m;
    ebb_turn_emit_own(d, &e);
}

/* What a former life has left half done. */
static void take_up(struct ebb_daemon *d)
{
    int64_t now_ns = ebb_now_ns(NULL);
    for (size_t i = 0; i < d->state->live_count; i++) {
        struct ebb_vm *vm = d->state->vms[d->state->live[i]];
        struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
        if (vm->state == EBB_VM_TERMINATING && vm->lease_count > 0)
            run->end_ns = now_ns + (int64_t)(d->options.drain_s * 1e9);
        else if (vm->state == EBB_VM_TERMINATING)
            run->end_ns = vm->notice_deadline_wall_ns != 0 ? ebb_fleet_taken_ns(vm) : now_ns;
        else if (vm->instance[0] == '\0')
            run->launch_again_ns = now_ns;
        ebb_log_info("%s was %s with %zu leases", vm->id, ebb_vm_state_name(vm->state),
                     vm->lease_count);
    }
    d->list_soon = true;
    d->prices_since_ns =
        d->state->live_count > 0 ? d->state->last_wall_ns - 60 * EBB_NS_PER_S : ebb_wall_ns(NULL);
}

static int open_log(struct ebb_daemon *d, struct ebb_error *err)
{
    int rc = ebb_mkdir_p(d->state_dir, 0700, err);
    if (rc == 0)
        rc = ebb_event_log_open(d->state_dir, false, &d->log, err);
    if (rc == 0)
        rc = ebb_event_log_read(d->log, 0, 0, replay_one, d, err);
    if (rc == 0)
        ebb_log_info("replayed %llu events: %zu bags, %zu live VMs",
                     (unsigned long long)d->state->last_sequence, d->state->bag_count,
                     d->state->live_count);
    return rc;
}

static int write_pid(const struct ebb_daemon *d, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(d->state_dir, "scheduler.pid");
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ebb_file_write_atomic(path, text, (size_t)len, 0644, err);
}

static bool may_exit(const struct ebb_daemon *d, int64_t now_ns)
{
    if (d->stopping)
        return now_ns >= d->stop_ns || (d->stop_when_empty && d->state->live_count == 0);
    if (d->options.idle_exit_s <= 0 || d->clients != NULL || !ebb_state_is_idle(d->state) ||
        ebb_workers_pending(d->workers) > 0)
        return false;
    return (double)(now_ns - d->busy_ns) / 1e9 >= d->options.idle_exit_s;
}

static void on_tick(void *ctx)
{
    struct ebb_daemon *d = ctx;
    int64_t now_ns = ebb_now_ns(NULL);
    ebb_timer_set(d->tick, EBB_TIMING_TICK_NS);
    ebb_fleet_tick(d, now_ns);
    ebb_reconcile_tick(d, now_ns);
    ebb_prices_tick(d, now_ns);
    ebb_offers_tick(d, now_ns);
    ebb_stores_tick(d, now_ns);
    ebb_clients_tick(d, now_ns);
    if (d->plan_wanted || (d->plan_again_ns != 0 && now_ns >= d->plan_again_ns))
        ebb_turn_schedule(d);
    if (!ebb_state_is_idle(d->state))
        d->busy_ns = now_ns;
    if (may_exit(d, now_ns)) {
        ebb_log_info("ending: %s", d->stopping ? "asked to" : "nothing left to do");
        ebb_loop_stop(d->loop);
    }
}

static void on_signal(void *ctx)
{
    struct ebb_daemon *d = ctx;
    ebb_log_info("ending: signalled; VMs work on, and are taken up by the next scheduler");
    ebb_loop_stop(d->loop);
}

static int begin(struct ebb_daemon *d, struct ebb_error *err)
{
    EBB_AUTO_FREE char *authority = ebb_path_join(d->state_dir, "authority");
    int rc = open_log(d, err);
    if (rc == 0)
        rc = ebb_tls_authority_open(authority, &d->authority, err);
    if (rc == 0)
        rc = ebb_turn_init(d, err);
    if (rc < 0)
        return rc;
    d->intervals = ebb_intervals_new();
    d->tables = ebb_time_tables_new();
    configure_cloud(d);
    take_up(d);
    rc = ebb_agents_listen(d, err);
    if (rc == 0)
        rc = ebb_event_log_commit(d->log, err);
    if (rc == 0) {
        ebb_turn_pass_fault_points(d);
        rc = write_pid(d, err);
    }
    if (rc == 0)
        rc = ebb_clients_listen(d, err);
    return rc;
}

int ebb_daemon_new(const struct ebb_daemon_options *o, struct ebb_daemon **ret,
                   struct ebb_error *err)
{
    struct ebb_daemon *d = ebb_alloc(sizeof *d);
    d->options = *o;
    d->provider = o->provider;
    d->state_dir = ebb_strdup(o->state_dir);
    d->loop = ebb_loop_new();
    d->workers = ebb_workers_new(d->loop, WORKERS);
    d->state = ebb_state_new();
    ebb_random_seed(&d->random, o->seed);
    d->busy_ns = ebb_now_ns(NULL);
    ebb_stores_init(d);
    d->tick = ebb_timer_new(d->loop, on_tick, d);
    int rc = begin(d, err);
    if (rc < 0) {
        ebb_daemon_destroy(d);
        return rc;
    }
    if (!o->upload_program)
        d->program_url = ebb_strdup("");
    d->on_term = ebb_watch_signal(d->loop, SIGTERM, on_signal, d);
    d->on_int = ebb_watch_signal(d->loop, SIGINT, on_signal, d);
    ebb_timer_set(d->tick, 0);
    *ret = d;
    return 0;
}

int ebb_daemon_run(struct ebb_daemon *d, struct ebb_error *err)
{
    int rc = ebb_loop_run(d->loop, err);
    if (rc < 0 || d->failed.code == 0)
        return rc;
    ebb_error_copy(err, &d->failed);
    return d->failed.code;
}

int ebb_daemon_agent_port(const struct ebb_daemon *d)
{
    return ebb_listener_port(d->agent_listener);
}

void ebb_daemon_destroy(struct ebb_daemon *d)
{
    if (d == NULL)
        return;
    ebb_workers_destroy(d->workers);
    for (int i = 0; i < 3; i++) /* results that came too late only free themselves */
        ebb_loop_run_posted(d->loop);
    ebb_watch_destroy(d->on_term);
    ebb_watch_destroy(d->on_int);
    ebb_timer_destroy(d->tick);
    ebb_turn_clean_up(d);
    ebb_clients_clean_up(d);
    ebb_agents_clean_up(d);
    ebb_event_log_destroy(d->log);
    ebb_tls_authority_destroy(d->authority);
    ebb_offers_clean_up(d);
    ebb_stores_clean_up(d);
    ebb_state_destroy(d->state);
    ebb_intervals_destroy(d->intervals);
    ebb_time_tables_destroy(d->tables);
    ebb_loop_destroy(d->loop);
    free(d->runs);
    free(d->store_url);
    free(d->advertised);
    free(d->state_dir);
    free(d);
}
