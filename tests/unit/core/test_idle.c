/* Idle VMs are kept as long as their next use is worth it, and no longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/core/world.h"

struct setting {
    struct world w;
    struct ebb_policy policy;
    Ebb__Offer offer;
    struct ebb_plan plan;
};

static struct setting setting_new(const char *yaml, double scale)
{
    struct setting t = {.w = world_new()};
    ebb_policy_default(&t.policy);
    if (scale != 1)
        world_scale(&t.w, scale);
    world_submit(&t.w, "b-1", yaml);
    t.offer = world_offer("m", "a", true, 1, 36000);
    return t;
}

static void setting_destroy(struct setting *t)
{
    ebb_plan_clean_up(&t->plan);
    world_destroy(&t->w);
}

static void plan(struct setting *t)
{
    const Ebb__Offer *offers[] = {&t->offer};
    struct ebb_plan_input in = {.state = t->w.s,
                                .offers = offers,
                                .offer_count = 1,
                                .policy = &t->policy,
                                .now_wall_ns = t->w.now,
                                .random = 0.5};
    ebb_plan_clean_up(&t->plan);
    ebb_plan(&in, &t->plan);
}

/* `count` VMs that took so long to boot; the first `busy` of them run a job each. */
static void boot(struct setting *t, int count, int busy, int64_t boot_s)
{
    char name[32];
    int first = (int)t->w.s->vm_count;
    for (int i = 0; i < count; i++) {
        world_intend(&t->w, ebb_state_next_vm_id(t->w.s, name), &t->offer);
        world_launch(&t->w, name);
    }
    t->w.now += boot_s * S;
    for (int i = 0; i < count; i++)
        world_join(&t->w, t->w.s->vms[first + i]->id);
    for (int i = 0; i < busy; i++) {
        world_lease(&t->w, "b-1", (uint64_t)i, t->w.s->vms[first + i]->id);
        world_start(&t->w, "b-1", (uint64_t)i);
    }
}

#define ALONE "name: b\njobs: [{name: g, command: x, resources: {time: 8h}}]\n"

static void a_vm_without_a_use_ends_when_its_bill_begins_to_grow(void **state)
{
    (void)state;
    struct setting t = setting_new(ALONE, 1);
    boot(&t, 2, 1, 20);
    plan(&t);
    assert_int_equal(t.plan.end_count, 0); /* a minute is billed in any case */
    assert_int_equal(t.plan.again_wall_ns - t.w.now, 15 * S);
    t.w.now += 40 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 1);
    assert_int_equal(t.plan.ends[0].vm, 1);
    assert_string_equal(t.plan.ends[0].reason, "idle for 40 s: no job is left for it");
    world_end(&t.w, "b-1", 0, DONE, NULL);
    world_finish(&t.w, "b-1");
    plan(&t);
    assert_int_equal(t.plan.end_count, 2); /* nothing left to wait for */
    setting_destroy(&t);
}

static void where_the_bill_runs_faster_it_ends_sooner(void **state)
{
    (void)state;
    struct setting t = setting_new(ALONE, 60);
    boot(&t, 2, 1, 1);
    t.w.now += S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 0);
    t.w.now += S; /* two seconds without a use; the bill's minimum was one */
    plan(&t);
    assert_int_equal(t.plan.end_count, 1);
    setting_destroy(&t);
}

/* 'h' waits for 'g', which is done in two minutes. */
static size_t ended_before_a_job_in_two_minutes(int64_t boot_s, struct setting *ret)
{
    *ret = setting_new("name: b\njobs:\n - {name: g, command: x, resources: {time: 2m}}\n"
                       " - {name: h, command: x, needs: [g], resources: {time: 1h}}\n",
                       1);
    boot(ret, 2, 1, boot_s);
    ret->w.now += 5 * S;
    if (boot_s < 60)
        ret->w.now += (60 - boot_s) * S;
    plan(ret);
    return ret->plan.end_count;
}

static void a_costly_boot_is_waited_for_and_a_cheap_one_is_not(void **state)
{
    (void)state;
    struct setting t;
    assert_int_equal(ended_before_a_job_in_two_minutes(5, &t), 1);
    assert_non_null(strstr(t.plan.ends[0].reason, "its next job ('h') is about"));
    setting_destroy(&t);
    assert_int_equal(ended_before_a_job_in_two_minutes(300, &t), 0);
    assert_non_null(strstr(t.plan.notes, "vm-000002 is kept idle: its next job ('h') is about"));
    setting_destroy(&t);
}

static void one_waiting_job_keeps_one_vm(void **state)
{
    (void)state;
    struct setting t =
        setting_new("name: b\njobs:\n - {name: g, command: x, resources: {time: 2m}}\n"
                    " - {name: h, command: x, needs: [g]}\n",
                    1);
    boot(&t, 6, 1, 300);
    t.w.now += 5 * S;
    plan(&t);
    assert_int_equal(t.plan.end_count, 4);
    for (size_t i = 0; i < t.plan.end_count; i++)
        assert_true(t.plan.ends[i].vm >= 2); /* the older stays */
    setting_destroy(&t);
}

/* VMs of the kind have been taken after a few minutes each. */
static void teach(struct setting *t, int revocations)
{
    char name[32];
    for (int i = 0; i < revocations; i++) {
        world_vm(&t->w, ebb_state_next_vm_id(t->w.s, name), &t->offer);
        t->w.now += 300 * S;
        world_notice(&t->w, name);
        world_terminated(&t->w, name, 0, t->w.now, true);
    }
    t->w.now += 3600 * S;
}

static size_t ended_spares(int busy, int64_t boot_s, const char **note, struct setting *t)
{
    char yaml[160];
    snprintf(yaml, sizeof yaml,
             "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: 8h}, "
             "sweep: {i: {from: 1, to: %d}}}]\n",
             busy);
    *t = setting_new(yaml, 1);
    teach(t, 2);
    t->policy.max_vms = 100;
    boot(t, busy + 12, busy, boot_s);
    t->w.now += 60 * S;
    plan(t);
    *note = strstr(t->plan.notes, "revocations of other VMs");
    return t->plan.end_count;
}

static void spares_stand_by_where_many_vms_are_in_danger_and_boots_are_slow(void **state)
{
    (void)state;
    struct setting t;
    const char *note;
    assert_int_equal(ended_spares(2, 600, &note, &t), 12);
    assert_null(note);
    setting_destroy(&t);
    size_t kept = 12 - ended_spares(40, 600, &note, &t);
    assert_true(kept >= 1 && kept < 12);
    assert_non_null(note);
    setting_destroy(&t);
    assert_int_equal(ended_spares(40, 5, &note, &t), 12);
    setting_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_without_a_use_ends_when_its_bill_begins_to_grow),
        cmocka_unit_test(where_the_bill_runs_faster_it_ends_sooner),
        cmocka_unit_test(a_costly_boot_is_waited_for_and_a_cheap_one_is_not),
        cmocka_unit_test(one_waiting_job_keeps_one_vm),
        cmocka_unit_test(spares_stand_by_where_many_vms_are_in_danger_and_boots_are_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
