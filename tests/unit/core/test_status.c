/* What `ebb status` and `ebb jobs` are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/status.h"
#include "tests/unit/core/world.h"

static const char yaml[] =
    "name: b\ndeadline: 2h\nbudget: 3\njobs: [{name: g, engine: gromacs, command: x, resources: "
    "{time: 100s}, sweep: {i: {from: 1, to: 4}}}]\n";

static struct world start(void)
{
    struct world w = world_new();
    world_submit(&w, "b-1", yaml);
    Ebb__Offer o = world_offer("m", "zone-a", true, 2, 36000);
    world_vm(&w, "v0", &o);
    world_lease(&w, "b-1", 0, "v0");
    world_start(&w, "b-1", 0);
    return w;
}

static void a_bag_tells_counts_money_and_finish(void **state)
{
    (void)state;
    struct world w = start();
    w.now += 50 * S;
    world_commit(&w, "b-1", 0, 49);
    Ebb__BagStatus *r = ebb_bag_status_new(w.s, w.s->bags[0], w.now);
    assert_string_equal(r->state, "running");
    assert_int_equal(r->n_counts, 2);
    assert_string_equal(r->counts[0]->state, "ready");
    assert_int_equal(r->counts[0]->count, 3);
    assert_int_equal(r->deadline_wall_ns - r->submitted_wall_ns, 7200 * S);
    assert_int_equal(r->budget_usd_micros, 3000000);
    assert_int_equal(r->spent_usd_micros, 600);
    assert_int_equal(r->oldest_commit_wall_ns, w.now);
    assert_true(r->expected_finish_s > 100 && r->expected_finish_s < 400);
    ebb__bag_status__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void without_a_vm_the_finish_is_unknown(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", yaml);
    Ebb__BagStatus *r = ebb_bag_status_new(w.s, w.s->bags[0], w.now);
    assert_true(r->expected_finish_s < 0);
    ebb__bag_status__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void a_vm_tells_state_age_and_cost(void **state)
{
    (void)state;
    struct world w = start();
    w.now += 100 * S;
    Ebb__VmStatus *r = ebb_vm_status_new(w.s, w.s->vms[0], w.now);
    assert_string_equal(r->state, "ready");
    assert_true(r->age_s == 100);
    assert_int_equal(r->running, 1);
    assert_int_equal(r->cost_usd_micros, 1000);
    assert_string_equal(r->offer->zone, "zone-a");
    ebb__vm_status__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void jobs_are_listed_by_state_and_page(void **state)
{
    (void)state;
    struct world w = start();
    char *ready[] = {lit("ready"), lit("nonsense")};
    Ebb__JobsAnswer *r = ebb_jobs_answer_new(w.s, w.s->bags[0], ready, 2, 1, 1, w.now);
    assert_int_equal(r->total, 3);
    assert_int_equal(r->n_jobs, 1);
    assert_string_equal(r->jobs[0]->name, "g,i=3");
    ebb__jobs_answer__free_unpacked(r, NULL);
    r = ebb_jobs_answer_new(w.s, w.s->bags[0], NULL, 0, 0, 100, w.now);
    assert_int_equal(r->n_jobs, 4);
    assert_string_equal(r->jobs[0]->state, "running");
    assert_string_equal(r->jobs[0]->vm, "v0");
    assert_string_equal(r->jobs[0]->zone, "zone-a");
    assert_string_equal(r->jobs[1]->vm, "");
    ebb__jobs_answer__free_unpacked(r, NULL);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bag_tells_counts_money_and_finish),
        cmocka_unit_test(without_a_vm_the_finish_is_unknown),
        cmocka_unit_test(a_vm_tells_state_age_and_cost),
        cmocka_unit_test(jobs_are_listed_by_state_and_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
