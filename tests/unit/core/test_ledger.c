/* Where a VM's seconds and dollars go. 36,000 micro-USD an hour are 10 a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/ledger.h"
#include "tests/unit/core/world.h"

static const char three_jobs[] =
    "name: b\njobs: [{name: g, engine: gromacs, command: x, sweep: {i: {from: 1, to: 3}}, "
    "resources: {cpus: 2}}]\n";

static struct world boot(int64_t boot_s)
{
    struct world w = world_new();
    world_submit(&w, "b-1", three_jobs);
    Ebb__Offer o = world_offer("m", "a", true, 4, 36000);
    world_intend(&w, "v", &o);
    world_launch(&w, "v");
    w.now += boot_s * S;
    world_join(&w, "v");
    return w;
}

static Ebb__Report *report(const struct world *w)
{
    return ebb_report_new(w->s, ebb_state_bag(w->s, "b-1"), w->now, true);
}

static void assert_near(double x, double expected)
{
    if (!(x > expected - 1e-6 && x < expected + 1e-6))
        fail_msg("%g is not %g", x, expected);
}

static void a_finished_vm_is_split_into_boot_setup_work_and_idle(void **state)
{
    (void)state;
    struct world w = boot(100);
    int64_t launched = w.now - 100 * S;
    world_lease(&w, "b-1", 0, "v"); /* half of the VM for 200 s */
    Ebb__AttemptTimes t;
    ebb__attempt_times__init(&t);
    t.staging_s = 20;
    t.run_s = 150;
    t.checkpoint_s = 10;
    t.commit_s = 20;
    w.now += 200 * S;
    world_end(&w, "b-1", 0, DONE, &t);
    world_terminating(&w, "v");
    world_terminated(&w, "v", launched, w.now, false);
    Ebb__Report *r = report(&w);
    assert_int_equal(r->vm_usd_micros, 3000);
    assert_near(r->split->boot_s, 100);
    assert_near(r->split->setup_s, 20);
    assert_near(r->split->useful_s, 75);
    assert_near(r->split->checkpoint_s, 5);
    assert_near(r->split->idle_s, 100);
    assert_int_equal(r->split->useful_usd_micros, 750);
    assert_int_equal(r->split->idle_usd_micros, 1000);
    assert_int_equal(r->on_demand_usd_micros, 2250);
    assert_int_equal(r->job_reports[0]->usd_micros, 1000);
    assert_int_equal(r->job_reports[1]->usd_micros, 0);
    assert_int_equal(r->n_vms, 1);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void a_lost_vm_is_reckoned_from_the_log_up_to_its_true_end(void **state)
{
    (void)state;
    struct world w = boot(10);
    int64_t launched = w.now - 10 * S;
    world_lease(&w, "b-1", 0, "v");
    w.now += 10 * S;
    world_start(&w, "b-1", 0);
    w.now += 41 * S;
    world_commit(&w, "b-1", 0, 40); /* stopped the engine for a second */
    w.now += 50 * S;                /* it died 30 s after the commit, noticed 20 s later */
    world_lose(&w, "v");
    world_end(&w, "b-1", 0, LOST, NULL);
    world_terminated(&w, "v", launched, w.now - 20 * S, true);
    Ebb__Report *r = report(&w);
    assert_int_equal(r->vm_usd_micros, 0);
    assert_int_equal(r->split->forgiven_usd_micros, 910);
    assert_near(r->split->setup_s, 5);
    assert_near(r->split->useful_s, 20);
    assert_near(r->split->checkpoint_s, 0.5);
    assert_near(r->split->lost_s, 15);
    assert_near(r->split->boot_s + r->split->idle_s + 40.5, 91);
    assert_int_equal(r->revocations, 1);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void jobs_that_run_at_once_share_by_cpus(void **state)
{
    (void)state;
    struct world w = boot(0);
    world_lease(&w, "b-1", 0, "v");
    world_lease(&w, "b-1", 1, "v");
    world_start(&w, "b-1", 0);
    world_start(&w, "b-1", 1);
    w.now += 100 * S;
    world_end(&w, "b-1", 0, DONE, NULL);
    w.now += 100 * S;
    Ebb__Report *r = report(&w); /* the second still runs: half of the VM is idle now */
    assert_false(r->is_final);
    assert_int_equal(r->vm_usd_micros, 2000);
    assert_int_equal(r->job_reports[0]->usd_micros, 500);
    assert_int_equal(r->job_reports[1]->usd_micros, 1000);
    assert_int_equal(r->split->idle_usd_micros, 500);
    assert_int_equal(r->total_usd_micros, ebb_ledger_bag_usd_micros(w.s, 0, w.now));
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void a_vm_nobody_used_falls_on_the_bag_it_was_for(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", three_jobs);
    Ebb__Offer o = world_offer("m", "a", true, 4, 36000);
    world_intend(&w, "v", &o);
    world_launch(&w, "v");
    int64_t launched = w.now;
    w.now += 90 * S;
    world_terminated(&w, "v", launched, w.now, false);
    Ebb__Report *r = report(&w);
    assert_int_equal(r->split->boot_usd_micros, 900);
    assert_int_equal(r->vm_usd_micros, 900);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void two_bags_share_what_nobody_held(void **state)
{
    (void)state;
    struct world w = boot(50);
    world_submit(&w, "b-2", three_jobs);
    world_lease(&w, "b-1", 0, "v");
    world_lease(&w, "b-2", 0, "v");
    w.now += 50 * S;
    world_end(&w, "b-1", 0, DONE, NULL);
    world_end(&w, "b-2", 0, DONE, NULL);
    assert_int_equal(ebb_ledger_bag_usd_micros(w.s, 0, w.now), 500);
    assert_int_equal(ebb_ledger_bag_usd_micros(w.s, 1, w.now), 500);
    assert_int_equal(ebb_ledger_vm_usd_micros(w.s, 0, w.now), 1000);
    world_destroy(&w);
}

static void requests_and_storage_are_counted(void **state)
{
    (void)state;
    struct world w = boot(0);
    EVENT(e, m, requests_counted, REQUESTS_COUNTED, Ebb__RequestsCounted);
    ebb__requests_counted__init(&m);
    m.bag = lit("b-1");
    m.puts = 100;
    m.gets = 1000;
    world_apply(&w, &e);
    m.bag = lit("");
    m.gets = 0;
    world_apply(&w, &e);
    EVENT(e2, m2, storage_observed, STORAGE_OBSERVED, Ebb__StorageObserved);
    ebb__storage_observed__init(&m2);
    m2.bag = lit("b-1");
    m2.bytes = UINT64_C(1000) << 30;
    world_apply(&w, &e2);
    w.now += 2592 * S; /* a thousandth of a month of 1,000 GB */
    Ebb__Report *r = report(&w);
    assert_int_equal(r->requests_usd_micros, 900);
    assert_int_equal(r->storage_usd_micros, 23000);
    struct ebb_ledger_totals totals;
    ebb_ledger_totals(w.s, w.now, &totals);
    assert_int_equal(totals.requests_usd_micros, 1400);
    assert_int_equal(totals.storage_usd_micros, 23000);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void verification_stands_in_the_report(void **state)
{
    (void)state;
    struct world w = boot(0);
    EVENT(e, m, outputs_verified, OUTPUTS_VERIFIED, Ebb__OutputsVerified);
    ebb__outputs_verified__init(&m);
    m.bag = lit("b-1");
    m.against = lit("b-0");
    Ebb__JobVerification v[2], *jobs[2] = {&v[0], &v[1]};
    ebb__job_verification__init(&v[0]);
    ebb__job_verification__init(&v[1]);
    char *missing[] = {lit("x.xtc")};
    v[0].files_equal = 2;
    v[1].job = 1;
    v[1].n_files_missing = 1;
    v[1].files_missing = missing;
    m.jobs = jobs;
    m.n_jobs = 2;
    world_apply(&w, &e);
    Ebb__Report *r = report(&w);
    assert_false(r->verified);
    assert_int_equal(r->verified_files_equal, 2);
    assert_int_equal(r->verified_files_different, 1);
    assert_string_equal(r->job_reports[0]->verified, "equal");
    assert_string_equal(r->job_reports[1]->verified, "different");
    assert_string_equal(r->job_reports[2]->verified, "");
    ebb__report__free_unpacked(r, NULL);
    m.n_jobs = 1;
    world_apply(&w, &e);
    r = report(&w);
    assert_true(r->verified);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_vm_is_split_into_boot_setup_work_and_idle),
        cmocka_unit_test(a_lost_vm_is_reckoned_from_the_log_up_to_its_true_end),
        cmocka_unit_test(jobs_that_run_at_once_share_by_cpus),
        cmocka_unit_test(a_vm_nobody_used_falls_on_the_bag_it_was_for),
        cmocka_unit_test(two_bags_share_what_nobody_held),
        cmocka_unit_test(requests_and_storage_are_counted),
        cmocka_unit_test(verification_stands_in_the_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
