/* What the ledger keeps, for the files that read it (ledger.c writes it). */
#ifndef EBB_SCHEDULER_CORE_ACCOUNTS_H
#define EBB_SCHEDULER_CORE_ACCOUNTS_H

#include "scheduler/core/state.h"

enum { EBB_PART_USEFUL, EBB_PART_CHECKPOINT, EBB_PART_LOST, EBB_PART_SETUP, EBB_PARTS };

/* An attempt's seconds of its VM, weighted by its share. */
struct ebb_row {
    double held_s;
    double parts[EBB_PARTS]; /* once ended; they sum to held_s */
    uint32_t job, attempt, vm;
    bool ended;
};

/* Ended attempts of one bag on one VM. */
struct ebb_cell {
    uint32_t bag;
    double parts[EBB_PARTS];
};

/* An attempt that was lost before the cloud said when its VM ended. */
struct ebb_late {
    uint32_t bag, row;
    int64_t end_wall_ns;
    double factor; /* held seconds for each second */
};

struct ebb_vm_account {
    int64_t advanced_wall_ns; /* rows of live leases hold what was held until then */
    struct ebb_cell *cells;
    size_t cell_count;
    struct ebb_late *late;
    size_t late_count;
};

struct ebb_counts {
    uint64_t puts, gets, bytes_up, bytes_down;
};

struct ebb_bag_account {
    struct ebb_row *rows; /* in order of lease */
    size_t row_count, row_capacity;
    struct ebb_counts requests;
    uint64_t stored_bytes; /* since stored_wall_ns */
    int64_t stored_wall_ns;
    double byte_seconds; /* before */
};

struct ebb_ledger {
    struct ebb_vm_account *vms;
    size_t vm_count;
    struct ebb_bag_account *bags;
    size_t bag_count;
    struct ebb_counts own; /* requests that belong to no bag */
};

/* 1, or less while the parts of a VM's leases add up to more than the VM. */
double ebb_account_dilution(const struct ebb_vm *vm);
/* What a live lease's seconds have gone into so far; work since the last commit counts as useful.
 */
void ebb_account_live_parts(const struct ebb_lease *lease, double held_s, int64_t now_wall_ns,
                            double parts[EBB_PARTS]);
/* The same, with what the lease holds at `now` worked out. */
void ebb_account_lease_parts(const struct ebb_state *s, const struct ebb_vm *vm,
                             const struct ebb_lease *lease, int64_t now_wall_ns,
                             double parts[EBB_PARTS]);
double ebb_account_byte_seconds(const struct ebb_bag_account *b, int64_t now_wall_ns);

/* Micro-USD an hour of the VM's type on demand. */
int64_t ebb_account_on_demand_price(const struct ebb_state *s, const struct ebb_vm *vm);

/* A VM's seconds and bill, by bag. */
struct ebb_vm_share {
    uint32_t bag;
    double parts[EBB_PARTS]; /* attempts, live ones included */
    double boot_s, idle_s;   /* its part of what nobody held */
    int64_t usd_micros, forgiven_usd_micros;
};
struct ebb_vm_split {
    double billed_s;
    int64_t usd_micros, forgiven_usd_micros;
    struct ebb_vm_share *shares;
    size_t share_count;
};
void ebb_account_split_vm(const struct ebb_state *s, const struct ebb_vm *vm, int64_t now_wall_ns,
                          struct ebb_vm_split *ret);
void ebb_vm_split_clean_up(struct ebb_vm_split *split);

#endif
