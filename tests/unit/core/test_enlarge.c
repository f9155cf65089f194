/* A limit full of small or slow VMs makes room for larger ones when the deadline asks for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "scheduler/core/speed.h"
#include "tests/unit/core/setting.h"

/* `vms` VMs of two slots are all that the limit allows, and busy; 6 jobs of an hour wait for each.
 */
static struct setting full_limit(int vms, const char *deadline)
{
    char bag[300], name[32];
    snprintf(
        bag, sizeof bag,
        "name: b\ndeadline: %s\njobs: [{name: g, engine: gromacs, command: x, resources: {cpus: "
        "1, memory: 1 GiB, time: 1h}, sweep: {i: {from: 1, to: %d}}}]\n",
        deadline, vms * 8);
    struct setting t = setting_new(bag);
    t.policy.max_vms = (uint32_t)vms;
    add_offer(&t, "small", "a", true, 2, 30000);
    add_offer(&t, "large", "a", true, 8, 150000);
    add_offer(&t, "large", "b", true, 8, 160000);
    add_offer(&t, "huge", "a", true, 64, 3000000);
    for (int i = 0; i < vms; i++) {
        ebb_state_next_vm_id(t.w.s, name);
        world_intend(&t.w, name, &t.offers[0]);
        t.w.now += 30 * S;
        world_launch(&t.w, name);
        world_join(&t.w, name);
        t.w.now -= 30 * S;
        for (uint64_t k = 0; k < 2; k++) {
            world_lease(&t.w, "b-1", (uint64_t)i * 2 + k, name);
            world_start(&t.w, "b-1", (uint64_t)i * 2 + k);
        }
    }
    t.w.now += 600 * S;
    return t;
}

static void turn_offers(struct setting *t)
{
    for (size_t i = 0, k = t->offer_count; i + 1 < k; i++) {
        Ebb__Offer o = t->offers[i];
        t->offers[i] = t->offers[--k];
        t->offers[k] = o;
    }
}

static size_t launched(const struct setting *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->plan.launch_count; i++)
        count += t->plan.launches[i].count;
    return count;
}

/* As the cloud and the agents would. */
static void act(struct setting *t, const char *type, bool joins)
{
    char name[32], ended[32];
    for (size_t i = 0; i < t->plan.end_count; i++) {
        const struct ebb_vm *vm = t->w.s->vms[t->plan.ends[i].vm];
        snprintf(ended, sizeof ended, "%s", vm->id);
        while (vm->lease_count > 0)
            world_end(&t->w, "b-1", vm->leases[0].job, RELEASED, NULL);
        world_terminating(&t->w, ended);
        world_terminated(&t->w, ended, 0, t->w.now, false);
    }
    for (size_t i = 0; i < t->plan.launch_count; i++) {
        for (uint32_t n = 0; n < t->plan.launches[i].count; n++) {
            Ebb__Offer *o = &t->offers[t->plan.launches[i].offer];
            assert_string_equal(o->type, type);
            ebb_state_next_vm_id(t->w.s, name);
            world_intend(&t->w, name, o);
            world_launch(&t->w, name);
            if (joins)
                world_join(&t->w, name);
        }
    }
}

static void with_slack_nothing_is_exchanged_and_where_none_can_make_it_nothing_either(void **state)
{
    (void)state;
    const char *const deadlines[] = {"6h", "50m"};
    for (int i = 0; i < 2; i++) {
        struct setting t = full_limit(8, deadlines[i]);
        plan(&t);
        assert_int_equal(t.plan.end_count, 0);
        assert_int_equal(t.plan.launch_count, 0);
        if (i == 1)
            assert_non_null(strstr(t.plan.notes, "no exchange"));
        setting_destroy(&t);
    }
}

/* Large ones in a few places do; huge ones would too, and cost more. */
static void a_near_deadline_has_small_vms_exchanged_for_what_costs_least(void **state)
{
    (void)state;
    struct setting t = full_limit(8, "3h");
    plan(&t);
    assert_int_equal(t.plan.end_count, 1); /* a first one tells whether there are any */
    assert_true(t.plan.ends[0].drain);
    assert_non_null(strstr(t.plan.ends[0].reason, "the deadline: 'g'"));
    assert_int_equal(launched(&t), 1);
    assert_non_null(strstr(t.plan.notes, "exchanged for large"));
    char before[sizeof t.plan.ends[0].reason];
    memcpy(before, t.plan.ends[0].reason, sizeof before);
    turn_offers(&t);
    plan(&t);
    assert_string_equal(t.plan.ends[0].reason, before);
    setting_destroy(&t);
}

static void exchanges_go_on_at_a_bounded_rate_until_it_is_in_time_and_no_further(void **state)
{
    (void)state;
    struct setting t = full_limit(16, "3h");
    size_t exchanged = 0, rounds = 0;
    for (; rounds < 40; rounds++) {
        plan(&t);
        size_t ends = t.plan.end_count;
        assert_true(ends <= (rounds == 0 ? 1 : 4)); /* a quarter of the limit */
        assert_int_equal(launched(&t), ends);
        exchanged += ends;
        act(&t, "large", true);
        plan(&t); /* what has come, or is about to, counts */
        struct ebb_placement p[32];
        size_t n = ebb_place(t.w.s, &t.policy, t.w.now, p, 32);
        for (size_t i = 0; i < n; i++) {
            world_lease(&t.w, "b-1", p[i].job, t.w.s->vms[p[i].vm]->id);
            world_start(&t.w, "b-1", p[i].job);
        }
        t.w.now += 15 * S;
    }
    assert_in_range(exchanged, 2, 10);
    assert_int_equal(t.w.s->live_count, 16);
    setting_destroy(&t);
}

static void a_refusal_is_not_answered_with_another_exchange_at_once(void **state)
{
    (void)state;
    struct setting t = full_limit(8, "3h");
    char name[32];
    t.offer_count = 2; /* one pool of large ones */
    plan(&t);
    assert_int_equal(t.plan.end_count, 1);
    ebb_state_next_vm_id(t.w.s, name);
    world_intend(&t.w, name, &t.offers[1]);
    world_launch_failed(&t.w, name, EBB_ERR_NO_CAPACITY);
    size_t tries = 0;
    for (int64_t end = t.w.now + 600 * S; t.w.now < end; t.w.now += 5 * S) {
        plan(&t);
        if (t.plan.end_count == 0)
            continue;
        tries += t.plan.end_count;
        ebb_state_next_vm_id(t.w.s, name);
        world_intend(&t.w, name, &t.offers[1]);
        world_launch_failed(&t.w, name, EBB_ERR_NO_CAPACITY);
    }
    assert_in_range(tries, 1, 3);
    setting_destroy(&t);
}

/* Both have as many slots. */
static void slow_vms_are_exchanged_for_fast_ones(void **state)
{
    (void)state;
    struct setting t = full_limit(8, "5h");
    t.offers[1] = world_offer("fast", "a", true, 2, 60000);
    t.offer_count = 2;
    plan(&t);
    assert_int_equal(t.plan.end_count, 0);
    struct ebb_group *g = &t.w.s->bags[0]->groups[0];
    for (int i = 0; i < 100; i++) {
        ebb_speed_observe(t.w.s, g, "small", 100, 2);
        ebb_speed_observe(t.w.s, g, "fast", 100, 1);
    }
    plan(&t);
    assert_int_equal(t.plan.end_count, 1);
    assert_int_equal(t.plan.launches[0].offer, 1);
    setting_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_slack_nothing_is_exchanged_and_where_none_can_make_it_nothing_either),
        cmocka_unit_test(a_near_deadline_has_small_vms_exchanged_for_what_costs_least),
        cmocka_unit_test(exchanges_go_on_at_a_bounded_rate_until_it_is_in_time_and_no_further),
        cmocka_unit_test(a_refusal_is_not_answered_with_another_exchange_at_once),
        cmocka_unit_test(slow_vms_are_exchanged_for_fast_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
