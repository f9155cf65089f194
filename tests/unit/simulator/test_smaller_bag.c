/* A large bag stood for by a small one. */
#include "scheduler/core/sweep.h"
#include "simulator/smaller_bag.h"
#include "tests/unit/simulator/fixture.h"

static Ebb__BagSpec *bag(int many, int few)
{
    EBB_AUTO_FREE char *text = ebb_sprintf(
        "name: b\njobs:\n"
        "  - {name: md, engine: gromacs, sweep: {seed: {from: 1, to: %d}}, resources: {cpus: 1, "
        "time: 10m}, command: 'gmx mdrun ${seed}', outputs: [x]}\n"
        "  - {name: end, engine: gromacs, needs: [md], sweep: {n: {from: 1, to: %d}}, command: "
        "'gmx "
        "mdrun ${n}', outputs: [y]}\n",
        many, few);
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (test_parse(text, NULL, &spec, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return spec;
}

static struct ebb_smaller_bag smaller(const Ebb__BagSpec *spec, uint32_t max_vms)
{
    struct ebb_smaller_bag b;
    struct ebb_policy policy;
    struct ebb_error err = {0};
    ebb_policy_default(&policy);
    policy.max_vms = max_vms;
    ebb_smaller_bag_make(spec, &policy, &b);
    if (ebb_bag_check(b.spec, &err) < 0)
        fail_msg("%s", err.text);
    return b;
}

static void a_small_bag_keeps_its_jobs_its_shape_and_no_commands(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag(40, 2);
    struct ebb_smaller_bag b = smaller(spec, 64);
    assert_true(b.wide == 1 && b.is_long == 1);
    assert_int_equal(42, ebb_bag_job_count(b.spec));
    assert_int_equal(40, b.spec->groups[1]->first_job);
    assert_string_equal("md", b.spec->groups[1]->needs[0]);
    assert_true(b.spec->groups[0]->resources->time_s == 600);
    assert_string_equal(":", b.spec->groups[0]->command);
    ebb_smaller_bag_clean_up(&b);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void a_large_bag_keeps_its_work(void **state)
{
    (void)state;
    for (uint32_t max_vms = 16; max_vms <= 4096; max_vms *= 4) {
        Ebb__BagSpec *spec = bag(100000, 20000);
        struct ebb_smaller_bag b = smaller(spec, max_vms);
        double work = 0;
        for (size_t g = 0; g < b.spec->n_groups; g++)
            work += (double)b.spec->groups[g]->job_count * b.spec->groups[g]->resources->time_s;
        assert_true(fabs(work * b.wide / (120000 * 600.0) - 1) < 0.03);
        assert_in_range(ebb_bag_job_count(b.spec), 500, 3100);
        assert_true(b.wide <= fmax(1, max_vms / 12.0));
        ebb_smaller_bag_clean_up(&b);
        ebb__bag_spec__free_unpacked(spec, NULL);
    }
}

static void a_few_jobs_beside_many_are_not_made_longer(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag(100000, 1);
    struct ebb_smaller_bag b = smaller(spec, 16);
    assert_true(b.is_long == 1);
    assert_int_equal(1, b.spec->groups[1]->job_count);
    ebb_smaller_bag_clean_up(&b);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_bag_keeps_its_jobs_its_shape_and_no_commands),
        cmocka_unit_test(a_large_bag_keeps_its_work),
        cmocka_unit_test(a_few_jobs_beside_many_are_not_made_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
