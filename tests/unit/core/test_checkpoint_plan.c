/* When checkpoints pay: against simulation, fixed intervals and the formulas of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/random.h"
#include "scheduler/core/checkpoint_plan.h"

#define HOUR 3600.0

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

static const struct ebb_outlook steep = {.per_hour = {1, 0.6, 0.3, 0.15, 0.1, 0.05, 0.02}},
                                flat = {.per_hour = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}},
                                none = {0};

static double draw_life(struct ebb_random *r, const struct ebb_outlook *o, double age_s)
{
    double target = -log(1 - ebb_random_uniform(r)), low = 0, high = 1e7;
    for (int i = 0; i < 60; i++) {
        double mid = (low + high) / 2;
        if (ebb_outlook_cumulative(o, age_s, mid) < target)
            low = mid;
        else
            high = mid;
    }
    return o->cap_s > 0 ? fmin(low, o->cap_s - age_s) : low;
}

/* Mean time to do the work; `fixed_s`: that interval throughout; 0: the plan's. */
static double replay(const struct ebb_checkpoint_plan *p, const struct ebb_outlook *o, double age_s,
                     const struct ebb_checkpoint_terms *t, double fixed_s, int runs)
{
    struct ebb_random r;
    ebb_random_seed(&r, 17);
    double sum = 0;
    for (int n = 0; n < runs; n++) {
        double total = 0, left = t->work_s, at = 0, life = draw_life(&r, o, age_s);
        bool anew = false;
        while (left > 1e-6) {
            double piece = fixed_s > 0 ? fmin(fixed_s, left)
                           : anew      ? ebb_checkpoint_plan_next_new_s(p, left, at)
                                       : ebb_checkpoint_plan_next_s(p, left, at);
            double takes = piece + (piece < left ? t->checkpoint_s : 0);
            if (at + takes <= life) {
                at += takes;
                total += takes;
                left -= piece;
                continue;
            }
            total += life - at + t->restart_s;
            anew = true;
            at = 0;
            life = draw_life(&r, o, 0);
        }
        sum += total;
    }
    return sum / runs;
}

static void the_expected_time_is_that_of_a_simulation(void **state)
{
    (void)state;
    const struct ebb_checkpoint_terms t = {3 * HOUR, 60, 180, 1};
    const struct ebb_outlook *const outlooks[] = {&steep, &flat};
    for (int i = 0; i < 2; i++) {
        for (double age = 0; age < 10 * HOUR; age += 4 * HOUR) {
            struct ebb_checkpoint_plan *p =
                ebb_checkpoint_plan_new(outlooks[i], age, outlooks[i], &t);
            double simulated = replay(p, outlooks[i], age, &t, 0, 20000);
            assert_close(ebb_checkpoint_plan_expected_s(p) / simulated, 1, 0.02);
            ebb_checkpoint_plan_destroy(p);
        }
    }
}

/* The clock is that of the plan's steps, so pieces are cut a step from the cap at most. */
static void before_a_cap_a_checkpoint_is_made_and_what_it_costs_is_foretold(void **state)
{
    (void)state;
    for (double room_h = 0.5; room_h < 5; room_h += 0.9) {
        struct ebb_outlook capped = flat;
        capped.cap_s = 12 * HOUR;
        double age_s = (12 - room_h) * HOUR;
        const struct ebb_checkpoint_terms t = {4 * HOUR, 30, 300, 1};
        struct ebb_checkpoint_plan *p = ebb_checkpoint_plan_new(&capped, age_s, &capped, &t);
        double expected = ebb_checkpoint_plan_expected_s(p);
        assert_close(replay(p, &capped, age_s, &t, 0, 20000), expected, 0.03 * expected);
        double left_s = t.work_s, at_s = 0;
        for (;;) { /* nothing happens: how far does it come before the cap? */
            double piece_s = ebb_checkpoint_plan_next_s(p, left_s, at_s);
            double takes_s = piece_s + (piece_s < left_s ? t.checkpoint_s : 0);
            if (at_s + takes_s > room_h * HOUR || left_s <= 0)
                break;
            at_s += takes_s;
            left_s -= piece_s;
        }
        assert_true(left_s <= 0 || room_h * HOUR - at_s < 3 * t.work_s / EBB_CHECKPOINT_STEPS);
        ebb_checkpoint_plan_destroy(p);
    }
}

static void no_fixed_interval_is_better(void **state)
{
    (void)state;
    const struct ebb_checkpoint_terms t = {4 * HOUR, 60, 180, 1};
    struct ebb_checkpoint_plan *p = ebb_checkpoint_plan_new(&steep, 0, &steep, &t);
    double planned = replay(p, &steep, 0, &t, 0, 20000);
    for (double interval = 300; interval < 5 * HOUR; interval *= 1.5)
        assert_true(planned <= replay(p, &steep, 0, &t, interval, 20000) * 1.003);
    ebb_checkpoint_plan_destroy(p);
}

static void no_hazard_gives_the_trivial_plan(void **state)
{
    (void)state;
    const struct ebb_checkpoint_terms t = {5 * HOUR, 60, 180, 1};
    struct ebb_checkpoint_plan *p = ebb_checkpoint_plan_new(&none, 0, &none, &t);
    assert_close(ebb_checkpoint_plan_expected_s(p), 5 * HOUR, 1e-6);
    assert_true(ebb_checkpoint_plan_next_s(p, 5 * HOUR, 0) == 5 * HOUR);
    ebb_checkpoint_plan_destroy(p);
}

/* A constant hazard and a long job: Young's and Daly's interval, about. */
static void a_constant_hazard_gives_dalys_interval(void **state)
{
    (void)state;
    const struct ebb_checkpoint_terms t = {6 * HOUR, 30, 60, 1};
    struct ebb_checkpoint_plan *p = ebb_checkpoint_plan_new(&flat, 0, &flat, &t);
    double daly = ebb_checkpoint_interval_s(30, 0.5, 1, 1e9);
    assert_close(ebb_checkpoint_plan_next_s(p, 6 * HOUR, 0) / daly, 1, 0.35);
    ebb_checkpoint_plan_destroy(p);
}

/* The older the VM, the rarer; and what a notice saves needs no checkpoint. */
static void age_and_notice_make_checkpoints_rarer(void **state)
{
    (void)state;
    struct ebb_checkpoint_terms t = {4 * HOUR, 60, 180, 1};
    struct ebb_checkpoint_plan *young = ebb_checkpoint_plan_new(&steep, 0, &steep, &t);
    struct ebb_checkpoint_plan *old = ebb_checkpoint_plan_new(&steep, 12 * HOUR, &steep, &t);
    t.silent = 0.05;
    struct ebb_checkpoint_plan *told = ebb_checkpoint_plan_new(&steep, 0, &steep, &t);
    double a = ebb_checkpoint_plan_next_s(young, 4 * HOUR, 0);
    assert_true(ebb_checkpoint_plan_next_s(old, 4 * HOUR, 0) > a);
    assert_true(ebb_checkpoint_plan_next_s(told, 4 * HOUR, 0) > a);
    assert_true(ebb_checkpoint_plan_expected_s(old) < ebb_checkpoint_plan_expected_s(young));
    ebb_checkpoint_plan_destroy(young);
    ebb_checkpoint_plan_destroy(old);
    ebb_checkpoint_plan_destroy(told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_expected_time_is_that_of_a_simulation),
        cmocka_unit_test(before_a_cap_a_checkpoint_is_made_and_what_it_costs_is_foretold),
        cmocka_unit_test(no_fixed_interval_is_better),
        cmocka_unit_test(no_hazard_gives_the_trivial_plan),
        cmocka_unit_test(a_constant_hazard_gives_dalys_interval),
        cmocka_unit_test(age_and_notice_make_checkpoints_rarer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
