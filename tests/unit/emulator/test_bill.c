/* The emulated cloud's bill, by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cloud/emulator/bill.h"

#define T INT64_C(1790000000) /* some second */

static struct ebb_bill_line charge(int64_t seconds, int64_t scale, bool spot, bool interrupted,
                                   const struct ebb_bill_price *prices, size_t count)
{
    struct ebb_bill_line line = {.spot = spot, .start_s = T, .end_s = T + seconds};

    ebb_bill_charge(&line, scale, interrupted, prices, count);
    return line;
}

static void seconds_cost_the_price_in_force(void **unused)
{
    (void)unused;
    const struct ebb_bill_price price = {.from_s = T - 10, .usd_micros_per_hour = 3600000};
    struct ebb_bill_line line = charge(90, 1, true, false, &price, 1);

    assert_int_equal(line.billed_s, 90);
    assert_int_equal(line.usd_micros, 90 * 1000);
    line = charge(90, 60, true, false, &price, 1);
    assert_int_equal(line.billed_s, 5400);
    assert_int_equal(line.usd_micros, 5400 * 1000);
}

static void a_price_change_counts_from_its_second_on(void **unused)
{
    (void)unused;
    const struct ebb_bill_price prices[] = {
        {.from_s = T - 100, .usd_micros_per_hour = 9999999},
        {.from_s = T, .usd_micros_per_hour = 3600000},
        {.from_s = T + 40, .usd_micros_per_hour = 7200000},
        {.from_s = T + 70, .usd_micros_per_hour = 1800000},
        {.from_s = T + 500, .usd_micros_per_hour = 9999999},
    };
    struct ebb_bill_line line = charge(100, 1, true, false, prices, 5);

    assert_int_equal(line.usd_micros, 40 * 1000 + 30 * 2000 + 30 * 500);
}

static void a_minute_is_the_least_and_its_rest_has_the_last_price(void **unused)
{
    (void)unused;
    const struct ebb_bill_price prices[] = {
        {.from_s = T - 1, .usd_micros_per_hour = 3600000},
        {.from_s = T + 5, .usd_micros_per_hour = 7200000},
    };
    struct ebb_bill_line line = charge(20, 1, true, false, prices, 2);

    assert_int_equal(line.billed_s, 60);
    assert_int_equal(line.usd_micros, 5 * 1000 + 55 * 2000);
    line = charge(0, 1, false, false, prices, 2);
    assert_int_equal(line.billed_s, 60);
    assert_int_equal(line.usd_micros, 60 * 1000);
    line = charge(2, 60, false, false, prices, 1); /* the scale counts first */
    assert_int_equal(line.billed_s, 120);
}

static void the_cloud_forgives_a_spot_vm_it_takes_in_its_first_hour(void **unused)
{
    (void)unused;
    const struct ebb_bill_price price = {.from_s = T, .usd_micros_per_hour = 3600000};
    struct ebb_bill_line line = charge(3599, 1, true, true, &price, 1);

    assert_true(line.forgiven && line.usd_micros == 0 && line.billed_s == 3599);
    line = charge(3600, 1, true, true, &price, 1);
    assert_true(!line.forgiven && line.usd_micros == 3600000);
    line = charge(60, 60, true, true, &price, 1); /* an hour at scale 60 */
    assert_true(!line.forgiven && line.usd_micros == 3600000);
    line = charge(59, 60, true, true, &price, 1);
    assert_true(line.forgiven);
    line = charge(100, 1, true, false, &price, 1); /* its owner ended it */
    assert_true(!line.forgiven && line.usd_micros == 100000);
    line = charge(100, 1, false, true, &price, 1); /* on demand */
    assert_true(!line.forgiven);
}

static void micro_dollars_round_half_up_once_a_price(void **unused)
{
    (void)unused;
    /* 61 s at 30 micro-USD an hour: 0.508 -> 1; 60 s: 0.5 -> 1; 59 of 60: the minimum. */
    const struct ebb_bill_price low = {.from_s = T, .usd_micros_per_hour = 30};
    const struct ebb_bill_price lower = {.from_s = T, .usd_micros_per_hour = 29};

    assert_int_equal(charge(60, 1, true, false, &low, 1).usd_micros, 1);
    assert_int_equal(charge(60, 1, true, false, &lower, 1).usd_micros, 0);
    const struct ebb_bill_price two[] = {{.from_s = T, .usd_micros_per_hour = 30},
                                         {.from_s = T + 60, .usd_micros_per_hour = 31}};
    assert_int_equal(charge(120, 1, true, false, two, 2).usd_micros, 2);
}

static void a_vm_that_never_ran_costs_nothing(void **unused)
{
    (void)unused;
    const struct ebb_bill_price price = {.from_s = T, .usd_micros_per_hour = 3600000};
    struct ebb_bill_line line = {.start_s = 0, .end_s = T};

    ebb_bill_charge(&line, 60, false, &price, 1);
    assert_true(line.billed_s == 0 && line.usd_micros == 0 && !line.forgiven);
}

static void steps_become_whole_seconds(void **unused)
{
    (void)unused;
    struct ebb_fleet_price_step steps[] = {{0, 10}, {1.4, 20}, {1.45, 30}, {1.7, 40}};
    const struct ebb_fleet_prices p = {.steps = steps, .count = 4};
    size_t count;
    struct ebb_bill_price *prices =
        ebb_bill_prices(&p, T * EBB_NS_PER_S + 500 * EBB_NS_PER_MS, &count);

    /* The emulator started at T + 0.5 s: 1.4 and 1.45 fall into second T + 1, 1.7 into T + 2. */
    assert_int_equal(count, 3);
    assert_true(prices[0].from_s == T && prices[0].usd_micros_per_hour == 10);
    assert_true(prices[1].from_s == T + 1 && prices[1].usd_micros_per_hour == 30);
    assert_true(prices[2].from_s == T + 2 && prices[2].usd_micros_per_hour == 40);
    free(prices);
}

static void requests_and_storage_have_their_prices(void **unused)
{
    (void)unused;
    struct ebb_bill bill = {.time_scale = 60};

    bill.requests[EBB_BILL_PUT] = 2000;
    bill.requests[EBB_BILL_GET] = 5000;
    bill.requests[EBB_BILL_DELETE] = 100000;
    assert_int_equal(ebb_bill_request_usd_micros(&bill), 10000 + 2000);
    ebb_bill_store(&bill, UINT64_C(10) << 30, 2592000.0 / 60); /* 10 GB for a scaled month */
    assert_int_equal(ebb_bill_storage_usd_micros(&bill), 230000);
}

static void a_bill_comes_back_from_its_file(void **unused)
{
    (void)unused;
    struct ebb_bill bill = {.time_scale = 60}, again = {.time_scale = 60};
    const struct ebb_bill_price price = {.from_s = T, .usd_micros_per_hour = 123456};
    struct ebb_bill_line line = charge(77, 60, true, false, &price, 1);
    struct ebb_error err = {0};

    strcpy(line.instance, "i-0123456789abcdef0");
    strcpy(line.type, "c5.large");
    strcpy(line.zone, "a");
    ebb_bill_add_line(&bill, &line);
    ebb_bill_count(&bill, EBB_BILL_PUT);
    ebb_bill_store(&bill, 1000, 5);
    json_t *json = ebb_bill_json(&bill, NULL, 0);
    if (ebb_bill_restore(&again, json, &err) < 0)
        fail_msg("%s", err.text);
    json_t *second = ebb_bill_json(&again, NULL, 0);
    assert_true(json_equal(json, second));
    json_object_set_new(json, "schema", json_string("something else"));
    assert_int_equal(ebb_bill_restore(&again, json, &err), EBB_ERR_CORRUPT);
    json_decref(json);
    json_decref(second);
    ebb_bill_clean_up(&bill);
    ebb_bill_clean_up(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_cost_the_price_in_force),
        cmocka_unit_test(a_price_change_counts_from_its_second_on),
        cmocka_unit_test(a_minute_is_the_least_and_its_rest_has_the_last_price),
        cmocka_unit_test(the_cloud_forgives_a_spot_vm_it_takes_in_its_first_hour),
        cmocka_unit_test(micro_dollars_round_half_up_once_a_price),
        cmocka_unit_test(a_vm_that_never_ran_costs_nothing),
        cmocka_unit_test(steps_become_whole_seconds),
        cmocka_unit_test(requests_and_storage_have_their_prices),
        cmocka_unit_test(a_bill_comes_back_from_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
