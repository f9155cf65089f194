/* Events in words. One function a kind; the table at the end finds it by the number of the kind, so
 * that a kind without words falls back to its name instead of silence. */
#include "cli/event_text.h"

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "scheduler/core/sweep.h"

struct ebb_event_names {
    const Ebb__BagSpec *(*spec)(void *ctx, const char *bag);
    void *ctx;
    struct ebb_map *places; /* VM -> "c5.large, us-east-1b" */
    struct ebb_map *leases; /* "bag/job" -> VM of the newest attempt */
};

struct ebb_event_names *ebb_event_names_new(const Ebb__BagSpec *(*spec)(void *ctx, const char *bag),
                                            void *ctx)
{
    struct ebb_event_names *n = ebb_alloc(sizeof(*n));
    n->spec = spec;
    n->ctx = ctx;
    n->places = ebb_map_new(free);
    n->leases = ebb_map_new(free);
    return n;
}

void ebb_event_names_destroy(struct ebb_event_names *n)
{
    if (n == NULL)
        return;
    ebb_map_destroy(n->places);
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
        ebb_map_set(n->places, e->vm_intended->vm, ebb_sprintf("%s, %s", o->type, o->zone));
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
    const char *place = ebb_map_get(n->places, vm);
    ebb_buffer_append_text(out, vm);
    if (place != NULL)
        ebb_buffer_printf(out, " (%s)", place);
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
    say_vm(n, m->vm, out);
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
    ebb_buffer_printf(out, " after %s", duration(m->staging_s + m->restore_s + m->setup_s));
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

static enum ebb_event_tone say_ended(struct ebb_event_names *n, const Ebb__AttemptEnded *m,
                                     struct ebb_buffer *out)
{
    static const struct {
        const char *words;
        enum ebb_event_tone tone;
    } outcomes[] = {
        [EBB__ATTEMPT_ENDED__OUTCOME__DONE] = {"done", EBB_TONE_GOOD},
        [EBB__ATTEMPT_ENDED__OUTCOME__FAILED] = {"failed", EBB_TONE_BAD},
        [EBB__ATTEMPT_ENDED__OUTCOME__RELEASED] = {"checkpointed and released", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__LOST] = {"lost its VM", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED] = {"cancelled", EBB_TONE_PLAIN},
        [EBB__ATTEMPT_ENDED__OUTCOME__FENCED] = {"stopped, a later attempt owns it", EBB_TONE_WARN},
        [EBB__ATTEMPT_ENDED__OUTCOME__REFUSED] = {"could not run on its VM", EBB_TONE_WARN},
    };
    size_t i = (size_t)m->outcome;
    bool known = i < EBB_ARRAY_LEN(outcomes) && outcomes[i].words != NULL;
    ebb_event_job_name(n, m->bag, m->job, out);
    ebb_buffer_printf(out, " %s", known ? outcomes[i].words : "ended");
    if (m->times != NULL && m->times->lost_s >= 0.05)
        ebb_buffer_printf(out, ", %s of work lost", duration(m->times->lost_s));
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

static enum ebb_event_tone say_intended(const Ebb__VmIntended *m, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "%s wanted", m->vm);
    const Ebb__Offer *o = m->offer;
    if (o != NULL)
        ebb_buffer_printf(out, ": %s %s in %s at %s an hour", o->type,
                          o->market == EBB__MARKET__SPOT ? "spot" : "on demand", o->zone,
                          usd(o->usd_micros_per_hour));
    return EBB_TONE_PLAIN;
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

static enum ebb_event_tone say_terminated(struct ebb_event_names *n, const Ebb__VmTerminated *m,
                                          struct ebb_buffer *out)
{
    say_vm(n, m->vm, out);
    ebb_buffer_append_text(out, m->interrupted ? " was taken by the cloud" : " ended");
    if (m->ended_wall_ns > m->launched_wall_ns && m->launched_wall_ns > 0)
        ebb_buffer_printf(
            out, " after %s",
            duration((double)(m->ended_wall_ns - m->launched_wall_ns) / EBB_NS_PER_S));
    say_reason(m->reason, out);
    return m->interrupted ? EBB_TONE_WARN : EBB_TONE_PLAIN;
}

static enum ebb_event_tone say_vm_event(struct ebb_event_names *n, const Ebb__Event *e,
                                        struct ebb_buffer *out)
{
    switch (e->kind_case) {
    case EBB__EVENT__KIND_VM_INTENDED:
        return say_intended(e->vm_intended, out);
    case EBB__EVENT__KIND_VM_LAUNCHED:
        say_vm(n, e->vm_launched->vm, out);
        ebb_buffer_printf(out, " launched as %s", e->vm_launched->instance);
        return EBB_TONE_QUIET;
    case EBB__EVENT__KIND_VM_LAUNCH_FAILED:
        say_vm(n, e->vm_launch_failed->vm, out);
        ebb_buffer_append_text(out, " was not launched");
        say_reason(e->vm_launch_failed->reason, out);
        return EBB_TONE_WARN;
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
        ebb_buffer_printf(out, "%zu prices observed", e->prices_observed->n_points);
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
        ebb_buffer_printf(out, "bag %s: %zu jobs tried again", e->jobs_retried->bag,
                          e->jobs_retried->n_jobs);
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
