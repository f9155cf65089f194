/* `ebb explain`: why a job is where it is. The state says what holds now, the log (through a
 * job's history) what was tried, the planner's notes what stands in the way of more VMs. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/cool_down.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/intervals.h"
#include "scheduler/core/lifetime.h"
#include "scheduler/core/market.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/score.h"
#include "scheduler/core/status.h"
#include "scheduler/core/sweep.h"
#include "scheduler/core/time_price.h"

struct ebb_job_history {
    char *bag;
    uint64_t job;
    Ebb__AttemptSummary **attempts;
    size_t count, capacity;
    struct ebb_map *offers; /* VM id -> "zone\0type" of VMs seen in the log */
};

struct place {
    char *zone, *type;
};

static void place_destroy(void *p)
{
    struct place *place = p;
    free(place->zone);
    free(place->type);
    free(place);
}

struct ebb_job_history *ebb_job_history_new(const char *bag, uint64_t job)
{
    struct ebb_job_history *h = ebb_alloc(sizeof *h);
    h->bag = ebb_strdup(bag);
    h->job = job;
    h->offers = ebb_map_new(place_destroy);
    return h;
}

void ebb_job_history_destroy(struct ebb_job_history *h)
{
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->count; i++)
        ebb__attempt_summary__free_unpacked(h->attempts[i], NULL);
    free(h->attempts);
    ebb_map_destroy(h->offers);
    free(h->bag);
    free(h);
}

static bool is_it(const struct ebb_job_history *h, const char *bag, uint64_t job)
{
    return job == h->job && strcmp(bag, h->bag) == 0;
}

static Ebb__AttemptSummary *attempt_of(struct ebb_job_history *h, uint32_t attempt)
{
    for (size_t i = h->count; i-- > 0;) {
        if (h->attempts[i]->attempt == attempt)
            return h->attempts[i];
    }
    return NULL;
}

static void add_lease(struct ebb_job_history *h, const Ebb__AttemptLeased *m, int64_t wall_ns)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? 8 : h->capacity * 2;
        h->attempts = ebb_realloc_array(h->attempts, h->capacity, sizeof *h->attempts);
    }
    Ebb__AttemptSummary *a = ebb_alloc(sizeof *a);
    ebb__attempt_summary__init(a);
    const struct place *place = ebb_map_get(h->offers, m->vm);
    a->attempt = m->attempt;
    a->vm = ebb_strdup(m->vm);
    a->members = ebb_alloc_array(m->n_members + 1, sizeof *a->members);
    for (; a->n_members < m->n_members; a->n_members++)
        a->members[a->n_members] = ebb_strdup(m->members[a->n_members]);
    a->zone = ebb_strdup(place != NULL ? place->zone : "");
    a->type = ebb_strdup(place != NULL ? place->type : "");
    a->leased_wall_ns = wall_ns;
    a->resumed_step = -1;
    a->last_step = -1;
    h->attempts[h->count++] = a;
}

static void add_end(Ebb__AttemptSummary *a, const Ebb__AttemptEnded *m, int64_t wall_ns)
{
    if (a == NULL || a->ended_wall_ns != 0)
        return;
    a->ended_wall_ns = wall_ns;
    a->outcome = ebb_strdup(ebb_outcome_name((int)m->outcome));
    a->reason = ebb_strdup(m->reason);
    if (m->last_step > a->last_step)
        a->last_step = m->last_step;
    if (m->times != NULL)
        a->times = ebb_fold_copy(&m->times->base);
}

void ebb_job_history_add(struct ebb_job_history *h, const Ebb__Event *e)
{
    Ebb__AttemptSummary *a = NULL;
    switch (e->kind_case) {
    case EBB__EVENT__KIND_VM_INTENDED:
        if (e->vm_intended->offer != NULL) {
            struct place *place = ebb_alloc(sizeof *place);
            place->zone = ebb_strdup(e->vm_intended->offer->zone);
            place->type = ebb_strdup(e->vm_intended->offer->type);
            ebb_map_set(h->offers, e->vm_intended->vm, place);
        }
        break;
    case EBB__EVENT__KIND_ATTEMPT_LEASED:
        if (is_it(h, e->attempt_leased->bag, e->attempt_leased->job))
            add_lease(h, e->attempt_leased, e->wall_ns);
        break;
    case EBB__EVENT__KIND_ATTEMPT_STARTED:
        if (is_it(h, e->attempt_started->bag, e->attempt_started->job) &&
            (a = attempt_of(h, e->attempt_started->attempt)) != NULL)
            a->resumed_step = e->attempt_started->resumed_step;
        break;
    case EBB__EVENT__KIND_CHECKPOINT_COMMITTED:
        if (is_it(h, e->checkpoint_committed->bag, e->checkpoint_committed->job) &&
            (a = attempt_of(h, e->checkpoint_committed->attempt)) != NULL) {
            a->checkpoints++;
            a->last_step = e->checkpoint_committed->step;
        }
        break;
    case EBB__EVENT__KIND_ATTEMPT_ENDED:
        if (is_it(h, e->attempt_ended->bag, e->attempt_ended->job))
            add_end(attempt_of(h, e->attempt_ended->attempt), e->attempt_ended, e->wall_ns);
        break;
    default:
        break;
    }
}

static void EBB_PRINTF(2, 3) line(Ebb__ExplainAnswer *r, const char *fmt, ...)
{
    va_list args;
    char *out = NULL;
    va_start(args, fmt);
    int n = vasprintf(&out, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    r->lines = ebb_realloc_array(r->lines, r->n_lines + 1, sizeof *r->lines);
    r->lines[r->n_lines++] = out;
}

static void explain_waiting(Ebb__ExplainAnswer *r, const struct ebb_bag *b,
                            const struct ebb_group *g)
{
    for (size_t n = 0; n < g->spec->n_needs; n++) {
        for (size_t i = 0; i < b->group_count; i++) {
            const struct ebb_group *needed = &b->groups[i];
            if (strcmp(needed->spec->name, g->spec->needs[n]) != 0)
                continue;
            line(r, "needs '%s': %llu of %llu jobs are done", needed->spec->name,
                 (unsigned long long)needed->counts[EBB_JOB_DONE],
                 (unsigned long long)needed->spec->job_count);
        }
    }
}

static uint64_t ahead_of(const struct ebb_bag *b, uint64_t job)
{
    uint64_t ahead = 0;
    for (uint32_t j = b->jobs[job].prev; j != EBB_NONE; j = b->jobs[j].prev)
        ahead++;
    return ahead;
}

static void explain_vms(Ebb__ExplainAnswer *r, const struct ebb_state *s, const struct ebb_group *g)
{
    size_t booting = 0, busy = 0, small = 0;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        if (ebb_offer_slots(vm->offer, g->spec->resources) == 0)
            small++;
        else if (vm->state < EBB_VM_READY)
            booting++;
        else if (vm->state == EBB_VM_READY)
            busy++;
    }
    line(r, "VMs: %zu that can run it are busy, %zu are on their way, %zu cannot run it", busy,
         booting, small);
}

static int best_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The three best offers now, with their numbers. */
static void explain_offers(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                           const struct ebb_group *g)
{
    struct ranked {
        double cost; /* first: sorted by it */
        size_t offer;
        struct ebb_score score;
    };
    struct ebb_demand d;
    ebb_demand_of_group(in, g, &d);
    d.jobs = d.jobs > 0 ? d.jobs : 1;
    EBB_AUTO_FREE struct ranked *ranked = ebb_alloc_array(in->offer_count + 1, sizeof *ranked);
    size_t n = 0;
    for (size_t i = 0; i < in->offer_count; i++) {
        struct ebb_score score;
        ebb_score_offer(in, &d, in->offers[i], &score);
        if (score.slots > 0)
            ranked[n++] = (struct ranked){score.usd_micros_per_job, i, score};
    }
    qsort(ranked, n, sizeof *ranked, best_first);
    for (size_t i = 0; i < n && i < 3; i++) {
        const Ebb__Offer *o = in->offers[ranked[i].offer];
        int64_t cool = ebb_plan_cool_until(in->state, in->policy, o);
        char price[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE],
            hour[EBB_QUANTITY_TEXT_SIZE];
        line(r,
             "offer %s %s %s: %s a job, %s a useful hour (%s/h, %u at once, %.2g revocations/h, "
             "speed %.2f)%s",
             o->type, o->zone, o->market == EBB__MARKET__SPOT ? "spot" : "on-demand",
             ebb_format_usd((int64_t)ranked[i].score.usd_micros_per_job, cost),
             ebb_format_usd((int64_t)ranked[i].score.usd_micros_per_useful_hour, hour),
             ebb_format_usd(o->usd_micros_per_hour, price), ranked[i].score.slots,
             ranked[i].score.hazard_per_hour, ranked[i].score.speed,
             cool > in->now_wall_ns ? ", refused a launch and is left alone for now" : "");
    }
    if (n == 0)
        line(r, "no offer of the cloud can run it");
}

/* When it is tried again, by what was learned of its outages. */
static void explain_cool_down(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                              const Ebb__Offer *o)
{
    struct ebb_cool_down c;
    ebb_cool_down_of(in->state, in->policy, o, in->now_wall_ns, &c);
    if (c.until_wall_ns <= in->now_wall_ns)
        return;
    double in_s = (double)(c.until_wall_ns - in->now_wall_ns) / 1e9;
    if (c.learned_s > 0)
        line(r,
             "%s in %s is tried again in %.0f s: %.2g recoveries/h are expected of an outage of "
             "%.0f s, for which every %.0f s is best; the rule says %.0f s and has a weight of "
             "%.0f %%",
             o->type, o->zone, in_s, c.recovery_per_hour, c.outage_s, c.learned_s, c.by_rule_s,
             100 * (1 - c.weight));
    else
        line(r, "%s in %s is tried again in %.0f s, by the rule", o->type, o->zone, in_s);
}

static void explain_refusals(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in)
{
    size_t cursor = 0;
    const char *key = NULL;
    for (const struct ebb_market_entry *e;
         (e = ebb_market_next(in->state->market, &cursor, &key)) != NULL;) {
        if (e->refusals > 0)
            line(r, "refused by %s: %u times in a row, last %.0f s ago (%s)", key, e->refusals,
                 (double)(in->now_wall_ns - e->refused_wall_ns) / 1e9,
                 ebb_code_name(e->refused_code));
    }
    for (size_t i = 0; i < in->offer_count; i++)
        explain_cool_down(r, in, in->offers[i]);
}

/* The hazard at the VM's age, and the checkpoints that follow from it. */
static void explain_age(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                        const struct ebb_bag *b, uint64_t job, const struct ebb_vm *vm)
{
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    struct ebb_intervals *fresh = ebb_intervals_new();
    double age_s = ebb_vm_age_s(vm, in->now_wall_ns);
    double interval = ebb_intervals_next_s(fresh, in->state, in->policy, b->index, job, vm->index,
                                           in->now_wall_ns);
    double hazard = ebb_state_hazard(in->state, vm->offer, age_s, in->now_wall_ns);
    struct ebb_outlook o;
    ebb_intervals_destroy(fresh);
    ebb_state_outlook(in->state, vm->offer, in->now_wall_ns, &o);
    if (vm->offer->market == EBB__MARKET__SPOT)
        line(r,
             "the VM is %.0f s old: %.2g revocations/h expected at that age%s; it lives another "
             "hour with probability %.2f",
             age_s, hazard, o.bulk > 0 ? ", raised as its siblings are being taken" : "",
             ebb_outlook_survival(&o, age_s, 3600 / in->state->bill_time_scale));
    if (o.cap_s > 0)
        line(r,
             "the cloud ends it at its cap, in %.0f s; jobs that go on move before, the last "
             "checkpoint is made before",
             fmax(0, o.cap_s - age_s));
    if (interval > 0)
        line(r,
             "a checkpoint every %.0f s: one takes %.2g s, and %.0f %% of revocations are "
             "expected to come without a notice long enough for it",
             interval, g->write_s.value, 100 * ebb_state_silent_share(in->state, g->write_s.value));
}

/* What the same work would cost elsewhere now: the best offer beside the VM's own. */
static void explain_instead(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                            const struct ebb_group *g, const struct ebb_vm *vm)
{
    struct ebb_demand d;
    struct ebb_score best = {0}, own = {0};
    const Ebb__Offer *other = NULL;
    char here[EBB_QUANTITY_TEXT_SIZE], there[EBB_QUANTITY_TEXT_SIZE];
    ebb_demand_of_group(in, g, &d);
    d.jobs = 1;
    d.work_s = d.longest_s = d.full_s;
    for (size_t i = 0; i < in->offer_count; i++) {
        struct ebb_score score;
        ebb_score_offer(in, &d, in->offers[i], &score);
        if (score.slots == 0)
            continue;
        if (ebb_offer_is_alike(in->offers[i], vm->offer)) {
            own = score;
        } else if (other == NULL || score.rank < best.rank ||
                   (score.rank == best.rank && ebb_offer_compare(in->offers[i], other) < 0)) {
            best = score;
            other = in->offers[i];
        }
    }
    if (own.slots > 0)
        line(r, "a new VM of its kind: %s a useful hour of one job",
             ebb_format_usd((int64_t)own.usd_micros_per_useful_hour, here));
    if (other != NULL)
        line(r, "the best other offer, %s %s%s: %s a useful hour", other->type, other->zone,
             other->market == EBB__MARKET__ON_DEMAND ? " on demand" : "",
             ebb_format_usd((int64_t)best.usd_micros_per_useful_hour, there));
}

/* What a second is worth to the job, and from what that follows. */
static void explain_time(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                         const struct ebb_group *g)
{
    struct ebb_demand d;
    struct ebb_deadline deadline;
    struct ebb_time_price price;
    char left[EBB_QUANTITY_TEXT_SIZE], need[EBB_QUANTITY_TEXT_SIZE], usd[EBB_QUANTITY_TEXT_SIZE],
        restart[EBB_QUANTITY_TEXT_SIZE];
    ebb_deadline_of(in, g, &deadline);
    if (isinf(deadline.left_s))
        return;
    ebb_demand_of_group(in, g, &d);
    d.jobs = d.jobs > 0 ? d.jobs : 1;
    EBB_AUTO_FREE struct ebb_score *scores = ebb_alloc_array(in->offer_count + 1, sizeof *scores);
    for (size_t i = 0; i < in->offer_count; i++)
        ebb_score_offer(in, &d, in->offers[i], &scores[i]);
    struct ebb_time_tables *own = in->tables == NULL ? ebb_time_tables_new() : NULL;
    ebb_time_price_of(in, &d, &deadline, scores, own != NULL ? own : in->tables, &price);
    ebb_time_tables_destroy(own);
    const struct ebb_time_problem *p = &price.problem;
    line(r,
         "the deadline is %s away, the chain of jobs to it needs %s on demand with a margin for "
         "one loss%s",
         ebb_format_duration(fmax(0, deadline.left_s), left),
         ebb_format_duration(deadline.need_s + deadline.margin_s, need),
         deadline.must_on_demand ? ": only on-demand VMs are safe" : "");
    if (price.on_demand_usd_micros_per_s > 0)
        line(r,
             "an hour sooner is worth %s to it, %.2f of the price on demand: spot costs %.2f of "
             "that, is %s, is taken %.2g and comes back %.2g times an hour, and a restart costs %s",
             ebb_format_usd((int64_t)(price.usd_micros_per_s * 3600), usd), price.share,
             p->spot_share, p->is_up ? "to be had" : "out", p->revocation_per_hour[1],
             p->recovery_per_hour[1], ebb_format_duration(p->restart_s, restart));
}

/* How long it takes, by what was known before and what it shows itself. */
static void explain_pace(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                         const struct ebb_bag *b, uint64_t job)
{
    const struct ebb_job *j = &b->jobs[job];
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    char told[EBB_QUANTITY_TEXT_SIZE], own[EBB_QUANTITY_TEXT_SIZE], full[EBB_QUANTITY_TEXT_SIZE],
        in_all[EBB_QUANTITY_TEXT_SIZE], left[EBB_QUANTITY_TEXT_SIZE];
    struct ebb_demand told_of, d;
    ebb_demand_of_spec(in, g->spec, g->profile, &told_of);
    ebb_demand_of_group(in, g, &d);
    double paced = (double)j->paced;
    if (told_of.known)
        ebb_format_duration(told_of.full_s, told);
    else
        snprintf(told, sizeof told, "unknown");
    if (paced > 0)
        line(r,
             "a job of '%s' takes %s (told %s; %llu done, others under way count as %.1f); this "
             "one's own pace over %.1f %% of its steps says %s and has a weight of %.2f: %s in "
             "all, %s left",
             g->spec->name, ebb_format_duration(d.full_s, full), told,
             (unsigned long long)g->run_s.count, g->paced_jobs, 100 * paced,
             ebb_format_duration((double)j->paced_s / paced, own), paced / (EBB_PACE_PRIOR + paced),
             ebb_format_duration(ebb_pace_job_s(j, d.full_s), in_all),
             ebb_format_duration(r->job->expected_left_s, left));
    else if (g->run_s.count > 0 || g->paced_jobs > 0)
        line(r,
             "a job of '%s' takes %s (told %s; %llu done, others under way count as %.1f), and "
             "this one has shown no pace of its own",
             g->spec->name, ebb_format_duration(d.full_s, full), told,
             (unsigned long long)g->run_s.count, g->paced_jobs);
}

/* The VMs of a gang beside its first. */
static void explain_members(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                            const struct ebb_bag *b, uint64_t job)
{
    uint32_t vms[EBB_GANG_MOST];
    uint32_t size = ebb_gang_vms(in->state, b, job, vms);
    for (uint32_t i = 1; i < size; i++) {
        const struct ebb_vm *vm = in->state->vms[vms[i]];
        if (vm->notice_wall_ns != 0)
            line(r, "rank %u on %s, whose end in %.0f s the cloud has announced: all hand back", i,
                 vm->id, (double)(vm->notice_deadline_wall_ns - in->now_wall_ns) / 1e9);
        else
            line(r, "rank %u on %s", i, vm->id);
    }
    if (size > 1)
        line(r, "a gang of %u: all of its VMs are paid for it, and lost with any of them", size);
}

static void explain_live(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                         const struct ebb_bag *b, uint64_t job)
{
    const struct ebb_job *j = &b->jobs[job];
    const struct ebb_vm *vm = in->state->vms[j->vm];
    line(r, "attempt %u on %s (%s in %s), %s since %.0f s", j->attempts, vm->id, vm->offer->type,
         vm->offer->zone, ebb_job_state_name(j->state),
         (double)(in->now_wall_ns - j->since_wall_ns) / 1e9);
    explain_members(r, in, b, job);
    if (vm->reason != NULL && vm->reason[0] != '\0')
        line(r, "the VM was chosen for %s", vm->reason);
    explain_pace(r, in, b, job);
    explain_age(r, in, b, job, vm);
    explain_instead(r, in, ebb_bag_group_of(b, job), vm);
    explain_time(r, in, ebb_bag_group_of(b, job));
    if (vm->notice_wall_ns != 0)
        line(r, "the cloud has given notice: the VM ends in %.0f s",
             (double)(vm->notice_deadline_wall_ns - in->now_wall_ns) / 1e9);
    if ((j->flags & EBB_JOB_CANCELLING) != 0)
        line(r, "it is being cancelled");
}

static void explain_notes(Ebb__ExplainAnswer *r, const struct ebb_plan *plan)
{
    const char *s = plan == NULL || plan->notes == NULL ? "" : plan->notes;
    while (*s != '\0') {
        size_t n = strcspn(s, "\n");
        line(r, "planner: %.*s", (int)n, s);
        s += n + (s[n] == '\n');
    }
}

static void explain_state(Ebb__ExplainAnswer *r, const struct ebb_plan_input *in,
                          const struct ebb_bag *b, uint64_t job, const struct ebb_plan *plan)
{
    const struct ebb_job *j = &b->jobs[job];
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    switch (j->state) {
    case EBB_JOB_WAITING:
        explain_waiting(r, b, g);
        explain_notes(r, plan);
        break;
    case EBB_JOB_READY:
        line(r, "ready, with %llu jobs of its group ahead", (unsigned long long)ahead_of(b, job));
        explain_vms(r, in->state, g);
        explain_pace(r, in, b, job);
        explain_time(r, in, g);
        explain_offers(r, in, g);
        explain_refusals(r, in);
        explain_notes(r, plan);
        break;
    case EBB_JOB_LEASED:
    case EBB_JOB_RUNNING:
        explain_live(r, in, b, job);
        break;
    case EBB_JOB_FAILED:
        line(r, "failed %u times; %u retries are allowed. `ebb retry` gives it another chance",
             j->failures, g->spec->retries);
        break;
    case EBB_JOB_CANCELLED:
        line(r, "cancelled: %s",
             (j->flags & EBB_JOB_SKIPPED) != 0 ? "a job that it needs was not done"
             : b->cancelled && b->cancel_reason != NULL && b->cancel_reason[0] != '\0'
                 ? b->cancel_reason
                 : "as asked");
        break;
    default:
        line(r, "done in %u attempts, %u of them revoked", j->attempts, j->revocations);
        break;
    }
}

Ebb__ExplainAnswer *ebb_explain_new(const struct ebb_plan_input *in, const struct ebb_bag *b,
                                    uint64_t job, const struct ebb_job_history *history,
                                    const struct ebb_plan *plan)
{
    Ebb__ExplainAnswer *r = ebb_alloc(sizeof *r);
    ebb__explain_answer__init(r);
    r->bag = ebb_strdup(b->spec->id);
    r->job = ebb_job_status_new(in->state, b, job, in->now_wall_ns);
    explain_state(r, in, b, job, plan);
    if (r->job->reason[0] != '\0' && b->jobs[job].state != EBB_JOB_CANCELLED)
        line(r, "its last attempt: %s, %s", ebb_outcome_name(b->jobs[job].outcome - 1),
             r->job->reason);
    if (history == NULL)
        return r;
    r->attempts = ebb_alloc_array(history->count + 1, sizeof *r->attempts);
    for (size_t i = 0; i < history->count; i++)
        r->attempts[r->n_attempts++] = ebb_fold_copy(&history->attempts[i]->base);
    return r;
}
