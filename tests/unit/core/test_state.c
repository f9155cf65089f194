/* The fold: a job's way, what is refused, and that a replay ends where the first run did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"
#include "scheduler/core/status.h"
#include "tests/unit/core/world.h"

static const char two_groups[] = "name: b\njobs:\n"
                                 "  - {name: sim, command: x, engine: gromacs, retries: 1, sweep: "
                                 "{seed: {from: 1, to: 3}}}\n"
                                 "  - {name: train, command: y, needs: [sim]}\n"
                                 "  - {name: plot, command: z, needs: [train], priority: 5}\n";

static struct ebb_bag *bag(const struct world *w)
{
    return ebb_state_bag(w->s, "b-1");
}

static int job_state(const struct world *w, uint64_t job)
{
    return bag(w)->jobs[job].state;
}

static struct world start(void)
{
    struct world w = world_new();
    world_submit(&w, "b-1", two_groups);
    Ebb__Offer o = world_offer("m5.large", "a", true, 4, 40000);
    world_vm(&w, "vm-000001", &o);
    return w;
}

static void run_job(struct world *w, uint64_t job)
{
    world_lease(w, "b-1", job, "vm-000001");
    world_start(w, "b-1", job);
    w->now += 10 * S;
    world_end(w, "b-1", job, DONE, NULL);
}

static void a_job_record_is_64_bytes(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct ebb_job), 72);
}

static void a_bag_runs_through_its_needs(void **state)
{
    (void)state;
    struct world w = start();
    assert_int_equal(job_state(&w, 0), EBB_JOB_READY);
    assert_int_equal(job_state(&w, 3), EBB_JOB_WAITING);
    for (uint64_t j = 0; j < 3; j++)
        run_job(&w, j);
    assert_int_equal(job_state(&w, 3), EBB_JOB_READY);
    assert_int_equal(job_state(&w, 4), EBB_JOB_WAITING);
    run_job(&w, 3);
    run_job(&w, 4);
    assert_true(ebb_bag_is_settled(bag(&w)));
    assert_false(ebb_state_is_idle(w.s));
    world_finish(&w, "b-1");
    assert_string_equal(ebb_bag_state_name(bag(&w)), "done");
    world_terminating(&w, "vm-000001");
    world_terminated(&w, "vm-000001", 0, w.now, false);
    assert_true(ebb_state_is_idle(w.s));
    world_destroy(&w);
}

static void a_revocation_counts_against_nobody_and_the_job_comes_first(void **state)
{
    (void)state;
    struct world w = start();
    world_lease(&w, "b-1", 0, "vm-000001");
    world_start(&w, "b-1", 0);
    world_commit(&w, "b-1", 0, 30);
    world_lose(&w, "vm-000001");
    world_end(&w, "b-1", 0, LOST, NULL);
    const struct ebb_job *j = &bag(&w)->jobs[0];
    assert_int_equal(j->state, EBB_JOB_READY);
    assert_int_equal(j->revocations, 1);
    assert_int_equal(j->failures, 0);
    assert_int_equal(j->checkpoint_sequence, 1);
    assert_int_equal(bag(&w)->groups[0].first_ready, 0);
    assert_int_equal(bag(&w)->revocations, 1);
    world_destroy(&w);
}

static void a_release_counts_as_revocation_only_when_the_cloud_gave_notice(void **state)
{
    (void)state;
    struct world w = start();
    world_lease(&w, "b-1", 0, "vm-000001");
    world_end(&w, "b-1", 0, RELEASED, NULL);
    assert_int_equal(bag(&w)->jobs[0].revocations, 0);
    world_lease(&w, "b-1", 0, "vm-000001");
    world_notice(&w, "vm-000001");
    world_end(&w, "b-1", 0, RELEASED, NULL);
    assert_int_equal(bag(&w)->jobs[0].revocations, 1);
    world_destroy(&w);
}

static void a_poisoned_job_fails_alone_and_its_dependents_are_skipped(void **state)
{
    (void)state;
    struct world w = start();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(job_state(&w, 1), EBB_JOB_READY);
        world_lease(&w, "b-1", 1, "vm-000001");
        world_end(&w, "b-1", 1, FAILED, NULL);
    }
    assert_int_equal(job_state(&w, 1), EBB_JOB_FAILED);
    assert_int_equal(job_state(&w, 3), EBB_JOB_WAITING); /* the others may still be running */
    run_job(&w, 0);
    run_job(&w, 2);
    assert_int_equal(job_state(&w, 3), EBB_JOB_CANCELLED);
    assert_int_equal(job_state(&w, 4), EBB_JOB_CANCELLED);
    assert_int_equal(bag(&w)->jobs[4].flags, EBB_JOB_SKIPPED);
    world_finish(&w, "b-1");
    assert_string_equal(ebb_bag_state_name(bag(&w)), "failed");
    world_destroy(&w);
}

static void retry_opens_the_bag_again_with_what_was_skipped(void **state)
{
    (void)state;
    struct world w = start();
    for (int i = 0; i < 2; i++) {
        world_lease(&w, "b-1", 1, "vm-000001");
        world_end(&w, "b-1", 1, FAILED, NULL);
    }
    run_job(&w, 0);
    run_job(&w, 2);
    world_finish(&w, "b-1");
    assert_int_equal(w.s->active_count, 0);
    EVENT(e, m, jobs_retried, JOBS_RETRIED, Ebb__JobsRetried);
    ebb__jobs_retried__init(&m);
    uint64_t jobs[] = {1};
    m.bag = lit("b-1");
    m.jobs = jobs;
    m.n_jobs = 1;
    world_apply(&w, &e);
    assert_int_equal(w.s->active_count, 3);
    assert_int_equal(job_state(&w, 1), EBB_JOB_READY);
    assert_int_equal(job_state(&w, 3), EBB_JOB_WAITING);
    assert_int_equal(job_state(&w, 4), EBB_JOB_WAITING);
    run_job(&w, 1);
    assert_int_equal(job_state(&w, 3), EBB_JOB_READY);
    world_destroy(&w);
}

static void a_cancelled_bag_lets_live_attempts_end_first(void **state)
{
    (void)state;
    struct world w = start();
    world_lease(&w, "b-1", 0, "vm-000001");
    world_lease(&w, "b-1", 1, "vm-000001");
    world_cancel(&w, "b-1");
    assert_int_equal(job_state(&w, 0), EBB_JOB_LEASED);
    assert_int_equal(job_state(&w, 2), EBB_JOB_CANCELLED);
    assert_false(ebb_bag_is_settled(bag(&w)));
    world_end(&w, "b-1", 0, RELEASED, NULL);
    world_end(&w, "b-1", 1, DONE, NULL); /* it was faster than the word */
    assert_int_equal(job_state(&w, 0), EBB_JOB_CANCELLED);
    assert_int_equal(job_state(&w, 1), EBB_JOB_DONE);
    assert_true(ebb_bag_is_settled(bag(&w)));
    world_finish(&w, "b-1");
    assert_string_equal(ebb_bag_state_name(bag(&w)), "cancelled");
    world_destroy(&w);
}

static void room_on_a_vm_is_taken_and_given_back(void **state)
{
    (void)state;
    struct world w = start();
    const struct ebb_vm *vm = ebb_state_vm(w.s, "vm-000001");
    for (uint64_t j = 0; j < 3; j++)
        world_lease(&w, "b-1", j, "vm-000001");
    assert_int_equal(vm->free_millicpus, 1000);
    assert_int_equal(vm->free_memory_bytes, INT64_C(13) << 30);
    assert_int_equal(vm->idle_since_wall_ns, 0);
    w.now += S;
    for (uint64_t j = 0; j < 3; j++)
        world_end(&w, "b-1", j, REFUSED, NULL);
    assert_int_equal(vm->free_millicpus, 4000);
    assert_int_equal(vm->free_memory_bytes, INT64_C(16) << 30);
    assert_int_equal(vm->idle_since_wall_ns, w.now);
    assert_int_equal(vm->refusals, 3);
    world_destroy(&w);
}

static void a_join_may_come_before_the_answer_to_the_launch(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m5.large", "a", true, 4, 40000);
    world_intend(&w, "vm-000001", &o);
    world_join(&w, "vm-000001");
    assert_true(ebb_vm_takes_leases(ebb_state_vm(w.s, "vm-000001")));
    world_launch(&w, "vm-000001");
    assert_int_equal(ebb_state_vm(w.s, "vm-000001")->state, EBB_VM_READY);
    world_destroy(&w);
}

static void old_news_is_told_from_new(void **state)
{
    (void)state;
    struct world w = start();
    assert_false(ebb_state_attempt_is_live(w.s, "b-1", 0, 1));
    world_lease(&w, "b-1", 0, "vm-000001");
    assert_true(ebb_state_attempt_is_live(w.s, "b-1", 0, 1));
    assert_false(ebb_state_attempt_is_live(w.s, "b-1", 0, 2));
    assert_false(ebb_state_attempt_is_live(w.s, "b-2", 0, 1));
    assert_false(ebb_state_attempt_is_live(w.s, "b-1", 99, 1));
    world_start(&w, "b-1", 0);
    world_commit(&w, "b-1", 0, 1);
    assert_false(ebb_state_checkpoint_is_new(w.s, "b-1", 0, 1, 1));
    assert_true(ebb_state_checkpoint_is_new(w.s, "b-1", 0, 1, 2));
    uint32_t vm = EBB_NONE;
    assert_int_equal(ebb_state_lease(w.s, "b-1", 0, &vm)->attempt, 1);
    assert_int_equal(vm, 0);
    world_end(&w, "b-1", 0, DONE, NULL);
    assert_false(ebb_state_attempt_is_live(w.s, "b-1", 0, 1));
    assert_null(ebb_state_lease(w.s, "b-1", 0, NULL));
    world_destroy(&w);
}

static void bags_are_found_by_id_name_and_last(void **state)
{
    (void)state;
    struct world w = start();
    world_submit(&w, "b-2", two_groups);
    assert_ptr_equal(ebb_state_find_bag(w.s, "b-1"), w.s->bags[0]);
    assert_ptr_equal(ebb_state_find_bag(w.s, "b"), w.s->bags[1]);
    assert_ptr_equal(ebb_state_find_bag(w.s, "last"), w.s->bags[1]);
    assert_null(ebb_state_find_bag(w.s, "c"));
    /* plot, with its priority, before all groups of either bag */
    assert_string_equal(w.s->active[0]->spec->name, "plot");
    assert_int_equal(w.s->active[0]->bag, 0);
    assert_int_equal(w.s->active[1]->bag, 1);
    world_destroy(&w);
}

static void expect_refused(struct world *w, Ebb__Event *e, const char *text)
{
    struct ebb_error err = {0};
    uint64_t before = ebb_state_digest(w->s);
    assert_int_equal(world_try(w, e, &err), EBB_ERR_CORRUPT);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' lacks '%s'", err.text, text);
    assert_int_equal(ebb_state_digest(w->s), before);
}

static void impossible_leases_are_refused(void **state)
{
    (void)state;
    struct world w = start();
    EVENT(e, m, attempt_leased, ATTEMPT_LEASED, Ebb__AttemptLeased);
    ebb__attempt_leased__init(&m);
    m.bag = lit("b-1");
    m.vm = lit("vm-000001");
    m.attempt = 2;
    expect_refused(&w, &e, "the job is ready after 0 attempts");
    m.attempt = 1;
    m.job = 3;
    expect_refused(&w, &e, "the job is waiting");
    m.job = 5;
    expect_refused(&w, &e, "no job 5");
    m.job = 0;
    m.vm = lit("vm-9");
    expect_refused(&w, &e, "no VM 'vm-9'");
    m.vm = lit("vm-000001");
    m.bag = lit("nope");
    expect_refused(&w, &e, "no bag 'nope'");
    m.bag = lit("b-1");
    world_notice(&w, "vm-000001");
    expect_refused(&w, &e, "vm-000001, which is noticed");
    world_destroy(&w);
}

static void impossible_ends_are_refused(void **state)
{
    (void)state;
    struct world w = start();
    EVENT(e, m, attempt_ended, ATTEMPT_ENDED, Ebb__AttemptEnded);
    ebb__attempt_ended__init(&m);
    m.bag = lit("b-1");
    m.attempt = 1;
    expect_refused(&w, &e, "end of attempt 1 of job 0 of bag 'b-1', which is not live");
    world_lease(&w, "b-1", 0, "vm-000001");
    world_start(&w, "b-1", 0);
    EVENT(e2, m2, attempt_started, ATTEMPT_STARTED, Ebb__AttemptStarted);
    ebb__attempt_started__init(&m2);
    m2.bag = lit("b-1");
    m2.attempt = 1;
    expect_refused(&w, &e2, "started twice");
    EVENT(e3, m3, bag_finished, BAG_FINISHED, Ebb__BagFinished);
    ebb__bag_finished__init(&m3);
    m3.bag = lit("b-1");
    expect_refused(&w, &e3, "with jobs left to do");
    EVENT(e4, m4, vm_launched, VM_LAUNCHED, Ebb__VmLaunched);
    ebb__vm_launched__init(&m4);
    m4.vm = lit("vm-000001");
    m4.instance = lit("i-2");
    expect_refused(&w, &e4, "vm-000001 launched, but it is ready");
    world_destroy(&w);
}

static void gaps_and_unknown_kinds_are_refused(void **state)
{
    (void)state;
    struct world w = start();
    struct ebb_error err = {0};
    Ebb__Event e;
    ebb__event__init(&e);
    e.sequence = w.s->last_sequence + 1;
    assert_int_equal(ebb_state_apply(w.s, &e, &err), EBB_ERR_UNSUPPORTED);
    e.sequence++;
    assert_int_equal(ebb_state_apply(w.s, &e, &err), EBB_ERR_CORRUPT);
    assert_string_equal(err.text, "event 6 follows event 4");
    world_destroy(&w);
}

/* ---- a scheduler that acts at random ---- */

static const char *const vm_names[] = {"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                                       "v8", "v9", "va", "vb", "vc", "vd", "ve", "vf"};

static void random_vm_event(struct world *w, struct ebb_random *r, Ebb__Offer *offers)
{
    size_t n = w->s->vm_count;
    uint64_t what = ebb_random_below(r, 8);
    const struct ebb_vm *vm = n == 0 ? NULL : w->s->vms[ebb_random_below(r, n)];
    if (vm == NULL || (what == 0 && n < EBB_ARRAY_LEN(vm_names))) {
        if (n < EBB_ARRAY_LEN(vm_names))
            world_intend(w, vm_names[n], &offers[ebb_random_below(r, 3)]);
    } else if (!ebb_vm_is_live(vm)) {
        return;
    } else if (vm->instance[0] == '\0' && !vm->joined) {
        if (what == 1)
            world_launch_failed(w, vm->id, EBB_ERR_NO_CAPACITY);
        else
            world_launch(w, vm->id);
    } else if (!vm->joined && vm->state < EBB_VM_LOST) {
        world_join(w, vm->id);
    } else if (what == 2) {
        world_notice(w, vm->id);
    } else if (what == 3 && vm->state != EBB_VM_LOST) {
        world_lose(w, vm->id);
    } else if (what == 4 && vm->state != EBB_VM_TERMINATING) {
        world_terminating(w, vm->id);
    } else if (what == 5 && vm->state >= EBB_VM_NOTICED) {
        world_terminated(w, vm->id, vm->launched_wall_ns, w->now - 3 * S,
                         ebb_random_below(r, 2) == 0);
    }
}

static void random_job_event(struct world *w, struct ebb_random *r)
{
    struct ebb_policy policy;
    struct ebb_placement places[4];
    ebb_policy_default(&policy);
    size_t n = ebb_place(w->s, &policy, w->now, places, ebb_random_below(r, 5));
    for (size_t i = 0; i < n; i++)
        world_lease(w, w->s->bags[places[i].bag]->spec->id, places[i].job,
                    w->s->vms[places[i].vm]->id);
    const struct ebb_bag *b = w->s->bags[ebb_random_below(r, w->s->bag_count)];
    uint64_t job = ebb_random_below(r, b->job_count);
    int outcomes[] = {DONE, FAILED, RELEASED, LOST, CANCELLED, REFUSED};
    uint64_t what = ebb_random_below(r, 10);
    if (b->jobs[job].state == EBB_JOB_LEASED && what < 7)
        world_start(w, b->spec->id, job);
    else if (b->jobs[job].state == EBB_JOB_RUNNING && what < 4)
        world_commit(w, b->spec->id, job, 10);
    else if (b->jobs[job].state == EBB_JOB_RUNNING || b->jobs[job].state == EBB_JOB_LEASED)
        world_end(w, b->spec->id, job, outcomes[ebb_random_below(r, 6)], NULL);
    else if (what == 9 && ebb_random_below(r, 40) == 0 && !ebb_bag_is_finished(b))
        world_cancel(w, b->spec->id);
    if (ebb_bag_is_settled(b) && !ebb_bag_is_finished(b))
        world_finish(w, b->spec->id);
}

static void check_invariants(const struct world *w)
{
    for (size_t i = 0; i < w->s->bag_count; i++) {
        const struct ebb_bag *b = w->s->bags[i];
        uint64_t counts[EBB_JOB_STATES] = {0}, queued = 0;
        for (uint64_t j = 0; j < b->job_count; j++)
            counts[b->jobs[j].state]++;
        assert_memory_equal(counts, b->counts, sizeof counts);
        for (size_t g = 0; g < b->group_count; g++) {
            for (uint32_t j = b->groups[g].first_ready; j != EBB_NONE; j = b->jobs[j].next)
                queued++;
        }
        assert_int_equal(queued, b->counts[EBB_JOB_READY]);
    }
    for (size_t v = 0; v < w->s->vm_count; v++) {
        assert_true(w->s->vms[v]->free_millicpus >= 0);
        assert_true(w->s->vms[v]->free_memory_bytes >= 0);
    }
}

static void check_money(const struct world *w)
{
    struct ebb_ledger_totals totals;
    int64_t sum = 0;
    ebb_ledger_totals(w->s, w->now, &totals);
    for (size_t i = 0; i < w->s->bag_count; i++) {
        Ebb__Report *r = ebb_report_new(w->s, w->s->bags[i], w->now, true);
        const Ebb__Split *p = r->split;
        assert_int_equal(p->useful_usd_micros + p->checkpoint_usd_micros + p->lost_usd_micros +
                             p->setup_usd_micros + p->idle_usd_micros + p->boot_usd_micros,
                         r->vm_usd_micros);
        int64_t jobs = 0;
        for (size_t j = 0; j < r->n_job_reports; j++)
            jobs += r->job_reports[j]->usd_micros;
        assert_int_equal(jobs, r->vm_usd_micros - p->idle_usd_micros - p->boot_usd_micros);
        sum += r->vm_usd_micros;
        assert_int_equal(r->total_usd_micros, ebb_ledger_bag_usd_micros(w->s, (uint32_t)i, w->now));
        ebb__report__free_unpacked(r, NULL);
    }
    assert_int_equal(sum, totals.vm_usd_micros);
}

static void random_histories_replay_to_the_same_state_and_add_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct ebb_random r;
        ebb_random_seed(&r, seed);
        struct world w = world_new();
        Ebb__Offer offers[] = {world_offer("m5.large", "a", true, 2, 40000),
                               world_offer("m5.xlarge", "b", true, 4, 90000),
                               world_offer("m5.large", "a", false, 2, 100000)};
        world_scale(&w, 60);
        world_submit(&w, "b-1", two_groups);
        world_submit(&w, "b-2",
                     "name: c\njobs: [{name: n, command: x, sweep: {i: {from: 1, to: 20}}}]\n");
        for (int step = 0; step < 400; step++) {
            w.now += (int64_t)ebb_random_below(&r, 5000) * 1000000;
            if (ebb_random_below(&r, 20) == 0)
                world_price(&w, "a", "m5.large", w.now - 2 * S,
                            30000 + (int64_t)ebb_random_below(&r, 30000));
            if (ebb_random_below(&r, 3) == 0)
                random_vm_event(&w, &r, offers);
            else
                random_job_event(&w, &r);
            check_invariants(&w);
        }
        check_money(&w);
        struct ebb_state *again = world_replay(&w);
        assert_int_equal(ebb_state_digest(again), ebb_state_digest(w.s));
        ebb_state_destroy(again);
        world_destroy(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_record_is_64_bytes),
        cmocka_unit_test(a_bag_runs_through_its_needs),
        cmocka_unit_test(a_revocation_counts_against_nobody_and_the_job_comes_first),
        cmocka_unit_test(a_release_counts_as_revocation_only_when_the_cloud_gave_notice),
        cmocka_unit_test(a_poisoned_job_fails_alone_and_its_dependents_are_skipped),
        cmocka_unit_test(retry_opens_the_bag_again_with_what_was_skipped),
        cmocka_unit_test(a_cancelled_bag_lets_live_attempts_end_first),
        cmocka_unit_test(room_on_a_vm_is_taken_and_given_back),
        cmocka_unit_test(a_join_may_come_before_the_answer_to_the_launch),
        cmocka_unit_test(old_news_is_told_from_new),
        cmocka_unit_test(bags_are_found_by_id_name_and_last),
        cmocka_unit_test(impossible_leases_are_refused),
        cmocka_unit_test(impossible_ends_are_refused),
        cmocka_unit_test(gaps_and_unknown_kinds_are_refused),
        cmocka_unit_test(random_histories_replay_to_the_same_state_and_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
