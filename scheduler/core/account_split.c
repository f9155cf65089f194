/* From seconds to dollars: a VM's bill divided among the bags that used it, exactly. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/accounts.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"

struct remainder {
    double fraction;
    size_t at;
};

static int by_fraction(const void *a, const void *b)
{
    const struct remainder *x = a, *y = b;
    if (x->fraction != y->fraction)
        return x->fraction > y->fraction ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

void ebb_split_amount(int64_t amount, const double *weights, size_t count, int64_t *ret_parts)
{
    long double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += weights[i] > 0 ? weights[i] : 0;
    memset(ret_parts, 0, count * sizeof *ret_parts);
    if (count == 0)
        return;
    if (!(sum > 0)) {
        ret_parts[0] = amount;
        return;
    }
    EBB_AUTO_FREE struct remainder *rest = ebb_alloc_array(count, sizeof *rest);
    int64_t left = amount;
    for (size_t i = 0; i < count; i++) {
        long double exact = weights[i] > 0 ? (long double)amount * weights[i] / sum : 0;
        ret_parts[i] = (int64_t)exact;
        rest[i] = (struct remainder){(double)(exact - ret_parts[i]), i};
        left -= ret_parts[i];
    }
    if (left > 0)
        qsort(rest, count, sizeof *rest, by_fraction);
    for (size_t i = 0; left > 0; i = (i + 1) % count, left--)
        ret_parts[rest[i].at]++;
    for (size_t i = 0; left < 0; i = (i + 1) % count) { /* rounding of the sum itself */
        if (ret_parts[i] > 0) {
            ret_parts[i]--;
            left++;
        }
    }
}

void ebb_vm_split_clean_up(struct ebb_vm_split *split)
{
    free(split->shares);
    split->shares = NULL;
    split->share_count = 0;
}

static struct ebb_vm_share *share_of(struct ebb_vm_split *split, uint32_t bag)
{
    for (size_t i = 0; i < split->share_count; i++) {
        if (split->shares[i].bag == bag)
            return &split->shares[i];
    }
    split->shares = ebb_realloc_array(split->shares, split->share_count + 1, sizeof *split->shares);
    split->shares[split->share_count] = (struct ebb_vm_share){.bag = bag};
    return &split->shares[split->share_count++];
}

static void add_parts(struct ebb_vm_share *share, const double parts[EBB_PARTS])
{
    for (int p = 0; p < EBB_PARTS; p++)
        share->parts[p] += parts[p];
}

static double held_now(const struct ebb_state *s, const struct ebb_vm *vm,
                       const struct ebb_lease *lease, int64_t now_wall_ns)
{
    const struct ebb_vm_account *a = &s->ledger->vms[vm->index];
    double held = s->ledger->bags[lease->bag].rows[lease->row].held_s;
    if (vm->ended_wall_ns != 0 && now_wall_ns > vm->ended_wall_ns)
        now_wall_ns = vm->ended_wall_ns;
    double more = (double)(now_wall_ns - a->advanced_wall_ns) / 1e9;
    return held + (more > 0 ? more * lease->share * ebb_account_dilution(vm) : 0);
}

void ebb_account_lease_parts(const struct ebb_state *s, const struct ebb_vm *vm,
                             const struct ebb_lease *lease, int64_t now_wall_ns,
                             double parts[EBB_PARTS])
{
    ebb_account_live_parts(lease, held_now(s, vm, lease, now_wall_ns), now_wall_ns, parts);
}

static double sum_parts(const double parts[EBB_PARTS])
{
    double sum = 0;
    for (int p = 0; p < EBB_PARTS; p++)
        sum += parts[p];
    return sum;
}

/* What nobody held falls on the bags in proportion to what they held. */
static void spread_rest(const struct ebb_vm *vm, int64_t end_wall_ns, struct ebb_vm_split *split)
{
    int64_t joined = vm->joined ? vm->joined_wall_ns : end_wall_ns;
    if (joined > end_wall_ns)
        joined = end_wall_ns;
    double boot = (double)(joined - vm->launched_wall_ns) / 1e9;
    double life = (double)(end_wall_ns - vm->launched_wall_ns) / 1e9, held = 0;
    boot = boot > 0 ? boot : 0;
    for (size_t i = 0; i < split->share_count; i++)
        held += sum_parts(split->shares[i].parts);
    double idle = life - boot - held > 0 ? life - boot - held : 0;
    if (held <= 0 && vm->for_bag != EBB_NONE && split->share_count == 0)
        share_of(split, vm->for_bag);
    for (size_t i = 0; i < split->share_count; i++) {
        double part =
            held > 0 ? sum_parts(split->shares[i].parts) / held : 1.0 / (double)split->share_count;
        split->shares[i].boot_s = boot * part;
        split->shares[i].idle_s = idle * part;
    }
}

void ebb_account_split_vm(const struct ebb_state *s, const struct ebb_vm *vm, int64_t now_wall_ns,
                          struct ebb_vm_split *ret)
{
    *ret = (struct ebb_vm_split){0};
    if (vm->launched_wall_ns == 0)
        return;
    int64_t end = vm->ended_wall_ns != 0 ? vm->ended_wall_ns : now_wall_ns;
    if (vm->index < s->ledger->vm_count) {
        const struct ebb_vm_account *a = &s->ledger->vms[vm->index];
        for (size_t i = 0; i < a->cell_count; i++)
            add_parts(share_of(ret, a->cells[i].bag), a->cells[i].parts);
    }
    for (size_t i = 0; i < vm->lease_count; i++) {
        double parts[EBB_PARTS];
        ebb_account_lease_parts(s, vm, &vm->leases[i], end, parts);
        add_parts(share_of(ret, vm->leases[i].bag), parts);
    }
    spread_rest(vm, end, ret);
    struct ebb_vm_bill bill;
    ebb_bill_vm(ebb_market_find(s->market, vm->offer->zone, vm->offer->type, vm->offer->market),
                vm->offer, vm->launched_wall_ns, end, vm->interrupted, s->bill_time_scale, &bill);
    ret->billed_s = bill.billed_s;
    ret->usd_micros = bill.usd_micros;
    ret->forgiven_usd_micros = bill.forgiven_usd_micros;
    size_t n = ret->share_count;
    EBB_AUTO_FREE double *weights = ebb_alloc_array(n + 1, sizeof *weights);
    EBB_AUTO_FREE int64_t *parts = ebb_alloc_array(n + 1, sizeof *parts);
    for (size_t i = 0; i < n; i++)
        weights[i] =
            sum_parts(ret->shares[i].parts) + ret->shares[i].boot_s + ret->shares[i].idle_s;
    ebb_split_amount(bill.usd_micros, weights, n, parts);
    for (size_t i = 0; i < n; i++)
        ret->shares[i].usd_micros = parts[i];
    ebb_split_amount(bill.forgiven_usd_micros, weights, n, parts);
    for (size_t i = 0; i < n; i++)
        ret->shares[i].forgiven_usd_micros = parts[i];
}

int64_t ebb_account_on_demand_price(const struct ebb_state *s, const struct ebb_vm *vm)
{
    if (vm->offer->on_demand_usd_micros_per_hour > 0)
        return vm->offer->on_demand_usd_micros_per_hour;
    const struct ebb_market_entry *e =
        ebb_market_find(s->market, vm->offer->zone, vm->offer->type, EBB__MARKET__ON_DEMAND);
    if (e != NULL && e->price_count > 0)
        return e->prices[e->price_count - 1].usd_micros_per_hour;
    return vm->offer->usd_micros_per_hour;
}

int64_t ebb_ledger_vm_usd_micros(const struct ebb_state *s, uint32_t vm, int64_t now_wall_ns)
{
    const struct ebb_vm *v = s->vms[vm];
    struct ebb_vm_bill bill;
    ebb_bill_vm(ebb_market_find(s->market, v->offer->zone, v->offer->type, v->offer->market),
                v->offer, v->launched_wall_ns, v->ended_wall_ns ? v->ended_wall_ns : now_wall_ns,
                v->interrupted, s->bill_time_scale, &bill);
    return bill.usd_micros;
}

int64_t ebb_ledger_bag_usd_micros(const struct ebb_state *s, uint32_t bag, int64_t now_wall_ns)
{
    int64_t sum = 0;
    for (size_t v = 0; v < s->vm_count; v++) {
        EBB_AUTO(ebb_vm_split_clean_up) struct ebb_vm_split split;
        ebb_account_split_vm(s, s->vms[v], now_wall_ns, &split);
        for (size_t i = 0; i < split.share_count; i++) {
            if (split.shares[i].bag == bag)
                sum += split.shares[i].usd_micros;
        }
    }
    if (bag < s->ledger->bag_count) {
        const struct ebb_bag_account *b = &s->ledger->bags[bag];
        int64_t until = s->bags[bag]->finished_wall_ns;
        sum += ebb_bill_requests(b->requests.puts, b->requests.gets);
        sum += ebb_bill_storage(ebb_account_byte_seconds(b, until != 0 ? until : now_wall_ns) *
                                s->bill_time_scale);
    }
    return sum;
}

void ebb_ledger_totals(const struct ebb_state *s, int64_t now_wall_ns,
                       struct ebb_ledger_totals *ret)
{
    *ret = (struct ebb_ledger_totals){.puts = s->ledger->own.puts, .gets = s->ledger->own.gets};
    for (size_t v = 0; v < s->vm_count; v++) {
        EBB_AUTO(ebb_vm_split_clean_up) struct ebb_vm_split split;
        ebb_account_split_vm(s, s->vms[v], now_wall_ns, &split);
        ret->vm_usd_micros += split.usd_micros;
        ret->forgiven_usd_micros += split.forgiven_usd_micros;
        ret->billed_s += split.billed_s;
    }
    double byte_seconds = 0;
    for (size_t b = 0; b < s->ledger->bag_count; b++) {
        ret->puts += s->ledger->bags[b].requests.puts;
        ret->gets += s->ledger->bags[b].requests.gets;
        byte_seconds += ebb_account_byte_seconds(&s->ledger->bags[b], now_wall_ns);
    }
    ret->requests_usd_micros = ebb_bill_requests(ret->puts, ret->gets);
    ret->storage_usd_micros = ebb_bill_storage(byte_seconds * s->bill_time_scale);
}
