/* Where the money goes. Each attempt has a row with the seconds of its VM that it held, weighted by
 * its share, and what they went into; each VM has a cell for each bag that sums the rows of
 * attempts that ended. Dollars are never stored: a VM's bill is computed from launch, end and
 * prices when asked, and split in proportion to the seconds.
 *
 *   VM seconds   launch ---- joined ------------------------------------------- end
 *                | boot      | setup |   useful   |c|  useful  |  lost  |  idle |
 *                                lease                 commit     end of attempt
 *
 * An attempt that told its times is believed as far as they fit its lease. One that was lost with
 * its VM is reckoned from what the log has: useful until its last commit, lost after it, up to the
 * moment the cloud says the VM ended (which often comes later: ebb_ledger_vm_ended takes back what
 * was counted beyond it). */
#include "scheduler/core/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/accounts.h"
#include "scheduler/core/fold.h"

struct ebb_ledger *ebb_ledger_new(void)
{
    return ebb_alloc(sizeof(struct ebb_ledger));
}

void ebb_ledger_destroy(struct ebb_ledger *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->vm_count; i++) {
        free(l->vms[i].cells);
        free(l->vms[i].late);
    }
    for (size_t i = 0; i < l->bag_count; i++)
        free(l->bags[i].rows);
    free(l->vms);
    free(l->bags);
    free(l);
}

static struct ebb_vm_account *vm_account(struct ebb_ledger *l, uint32_t vm)
{
    if (vm >= l->vm_count) {
        size_t count = (size_t)vm + 1 + l->vm_count;
        l->vms = ebb_realloc_array(l->vms, count, sizeof *l->vms);
        memset(l->vms + l->vm_count, 0, (count - l->vm_count) * sizeof *l->vms);
        l->vm_count = count;
    }
    return &l->vms[vm];
}

static struct ebb_bag_account *bag_account(struct ebb_ledger *l, uint32_t bag)
{
    if (bag >= l->bag_count) {
        size_t count = (size_t)bag + 1 + l->bag_count;
        l->bags = ebb_realloc_array(l->bags, count, sizeof *l->bags);
        memset(l->bags + l->bag_count, 0, (count - l->bag_count) * sizeof *l->bags);
        l->bag_count = count;
    }
    return &l->bags[bag];
}

static double *cell_parts(struct ebb_vm_account *a, uint32_t bag)
{
    for (size_t i = 0; i < a->cell_count; i++) {
        if (a->cells[i].bag == bag)
            return a->cells[i].parts;
    }
    a->cells = ebb_realloc_array(a->cells, a->cell_count + 1, sizeof *a->cells);
    a->cells[a->cell_count] = (struct ebb_cell){.bag = bag};
    return a->cells[a->cell_count++].parts;
}

static double largest_part(const struct ebb_vm *vm, const struct ebb_need *need)
{
    double share = 0;
    if (vm->millicpus > 0)
        share = (double)need->millicpus / (double)vm->millicpus;
    if (vm->memory_bytes > 0 && (double)need->memory_bytes / (double)vm->memory_bytes > share)
        share = (double)need->memory_bytes / (double)vm->memory_bytes;
    if (vm->gpus > 0 && (double)need->gpus / (double)vm->gpus > share)
        share = (double)need->gpus / (double)vm->gpus;
    return share < 1 ? share : 1;
}

double ebb_account_dilution(const struct ebb_vm *vm)
{
    double sum = 0;
    for (size_t i = 0; i < vm->lease_count; i++)
        sum += vm->leases[i].share;
    return sum > 1 ? 1 / sum : 1;
}

/* Seconds are counted up to here at most: a VM that the cloud has ended holds nothing. */
static int64_t clamp_to_life(const struct ebb_vm *vm, int64_t wall_ns)
{
    return vm->ended_wall_ns != 0 && wall_ns > vm->ended_wall_ns ? vm->ended_wall_ns : wall_ns;
}

void ebb_ledger_advance(struct ebb_state *s, struct ebb_vm *vm, int64_t wall_ns)
{
    struct ebb_vm_account *a = vm_account(s->ledger, vm->index);
    wall_ns = clamp_to_life(vm, wall_ns);
    if (wall_ns <= a->advanced_wall_ns)
        return;
    double held = (double)(wall_ns - a->advanced_wall_ns) / 1e9 * ebb_account_dilution(vm);
    for (size_t i = 0; i < vm->lease_count; i++) {
        struct ebb_lease *lease = &vm->leases[i];
        s->ledger->bags[lease->bag].rows[lease->row].held_s += held * lease->share;
    }
    a->advanced_wall_ns = wall_ns;
}

void ebb_ledger_lease_began(struct ebb_state *s, struct ebb_vm *vm, struct ebb_lease *lease)
{
    ebb_ledger_advance(s, vm, lease->leased_wall_ns);
    struct ebb_bag_account *b = bag_account(s->ledger, lease->bag);
    if (b->row_count == b->row_capacity) {
        b->row_capacity = b->row_capacity == 0 ? 64 : b->row_capacity * 2;
        b->rows = ebb_realloc_array(b->rows, b->row_capacity, sizeof *b->rows);
    }
    lease->row = (uint32_t)b->row_count;
    b->rows[b->row_count++] =
        (struct ebb_row){.job = (uint32_t)lease->job, .attempt = lease->attempt, .vm = vm->index};
    struct ebb_need need =
        ebb_need_of(ebb_bag_group_of(s->bags[lease->bag], lease->job)->spec->resources);
    lease->share = largest_part(vm, &need);
}

static double not_negative(double x)
{
    return x > 0 ? x : 0;
}

/* From what the log saw of the attempt. */
static void reckon_parts(const struct ebb_lease *lease, int64_t end_wall_ns, bool lost,
                         double parts[EBB_PARTS])
{
    double raw = not_negative((double)(end_wall_ns - lease->leased_wall_ns) / 1e9);
    memset(parts, 0, EBB_PARTS * sizeof *parts);
    if (lease->started_wall_ns == 0) {
        parts[EBB_PART_SETUP] = raw;
        return;
    }
    double ran = not_negative((double)(end_wall_ns - lease->started_wall_ns) / 1e9);
    if (ran > raw)
        ran = raw;
    int64_t safe = lease->commit_wall_ns != 0 ? lease->commit_wall_ns : lease->started_wall_ns;
    double after = not_negative((double)(end_wall_ns - safe) / 1e9);
    if (after > ran)
        after = ran;
    double stopped = lease->stopped_s < ran - after ? lease->stopped_s : ran - after;
    parts[EBB_PART_SETUP] = raw - ran;
    parts[EBB_PART_CHECKPOINT] = stopped;
    parts[EBB_PART_LOST] = lost ? after : 0;
    parts[EBB_PART_USEFUL] = ran - stopped - parts[EBB_PART_LOST];
}

/* From what the agent told, cut to the length of the lease; what it left out is setup. */
static bool told_parts(const Ebb__AttemptTimes *t, double raw, double parts[EBB_PARTS])
{
    if (t == NULL)
        return false;
    double lost = not_negative(t->lost_s);
    parts[EBB_PART_USEFUL] = not_negative(not_negative(t->run_s) - lost);
    parts[EBB_PART_CHECKPOINT] = not_negative(t->checkpoint_s);
    parts[EBB_PART_LOST] = lost;
    parts[EBB_PART_SETUP] = not_negative(t->staging_s) + not_negative(t->restore_s) +
                            not_negative(t->setup_s) + not_negative(t->commit_s);
    double sum = 0;
    for (int p = 0; p < EBB_PARTS; p++)
        sum += parts[p];
    if (!(sum > 0) || sum > 1e15)
        return false;
    for (int p = 0; sum > raw && p < EBB_PARTS; p++)
        parts[p] *= raw / sum;
    if (sum < raw)
        parts[EBB_PART_SETUP] += raw - sum;
    return true;
}

void ebb_account_live_parts(const struct ebb_lease *lease, double held_s, int64_t now_wall_ns,
                            double parts[EBB_PARTS])
{
    reckon_parts(lease, now_wall_ns, false, parts);
    double raw = not_negative((double)(now_wall_ns - lease->leased_wall_ns) / 1e9);
    for (int p = 0; p < EBB_PARTS; p++)
        parts[p] *= raw > 0 ? held_s / raw : 0;
}

static void note_late(struct ebb_vm_account *a, const struct ebb_lease *lease, int64_t end_wall_ns,
                      double factor)
{
    a->late = ebb_realloc_array(a->late, a->late_count + 1, sizeof *a->late);
    a->late[a->late_count++] = (struct ebb_late){
        .bag = lease->bag, .row = lease->row, .end_wall_ns = end_wall_ns, .factor = factor};
}

void ebb_ledger_lease_ended(struct ebb_state *s, struct ebb_vm *vm, const struct ebb_lease *lease,
                            const Ebb__AttemptEnded *e, int64_t wall_ns)
{
    ebb_ledger_advance(s, vm, wall_ns);
    struct ebb_vm_account *a = vm_account(s->ledger, vm->index);
    struct ebb_row *row = &s->ledger->bags[lease->bag].rows[lease->row];
    int64_t end = clamp_to_life(vm, wall_ns);
    double raw = not_negative((double)(end - lease->leased_wall_ns) / 1e9);
    double parts[EBB_PARTS];
    if (!told_parts(e->times, raw, parts))
        reckon_parts(lease, end, e->outcome != EBB__ATTEMPT_ENDED__OUTCOME__DONE, parts);
    double factor = raw > 0 ? row->held_s / raw : 0;
    double *cell = cell_parts(a, lease->bag);
    for (int p = 0; p < EBB_PARTS; p++) {
        row->parts[p] = parts[p] * factor;
        cell[p] += row->parts[p];
    }
    row->ended = true;
    if (vm->ended_wall_ns == 0 && e->outcome == EBB__ATTEMPT_ENDED__OUTCOME__LOST)
        note_late(a, lease, end, factor);
}

void ebb_ledger_vm_ended(struct ebb_state *s, struct ebb_vm *vm)
{
    ebb_ledger_advance(s, vm, vm->ended_wall_ns);
    struct ebb_vm_account *a = vm_account(s->ledger, vm->index);
    for (size_t i = 0; i < a->late_count; i++) {
        const struct ebb_late *late = &a->late[i];
        struct ebb_row *row = &s->ledger->bags[late->bag].rows[late->row];
        double over = not_negative((double)(late->end_wall_ns - vm->ended_wall_ns) / 1e9);
        double excess = over * late->factor;
        double *cell = cell_parts(a, late->bag);
        static const int order[] = {EBB_PART_LOST, EBB_PART_SETUP, EBB_PART_USEFUL};
        for (size_t o = 0; o < EBB_ARRAY_LEN(order) && excess > 0; o++) {
            int p = order[o];
            double cut = excess < row->parts[p] ? excess : row->parts[p];
            row->parts[p] -= cut;
            row->held_s -= cut;
            cell[p] -= cut;
            excess -= cut;
        }
    }
    free(a->late);
    a->late = NULL;
    a->late_count = 0;
}

void ebb_ledger_requests(struct ebb_state *s, uint32_t bag, const Ebb__RequestsCounted *e)
{
    struct ebb_counts *c =
        bag == EBB_NONE ? &s->ledger->own : &bag_account(s->ledger, bag)->requests;
    c->puts += e->puts;
    c->gets += e->gets;
    c->bytes_up += e->bytes_up;
    c->bytes_down += e->bytes_down;
}

void ebb_ledger_storage(struct ebb_state *s, uint32_t bag, uint64_t bytes, int64_t wall_ns)
{
    struct ebb_bag_account *b = bag_account(s->ledger, bag);
    b->byte_seconds = ebb_account_byte_seconds(b, wall_ns);
    b->stored_bytes = bytes;
    b->stored_wall_ns = wall_ns;
}

double ebb_account_byte_seconds(const struct ebb_bag_account *b, int64_t now_wall_ns)
{
    double s = (double)(now_wall_ns - b->stored_wall_ns) / 1e9;
    return b->byte_seconds + (s > 0 ? s * (double)b->stored_bytes : 0);
}

uint64_t ebb_ledger_digest(const struct ebb_state *s, uint64_t seed)
{
    const struct ebb_ledger *l = s->ledger;
    uint64_t h = seed;
    for (size_t b = 0; b < l->bag_count; b++) {
        for (size_t r = 0; r < l->bags[b].row_count; r++) {
            uint64_t words[3] = {l->bags[b].rows[r].job, l->bags[b].rows[r].vm, 0};
            memcpy(&words[2], &l->bags[b].rows[r].held_s, sizeof words[2]);
            for (size_t i = 0; i < EBB_ARRAY_LEN(words); i++)
                h = (h ^ words[i]) * UINT64_C(1099511628211);
        }
        h = (h ^ l->bags[b].requests.puts) * UINT64_C(1099511628211);
        h = (h ^ l->bags[b].requests.gets) * UINT64_C(1099511628211);
        h = (h ^ l->bags[b].stored_bytes) * UINT64_C(1099511628211);
    }
    return (h ^ l->own.puts) * UINT64_C(1099511628211);
}
