/* Log against cloud: every look at the cloud's list of VMs with our tag compares the two.
 *
 *   in the log, and running          nothing to do (its launch is logged now if its answer was
 * lost) in the log, and ended            its attempts are lost, VmTerminated with the cloud's own
 * times in the log, not in the list      a list may lag: only after a minute, and only if silent
 *   ended or unknown in the log,
 *   and running                      nobody owns it: terminate
 *   two of one VM                    the second is terminated
 *
 * A list that cannot be had says nothing about the VMs. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "scheduler/daemon.h"

#define MISSING_NS       (60 * EBB_NS_PER_S)
#define IDLE_INTERVAL_NS (60 * EBB_NS_PER_S)
#define PRICE_OVERLAP_NS (10 * EBB_NS_PER_S)
#define LAST_WORDS_NS    EBB_NS_PER_S

struct look {
    struct ebb_daemon *daemon;
    int64_t since_wall_ns, began_wall_ns;
    struct ebb_instance *instances;
    size_t count, capacity;
    Ebb__PricePoint **points;
    size_t point_count, point_capacity;
    int rc;
    struct ebb_error err;
};

static int add_instance(void *ctx, const struct ebb_instance *i)
{
    struct look *t = ctx;
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 32;
        t->instances = ebb_realloc_array(t->instances, t->capacity, sizeof *t->instances);
    }
    t->instances[t->count++] = *i;
    return 0;
}

static int add_point(void *ctx, const Ebb__PricePoint *p)
{
    struct look *t = ctx;
    if (t->point_count == t->point_capacity) {
        t->point_capacity = t->point_capacity ? 2 * t->point_capacity : 32;
        t->points = ebb_realloc_array(t->points, t->point_capacity, sizeof(Ebb__PricePoint *));
    }
    size_t size = ebb__price_point__get_packed_size(p);
    uint8_t *bytes EBB_AUTO_FREE = ebb_alloc(size + 1);
    ebb__price_point__pack(p, bytes);
    Ebb__PricePoint *copy = ebb__price_point__unpack(NULL, size, bytes);
    if (copy == NULL)
        abort(); /* out of memory */
    t->points[t->point_count++] = copy;
    return 0;
}

/* Prices after the list: so they reach at least as far as any end the list tells. */
static void look_work(void *ctx)
{
    struct look *t = ctx;
    struct ebb_provider *p = t->daemon->provider;
    t->rc = ebb_provider_list(p, ebb_event_log_id(t->daemon->log), add_instance, t, &t->err);
    if (t->rc == 0)
        t->rc = ebb_provider_prices(p, t->since_wall_ns, add_point, t, &t->err);
}

/* ---- one VM ---- */

static void adopt(struct ebb_daemon *d, struct ebb_vm *vm, const struct ebb_instance *i)
{
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_launched(&a, vm, i->id, i->launched_wall_ns);
    ebb_log_info("%s is %s: found in the cloud", vm->id, i->id);
}

static void log_end(struct ebb_daemon *d, struct ebb_vm *vm, int64_t launched_wall_ns,
                    int64_t ended_wall_ns, bool interrupted, const char *reason)
{
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_ended(&a, vm, launched_wall_ns, ended_wall_ns, interrupted, reason);
    d->plan_not_before_ns = 0;
    ebb_log_info("%s ended: %s", vm->id, reason);
}

/* What it said before it ended may not have been read yet, such as how its jobs ended: the end of
 * its line comes after that. A line that was cut has no end, and is not waited for long. */
static bool may_have_last_words(const struct ebb_vm *vm, struct ebb_vm_run *run)
{
    int64_t now_ns = ebb_now_ns(NULL);
    if (vm->lease_count == 0 || run->link == NULL)
        return false;
    if (run->ended_ns == 0)
        run->ended_ns = now_ns;
    return now_ns - run->ended_ns < LAST_WORDS_NS;
}

static void compare_owned(struct ebb_daemon *d, struct ebb_vm *vm, const struct ebb_instance *i)
{
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    run->missing_ns = 0;
    if (vm->instance[0] == '\0')
        adopt(d, vm, i);
    if (i->state == EBB_INSTANCE_TERMINATED && may_have_last_words(vm, run)) {
        d->list_soon = true;
        return;
    }
    if (i->state == EBB_INSTANCE_TERMINATED) {
        log_end(d, vm, i->launched_wall_ns, i->ended_wall_ns, i->interrupted, i->reason);
        return;
    }
    if (vm->state == EBB_VM_TERMINATING && run->end_ns == 0)
        run->end_ns = ebb_now_ns(NULL);
    if (i->state == EBB_INSTANCE_STOPPING) {
        d->list_soon = true;
        if (run->link == NULL) /* what ends does not come back */
            ebb_fleet_vanish(d, vm, "the cloud is ending its VM");
    }
}

static void compare(struct ebb_daemon *d, const struct ebb_instance *i)
{
    bool runs = i->state == EBB_INSTANCE_PENDING || i->state == EBB_INSTANCE_RUNNING;
    struct ebb_vm *vm = ebb_state_vm(d->state, i->vm);
    bool ours = vm != NULL && ebb_vm_is_live(vm) &&
                (vm->instance[0] == '\0' || strcmp(vm->instance, i->id) == 0);
    if (ours)
        compare_owned(d, vm, i);
    else if (runs)
        ebb_fleet_terminate_instance(d, i->id);
}

static bool is_listed(const struct look *t, const struct ebb_vm *vm)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->instances[i].id, vm->instance) == 0)
            return true;
    }
    return false;
}

/* Its agent was there, has jobs, and is cut off: perhaps the cloud's answer lags behind its death.
 */
static bool is_doubtful(struct ebb_daemon *d, const struct ebb_vm *vm)
{
    return vm->joined && vm->lease_count > 0 && vm->state < EBB_VM_LOST &&
           ebb_daemon_run_of(d, vm->index)->link == NULL;
}

static void check_missing(struct ebb_daemon *d, const struct look *t, struct ebb_vm *vm)
{
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    int64_t now_ns = ebb_now_ns(NULL);
    if (!ebb_vm_is_live(vm) || vm->instance[0] == '\0' || is_listed(t, vm))
        return;
    if (run->missing_ns == 0)
        run->missing_ns = now_ns;
    bool silent = run->link == NULL;
    if (!silent || now_ns - run->missing_ns < MISSING_NS)
        return;
    log_end(d, vm, vm->launched_wall_ns, t->began_wall_ns, false, "the cloud no longer knows it");
}

static void look_free(struct look *t)
{
    for (size_t i = 0; i < t->point_count; i++)
        ebb__price_point__free_unpacked(t->points[i], NULL);
    free(t->points);
    free(t->instances);
    free(t);
}

static void look_done(void *ctx)
{
    struct look *t = ctx;
    struct ebb_daemon *d = t->daemon;
    int64_t now_ns = ebb_now_ns(NULL);
    d->listing = false;
    d->list_ns = now_ns + (int64_t)(d->options.list_interval_s * 1e9);
    if (t->rc < 0) {
        ebb_log_warn("cannot look at the VMs: %s", t->err.text);
        d->list_ns = now_ns + ebb_daemon_back_off(d, 2);
        look_free(t);
        return;
    }
    ebb_offers_observe(d, t->points, t->point_count);
    d->prices_since_ns = t->began_wall_ns - PRICE_OVERLAP_NS;
    for (size_t i = 0; i < t->count; i++)
        compare(d, &t->instances[i]);
    size_t count = d->state->live_count;
    EBB_AUTO_FREE uint32_t *live = ebb_memdup(d->state->live, count * sizeof *live);
    for (size_t i = 0; i < count; i++) {
        check_missing(d, t, d->state->vms[live[i]]);
        d->list_soon |= is_doubtful(d, d->state->vms[live[i]]);
    }
    d->listed_once = true;
    look_free(t);
}

void ebb_reconcile_hurry(struct ebb_daemon *d)
{
    int64_t now_ns = ebb_now_ns(NULL);
    d->list_soon = true;
    if (now_ns - d->hurried_ns < EBB_TIMING_LOOK_SOON_NS)
        return; /* many at once are one look */
    d->hurried_ns = now_ns;
    d->looked_ns = 0;
    ebb_timer_set(d->tick, 0);
}

void ebb_reconcile_tick(struct ebb_daemon *d, int64_t now_ns)
{
    int64_t due_ns = d->list_ns;
    if (d->list_soon && d->looked_ns + EBB_TIMING_LOOK_SOON_NS < due_ns)
        due_ns = d->looked_ns + EBB_TIMING_LOOK_SOON_NS;
    if (d->listed_once && d->state->live_count == 0 && d->state->active_count == 0)
        due_ns = d->looked_ns + IDLE_INTERVAL_NS;
    if (d->listing || now_ns < due_ns)
        return;
    struct look *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->since_wall_ns = d->prices_since_ns;
    t->began_wall_ns = ebb_wall_ns(NULL);
    t->rc = EBB_ERR_UNAVAILABLE; /* should it never be made */
    d->listing = true;
    d->list_soon = false;
    d->looked_ns = now_ns;
    ebb_workers_submit(d->workers, look_work, look_done, t);
}
