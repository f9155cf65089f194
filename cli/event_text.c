/* Events in words. One function a kind; the table at the end finds it by the number of the kind, so
 * that a kind without words falls back to its name instead of silence. */
#include "cli/event_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "scheduler/core/sweep.h"

struct ebb_event_names {
    const Ebb__BagSpec *(*spec)(void *ctx, const char *bag);
    void *ctx;
    struct ebb_map *vms;    /* VM -> struct wish */
    struct ebb_map *leases; /* "bag/job" -> VM of the newest attempt */
};

/* What was asked of the cloud for a VM. */
struct wish {
    char *type, *zone;
    const char *market; /* "spot", "on demand" */
    int64_t usd_micros_per_hour;
};

static void wish_free(void *value)
{
    struct wish *w = value;
    free(w->type);
    free(w->zone);
    free(w);
}

struct ebb_event_names *ebb_event_names_new(const Ebb__BagSpec *(*spec)(void *ctx, const char *bag),
                                            void *ctx)
{
    struct ebb_event_names *n = ebb_alloc(sizeof(*n));
    n->spec = spec;
    n->ctx = ctx;
    n->vms = ebb_map_new(wish_free);
    n->leases = ebb_map_new(free);
    return n;
}

void ebb_event_names_destroy(struct ebb_event_names *n)
{
    if (n == NULL)
        return;
    ebb_map_destroy(n->vms);
    ebb_map_destroy(n->leases);
    free(n);
}

static char *lease_key(const char *bag, uint64_t job)
{
    return ebb_sprintf("%s/%llu", bag, (unsigned long long)job);
}

void ebb_event_names_learn(struct ebb_event_names *n, const Ebb__Event *e)
{
    if (e->kind_case == EBB__EVENT__KIND_VM_INTENDED && e->vm_intended->offer != NULL) {
        const Ebb__Offer *o = e->vm_intended->offer;
        struct wish *w = ebb_alloc(sizeof(*w));
        *w = (struct wish){ebb_strdup(o->type), ebb_strdup(o->zone),
                           o->market == EBB__MARKET__SPOT ? "spot" : "on demand",
                           o->usd_micros_per_hour};
        ebb_map_set(n->vms, e->vm_intended->vm, w);
    } else if (e->kind_case == EBB__EVENT__KIND_ATTEMPT_LEASED) {
        const Ebb__AttemptLeased *m = e->attempt_leased;
        EBB_AUTO_FREE char *key = lease_key(m->bag, m->job);
        ebb_map_set(n->leases, key, ebb_strdup(m->vm));
    } else if (e->kind_case == EBB__EVENT__KIND_ATTEMPT_ENDED) {
        EBB_AUTO_FREE char *key = lease_key(e->attempt_ended->bag, e->attempt_ended->job);
        ebb_map_remove(n->leases, key);
    }
}

void ebb_event_job_name(struct ebb_event_names *n, const char *bag, uint64_t job,
                        struct ebb_buffer *out)
{
    const Ebb__BagSpec *spec = n->spec == NULL ? NULL : n->spec(n->ctx, bag);
    uint64_t index = 0;
    const Ebb__JobGroup *group = spec == NULL ? NULL : ebb_bag_group(spec, job, &index);
    if (group != NULL)
        ebb_job_name(group, index, out);
    else
        ebb_buffer_printf(out, "job %llu", (unsigned long long)job);
}

static void say_vm(struct ebb_event_names *n, const char *vm, struct ebb_buffer *out)
{
    const struct wish *w = ebb_map_get(n->vms, vm);
    ebb_buffer_append_text(out, vm);
    if (w != NULL)
        ebb_buffer_printf(out, " (%s, %s)", w->type, w->zone);
}

static void say_reason(const char *reason, struct ebb_buffer *out)
{
    if (reason != NULL && reason[0] != '\0')
        ebb_buffer_printf(out, ": %s", reason);
}

static const char *duration(double s)
{
    static _Thread_local char text[EBB_QUANTITY_TEXT_SIZE];
    return ebb_format_duration(s, text);
}

static const char *size(uint64_t bytes)
{
    static _Thread_local char text[EBB_QUANTITY_TEXT_SIZE];
    return ebb_format_size(bytes, text);
}

static const char *usd(int64_t micros)
{
    static _Thread_local char text[EBB_QUANTITY_TEXT_SIZE];
    return ebb_format_usd(micros, text);
}

/* ---- bags and jobs ---- */

static enum ebb_event_tone say_bag_submitted(const Ebb__BagSubmitted *m, struct ebb_buffer *out)
{
    uint64_t jobs = m->spec == NULL ? 0 : ebb_bag_job_count(m->spec);
    ebb_buffer_printf(out, "bag %s submitted: %llu job%s", m->bag, (unsigned long long)jobs,
                      jobs == 1 ? "" : "s");
    return EBB_TONE_PLAIN;
}

static enum ebb_event_tone say_bag_finished(const Ebb__BagFinished *m, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "bag %s finished: %llu done", m->bag, (unsigned long long)m->done);
    if (m->failed > 0)
        ebb_buffer_printf(out, ", %llu failed", (unsigned long long)m->failed);
    if (m->cancelled > 0)
        ebb_buffer_printf(out, ", %llu cancelled", (unsigned long long)m->cancelled);
    return m->failed + m->cancelled > 0 ? EBB_TONE_BAD : EBB_TONE_GOOD;
}

static enum ebb_event_tone say_leased(struct ebb_event_names *n, const Ebb__AttemptLeased *m,
                                      struct ebb_buffer *out)
{
    ebb_event_job_name(n, m->bag, m->job, out);
    ebb_buffer_append_text(out, " goes to ");
    for (size_t i = 0; i < m->n_members; i++)
        ebb_buffer_printf(out, "%s, ", i == 0 ? m->vm : m->members[i - 1]);
    say_vm(n, m->n_members > 0 ? m->members[m->n_members - 1] : m->vm, out);
    if (m->attempt > 1)
        ebb_buffer_printf(out, ", attempt %u", m->attempt);
    return EBB_TONE_QUIET;
}

static enum ebb_event_tone say_started(struct ebb_event_names *n, const Ebb__AttemptStarted *m,
                                       struct ebb_buffer *out)
{
    ebb_event_job_name(n, m->bag, m->job, out);
    bool resumed = m->resumed_sequence > 0 || m->resumed_step > 0;
    if (resumed && m->resumed_step >= 0)
        ebb_buffer_printf(out, " resumed at step %lld", (long long)m->resumed_step);
    else if (resumed)
        ebb_buffer_printf(out, " resumed from checkpoint %llu",
                          (unsigned long long)m->resumed_sequence);
    else
        ebb_buffer_append_text(out, m->attempt > 1 ? " started over" : " started");
    EBB_AUTO_FREE char *key = lease_key(m->bag, m->job);
    const char *vm = ebb_map_get(n->leases, key);
    if (vm != NULL) {
        ebb_buffer_append_text(out, " on ");
        say_vm(n, vm, out);
    }
    double before_s = m->staging_s + m->restore_s + m->setup_s;
    if (before_s >= 0.05)
        ebb_buffer_printf(out, ", made ready in %s", duration(before_s));
    if (m->note != NULL && m->note[0] != '\0')
        ebb_buffer_printf(out, " (%s)", m->note);
    return resumed ? EBB_TONE_GOOD : EBB_TONE_PLAIN;
}

static enum ebb_event_tone say_checkpoint(struct ebb_event_names *n,
                                          const Ebb__CheckpointCommitted *m, struct ebb_buffer *out)
{
    ebb_event_job_name(n, m->bag, m->job, out);
    ebb_buffer_printf(out, " checkpoint %llu", (unsigned long long)m->checkpoint_sequence);
    if (m->step >= 0)
        ebb_buffer_printf(out, " at step %lld", (long long)m->step);
    if (m->step >= 0 && m->total_steps > 0)
        ebb_buffer_printf(out, " of %lld", (long long)m->total_steps);
    ebb_buffer_printf(out, ", %s sent in %s", size(m->sent_bytes), duration(m->write_s));
    return EBB_TONE_QUIET;
}

static enum ebb_event_tone say_progress(struct ebb_event_names *n, const Ebb__ProgressSeen *m,
                                        struct ebb_buffer *out)
{
    ebb_event_job_name(n, m->bag, m->job, out);
    ebb_buffer_printf(out, " made %lld of %lld steps in %s: a pace that was not foretold",
                      (long long)m->paced_steps, (long long)m->total_steps, duration(m->paced_s));
    return EBB_TONE_QUIET;
}

static enum ebb_event_tone say_ended(struct ebb_event_names *n, const Ebb__AttemptEnded *m,
                                     struct ebb_buffer *out)
{
    static const struct {
        const char *words;
        enum ebb_event_tone tone;
    } outcomes[] = {
        [EBB__ATTEMPT_ENDED__OUTCOME__DONE] = {"done", EBB_TONE_GOOD},
        [EBB__ATTEMPT_ENDED__OUTCOME__FAILED] = {"failed", EBB_TONE_BAD},
        [EBB__ATTEMPT_ENDED__OUTCOME__RELEASED] = {"released", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__LOST] = {"lost its VM", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED] = {"cancelled", EBB_TONE_PLAIN},
        [EBB__ATTEMPT_ENDED__OUTCOME__FENCED] = {"stopped, a later attempt owns it", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__REFUSED] = {"could not run on its VM", EBB_TONE_WARN},
    };
    size_t i = (size_t)m->outcome;
    bool known = i < EBB_ARRAY_LEN(outcomes) && outcomes[i].words != NULL;
    ebb_event_job_name(n, m->bag, m->job, out);
    bool released = m->outcome == EBB__ATTEMPT_ENDED__OUTCOME__RELEASED;
    bool ran = m->times != NULL && m->times->run_s > 0;
    bool lost = m->times != NULL && m->times->lost_s >= 0.05;
    if (released && ran && !lost)
        ebb_buffer_append_text(out, " checkpointed and");
    ebb_buffer_printf(out, " %s", known ? outcomes[i].words : "ended");
    if (released && !ran)
        ebb_buffer_append_text(out, " before it ran");
    if (lost)
        ebb_buffer_printf(out, ", %s of work lost%s", duration(m->times->lost_s),
                          released ? " for want of time for a checkpoint" : "");
    say_reason(m->reason, out);
    return known ? outcomes[i].tone : EBB_TONE_PLAIN;
}

static enum ebb_event_tone say_verified(const Ebb__OutputsVerified *m, struct ebb_buffer *out)
{
    size_t different = 0;
    for (size_t i = 0; i < m->n_jobs; i++)
        different += m->jobs[i]->n_files_different + m->jobs[i]->n_files_missing > 0;
    ebb_buffer_printf(out, "bag %s compared with %s: %zu of %zu jobs equal", m->bag, m->against,
                      m->n_jobs - different, m->n_jobs);
    return different > 0 ? EBB_TONE_BAD : EBB_TONE_GOOD;
}

/* ---- VMs ---- */

/* "c5.large spot in us-east-1b at $0.0343 an hour" */
static void say_wish(const struct wish *w, bool price, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "%s %s in %s", w->type, w->market, w->zone);
    if (price)
        ebb_buffer_printf(out, " at %s an hour", usd(w->usd_micros_per_hour));
}

/* Quiet: the launch that follows says the same, and a refusal need not. */
static enum ebb_event_tone say_intended(struct ebb_event_names *n, const Ebb__VmIntended *m,
                                        struct ebb_buffer *out)
{
    const struct wish *w = ebb_map_get(n->vms, m->vm);
    ebb_buffer_printf(out, "%s wanted", m->vm);
    if (w != NULL) {
        ebb_buffer_append_text(out, ": ");
        say_wish(w, true, out);
    }
    return EBB_TONE_QUIET;
}

static enum ebb_event_tone say_launched(struct ebb_event_names *n, const Ebb__VmLaunched *m,
                                        struct ebb_buffer *out)
{
    const struct wish *w = ebb_map_get(n->vms, m->vm);
    ebb_buffer_printf(out, "%s launched", m->vm);
    if (w != NULL) {
        ebb_buffer_append_text(out, ": ");
        say_wish(w, true, out);
    }
    ebb_buffer_printf(out, " (%s)", m->instance);
    return EBB_TONE_PLAIN;
}

/* Names no VM, as it never was one, so that equal refusals read alike. */
static enum ebb_event_tone say_launch_failed(struct ebb_event_names *n,
                                             const Ebb__VmLaunchFailed *m, struct ebb_buffer *out)
{
    const struct wish *w = ebb_map_get(n->vms, m->vm);
    if (w == NULL) {
        ebb_buffer_printf(out, "%s was not launched", m->vm);
        say_reason(m->reason, out);
    } else if (m->code == EBB_ERR_NO_CAPACITY) {
        ebb_buffer_printf(out, "%s has no %s %s capacity", w->zone, w->type, w->market);
    } else if (m->code == EBB_ERR_QUOTA) {
        ebb_buffer_printf(out, "the account's limit allows no more %s %s", w->type, w->market);
    } else {
        ebb_buffer_append_text(out, "no launch of ");
        say_wish(w, false, out);
        say_reason(m->reason, out);
    }
    return m->code == EBB_ERR_CANCELLED ? EBB_TONE_QUIET : EBB_TONE_WARN;
}

static enum ebb_event_tone say_noticed(struct ebb_event_names *n, const Ebb__Event *e,
                                       struct ebb_buffer *out)
{
    const Ebb__VmNoticed *m = e->vm_noticed;
    say_vm(n, m->vm, out);
    if (m->rebalance) {
        ebb_buffer_append_text(out, " is at risk (the cloud's rebalance recommendation)");
        return EBB_TONE_WARN;
    }
    ebb_buffer_append_text(out, " will be taken by the cloud");
    if (m->deadline_wall_ns > e->wall_ns)
        ebb_buffer_printf(out, " in %s",
                          duration((double)(m->deadline_wall_ns - e->wall_ns) / EBB_NS_PER_S));
    return EBB_TONE_WARN;
}

static void say_budget_near(const Ebb__BudgetNear *m, struct ebb_buffer *out)
{
    char spent[EBB_QUANTITY_TEXT_SIZE], budget[EBB_QUANTITY_TEXT_SIZE];
    ebb_buffer_printf(out, "bag %s has spent %s of its budget of %s and stops", m->bag,
                      ebb_format_usd(m->spent_usd_micros, spent),
                      ebb_format_usd(m->budget_usd_micros, budget));
    if (m->reached_s > 0)
        ebb_buffer_printf(out, " in about %s", duration(m->reached_s));
    else
        ebb_buffer_append_text(out, " when it is spent");
}

static enum ebb_event_tone say_terminated(struct ebb_event_names *n, const Ebb__VmTerminated *m,
                                          struct ebb_buffer *out)
{
    say_vm(n, m->vm, out);
    ebb_buffer_append_text(out, m->interrupted ? " was taken by the cloud" : " ended");
    if (m->ended_wall_ns > m->launched_wall_ns && m->launched_wall_ns > 0)
        ebb_buffer_printf(
            out, " after %s",
            duration((double)(m->ended_wall_ns - m->launched_wall_ns) / EBB_NS_PER_S));
    if (strncmp(m->reason, "Server.Spot", 11) != 0 && strncmp(m->reason, "Client.", 7) != 0)
        say_reason(m->reason, out); /* those codes say again that the cloud, or ebb, ended it */
    return m->interrupted ? EBB_TONE_WARN : EBB_TONE_PLAIN;
}

static enum ebb_event_tone say_vm_event(struct ebb_event_names *n, const Ebb__Event *e,
                                        struct ebb_buffer *out)
{
    switch (e->kind_case) {
    case EBB__EVENT__KIND_VM_INTENDED:
        return say_intended(n, e->vm_intended, out);
    case EBB__EVENT__KIND_VM_LAUNCHED:
        return say_launched(n, e->vm_launched, out);
    case EBB__EVENT__KIND_VM_LAUNCH_FAILED:
        return say_launch_failed(n, e->vm_launch_failed, out);
    case EBB__EVENT__KIND_VM_JOINED:
        say_vm(n, e->vm_joined->vm, out);
        ebb_buffer_printf(out, " ready, booted in %s", duration(e->vm_joined->boot_s));
        return EBB_TONE_PLAIN;
    case EBB__EVENT__KIND_VM_NOTICED:
        return say_noticed(n, e, out);
    case EBB__EVENT__KIND_VM_LOST:
        say_vm(n, e->vm_lost->vm, out);
        ebb_buffer_append_text(out, " is lost");
        say_reason(e->vm_lost->reason, out);
        return EBB_TONE_WARN;
    case EBB__EVENT__KIND_VM_TERMINATING:
        say_vm(n, e->vm_terminating->vm, out);
        ebb_buffer_append_text(out, " is being ended");
        say_reason(e->vm_terminating->reason, out);
        return EBB_TONE_QUIET;
    default:
        return say_terminated(n, e->vm_terminated, out);
    }
}

static enum ebb_event_tone say_bookkeeping(const Ebb__Event *e, struct ebb_buffer *out)
{
    switch (e->kind_case) {
    case EBB__EVENT__KIND_CLOUD_CONFIGURED:
        ebb_buffer_printf(out, "cloud: %s %s%s", e->cloud_configured->provider,
                          e->cloud_configured->region,
                          e->cloud_configured->emulated ? " (emulated)" : "");
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_PRICES_OBSERVED:
        ebb_buffer_printf(out, "%zu price%s observed", e->prices_observed->n_points,
                          e->prices_observed->n_points == 1 ? "" : "s");
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_REQUESTS_COUNTED:
        ebb_buffer_printf(out, "%llu puts and %llu gets counted",
                          (unsigned long long)e->requests_counted->puts,
                          (unsigned long long)e->requests_counted->gets);
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_STORAGE_OBSERVED:
        ebb_buffer_printf(out, "bag %s holds %s in the store", e->storage_observed->bag,
                          size(e->storage_observed->bytes));
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_BUDGET_NEAR:
        say_budget_near(e->budget_near, out);
        return EBB_TONE_WARN;
    case EBB__EVENT__KIND_CATALOGUE_IMPORTED:
        if (e->catalogue_imported->n_entries > 0)
            ebb_buffer_printf(
                out, "an imported price catalogue: %zu offers with interruption bands or caps%s%s",
                e->catalogue_imported->n_entries,
                e->catalogue_imported->dated[0] != '\0' ? ", of " : "",
                e->catalogue_imported->dated);
        else
            ebb_buffer_append_text(out, "back to the price catalogue that is built in");
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_HAZARDS_IMPORTED:
        ebb_buffer_printf(out, "%zu hazards imported from %s",
                          e->hazards_imported->state != NULL ? e->hazards_imported->state->n_cells
                                                             : (size_t)0,
                          e->hazards_imported->source);
        return EBB_TONE_QUIET;
    default:
        ebb_buffer_append_text(out, ebb_event_kind(e));
        return EBB_TONE_QUIET;
    }
}

enum ebb_event_tone ebb_event_text(struct ebb_event_names *n, const Ebb__Event *e,
                                   struct ebb_buffer *out)
{
    switch (e->kind_case) {
    case EBB__EVENT__KIND_BAG_SUBMITTED:
        return say_bag_submitted(e->bag_submitted, out);
    case EBB__EVENT__KIND_BAG_CANCELLED:
        ebb_buffer_printf(out, "bag %s cancelled", e->bag_cancelled->bag);
        say_reason(e->bag_cancelled->reason, out);
        return EBB_TONE_BAD;
    case EBB__EVENT__KIND_BAG_FINISHED:
        return say_bag_finished(e->bag_finished, out);
    case EBB__EVENT__KIND_JOBS_RETRIED:
        ebb_buffer_printf(out, "bag %s: %zu job%s tried again", e->jobs_retried->bag,
                          e->jobs_retried->n_jobs, e->jobs_retried->n_jobs == 1 ? "" : "s");
        return EBB_TONE_PLAIN;
    case EBB__EVENT__KIND_JOB_CANCELLED:
        ebb_event_job_name(n, e->job_cancelled->bag, e->job_cancelled->job, out);
        ebb_buffer_append_text(out, " cancelled");
        return EBB_TONE_PLAIN;
    case EBB__EVENT__KIND_OUTPUTS_VERIFIED:
        return say_verified(e->outputs_verified, out);
    case EBB__EVENT__KIND_ATTEMPT_LEASED:
        return say_leased(n, e->attempt_leased, out);
    case EBB__EVENT__KIND_ATTEMPT_STARTED:
        return say_started(n, e->attempt_started, out);
    case EBB__EVENT__KIND_CHECKPOINT_COMMITTED:
        return say_checkpoint(n, e->checkpoint_committed, out);
    case EBB__EVENT__KIND_PROGRESS_SEEN:
        return say_progress(n, e->progress_seen, out);
    case EBB__EVENT__KIND_ATTEMPT_ENDED:
        return say_ended(n, e->attempt_ended, out);
    case EBB__EVENT__KIND_LEASE_REVOKED:
        ebb_event_job_name(n, e->lease_revoked->bag, e->lease_revoked->job, out);
        ebb_buffer_append_text(out, " taken back from its VM");
        say_reason(e->lease_revoked->reason, out);
        return EBB_TONE_WARN;
    case EBB__EVENT__KIND_VM_INTENDED:
    case EBB__EVENT__KIND_VM_LAUNCHED:
    case EBB__EVENT__KIND_VM_LAUNCH_FAILED:
    case EBB__EVENT__KIND_VM_JOINED:
    case EBB__EVENT__KIND_VM_NOTICED:
    case EBB__EVENT__KIND_VM_LOST:
    case EBB__EVENT__KIND_VM_TERMINATING:
    case EBB__EVENT__KIND_VM_TERMINATED:
        return say_vm_event(n, e, out);
    default:
        return say_bookkeeping(e, out);
    }
}

/* The member of the oneof that is set, or NULL. */
static const ProtobufCMessage *kind_of(const Ebb__Event *e, const char **ret_name)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(&ebb__event__descriptor, e->kind_case);
    if (f == NULL || f->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    *ret_name = f->name;
    return *(ProtobufCMessage *const *)(const void *)((const char *)e + f->offset);
}

const char *ebb_event_kind(const Ebb__Event *e)
{
    const char *name = "unknown";
    (void)kind_of(e, &name);
    return name;
}

const char *ebb_event_bag(const Ebb__Event *e)
{
    const char *name = NULL;
    const ProtobufCMessage *m = kind_of(e, &name);
    const ProtobufCFieldDescriptor *f =
        m == NULL ? NULL : protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "bag");
    if (f == NULL)
        return NULL;
    const char *bag = *(char *const *)(const void *)((const char *)m + f->offset);
    return bag == NULL || bag[0] == '\0' ? NULL : bag;
}
