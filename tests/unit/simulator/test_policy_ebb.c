/* ebb's policy for several zones is a rule of thumb on top of exact tables of one. Here it meets
 * the exact one: three zones whose up-runs and outages have no memory, so that the state of all of
 * them is three bits, and the dynamic programme over it, time and slack is small. That plan sees
 * all zones and knows their rates; no policy without foresight does better. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/policies.h"
#include "tests/unit/simulator/made_traces.h"

#define ZONES  3
#define STATES (1 << ZONES)
#define RUNS   (2 + ZONES) /* idle, on-demand, spot in each zone */
#define GAP_S  180.0
#define START  4 /* ticks of a restart */
#define NEVER  1e9

static const double up_h[ZONES] = {0.8, 1.2, 1.6}, down_h[ZONES] = {6, 3, 2.5};

static const struct ebb_onejob_rules rules = {.work_s = 16 * 3600.0,
                                              .deadline_s = 19 * 3600.0,
                                              .restart_s = START * GAP_S,
                                              .spot_usd_per_hour = 0.3,
                                              .on_demand_usd_per_hour = 1,
                                              .gap_s = GAP_S};

struct exact {
    size_t layers, cells;
    double next[STATES][STATES];
    double restart[ZONES]; /* ticks that a restart on spot is expected to take */
    float *usd;            /* [layer][state][run][cell of slack]: running so from here */
};

static float *at(const struct exact *e, size_t layer, size_t state, size_t run)
{
    return &e->usd[((layer * STATES + state) * RUNS + run) * e->cells];
}

static double between(const float *row, double cell)
{
    size_t low = (size_t)cell;
    double f = cell - (double)low;
    return f > 0 ? row[low] * (1 - f) + row[low + 1] * f : row[low];
}

/* The least cost from here, `run` running; and what to do. */
static double best(const struct exact *e, size_t layer, size_t state, size_t run, double cell,
                   size_t *ret_do)
{
    double least = NEVER, usd;
    *ret_do = run;
    if (run >= 2)
        return between(at(e, layer, state, run), cell);
    if (cell - 1 >= START && (usd = between(at(e, layer, state, 0), cell)) < least) {
        least = usd;
        *ret_do = 0;
    }
    double late = fmax(0, START - cell) * GAP_S / 3600;
    double after = run == 1 ? cell : fmax(0, cell - START);
    usd = between(at(e, layer, state, 1), after) + (run == 1 ? 0 : late);
    if (usd < least) {
        least = usd;
        *ret_do = 1;
    }
    for (size_t z = 0; z < ZONES; z++) {
        if (!(state >> z & 1) || cell < 2 * START)
            continue;
        usd = between(at(e, layer, state, 2 + z), cell - e->restart[z]);
        if (usd < least) {
            least = usd;
            *ret_do = 2 + z;
        }
    }
    return least;
}

static void find_chances(struct exact *e)
{
    for (size_t from = 0; from < STATES; from++) {
        for (size_t to = 0; to < STATES; to++) {
            e->next[from][to] = 1;
            for (size_t z = 0; z < ZONES; z++) {
                bool was = from >> z & 1, is = to >> z & 1;
                double changes = -expm1(-GAP_S / 3600 / (was ? up_h[z] : down_h[z]));
                e->next[from][to] *= was == is ? 1 - changes : changes;
            }
        }
    }
    for (size_t z = 0; z < ZONES; z++)
        for (int i = 0; i < START; i++)
            e->restart[z] += exp(-i * GAP_S / 3600 / up_h[z]);
}

static void solve_layer(const struct exact *e, size_t layer, float *then)
{
    static const double price[RUNS] = {0, 1, 0.3, 0.3, 0.3};
    size_t what;
    for (size_t s = 0; s < STATES; s++)
        for (size_t run = 0; run < RUNS; run++)
            for (size_t c = 0; c < e->cells; c++)
                then[(s * RUNS + run) * e->cells + c] =
                    c + 1 >= layer ? 0 : (float)best(e, layer - 1, s, run, (double)c, &what);
    for (size_t s = 0; s < STATES; s++) {
        for (size_t run = 0; run < RUNS; run++) {
            float *row = at(e, layer, s, run);
            bool lost = run >= 2 && !(s >> (run - 2) & 1);
            for (size_t c = 0; c < e->cells; c++) {
                size_t from = run == 0 && c > 0 ? c - 1 : c;
                double usd = price[run] * GAP_S / 3600;
                for (size_t to = 0; to < STATES; to++) {
                    size_t runs = run >= 2 && !(to >> (run - 2) & 1) ? 0 : run;
                    usd += e->next[s][to] * then[(to * RUNS + runs) * e->cells + from];
                }
                row[c] = c >= layer ? 0 : lost || (run == 0 && c == 0) ? (float)NEVER : (float)usd;
            }
        }
    }
}

static void solve(struct exact *e)
{
    e->layers = (size_t)(rules.deadline_s / GAP_S) + 2;
    e->cells = (size_t)((rules.deadline_s - rules.work_s) / GAP_S) + 3;
    e->usd = ebb_alloc_array(e->layers * STATES * RUNS * e->cells, sizeof *e->usd);
    EBB_AUTO_FREE float *then = ebb_alloc_array((size_t)STATES * RUNS * e->cells, sizeof *then);
    find_chances(e);
    for (size_t layer = 1; layer < e->layers; layer++)
        solve_layer(e, layer, then);
}

static struct ebb_choice decide_exact(void *self, const struct ebb_view *v)
{
    const struct exact *e = self;
    size_t state = 0, what;
    if (v->instance == EBB_INSTANCE_SPOT)
        return EBB_SPOT_IN(v->zone);
    if (ebb_view_net(v))
        return EBB_ON_DEMAND;
    for (size_t z = 0; z < ZONES; z++)
        state |= (size_t)(v->zones[z].up == 1) << z;
    bool on_demand = v->instance == EBB_INSTANCE_ON_DEMAND;
    double slack_s = v->time_left_s - v->work_left_s - (on_demand ? v->restart_left_s : 0);
    size_t layer = (size_t)lround(v->time_left_s / GAP_S);
    double cell = fmin(fmax(0, slack_s / GAP_S), (double)e->cells - 2);
    (void)best(e, layer, state, on_demand, cell, &what);
    return what == 0 ? EBB_STAY_IDLE : what == 1 ? EBB_ON_DEMAND : EBB_SPOT_IN(what - 2);
}

static void fill(struct ebb_trace *t, double up, double down, struct ebb_random *r)
{
    bool is = false;
    for (size_t i = 0; i < t->len; i++) {
        if (ebb_random_uniform(r) < -expm1(-GAP_S / 3600 / (is ? up : down)))
            is = !is;
        t->up[i] = is;
    }
}

static double mean_usd(const struct ebb_traces *set, const struct ebb_policy *p, double probe_s)
{
    struct ebb_onejob_rules r = rules;
    size_t zones[ZONES] = {0, 1, 2}, len = set->items[0].len, starts = 150;
    double usd = 0;
    r.probe_s = probe_s;
    for (size_t i = 0; i < starts; i++) {
        struct ebb_onejob_outcome o;
        size_t start = len / 2 + (len / 2 - ebb_onejob_ticks(&r)) * i / starts;
        ebb_onejob_run(&r, set, zones, ZONES, start, p, &o);
        assert_false(o.missed);
        usd += o.usd / (double)starts;
    }
    return usd;
}

static double ebb_mean_usd(const struct ebb_traces *set, double probe_s)
{
    const struct ebb_trace *zones[ZONES];
    struct ebb_onejob_rules r = rules;
    struct ebb_history history = {set, 0.5};
    struct ebb_policy_setup setup = {&r, &history, zones, ZONES};
    struct ebb_policy p;
    for (size_t z = 0; z < ZONES; z++)
        zones[z] = &set->items[z];
    r.probe_s = probe_s;
    assert_int_equal(ebb_policy_new("ebb", &setup, &p, NULL), 0);
    double usd = mean_usd(set, &p, probe_s);
    ebb_policy_release(&p);
    return usd;
}

static void it_costs_hardly_more_than_the_exact_plan_that_knows_the_rates(void **state)
{
    (void)state;
    static const char *const names[ZONES] = {"x-1a", "x-1b", "x-1c"};
    struct ebb_traces set = {0};
    struct ebb_random r;
    ebb_random_seed(&r, 7);
    for (size_t z = 0; z < ZONES; z++) {
        made_add(&set, names[z], 40000, GAP_S, 1, 1, &r);
        fill(&set.items[z], up_h[z], down_h[z], &r);
    }
    struct exact e = {0};
    solve(&e);
    struct ebb_policy plan = {.name = "exact", .self = &e, .decide = decide_exact};
    double exact = mean_usd(&set, &plan, 0);
    double sees = ebb_mean_usd(&set, 0), tries = ebb_mean_usd(&set, 60);
    if (!(sees > 0.985 * exact && sees < 1.02 * exact))
        fail_msg("sees all: %g, exact %g", sees, exact);
    if (!(tries > 0.985 * exact && tries < 1.035 * exact))
        fail_msg("finds out by launches: %g, exact %g", tries, exact);
    free(e.usd);
    ebb_traces_clean_up(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_costs_hardly_more_than_the_exact_plan_that_knows_the_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
