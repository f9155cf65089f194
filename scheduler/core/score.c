/* Expected cost of a finished job on an offer, by the hazards at the ages it goes through. */
#include "scheduler/core/score.h"

#include <math.h>
#include <string.h>

#include "scheduler/core/fold.h"
#include "scheduler/core/lifetime.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/speed.h"

#define LEAST_BILLED_S 60.0

void ebb_policy_default(struct ebb_policy *ret)
{
    *ret = (struct ebb_policy){.max_vms = 64,
                               .use_spot = true,
                               .use_on_demand = true,
                               .spread_factor = 1.5,
                               .boot_factor = 4,
                               .max_zone_share = 0.5,
                               .cool_down_s = 30,
                               .cool_down_least_s = 5,
                               .cool_down_most_s = 600,
                               .try_s = 1,
                               .jitter_s = 2,
                               .idle_s = 2,
                               .boot_most_s = 600,
                               .default_job_s = 600,
                               .default_boot_s = 30,
                               .default_restart_s = 5,
                               .default_checkpoint_s = 1,
                               .interval_least_s = 5,
                               .interval_most_s = 1800,
                               .most_refusals = 3,
                               .move_gain = 0.25,
                               .gather_gain = 0.1,
                               .budget_share = 0.8,
                               .budget_s = 600};
}

uint32_t ebb_offer_slots(const Ebb__Offer *offer, const Ebb__Resources *r)
{
    struct ebb_need need = ebb_need_of(r);
    int64_t slots = (int64_t)(offer->cpus * 1000 + 0.5) / need.millicpus;
    int64_t by_memory = (int64_t)(offer->memory_bytes & INT64_MAX) / need.memory_bytes;
    if (by_memory < slots)
        slots = by_memory;
    if (need.gpus > 0) {
        if (!ebb_gpu_model_fits(r, offer->gpu_model))
            return 0;
        if ((int64_t)offer->gpus / need.gpus < slots)
            slots = (int64_t)offer->gpus / need.gpus;
    }
    return slots > UINT32_MAX ? UINT32_MAX : (uint32_t)slots;
}

static int compare_texts(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b);
}

int ebb_offer_compare(const Ebb__Offer *a, const Ebb__Offer *b)
{
    int by = compare_texts(a->type, b->type);
    if (by == 0)
        by = compare_texts(a->zone, b->zone);
    if (by == 0)
        by = (int)a->market - (int)b->market;
    if (by == 0)
        by = compare_texts(a->provider, b->provider);
    if (by == 0)
        by = a->usd_micros_per_hour < b->usd_micros_per_hour
                 ? -1
                 : a->usd_micros_per_hour > b->usd_micros_per_hour;
    return by;
}

static double or_default(const struct ebb_mean *m, double value)
{
    return m->count > 0 ? m->value : value;
}

void ebb_demand_of_spec(const struct ebb_plan_input *in, const Ebb__JobGroup *spec,
                        const Ebb__Profile *profile, struct ebb_demand *ret)
{
    const struct ebb_policy *p = in->policy;
    double time_s = spec->resources != NULL ? spec->resources->time_s : 0;
    *ret = (struct ebb_demand){.resources = spec->resources,
                               .engine = spec->engine,
                               .gang = ebb_gang_size(spec->resources),
                               .jobs = (double)spec->job_count,
                               .work_s = time_s > 0 ? time_s : p->default_job_s,
                               .boot_s = or_default(&in->state->boot_s, p->default_boot_s),
                               .setup_s = p->default_restart_s,
                               .checkpoint_s = p->default_checkpoint_s,
                               .interval_s = spec->checkpoint_interval_s,
                               .checkpoints = profile != NULL && profile->checkpoints};
    ret->longest_s = ret->full_s = ret->work_s;
    ret->known = time_s > 0;
}

double ebb_demand_job_s(const struct ebb_demand *d, const struct ebb_job *j)
{
    double full_s = ebb_pace_job_s(j, d->full_s);
    double left = full_s - (double)j->run_s;
    if (j->total_steps > 0 && j->step > 0)
        left = full_s * (1 - (double)j->step / (double)j->total_steps);
    return left > full_s * 0.05 ? left : full_s * 0.05;
}

/* Work left in the first ready jobs, which stand for the rest. */
static void sample_work(const struct ebb_plan_input *in, const struct ebb_group *g,
                        struct ebb_demand *d)
{
    const struct ebb_job *jobs = in->state->bags[g->bag]->jobs;
    double sum = 0, longest = 0;
    size_t n = 0;
    for (uint32_t j = g->first_ready; j != EBB_NONE && n < EBB_DEMAND_SAMPLE;
         j = jobs[j].next, n++) {
        double left = ebb_demand_job_s(d, &jobs[j]);
        sum += left;
        longest = left > longest ? left : longest;
    }
    if (n == 0)
        return;
    d->work_s = sum / (double)n;
    d->longest_s = longest;
}

void ebb_demand_of_group(const struct ebb_plan_input *in, const struct ebb_group *g,
                         struct ebb_demand *ret)
{
    ebb_demand_of_spec(in, g->spec, g->profile, ret);
    ret->work_s = ret->longest_s = ret->full_s = ebb_pace_group_s(g, ret->work_s, ret->known);
    ret->known |= g->run_s.count > 0 || ebb_pace_is_seen(g);
    ret->setup_s = or_default(&g->restart_s, ret->setup_s);
    double cost = or_default(&g->stopped_s, 0);
    ret->checkpoint_s = or_default(&g->write_s, ret->checkpoint_s);
    ret->checkpoint_s = cost > ret->checkpoint_s ? cost : ret->checkpoint_s;
    ret->jobs = (double)g->counts[EBB_JOB_READY];
    sample_work(in, g, ret);
}

double ebb_demand_vms(const struct ebb_plan_input *in, const struct ebb_demand *d, double jobs,
                      uint32_t slots)
{
    double all_at_once = ceil(jobs / slots);
    double least_s = d->boot_s * in->policy->boot_factor;
    double least_paid_s = LEAST_BILLED_S / in->state->bill_time_scale;
    if (least_s < least_paid_s)
        least_s = least_paid_s;
    double worthwhile =
        least_s > 0 ? floor(jobs * (d->work_s + d->setup_s) / (slots * least_s)) : all_at_once;
    return worthwhile < all_at_once ? worthwhile : all_at_once;
}

void ebb_demand_terms(const struct ebb_plan_input *in, const struct ebb_demand *d, double speed,
                      struct ebb_run_terms *ret)
{
    *ret = (struct ebb_run_terms){.lead_s = d->boot_s,
                                  .jobs = 1,
                                  .work_s = d->work_s / speed,
                                  .setup_s = d->setup_s,
                                  .checkpoint_s = d->checkpoint_s,
                                  .interval_s = d->interval_s,
                                  .least_s = in->policy->interval_least_s,
                                  .most_s = ebb_interval_most_s(in->policy, d->checkpoint_s),
                                  .silent = ebb_state_silent_share(in->state, d->checkpoint_s),
                                  .checkpoints = d->checkpoints};
}

void ebb_score_offer(const struct ebb_plan_input *in, const struct ebb_demand *d,
                     const Ebb__Offer *offer, struct ebb_score *ret)
{
    *ret = (struct ebb_score){.slots = ebb_offer_slots(offer, d->resources)};
    if (ret->slots == 0 || offer->usd_micros_per_hour < 0)
        return;
    struct ebb_outlook outlook;
    struct ebb_run_terms terms;
    struct ebb_run_worth worth;
    ret->speed = ebb_state_speed(in->state, d->engine, offer->type);
    ebb_state_outlook(in->state, offer, in->now_wall_ns, &outlook);
    double gang = d->gang > 1 ? d->gang : 1;
    for (int b = 0; b < EBB_AGE_BINS; b++)
        outlook.per_hour[b] *= gang;
    if (gang > 1)
        ret->slots = 1;
    ebb_demand_terms(in, d, ret->speed, &terms);
    ret->vms = fmax(1, ebb_demand_vms(in, d, d->jobs, ret->slots));
    double at_once = fmin(ret->slots, d->jobs / ret->vms);
    at_once = at_once < 1 ? 1 : at_once;
    terms.jobs = fmax(1, d->jobs / (ret->vms * at_once));
    ebb_outlook_worth(&outlook, &terms, &worth);
    if (worth.useful_s <= 0 && outlook.cap_s > 0 && d->known) {
        *ret = (struct ebb_score){.is_capped = true}; /* its VMs end before any job would */
        return;
    }
    ret->interval_s = worth.interval_s;
    if (worth.vm_s > 0)
        ret->hazard_per_hour = ebb_outlook_cumulative(&outlook, 0, worth.vm_s) / worth.vm_s * 3600;
    double per_s = (double)offer->usd_micros_per_hour * in->state->bill_time_scale / 3600;
    double vm_s = terms.work_s * worth.ratio; /* a job, its part of the boot included */
    ret->wall_s = vm_s - d->boot_s / terms.jobs;
    ret->usd_micros_per_job = gang * per_s * vm_s / at_once;
    ret->usd_micros_per_useful_hour = ret->usd_micros_per_job / d->work_s * 3600;
    ebb_score_rank(d, ret);
}

void ebb_score_rank(const struct ebb_demand *d, struct ebb_score *score)
{
    score->rank = score->usd_micros_per_job + d->usd_micros_per_s * (d->boot_s + score->wall_s);
}

double ebb_interval_most_s(const struct ebb_policy *policy, double checkpoint_s)
{
    return fmax(policy->interval_most_s, 100 * checkpoint_s);
}

double ebb_plan_interval_s(const struct ebb_state *s, const struct ebb_policy *policy,
                           const struct ebb_group *group, const Ebb__Offer *offer, double age_s,
                           int64_t now_wall_ns)
{
    if (group->profile == NULL || !group->profile->checkpoints)
        return 0;
    if (group->spec->checkpoint_interval_s > 0)
        return group->spec->checkpoint_interval_s;
    double cost = or_default(&group->write_s, policy->default_checkpoint_s);
    double silent = ebb_state_silent_share(s, cost);
    return ebb_checkpoint_interval_s(cost,
                                     silent * ebb_gang_size(group->spec->resources) *
                                         ebb_state_hazard(s, offer, age_s, now_wall_ns),
                                     policy->interval_least_s, ebb_interval_most_s(policy, cost));
}

double ebb_vm_age_s(const struct ebb_vm *vm, int64_t now_wall_ns)
{
    if (vm->born_wall_ns == 0 || now_wall_ns < vm->born_wall_ns)
        return 0;
    return (double)(now_wall_ns - vm->born_wall_ns) / 1e9;
}
