#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/random.h"
#include "scheduler/core/lifetime.h"
#include "tests/unit/core/world.h"

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

static void nothing_seen_gives_the_prior(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1), od = world_offer("m", "a", false, 4, 1);
    assert_close(ebb_state_hazard(w.s, &o, w.now), 0.1, 1e-12);
    assert_true(ebb_state_hazard(w.s, &od, w.now) == 0);
    world_scale(&w, 60); /* a second of it stands for a minute */
    assert_close(ebb_state_hazard(w.s, &o, w.now), 6, 1e-12);
    world_destroy(&w);
}

static void revocations_raise_and_quiet_hours_lower_the_hazard(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer bad = world_offer("m", "a", true, 4, 1), good = world_offer("m", "b", true, 4, 1),
               unseen = world_offer("x", "c", true, 4, 1);
    world_vm(&w, "v0", &bad);
    world_vm(&w, "v1", &good);
    w.now += 3600 * S;
    world_notice(&w, "v0");
    world_lose(&w, "v0"); /* one revocation, however many signs of it */
    world_terminated(&w, "v0", 0, w.now, true);
    w.now += 3600 * S;
    double h_bad = ebb_state_hazard(w.s, &bad, w.now), h_good = ebb_state_hazard(w.s, &good, w.now);
    /* all: (1 + 1) / (10 + 3) an hour; zone b: 1 / (6.5 + 2); offer in b: 1 / (8.5 + 2) */
    assert_close(ebb_state_hazard(w.s, &unseen, w.now), 2.0 / 13, 1e-9);
    assert_close(h_good, 1 / 10.5, 1e-9);
    assert_true(h_bad > 2 * h_good);
    world_destroy(&w);
}

static void vms_that_we_end_are_censored(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    world_vm(&w, "v0", &o);
    w.now += 36000 * S;
    world_terminating(&w, "v0");
    world_terminated(&w, "v0", 0, w.now, false);
    assert_close(ebb_state_hazard(w.s, &o, w.now), 1.0 / 40, 1e-9);
    world_destroy(&w);
}

static void siblings_of_a_revoked_vm_are_in_danger_for_minutes(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1), other = world_offer("n", "a", true, 4, 1);
    world_vm(&w, "v0", &o);
    w.now += 3600 * S;
    world_notice(&w, "v0");
    double now = ebb_state_hazard(w.s, &o, w.now), near = ebb_state_hazard(w.s, &other, w.now);
    double later = ebb_state_hazard(w.s, &o, w.now + 300 * S);
    double near_later = ebb_state_hazard(w.s, &other, w.now + 300 * S);
    assert_true(now > 5 * later && now < 7 * later);
    assert_true(near > 2.5 * near_later && near < 3.5 * near_later);
    world_destroy(&w);
}

static void the_posterior_finds_the_true_hazard(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 3);
    struct ebb_exposure x = {0};
    for (int i = 0; i < 4000; i++) { /* lifetimes of mean 2 h, censored at 1 h */
        double life = ebb_random_exponential(&r, 2);
        x.hours += life < 1 ? life : 1;
        x.revocations += life < 1;
    }
    assert_close(ebb_hazard_pool(0.3, 1, &x, 0), 0.5, 0.04);
}

/* Against a simulation of the process that the formula describes. */
static void expected_wall_time_is_that_of_a_simulation(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 11);
    const double h = 2, restart = 60, interval = 300, cost = 5, work = 1800;
    double sum = 0;
    const int runs = 20000;
    for (int i = 0; i < runs; i++) {
        double t = 0;
        for (int part = 0; part < 6; part++) {
            double need = interval + (part < 5 ? cost : 0);
            double life = ebb_random_exponential(&r, 3600 / h);
            while (life < need) { /* fails; then restarts, which can fail too */
                t += life;
                while ((life = ebb_random_exponential(&r, 3600 / h)) < restart)
                    t += life;
                t += restart;
                life = ebb_random_exponential(&r, 3600 / h);
            }
            t += need;
        }
        sum += t;
    }
    double expected = ebb_expected_wall_s(work, h, restart, interval, cost);
    assert_close(expected / (sum / runs), 1, 0.02);
}

static void no_hazard_gives_the_work_and_its_checkpoints(void **state)
{
    (void)state;
    assert_close(ebb_expected_wall_s(1000, 0, 60, 100, 2), 1018, 1e-9);
    assert_close(ebb_expected_wall_s(1000, 0, 60, 0, 2), 1000, 1e-9);
    assert_close(ebb_expected_wall_s(1000, 1e-9, 60, 100, 2), 1018, 1e-3);
    assert_true(ebb_checkpoint_interval_s(2, 0, 5, 1800) == 1800);
}

static void the_interval_is_youngs_for_small_costs_and_near_the_best(void **state)
{
    (void)state;
    double tau = ebb_checkpoint_interval_s(0.01, 1, 0.1, 1e9);
    assert_close(tau / sqrt(2 * 0.01 * 3600), 1, 0.01);
    tau = ebb_checkpoint_interval_s(10, 2, 1, 1e9);
    double at = ebb_expected_wall_s(1e6, 2, 60, tau, 10);
    assert_true(at <= ebb_expected_wall_s(1e6, 2, 60, tau * 1.3, 10));
    assert_true(at <= ebb_expected_wall_s(1e6, 2, 60, tau / 1.3, 10));
    assert_true(ebb_checkpoint_interval_s(10, 1e6, 5, 1800) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_gives_the_prior),
        cmocka_unit_test(revocations_raise_and_quiet_hours_lower_the_hazard),
        cmocka_unit_test(vms_that_we_end_are_censored),
        cmocka_unit_test(siblings_of_a_revoked_vm_are_in_danger_for_minutes),
        cmocka_unit_test(the_posterior_finds_the_true_hazard),
        cmocka_unit_test(expected_wall_time_is_that_of_a_simulation),
        cmocka_unit_test(no_hazard_gives_the_work_and_its_checkpoints),
        cmocka_unit_test(the_interval_is_youngs_for_small_costs_and_near_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
