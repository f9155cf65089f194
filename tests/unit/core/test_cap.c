/* VMs that the cloud ends at a known age: what is reckoned, what is launched, what moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "scheduler/core/cap.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/intervals.h"
#include "scheduler/core/lifetime.h"
#include "tests/unit/core/world.h"

struct setting {
    struct world w;
    struct ebb_policy policy;
    Ebb__Offer offers[2]; /* capped spot, and on demand */
    struct ebb_plan plan;
};

#define DAY 86400.0
#define BAG(engine, time)                                                                          \
    "name: b\njobs: [{name: g, " engine "command: x, resources: {time: " time                      \
    "}, sweep: {i: {from: 1, to: 2}}}]\n"
#define SAVES "engine: gromacs, "

static struct setting setting_new(const char *yaml, double cap_s)
{
    struct setting t = {.w = world_new()};
    ebb_policy_default(&t.policy);
    world_submit(&t.w, "b-1", yaml);
    t.offers[0] = world_offer("m", "a", true, 2, 40000);
    t.offers[0].cap_s = cap_s;
    t.offers[1] = world_offer("m", "a", false, 2, 120000);
    return t;
}

static void setting_destroy(struct setting *t)
{
    ebb_plan_clean_up(&t->plan);
    world_destroy(&t->w);
}

static void plan(struct setting *t, size_t offers)
{
    const Ebb__Offer *list[] = {&t->offers[0], &t->offers[1]};
    struct ebb_plan_input in = {.state = t->w.s,
                                .offers = list,
                                .offer_count = offers,
                                .policy = &t->policy,
                                .now_wall_ns = t->w.now,
                                .random = 0.5};
    ebb_plan_clean_up(&t->plan);
    ebb_plan(&in, &t->plan);
}

/* v0 runs both jobs; their checkpoints take two seconds. */
static void run_both(struct setting *t)
{
    world_vm(&t->w, "v0", &t->offers[0]);
    for (uint64_t j = 0; j < 2; j++) {
        world_lease(&t->w, "b-1", j, "v0");
        world_start(&t->w, "b-1", j);
    }
}

static void the_end_at_a_cap_is_no_revocation(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct setting t = setting_new(BAG(SAVES, "40h"), DAY);
        run_both(&t);
        t.w.now += (early ? 40000 : 86280) * S;
        world_notice(&t.w, "v0"); /* gone two minutes later */
        world_terminated(&t.w, "v0", 0, t.w.now + 120 * S, true);
        struct ebb_place p = {"aws", "us-east-1", "a", "m"};
        double hours = 0, events = 0;
        uint32_t resets;
        assert_true(ebb_hazards_seen(t.w.s->hazards, EBB_RATE_REVOCATION, &p, t.w.now, &hours,
                                     &events, &resets));
        assert_true(hours > 8 && (events > 0.5) == early);
        assert_true((ebb_hazards_bulk(t.w.s->hazards, &p, t.w.now, NULL) > 1) == early);
        setting_destroy(&t);
    }
}

static void jobs_that_the_cap_would_cut_are_not_sent_there(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG("", "25h"), DAY);
    plan(&t, 2);
    assert_int_equal(t.plan.launch_count, 1);
    assert_int_equal(t.plan.launches[0].offer, 1); /* on demand, at three times the price */
    plan(&t, 1);
    assert_int_equal(t.plan.launch_count, 0);
    assert_non_null(strstr(t.plan.notes, "end their VMs before a job would be done"));
    setting_destroy(&t);
    t = setting_new(BAG(SAVES, "25h"), DAY); /* with checkpoints it goes on elsewhere */
    plan(&t, 2);
    assert_int_equal(t.plan.launches[0].offer, 0);
    setting_destroy(&t);
}

static void no_job_begins_shortly_before_the_cap(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG(SAVES, "25h"), DAY);
    struct ebb_placement p[4];
    world_vm(&t.w, "v0", &t.offers[0]);
    assert_int_equal(ebb_place(t.w.s, &t.policy, t.w.now, p, 4), 2);
    assert_int_equal(ebb_place(t.w.s, &t.policy, t.w.now + 80000 * S, p, 4), 2);
    t.w.now += 86300 * S;
    assert_int_equal(ebb_place(t.w.s, &t.policy, t.w.now, p, 4), 0);
    plan(&t, 1);
    assert_int_equal(t.plan.launch_count, 1); /* nor does it count as room */
    setting_destroy(&t);
}

/* ... or such VMs would be launched for its jobs for ever, and each be found too old for them. */
static void a_vm_takes_jobs_in_the_first_half_of_a_short_cap(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG(SAVES, "25h"), 200);
    struct ebb_placement p[4];
    world_vm(&t.w, "v0", &t.offers[0]);
    t.w.now += 80 * S;
    assert_int_equal(ebb_place(t.w.s, &t.policy, t.w.now, p, 4), 2);
    plan(&t, 1);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    t.w.now += 40 * S;
    assert_int_equal(ebb_place(t.w.s, &t.policy, t.w.now, p, 4), 0);
    setting_destroy(&t);
}

static void the_replacement_boots_before_the_cap_and_takes_over(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG(SAVES, "40h"), DAY);
    run_both(&t);
    t.w.now += 80000 * S;
    plan(&t, 2);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    t.w.now += 6270 * S; /* 130 s before it */
    plan(&t, 2);
    assert_int_equal(t.plan.launch_count, 1);
    assert_int_equal(t.plan.launches[0].offer, 0);
    assert_int_equal(t.plan.end_count, 0);
    assert_non_null(strstr(t.plan.launches[0].reason, "which the cloud ends at its cap in 130 s"));
    world_intend(&t.w, "v1", &t.offers[0]);
    world_launch(&t.w, "v1");
    plan(&t, 2); /* it boots for them: nothing more is launched, and it is not idle */
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    world_join(&t.w, "v1");
    plan(&t, 2);
    assert_int_equal(t.plan.end_count, 1);
    assert_true(t.plan.ends[0].vm == 0 && t.plan.ends[0].drain);
    assert_non_null(strstr(t.plan.ends[0].reason, "the cloud ends it at its cap in 130 s"));
    world_terminating(&t.w, "v0");
    t.w.now += 30 * S; /* while the jobs are handed over, the new VM waits for them */
    plan(&t, 2);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    setting_destroy(&t);
}

static void a_vm_that_the_bill_forgives_is_left_to_the_cloud(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG(SAVES, "40h"), 3000);
    run_both(&t);
    world_vm(&t.w, "v1", &t.offers[0]);
    t.w.now += 2950 * S;
    t.w.s->vms[1]->born_wall_ns = t.w.now;
    plan(&t, 2);
    assert_int_equal(t.plan.end_count, 0);
    setting_destroy(&t);
}

static void jobs_that_end_in_time_stay(void **state)
{
    (void)state;
    struct setting t = setting_new(BAG(SAVES, "24h"), DAY + 600);
    run_both(&t);
    t.w.now += 86320 * S;
    plan(&t, 2);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    setting_destroy(&t);
}

static void the_last_checkpoint_stands_before_the_cap(void **state)
{
    (void)state;
    const char *const bags[] = {BAG(SAVES, "30h"), BAG(SAVES, "3h"), BAG(SAVES, "300h"),
                                BAG(SAVES "checkpoint_interval: 20m, ", "30h")};
    for (size_t i = 0; i < 4; i++) {
        double cap_s = i == 1 ? 2 * 3600 : DAY;
        struct setting t = setting_new(bags[i], cap_s);
        struct ebb_intervals *c = ebb_intervals_new();
        run_both(&t);
        t.w.s->bags[0]->groups[0].write_s = (struct ebb_mean){10, 1};
        double last_s = 0, age_s = 0;
        for (int n = 0; n < 2000 && age_s < cap_s; n++) {
            double next = ebb_intervals_next_s(c, t.w.s, &t.policy, 0, 0, 0, t.w.now);
            assert_true(next > 0);
            t.w.now += (int64_t)((next + 10) * 1e9);
            age_s = (double)(t.w.now - T0) / 1e9;
            last_s = age_s < cap_s ? age_s : last_s;
        }
        assert_true(cap_s - last_s < 60); /* of work that the cap could take */
        ebb_intervals_destroy(c);
        setting_destroy(&t);
    }
}

static void without_a_cap_nothing_changes(void **state)
{
    (void)state;
    assert_true(ebb_cap_interval_s(500, INFINITY, 1e6, 10, 5) == 500);
    assert_true(ebb_cap_interval_s(500, 1e5, 1e6, 10, 5) == 500);
    assert_true(ebb_cap_interval_s(0, 100, 1e6, 10, 5) == 0);
    assert_true(ebb_cap_interval_s(500, 400, 300, 10, 5) == 500); /* done before it */
    assert_true(ebb_cap_interval_s(500, 400, 1e6, 10, 5) == 380);
    assert_true(ebb_cap_interval_s(500, 10, 1e6, 10, 5) == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_at_a_cap_is_no_revocation),
        cmocka_unit_test(jobs_that_the_cap_would_cut_are_not_sent_there),
        cmocka_unit_test(no_job_begins_shortly_before_the_cap),
        cmocka_unit_test(a_vm_takes_jobs_in_the_first_half_of_a_short_cap),
        cmocka_unit_test(the_replacement_boots_before_the_cap_and_takes_over),
        cmocka_unit_test(a_vm_that_the_bill_forgives_is_left_to_the_cloud),
        cmocka_unit_test(jobs_that_end_in_time_stay),
        cmocka_unit_test(the_last_checkpoint_stands_before_the_cap),
        cmocka_unit_test(without_a_cap_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
