/* Charts: ticks where people expect them, every point where it belongs, text escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/chart.h"

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = strstr(text, part); p != NULL; p = strstr(p + 1, part))
        n++;
    return n;
}

static void expect_ticks(enum ebb_chart_scale scale, double from, double to, size_t most,
                         const double *want, size_t count)
{
    double got[EBB_CHART_MAX_TICKS];
    assert_int_equal(ebb_chart_ticks(scale, from, to, most, got), count);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs(got[i] - want[i]) <= 1e-9 * fabs(want[i]));
}

static void ticks_stand_at_round_numbers(void **state)
{
    (void)state;
    expect_ticks(EBB_CHART_LINEAR, 0, 1, 8, (double[]){0, .2, .4, .6, .8, 1}, 6);
    expect_ticks(EBB_CHART_LINEAR, -0.7, 1.1, 6, (double[]){-.5, 0, .5, 1}, 4);
    expect_ticks(EBB_CHART_HOURS, 0, 24, 11, (double[]){0, 3, 6, 9, 12, 15, 18, 21, 24}, 9);
    expect_ticks(EBB_CHART_HOURS, 0, 1, 6, (double[]){0, .25, .5, .75, 1}, 5);
    expect_ticks(EBB_CHART_LOG, 0.01, 100, 8, (double[]){.01, .1, 1, 10, 100}, 5);
    expect_ticks(EBB_CHART_LOG, 1, 10, 8, (double[]){1, 2, 5, 10}, 4);
}

static void time_is_drawn_in_the_unit_of_its_span(void **state)
{
    (void)state;
    static const struct {
        double hours;
        const char *unit;
    } spans[] = {{1 / 60.0, "[s]"}, {0.5, "[min]"}, {24, "[h]"}, {2000, "[d]"}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(spans); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer svg = {0};
        struct ebb_chart *c = ebb_chart_new(NULL);
        ebb_chart_axis_x(c, "time", EBB_CHART_HOURS);
        ebb_chart_line(c, NULL, EBB_CHART_LINE, 2, (double[]){0, spans[i].hours}, (double[]){0, 1});
        ebb_chart_render(&c, 1, 1, &svg);
        assert_non_null(strstr(ebb_buffer_text(&svg), spans[i].unit));
        ebb_chart_destroy(c);
    }
    expect_ticks(
        EBB_CHART_HOURS, 0, 1 / 60.0, 7,
        (double[]){0, 10 / 3600.0, 20 / 3600.0, 30 / 3600.0, 40 / 3600.0, 50 / 3600.0, 60 / 3600.0},
        7);
}

static void a_range_without_extent_has_no_ticks(void **state)
{
    (void)state;
    double got[EBB_CHART_MAX_TICKS];
    assert_int_equal(ebb_chart_ticks(EBB_CHART_LINEAR, 1, 1, 8, got), 0);
    assert_int_equal(ebb_chart_ticks(EBB_CHART_LINEAR, 0, NAN, 8, got), 0);
    assert_int_equal(ebb_chart_ticks(EBB_CHART_LINEAR, -INFINITY, 0, 8, got), 0);
    assert_int_equal(ebb_chart_ticks(EBB_CHART_LOG, 0, 1, 8, got), 0);
    assert_int_equal(ebb_chart_ticks(EBB_CHART_LINEAR, 1e16, 1e16 + 2, 8, got), 0);
}

static void ticks_lie_inside_any_range(void **state)
{
    (void)state;
    for (int e = -300; e <= 300; e += 7) {
        for (int scale = EBB_CHART_LINEAR; scale <= EBB_CHART_LOG; scale++) {
            double got[EBB_CHART_MAX_TICKS], from = pow(10, e) * 1.3, to = pow(10, e) * 97;
            size_t n = ebb_chart_ticks((enum ebb_chart_scale)scale, from, to, 9, got);
            assert_in_range(n, 1, 9);
            for (size_t i = 0; i < n; i++) {
                assert_true(got[i] >= from * (1 - 1e-6) && got[i] <= to * (1 + 1e-6));
                assert_true(i == 0 || got[i] > got[i - 1]);
            }
        }
    }
}

static void a_line_spans_the_plot(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new("t");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_chart_range_y(c, 0, 10);
    ebb_chart_line(c, NULL, EBB_CHART_LINE, 3, (double[]){0, 1, 2}, (double[]){0, 5, 10});
    ebb_chart_render(&c, 1, 1, &out);
    /* Left 66 to right 622, bottom 274 to top 30. */
    assert_non_null(strstr(ebb_buffer_text(&out), "d=\"M66.0 274.0L344.0 152.0L622.0 30.0\""));
}

static void a_step_holds_its_value_until_the_next(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new("t");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_chart_range_y(c, 0, 10);
    ebb_chart_line(c, NULL, EBB_CHART_STEP, 3, (double[]){0, 1, 2}, (double[]){10, 5, NAN});
    ebb_chart_render(&c, 1, 1, &out);
    assert_non_null(
        strstr(ebb_buffer_text(&out), "d=\"M66.0 30.0L344.0 30.0L344.0 152.0L622.0 152.0\""));
}

static void values_that_cannot_be_drawn_leave_a_gap(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new(NULL);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_chart_axis_y(c, "hazard", EBB_CHART_LOG);
    ebb_chart_line(c, "a", EBB_CHART_LINE, 5, (double[]){0, 1, 2, 3, 4},
                   (double[]){1, NAN, 10, 0, 100});
    ebb_chart_band(c, "b", EBB_CHART_LINE, 4, (double[]){0, 1, 2, 3}, (double[]){0, 0, 1, INFINITY},
                   (double[]){1, 1, 2, INFINITY});
    ebb_chart_line(c, "c", EBB_CHART_POINTS, 2, (double[]){0, 1}, (double[]){-1, 1});
    ebb_chart_render(&c, 1, 1, &out);
    const char *text = ebb_buffer_text(&out);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    assert_int_equal(count_of(text, "r=\"2.5\""), 2); /* the point and the legend's */
}

static void text_is_escaped(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new("a<b>&\"c\"\n\xff µ");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_chart_axis_x(c, "</svg>", EBB_CHART_LINEAR);
    ebb_chart_mark_x(c, 0.5, "<!--");
    ebb_chart_render(&c, 1, 1, &out);
    const char *text = ebb_buffer_text(&out);
    assert_non_null(strstr(text, "a&lt;b&gt;&amp;&quot;c&quot;?? µ"));
    assert_int_equal(count_of(text, "</svg>"), 1);
    assert_null(strstr(text, "<!--"));
}

static void extreme_and_empty_data_are_drawn_with_finite_numbers(void **state)
{
    (void)state;
    static const double sets[][3] = {
        {0, 0, 0},           {1e300, -1e300, 0}, {DBL_MAX, -DBL_MAX, 1},
        {5e-324, 5e-324, 0}, {1e16, 1e16, 1e16}, {NAN, INFINITY, -INFINITY}};
    for (int scale = EBB_CHART_LINEAR; scale <= EBB_CHART_LOG; scale++) {
        for (size_t i = 0; i < EBB_ARRAY_LEN(sets); i++) {
            EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new("t");
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
            ebb_chart_axis_x(c, NULL, (enum ebb_chart_scale)scale);
            ebb_chart_axis_y(c, NULL, (enum ebb_chart_scale)scale);
            ebb_chart_line(c, "s", EBB_CHART_STEP, 3, sets[i], sets[i]);
            ebb_chart_band(c, "b", EBB_CHART_STEP, 3, sets[i], sets[i], sets[i]);
            ebb_chart_line(c, "e", EBB_CHART_LINE, 0, NULL, NULL);
            ebb_chart_render(&c, 1, 1, &out);
            assert_null(strstr(ebb_buffer_text(&out), "nan"));
            assert_null(strstr(ebb_buffer_text(&out), "inf"));
        }
    }
}

static void panels_stand_in_columns(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *a = ebb_chart_new("first");
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *b = ebb_chart_new("second");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0}, again = {0};
    ebb_chart_render((struct ebb_chart *[]){a, b}, 2, 2, &out);
    assert_non_null(strstr(ebb_buffer_text(&out), "viewBox=\"0 0 1280 320\""));
    ebb_chart_render((struct ebb_chart *[]){a, b}, 2, 2, &again);
    assert_string_equal(ebb_buffer_text(&out), ebb_buffer_text(&again));
    ebb_buffer_clean_up(&again);
}

static void a_kept_colour_joins_a_line_and_its_band(void **state)
{
    (void)state;
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *c = ebb_chart_new("t");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_chart_band(c, NULL, EBB_CHART_LINE, 2, (double[]){0, 1}, (double[]){0, 0},
                   (double[]){1, 1});
    ebb_chart_keep_colour(c);
    ebb_chart_line(c, NULL, EBB_CHART_LINE, 2, (double[]){0, 1}, (double[]){0, 1});
    ebb_chart_render(&c, 1, 1, &out);
    assert_int_equal(count_of(ebb_buffer_text(&out), "#0072b2"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_stand_at_round_numbers),
        cmocka_unit_test(time_is_drawn_in_the_unit_of_its_span),
        cmocka_unit_test(a_range_without_extent_has_no_ticks),
        cmocka_unit_test(ticks_lie_inside_any_range),
        cmocka_unit_test(a_line_spans_the_plot),
        cmocka_unit_test(a_step_holds_its_value_until_the_next),
        cmocka_unit_test(values_that_cannot_be_drawn_leave_a_gap),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(extreme_and_empty_data_are_drawn_with_finite_numbers),
        cmocka_unit_test(panels_stand_in_columns),
        cmocka_unit_test(a_kept_colour_joins_a_line_and_its_band),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
