/* Forecasts as text, JSON and a picture. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/plan_view.h"

static struct ebb_outcome outcomes[3] = {{.usd = 3, .finish_s = 3000, .is_done = true},
                                         {.usd = 5, .finish_s = 5000, .is_done = true},
                                         {.usd = 4, .finish_s = 4000, .is_done = true}};

static struct ebb_forecast make_forecast(void)
{
    struct ebb_forecast f = {.in_time = 1, .interval_s = 600, .jobs_each = 62, .bin_s = 200};
    f.outcomes = outcomes;
    ebb_outcomes_summarise(outcomes, 3, &f.outcome);
    f.mix_count = 1;
    (void)strcpy(f.mix[0].name, "c5.large <spot>");
    for (int b = 0; b < EBB_FORECAST_BINS; b++)
        f.mix[0].vms[b] = b < 12 ? 4 : 1;
    f.point_count = 2;
    f.points[0] = (struct ebb_forecast_point){
        .outcome = f.outcome, .usd = 4, .in_time = 1, .usd_per_hour_earlier = NAN};
    f.points[1] = (struct ebb_forecast_point){.deadline_s = 3600,
                                              .outcome = f.outcome,
                                              .usd = 6,
                                              .in_time = 0.9,
                                              .usd_per_hour_earlier = 5.15};
    return f;
}

static struct ebb_plan_view make_view(const struct ebb_forecast *f, Ebb__BagSpec *spec)
{
    ebb__bag_spec__init(spec);
    spec->name = (char *)"water";
    return (struct ebb_plan_view){.spec = spec,
                                  .forecast = f,
                                  .source = "the fleet file",
                                  .offers = 4,
                                  .deadline_s = 7200,
                                  .time_error = 0.1,
                                  .job_spread = 0.2,
                                  .seed = 7};
}

static void the_text_says_cost_finish_deadline_and_how_many_runs(void **state)
{
    (void)state;
    Ebb__BagSpec spec;
    struct ebb_forecast f = make_forecast();
    struct ebb_plan_view v = make_view(&f, &spec);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_plan_text(&v, 100, &out);
    static const char *const wanted[] = {"expected cost  $4.00, in 9 of 10 cases $3.00 to $5.00",
                                         "2h00m, kept in 100 % of the runs",
                                         "every 10m00s",
                                         "3 simulated runs, seed 7",
                                         "each simulated job stands for 62",
                                         "$5.15",
                                         "no VM has been seen yet"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wanted); i++) {
        if (strstr(ebb_buffer_text(&out), wanted[i]) == NULL)
            fail_msg("no '%s' in:\n%s", wanted[i], ebb_buffer_text(&out));
    }
}

static void what_cannot_hold_is_said_with_the_nearest_that_can(void **state)
{
    (void)state;
    Ebb__BagSpec spec;
    struct ebb_forecast f = make_forecast();
    struct ebb_plan_view v = make_view(&f, &spec);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    char reason[] = "the deadline of 1s cannot hold: the soonest is about 2h";
    f.infeasible = reason;
    f.outcome.done = 0;
    spec.budget_usd_micros = 1;
    ebb_plan_text(&v, 100, &out);
    assert_non_null(strstr(ebb_buffer_text(&out), reason));
    assert_non_null(strstr(ebb_buffer_text(&out), "stops after"));
    assert_non_null(strstr(ebb_buffer_text(&out), "the budget stops the bag"));
    assert_non_null(strstr(ebb_buffer_text(&out), "without the budget"));
    json_t *j = ebb_plan_json(&v);
    assert_string_equal(json_string_value(json_object_get(j, "infeasible")), reason);
    json_decref(j);
}

static void the_json_has_the_curve_with_null_where_there_is_nothing(void **state)
{
    (void)state;
    Ebb__BagSpec spec;
    struct ebb_forecast f = make_forecast();
    struct ebb_plan_view v = make_view(&f, &spec);
    json_t *j = ebb_plan_json(&v), *curve = json_object_get(j, "curve");
    assert_string_equal("ebb.plan.v1", json_string_value(json_object_get(j, "schema")));
    assert_int_equal(2, json_array_size(curve));
    assert_true(json_is_null(json_object_get(json_array_get(curve, 0), "deadline_s")));
    assert_true(json_is_null(json_object_get(json_array_get(curve, 0), "usd_per_hour_earlier")));
    assert_true(json_real_value(json_object_get(json_array_get(curve, 1), "deadline_s")) == 3600);
    assert_true(json_real_value(json_object_get(json_object_get(j, "cost_usd"), "p50")) == 4);
    json_decref(j);
}

/* One hour at risk, half an hour out of reach. */
static struct ebb_forecast make_tight_forecast(void)
{
    struct ebb_forecast f = make_forecast();
    f.point_count = 3;
    f.points[1].in_time = 0.6;
    f.points[2] = (struct ebb_forecast_point){.deadline_s = 1800,
                                              .outcome = f.outcome,
                                              .usd = 77,
                                              .in_time = 0.05,
                                              .usd_per_hour_earlier = NAN};
    f.points[2].outcome.usd.p5 = f.points[2].outcome.usd.p95 = 77;
    return f;
}

static void a_deadline_that_cannot_be_met_says_so_and_shows_no_price(void **state)
{
    (void)state;
    Ebb__BagSpec spec;
    struct ebb_forecast f = make_tight_forecast();
    struct ebb_plan_view v = make_view(&f, &spec);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0}, svg = {0};
    ebb_plan_text(&v, 120, &out);
    const char *text = ebb_buffer_text(&out);
    const char *risky = strstr(text, "\n1h00m "), *missed = strstr(text, "\n30m00s ");
    assert_non_null(risky);
    assert_non_null(missed);
    assert_non_null(strstr(risky, "at risk"));
    assert_true(strstr(risky, "at risk") < missed);
    assert_non_null(strstr(missed, "cannot be met"));
    assert_null(strstr(text, "$77"));
    json_t *j = ebb_plan_json(&v), *curve = json_object_get(j, "curve");
    static const char *const kept[] = {"yes", "at risk", "no"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(kept[i],
                            json_string_value(json_object_get(json_array_get(curve, i), "kept")));
    assert_true(json_is_null(json_object_get(json_array_get(curve, 2), "usd_per_hour_earlier")));
    json_decref(j);
    ebb_plan_svg(&v, &svg);
    assert_non_null(strstr(ebb_buffer_text(&svg), "soonest"));
}

static void the_picture_escapes_names(void **state)
{
    (void)state;
    Ebb__BagSpec spec;
    struct ebb_forecast f = make_forecast();
    struct ebb_plan_view v = make_view(&f, &spec);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_plan_svg(&v, &out);
    assert_non_null(strstr(ebb_buffer_text(&out), "c5.large &lt;spot&gt;"));
    assert_non_null(strstr(ebb_buffer_text(&out), "What an earlier end costs"));
    assert_non_null(strstr(ebb_buffer_text(&out), "</svg>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_says_cost_finish_deadline_and_how_many_runs),
        cmocka_unit_test(what_cannot_hold_is_said_with_the_nearest_that_can),
        cmocka_unit_test(the_json_has_the_curve_with_null_where_there_is_nothing),
        cmocka_unit_test(a_deadline_that_cannot_be_met_says_so_and_shows_no_price),
        cmocka_unit_test(the_picture_escapes_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
