/* Decisions as events: what is written into the log when a job is leased, a VM is wanted, given up
 * or found ended. The daemon and the simulator drive the same acts; each brings its own way to
 * emit an event (apply it to the state, and log it or not) and its own clock.
 *
 * Every act asks the state first and does nothing where it no longer applies. */
#ifndef EBB_SCHEDULER_CORE_ACTS_H
#define EBB_SCHEDULER_CORE_ACTS_H

#include "scheduler/core/planner.h"
#include "scheduler/core/state.h"

struct ebb_actor {
    struct ebb_state *state;
    /* Gives the event its sequence and time and folds it into the state. Negative: refused, and
     * told to whom it concerns. */
    int (*emit)(void *ctx, Ebb__Event *e);
    void *ctx;
};

/* ---- VMs ---- */

struct ebb_vm_intent {
    const Ebb__Offer *offer;
    const char *vm, *client_token;
    const uint8_t *join_token_sha256; /* 32 bytes; NULL: none */
    const char *reason;
};
int ebb_act_intend(const struct ebb_actor *a, const struct ebb_vm_intent *i);
/* The cloud has answered. Nothing when the log knows the instance already. */
void ebb_act_launched(const struct ebb_actor *a, struct ebb_vm *vm, const char *instance,
                      int64_t launched_wall_ns);
/* False: it runs after all, or was given up before; nothing was written. */
bool ebb_act_launch_failed(const struct ebb_actor *a, struct ebb_vm *vm, int code,
                           const char *reason);
void ebb_act_terminating(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason);
/* Declared dead: lost, its attempts too, and to be ended. */
void ebb_act_give_up(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason);
/* The cloud says that it has ended; `launched` and `ended` by the cloud's clock. */
void ebb_act_ended(const struct ebb_actor *a, struct ebb_vm *vm, int64_t launched_wall_ns,
                   int64_t ended_wall_ns, bool interrupted, const char *reason);
/* True, with the reason: its agent has been silent for longer than a lease, or never came. */
struct ebb_terms {
    double lease_s, boot_s;
};
bool ebb_vm_is_overdue(const struct ebb_vm *vm, double silent_s, double age_s,
                       const struct ebb_terms *terms, char reason[120]);

/* ---- leases ---- */

/* Placements in the order of VMs, as they are granted. */
void ebb_placements_sort(struct ebb_placement *list, size_t count);
int ebb_act_lease(const struct ebb_actor *a, const struct ebb_placement *p,
                  int64_t expires_wall_ns);
void ebb_act_revoke_lease(const struct ebb_actor *a, const struct ebb_bag *b, uint64_t job,
                          uint32_t attempt, const char *reason);
/* All leases of a VM end as lost. */
void ebb_act_lose_leases(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason);

/* ---- bags ---- */

void ebb_act_cancel_bag(const struct ebb_actor *a, const struct ebb_bag *b, const char *reason);
void ebb_act_budget_near(const struct ebb_actor *a, const struct ebb_plan_budget *p);
/* Finishes a bag whose jobs have all settled and returns it; NULL: there is none. */
struct ebb_bag *ebb_act_finish_bag(const struct ebb_actor *a);

#endif
