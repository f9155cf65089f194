/* The report: what a bag cost, what the money went into, what the same work would have cost on
 * demand. Computed from the ledger when asked; a running bag's amounts are those of this moment.
 *
 *   a VM's part of the bag --> useful | checkpoint | lost | setup | boot | idle --> jobs
 *
 * Each arrow splits whole micro-dollars by largest remainder, so that jobs add up to the parts
 * (boot and idle belong to no job), parts to VMs, and VMs to the total. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/accounts.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"
#include "scheduler/core/status.h"
#include "scheduler/core/sweep.h"

struct builder {
    const struct ebb_state *s;
    const struct ebb_bag *b;
    int64_t now_wall_ns;
    Ebb__Report *r;
    Ebb__JobReport **jobs;  /* by job; NULL: no rows wanted */
    uint32_t *row_vm_first; /* rows of a VM: row_order[first[vm] .. first[vm + 1]) */
    uint32_t *row_order;
};

static char *text(const char *s)
{
    return ebb_strdup(s == NULL ? "" : s);
}

static Ebb__Split *split_new(void)
{
    Ebb__Split *p = ebb_alloc(sizeof *p);
    ebb__split__init(p);
    return p;
}

static void add_part(Ebb__Split *to, int part, double s, int64_t usd_micros)
{
    switch (part) {
    case EBB_PART_USEFUL:
        to->useful_s += s;
        to->useful_usd_micros += usd_micros;
        break;
    case EBB_PART_CHECKPOINT:
        to->checkpoint_s += s;
        to->checkpoint_usd_micros += usd_micros;
        break;
    case EBB_PART_LOST:
        to->lost_s += s;
        to->lost_usd_micros += usd_micros;
        break;
    default:
        to->setup_s += s;
        to->setup_usd_micros += usd_micros;
        break;
    }
}

static double on_demand_usd(const struct builder *w, const struct ebb_vm *vm, double useful_s)
{
    return useful_s * w->s->bill_time_scale / 3600 * (double)ebb_account_on_demand_price(w->s, vm);
}

static void row_parts(const struct builder *w, const struct ebb_vm *vm, const struct ebb_row *row,
                      double parts[EBB_PARTS])
{
    memset(parts, 0, EBB_PARTS * sizeof *parts);
    if (row->ended) {
        memcpy(parts, row->parts, EBB_PARTS * sizeof *parts);
        return;
    }
    int64_t end = vm->ended_wall_ns != 0 ? vm->ended_wall_ns : w->now_wall_ns;
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (vm->leases[i].bag == w->b->index && vm->leases[i].job == row->job)
            ebb_account_lease_parts(w->s, vm, &vm->leases[i], end, parts);
    }
}

/* One part's dollars of one VM onto the attempts that held it. */
static void part_to_jobs(struct builder *w, const struct ebb_vm *vm, int part, int64_t usd_micros)
{
    const struct ebb_row *rows = w->s->ledger->bags[w->b->index].rows;
    uint32_t first = w->row_vm_first[vm->index], count = w->row_vm_first[vm->index + 1] - first;
    EBB_AUTO_FREE double *weights = ebb_alloc_array((size_t)count + 1, sizeof *weights);
    EBB_AUTO_FREE int64_t *amounts = ebb_alloc_array((size_t)count + 1, sizeof *amounts);
    for (uint32_t i = 0; i < count; i++) {
        double parts[EBB_PARTS];
        row_parts(w, vm, &rows[w->row_order[first + i]], parts);
        weights[i] = parts[part];
    }
    ebb_split_amount(usd_micros, weights, count, amounts);
    for (uint32_t i = 0; i < count; i++) {
        Ebb__JobReport *j = w->jobs[rows[w->row_order[first + i]].job];
        add_part(j->split, part, weights[i], amounts[i]);
        j->usd_micros += amounts[i];
        if (part == EBB_PART_USEFUL)
            j->on_demand_usd_micros += (int64_t)(on_demand_usd(w, vm, weights[i]) + 0.5);
    }
}

static void add_share(struct builder *w, const struct ebb_vm *vm, const struct ebb_vm_share *share,
                      double *on_demand)
{
    double weights[EBB_PARTS + 2];
    int64_t amounts[EBB_PARTS + 2];
    memcpy(weights, share->parts, sizeof share->parts);
    weights[EBB_PARTS] = share->boot_s;
    weights[EBB_PARTS + 1] = share->idle_s;
    if (share->usd_micros > 0 && share->boot_s + share->idle_s <= 0 &&
        share->parts[EBB_PART_USEFUL] <= 0 && share->parts[EBB_PART_SETUP] <= 0)
        weights[EBB_PARTS] = 1e-9; /* a VM of no seconds has its minimum charged as boot */
    ebb_split_amount(share->usd_micros, weights, EBB_PARTS + 2, amounts);
    Ebb__Split *sum = w->r->split;
    for (int p = 0; p < EBB_PARTS; p++) {
        add_part(sum, p, share->parts[p], amounts[p]);
        if (w->jobs != NULL && (amounts[p] > 0 || share->parts[p] > 0))
            part_to_jobs(w, vm, p, amounts[p]);
    }
    sum->boot_s += share->boot_s;
    sum->boot_usd_micros += amounts[EBB_PARTS];
    sum->idle_s += share->idle_s;
    sum->idle_usd_micros += amounts[EBB_PARTS + 1];
    sum->forgiven_usd_micros += share->forgiven_usd_micros;
    w->r->vm_usd_micros += share->usd_micros;
    *on_demand += on_demand_usd(w, vm, share->parts[EBB_PART_USEFUL]);
}

static Ebb__Offer *offer_copy(const Ebb__Offer *o)
{
    Ebb__Offer *copy = ebb_alloc(sizeof *copy);
    *copy = *o;
    copy->provider = text(o->provider);
    copy->region = text(o->region);
    copy->zone = text(o->zone);
    copy->type = text(o->type);
    copy->gpu_model = text(o->gpu_model);
    copy->base.n_unknown_fields = 0;
    copy->base.unknown_fields = NULL;
    return copy;
}

static void add_vm(struct builder *w, const struct ebb_vm *vm, const struct ebb_vm_split *split)
{
    Ebb__VmReport *v = ebb_alloc(sizeof *v);
    ebb__vm_report__init(v);
    v->vm = text(vm->id);
    v->instance = text(vm->instance);
    v->offer = offer_copy(vm->offer);
    v->billed_s = split->billed_s;
    v->usd_micros = split->usd_micros;
    v->forgiven_usd_micros = split->forgiven_usd_micros;
    v->interrupted = vm->interrupted;
    v->launched_wall_ns = vm->launched_wall_ns;
    v->ended_wall_ns = vm->ended_wall_ns;
    v->attempts = vm->attempts;
    v->reason =
        text(vm->end_reason != NULL && vm->end_reason[0] != '\0' ? vm->end_reason : vm->reason);
    w->r->vms = ebb_realloc_array(w->r->vms, w->r->n_vms + 1, sizeof *w->r->vms);
    w->r->vms[w->r->n_vms++] = v;
    if (vm->ended_wall_ns == 0)
        w->r->is_final = false;
}

static void add_vms(struct builder *w)
{
    double on_demand = 0;
    for (size_t i = 0; i < w->s->vm_count; i++) {
        const struct ebb_vm *vm = w->s->vms[i];
        EBB_AUTO(ebb_vm_split_clean_up) struct ebb_vm_split split;
        ebb_account_split_vm(w->s, vm, w->now_wall_ns, &split);
        for (size_t k = 0; k < split.share_count; k++) {
            if (split.shares[k].bag != w->b->index)
                continue;
            add_vm(w, vm, &split);
            add_share(w, vm, &split.shares[k], &on_demand);
        }
    }
    w->r->on_demand_usd_micros = (int64_t)(on_demand + 0.5);
}

/* Rows by VM: a counting sort. */
static void sort_rows(struct builder *w)
{
    size_t vms = w->s->vm_count;
    w->row_vm_first = ebb_alloc_array(vms + 2, sizeof *w->row_vm_first);
    if (w->b->index >= w->s->ledger->bag_count) {
        w->row_order = ebb_alloc(sizeof *w->row_order);
        return;
    }
    const struct ebb_bag_account *a = &w->s->ledger->bags[w->b->index];
    w->row_order = ebb_alloc_array(a->row_count + 1, sizeof *w->row_order);
    for (size_t r = 0; r < a->row_count; r++)
        w->row_vm_first[a->rows[r].vm + 2]++;
    for (size_t v = 2; v < vms + 2; v++)
        w->row_vm_first[v] += w->row_vm_first[v - 1];
    for (size_t r = 0; r < a->row_count; r++)
        w->row_order[w->row_vm_first[a->rows[r].vm + 1]++] = (uint32_t)r;
}

static const char *verified_text(const struct ebb_job *j)
{
    if ((j->flags & EBB_JOB_VERIFIED) == 0)
        return "";
    return (j->flags & EBB_JOB_DIFFERENT) != 0 ? "different" : "equal";
}

static void make_jobs(struct builder *w)
{
    uint64_t count = w->b->job_count;
    w->jobs = ebb_alloc_array(count, sizeof *w->jobs);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    for (uint64_t i = 0; i < count; i++) {
        const struct ebb_job *j = &w->b->jobs[i];
        const Ebb__JobGroup *g = ebb_bag_group_of(w->b, i)->spec;
        Ebb__JobReport *p = w->jobs[i] = ebb_alloc(sizeof *p);
        ebb__job_report__init(p);
        ebb_buffer_reset(&name);
        ebb_job_name(g, i - g->first_job, &name);
        p->job = i;
        p->name = text(ebb_buffer_text(&name));
        p->state = text(ebb_job_state_name(j->state));
        p->attempts = j->attempts;
        p->revocations = j->revocations;
        p->failures = j->failures;
        p->checkpoints = j->checkpoint_sequence;
        p->split = split_new();
        p->verified = text(verified_text(j));
    }
    w->r->job_reports = w->jobs;
    w->r->n_job_reports = count;
}

const char *ebb_bag_state_name(const struct ebb_bag *b)
{
    if (!ebb_bag_is_finished(b))
        return "running";
    if (b->counts[EBB_JOB_FAILED] > 0)
        return "failed";
    return b->counts[EBB_JOB_CANCELLED] > 0 ? "cancelled" : "done";
}

static void add_bag(struct builder *w)
{
    Ebb__Report *r = w->r;
    const struct ebb_bag *b = w->b;
    r->bag = text(b->spec->id);
    r->name = text(b->spec->name);
    r->state = text(ebb_bag_state_name(b));
    r->submitted_wall_ns = b->submitted_wall_ns;
    r->finished_wall_ns = b->finished_wall_ns;
    r->jobs = b->job_count;
    r->attempts = b->attempts;
    r->revocations = b->revocations;
    r->failures = b->failures;
    r->checkpoints = b->checkpoints;
    r->output_files = b->output_files;
    r->output_source_bytes = b->output_source_bytes;
    r->output_bytes = b->output_bytes;
    r->output_stored_bytes = b->output_stored_bytes;
    r->bill_time_scale = w->s->bill_time_scale;
    r->is_final = ebb_bag_is_finished(b);
    r->split = split_new();
    if (b->estimate != NULL) {
        r->estimate = ebb_memdup(b->estimate, sizeof *b->estimate);
        r->estimate->base.n_unknown_fields = 0;
        r->estimate->base.unknown_fields = NULL;
    }
    r->verified_against = text(b->verified_against);
    r->verified_jobs = b->verified_jobs;
    r->verified_files_equal = b->verified_files_equal;
    r->verified_files_different = b->verified_files_different;
    r->verified = b->verified_against != NULL && b->verified_files_different == 0 &&
                  b->verified_files_equal > 0;
    r->n_counts = ebb_bag_counts_new(b, &r->counts);
}

static void add_store(struct builder *w)
{
    if (w->b->index >= w->s->ledger->bag_count)
        return;
    const struct ebb_bag_account *a = &w->s->ledger->bags[w->b->index];
    int64_t until = ebb_bag_is_finished(w->b) ? w->b->finished_wall_ns : w->now_wall_ns;
    w->r->puts = a->requests.puts;
    w->r->gets = a->requests.gets;
    w->r->bytes_up = a->requests.bytes_up;
    w->r->bytes_down = a->requests.bytes_down;
    w->r->stored_bytes = a->stored_bytes;
    w->r->requests_usd_micros = ebb_bill_requests(a->requests.puts, a->requests.gets);
    w->r->storage_usd_micros =
        ebb_bill_storage(ebb_account_byte_seconds(a, until) * w->s->bill_time_scale);
}

Ebb__Report *ebb_report_new(const struct ebb_state *s, const struct ebb_bag *b, int64_t now_wall_ns,
                            bool jobs)
{
    struct builder w = {.s = s, .b = b, .now_wall_ns = now_wall_ns};
    w.r = ebb_alloc(sizeof *w.r);
    ebb__report__init(w.r);
    add_bag(&w);
    if (jobs) {
        sort_rows(&w);
        make_jobs(&w);
    }
    add_vms(&w);
    add_store(&w);
    w.r->total_usd_micros = w.r->vm_usd_micros + w.r->requests_usd_micros + w.r->storage_usd_micros;
    free(w.row_order);
    free(w.row_vm_first);
    return w.r;
}
