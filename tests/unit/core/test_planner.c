/* Decisions: what is launched, where, how many, and what is ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/random.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/market.h"
#include "tests/unit/core/setting.h"

static uint32_t launched(const struct setting *t, size_t offer)
{
    uint32_t count = 0;
    for (size_t i = 0; i < t->plan.launch_count; i++)
        count += t->plan.launches[i].offer == offer ? t->plan.launches[i].count : 0;
    return count;
}

static uint32_t launched_in_all(const struct setting *t)
{
    uint32_t count = 0;
    for (size_t i = 0; i < t->plan.launch_count; i++)
        count += t->plan.launches[i].count;
    return count;
}

#define EIGHT                                                                                      \
    "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: 1h}, "               \
    "sweep: {i: {from: 1, to: 8}}}]\n"

static void the_cheapest_offer_for_the_shape_wins(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m.large", "a", true, 2, 40000);
    add_offer(&t, "m.2xl", "a", true, 8, 120000); /* 8 jobs at once: 15,000 a job-hour */
    add_offer(&t, "m.large", "a", false, 2, 100000);
    plan(&t);
    assert_int_equal(launched_in_all(&t), 1);
    assert_int_equal(launched(&t, 1), 1);
    assert_non_null(strstr(t.plan.launches[0].reason, "8 at once"));
    assert_non_null(strstr(t.plan.launches[0].reason, "a job of 'g'"));
    setting_destroy(&t);
}

static void zones_share_the_vms(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "b", true, 1, 45000);
    add_offer(&t, "m", "c", true, 1, 90000); /* too dear to be worth the spread */
    plan(&t);
    assert_int_equal(launched(&t, 0), 4);
    assert_int_equal(launched(&t, 1), 4);
    setting_destroy(&t);
}

static void the_order_of_offers_changes_nothing(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT), u = setting_new(EIGHT);
    const char *const zones[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        add_offer(&t, "m", zones[i], true, 1 + i % 2, 40000 + 40000 * (i % 2));
    for (int i = 3; i >= 0; i--)
        add_offer(&u, "m", zones[i], true, 1 + i % 2, 40000 + 40000 * (i % 2));
    plan(&t);
    plan(&u);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(launched(&t, i), launched(&u, 3 - i));
    setting_destroy(&t);
    setting_destroy(&u);
}

static void no_more_vms_than_jobs_and_none_for_what_booting_vms_will_take(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 4, 40000);
    plan(&t);
    assert_int_equal(launched(&t, 0), 2);
    world_intend(&t.w, "v0", &t.offers[0]);
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    world_intend(&t.w, "v1", &t.offers[0]);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    setting_destroy(&t);
}

static void a_hundred_thousand_tiny_jobs_do_not_get_a_hundred_thousand_vms(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\njobs: [{name: g, command: x, resources: {time: 1s}, "
                                   "sweep: {i: {from: 1, to: 100000}}}]\n");
    t.policy.max_vms = 1000000;
    add_offer(&t, "m", "a", true, 4, 40000);
    plan(&t);
    assert_true(launched(&t, 0) >= 10 && launched(&t, 0) <= 5000);
    setting_destroy(&t);
}

static void the_limit_of_vms_holds_and_is_told(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    t.policy.max_vms = 3;
    add_offer(&t, "m", "a", true, 1, 40000);
    plan(&t);
    assert_int_equal(launched(&t, 0), 3);
    assert_string_equal(t.plan.notes, "'g': 5 more VMs would be of use, but the limit is 3\n");
    setting_destroy(&t);
}

static void a_refused_offer_is_left_alone_for_longer_each_time(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 8, 40000);
    add_offer(&t, "m", "b", true, 8, 50000);
    world_intend(&t.w, "v0", &t.offers[0]);
    world_launch_failed(&t.w, "v0", EBB_ERR_NO_CAPACITY);
    plan(&t);
    assert_int_equal(launched(&t, 1), 1);
    int64_t first = ebb_plan_cool_until(t.w.s, &t.policy, &t.offers[0]);
    assert_int_equal(first - t.w.now, 30 * S);
    world_intend(&t.w, "v1", &t.offers[0]);
    world_launch_failed(&t.w, "v1", EBB_ERR_NO_CAPACITY);
    assert_int_equal(ebb_plan_cool_until(t.w.s, &t.policy, &t.offers[0]) - t.w.now, 60 * S);
    t.offer_count = 1;
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    assert_non_null(strstr(t.plan.notes, "have just refused a launch"));
    t.w.now += 61 * S;
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    world_vm(&t.w, "v2", &t.offers[0]); /* a success forgets the refusals */
    assert_int_equal(ebb_plan_cool_until(t.w.s, &t.policy, &t.offers[0]), 0);
    setting_destroy(&t);
}

static void an_offer_that_refused_is_trusted_step_by_step(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 1, 40000);
    plan(&t);
    assert_int_equal(launched(&t, 0), 8); /* nothing is known against it */
    world_intend(&t.w, "v0", &t.offers[0]);
    world_launch_failed(&t.w, "v0", EBB_ERR_NO_CAPACITY);
    t.w.now += 31 * S;
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    world_intend(&t.w, "v1", &t.offers[0]);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0); /* its answer comes first */
    world_launch(&t.w, "v1");
    plan(&t);
    assert_int_equal(launched(&t, 0), 2);
    world_intend(&t.w, "v2", &t.offers[0]);
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    world_launch(&t.w, "v2");
    plan(&t);
    assert_int_equal(launched(&t, 0), 3);
    setting_destroy(&t);
}

static void on_demand_is_not_taken_for_want_of_patience(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 8, 40000);
    add_offer(&t, "m", "a", false, 8, 120000);
    world_intend(&t.w, "v0", &t.offers[0]);
    world_launch_failed(&t.w, "v0", EBB_ERR_NO_CAPACITY);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    assert_non_null(strstr(t.plan.notes, "on demand would cost more than the wait"));
    t.offers[1].usd_micros_per_hour = 20000; /* cheaper than spot: then it is */
    plan(&t);
    assert_int_equal(launched(&t, 1), 1);
    setting_destroy(&t);
}

static void a_revoked_zone_is_avoided_for_minutes(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\njobs: [{name: g, engine: gromacs, command: x, "
                                   "resources: {time: 1h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "b", true, 1, 40100);
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    world_vm(&t.w, "v0", &t.offers[0]);
    t.w.now += 60 * S;
    world_notice(&t.w, "v0");
    plan(&t);
    assert_int_equal(launched(&t, 1), 1);
    setting_destroy(&t);
}

static void a_notice_calls_for_a_new_vm_before_the_job_is_back(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\njobs: [{name: g, engine: gromacs, command: x, "
                                   "resources: {time: 1h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_lease(&t.w, "b-1", 0, "v0");
    plan(&t);
    assert_int_equal(launched_in_all(&t), 0);
    world_notice(&t.w, "v0");
    plan(&t);
    assert_int_equal(launched_in_all(&t), 1);
    world_intend(&t.w, "v1", &t.offers[0]);
    plan(&t);
    assert_int_equal(launched_in_all(&t), 0);
    assert_int_equal(t.plan.end_count, 0);
    setting_destroy(&t);
}

static void a_near_deadline_takes_on_demand_and_says_so(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\ndeadline: 2h\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 1h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "a", false, 1, 120000);
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    t.w.now += 3600 * S;
    plan(&t);
    assert_int_equal(launched(&t, 1), 1);
    assert_non_null(strstr(t.plan.launches[0].reason, "the deadline leaves no choice"));
    setting_destroy(&t);
}

static void while_on_demand_refuses_a_near_deadline_takes_spot(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\ndeadline: 65m\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 1h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    plan(&t); /* there is nothing but spot */
    assert_int_equal(launched(&t, 0), 1);
    add_offer(&t, "m", "a", false, 1, 120000);
    plan(&t);
    assert_int_equal(launched(&t, 1), 1);
    world_intend(&t.w, "v0", &t.offers[1]);
    world_launch_failed(&t.w, "v0", EBB_ERR_NO_CAPACITY);
    plan(&t);
    assert_int_equal(launched(&t, 0), 1);
    assert_int_equal(launched(&t, 1), 0);
    assert_true(t.plan.again_wall_ns <= ebb_plan_cool_until(t.w.s, &t.policy, &t.offers[1]));
    setting_destroy(&t);
}

static void a_deadline_makes_short_jobs_run_on_more_vms(void **state)
{
    (void)state;
    const char *const yaml[] = {
        "name: b\njobs: [{name: g, command: x, resources: {time: 20s}, "
        "sweep: {i: {from: 1, to: 64}}}]\n",
        "name: b\ndeadline: 3m\njobs: [{name: g, command: x, resources: {time: 20s}, "
        "sweep: {i: {from: 1, to: 64}}}]\n"};
    uint32_t vms[2];
    for (int i = 0; i < 2; i++) {
        struct setting t = setting_new(yaml[i]);
        add_offer(&t, "m", "a", true, 1, 40000);
        plan(&t);
        vms[i] = launched_in_all(&t);
        setting_destroy(&t);
    }
    assert_true(vms[1] > vms[0]);
}

/* Small VMs are cheaper; as few as are allowed would take eight turns of an hour. */
static void where_few_vms_are_allowed_a_deadline_makes_them_large(void **state)
{
    (void)state;
    static const char jobs[] =
        "jobs: [{name: g, engine: gromacs, command: x, resources: {time: 1h}, "
        "sweep: {i: {from: 1, to: 64}}}]\n";
    static const struct {
        const char *deadline;
        uint32_t small, medium, large;
    } cases[] = {{"", 8, 0, 0},
                 {"deadline: 20h\n", 8, 0, 0},
                 {"deadline: 6h\n", 0, 8, 0},
                 {"deadline: 3h\n", 0, 0, 8},
                 {"deadline: 90m\n", 0, 0, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, "name: b\n%s%s", cases[i].deadline, jobs);
        struct setting t = setting_new(yaml);
        t.policy.max_vms = 8;
        t.policy.max_zone_share = 1;
        add_offer(&t, "small", "z1", true, 1, 10000);
        add_offer(&t, "medium", "z1", true, 2, 22000);
        add_offer(&t, "large", "z1", true, 4, 50000);
        plan(&t);
        assert_int_equal(launched(&t, 0), cases[i].small);
        assert_int_equal(launched(&t, 1), cases[i].medium);
        assert_int_equal(launched(&t, 2), cases[i].large);
        setting_destroy(&t);
    }
}

static void a_spent_budget_stops_the_bag(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\nbudget: 0.05\njobs: [{name: g, command: x, "
                                   "sweep: {i: {from: 1, to: 3}}}]\n");
    add_offer(&t, "m", "a", true, 1, 36000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_lease(&t.w, "b-1", 0, "v0");
    plan(&t);
    assert_int_equal(t.plan.over_budget_count, 0);
    t.w.now += 4980 * S; /* 49,800 spent, and 300 to come to an end */
    plan(&t);
    assert_int_equal(t.plan.over_budget_count, 1);
    assert_int_equal(t.plan.launch_count, 0);
    assert_non_null(strstr(t.plan.notes, "of its budget of"));
    setting_destroy(&t);
}

static void lost_useless_and_silent_vms_are_ended(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 8, 36000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_vm(&t.w, "v1", &t.offers[0]);
    world_intend(&t.w, "v2", &t.offers[0]);
    world_launch(&t.w, "v2");
    world_lose(&t.w, "v0");
    for (int i = 0; i < 3; i++) {
        world_lease(&t.w, "b-1", 0, "v1");
        world_end(&t.w, "b-1", 0, REFUSED, NULL);
    }
    world_lease(&t.w, "b-1", 1, "v1");
    t.w.now += 601 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 3);
    assert_non_null(strstr(t.plan.ends[0].reason, "lost"));
    assert_true(t.plan.ends[1].drain);
    assert_non_null(strstr(t.plan.ends[2].reason, "has not joined"));
    setting_destroy(&t);
}

static void what_no_offer_can_run_is_told(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\njobs: [{name: g, command: x, resources: {cpus: 64, "
                                   "gpu: l4}}]\n");
    add_offer(&t, "m", "a", true, 8, 36000);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    assert_string_equal(t.plan.notes, "'g': none of 1 offers has 64 CPUs, 1.0 GiB of memory and 1 "
                                      "GPUs of the models named\n");
    setting_destroy(&t);
}

static void a_bulk_revocation_is_answered_in_steps(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    t.policy.jitter_s = 10;
    add_offer(&t, "m", "a", true, 1, 36000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_vm(&t.w, "v1", &t.offers[0]);
    t.w.now += 100 * S;
    world_notice(&t.w, "v0");
    world_notice(&t.w, "v1");
    plan(&t);
    assert_int_equal(launched_in_all(&t), 4); /* half, by the random number */
    assert_true(t.plan.again_wall_ns > t.w.now && t.plan.again_wall_ns <= t.w.now + 10 * S);
    t.w.now += 10 * S;
    plan(&t);
    assert_int_equal(launched_in_all(&t), 8);
    setting_destroy(&t);
}

static void acting_on_a_plan_leaves_nothing_to_do(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    add_offer(&t, "m", "a", true, 2, 40000);
    add_offer(&t, "m", "b", true, 4, 90000);
    plan(&t);
    uint32_t n = 0;
    char name[32];
    for (size_t i = 0; i < t.plan.launch_count; i++) {
        for (uint32_t k = 0; k < t.plan.launches[i].count; k++, n++) {
            snprintf(name, sizeof name, "v%u", n);
            world_vm(&t.w, name, &t.offers[t.plan.launches[i].offer]);
        }
    }
    assert_true(n > 0);
    struct ebb_placement places[16];
    size_t count = ebb_place(t.w.s, &t.policy, t.w.now, places, 16);
    assert_int_equal(count, 8);
    for (size_t i = 0; i < count; i++)
        world_lease(&t.w, "b-1", places[i].job, t.w.s->vms[places[i].vm]->id);
    for (int round = 0; round < 20; round++) { /* no launch, no end, however long it goes on */
        t.w.now += 60 * S;
        plan(&t);
        assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    }
    setting_destroy(&t);
}

/* What is launched where, by the offer's place in `order`. */
static void count_launches(struct setting *t, const size_t *order, int64_t factor, uint32_t *ret)
{
    struct setting u = *t;
    for (size_t i = 0; i < t->offer_count; i++) {
        u.offers[i] = t->offers[order[i]];
        u.offers[i].usd_micros_per_hour *= factor;
        u.offers[i].on_demand_usd_micros_per_hour *= factor;
    }
    plan(&u);
    for (size_t i = 0; i < t->offer_count; i++)
        ret[order[i]] = launched(&u, i);
    t->plan = u.plan;
}

/* Pools that were out, some for minutes and some for hours; three of them still are. */
static void refuse_some(struct setting *t, struct ebb_random *r)
{
    for (int i = 0; i < 9; i++) {
        char name[32];
        Ebb__Offer *o = &t->offers[ebb_random_below(r, 8)];
        world_intend(&t->w, ebb_state_next_vm_id(t->w.s, name), o);
        world_launch_failed(&t->w, name, EBB_ERR_NO_CAPACITY);
        t->w.now += (int64_t)(i < 6 ? 60 << ebb_random_below(r, 7) : 5) * S;
        if (i >= 6)
            continue;
        world_vm(&t->w, ebb_state_next_vm_id(t->w.s, name), o);
        world_terminating(&t->w, name);
        world_terminated(&t->w, name, t->w.now, t->w.now, false);
    }
}

/* Without danger, deadline and cap nothing is left to weigh: the least price per slot, all jobs at
 * once, no checkpoint before the longest interval. */
static void zero_hazard_gives_the_trivial_plan(void **state)
{
    (void)state;
    struct setting t = setting_new(EIGHT);
    const struct ebb_place all = {NULL, NULL, NULL, NULL};
    ebb_hazards_prior(t.w.s->hazards, &all, 1e-12);
    add_offer(&t, "m", "b", true, 2, 42000);
    add_offer(&t, "n", "b", true, 4, 80000); /* 20,000 a slot */
    add_offer(&t, "n", "c", false, 4, 240000);
    plan(&t);
    assert_int_equal(launched(&t, 1), 2);
    assert_int_equal(launched_in_all(&t), 2);
    assert_true(ebb_plan_interval_s(t.w.s, &t.policy, &t.w.s->bags[0]->groups[0], &t.offers[1], 60,
                                    t.w.now) == t.policy.interval_most_s);
    setting_destroy(&t);
}

/* Random clouds, with a past: the order of offers changes nothing, nor does the unit of money. */
static void plans_do_not_depend_on_order_or_currency(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 4);
    const char *const zones[] = {"a", "b", "c", "d"}, *const types[] = {"m", "n"};
    const char *const deadlines[] = {"", "deadline: 10h\n", "deadline: 3h\n", "deadline: 95m\n",
                                     "deadline: 70m\n"};
    for (int round = 0; round < 100; round++) {
        char yaml[300];
        snprintf(yaml, sizeof yaml,
                 "name: b\n%sjobs: [{name: g, %scommand: x, resources: {time: 1h}, "
                 "sweep: {i: {from: 1, to: 30}}}]\n",
                 deadlines[round % 5], round % 3 ? "engine: gromacs, " : "");
        struct setting t = setting_new(yaml);
        for (size_t i = 0; i < 8; i++)
            add_offer(&t, types[i / 4], zones[i % 4], ebb_random_below(&r, 4) > 0,
                      (double)(1 << ebb_random_below(&r, 3)),
                      (int64_t)(10000 + 1000 * ebb_random_below(&r, 90)));
        for (int i = 0; i < 6; i++) {
            char name[32];
            world_vm(&t.w, ebb_state_next_vm_id(t.w.s, name), &t.offers[ebb_random_below(&r, 8)]);
            t.w.now += (int64_t)ebb_random_below(&r, 7200) * S;
            world_terminated(&t.w, name, 0, t.w.now, ebb_random_below(&r, 2) == 0);
        }
        for (size_t i = 0; i < 8; i++)
            t.offers[i].cap_s = ebb_random_below(&r, 4) > 0 ? 0 : 3000.0 + 3000.0 * (double)i;
        refuse_some(&t, &r);
        t.w.s->bags[0]->submitted_wall_ns = t.w.now;
        size_t order[8];
        uint32_t straight[8], shuffled[8], dear[8];
        for (size_t i = 0; i < 8; i++)
            order[i] = i;
        count_launches(&t, order, 1, straight);
        count_launches(&t, order, 7, dear);
        for (size_t i = 8; i-- > 1;) {
            size_t k = (size_t)ebb_random_below(&r, i + 1), swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }
        count_launches(&t, order, 1, shuffled);
        assert_memory_equal(straight, shuffled, sizeof straight);
        assert_memory_equal(straight, dear, sizeof straight);
        setting_destroy(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cheapest_offer_for_the_shape_wins),
        cmocka_unit_test(zones_share_the_vms),
        cmocka_unit_test(the_order_of_offers_changes_nothing),
        cmocka_unit_test(no_more_vms_than_jobs_and_none_for_what_booting_vms_will_take),
        cmocka_unit_test(a_hundred_thousand_tiny_jobs_do_not_get_a_hundred_thousand_vms),
        cmocka_unit_test(the_limit_of_vms_holds_and_is_told),
        cmocka_unit_test(a_refused_offer_is_left_alone_for_longer_each_time),
        cmocka_unit_test(an_offer_that_refused_is_trusted_step_by_step),
        cmocka_unit_test(on_demand_is_not_taken_for_want_of_patience),
        cmocka_unit_test(a_revoked_zone_is_avoided_for_minutes),
        cmocka_unit_test(a_notice_calls_for_a_new_vm_before_the_job_is_back),
        cmocka_unit_test(a_near_deadline_takes_on_demand_and_says_so),
        cmocka_unit_test(while_on_demand_refuses_a_near_deadline_takes_spot),
        cmocka_unit_test(a_deadline_makes_short_jobs_run_on_more_vms),
        cmocka_unit_test(where_few_vms_are_allowed_a_deadline_makes_them_large),
        cmocka_unit_test(a_spent_budget_stops_the_bag),
        cmocka_unit_test(lost_useless_and_silent_vms_are_ended),
        cmocka_unit_test(what_no_offer_can_run_is_told),
        cmocka_unit_test(a_bulk_revocation_is_answered_in_steps),
        cmocka_unit_test(acting_on_a_plan_leaves_nothing_to_do),
        cmocka_unit_test(zero_hazard_gives_the_trivial_plan),
        cmocka_unit_test(plans_do_not_depend_on_order_or_currency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
