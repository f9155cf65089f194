/* Lives of VMs in the log become hazards and outages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/random.h"
#include "scheduler/core/lifetime.h"
#include "tests/unit/core/world.h"

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

#define HOUR 3600.0

static double hazard(const struct world *w, const Ebb__Offer *o, double age_s)
{
    return ebb_state_hazard(w->s, o, age_s, w->now);
}

static void nothing_seen_gives_the_prior_by_age(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_outlook out;
    Ebb__Offer o = world_offer("m", "a", true, 4, 1), od = world_offer("m", "a", false, 4, 1);
    ebb_state_outlook(w.s, &o, w.now, &out);
    assert_close(ebb_outlook_cumulative(&out, 0, 24 * HOUR), 2.4, 0.01); /* 0.1/h in a day */
    assert_true(hazard(&w, &o, 0) > 10 * hazard(&w, &o, 12 * HOUR));
    assert_true(hazard(&w, &od, 0) == 0);
    double young = hazard(&w, &o, 0), old = hazard(&w, &o, 20 * HOUR);
    world_scale(&w, 60); /* a second of it stands for a minute */
    assert_close(hazard(&w, &o, 0), 60 * young, 1e-9);
    assert_close(hazard(&w, &o, 20 * HOUR / 60), 60 * old, 1e-9);
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
    w.now += 1800 * S;
    world_notice(&w, "v0");
    world_lose(&w, "v0"); /* one revocation, however many signs of it */
    world_terminated(&w, "v0", 0, w.now, true);
    w.now += 3600 * S;
    world_price(&w, "a", "m", w.now, 1); /* any event: the life of v1 is told as well */
    const struct ebb_place all = {0};
    double hours, events;
    uint32_t resets;
    assert_true(
        ebb_hazards_seen(w.s->hazards, EBB_RATE_REVOCATION, &all, w.now, &hours, &events, &resets));
    assert_close(hours, 0.5 + 1.5, 0.05);
    assert_close(events, 1, 0.05);
    assert_true(hazard(&w, &bad, HOUR / 2) > hazard(&w, &unseen, HOUR / 2));
    assert_true(hazard(&w, &unseen, HOUR / 2) > hazard(&w, &good, HOUR / 2));
    assert_int_equal(w.s->noticed, 1);
    assert_int_equal(w.s->unnoticed, 0);
    world_destroy(&w);
}

static void vms_that_we_end_are_censored(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    double before = hazard(&w, &o, HOUR);
    world_vm(&w, "v0", &o);
    w.now += 36000 * S;
    world_terminating(&w, "v0");
    world_terminated(&w, "v0", 0, w.now, false);
    assert_true(hazard(&w, &o, HOUR) < before / 2);
    assert_int_equal(w.s->noticed + w.s->unnoticed, 0);
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
    double now = ebb_state_hazard(w.s, &o, HOUR, w.now),
           near = ebb_state_hazard(w.s, &other, HOUR, w.now);
    double later = ebb_state_hazard(w.s, &o, HOUR, w.now + 300 * S);
    double near_later = ebb_state_hazard(w.s, &other, HOUR, w.now + 300 * S);
    assert_true(now > 5 * later && now < 7 * later);
    assert_true(near > 2.5 * near_later && near < 3.5 * near_later);
    world_destroy(&w);
}

static void refused_launches_and_the_grant_after_them_make_an_outage(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    const struct ebb_place p = {o.provider, o.region, o.zone, o.type};
    double hours, events;
    uint32_t resets;
    world_intend(&w, "v0", &o);
    world_launch_failed(&w, "v0", EBB_ERR_NO_CAPACITY);
    w.now += 1200 * S;
    world_intend(&w, "v1", &o);
    world_launch_failed(&w, "v1", EBB_ERR_NO_CAPACITY);
    w.now += 600 * S;
    world_vm(&w, "v2", &o);
    assert_true(
        ebb_hazards_seen(w.s->hazards, EBB_RATE_RECOVERY, &p, w.now, &hours, &events, &resets));
    assert_close(hours, 0.5, 0.01);
    assert_close(events, 1, 0.01);
    world_intend(&w, "v3", &o);
    world_launch_failed(&w, "v3", EBB_ERR_THROTTLED); /* says nothing of capacity */
    assert_true(
        ebb_hazards_seen(w.s->hazards, EBB_RATE_RECOVERY, &p, w.now, &hours, &events, &resets));
    assert_close(events, 1, 0.01);
    world_destroy(&w);
}

static void notices_that_come_make_checkpoints_rarer(void **state)
{
    (void)state;
    struct world w = world_new();
    Ebb__Offer o = world_offer("m", "a", true, 4, 1);
    char name[16];
    assert_true(ebb_state_silent_share(w.s, 1) == 1);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "v%d", i);
        world_vm(&w, name, &o);
        w.now += 100 * S;
        world_notice(&w, name);
    }
    assert_close(ebb_state_silent_share(w.s, 1), 0.1, 1e-9);
    assert_true(ebb_state_silent_share(w.s, 100) == 1); /* 120 s are too short for it */
    world_destroy(&w);
}

/* ---- what a run is worth ---- */

/* A life from `age`, drawn from the outlook's hazards by inversion. */
static double draw_life(struct ebb_random *r, const struct ebb_outlook *o, double age_s)
{
    double target = -log(1 - ebb_random_uniform(r)), low = 0, high = 1e7;
    if (ebb_outlook_cumulative(o, age_s, high) < target)
        return INFINITY;
    for (int i = 0; i < 60; i++) {
        double mid = (low + high) / 2;
        if (ebb_outlook_cumulative(o, age_s, mid) < target)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* The same life over and over: VM seconds for a useful second. */
static double simulate(const struct ebb_outlook *o, const struct ebb_run_terms *t, int runs)
{
    struct ebb_random r;
    ebb_random_seed(&r, 11);
    double vm = 0, useful = 0;
    for (int i = 0; i < runs; i++) {
        double life = draw_life(&r, o, t->age_s), at = t->lead_s, kept = 0;
        for (int job = 0; job < (int)t->jobs && at < life; job++) {
            double done = 0;
            at += t->setup_s;
            while (done < t->work_s && at < life) {
                double piece = t->checkpoints ? fmin(t->interval_s, t->work_s - done) : t->work_s;
                bool last = done + piece >= t->work_s;
                at += piece + (last ? 0 : t->checkpoint_s);
                if (at <= life) {
                    done += piece;
                    kept += t->checkpoints || last ? piece : 0;
                }
            }
        }
        vm += fmin(life, at);
        useful += kept;
    }
    return vm / useful;
}

static void a_run_is_worth_what_a_simulation_of_it_gives(void **state)
{
    (void)state;
    struct ebb_outlook steep = {.per_hour = {2, 1, 0.4, 0.2, 0.1, 0.05, 0.02}},
                       flat = {.per_hour = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}};
    const struct ebb_run_terms cases[] = {
        {.lead_s = 120,
         .jobs = 1,
         .work_s = 7200,
         .setup_s = 30,
         .checkpoint_s = 20,
         .interval_s = 900,
         .silent = 1,
         .checkpoints = true},
        {.lead_s = 120,
         .jobs = 6,
         .work_s = 7200,
         .setup_s = 30,
         .checkpoint_s = 20,
         .interval_s = 900,
         .silent = 1,
         .checkpoints = true},
        {.lead_s = 60, .jobs = 20, .work_s = 600, .setup_s = 10, .silent = 1},
        {.age_s = 4 * HOUR,
         .jobs = 3,
         .work_s = 9000,
         .setup_s = 30,
         .checkpoint_s = 20,
         .interval_s = 1200,
         .silent = 1,
         .checkpoints = true},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        for (int f = 0; f < 2; f++) {
            const struct ebb_outlook *o = f ? &flat : &steep;
            struct ebb_run_worth w;
            ebb_outlook_worth(o, &cases[i], &w);
            assert_close(w.ratio / simulate(o, &cases[i], 20000), 1, 0.04);
        }
    }
}

static void no_hazard_gives_the_work_and_its_checkpoints(void **state)
{
    (void)state;
    struct ebb_outlook none = {0};
    struct ebb_run_terms t = {.lead_s = 60,
                              .jobs = 3,
                              .work_s = 1000,
                              .setup_s = 10,
                              .checkpoint_s = 2,
                              .interval_s = 100,
                              .silent = 1,
                              .checkpoints = true};
    struct ebb_run_worth w;
    ebb_outlook_worth(&none, &t, &w);
    assert_close(w.vm_s, 60 + 3 * (10 + 1000 + 9 * 2), 1e-6);
    assert_close(w.useful_s, 3000, 1e-6);
    assert_true(w.survival == 1);
    t.interval_s = 0;
    t.least_s = 5;
    t.most_s = 1800;
    ebb_outlook_worth(&none, &t, &w);
    assert_true(w.interval_s == 1800); /* the trivial plan: no checkpoint within the job */
    assert_close(w.vm_s, 60 + 3 * 1010, 1e-6);
    assert_true(ebb_checkpoint_interval_s(2, 0, 5, 1800) == 1800);
}

static void an_old_vm_is_worth_more_than_a_new_one(void **state)
{
    (void)state;
    struct ebb_outlook o = {.per_hour = {2, 1, 0.4, 0.2, 0.1, 0.05, 0.02}};
    struct ebb_run_terms t = {.jobs = 1,
                              .work_s = 3 * HOUR,
                              .setup_s = 30,
                              .checkpoint_s = 20,
                              .least_s = 5,
                              .most_s = 1800,
                              .silent = 1,
                              .checkpoints = true};
    struct ebb_run_worth w;
    double last = INFINITY, interval = 0;
    for (double age = 0; age < 30 * HOUR; age += HOUR / 2) {
        t.age_s = age;
        ebb_outlook_worth(&o, &t, &w);
        assert_true(w.ratio <= last + 1e-12);
        assert_true(w.interval_s >= interval); /* and needs checkpoints less often */
        last = w.ratio;
        interval = w.interval_s;
    }
    o.cap_s = 31 * HOUR; /* with a cap it does not reach the end of the job */
    ebb_outlook_worth(&o, &t, &w);
    assert_true(w.survival == 0 && w.vm_s <= 1.5 * HOUR + 1);
}

static void before_a_cap_only_whole_jobs_count_without_checkpoints(void **state)
{
    (void)state;
    struct ebb_outlook o = {.cap_s = 10 * HOUR};
    struct ebb_run_terms t = {
        .lead_s = 600, .jobs = 100, .work_s = 4 * HOUR, .setup_s = 60, .silent = 1};
    struct ebb_run_worth w;
    ebb_outlook_worth(&o, &t, &w);
    assert_true(fabs(w.useful_s - 8 * HOUR) < 1 && w.survival == 0);
    t.work_s = 11 * HOUR;
    ebb_outlook_worth(&o, &t, &w);
    assert_true(w.useful_s == 0 && w.ratio == 1e6);
    t.checkpoints = true;
    t.checkpoint_s = 1;
    t.most_s = 1800;
    ebb_outlook_worth(&o, &t, &w);
    assert_true(w.useful_s > 9.5 * HOUR && w.vm_s <= 10 * HOUR);
    assert_true(ebb_outlook_survival(&o, 9 * HOUR, HOUR / 2) == 1);
    assert_true(ebb_outlook_survival(&o, 9.6 * HOUR, HOUR / 2) == 0);
}

static void hopeless_runs_have_a_finite_price(void **state)
{
    (void)state;
    struct ebb_outlook o = {.per_hour = {1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5}};
    struct ebb_run_terms t = {.lead_s = 600, .jobs = 1, .work_s = 3600, .silent = 1};
    struct ebb_run_worth w;
    ebb_outlook_worth(&o, &t, &w);
    assert_true(w.ratio == 1e6);
}

static void the_interval_is_youngs_for_small_costs_and_near_the_best(void **state)
{
    (void)state;
    double tau = ebb_checkpoint_interval_s(0.01, 1, 0.1, 1e9);
    assert_close(tau / sqrt(2 * 0.01 * 3600), 1, 0.01);
    struct ebb_outlook flat = {.per_hour = {2, 2, 2, 2, 2, 2, 2}};
    double best = ebb_checkpoint_interval_s(10, 2, 1, 1e9), ratio[3];
    for (int i = 0; i < 3; i++) {
        struct ebb_run_terms t = {.jobs = 1,
                                  .work_s = 1e6,
                                  .checkpoint_s = 10,
                                  .interval_s = best * (i == 0   ? 1
                                                        : i == 1 ? 1.3
                                                                 : 1 / 1.3),
                                  .silent = 1,
                                  .checkpoints = true};
        struct ebb_run_worth w;
        ebb_outlook_worth(&flat, &t, &w);
        ratio[i] = w.ratio;
    }
    assert_true(ratio[0] <= ratio[1] && ratio[0] <= ratio[2]);
    assert_true(ebb_checkpoint_interval_s(10, 1e6, 5, 1800) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_gives_the_prior_by_age),
        cmocka_unit_test(revocations_raise_and_quiet_hours_lower_the_hazard),
        cmocka_unit_test(vms_that_we_end_are_censored),
        cmocka_unit_test(siblings_of_a_revoked_vm_are_in_danger_for_minutes),
        cmocka_unit_test(refused_launches_and_the_grant_after_them_make_an_outage),
        cmocka_unit_test(notices_that_come_make_checkpoints_rarer),
        cmocka_unit_test(a_run_is_worth_what_a_simulation_of_it_gives),
        cmocka_unit_test(no_hazard_gives_the_work_and_its_checkpoints),
        cmocka_unit_test(an_old_vm_is_worth_more_than_a_new_one),
        cmocka_unit_test(before_a_cap_only_whole_jobs_count_without_checkpoints),
        cmocka_unit_test(hopeless_runs_have_a_finite_price),
        cmocka_unit_test(the_interval_is_youngs_for_small_costs_and_near_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
