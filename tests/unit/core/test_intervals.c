/* The interval between checkpoints of a job where it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "scheduler/core/intervals.h"
#include "tests/unit/core/world.h"

struct setting {
    struct world w;
    struct ebb_policy policy;
    struct ebb_intervals *intervals;
    Ebb__Offer offer;
};

/* One job that runs on v0; its checkpoints take `write_s`. */
static struct setting start(const char *yaml, double write_s)
{
    struct setting t = {.w = world_new(),
                        .intervals = ebb_intervals_new(),
                        .offer = world_offer("m", "a", true, 4, 40000)};
    ebb_policy_default(&t.policy);
    world_submit(&t.w, "b-1", yaml);
    world_vm(&t.w, "v0", &t.offer);
    world_lease(&t.w, "b-1", 0, "v0");
    world_start(&t.w, "b-1", 0);
    t.w.s->bags[0]->groups[0].write_s = (struct ebb_mean){write_s, 1};
    return t;
}

static void destroy(struct setting *t)
{
    ebb_intervals_destroy(t->intervals);
    world_destroy(&t->w);
}

static double next_s(const struct setting *t)
{
    return ebb_intervals_next_s(t->intervals, t->w.s, &t->policy, 0, 0, 0, t->w.now);
}

static double by_rule_s(const struct setting *t)
{
    return ebb_plan_interval_s(t->w.s, &t->policy, &t->w.s->bags[0]->groups[0], &t->offer,
                               ebb_vm_age_s(t->w.s->vms[0], t->w.now), t->w.now);
}

#define BAG(time)                                                                                  \
    "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: " time "}}]\n"

static void an_aging_vm_makes_checkpoints_rarer(void **state)
{
    (void)state;
    struct setting t = start(BAG("200h"), 2);
    double last = 0;
    for (int i = 0; i < 30; i++) {
        double now = next_s(&t);
        assert_true(now >= last && now == by_rule_s(&t));
        last = now;
        t.w.now += 3600 * S;
    }
    assert_true(last > 2 * ebb_plan_interval_s(t.w.s, &t.policy, &t.w.s->bags[0]->groups[0],
                                               &t.offer, 0, t.w.now));
    destroy(&t);
}

static void a_short_job_with_much_at_stake_is_planned_exactly(void **state)
{
    (void)state;
    struct setting t = start(BAG("3h"), 60);
    double planned = next_s(&t);
    assert_true(planned != by_rule_s(&t));
    assert_true(planned > 60 && planned <= 3 * 3600.0);
    assert_true(next_s(&t) == planned); /* from the table that is kept */
    destroy(&t);
    t = start(BAG("3h"), 0.1); /* nothing at stake: the rule does */
    assert_true(next_s(&t) == by_rule_s(&t));
    destroy(&t);
}

static void a_sibling_that_is_taken_makes_the_next_one_come_soon(void **state)
{
    (void)state;
    struct setting t = start(BAG("100h"), 5);
    world_vm(&t.w, "v1", &t.offer);
    t.w.now += 7200 * S;
    double before = next_s(&t);
    world_notice(&t.w, "v1");
    assert_true(next_s(&t) < before / 1.4);
    t.w.now += 301 * S;
    assert_true(next_s(&t) > before / 1.4);
    destroy(&t);
}

static void what_the_user_wants_holds(void **state)
{
    (void)state;
    struct setting t = start("name: b\njobs: [{name: g, engine: gromacs, command: x, "
                             "checkpoint_interval: 7m, resources: {time: 3h}}]\n",
                             60);
    assert_true(next_s(&t) == 420);
    destroy(&t);
    t = start("name: b\njobs: [{name: g, command: x, resources: {time: 3h}}]\n", 60);
    assert_true(next_s(&t) == 0); /* no checkpoints at all */
    destroy(&t);
}

/* A checkpoint that takes a minute is not made every half hour where nothing ever happens. */
static void dear_checkpoints_may_be_rarer_than_the_policys_bound(void **state)
{
    (void)state;
    struct ebb_policy policy;
    ebb_policy_default(&policy);
    assert_true(ebb_interval_most_s(&policy, 1) == 1800);
    assert_true(ebb_interval_most_s(&policy, 60) == 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_aging_vm_makes_checkpoints_rarer),
        cmocka_unit_test(a_short_job_with_much_at_stake_is_planned_exactly),
        cmocka_unit_test(a_sibling_that_is_taken_makes_the_next_one_come_soon),
        cmocka_unit_test(what_the_user_wants_holds),
        cmocka_unit_test(dear_checkpoints_may_be_rarer_than_the_policys_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
