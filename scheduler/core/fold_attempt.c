/* Attempts in the fold: leased, started, checkpointed, ended. A job has at most one live attempt,
 * held as a lease by its VM; whatever comes from any other attempt is refused here, and the caller
 * asks first (ebb_state_attempt_is_live). */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/speed.h"

static int not_live(struct ebb_error *err, const char *bag, uint64_t job, uint32_t attempt,
                    const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT,
                         "%s of attempt %u of job %llu of bag '%s', which is "
                         "not live",
                         what, attempt, (unsigned long long)job, bag);
}

/* The live lease of exactly this attempt, or NULL with err set. */
static struct ebb_lease *live_lease(struct ebb_state *s, const char *bag, uint64_t job,
                                    uint32_t attempt, const char *what, struct ebb_bag **ret_bag,
                                    struct ebb_vm **ret_vm, struct ebb_error *err)
{
    struct ebb_job *j = ebb_fold_job(s, bag, job, ret_bag, err);
    if (j == NULL)
        return NULL;
    if ((j->state != EBB_JOB_LEASED && j->state != EBB_JOB_RUNNING) || j->attempts != attempt) {
        not_live(err, bag, job, attempt, what);
        return NULL;
    }
    *ret_vm = s->vms[j->vm];
    return &(*ret_vm)->leases[ebb_vm_lease_of(*ret_vm, (*ret_bag)->index, job)];
}

static void add_lease(struct ebb_vm *vm, const struct ebb_lease *lease, const struct ebb_need *need)
{
    if (vm->lease_count == vm->lease_capacity) {
        vm->lease_capacity = vm->lease_capacity == 0 ? 4 : vm->lease_capacity * 2;
        vm->leases = ebb_realloc_array(vm->leases, vm->lease_capacity, sizeof *vm->leases);
    }
    vm->leases[vm->lease_count++] = *lease;
    vm->free_millicpus -= need->millicpus;
    vm->free_memory_bytes -= need->memory_bytes;
    vm->free_gpus -= need->gpus;
    vm->attempts++;
    vm->idle_since_wall_ns = 0;
}

/* The VMs of the event, the leader first; how many, or a negative code. */
static int gang_of(const struct ebb_state *s, const Ebb__AttemptLeased *m,
                   struct ebb_vm *vms[EBB_GANG_MOST], struct ebb_error *err)
{
    size_t count = 1 + m->n_members;
    if (count > EBB_GANG_MOST)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a job leased to %zu VMs", count);
    for (size_t i = 0; i < count; i++) {
        vms[i] = ebb_fold_vm(s, i == 0 ? m->vm : m->members[i - 1], err);
        if (vms[i] == NULL)
            return EBB_ERR_CORRUPT;
        if (!ebb_vm_takes_leases(vms[i]))
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a job leased to %s, which is %s",
                                 vms[i]->id, ebb_vm_state_name(vms[i]->state));
        for (size_t k = 0; k < i; k++) {
            if (vms[k] == vms[i])
                return ebb_error_set(err, EBB_ERR_CORRUPT, "a job leased to %s twice", vms[i]->id);
        }
    }
    return (int)count;
}

int ebb_fold_attempt_leased(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__AttemptLeased *m = e->attempt_leased;
    struct ebb_bag *b = NULL;
    struct ebb_job *j = ebb_fold_job(s, m->bag, m->job, &b, err);
    struct ebb_vm *vms[EBB_GANG_MOST];
    int count = j == NULL ? EBB_ERR_CORRUPT : gang_of(s, m, vms, err);
    if (count < 0)
        return count;
    if (j->state != EBB_JOB_READY || m->attempt != j->attempts + 1)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "attempt %u of job %llu of bag '%s' leased, but the job is %s after "
                             "%u attempts",
                             m->attempt, (unsigned long long)m->job, m->bag,
                             ebb_job_state_name(j->state), j->attempts);
    struct ebb_need need = ebb_need_of(ebb_bag_group_of(b, m->job)->spec->resources);
    for (int i = 0; i < count; i++) {
        struct ebb_lease lease = {.bag = b->index,
                                  .attempt = m->attempt,
                                  .job = m->job,
                                  .leased_wall_ns = e->wall_ns,
                                  .rank = (uint32_t)i,
                                  .gang = (uint32_t)count};
        ebb_ledger_lease_began(s, vms[i], &lease);
        add_lease(vms[i], &lease, &need);
    }
    j->attempts = m->attempt;
    j->vm = vms[0]->index;
    b->attempts++;
    ebb_fold_move_job(b, m->job, EBB_JOB_LEASED, false, e->wall_ns);
    return 0;
}

/* What the ledger reckons by is the same on all VMs of the attempt. */
static void tell_gang(struct ebb_state *s, const struct ebb_lease *lease,
                      const struct ebb_vm *leader)
{
    for (size_t i = 0; lease->gang > 1 && i < s->live_count; i++) {
        struct ebb_vm *vm = s->vms[s->live[i]];
        size_t at = vm == leader ? SIZE_MAX : ebb_vm_lease_of(vm, lease->bag, lease->job);
        if (at == SIZE_MAX)
            continue;
        vm->leases[at].started_wall_ns = lease->started_wall_ns;
        vm->leases[at].commit_wall_ns = lease->commit_wall_ns;
        vm->leases[at].stopped_s = lease->stopped_s;
    }
}

int ebb_fold_attempt_started(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__AttemptStarted *m = e->attempt_started;
    struct ebb_bag *b = NULL;
    struct ebb_vm *vm = NULL;
    struct ebb_lease *lease = live_lease(s, m->bag, m->job, m->attempt, "start", &b, &vm, err);
    if (lease == NULL)
        return EBB_ERR_CORRUPT;
    struct ebb_job *j = &b->jobs[m->job];
    if (j->state != EBB_JOB_LEASED)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "attempt %u of job %llu of bag '%s' started "
                             "twice",
                             m->attempt, (unsigned long long)m->job, m->bag);
    lease->started_wall_ns = e->wall_ns;
    tell_gang(s, lease, vm);
    lease->step = m->resumed_step > 0 ? m->resumed_step : 0;
    lease->run_s = m->resumed_step > 0 ? (double)j->run_s : 0;
    if (m->resumed_sequence > j->checkpoint_sequence)
        j->checkpoint_sequence = (uint32_t)m->resumed_sequence;
    j->step = m->resumed_step;
    vm->refusals = 0;
    ebb_mean_add(&ebb_bag_group_of(b, m->job)->restart_s, m->staging_s + m->restore_s + m->setup_s);
    ebb_fold_move_job(b, m->job, EBB_JOB_RUNNING, false, e->wall_ns);
    return 0;
}

/* Steps of the attempt so far and their useful seconds, start-up apart: as the agent tells them, or
 * from its first commit to this one. What is new of them tells how fast the VM's type is. A step
 * that went back is no progress. */
static void observe_pace(struct ebb_state *s, struct ebb_group *g, struct ebb_job *j,
                         struct ebb_lease *lease, const char *type,
                         const Ebb__CheckpointCommitted *m, bool first)
{
    int64_t steps = lease->told_steps;
    double useful_s = lease->told_s;
    if (m->paced_s > 0) {
        steps = m->paced_steps;
        useful_s = m->paced_s;
    } else if (!first && m->step > lease->step && m->run_s > lease->run_s) {
        steps += m->step - lease->step;
        useful_s += m->run_s - lease->run_s;
    }
    ebb_speed_observe(s, g, type, (double)(steps - lease->told_steps), useful_s - lease->told_s);
    lease->told_steps = steps;
    lease->told_s = useful_s;
    ebb_pace_observe(s, g, j, lease, type, steps, j->total_steps, useful_s);
}

int ebb_fold_checkpoint_committed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__CheckpointCommitted *m = e->checkpoint_committed;
    struct ebb_bag *b = NULL;
    struct ebb_vm *vm = NULL;
    struct ebb_lease *lease = live_lease(s, m->bag, m->job, m->attempt, "checkpoint", &b, &vm, err);
    if (lease == NULL)
        return EBB_ERR_CORRUPT;
    struct ebb_job *j = &b->jobs[m->job];
    if (m->checkpoint_sequence <= j->checkpoint_sequence || m->checkpoint_sequence > UINT32_MAX)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "job %llu of bag '%s': checkpoint %llu committed after %u",
                             (unsigned long long)m->job, m->bag,
                             (unsigned long long)m->checkpoint_sequence, j->checkpoint_sequence);
    j->checkpoint_sequence = (uint32_t)m->checkpoint_sequence;
    j->step = m->step;
    if (m->total_steps > 0)
        j->total_steps = m->total_steps;
    j->commit_wall_ns = e->wall_ns;
    j->run_s = (float)m->run_s;
    bool first = lease->commit_wall_ns == 0;
    lease->commit_wall_ns = e->wall_ns;
    lease->stopped_s += m->stopped_s > 0 ? m->stopped_s : 0;
    tell_gang(s, lease, vm);
    b->checkpoints++;
    struct ebb_group *g = ebb_bag_group_of(b, m->job);
    observe_pace(s, g, j, lease, vm->offer->type, m, first);
    lease->step = m->step;
    lease->run_s = m->run_s;
    ebb_mean_add(&g->write_s, m->write_s);
    ebb_mean_add(&g->stopped_s, m->stopped_s);
    return 0;
}

int ebb_fold_progress_seen(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__ProgressSeen *m = e->progress_seen;
    struct ebb_bag *b = NULL;
    struct ebb_vm *vm = NULL;
    struct ebb_lease *lease = live_lease(s, m->bag, m->job, m->attempt, "progress", &b, &vm, err);
    if (lease == NULL)
        return EBB_ERR_CORRUPT;
    ebb_pace_observe(s, ebb_bag_group_of(b, m->job), &b->jobs[m->job], lease, vm->offer->type,
                     m->paced_steps, m->total_steps, m->paced_s);
    return 0;
}

int ebb_fold_lease_revoked(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__LeaseRevoked *m = e->lease_revoked;
    struct ebb_bag *b = NULL;
    struct ebb_vm *vm = NULL;
    struct ebb_lease *lease = live_lease(s, m->bag, m->job, m->attempt, "revoking", &b, &vm, err);
    if (lease == NULL)
        return EBB_ERR_CORRUPT;
    lease->revoked = true;
    return 0;
}

/* Some VM of the gang was given notice. */
static bool gang_is_noticed(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job)
{
    uint32_t vms[EBB_GANG_MOST];
    uint32_t size = ebb_gang_vms(s, b, job, vms);
    for (uint32_t i = 0; i < size; i++)
        if (s->vms[vms[i]]->notice_wall_ns != 0)
            return true;
    return false;
}

/* By the cloud: what ebb asked for itself (drain, cancel) is none; of a gang it asks for what is
 * left when the cloud takes a part. */
static bool is_revocation(const struct ebb_state *s, const struct ebb_vm *vm,
                          const struct ebb_lease *lease, int outcome)
{
    if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__LOST)
        return true;
    if (lease->gang > 1)
        return outcome == EBB__ATTEMPT_ENDED__OUTCOME__RELEASED &&
               gang_is_noticed(s, s->bags[lease->bag], lease->job);
    return outcome == EBB__ATTEMPT_ENDED__OUTCOME__RELEASED && !lease->revoked &&
           vm->notice_wall_ns != 0;
}

static void take_back(struct ebb_vm *vm, size_t at, const struct ebb_need *need, int64_t wall_ns)
{
    vm->leases[at] = vm->leases[--vm->lease_count];
    vm->free_millicpus += need->millicpus;
    vm->free_memory_bytes += need->memory_bytes;
    vm->free_gpus += need->gpus;
    if (vm->lease_count == 0)
        vm->idle_since_wall_ns = wall_ns;
}

/* The VM's lease of the attempt is over: told to the ledger, and its room is free again. */
static void free_lease(struct ebb_state *s, struct ebb_vm *vm, size_t at,
                       const Ebb__AttemptEnded *m, int64_t wall_ns)
{
    const struct ebb_lease *lease = &vm->leases[at];
    const struct ebb_group *g = ebb_bag_group_of(s->bags[lease->bag], lease->job);
    struct ebb_need need = ebb_need_of(g->spec->resources);
    ebb_ledger_lease_ended(s, vm, lease, m, wall_ns);
    take_back(vm, at, &need, wall_ns);
}

/* The leader's lease, and those of the VMs that are held for it. */
static void free_gang(struct ebb_state *s, struct ebb_vm *leader, const struct ebb_lease *own,
                      const Ebb__AttemptEnded *m, int64_t wall_ns)
{
    free_lease(s, leader, ebb_vm_lease_of(leader, own->bag, own->job), m, wall_ns);
    for (size_t i = 0, freed = 1; i < s->live_count && freed < own->gang; i++) {
        struct ebb_vm *vm = s->vms[s->live[i]];
        size_t at = ebb_vm_lease_of(vm, own->bag, own->job);
        if (at == SIZE_MAX)
            continue;
        free_lease(s, vm, at, m, wall_ns);
        freed++;
    }
}

static void count_end(const struct ebb_state *s, struct ebb_bag *b, struct ebb_job *j,
                      struct ebb_vm *vm, const struct ebb_lease *lease, int outcome)
{
    if (is_revocation(s, vm, lease, outcome)) {
        b->revocations++;
        j->revocations += j->revocations < UINT16_MAX;
    } else if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__FAILED) {
        b->failures++;
        j->failures += j->failures < UINT16_MAX;
    } else if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__REFUSED) {
        vm->refusals++;
        j->refusals += j->refusals < UINT8_MAX;
    }
}

/* Where the job goes from here. */
static enum ebb_job_state next_state(const struct ebb_job *j, const struct ebb_group *g,
                                     int outcome)
{
    if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE)
        return EBB_JOB_DONE;
    if ((j->flags & EBB_JOB_CANCELLING) != 0)
        return EBB_JOB_CANCELLED;
    if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__FAILED && j->failures > g->spec->retries)
        return EBB_JOB_FAILED;
    return EBB_JOB_READY;
}

static void count_outputs(struct ebb_bag *b, const Ebb__AttemptEnded *m)
{
    for (size_t i = 0; i < m->n_outputs; i++) {
        const Ebb__OutputFile *o = m->outputs[i];
        b->output_files++;
        b->output_bytes += o->size_bytes;
        b->output_source_bytes += o->source_bytes;
        b->output_stored_bytes += o->stored_bytes;
    }
}

int ebb_fold_attempt_ended(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__AttemptEnded *m = e->attempt_ended;
    struct ebb_bag *b = NULL;
    struct ebb_vm *vm = NULL;
    struct ebb_lease *lease = live_lease(s, m->bag, m->job, m->attempt, "end", &b, &vm, err);
    if (lease == NULL)
        return EBB_ERR_CORRUPT;
    int outcome = (int)m->outcome;
    if (outcome < EBB__ATTEMPT_ENDED__OUTCOME__DONE ||
        outcome > EBB__ATTEMPT_ENDED__OUTCOME__REFUSED)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "attempt outcome %d is of a later version",
                             outcome);
    struct ebb_job *j = &b->jobs[m->job];
    struct ebb_group *g = ebb_bag_group_of(b, m->job);
    struct ebb_lease own = *lease;
    count_end(s, b, j, vm, lease, outcome);
    free_gang(s, vm, &own, m, e->wall_ns);
    j->outcome = (uint8_t)(1 + outcome);
    if (m->last_step > j->step && outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE)
        j->step = m->last_step;
    if (m->final_sequence > j->checkpoint_sequence && m->final_sequence <= UINT32_MAX)
        j->checkpoint_sequence = (uint32_t)m->final_sequence;
    if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE)
        count_outputs(b, m);
    if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE && m->times != NULL) {
        float before = j->run_s;
        if (m->times->run_s > 0 && own.commit_wall_ns == 0)
            j->run_s = before + (float)m->times->run_s;
        ebb_mean_add(&g->run_s, j->run_s);
        ebb_pace_forget(g, j);
        if (m->attempt == 1 && (g->profile == NULL || !g->profile->checkpoints))
            ebb_speed_observe(s, g, vm->offer->type, 1, j->run_s);
    }
    ebb_fold_set_reason(b, m->job, outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE ? NULL : m->reason);
    bool front = outcome != EBB__ATTEMPT_ENDED__OUTCOME__FAILED &&
                 outcome != EBB__ATTEMPT_ENDED__OUTCOME__REFUSED;
    ebb_fold_move_job(b, m->job, next_state(j, g, outcome), front, e->wall_ns);
    if (b->jobs[m->job].state != EBB_JOB_READY)
        j->flags &= (uint8_t)~EBB_JOB_CANCELLING;
    return 0;
}
