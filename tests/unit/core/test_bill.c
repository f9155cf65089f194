/* The billing rule, case by case. Amounts are worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/market.h"
#include "tests/unit/core/world.h"

static struct ebb_vm_bill bill(const struct ebb_market_entry *e, const Ebb__Offer *o, double from_s,
                               double to_s, bool interrupted, double scale)
{
    struct ebb_vm_bill b;
    ebb_bill_vm(e, o, T0 + (int64_t)(from_s * 1e9), T0 + (int64_t)(to_s * 1e9), interrupted, scale,
                &b);
    return b;
}

static void seconds_are_whole_and_scaled(void **state)
{
    (void)state;
    Ebb__Offer o = world_offer("m", "a", true, 2, 36000); /* 10 micro-USD a second */
    struct ebb_vm_bill b = bill(NULL, &o, 0.9, 100.1, false, 1);
    assert_true(b.billed_s == 100);
    assert_int_equal(b.usd_micros, 1000);
    b = bill(NULL, &o, 0, 2, false, 60);
    assert_true(b.billed_s == 120);
    assert_int_equal(b.usd_micros, 1200);
}

static void less_than_a_minute_costs_a_minute(void **state)
{
    (void)state;
    Ebb__Offer o = world_offer("m", "a", true, 2, 36000);
    assert_int_equal(bill(NULL, &o, 0, 5, false, 1).usd_micros, 600);
    assert_int_equal(bill(NULL, &o, 5, 5, false, 1).usd_micros, 600);
    assert_int_equal(bill(NULL, &o, 9, 5, false, 1).usd_micros, 600); /* a clock that ran back */
    assert_int_equal(bill(NULL, &o, 0, 60, false, 1).usd_micros, 600);
    assert_int_equal(bill(NULL, &o, 0, 61, false, 1).usd_micros, 610);
}

static void an_interruption_in_the_first_hour_is_free(void **state)
{
    (void)state;
    Ebb__Offer spot = world_offer("m", "a", true, 2, 36000),
               od = world_offer("m", "a", false, 2, 36000);
    struct ebb_vm_bill b = bill(NULL, &spot, 0, 3599, true, 1);
    assert_int_equal(b.usd_micros, 0);
    assert_int_equal(b.forgiven_usd_micros, 35990);
    assert_int_equal(bill(NULL, &spot, 0, 3600, true, 1).usd_micros, 36000);
    assert_int_equal(bill(NULL, &spot, 0, 60, true, 60).usd_micros, 36000); /* an hour, scaled */
    assert_int_equal(bill(NULL, &od, 0, 100, true, 1).usd_micros, 1000);
}

static void each_price_holds_from_its_second_and_is_rounded_for_itself(void **state)
{
    (void)state;
    struct ebb_market *m = ebb_market_new();
    Ebb__Offer o = world_offer("m", "a", true, 2, 36000);
    Ebb__PricePoint p;
    ebb__price_point__init(&p);
    p.zone = lit("a");
    p.type = lit("m");
    const struct {
        int64_t at_ms, price;
    } steps[] = {{100500, 1}, {-5000, 36000}, {200000, 72000}, {100500, 1801}}; /* out of order */
    for (size_t i = 0; i < EBB_ARRAY_LEN(steps); i++) {
        p.from_wall_ns = T0 + steps[i].at_ms * 1000000;
        p.usd_micros_per_hour = steps[i].price;
        ebb_market_observe(m, &p);
    }
    const struct ebb_market_entry *e = ebb_market_find(m, "a", "m", EBB__MARKET__SPOT);
    assert_int_equal(e->price_count, 3);
    /* 100 s at 10, 100 s at 1801/3600 = 50.03 -> 50, 50 s at 20 */
    assert_int_equal(bill(e, &o, 0, 250, false, 1).usd_micros, 1000 + 50 + 1000);
    assert_int_equal(bill(e, &o, 100, 101, false, 1).usd_micros, 30);  /* 60 s at 1801/3600 */
    assert_int_equal(bill(e, &o, -50, 50, false, 1).usd_micros, 1000); /* before the first price */
    /* 59 s in all: the missing second is charged at the last price */
    assert_int_equal(bill(e, &o, 150, 209, false, 1).usd_micros, 25 + 10 * 20);
    ebb_market_destroy(m);
}

static void requests_and_storage_follow_the_price_list(void **state)
{
    (void)state;
    assert_int_equal(ebb_bill_requests(1000, 0), 5000);
    assert_int_equal(ebb_bill_requests(0, 1000), 400);
    assert_int_equal(ebb_bill_requests(1, 1), 5); /* 5.4 */
    assert_int_equal(ebb_bill_requests(0, 2), 1); /* 0.8 */
    assert_int_equal(ebb_bill_storage(1073741824.0 * 2592000), 23000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_whole_and_scaled),
        cmocka_unit_test(less_than_a_minute_costs_a_minute),
        cmocka_unit_test(an_interruption_in_the_first_hour_is_free),
        cmocka_unit_test(each_price_holds_from_its_second_and_is_rounded_for_itself),
        cmocka_unit_test(requests_and_storage_follow_the_price_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
