/* Ready jobs onto VMs with room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/core/world.h"

static size_t place(const struct world *w, struct ebb_placement *ret, size_t max)
{
    struct ebb_policy policy;
    ebb_policy_default(&policy);
    return ebb_place(w->s, &policy, w->now, ret, max);
}

static void priority_goes_first_and_rooms_are_filled(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1",
                 "name: b\njobs:\n"
                 " - {name: low, command: x, sweep: {i: {from: 1, to: 9}}}\n"
                 " - {name: high, command: x, priority: 1, resources: {cpus: 3}}\n");
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    world_vm(&w, "v0", &o);
    world_vm(&w, "v1", &o);
    struct ebb_placement p[16];
    assert_int_equal(place(&w, p, 16), 6);
    assert_int_equal(p[0].job, 9); /* high */
    assert_int_equal(p[0].vm, 0);
    assert_int_equal(p[1].job, 0);
    assert_int_equal(p[1].vm, 0);
    for (size_t i = 2; i < 6; i++)
        assert_int_equal(p[i].vm, 1);
    assert_int_equal(place(&w, p, 3), 3);
    world_destroy(&w);
}

static void placements_are_what_the_fold_accepts(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1",
                 "name: b\njobs: [{name: g, command: x, resources: {cpus: 0.3, memory: 700 MiB}, "
                 "sweep: {i: {from: 1, to: 50}}}]\n");
    Ebb__Offer o = world_offer("m", "a", true, 2, 1);
    world_vm(&w, "v0", &o);
    struct ebb_placement p[64];
    size_t n = place(&w, p, 64);
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++)
        world_lease(&w, "b-1", p[i].job, "v0");
    assert_int_equal(place(&w, p, 64), 0);
    world_destroy(&w);
}

static void noticed_and_doubtful_vms_get_nothing(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", "name: b\njobs: [{name: g, command: x, sweep: {i: [1, 2]}}]\n");
    Ebb__Offer o = world_offer("m", "a", true, 1, 1);
    struct ebb_placement p[4];
    world_intend(&w, "v0", &o);
    assert_int_equal(place(&w, p, 4), 0);
    world_vm(&w, "v1", &o);
    EVENT(e, m, vm_noticed, VM_NOTICED, Ebb__VmNoticed);
    ebb__vm_noticed__init(&m);
    m.vm = lit("v1");
    m.rebalance = true;
    world_apply(&w, &e); /* only a hint: others first */
    world_vm(&w, "v2", &o);
    assert_int_equal(place(&w, p, 4), 2);
    assert_int_equal(p[0].vm, 2);
    assert_int_equal(p[1].vm, 1);
    world_notice(&w, "v1");
    assert_int_equal(place(&w, p, 4), 1);
    world_destroy(&w);
}

static void gpu_vms_are_left_to_gpu_jobs_while_there_are_any(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1",
                 "name: b\njobs:\n - {name: cpu, command: x, sweep: {i: [1, 2]}}\n"
                 " - {name: gpu, command: x, resources: {gpu: [l4]}}\n");
    Ebb__Offer l4 = world_offer("g", "a", true, 4, 1), t4 = l4;
    l4.gpus = t4.gpus = 1;
    l4.gpu_model = lit("l4");
    t4.gpu_model = lit("t4");
    world_vm(&w, "v0", &t4);
    struct ebb_placement p[4];
    assert_int_equal(place(&w, p, 4), 0);
    world_vm(&w, "v1", &l4);
    assert_int_equal(place(&w, p, 4), 1);
    assert_int_equal(p[0].job, 2);
    assert_int_equal(p[0].vm, 1);
    world_lease(&w, "b-1", 2, "v1");
    assert_int_equal(place(&w, p, 4), 2);
    world_destroy(&w);
}

static void a_refused_job_waits_and_lets_others_pass(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", "name: b\njobs: [{name: g, command: x}]\n");
    Ebb__Offer o = world_offer("m", "a", true, 1, 1);
    world_vm(&w, "v0", &o);
    world_lease(&w, "b-1", 0, "v0");
    world_end(&w, "b-1", 0, REFUSED, NULL);
    struct ebb_placement p[4];
    assert_int_equal(place(&w, p, 4), 0);
    w.now += 2 * S;
    assert_int_equal(place(&w, p, 4), 1);
    world_destroy(&w);
}

static void a_resumed_job_is_marked_and_gets_its_interval(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1",
                 "name: b\njobs:\n - {name: g, engine: gromacs, command: x}\n"
                 " - {name: h, engine: gromacs, command: x, checkpoint_interval: 77s}\n"
                 " - {name: i, command: x}\n");
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    world_vm(&w, "v0", &o);
    world_lease(&w, "b-1", 0, "v0");
    world_start(&w, "b-1", 0);
    world_commit(&w, "b-1", 0, 5);
    world_end(&w, "b-1", 0, RELEASED, NULL);
    struct ebb_placement p[4];
    assert_int_equal(place(&w, p, 4), 3);
    assert_true(p[0].resume);
    assert_false(p[1].resume);
    assert_true(p[0].checkpoint_interval_s > 100 && p[0].checkpoint_interval_s < 1800);
    assert_true(p[1].checkpoint_interval_s == 77);
    assert_true(p[2].checkpoint_interval_s == 0);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_goes_first_and_rooms_are_filled),
        cmocka_unit_test(placements_are_what_the_fold_accepts),
        cmocka_unit_test(noticed_and_doubtful_vms_get_nothing),
        cmocka_unit_test(gpu_vms_are_left_to_gpu_jobs_while_there_are_any),
        cmocka_unit_test(a_refused_job_waits_and_lets_others_pass),
        cmocka_unit_test(a_resumed_job_is_marked_and_gets_its_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
