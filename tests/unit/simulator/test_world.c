/* The simulated cloud: capacity, notices, lifetimes, outages. */
#include "tests/unit/simulator/fixture.h"

#define FLEET                                                                                      \
    "region: r\nboot: 10s\npending: 1s\nzones: [{name: a, capacity: 2}, b]\n"                      \
    "types: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 0.1, spot: {a: 0.03}}]\n"

struct seen {
    int booted, noticed, ended, gone, rebalance, priced, cut;
};

static void on_booted(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->booted++;
}
static void on_noticed(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->noticed++;
}
static void on_ended(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->ended++;
}
static void on_gone(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->gone++;
}
static void on_rebalance(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->rebalance++;
}
static void on_cut(void *ctx, uint32_t vm)
{
    (void)vm;
    ((struct seen *)ctx)->cut++;
}
static void on_priced(void *ctx)
{
    ((struct seen *)ctx)->priced++;
}

struct cloud {
    struct ebb_agenda *agenda;
    struct ebb_fleet *fleet;
    struct ebb_world *world;
    struct seen seen;
};

static struct cloud *cloud_new(const char *fleet, const struct ebb_world_model *model)
{
    struct cloud *c = ebb_alloc(sizeof *c);
    struct ebb_error err = {0};
    const struct ebb_world_handlers handlers = {&c->seen, on_booted, on_rebalance, on_noticed,
                                                on_ended, on_gone,   on_priced,    on_cut};
    if (ebb_fleet_parse("f", ".", fleet, strlen(fleet), &c->fleet, NULL, &err) < 0)
        fail_msg("%s", err.text);
    c->agenda = ebb_agenda_new(INT64_C(1700000000) * INT64_C(1000000000));
    c->world = ebb_world_new(c->agenda, c->fleet, model, 1, &handlers);
    return c;
}

static void nothing(void *ctx, uint32_t a, uint32_t b)
{
    (void)ctx;
    (void)a;
    (void)b;
}

static void cloud_run(struct cloud *c, double s)
{
    int64_t until_ns = ebb_agenda_after(ebb_agenda_now_ns(c->agenda), s);
    ebb_agenda_add(c->agenda, until_ns, nothing, NULL, 0, 0); /* the clock stops there */
    while (ebb_agenda_step(c->agenda, until_ns))
        ;
}

static void cloud_destroy(struct cloud *c)
{
    ebb_world_destroy(c->world);
    ebb_agenda_destroy(c->agenda);
    ebb_fleet_destroy(c->fleet);
    free(c);
}

static void launches_stop_where_the_pool_is_full_or_not_offered(void **state)
{
    (void)state;
    struct cloud *c = cloud_new(FLEET, NULL);
    uint32_t vm;
    double latency_s;
    assert_int_equal(0, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    assert_int_equal(0, ebb_world_launch(c->world, 0, 0, false, &vm, &latency_s));
    assert_int_equal(EBB_ERR_NO_CAPACITY, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    assert_int_equal(EBB_ERR_UNSUPPORTED, ebb_world_launch(c->world, 1, 0, true, &vm, &latency_s));
    ebb_world_terminate(c->world, 0);
    assert_int_equal(0, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    assert_int_equal(2, vm);
    cloud_run(c, 20);
    assert_int_equal(2, c->seen.booted); /* the first was ended before it ran */
    cloud_destroy(c);
}

static void each_kind_of_notice_shows_what_it_should(void **state)
{
    (void)state;
    static const struct {
        const char *notice;
        int noticed, rebalance;
        double ends_s;
    } kinds[] = {{"notice: 60s", 1, 0, 71 + 60},
                 {"notice: none", 0, 0, 71},
                 {"notice: lost", 0, 0, 71 + 120},
                 {"notice: late", 1, 0, 71 + 120},
                 {"notice: 60s, rebalance: 30s", 1, 1, 71 + 30 + 60}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(kinds); i++) {
        EBB_AUTO_FREE char *text = ebb_sprintf(
            FLEET "revocations: [{vm: 1, phase: running, after: 60s, %s}]\n", kinds[i].notice);
        struct cloud *c = cloud_new(text, NULL);
        uint32_t vm;
        double latency_s;
        ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s);
        cloud_run(c, kinds[i].ends_s - 0.5);
        assert_int_equal(kinds[i].noticed, c->seen.noticed);
        assert_int_equal(kinds[i].rebalance, c->seen.rebalance);
        assert_int_equal(0, c->seen.ended);
        cloud_run(c, 1);
        assert_int_equal(1, c->seen.ended);
        assert_int_equal(1, c->seen.gone);
        assert_true(c->world->vms[0].interrupted);
        assert_int_equal(0, ebb_world_bill_usd_micros(c->world)); /* within the first hour */
        cloud_destroy(c);
    }
}

static void an_on_demand_vm_is_never_taken(void **state)
{
    (void)state;
    struct cloud *c = cloud_new(FLEET "revocations: [{at: 60s, zone: a, notice: none}]\n"
                                      "lifetimes: [{model: exponential, mean: 10s}]\n",
                                NULL);
    uint32_t vm;
    double latency_s;
    ebb_world_launch(c->world, 0, 0, false, &vm, &latency_s);
    cloud_run(c, 3601);
    assert_int_equal(0, c->seen.ended);
    assert_int_equal(100000, ebb_world_bill_usd_micros(c->world));
    cloud_destroy(c);
}

static void a_pool_that_closes_takes_its_vms_and_refuses_until_it_recovers(void **state)
{
    (void)state;
    struct ebb_pool_model pools[2] = {
        {.shock_per_hour = {0, 1e6, 0, 0, 0, 0, 0},    /* at a quarter of an hour */
         .recovery_per_hour = {0, 0, 1e6, 0, 0, 0, 0}, /* an hour later */
         .shock_kills = 1}};
    const struct ebb_world_model model = {.pools = pools,
                                          .notice = {.kind = EBB_FLEET_NOTICE_NONE}};
    struct cloud *c = cloud_new(FLEET, &model);
    uint32_t vm;
    double latency_s;
    assert_int_equal(0, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    cloud_run(c, 890);
    assert_int_equal(0, c->seen.ended);
    cloud_run(c, 20);
    assert_int_equal(1, c->seen.ended);
    assert_int_equal(EBB_ERR_NO_CAPACITY, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    cloud_run(c, 3600);
    assert_int_equal(0, ebb_world_launch(c->world, 0, 0, true, &vm, &latency_s));
    cloud_destroy(c);
}

/* The share that lives past each age is exp(-integral of the hazard). */
static void lifetimes_follow_the_hazard_by_age(void **state)
{
    (void)state;
    const double per_hour[EBB_POOL_BINS] = {2, 0.5, 0.1, 0, 0, 1, 0.01};
    const double ages_h[] = {0.1, 0.25, 0.7, 2, 3, 5, 13, 20};
    const double integral[] = {0.2, 0.5, 0.725, 0.975, 1.075, 1.075, 2.075, 9.075};
    struct ebb_random r;
    int n = 20000, past[EBB_ARRAY_LEN(ages_h)] = {0};
    ebb_random_seed(&r, 5);
    for (int i = 0; i < n; i++) {
        double s = ebb_pool_draw_s(per_hour, 0, 60, 0, ebb_random_uniform(&r)) * 60;
        for (size_t a = 0; a < EBB_ARRAY_LEN(ages_h); a++)
            past[a] += s > ages_h[a] * 3600;
    }
    /* A clock that bills 60 times faster has ages 60 times shorter: rates per hour of the clock
     * stay, so the exponent is a 60th. */
    for (size_t a = 0; a < EBB_ARRAY_LEN(ages_h); a++)
        assert_true(fabs((double)past[a] / n - exp(-integral[a] / 60)) < 0.01);
    for (size_t a = 0; a < EBB_ARRAY_LEN(ages_h); a++)
        past[a] = 0;
    for (int i = 0; i < n; i++) {
        double s = ebb_pool_draw_s(per_hour, 0, 1, 0, ebb_random_uniform(&r));
        for (size_t a = 0; a < EBB_ARRAY_LEN(ages_h); a++)
            past[a] += s > ages_h[a] * 3600;
    }
    for (size_t a = 0; a < EBB_ARRAY_LEN(ages_h); a++)
        assert_true(fabs((double)past[a] / n - exp(-integral[a])) < 0.015);
    const double none[EBB_POOL_BINS] = {0};
    assert_true(isinf(ebb_pool_draw_s(none, 0, 1, 0, 0.99)));
}

static void before_the_quiet_age_nothing_ends_and_as_much_by_the_end_of_the_bin(void **state)
{
    (void)state;
    const double per_hour[EBB_POOL_BINS] = {2, 0.5, 0.1, 0, 0, 1, 0.01};
    struct ebb_random r;
    int n = 20000, past = 0;
    ebb_random_seed(&r, 5);
    for (int i = 0; i < n; i++) {
        double s = ebb_pool_draw_s(per_hour, 600, 1, 0, ebb_random_uniform(&r));
        assert_true(s >= 600);
        past += s > 900;
    }
    assert_true(fabs((double)past / n - exp(-0.5)) < 0.01);
}

/* Runs of one rate, exponential whatever follows what. */
static void runs_follow_their_like_and_keep_their_hazard(void **state)
{
    (void)state;
    struct ebb_pool_model m = {.share = {0.6}, .keep = {0.8}};
    double regime[2] = {0}, above = 0, products = 0, before = 0;
    int n = 20000;
    struct ebb_random r;
    ebb_random_seed(&r, 6);
    for (int b = 0; b < EBB_POOL_BINS; b++)
        m.shock_per_hour[b] = 1;
    for (int i = 0; i < n; i++) {
        double u = -expm1(-ebb_pool_next_s(&m, false, regime, 1, &r) / 3600) - 0.5;
        above += u > 0.25;
        products += 12 * u * before;
        before = u;
    }
    assert_true(fabs(above / n - 0.25) < 0.02);
    /* Spearman's correlation of normals with 0.48 */
    assert_true(fabs(products / n - 6 / M_PI * asin(0.48 / 2)) < 0.04);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_stop_where_the_pool_is_full_or_not_offered),
        cmocka_unit_test(each_kind_of_notice_shows_what_it_should),
        cmocka_unit_test(an_on_demand_vm_is_never_taken),
        cmocka_unit_test(a_pool_that_closes_takes_its_vms_and_refuses_until_it_recovers),
        cmocka_unit_test(lifetimes_follow_the_hazard_by_age),
        cmocka_unit_test(before_the_quiet_age_nothing_ends_and_as_much_by_the_end_of_the_bin),
        cmocka_unit_test(runs_follow_their_like_and_keep_their_hazard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
