/* A bag in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "cli/bag_view.h"

static Ebb__StateCount counts[4];
static Ebb__StateCount *count_list[] = {&counts[0], &counts[1], &counts[2], &counts[3]};

static Ebb__BagStatus running_bag(void)
{
    static const char *const states[] = {"waiting", "running", "done", "failed"};
    Ebb__BagStatus b = EBB__BAG_STATUS__INIT;
    for (size_t i = 0; i < 4; i++) {
        ebb__state_count__init(&counts[i]);
        counts[i].state = (char *)states[i];
        counts[i].count = i == 3 ? 0 : 4;
    }
    b.counts = count_list;
    b.n_counts = 4;
    b.bag = (char *)"demo-1f3a";
    b.state = (char *)"running";
    b.jobs = 12;
    b.submitted_wall_ns = 1000 * EBB_NS_PER_S;
    b.expected_finish_s = -1;
    return b;
}

static void check(const struct ebb_buffer *out, const char *want)
{
    assert_string_equal(ebb_buffer_text(out), want);
}

static void the_title_says_state_time_and_deadline(void **state)
{
    (void)state;
    Ebb__BagStatus b = running_bag();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_title(&b, 1130 * EBB_NS_PER_S, &out);
    check(&out, "demo-1f3a: running for 2m10s");
    ebb_buffer_reset(&out);
    b.deadline_wall_ns = 1160 * EBB_NS_PER_S;
    ebb_bag_view_title(&b, 1130 * EBB_NS_PER_S, &out);
    check(&out, "demo-1f3a: running for 2m10s, 30s before the deadline");
    ebb_buffer_reset(&out);
    b.state = (char *)"done";
    b.finished_wall_ns = 1180 * EBB_NS_PER_S;
    ebb_bag_view_title(&b, 9999 * EBB_NS_PER_S, &out);
    check(&out, "demo-1f3a: done after 3m00s, 20s past the deadline");
}

static void counts_name_only_what_there_is(void **state)
{
    (void)state;
    Ebb__BagStatus b = running_bag();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_counts(&b, &out);
    check(&out, "4 done, 4 running, 4 waiting of 12 jobs");
    assert_false(ebb_bag_is_over(&b));
    b.state = (char *)"failed";
    assert_true(ebb_bag_is_over(&b));
    assert_int_equal(ebb_bag_exit_status(&b), 1);
    b.state = (char *)"done";
    assert_int_equal(ebb_bag_exit_status(&b), 0);
}

static void the_bar_has_its_width_whatever_the_counts(void **state)
{
    (void)state;
    Ebb__BagStatus b = running_bag();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_bar(&b, 12, &out);
    check(&out, "[####====....]");
    for (uint64_t done = 0; done <= 12; done++) {
        for (uint64_t failed = 0; done + failed <= 12; failed++) {
            counts[0].count = 0;
            counts[1].count = 12 - done - failed;
            counts[2].count = done;
            counts[3].count = failed;
            ebb_buffer_reset(&out);
            ebb_bag_view_bar(&b, 7, &out);
            assert_int_equal(out.len, 9);
        }
    }
}

static void money_says_what_was_saved(void **state)
{
    (void)state;
    Ebb__BagStatus b = running_bag();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    b.spent_usd_micros = 120000;
    b.on_demand_usd_micros = 400000;
    b.budget_usd_micros = 25000000;
    b.revocations = 1;
    ebb_bag_view_money(&b, &out);
    check(&out, "spent $0.12 of $25.00, the same work on demand $0.40 (70 % saved), 1 revocation");
}

static void the_finish_is_told_while_it_is_ahead(void **state)
{
    (void)state;
    Ebb__BagStatus b = running_bag();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_finish(&b, 1130 * EBB_NS_PER_S, &out);
    check(&out, "");
    b.expected_finish_s = 250;
    b.oldest_commit_wall_ns = 1100 * EBB_NS_PER_S;
    ebb_bag_view_finish(&b, 1130 * EBB_NS_PER_S, &out);
    check(&out, "expected to finish in 4m10s, every running job has a checkpoint of the last 30s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_title_says_state_time_and_deadline),
        cmocka_unit_test(counts_name_only_what_there_is),
        cmocka_unit_test(the_bar_has_its_width_whatever_the_counts),
        cmocka_unit_test(money_says_what_was_saved),
        cmocka_unit_test(the_finish_is_told_while_it_is_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
