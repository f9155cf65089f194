/* The oracle against the plainest dynamic programme there is: over (tick, work left, instance,
 * restart left), every action at every tick, memoised. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/oracle.h"
#include "tests/unit/simulator/made_traces.h"

#define UNIT_S      60
#define TICKS_MAX   48
#define WORK_MAX    400
#define RESTART_MAX 40
#define MODES       5

static struct {
    const struct ebb_traces *traces;
    const struct ebb_onejob_rules *rules;
    size_t start;
    double memo[TICKS_MAX + 1][WORK_MAX][MODES][RESTART_MAX];
} plain;

static double least(int tick, int work, int mode, int restart);

/* One tick (or what is left to the deadline) in `mode`. */
static double run_tick(int tick, int work, int mode, int restart)
{
    const struct ebb_onejob_rules *r = plain.rules;
    int gap = (int)(r->gap_s / UNIT_S);
    int end = (int)(r->deadline_s / UNIT_S);
    int dt = tick * gap + gap <= end ? gap : end - tick * gap;
    double price = mode == 0 ? 0 : mode == 1 ? r->on_demand_usd_per_hour : r->spot_usd_per_hour;
    if (mode == 0)
        return least(tick + 1, work, 0, 0);
    int used = restart + work < dt ? restart + work : dt;
    int progress = used > restart ? used - restart : 0;
    double usd = price * used * UNIT_S / 3600;
    if (progress >= work)
        return usd;
    return usd + least(tick + 1, work - progress, mode, restart > dt ? restart - dt : 0);
}

/* Modes: 0 idle, 1 on-demand, 2 + z: spot in zone z. */
static double least(int tick, int work, int mode, int restart)
{
    const struct ebb_onejob_rules *r = plain.rules;
    if (work <= 0)
        return 0;
    if (tick * r->gap_s >= r->deadline_s)
        return INFINITY;
    if (mode >= 2 && !plain.traces->items[mode - 2].up[plain.start + (size_t)tick])
        mode = restart = 0;
    double *memo = &plain.memo[tick][work][mode][restart];
    if (*memo >= 0)
        return *memo;
    double best = INFINITY;
    int fresh = (int)(r->restart_s / UNIT_S);
    for (int to = 0; to < 2 + (int)plain.traces->count; to++) {
        if (to >= 2 && !plain.traces->items[to - 2].up[plain.start + (size_t)tick])
            continue;
        best = fmin(best, run_tick(tick, work, to, to == mode ? restart : fresh));
    }
    return *memo = best;
}

static double plain_usd(const struct ebb_traces *traces, const struct ebb_onejob_rules *r,
                        size_t start)
{
    plain.traces = traces;
    plain.rules = r;
    plain.start = start;
    double *m = &plain.memo[0][0][0][0];
    for (size_t i = 0; i < sizeof plain.memo / sizeof *m; i++)
        m[i] = -1;
    return least(0, (int)(r->work_s / UNIT_S), 0, 0);
}

static void compare(const struct ebb_traces *traces, const struct ebb_onejob_rules *r,
                    size_t starts)
{
    size_t zones[3] = {0, 1, 2};
    struct ebb_oracle *o = ebb_oracle_new(r, traces, zones, traces->count);
    for (size_t s = 0; s < starts; s++) {
        double want = plain_usd(traces, r, s);
        double got = ebb_oracle_usd(o, s);
        if (!(fabs(got - want) < 1e-9))
            fail_msg("start %zu work %g deadline %g restart %g gap %g: %.9f, plainly %.9f", s,
                     r->work_s / 60, r->deadline_s / 60, r->restart_s / 60, r->gap_s / 60, got,
                     want);
    }
    ebb_oracle_destroy(o);
}

static void it_equals_the_plain_programme_on_random_traces(void **state)
{
    (void)state;
    struct ebb_random random;
    ebb_random_seed(&random, 7);
    for (int round = 0; round < 60; round++) {
        struct ebb_traces set = {0};
        size_t zones = 1 + (size_t)ebb_random_below(&random, 3);
        double gap_s = (double)UNIT_S * (double)(3 + ebb_random_below(&random, 10));
        for (size_t z = 0; z < zones; z++)
            made_add(&set, "z", 60, gap_s, 0.3 + ebb_random_uniform(&random),
                     0.3 + ebb_random_uniform(&random), &random);
        struct ebb_onejob_rules r = {.spot_usd_per_hour = 0.317,
                                     .on_demand_usd_per_hour = 1,
                                     .gap_s = gap_s,
                                     .work_s =
                                         UNIT_S * (double)(20 + ebb_random_below(&random, 130)),
                                     .restart_s = UNIT_S * (double)ebb_random_below(&random, 25)};
        r.deadline_s = r.work_s + r.restart_s + UNIT_S * (double)ebb_random_below(&random, 120);
        while (ebb_onejob_ticks(&r) > TICKS_MAX)
            r.deadline_s = (r.work_s *= 0.5, r.work_s = floor(r.work_s / UNIT_S) * UNIT_S,
                            r.work_s + r.restart_s + 10 * UNIT_S);
        compare(&set, &r, 4);
        ebb_traces_clean_up(&set);
    }
}

static void without_spot_it_pays_on_demand_and_with_spot_always_one_launch(void **state)
{
    (void)state;
    struct ebb_traces down = {0}, up = {0};
    made_of_text(&down, "z", 600, "00000000000000000000");
    made_of_text(&up, "z", 600, "11111111111111111111");
    struct ebb_onejob_rules r = {.spot_usd_per_hour = 0.3,
                                 .on_demand_usd_per_hour = 1,
                                 .gap_s = 600,
                                 .work_s = 6000,
                                 .restart_s = 720,
                                 .deadline_s = 9000};
    size_t zone = 0;
    struct ebb_oracle *o = ebb_oracle_new(&r, &down, &zone, 1);
    assert_true(fabs(ebb_oracle_usd(o, 0) - 6720 / 3600.0) < 1e-12);
    ebb_oracle_destroy(o);
    o = ebb_oracle_new(&r, &up, &zone, 1);
    assert_true(fabs(ebb_oracle_usd(o, 3) - 0.3 * 6720 / 3600) < 1e-12);
    ebb_oracle_destroy(o);
    r.spot_usd_per_hour = 2;
    o = ebb_oracle_new(&r, &up, &zone, 1);
    assert_true(fabs(ebb_oracle_usd(o, 0) - 6720 / 3600.0) < 1e-12);
    ebb_oracle_destroy(o);
    ebb_traces_clean_up(&down);
    ebb_traces_clean_up(&up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_equals_the_plain_programme_on_random_traces),
        cmocka_unit_test(without_spot_it_pays_on_demand_and_with_spot_always_one_launch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
