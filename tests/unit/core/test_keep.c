/* What is kept and what moves: the tail, replacements, deadlines; and that noise moves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/random.h"
#include "tests/unit/core/setting.h"

#define JOBS(n)                                                                                    \
    "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: 8h}, "               \
    "sweep: {i: {from: 1, to: " #n "}}}]\n"

static void start(struct setting *t, uint64_t job, const char *vm)
{
    world_lease(&t->w, "b-1", job, vm);
    world_start(&t->w, "b-1", job);
}

static void set_price(struct setting *t, size_t offer, int64_t usd_micros)
{
    t->offers[offer].usd_micros_per_hour = usd_micros;
    world_price(&t->w, t->offers[offer].zone, t->offers[offer].type, t->w.now, usd_micros);
}

static void half_empty_vms_are_gathered_at_the_tail(void **state)
{
    (void)state;
    struct setting t = setting_new(JOBS(2));
    add_offer(&t, "m", "a", true, 2, 40000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_vm(&t.w, "v1", &t.offers[0]);
    start(&t, 0, "v0");
    start(&t, 1, "v1");
    plan(&t);
    assert_int_equal(t.plan.end_count, 0); /* they have only just begun */
    t.w.now += 3600 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 1);
    assert_true(t.plan.ends[0].drain);
    assert_int_equal(t.plan.ends[0].vm, 1); /* the younger of two alike */
    assert_non_null(strstr(t.plan.ends[0].reason, "on v0"));
    assert_int_equal(t.plan.launch_count, 0);
    setting_destroy(&t);
}

static void nobody_moves_for_the_last_minutes_of_a_job(void **state)
{
    (void)state;
    struct setting t = setting_new(JOBS(2));
    add_offer(&t, "m", "a", true, 2, 40000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_vm(&t.w, "v1", &t.offers[0]);
    start(&t, 0, "v0");
    start(&t, 1, "v1");
    t.w.now += 8 * 3600 * S - 10 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 0);
    setting_destroy(&t);
}

static void a_vm_with_jobs_that_make_no_checkpoints_is_left_alone(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\njobs: [{name: g, command: x, resources: {time: 8h}, "
                                   "sweep: {i: {from: 1, to: 2}}}]\n");
    add_offer(&t, "m", "a", true, 2, 40000);
    add_offer(&t, "m", "b", true, 2, 1000);
    world_vm(&t.w, "v0", &t.offers[0]);
    world_vm(&t.w, "v1", &t.offers[0]);
    start(&t, 0, "v0");
    start(&t, 1, "v1");
    t.w.now += 3600 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count + t.plan.launch_count, 0);
    setting_destroy(&t);
}

/* An eight hours' job on demand, spot at a third; it makes steps as it should, and each plan is
 * carried out. How often does it change its VM in four hours? */
static int moves_in_four_hours(const char *yaml)
{
    struct setting t = setting_new(yaml);
    int moves = 0;
    char name[32];
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "a", false, 1, 120000);
    world_vm(&t.w, ebb_state_next_vm_id(t.w.s, name), &t.offers[1]);
    start(&t, 0, name);
    int64_t until = t.w.now + 4 * 3600 * S;
    double run_s = 0;
    while (t.w.now < until) {
        t.w.now += 300 * S;
        run_s += 300;
        world_commit_at(&t.w, "b-1", 0, run_s, (int64_t)(run_s / 100), 288);
        plan(&t);
        for (size_t i = 0; i < t.plan.launch_count; i++)
            world_vm(&t.w, ebb_state_next_vm_id(t.w.s, name), &t.offers[t.plan.launches[i].offer]);
        for (size_t i = 0; i < t.plan.end_count; i++) {
            uint32_t from = t.plan.ends[i].vm;
            bool has_job = t.w.s->vms[from]->lease_count > 0;
            if (has_job)
                world_end(&t.w, "b-1", 0, RELEASED, NULL);
            snprintf(name, sizeof name, "%s", t.w.s->vms[from]->id);
            world_terminating(&t.w, name);
            world_terminated(&t.w, name, 0, t.w.now, false);
            struct ebb_placement p;
            if (has_job && ebb_place(t.w.s, &t.policy, t.w.now, &p, 1) == 1)
                start(&t, 0, t.w.s->vms[p.vm]->id);
            moves += has_job;
        }
    }
    setting_destroy(&t);
    return moves;
}

static void near_its_deadline_a_job_on_demand_does_not_go_to_and_fro(void **state)
{
    (void)state;
    const char *const deadlines[] = {"8h 10m", "8h 40m", "9h", "9h 10m", "9h 30m", "10h", "12h"};
    for (size_t i = 0; i < 7; i++) {
        char yaml[200];
        snprintf(yaml, sizeof yaml,
                 "name: b\ndeadline: %s\njobs: [{name: g, engine: gromacs, command: x, resources: "
                 "{time: 8h}}]\n",
                 deadlines[i]);
        int moves = moves_in_four_hours(yaml);
        assert_true(moves <= 1);
        if (i == 0)
            assert_int_equal(moves, 0); /* no slack for a loss */
        if (i == 6)
            assert_int_equal(moves, 1); /* enough: spot is a third of the price */
    }
}

static void a_vm_that_has_become_dear_is_replaced_in_two_steps(void **state)
{
    (void)state;
    struct setting t = setting_new(JOBS(2));
    add_offer(&t, "m", "a", true, 2, 40000);
    add_offer(&t, "m", "b", true, 2, 38000);
    set_price(&t, 0, 40000);
    set_price(&t, 1, 38000);
    world_vm(&t.w, "v0", &t.offers[0]);
    start(&t, 0, "v0");
    start(&t, 1, "v0");
    t.w.now += 1800 * S;
    plan(&t);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    set_price(&t, 0, 90000);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0); /* it may be gone again in a minute */
    t.w.now += 3600 * S;
    plan(&t);
    assert_int_equal(t.plan.launch_count, 1);
    assert_int_equal(t.plan.launches[0].offer, 1);
    assert_non_null(strstr(t.plan.launches[0].reason, "to take over from v0"));
    assert_int_equal(t.plan.end_count, 0);
    world_intend(&t.w, "v1", &t.offers[1]);
    t.w.now += 20 * S;
    plan(&t); /* it boots: nothing more is launched, and it is not idle */
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    world_launch(&t.w, "v1");
    world_join(&t.w, "v1");
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    assert_int_equal(t.plan.end_count, 1);
    assert_int_equal(t.plan.ends[0].vm, 0);
    assert_true(t.plan.ends[0].drain);
    setting_destroy(&t);
}

static void an_old_vm_is_kept_where_a_new_one_would_cost_less_an_hour(void **state)
{
    (void)state;
    struct setting t = setting_new(JOBS(2));
    add_offer(&t, "m", "a", true, 2, 40000);
    add_offer(&t, "m", "b", true, 2, 31000); /* 22 % cheaper, but young, and not yet booted */
    world_vm(&t.w, "v0", &t.offers[0]);
    start(&t, 0, "v0");
    start(&t, 1, "v0");
    t.w.now += 4 * 3600 * S;
    plan(&t);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    setting_destroy(&t);
}

/* Acts on a plan at once: launched VMs join, emptied ones hand back their jobs. */
static void act(struct setting *t, uint32_t *moves)
{
    char name[32];
    for (size_t i = 0; i < t->plan.launch_count; i++) {
        for (uint32_t k = 0; k < t->plan.launches[i].count; k++, ++*moves)
            world_vm(&t->w, ebb_state_next_vm_id(t->w.s, name),
                     &t->offers[t->plan.launches[i].offer]);
    }
    for (size_t i = 0; i < t->plan.end_count; i++) {
        struct ebb_vm *vm = t->w.s->vms[t->plan.ends[i].vm];
        ++*moves;
        while (vm->lease_count > 0) {
            uint64_t job = vm->leases[0].job;
            world_commit(&t->w, "b-1", job, 600);
            world_end(&t->w, "b-1", job, RELEASED, NULL);
        }
        world_terminating(&t->w, vm->id);
        world_terminated(&t->w, vm->id, 0, t->w.now, false);
    }
    struct ebb_placement places[16];
    size_t count = ebb_place(t->w.s, &t->policy, t->w.now, places, 16);
    for (size_t i = 0; i < count; i++)
        start(t, places[i].job, t->w.s->vms[places[i].vm]->id);
}

static uint32_t moves_with_noise(double noise, uint64_t seed)
{
    struct setting t = setting_new(JOBS(8));
    struct ebb_random r;
    ebb_random_seed(&r, seed);
    const int64_t base[] = {40000, 41000, 42000};
    const char *const zones[] = {"a", "b", "c"};
    uint32_t moves = 0;
    for (int i = 0; i < 3; i++)
        add_offer(&t, "m", zones[i], true, 2, base[i]);
    plan(&t);
    act(&t, &moves);
    moves = 0;
    for (int minute = 0; minute < 360; minute++) {
        t.w.now += 60 * S;
        for (size_t i = 0; i < 3; i++)
            set_price(&t, i,
                      (int64_t)((double)base[i] * (1 + noise * (2 * ebb_random_uniform(&r) - 1))));
        plan(&t);
        act(&t, &moves);
    }
    setting_destroy(&t);
    return moves;
}

static void noise_of_prices_moves_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++)
        assert_int_equal(moves_with_noise(0.1, seed), 0);
    for (uint64_t seed = 0; seed < 4; seed++)
        assert_int_equal(moves_with_noise(0.5, seed), 0);
}

/* Revocations elsewhere make hazards jump; what runs stays where it is. */
static void noise_of_hazards_moves_nothing(void **state)
{
    (void)state;
    struct setting t = setting_new(JOBS(4));
    struct ebb_random r;
    ebb_random_seed(&r, 5);
    uint32_t moves = 0;
    char name[32];
    add_offer(&t, "m", "a", true, 2, 40000);
    add_offer(&t, "m", "b", true, 2, 40000);
    plan(&t);
    act(&t, &moves);
    moves = 0;
    Ebb__Offer other[2] = {world_offer("n", "a", true, 2, 40000),
                           world_offer("n", "b", true, 2, 40000)};
    for (int minute = 0; minute < 300; minute++) {
        t.w.now += 60 * S;
        if (ebb_random_below(&r, 10) == 0) {
            world_vm(&t.w, ebb_state_next_vm_id(t.w.s, name), &other[ebb_random_below(&r, 2)]);
            t.w.now += 600 * S;
            world_terminated(&t.w, t.w.s->vms[t.w.s->vm_count - 1]->id, 0, t.w.now, true);
        }
        plan(&t);
        act(&t, &moves);
    }
    assert_int_equal(moves, 0);
    setting_destroy(&t);
}

static void a_near_deadline_takes_running_jobs_from_spot_to_on_demand(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\ndeadline: 10h\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 4h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "a", false, 1, 120000);
    world_vm(&t.w, "v0", &t.offers[0]);
    t.w.now += 4 * 3600 * S; /* it could not start before */
    start(&t, 0, "v0");
    plan(&t);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    t.w.now += 5800 * S; /* 4 h 23 min are left; what it has done since is in no commit */
    plan(&t);
    assert_int_equal(t.plan.launch_count, 1);
    assert_int_equal(t.plan.launches[0].offer, 1);
    assert_int_equal(t.plan.end_count, 0);
    world_vm(&t.w, "v1", &t.offers[1]);
    plan(&t);
    assert_int_equal(t.plan.launch_count, 0);
    assert_int_equal(t.plan.end_count, 1);
    assert_non_null(strstr(t.plan.ends[0].reason, "the deadline leaves no choice"));
    uint32_t moves = 0;
    act(&t, &moves);
    assert_int_equal(t.w.s->bags[0]->jobs[0].vm, 1);
    plan(&t);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    setting_destroy(&t);
}

/* With a commit just made the same hour is safe on spot. */
static void commits_keep_a_job_on_spot_longer(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\ndeadline: 10h\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 4h}}]\n");
    add_offer(&t, "m", "a", true, 1, 40000);
    add_offer(&t, "m", "a", false, 1, 120000);
    world_vm(&t.w, "v0", &t.offers[0]);
    t.w.now += 4 * 3600 * S;
    start(&t, 0, "v0");
    t.w.now += 5800 * S;
    for (int i = 0; i < 4; i++)
        world_commit(&t.w, "b-1", 0, 1400.0 * (i + 1)); /* 400 of 1,000 steps */
    plan(&t);
    assert_int_equal(t.plan.launch_count + t.plan.end_count, 0);
    setting_destroy(&t);
}

static void a_budget_is_announced_once_before_it_stops_the_bag(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\nbudget: 0.05\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 2h}}]\n");
    add_offer(&t, "m", "a", true, 1, 36000); /* 10 a second: 5,000 s */
    world_vm(&t.w, "v0", &t.offers[0]);
    start(&t, 0, "v0");
    t.w.now += 2000 * S;
    plan(&t);
    assert_int_equal(t.plan.near_budget_count, 0);
    t.w.now += 2000 * S;
    plan(&t);
    assert_int_equal(t.plan.near_budget_count, 1);
    assert_int_equal(t.plan.over_budget_count, 0);
    assert_true(fabs(t.plan.near_budget[0].reached_s - 970) < 2);
    assert_non_null(strstr(t.plan.notes, "stops in about 16m10s"));
    EVENT(e, m, budget_near, BUDGET_NEAR, Ebb__BudgetNear);
    ebb__budget_near__init(&m);
    m.bag = lit("b-1");
    world_apply(&t.w, &e);
    plan(&t);
    assert_int_equal(t.plan.near_budget_count, 0);
    t.w.now += 975 * S;
    plan(&t);
    assert_int_equal(t.plan.over_budget_count, 1);
    setting_destroy(&t);
}

/* The next look comes before the budget is passed, however quiet it is. */
static void the_stop_is_not_slept_through(void **state)
{
    (void)state;
    struct setting t = setting_new("name: b\nbudget: 0.05\njobs: [{name: g, engine: gromacs, "
                                   "command: x, resources: {time: 2h}}]\n");
    add_offer(&t, "m", "a", true, 1, 36000);
    world_vm(&t.w, "v0", &t.offers[0]);
    start(&t, 0, "v0");
    t.w.now += 4960 * S;
    plan(&t);
    assert_int_equal(t.plan.over_budget_count, 0);
    assert_true(t.plan.again_wall_ns <= t.w.now + 11 * S);
    setting_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_empty_vms_are_gathered_at_the_tail),
        cmocka_unit_test(nobody_moves_for_the_last_minutes_of_a_job),
        cmocka_unit_test(a_vm_with_jobs_that_make_no_checkpoints_is_left_alone),
        cmocka_unit_test(near_its_deadline_a_job_on_demand_does_not_go_to_and_fro),
        cmocka_unit_test(a_vm_that_has_become_dear_is_replaced_in_two_steps),
        cmocka_unit_test(an_old_vm_is_kept_where_a_new_one_would_cost_less_an_hour),
        cmocka_unit_test(noise_of_prices_moves_nothing),
        cmocka_unit_test(noise_of_hazards_moves_nothing),
        cmocka_unit_test(a_near_deadline_takes_running_jobs_from_spot_to_on_demand),
        cmocka_unit_test(commits_keep_a_job_on_spot_longer),
        cmocka_unit_test(a_budget_is_announced_once_before_it_stops_the_bag),
        cmocka_unit_test(the_stop_is_not_slept_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
