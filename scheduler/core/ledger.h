/* The ledger: every VM second has a row, and every dollar a reason. Part of the state's fold.
 *
 *   VM dollars = bill(launch, end, prices) --share of seconds--> bags --> useful, checkpoint,
 *                lost, setup (by attempt), boot, idle
 *
 * An attempt holds a share of its VM: the largest of its parts of CPUs, memory and GPUs (scaled
 * down while the parts of all together exceed one); what nobody holds is boot or idle, and falls
 * on the bags that used the VM in the same proportion (on the bag it was launched for when none
 * did). Amounts are split by largest remainder, so parts add up to the whole exactly.
 * docs/ledger.md tells the rules in full. */
#ifndef EBB_SCHEDULER_CORE_LEDGER_H
#define EBB_SCHEDULER_CORE_LEDGER_H

#include "proto/wire.pb-c.h"
#include "scheduler/core/state.h"

struct ebb_ledger_totals {
    int64_t vm_usd_micros;
    int64_t forgiven_usd_micros;
    int64_t requests_usd_micros;
    int64_t storage_usd_micros;
    uint64_t puts, gets;
    double billed_s;
};

/* Everything the scheduler ever rented, bag or none; VMs that still live up to `now`. */
void ebb_ledger_totals(const struct ebb_state *s, int64_t now_wall_ns,
                       struct ebb_ledger_totals *ret);
/* What the VM has cost so far. */
int64_t ebb_ledger_vm_usd_micros(const struct ebb_state *s, uint32_t vm, int64_t now_wall_ns);
/* What the bag has cost so far: VMs, requests, storage. */
int64_t ebb_ledger_bag_usd_micros(const struct ebb_state *s, uint32_t bag, int64_t now_wall_ns);

/* Splits `amount` in proportion to weights (>= 0) by largest remainder; ties go to the first.
 * All to the first part when every weight is 0. The parts add up to the amount exactly. */
void ebb_split_amount(int64_t amount, const double *weights, size_t count, int64_t *ret_parts);

/* The bag's report; `jobs`: with a row for each job. Freed with ebb__report__free_unpacked. */
Ebb__Report *ebb_report_new(const struct ebb_state *s, const struct ebb_bag *b, int64_t now_wall_ns,
                            bool jobs);

/* For the fold: a lease begins (after which lease->row is set), ends; a VM has ended by the
 * cloud's word; requests and bytes stored. */
struct ebb_ledger *ebb_ledger_new(void);
void ebb_ledger_destroy(struct ebb_ledger *l);
void ebb_ledger_lease_began(struct ebb_state *s, struct ebb_vm *vm, struct ebb_lease *lease);
void ebb_ledger_lease_ended(struct ebb_state *s, struct ebb_vm *vm, const struct ebb_lease *lease,
                            const Ebb__AttemptEnded *e, int64_t wall_ns);
void ebb_ledger_advance(struct ebb_state *s, struct ebb_vm *vm, int64_t wall_ns);
void ebb_ledger_vm_ended(struct ebb_state *s, struct ebb_vm *vm);
void ebb_ledger_requests(struct ebb_state *s, uint32_t bag, const Ebb__RequestsCounted *e);
void ebb_ledger_storage(struct ebb_state *s, uint32_t bag, uint64_t bytes, int64_t wall_ns);
uint64_t ebb_ledger_digest(const struct ebb_state *s, uint64_t seed);

#endif
