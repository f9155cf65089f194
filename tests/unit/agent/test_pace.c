/* The pace of a job from the steps that it tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "agent/pace.h"

/* Seconds a step, or 0: it tells nothing. */
static double told(const struct ebb_pace *p, double run_s)
{
    int64_t steps = -1;
    double s = -1;
    return ebb_pace_tell(p, run_s, &steps, &s) ? s / (double)steps : 0;
}

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

static void nothing_is_told_of_a_job_without_steps(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    int64_t steps = -7;
    double s = -7;
    for (int t = 0; t < 1000; t++)
        ebb_pace_see(&p, -1, t);
    assert_false(ebb_pace_tell(&p, 1000, &steps, &s));
    assert_true(steps == -7 && s == -7);
    for (int t = 0; t < 1000; t++)
        ebb_pace_see(&p, 40, t); /* it stands */
    assert_true(told(&p, 1000) == 0);
}

/* Two minutes of start-up, then a step every three seconds, seen each second. */
static void start_up_is_no_pace(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    for (int t = 0; t < 300; t++)
        ebb_pace_see(&p, t < 120 ? 0 : (t - 120) / 3, t);
    assert_close(told(&p, 299), 3, 0.01);
}

/* The engine writes its first line before it has read the state of step 50,000. */
static void a_jump_after_a_resume_is_no_pace(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    for (int t = 0; t < 100; t++)
        ebb_pace_see(&p, t < 10 ? 0 : 50000 + (t - 10) / 2, t);
    assert_close(told(&p, 99), 2, 0.1);
    for (int t = 100; t < 200; t++) /* ... and one in the middle of it */
        ebb_pace_see(&p, 90000 + (t - 100) / 2, t);
    assert_close(told(&p, 199), 2, 0.1);
}

/* An engine that is stopped for each checkpoint begins a little before it. */
static void steps_that_are_done_again_count_as_often_as_they_are_done(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    int64_t step = 0;
    for (int t = 0; t < 1000; t++) {
        step += t % 100 == 99 ? -5 : 1;
        ebb_pace_see(&p, step, t);
    }
    assert_close(told(&p, 999), 1, 0.05);
}

/* A line every 100 s: between two of them the pace is the same. */
static void seldom_lines_do_not_make_it_slower_between_them(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    for (int t = 0; t < 1000; t++) {
        ebb_pace_see(&p, t / 100 * 500, t);
        if (t > 400)
            assert_close(told(&p, t), 0.2, 0.003);
    }
}

static void an_engine_that_stands_still_gets_slower(void **state)
{
    (void)state;
    struct ebb_pace p = {0};
    for (int t = 0; t < 100; t++)
        ebb_pace_see(&p, t, t);
    assert_close(told(&p, 100), 1, 0.02);
    for (int t = 100; t < 400; t++)
        ebb_pace_see(&p, 99, t);
    assert_close(told(&p, 400), 4, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_of_a_job_without_steps),
        cmocka_unit_test(start_up_is_no_pace),
        cmocka_unit_test(a_jump_after_a_resume_is_no_pace),
        cmocka_unit_test(steps_that_are_done_again_count_as_often_as_they_are_done),
        cmocka_unit_test(seldom_lines_do_not_make_it_slower_between_them),
        cmocka_unit_test(an_engine_that_stands_still_gets_slower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
