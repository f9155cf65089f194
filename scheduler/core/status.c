/* Answers to the command line, from the state. */
#include "scheduler/core/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/accounts.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/score.h"
#include "scheduler/core/speed.h"
#include "scheduler/core/sweep.h"

static char *text(const char *s)
{
    return ebb_strdup(s == NULL ? "" : s);
}

size_t ebb_bag_counts_new(const struct ebb_bag *b, Ebb__StateCount ***ret)
{
    Ebb__StateCount **counts = ebb_alloc_array(EBB_JOB_STATES, sizeof(Ebb__StateCount *));
    size_t n = 0;
    for (int i = 0; i < EBB_JOB_STATES; i++) {
        if (b->counts[i] == 0)
            continue;
        Ebb__StateCount *c = ebb_alloc(sizeof *c);
        ebb__state_count__init(c);
        c->state = text(ebb_job_state_name(i));
        c->count = b->counts[i];
        counts[n++] = c;
    }
    *ret = counts;
    return n;
}

/* Useful seconds of the group's jobs. */
static double full_s(const struct ebb_group *g)
{
    static const double unknown_s = 600;
    bool known = g->spec->resources != NULL && g->spec->resources->time_s > 0;
    return ebb_pace_group_s(g, known ? g->spec->resources->time_s : unknown_s, known);
}

/* Of the job, in a group whose jobs take so many, on the VM that it has; what ran since its newest
 * commit is behind it. */
static double job_left_s(const struct ebb_state *s, const struct ebb_group *g,
                         const struct ebb_job *j, double group_s, int64_t now_wall_ns)
{
    if (j->state >= EBB_JOB_DONE)
        return 0;
    double full = ebb_pace_job_s(j, group_s), left = full - (double)j->run_s;
    if (j->step > 0 && j->total_steps > j->step)
        left = full * (1 - (double)j->step / (double)j->total_steps);
    if (j->state == EBB_JOB_LEASED || j->state == EBB_JOB_RUNNING) {
        double speed = ebb_state_speed(s, g->spec->engine, s->vms[j->vm]->offer->type);
        left /= speed;
        full /= speed;
    }
    int64_t since = j->commit_wall_ns > j->since_wall_ns ? j->commit_wall_ns : j->since_wall_ns;
    if (j->state == EBB_JOB_RUNNING && now_wall_ns > since)
        left -= (double)(now_wall_ns - since) / 1e9;
    return fmax(left, 0.05 * full);
}

/* Seconds of work left in a group's jobs, the longest of them from its start, and the longest that
 * runs. */
static double work_left(const struct ebb_state *s, const struct ebb_group *g, int64_t now_wall_ns,
                        double *ret_longest_s, double *ret_running_s)
{
    double each = full_s(g), left = 0;
    const struct ebb_bag *b = s->bags[g->bag];
    uint64_t open = g->counts[EBB_JOB_WAITING] + g->counts[EBB_JOB_READY] +
                    g->counts[EBB_JOB_LEASED] + g->counts[EBB_JOB_RUNNING];
    *ret_longest_s = open > 0 ? each + g->restart_s.value : 0;
    *ret_running_s = 0;
    if (open > 10000)
        return (double)open * each;
    for (uint64_t i = 0; open > 0 && i < g->spec->job_count; i++) {
        const struct ebb_job *j = &b->jobs[g->spec->first_job + i];
        double job_s = job_left_s(s, g, j, each, now_wall_ns);
        left += job_s;
        if (j->state == EBB_JOB_RUNNING)
            *ret_running_s = fmax(*ret_running_s, job_s);
    }
    return left;
}

/* Work left over the slots of living VMs, but no less than the longest chain of groups, and than
 * the longest job that runs. */
static double expected_finish_s(const struct ebb_state *s, const struct ebb_bag *b,
                                int64_t now_wall_ns)
{
    double total = 0, chain = 0, slots = 0, running = 0;
    if (ebb_bag_is_settled(b))
        return 0;
    for (size_t g = 0; g < b->group_count; g++) {
        const struct ebb_group *group = &b->groups[g];
        double longest = 0, job = 0;
        total += work_left(s, group, now_wall_ns, &longest, &job);
        running = fmax(running, job);
        chain += group->unmet_needs > 0 ? longest : 0;
        double here = 0;
        for (size_t i = 0; i < s->live_count; i++) {
            const struct ebb_vm *vm = s->vms[s->live[i]];
            if (vm->state <= EBB_VM_READY)
                here += ebb_offer_slots(vm->offer, group->spec->resources);
        }
        slots = here > slots ? here : slots;
    }
    if (slots < 1)
        return -1;
    uint64_t open = b->job_count - b->counts[EBB_JOB_DONE] - b->counts[EBB_JOB_FAILED] -
                    b->counts[EBB_JOB_CANCELLED];
    slots = slots < (double)open ? slots : (double)open;
    return fmax(fmax(total / slots, chain), running);
}

static int64_t on_demand_so_far(const struct ebb_state *s, const struct ebb_bag *b,
                                int64_t now_wall_ns)
{
    double sum = 0;
    for (size_t v = 0; v < s->vm_count; v++) {
        EBB_AUTO(ebb_vm_split_clean_up) struct ebb_vm_split split;
        ebb_account_split_vm(s, s->vms[v], now_wall_ns, &split);
        for (size_t i = 0; i < split.share_count; i++) {
            if (split.shares[i].bag == b->index)
                sum += split.shares[i].parts[EBB_PART_USEFUL] *
                       (double)ebb_account_on_demand_price(s, s->vms[v]);
        }
    }
    return (int64_t)(sum * s->bill_time_scale / 3600 + 0.5);
}

static int64_t oldest_commit(const struct ebb_state *s, const struct ebb_bag *b)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        for (size_t k = 0; k < vm->lease_count; k++) {
            if (vm->leases[k].bag != b->index)
                continue;
            int64_t commit = b->jobs[vm->leases[k].job].commit_wall_ns;
            if (commit != 0 && (oldest == 0 || commit < oldest))
                oldest = commit;
        }
    }
    return oldest;
}

Ebb__BagStatus *ebb_bag_status_new(const struct ebb_state *s, const struct ebb_bag *b,
                                   int64_t now_wall_ns)
{
    Ebb__BagStatus *r = ebb_alloc(sizeof *r);
    ebb__bag_status__init(r);
    r->bag = text(b->spec->id);
    r->name = text(b->spec->name);
    r->state = text(ebb_bag_state_name(b));
    r->submitted_wall_ns = b->submitted_wall_ns;
    r->finished_wall_ns = b->finished_wall_ns;
    r->jobs = b->job_count;
    r->revocations = b->revocations;
    r->spent_usd_micros = ebb_ledger_bag_usd_micros(s, b->index, now_wall_ns);
    r->on_demand_usd_micros = on_demand_so_far(s, b, now_wall_ns);
    r->expected_finish_s = expected_finish_s(s, b, now_wall_ns);
    if (b->spec->deadline_s > 0)
        r->deadline_wall_ns = b->submitted_wall_ns + (int64_t)(b->spec->deadline_s * 1e9);
    r->budget_usd_micros = b->spec->budget_usd_micros;
    double budget_left_s = ebb_budget_left_s(s, b, now_wall_ns);
    r->budget_near_wall_ns = b->budget_near_wall_ns;
    r->budget_left_s = isfinite(budget_left_s) ? budget_left_s : -1;
    r->oldest_commit_wall_ns = oldest_commit(s, b);
    if (b->estimate != NULL)
        r->estimate = ebb_fold_copy(&b->estimate->base);
    r->store_url = text(b->spec->store_url[0] != '\0' ? b->spec->store_url
                        : s->cloud != NULL            ? s->cloud->store_url
                                                      : "");
    r->n_counts = ebb_bag_counts_new(b, &r->counts);
    return r;
}

/* In words of wire.proto, which tells a launch in flight from a boot. */
static const char *vm_state_text(const struct ebb_vm *vm)
{
    if (vm->state == EBB_VM_INTENDED && vm->instance[0] == '\0')
        return "launching";
    return ebb_vm_state_name(vm->state);
}

Ebb__VmStatus *ebb_vm_status_new(const struct ebb_state *s, const struct ebb_vm *vm,
                                 int64_t now_wall_ns)
{
    Ebb__VmStatus *r = ebb_alloc(sizeof *r);
    ebb__vm_status__init(r);
    r->vm = text(vm->id);
    r->instance = text(vm->instance);
    r->offer = ebb_fold_copy(&vm->offer->base);
    r->state = text(vm_state_text(vm));
    int64_t from = vm->launched_wall_ns != 0 ? vm->launched_wall_ns : vm->intended_wall_ns;
    int64_t to = vm->ended_wall_ns != 0 ? vm->ended_wall_ns : now_wall_ns;
    r->age_s = (double)(to - from) / 1e9;
    r->running = (uint32_t)vm->lease_count;
    r->cost_usd_micros = ebb_ledger_vm_usd_micros(s, vm->index, now_wall_ns);
    r->notice_deadline_wall_ns = vm->notice_deadline_wall_ns;
    bool ending = vm->end_reason != NULL && vm->end_reason[0] != '\0';
    r->note = text(ending ? vm->end_reason : vm->rebalance ? "the cloud may take it soon" : "");
    return r;
}

Ebb__JobStatus *ebb_job_status_new(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job,
                                   int64_t now_wall_ns)
{
    const struct ebb_job *j = &b->jobs[job];
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    Ebb__JobStatus *r = ebb_alloc(sizeof *r);
    ebb__job_status__init(r);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    ebb_job_name(g->spec, job - g->spec->first_job, &name);
    r->job = job;
    r->name = text(ebb_buffer_text(&name));
    r->state = text(ebb_job_state_name(j->state));
    r->attempts = j->attempts;
    r->failures = j->failures;
    r->revocations = j->revocations;
    if (j->vm != EBB_NONE) {
        r->vm = text(s->vms[j->vm]->id);
        r->zone = text(s->vms[j->vm]->offer->zone);
    }
    uint32_t gang[EBB_GANG_MOST];
    uint32_t size = ebb_gang_vms(s, b, job, gang);
    if (size > 1)
        r->members = ebb_alloc_array(size, sizeof *r->members);
    for (uint32_t i = 1; i < size; i++)
        r->members[r->n_members++] = text(s->vms[gang[i]]->id);
    r->step = j->step;
    r->total_steps = j->total_steps;
    r->last_commit_wall_ns = j->commit_wall_ns;
    r->run_s = (double)j->run_s;
    r->expected_left_s = job_left_s(s, g, j, full_s(g), now_wall_ns);
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)job);
    const char *reason = ebb_map_get(b->reasons, key);
    if ((j->flags & EBB_JOB_SKIPPED) != 0)
        reason = "a job that it needs was not done";
    r->reason = text(reason);
    return r;
}

Ebb__JobsAnswer *ebb_jobs_answer_new(const struct ebb_state *s, const struct ebb_bag *b,
                                     char *const *states, size_t state_count, uint64_t first,
                                     uint32_t limit, int64_t now_wall_ns)
{
    Ebb__JobsAnswer *r = ebb_alloc(sizeof *r);
    ebb__jobs_answer__init(r);
    bool wanted[EBB_JOB_STATES] = {false};
    for (size_t i = 0; i < state_count; i++) {
        int state = ebb_job_state_of(states[i]);
        if (state >= 0)
            wanted[state] = true;
    }
    size_t capacity = 0;
    for (uint64_t j = 0; j < b->job_count; j++) {
        if (state_count > 0 && !wanted[b->jobs[j].state])
            continue;
        if (r->total++ < first || r->n_jobs >= limit)
            continue;
        if (r->n_jobs == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            r->jobs = ebb_realloc_array(r->jobs, capacity, sizeof *r->jobs);
        }
        r->jobs[r->n_jobs++] = ebb_job_status_new(s, b, j, now_wall_ns);
    }
    return r;
}
