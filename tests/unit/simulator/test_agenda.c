/* The heap of calls that makes simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "simulator/agenda.h"

struct seen {
    struct ebb_agenda *g;
    int64_t last_ns;
    uint32_t last, count;
    bool in_order;
};

static void look(void *ctx, uint32_t a, uint32_t b)
{
    struct seen *s = ctx;
    int64_t now_ns = ebb_agenda_now_ns(s->g);
    if (now_ns < s->last_ns || (now_ns == s->last_ns && s->count > 0 && a < s->last) || b != 7)
        s->in_order = false;
    s->last_ns = now_ns;
    s->last = a;
    s->count++;
}

static void calls_come_by_time_and_then_in_the_order_put_down(void **state)
{
    (void)state;
    struct seen s = {.g = ebb_agenda_new(0), .in_order = true};
    struct ebb_random r;
    ebb_random_seed(&r, 3);
    for (uint32_t i = 0; i < 5000; i++)
        ebb_agenda_add(s.g, (int64_t)ebb_random_below(&r, 50), look, &s, i, 7);
    while (ebb_agenda_step(s.g, 1000))
        ;
    assert_true(s.in_order);
    assert_int_equal(5000, s.count);
    assert_int_equal(5000, ebb_agenda_steps(s.g));
    ebb_agenda_destroy(s.g);
}

static void add_another(void *ctx, uint32_t a, uint32_t b)
{
    struct seen *s = ctx;
    (void)b;
    s->count++;
    if (a > 0)
        ebb_agenda_add(s->g, ebb_agenda_now_ns(s->g) - 5, add_another, s, a - 1, 0);
}

static void the_past_means_now_and_never_means_never(void **state)
{
    (void)state;
    struct seen s = {.g = ebb_agenda_new(100)};
    ebb_agenda_add(s.g, 110, add_another, &s, 3, 0);
    ebb_agenda_add(s.g, EBB_AGENDA_NEVER, add_another, &s, 0, 0);
    while (ebb_agenda_step(s.g, EBB_AGENDA_NEVER))
        ;
    assert_int_equal(4, s.count);
    assert_int_equal(110, ebb_agenda_now_ns(s.g));
    ebb_agenda_destroy(s.g);
}

static void what_lies_past_the_limit_waits(void **state)
{
    (void)state;
    struct seen s = {.g = ebb_agenda_new(0)};
    ebb_agenda_add(s.g, 10, add_another, &s, 0, 0);
    assert_false(ebb_agenda_step(s.g, 9));
    assert_int_equal(0, ebb_agenda_now_ns(s.g));
    assert_true(ebb_agenda_step(s.g, 10));
    assert_false(ebb_agenda_step(s.g, 10));
    ebb_agenda_destroy(s.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_come_by_time_and_then_in_the_order_put_down),
        cmocka_unit_test(the_past_means_now_and_never_means_never),
        cmocka_unit_test(what_lies_past_the_limit_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
