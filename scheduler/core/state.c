/* The state: made, asked, and fed one event at a time. What an event does stands in fold_bag.c,
 * fold_job.c, fold_attempt.c, fold_vm.c. */
#include "scheduler/core/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"

#define SWEEP_S 600.0

static const char *const job_states[EBB_JOB_STATES] = {"waiting", "ready",  "leased",   "running",
                                                       "done",    "failed", "cancelled"};
static const char *const vm_states[] = {"intended", "booting",     "ready",      "noticed",
                                        "lost",     "terminating", "terminated", "failed"};
static const char *const outcomes[] = {"done",      "failed", "released", "lost",
                                       "cancelled", "fenced", "refused"};

struct ebb_state *ebb_state_new(void)
{
    struct ebb_state *s = ebb_alloc(sizeof *s);
    s->bill_time_scale = 1;
    s->sweep_s = SWEEP_S;
    s->bags_by_id = ebb_map_new(NULL);
    s->bags_by_key = ebb_map_new(NULL);
    s->vms_by_id = ebb_map_new(NULL);
    s->market = ebb_market_new();
    s->hazards = ebb_hazards_new(EBB_HAZARD_HALF_LIFE_S);
    ebb_hazards_set_prior_source(s->hazards, ebb_catalogue_prior, NULL);
    s->speeds = ebb_map_new(free);
    s->ledger = ebb_ledger_new();
    return s;
}

void ebb_state_destroy(struct ebb_state *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->bag_count; i++)
        ebb_bag_destroy(s->bags[i]);
    for (size_t i = 0; i < s->vm_count; i++)
        ebb_vm_destroy(s->vms[i]);
    free(s->bags);
    free(s->vms);
    free(s->live);
    free(s->active);
    ebb_map_destroy(s->bags_by_id);
    ebb_map_destroy(s->bags_by_key);
    ebb_map_destroy(s->vms_by_id);
    ebb_market_destroy(s->market);
    ebb_hazards_destroy(s->hazards);
    ebb_catalogue_destroy(s->catalogue);
    ebb_map_destroy(s->speeds);
    ebb_ledger_destroy(s->ledger);
    if (s->cloud != NULL)
        ebb__cloud_configured__free_unpacked(s->cloud, NULL);
    free(s);
}

void *ebb_fold_copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(size + 1);
    protobuf_c_message_pack(message, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
    if (copy == NULL)
        abort(); /* what protobuf-c packed it unpacks, unless memory is out */
    return copy;
}

struct ebb_need ebb_need_of(const Ebb__Resources *r)
{
    struct ebb_need need = {1000, INT64_C(1) << 30, 0};
    if (r == NULL)
        return need;
    if (r->cpus > 0)
        need.millicpus = (int64_t)ceil(r->cpus * 1000 - 1e-6);
    if (r->memory_bytes > 0)
        need.memory_bytes = (int64_t)(r->memory_bytes & INT64_MAX);
    need.gpus = r->gpus;
    return need;
}

bool ebb_gpu_model_fits(const Ebb__Resources *r, const char *model)
{
    if (r == NULL || r->gpus == 0 || r->n_gpu_models == 0)
        return true;
    for (size_t i = 0; i < r->n_gpu_models; i++) {
        if (strcmp(r->gpu_models[i], model) == 0)
            return true;
    }
    return false;
}

struct ebb_bag *ebb_state_bag(const struct ebb_state *s, const char *id)
{
    return ebb_map_get(s->bags_by_id, id);
}

struct ebb_bag *ebb_state_find_bag(const struct ebb_state *s, const char *text)
{
    struct ebb_bag *b = ebb_state_bag(s, text);
    if (b != NULL || s->bag_count == 0)
        return b;
    for (size_t i = s->bag_count; i-- > 0;) {
        if (strcmp(s->bags[i]->spec->name, text) == 0)
            return s->bags[i];
    }
    return strcmp(text, "last") == 0 ? s->bags[s->bag_count - 1] : NULL;
}

struct ebb_bag *ebb_state_bag_by_key(const struct ebb_state *s, const char *idempotency_key)
{
    return ebb_map_get(s->bags_by_key, idempotency_key);
}

struct ebb_vm *ebb_state_vm(const struct ebb_state *s, const char *id)
{
    return ebb_map_get(s->vms_by_id, id);
}

struct ebb_group *ebb_bag_group_of(const struct ebb_bag *b, uint64_t job)
{
    size_t low = 0, high = b->group_count;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (job < b->groups[mid].spec->first_job)
            high = mid;
        else
            low = mid;
    }
    return &b->groups[low];
}

bool ebb_bag_is_settled(const struct ebb_bag *b)
{
    return b->counts[EBB_JOB_DONE] + b->counts[EBB_JOB_FAILED] + b->counts[EBB_JOB_CANCELLED] ==
           b->job_count;
}

bool ebb_bag_is_finished(const struct ebb_bag *b)
{
    return b->finished_wall_ns != 0;
}

bool ebb_state_is_idle(const struct ebb_state *s)
{
    return s->active_count == 0 && s->live_count == 0;
}

bool ebb_vm_is_live(const struct ebb_vm *vm)
{
    return vm->state != EBB_VM_TERMINATED && vm->state != EBB_VM_FAILED;
}

bool ebb_vm_takes_leases(const struct ebb_vm *vm)
{
    return vm->state == EBB_VM_READY;
}

size_t ebb_vm_lease_of(const struct ebb_vm *vm, uint32_t bag, uint64_t job)
{
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (vm->leases[i].job == job && vm->leases[i].bag == bag)
            return i;
    }
    return SIZE_MAX;
}

const struct ebb_lease *ebb_state_lease(const struct ebb_state *s, const char *bag, uint64_t job,
                                        uint32_t *ret_vm)
{
    const struct ebb_bag *b = ebb_state_bag(s, bag);
    if (b == NULL || job >= b->job_count)
        return NULL;
    const struct ebb_job *j = &b->jobs[job];
    if (j->state != EBB_JOB_LEASED && j->state != EBB_JOB_RUNNING)
        return NULL;
    const struct ebb_vm *vm = s->vms[j->vm];
    if (ret_vm != NULL)
        *ret_vm = j->vm;
    return &vm->leases[ebb_vm_lease_of(vm, b->index, job)];
}

bool ebb_state_attempt_is_live(const struct ebb_state *s, const char *bag, uint64_t job,
                               uint32_t attempt)
{
    const struct ebb_lease *lease = ebb_state_lease(s, bag, job, NULL);
    return lease != NULL && lease->attempt == attempt;
}

bool ebb_state_checkpoint_is_new(const struct ebb_state *s, const char *bag, uint64_t job,
                                 uint32_t attempt, uint64_t sequence)
{
    return ebb_state_attempt_is_live(s, bag, job, attempt) &&
           sequence > ebb_state_bag(s, bag)->jobs[job].checkpoint_sequence;
}

char *ebb_state_next_vm_id(const struct ebb_state *s, char *out)
{
    snprintf(out, 32, "vm-%06zu", s->vm_count + 1);
    return out;
}

const char *ebb_job_state_name(int state)
{
    return state >= 0 && state < EBB_JOB_STATES ? job_states[state] : "unknown";
}

const char *ebb_vm_state_name(int state)
{
    return state >= 0 && (size_t)state < EBB_ARRAY_LEN(vm_states) ? vm_states[state] : "unknown";
}

const char *ebb_outcome_name(int outcome)
{
    return outcome >= 0 && (size_t)outcome < EBB_ARRAY_LEN(outcomes) ? outcomes[outcome]
                                                                     : "unknown";
}

int ebb_job_state_of(const char *name)
{
    for (int i = 0; i < EBB_JOB_STATES; i++) {
        if (strcmp(job_states[i], name) == 0)
            return i;
    }
    return -1;
}

struct ebb_bag *ebb_fold_bag(const struct ebb_state *s, const char *id, struct ebb_error *err)
{
    struct ebb_bag *b = ebb_state_bag(s, id);
    if (b == NULL)
        ebb_error_set(err, EBB_ERR_CORRUPT, "no bag '%s'", id);
    return b;
}

struct ebb_vm *ebb_fold_vm(const struct ebb_state *s, const char *id, struct ebb_error *err)
{
    struct ebb_vm *vm = ebb_state_vm(s, id);
    if (vm == NULL)
        ebb_error_set(err, EBB_ERR_CORRUPT, "no VM '%s'", id);
    return vm;
}

struct ebb_job *ebb_fold_job(const struct ebb_state *s, const char *bag, uint64_t job,
                             struct ebb_bag **ret_bag, struct ebb_error *err)
{
    struct ebb_bag *b = ebb_fold_bag(s, bag, err);
    if (b == NULL)
        return NULL;
    if (job >= b->job_count) {
        ebb_error_set(err, EBB_ERR_CORRUPT, "bag '%s' has no job %llu", bag,
                      (unsigned long long)job);
        return NULL;
    }
    *ret_bag = b;
    return &b->jobs[job];
}

int ebb_fold_cloud_configured(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    double scale = e->cloud_configured->bill_time_scale;
    if (scale != 0 && !(scale >= 1e-6 && scale <= 1e9))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a bill time scale of %g", scale);
    if (s->cloud != NULL)
        ebb__cloud_configured__free_unpacked(s->cloud, NULL);
    s->cloud = ebb_fold_copy(&e->cloud_configured->base);
    s->bill_time_scale = scale == 0 ? 1 : scale;
    ebb_hazards_set_time_scale(s->hazards, s->bill_time_scale);
    return 0;
}

int ebb_fold_requests_counted(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const char *id = e->requests_counted->bag;
    struct ebb_bag *b = id[0] == '\0' ? NULL : ebb_fold_bag(s, id, err);
    if (b == NULL && id[0] != '\0')
        return EBB_ERR_CORRUPT;
    ebb_ledger_requests(s, b == NULL ? EBB_NONE : b->index, e->requests_counted);
    return 0;
}

int ebb_fold_storage_observed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_bag *b = ebb_fold_bag(s, e->storage_observed->bag, err);
    if (b == NULL)
        return EBB_ERR_CORRUPT;
    ebb_ledger_storage(s, b->index, e->storage_observed->bytes, e->wall_ns);
    return 0;
}

int ebb_fold_catalogue_imported(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__CatalogueImported *m = e->catalogue_imported;
    struct ebb_catalogue *c = NULL;
    struct ebb_error why = {0};
    if (m->sha256.len != sizeof s->catalogue_sha256)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "an imported catalogue without a digest");
    if (m->n_entries > 0 && ebb_catalogue_of_event(m, &c, &why) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s", why.text);
    ebb_hazards_set_prior_source(s->hazards, ebb_catalogue_prior, c);
    ebb_catalogue_destroy(s->catalogue);
    s->catalogue = c;
    memcpy(s->catalogue_sha256, m->sha256.data, sizeof s->catalogue_sha256);
    return 0;
}

int ebb_fold_hazards_imported(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_error why = {0};
    if (e->hazards_imported->state == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "an import of no hazards");
    if (ebb_hazards_load(s->hazards, e->hazards_imported->state, &why) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s", why.text);
    return 0;
}

static const struct {
    Ebb__Event__KindCase kind;
    ebb_fold_fn fold;
} folds[] = {
    {EBB__EVENT__KIND_CLOUD_CONFIGURED, ebb_fold_cloud_configured},
    {EBB__EVENT__KIND_BAG_SUBMITTED, ebb_fold_bag_submitted},
    {EBB__EVENT__KIND_BAG_CANCELLED, ebb_fold_bag_cancelled},
    {EBB__EVENT__KIND_BAG_FINISHED, ebb_fold_bag_finished},
    {EBB__EVENT__KIND_JOBS_RETRIED, ebb_fold_jobs_retried},
    {EBB__EVENT__KIND_JOB_CANCELLED, ebb_fold_job_cancelled},
    {EBB__EVENT__KIND_OUTPUTS_VERIFIED, ebb_fold_outputs_verified},
    {EBB__EVENT__KIND_ATTEMPT_LEASED, ebb_fold_attempt_leased},
    {EBB__EVENT__KIND_ATTEMPT_STARTED, ebb_fold_attempt_started},
    {EBB__EVENT__KIND_CHECKPOINT_COMMITTED, ebb_fold_checkpoint_committed},
    {EBB__EVENT__KIND_ATTEMPT_ENDED, ebb_fold_attempt_ended},
    {EBB__EVENT__KIND_VM_INTENDED, ebb_fold_vm_intended},
    {EBB__EVENT__KIND_VM_LAUNCHED, ebb_fold_vm_launched},
    {EBB__EVENT__KIND_VM_LAUNCH_FAILED, ebb_fold_vm_launch_failed},
    {EBB__EVENT__KIND_VM_JOINED, ebb_fold_vm_joined},
    {EBB__EVENT__KIND_VM_NOTICED, ebb_fold_vm_noticed},
    {EBB__EVENT__KIND_VM_LOST, ebb_fold_vm_lost},
    {EBB__EVENT__KIND_VM_TERMINATING, ebb_fold_vm_terminating},
    {EBB__EVENT__KIND_VM_TERMINATED, ebb_fold_vm_terminated},
    {EBB__EVENT__KIND_PRICES_OBSERVED, ebb_fold_prices_observed},
    {EBB__EVENT__KIND_REQUESTS_COUNTED, ebb_fold_requests_counted},
    {EBB__EVENT__KIND_LEASE_REVOKED, ebb_fold_lease_revoked},
    {EBB__EVENT__KIND_STORAGE_OBSERVED, ebb_fold_storage_observed},
    {EBB__EVENT__KIND_HAZARDS_IMPORTED, ebb_fold_hazards_imported},
    {EBB__EVENT__KIND_BUDGET_NEAR, ebb_fold_budget_near},
    {EBB__EVENT__KIND_PROGRESS_SEEN, ebb_fold_progress_seen},
    {EBB__EVENT__KIND_CATALOGUE_IMPORTED, ebb_fold_catalogue_imported},
};

int ebb_state_apply(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    uint64_t sequence = e->sequence == 0 ? s->last_sequence + 1 : e->sequence;
    if (sequence != s->last_sequence + 1)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "event %llu follows event %llu",
                             (unsigned long long)sequence, (unsigned long long)s->last_sequence);
    for (size_t i = 0; i < EBB_ARRAY_LEN(folds); i++) {
        if (folds[i].kind != e->kind_case)
            continue;
        int rc = folds[i].fold(s, e, err);
        if (rc < 0)
            return ebb_error_wrap(err, rc, "event %llu", (unsigned long long)sequence);
        s->last_sequence = sequence;
        s->last_wall_ns = e->wall_ns;
        ebb_fold_sweep_lives(s, e->wall_ns);
        return 0;
    }
    return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                         "event %llu is of a kind this version does not know",
                         (unsigned long long)sequence);
}
