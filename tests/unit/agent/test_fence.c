/* When an agent works, asks the store, stands still or kills, by who has answered when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/fence.h"

#define S INT64_C(1000000000)

static const struct ebb_lease_terms terms = {.ttl_ns = 20 * S, .orphan_timeout_ns = 600 * S};

static enum ebb_fence_action at(int64_t now_s, int64_t heard_s, int64_t owned_s, bool fenced)
{
    const struct ebb_fence_facts facts = {.now_ns = 10000 * S + now_s * S,
                                          .heard_ns = 10000 * S + heard_s * S,
                                          .owned_ns = 10000 * S + owned_s * S,
                                          .fenced = fenced};
    return ebb_fence_decide(&terms, &facts);
}

static void work_goes_on_while_the_scheduler_hears_us(void **state)
{
    (void)state;
    for (int64_t silent = 0; silent < 16; silent++)
        assert_int_equal(at(silent, 0, -1000, false), EBB_FENCE_WORK);
}

static void the_store_is_asked_before_the_lease_can_be_given_away(void **state)
{
    (void)state;
    assert_int_equal(at(16, 0, -1000, false), EBB_FENCE_ASK);
    assert_int_equal(at(18, 0, -1000, false), EBB_FENCE_ASK);
}

static void without_any_answer_the_engine_stands_still_before_the_lease_ends(void **state)
{
    (void)state;
    assert_int_equal(at(19, 0, -1000, false), EBB_FENCE_PAUSE);
    assert_int_equal(at(300, 0, -1000, false), EBB_FENCE_PAUSE);
}

static void a_store_that_says_yours_keeps_the_work_going(void **state)
{
    (void)state;
    for (int64_t now = 17; now < 3000; now += 2)
        assert_int_equal(at(now, 0, now - 3, false), EBB_FENCE_ASK);
}

static void a_store_that_falls_silent_too_pauses_again(void **state)
{
    (void)state;
    assert_int_equal(at(105, 0, 100, false), EBB_FENCE_ASK);
    assert_int_equal(at(106, 0, 100, false), EBB_FENCE_PAUSE);
}

static void the_scheduler_coming_back_ends_the_pause(void **state)
{
    (void)state;
    assert_int_equal(at(106, 105, 0, false), EBB_FENCE_WORK);
}

static void a_later_owner_ends_the_job_whatever_the_clock_says(void **state)
{
    (void)state;
    assert_int_equal(at(0, 0, 0, true), EBB_FENCE_KILL);
    assert_int_equal(at(10000, 0, 0, true), EBB_FENCE_KILL);
}

static void a_woken_zombie_pauses_before_the_store_has_answered(void **state)
{
    (void)state;
    /* stopped for 5 minutes with a lease and a claim from before */
    assert_int_equal(at(300, 0, -20, false), EBB_FENCE_PAUSE);
}

static void who_hears_nobody_for_long_leaves(void **state)
{
    (void)state;
    assert_int_equal(at(599, 0, -10, false), EBB_FENCE_PAUSE);
    assert_int_equal(at(600, 0, -10, false), EBB_FENCE_LEAVE);
    /* the store answered until a minute ago */
    assert_int_equal(at(650, 0, 590, false), EBB_FENCE_PAUSE);
}

static void a_forgotten_vm_ends_although_its_store_answers(void **state)
{
    (void)state;
    assert_int_equal(at(5999, 0, 5998, false), EBB_FENCE_ASK);
    assert_int_equal(at(6000, 0, 5999, false), EBB_FENCE_LEAVE);
}

static void a_short_lease_still_leaves_a_margin(void **state)
{
    (void)state;
    const struct ebb_lease_terms brief = {.ttl_ns = 3 * S, .orphan_timeout_ns = 60 * S};
    struct ebb_fence_facts facts = {.now_ns = 2 * S, .heard_ns = 0, .owned_ns = -100 * S};
    assert_int_equal(ebb_fence_decide(&brief, &facts), EBB_FENCE_ASK);
    facts.now_ns = 3 * S;
    assert_int_equal(ebb_fence_decide(&brief, &facts), EBB_FENCE_PAUSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_goes_on_while_the_scheduler_hears_us),
        cmocka_unit_test(the_store_is_asked_before_the_lease_can_be_given_away),
        cmocka_unit_test(without_any_answer_the_engine_stands_still_before_the_lease_ends),
        cmocka_unit_test(a_store_that_says_yours_keeps_the_work_going),
        cmocka_unit_test(a_store_that_falls_silent_too_pauses_again),
        cmocka_unit_test(the_scheduler_coming_back_ends_the_pause),
        cmocka_unit_test(a_later_owner_ends_the_job_whatever_the_clock_says),
        cmocka_unit_test(a_woken_zombie_pauses_before_the_store_has_answered),
        cmocka_unit_test(who_hears_nobody_for_long_leaves),
        cmocka_unit_test(a_forgotten_vm_ends_although_its_store_answers),
        cmocka_unit_test(a_short_lease_still_leaves_a_margin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
