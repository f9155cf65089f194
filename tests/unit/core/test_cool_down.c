/* When a pool that refused is tried again: by rule first, by what outages have taught after that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "scheduler/core/cool_down.h"
#include "tests/unit/core/world.h"

#define BAG "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: 1h}}]\n"

/* Outages of the type in another zone that each ended after so long. */
static void teach(struct world *w, int outages, int64_t each_s)
{
    Ebb__Offer o = world_offer("m", "b", true, 1, 40000);
    for (int i = 0; i < outages; i++) {
        char name[32];
        world_intend(w, ebb_state_next_vm_id(w->s, name), &o);
        world_launch_failed(w, name, EBB_ERR_NO_CAPACITY);
        w->now += each_s * S;
        world_vm(w, ebb_state_next_vm_id(w->s, name), &o);
        world_terminating(w, name);
        world_terminated(w, name, w->now, w->now, false);
        w->now += 60 * S;
    }
}

static struct ebb_cool_down refused(struct world *w, const struct ebb_policy *p, int times,
                                    int code)
{
    Ebb__Offer o = world_offer("m", "a", true, 1, 40000);
    struct ebb_cool_down c;
    for (int i = 0; i < times; i++) {
        char name[32];
        w->now += i > 0 ? 10 * S : 0;
        world_intend(w, ebb_state_next_vm_id(w->s, name), &o);
        world_launch_failed(w, name, code);
    }
    ebb_cool_down_of(w->s, p, &o, w->now, &c);
    return c;
}

static struct ebb_cool_down after(int outages, int64_t each_s, int times, int code)
{
    struct world w = world_new();
    struct ebb_policy p;
    ebb_policy_default(&p);
    world_submit(&w, "b-1", BAG);
    teach(&w, outages, each_s);
    struct ebb_cool_down c = refused(&w, &p, times, code);
    world_destroy(&w);
    return c;
}

static void the_best_time_between_tries_solves_the_equation_and_costs_least(void **state)
{
    (void)state;
    const double rates[] = {0.01, 0.5, 6, 120};
    for (size_t i = 0; i < 4; i++) {
        for (double k = 0.1; k < 100; k *= 5) {
            double rho = rates[i] / 3600, tau = ebb_cool_down_best_s(rates[i], k);
            double x = rho * tau;
            assert_true(fabs(exp(x) - x - 1 - rho * k) <= 1e-9 * (1 + rho * k));
            double cost[3]; /* (k + tau) tries, the first success ends it: k + tau over 1 - e^-x */
            for (int d = -1; d <= 1; d++) {
                double t = tau * (1 + 0.05 * d);
                cost[d + 1] = (k + t) / -expm1(-rho * t);
            }
            assert_true(cost[1] <= cost[0] && cost[1] <= cost[2]);
        }
    }
    assert_true(isinf(ebb_cool_down_best_s(0, 1)));
}

static void without_experience_the_rule_holds(void **state)
{
    (void)state;
    double expected_s = 30;
    for (int times = 1; times < 8; times++) {
        struct ebb_cool_down c = after(0, 0, times, EBB_ERR_NO_CAPACITY);
        assert_true(c.weight == 0);
        assert_true(fabs(c.wait_s - fmin(expected_s, 600)) < 1e-6);
        expected_s *= 2;
    }
}

static void short_outages_bring_the_next_try_forward_and_long_ones_put_it_off(void **state)
{
    (void)state;
    double brief_s = after(20, 20, 4, EBB_ERR_NO_CAPACITY).wait_s;
    double rule_s = after(0, 0, 4, EBB_ERR_NO_CAPACITY).wait_s;
    double some_s = after(2, 20, 4, EBB_ERR_NO_CAPACITY).wait_s;
    assert_true(brief_s < some_s && some_s < rule_s);
    assert_true(brief_s >= 5 && brief_s < 30);
    double long_s = after(20, 20 * 3600, 1, EBB_ERR_NO_CAPACITY).wait_s;
    assert_true(long_s > 40 && long_s <= 600); /* by rule 30 s */
}

static void a_quota_knows_the_rule_alone(void **state)
{
    (void)state;
    struct ebb_cool_down c = after(20, 20, 3, EBB_ERR_QUOTA);
    assert_true(c.learned_s == 0 && fabs(c.wait_s - 120) < 1e-9);
}

static void it_is_over_when_it_is_over(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_policy p;
    struct ebb_cool_down c;
    Ebb__Offer o = world_offer("m", "a", true, 1, 40000);
    ebb_policy_default(&p);
    world_submit(&w, "b-1", BAG);
    teach(&w, 6, 100);
    c = refused(&w, &p, 2, EBB_ERR_NO_CAPACITY);
    assert_true(c.until_wall_ns > w.now);
    w.now = c.until_wall_ns;
    ebb_cool_down_of(w.s, &p, &o, w.now, &c);
    assert_int_equal(c.until_wall_ns, 0);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_time_between_tries_solves_the_equation_and_costs_least),
        cmocka_unit_test(without_experience_the_rule_holds),
        cmocka_unit_test(short_outages_bring_the_next_try_forward_and_long_ones_put_it_off),
        cmocka_unit_test(a_quota_knows_the_rule_alone),
        cmocka_unit_test(it_is_over_when_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
