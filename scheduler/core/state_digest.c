/* One number for all that decisions and reports read: two processes that folded the same log agree
 * on it. FNV-1a over the fields, in a fixed order. */
#include <string.h>

#include "scheduler/core/hazards.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"
#include "scheduler/core/state.h"

static void add(uint64_t *h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        *h = (*h ^ p[i]) * UINT64_C(1099511628211);
}

#define ADD(h, field) add(h, &(field), sizeof(field))

static void add_text(uint64_t *h, const char *text)
{
    add(h, text == NULL ? "" : text, text == NULL ? 1 : strlen(text) + 1);
}

static void add_group(uint64_t *h, const struct ebb_bag *b, const struct ebb_group *g)
{
    ADD(h, g->counts);
    ADD(h, g->unmet_needs);
    ADD(h, g->skipped);
    ADD(h, g->run_s.value);
    ADD(h, g->write_s.value);
    ADD(h, g->stopped_s.value);
    ADD(h, g->restart_s.value);
    ADD(h, g->log_pace.value);
    ADD(h, g->paced_jobs);
    ADD(h, g->paced_s);
    for (uint32_t j = g->first_ready; j != EBB_NONE; j = b->jobs[j].next)
        ADD(h, j);
}

static void add_bag(uint64_t *h, const struct ebb_bag *b)
{
    add_text(h, b->spec->id);
    ADD(h, b->submitted_wall_ns);
    ADD(h, b->finished_wall_ns);
    ADD(h, b->cancelled);
    add_text(h, b->cancel_reason);
    ADD(h, b->counts);
    ADD(h, b->attempts);
    ADD(h, b->revocations);
    ADD(h, b->failures);
    ADD(h, b->checkpoints);
    ADD(h, b->output_files);
    ADD(h, b->output_source_bytes);
    ADD(h, b->output_bytes);
    ADD(h, b->output_stored_bytes);
    ADD(h, b->budget_near_wall_ns);
    ADD(h, b->verified_jobs);
    ADD(h, b->verified_files_equal);
    ADD(h, b->verified_files_different);
    add_text(h, b->verified_against);
    for (uint64_t i = 0; i < b->job_count; i++)
        ADD(h, b->jobs[i]);
    for (size_t g = 0; g < b->group_count; g++)
        add_group(h, b, &b->groups[g]);
    size_t cursor = 0;
    void *reason = NULL;
    uint64_t reasons = 0; /* their order is that of insertion, which is history and not state */
    for (const char *key; (key = ebb_map_next(b->reasons, &cursor, &reason)) != NULL;) {
        uint64_t one = UINT64_C(14695981039346656037);
        add_text(&one, key);
        add_text(&one, reason);
        reasons += one;
    }
    ADD(h, reasons);
}

static void add_vm(uint64_t *h, const struct ebb_vm *vm)
{
    add_text(h, vm->id);
    add_text(h, vm->instance);
    add_text(h, vm->address);
    add_text(h, vm->client_token);
    add_text(h, vm->offer->zone);
    add_text(h, vm->offer->type);
    ADD(h, vm->state);
    ADD(h, vm->joined);
    ADD(h, vm->interrupted);
    ADD(h, vm->rebalance);
    ADD(h, vm->counted_revocation);
    ADD(h, vm->intended_wall_ns);
    ADD(h, vm->launched_wall_ns);
    ADD(h, vm->born_wall_ns);
    ADD(h, vm->told_wall_ns);
    ADD(h, vm->joined_wall_ns);
    ADD(h, vm->notice_wall_ns);
    ADD(h, vm->notice_deadline_wall_ns);
    ADD(h, vm->idle_since_wall_ns);
    ADD(h, vm->ended_wall_ns);
    ADD(h, vm->free_millicpus);
    ADD(h, vm->free_memory_bytes);
    ADD(h, vm->free_gpus);
    ADD(h, vm->attempts);
    ADD(h, vm->refusals);
    ADD(h, vm->for_bag);
    add_text(h, vm->reason);
    add_text(h, vm->end_reason);
    for (size_t i = 0; i < vm->lease_count; i++) {
        ADD(h, vm->leases[i].job);
        ADD(h, vm->leases[i].bag);
        ADD(h, vm->leases[i].attempt);
        ADD(h, vm->leases[i].rank);
        ADD(h, vm->leases[i].gang);
        ADD(h, vm->leases[i].leased_wall_ns);
        ADD(h, vm->leases[i].started_wall_ns);
        ADD(h, vm->leases[i].commit_wall_ns);
        ADD(h, vm->leases[i].revoked);
        ADD(h, vm->leases[i].step);
        ADD(h, vm->leases[i].run_s);
        ADD(h, vm->leases[i].paced);
        ADD(h, vm->leases[i].paced_s);
        ADD(h, vm->leases[i].told_steps);
        ADD(h, vm->leases[i].told_s);
    }
}

static void add_market(uint64_t *h, const struct ebb_market *m)
{
    size_t cursor = 0;
    const char *key = NULL;
    for (const struct ebb_market_entry *e; (e = ebb_market_next(m, &cursor, &key)) != NULL;) {
        add_text(h, key);
        ADD(h, e->refusals);
        ADD(h, e->granted);
        ADD(h, e->refused_wall_ns);
        ADD(h, e->revoked_wall_ns);
        ADD(h, e->outage_from_wall_ns);
        ADD(h, e->outage_told_wall_ns);
        for (size_t i = 0; i < e->price_count; i++)
            ADD(h, e->prices[i]);
    }
}

static void add_speeds(uint64_t *h, const struct ebb_state *s)
{
    size_t cursor = 0;
    void *mean = NULL;
    for (const char *key; (key = ebb_map_next(s->speeds, &cursor, &mean)) != NULL;) {
        add_text(h, key);
        ADD(h, ((const struct ebb_mean *)mean)->value);
    }
}

uint64_t ebb_state_digest(const struct ebb_state *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    ADD(&h, s->last_sequence);
    ADD(&h, s->last_wall_ns);
    ADD(&h, s->bill_time_scale);
    ADD(&h, s->boot_s.value);
    for (size_t i = 0; i < s->bag_count; i++)
        add_bag(&h, s->bags[i]);
    for (size_t i = 0; i < s->vm_count; i++)
        add_vm(&h, s->vms[i]);
    for (size_t i = 0; i < s->live_count; i++)
        ADD(&h, s->live[i]);
    for (size_t i = 0; i < s->active_count; i++) {
        ADD(&h, s->active[i]->bag);
        ADD(&h, s->active[i]->index);
    }
    ADD(&h, s->notice_s.value);
    ADD(&h, s->noticed);
    ADD(&h, s->unnoticed);
    ADD(&h, s->swept_wall_ns);
    add_speeds(&h, s);
    add_market(&h, s->market);
    h = ebb_hazards_digest(s->hazards, h);
    ADD(&h, s->catalogue_sha256);
    return ebb_ledger_digest(s, h);
}
