/* Faults come from the fleet file and by hand (POST /_ebb/fault). Whether one is active depends on
 * the clock and, when it is tied to a launch, on how far that VM has come. */
#include "cloud/emulator/faults.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"

/* Seconds since the window opened, negative when it has not or is over. */
static double window_age(const struct ebb_emulator *e, const struct ebb_fleet_window *w)
{
    double age_s = ebb_emulator_now_s(e) - w->when.at_s;

    if (w->when.vm > 0) {
        const struct ebb_guest *vm = NULL;

        for (size_t i = 0; i < e->vm_count && vm == NULL; i++)
            if (e->vms[i]->ordinal == w->when.vm)
                vm = e->vms[i];
        if (vm == NULL || vm->phase_ns[w->when.phase] == 0)
            return -1;
        age_s = (double)(ebb_now_ns(NULL) - vm->phase_ns[w->when.phase]) / 1e9 - w->when.at_s;
    }
    return age_s >= 0 && age_s < w->for_s ? age_s : -1;
}

static bool applies(struct ebb_emulator *e, const struct ebb_fleet_fault *f,
                    enum ebb_fleet_fault_kind kind, enum ebb_fleet_service service,
                    const char *action, int zone, int type)
{
    return f->kind == kind && (f->service == EBB_FLEET_SERVICE_ANY || f->service == service) &&
           (f->action[0] == '\0' || strcmp(f->action, action) == 0) &&
           (f->zone < 0 || f->zone == zone) && (f->type < 0 || f->type == type) &&
           window_age(e, &f->window) >= 0 &&
           (f->rate >= 1 || ebb_random_uniform(&e->random) < f->rate);
}

bool ebb_faults_hit(struct ebb_emulator *e, enum ebb_fleet_fault_kind kind,
                    enum ebb_fleet_service service, const char *action, int zone, int type)
{
    for (size_t i = 0; i < e->fault_count; i++)
        if (applies(e, &e->faults[i], kind, service, action, zone, type))
            return true;
    return false;
}

bool ebb_faults_vm_is_partitioned(struct ebb_emulator *e, const struct ebb_guest *vm)
{
    for (size_t i = 0; i < e->fault_count; i++) {
        const struct ebb_fleet_fault *f = &e->faults[i];

        if (f->kind == EBB_FLEET_FAULT_PARTITION && (f->vm == 0 || f->vm == vm->ordinal) &&
            (f->zone < 0 || f->zone == vm->zone) && window_age(e, &f->window) >= 0)
            return true;
    }
    return false;
}

bool ebb_faults_vm_is_hidden(struct ebb_emulator *e, const struct ebb_guest *vm)
{
    double age_s = (double)(ebb_now_ns(NULL) - vm->phase_ns[EBB_FLEET_PHASE_LAUNCH]) / 1e9;

    if (vm->phase_ns[EBB_FLEET_PHASE_LAUNCH] == 0)
        return false;
    for (size_t i = 0; i < e->fault_count; i++)
        if (e->faults[i].kind == EBB_FLEET_FAULT_STALE_DESCRIBE && age_s < e->faults[i].lag_s &&
            window_age(e, &e->faults[i].window) >= 0)
            return true;
    return false;
}

void ebb_faults_shape_transfer(struct ebb_exchange *x, enum ebb_fleet_service service,
                               const char *action, uint64_t bytes)
{
    struct ebb_emulator *e = x->emulator;

    for (size_t i = 0; i < e->fault_count; i++) {
        const struct ebb_fleet_fault *f = &e->faults[i];

        if (f->bandwidth_bytes_per_s == 0 ||
            !applies(e, f, EBB_FLEET_FAULT_SLOW, service, action, -1, -1))
            continue;
        double takes_s = (double)bytes / (double)f->bandwidth_bytes_per_s;
        double left_s = f->window.for_s - window_age(e, &f->window);
        x->delay_ns += (int64_t)((takes_s < left_s ? takes_s : left_s) * 1e9);
    }
}

void ebb_faults_shape_answer(struct ebb_exchange *x, enum ebb_fleet_service service,
                             const char *action)
{
    struct ebb_emulator *e = x->emulator;

    for (size_t i = 0; i < e->fault_count; i++)
        if (e->faults[i].latency_s > 0 &&
            applies(e, &e->faults[i], EBB_FLEET_FAULT_SLOW, service, action, -1, -1))
            x->delay_ns += (int64_t)(e->faults[i].latency_s * 1e9);
    if (ebb_faults_hit(e, EBB_FLEET_FAULT_LOST_ANSWER, service, action, -1, -1))
        x->lose = true;
}

void ebb_faults_add(struct ebb_emulator *e, const struct ebb_fleet_fault *fault)
{
    e->faults = ebb_realloc_array(e->faults, e->fault_count + 1, sizeof(*e->faults));
    e->faults[e->fault_count++] = *fault;
}
