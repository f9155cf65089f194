/* The forecast of a submission: range, share in time, what would hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/submit_forecast.h"
#include "scheduler/core/estimate.h"
#include "scheduler/core/planner.h"
#include "tests/unit/core/sources.h"

static char *lit(const char *s)
{
    return (char *)(uintptr_t)s;
}

static Ebb__Offer offer(bool spot, int64_t usd_micros)
{
    Ebb__Offer o = EBB__OFFER__INIT;
    o.provider = lit("aws");
    o.region = lit("us-east-1");
    o.zone = lit("us-east-1a");
    o.type = lit("c5.large");
    o.market = spot ? EBB__MARKET__SPOT : EBB__MARKET__ON_DEMAND;
    o.cpus = 2;
    o.memory_bytes = UINT64_C(4) << 30;
    o.usd_micros_per_hour = usd_micros;
    o.on_demand_usd_micros_per_hour = 85000;
    return o;
}

/* The forecast of a bag by the estimate's own candidates, and the processor time that it takes. */
static struct ebb_submit_forecast forecast(const char *yaml, Ebb__BagSpec **ret, double *ret_cpu_s)
{
    struct ebb_error err = {0};
    struct ebb_submit_forecast f;
    struct ebb_policy policy;
    Ebb__Offer spot = offer(true, 30000), sure = offer(false, 85000);
    const Ebb__Offer *offers[] = {&spot, &sure};
    if (test_parse(yaml, NULL, ret, NULL, &err) < 0)
        fail_msg("%s", err.text);
    ebb_policy_default(&policy);
    struct ebb_state *s = ebb_state_new();
    const struct ebb_plan_input in = {.state = s,
                                      .offers = offers,
                                      .offer_count = 2,
                                      .policy = &policy,
                                      .now_wall_ns = INT64_C(1767225600000000000)};
    Ebb__PlanAnswer *plan = ebb_estimate(&in, *ret);
    clock_t start = clock();
    ebb_submit_forecast_make(*ret, plan, false, NULL, &f);
    *ret_cpu_s = (double)(clock() - start) / CLOCKS_PER_SEC;
    ebb__plan_answer__free_unpacked(plan, NULL);
    ebb_state_destroy(s);
    return f;
}

#define BAG(extra, jobs)                                                                           \
    "name: b\n" extra "jobs: [{name: g, engine: gromacs, command: x, resources: {time: 2h}, "      \
    "sweep: {i: {from: 1, to: " jobs "}}}]\n"

static void cost_and_finish_come_with_their_ranges(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    double cpu_s;
    struct ebb_submit_forecast f = forecast(BAG("", "40"), &spec, &cpu_s);
    assert_true(f.runs >= 8 && f.in_time == 1);
    assert_true(f.usd > 1 && f.usd < 2); /* 80 hours, two at once, three cents an hour */
    assert_true(f.usd_low < f.usd && f.usd < f.usd_high);
    assert_true(f.finish_low_s < f.finish_s && f.finish_s < f.finish_high_s);
    ebb_submit_forecast_view(&f, spec, &out);
    assert_non_null(strstr(ebb_buffer_text(&out), "in 9 of 10 cases $"));
    assert_null(strstr(ebb_buffer_text(&out), "holds in"));
    Ebb__Estimate estimate = EBB__ESTIMATE__INIT;
    ebb_submit_forecast_correct(&f, &estimate);
    assert_int_equal(estimate.cost_usd_micros, llround(f.usd * 1e6));
    assert_true(estimate.finish_s == f.finish_s);
    ebb_submit_forecast_correct(&(struct ebb_submit_forecast){0}, &estimate);
    assert_true(estimate.finish_s == f.finish_s);
    json_t *v = ebb_submit_forecast_json(&f);
    assert_true(json_real_value(json_object_get(json_object_get(v, "cost_usd"), "low")) ==
                f.usd_low);
    json_decref(v);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void what_would_hold_is_told(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    double cpu_s;
    struct ebb_submit_forecast f =
        forecast(BAG("deadline: 1h\nbudget: 0.5\n", "40"), &spec, &cpu_s);
    assert_true(f.in_time == 0);
    ebb_submit_forecast_view(&f, spec, &out);
    assert_non_null(
        strstr(ebb_buffer_text(&out), "the deadline of 1h00m holds in 0 % of the runs"));
    assert_non_null(strstr(ebb_buffer_text(&out), "nine of ten are done within"));
    assert_non_null(strstr(ebb_buffer_text(&out), "the budget of $0.50 may not be enough"));
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void it_is_quick_for_bags_of_any_size(void **state)
{
    (void)state;
    const char *const bags[] = {BAG("", "1"), BAG("", "1900"), BAG("deadline: 20h\n", "100000")};
    for (size_t i = 0; i < 3; i++) {
        Ebb__BagSpec *spec = NULL;
        double cpu_s;
        struct ebb_submit_forecast f = forecast(bags[i], &spec, &cpu_s);
        assert_true(f.runs >= 8);
        print_message("%.2f s\n", cpu_s);
        assert_true(cpu_s < 10); /* sanitizers; without them well under a second */
        ebb__bag_spec__free_unpacked(spec, NULL);
    }
}

int main(void)
{
    char folder[] = "/tmp/ebb-forecast-XXXXXX"; /* no imported prices */
    if (mkdtemp(folder) == NULL || setenv("EBB_STATE_DIR", folder, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_and_finish_come_with_their_ranges),
        cmocka_unit_test(what_would_hold_is_told),
        cmocka_unit_test(it_is_quick_for_bags_of_any_size),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return rc;
}
