/* The covariate model: known effects come back, groups of nothing but noise are drawn to the mean,
 * and what was never seen gets the average. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/fit_covariates.h"
#include "scheduler/core/fit_kaplan_meier.h"
#include "scheduler/core/fit_place.h"
#include "tests/unit/core/lifetimes.h"

static const char *const types[] = {"n1-highcpu-2", "n1-highcpu-4", "n1-highcpu-8",
                                    "n1-highcpu-16"};
static const char *const zones[] = {"us-central1-a", "us-central1-b", "us-central1-c",
                                    "us-east1-b",    "us-east1-c",    "us-east1-d",
                                    "us-west1-a",    "us-west1-b"};

/* Constant hazards 0.05 x 1.25^log2(cpus) x zone factor. */
static void draw(struct ebb_lifetimes *l, uint64_t seed, int vms, const double *zone_factor)
{
    struct ebb_random r;
    ebb_random_seed(&r, seed);
    for (int i = 0; i < vms; i++) {
        size_t type = (size_t)i % EBB_ARRAY_LEN(types), zone = (size_t)i / 4 % EBB_ARRAY_LEN(zones);
        double hazard = 0.05 * pow(1.25, (double)type + 1) * zone_factor[zone];
        add_censored(l, &r, ebb_random_exponential(&r, 1 / hazard), 30, 24, types[type],
                     zones[zone], i % 30);
    }
}

static double multiplier_at(const struct ebb_fit_covariates *c, const char *type, const char *zone)
{
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    double m;
    add_life(&l, 1, EBB_LIFETIME_STOPPED, type, zone, 0);
    ebb_fit_covariates_multipliers(c, &l, &m);
    return m;
}

static const struct ebb_fit_covariates_options pooled = {EBB_FIT_EXPONENTIAL, 24, true};

static void known_effects_come_back(void **state)
{
    (void)state;
    const double factor[] = {2, 2, 2, 0.5, 0.5, 0.5, 1, 1};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    draw(&l, 21, 8000, factor);
    EBB_AUTO(ebb_fit_covariates_auto)
    struct ebb_fit_covariates *c = ebb_fit_covariates_new(&l, &pooled, NULL);
    assert_non_null(c);
    assert_true(c->has_cpus && fabs(c->log2_cpu - log(1.25)) < 3 * c->log2_cpu_error);
    double a = multiplier_at(c, types[0], zones[0]), b = multiplier_at(c, types[0], zones[3]);
    assert_true(a / b > 3.3 && a / b < 4.8);
    /* The scale is the curve's: hazard at a place is baseline times multiplier. */
    double hazard = ebb_fit_curve_hazard(&c->baseline.curve, 1) * a;
    assert_true(hazard > 0.105 && hazard < 0.148); /* 0.05 x 1.25 x 2 = 0.125 */
}

/* The mean square of the differences between zones, over all types. */
static double spread_of_zones(const struct ebb_fit_covariates *c)
{
    double sum = 0;
    for (size_t i = 0; i < EBB_ARRAY_LEN(zones) * EBB_ARRAY_LEN(types); i++) {
        const char *type = types[i % 4], *zone = zones[i / 4], *next = zones[(i / 4 + 1) % 8];
        sum += pow(log(multiplier_at(c, type, zone) / multiplier_at(c, type, next)), 2) / 32;
    }
    return sum;
}

static void zones_that_do_not_differ_are_drawn_together(void **state)
{
    (void)state;
    const double factor[] = {1, 1, 1, 1, 1, 1, 1, 1};
    double pooled_spread = 0, free_spread = 0;
    for (uint64_t seed = 40; seed < 48; seed++) {
        EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
        draw(&l, seed, 400, factor);
        struct ebb_fit_covariates_options o = pooled;
        EBB_AUTO(ebb_fit_covariates_auto)
        struct ebb_fit_covariates *c = ebb_fit_covariates_new(&l, &o, NULL);
        o.pooled = false;
        EBB_AUTO(ebb_fit_covariates_auto)
        struct ebb_fit_covariates *free_zones = ebb_fit_covariates_new(&l, &o, NULL);
        pooled_spread += spread_of_zones(c);
        free_spread += spread_of_zones(free_zones);
    }
    assert_true(pooled_spread < 0.4 * free_spread);
}

static void a_new_zone_of_a_known_region_has_the_regions_hazard(void **state)
{
    (void)state;
    const double factor[] = {3, 3, 3, 0.4, 0.4, 0.4, 1, 1};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    draw(&l, 23, 6000, factor);
    EBB_AUTO(ebb_fit_covariates_auto)
    struct ebb_fit_covariates *c = ebb_fit_covariates_new(&l, &pooled, NULL);
    double near_central = multiplier_at(c, types[0], "us-central1-f");
    double near_east = multiplier_at(c, types[0], "us-east1-f");
    double nowhere = multiplier_at(c, types[0], "mars1-a");
    assert_true(near_central > 1.5 * nowhere && nowhere > 1.3 * near_east);
}

static void the_mean_curve_is_what_kaplan_meier_sees(void **state)
{
    (void)state;
    const double factor[] = {4, 4, 4, 0.3, 0.3, 0.3, 1, 1};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    draw(&l, 24, 4000, factor);
    EBB_AUTO(ebb_fit_covariates_auto)
    struct ebb_fit_covariates *c = ebb_fit_covariates_new(&l, &pooled, NULL);
    EBB_AUTO(ebb_fit_mean_clean_up) struct ebb_fit_mean m;
    ebb_fit_mean_init(&m, c, &l);
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    ebb_fit_sample_init(&s, &l, NULL);
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    ebb_kaplan_meier_init(&k, &s);
    for (double t = 1; t < 24; t++)
        assert_true(fabs(exp(-ebb_fit_mean_cumulative(&m, t)) - ebb_kaplan_meier_survival(&k, t)) <
                    0.02);
    /* The frail leave first: the mean hazard falls although each one's is constant. */
    assert_true(ebb_fit_mean_hazard(&m, 20) < 0.8 * ebb_fit_mean_hazard(&m, 0.1));
}

static void without_places_there_is_no_model(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    for (int i = 0; i < 50; i++)
        add_life(&l, i + 1, EBB_LIFETIME_REVOKED, NULL, NULL, 0);
    assert_null(ebb_fit_covariates_new(&l, &pooled, NULL));
}

static void names_tell_region_and_cpus(void **state)
{
    (void)state;
    static const char *const places[][2] = {{"us-east-1a", "us-east-1"},
                                            {"us-central1-c", "us-central1"},
                                            {"europe-north1-a", "europe-north1"},
                                            {"rack7", "rack7"},
                                            {"", ""}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(places); i++) {
        EBB_AUTO_FREE char *region = ebb_region_of_zone(places[i][0]);
        assert_string_equal(region, places[i][1]);
    }
    assert_int_equal(ebb_cpus_of_type("n1-highcpu-16"), 16);
    assert_int_equal(ebb_cpus_of_type("c5.2xlarge"), 8);
    assert_int_equal(ebb_cpus_of_type("p3.xlarge"), 4);
    assert_int_equal(ebb_cpus_of_type("m5.large"), 2);
    assert_int_equal(ebb_cpus_of_type("m5.metal"), 0);
    assert_int_equal(ebb_cpus_of_type("a2-highgpu-1g"), 12);
    assert_int_equal(ebb_cpus_of_type("x9-highgpu-1g"), 0);
    assert_int_equal(ebb_cpus_of_type(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_effects_come_back),
        cmocka_unit_test(zones_that_do_not_differ_are_drawn_together),
        cmocka_unit_test(a_new_zone_of_a_known_region_has_the_regions_hazard),
        cmocka_unit_test(the_mean_curve_is_what_kaplan_meier_sees),
        cmocka_unit_test(without_places_there_is_no_model),
        cmocka_unit_test(names_tell_region_and_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
