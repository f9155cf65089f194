/* Hazards: priors, posteriors, what places tell of each other, forgetting, storing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "scheduler/core/hazards.h"

#define HOUR 3600.0
#define NOW  INT64_C(1700000000000000000)

static const struct ebb_place a = {"aws", "us-east-1", "us-east-1a", "g5.xlarge"};
static const struct ebb_place a_other = {"aws", "us-east-1", "us-east-1a", "g5.2xlarge"};
static const struct ebb_place b = {"aws", "us-east-1", "us-east-1b", "g5.xlarge"};
static const struct ebb_place far = {"aws", "us-west-2", "us-west-2a", "g5.xlarge"};
static const struct ebb_place type = {"aws", NULL, NULL, "g5.xlarge"};

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

static int64_t after(double s)
{
    return NOW + (int64_t)(s * 1e9);
}

static double at(const struct ebb_hazards *h, const struct ebb_place *p, double age_s, double now_s)
{
    return ebb_hazards_per_hour(h, EBB_RATE_REVOCATION, p, age_s, after(now_s));
}

static double test_normal(struct ebb_random *r)
{
    double radius = sqrt(-2 * log1p(-ebb_random_uniform(r)));
    return radius * cos(2 * M_PI * ebb_random_uniform(r));
}

/* So many lives of constant hazard per hour, each cut at `cut_s`. */
static void live(struct ebb_hazards *h, const struct ebb_place *p, struct ebb_random *r, int count,
                 double per_hour, double cut_s, double now_s)
{
    for (int i = 0; i < count; i++) {
        double life_s = -log(1 - ebb_random_uniform(r)) / per_hour * HOUR;
        bool event = life_s < cut_s;
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, p, 0, event ? life_s : cut_s, event,
                            after(now_s));
    }
}

static void nothing_seen_gives_the_prior_which_falls_with_age(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    double rate[EBB_AGE_BINS];
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &a, NOW, rate, NULL);
    for (int i = 1; i < EBB_AGE_BINS; i++)
        assert_true(rate[i] < rate[i - 1]);
    assert_close(ebb_hazards_cumulative(rate, 1, 0, 24 * HOUR), 2.4, 0.01); /* 0.1/h over a day */
    assert_close(ebb_hazards_survival(h, &a, 0, 24 * HOUR, NOW), exp(-2.4), 0.001);
    assert_true(ebb_hazards_survival(h, &a, HOUR, HOUR, NOW) == 1);
    ebb_hazards_prior(h, &type, 0.2);
    assert_close(at(h, &b, 0, 0), 2 * rate[0], 1e-9);
    ebb_hazards_prior(h, &a, 0.05);
    assert_close(at(h, &a, 0, 0), rate[0] / 2, 1e-9);
    assert_close(at(h, &b, 0, 0), 2 * rate[0], 1e-9);
    ebb_hazards_destroy(h);
}

static double band(const void *source, const struct ebb_place *p)
{
    (void)source;
    return p->type != NULL && strcmp(p->type, "g5.xlarge") == 0 ? 0.3 : 0;
}

static void a_source_of_priors_is_asked_for_what_is_not_set(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    double before = at(h, &a, HOUR, 0), other = at(h, &a_other, HOUR, 0);
    ebb_hazards_set_prior_source(h, band, NULL);
    assert_close(at(h, &a, HOUR, 0), 3 * before, 1e-9);
    assert_close(at(h, &a_other, HOUR, 0), other, 1e-12);
    ebb_hazards_prior(h, &a, 0.1);
    assert_close(at(h, &a, HOUR, 0), before, 1e-9);
    ebb_hazards_destroy(h);
}

static void much_data_wins_over_the_prior_at_every_age(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random r;
    ebb_random_seed(&r, 7);
    live(h, &a, &r, 4000, 0.4, 8 * HOUR, 0);
    double rate[EBB_AGE_BINS], sd[EBB_AGE_BINS];
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &a, NOW, rate, sd);
    for (int i = 0; i < 5; i++) {
        assert_close(rate[i], 0.4, 0.08);
        assert_true(fabs(rate[i] - 0.4) < 3.5 * sd[i] + 0.01);
    }
    ebb_hazards_destroy(h);
}

/* One cell, one level at a time, by hand. */
static void the_posterior_is_the_one_of_the_formula(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    const struct ebb_place all = {0};
    double before[EBB_AGE_BINS], rate[EBB_AGE_BINS];
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &all, NOW, before, NULL);
    /* 10 lives of half an hour (1/4 h in each of the first two bins), 3 revoked at their end. */
    for (int i = 0; i < 10; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &all, 0, HOUR / 2, i < 3, NOW);
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &all, NOW, rate, NULL);
    double expected = 2.5 * before[0] + 2.5 * before[1], m = (1 + 3) / (1 + expected);
    assert_close(rate[0], 2 / (2 / (m * before[0]) + 2.5), 1e-9);
    assert_close(rate[1], (2 + 3) / (2 / (m * before[1]) + 2.5), 1e-9);
    assert_close(rate[4], m * before[4], 1e-9);
    ebb_hazards_destroy(h);
}

static void what_is_learned_reaches_siblings_less_the_farther_they_are(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random r;
    ebb_random_seed(&r, 3);
    double before = at(h, &far, 2 * HOUR, 0);
    live(h, &a, &r, 60, 3, 4 * HOUR, -1000);
    double own = at(h, &a, 2 * HOUR, 0), zone = at(h, &b, 2 * HOUR, 0),
           region = at(h, &far, 2 * HOUR, 0);
    assert_true(own > before && zone > before && region > before);
    const struct ebb_place other = {"aws", "us-west-2", "us-west-2a", "p4d"};
    double type_of_it = at(h, &other, 2 * HOUR, 0);
    assert_true(own >= zone && zone >= region && region >= type_of_it && type_of_it > before);
    ebb_hazards_destroy(h);
}

/* Hours add up; a VM that we end tells no revocation. */
static void a_stop_by_us_is_censoring_and_lowers_the_rate(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    double before = at(h, &a, 4 * HOUR, 0);
    for (int i = 0; i < 50; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, 8 * HOUR, false, NOW);
    assert_true(at(h, &a, 4 * HOUR, 0) < before / 4);
    ebb_hazards_destroy(h);
}

static void a_life_told_in_pieces_is_the_same_life(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0), *k = ebb_hazards_new(0);
    double x[EBB_AGE_BINS], y[EBB_AGE_BINS];
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, 10 * HOUR, true, NOW);
    for (int i = 0; i < 40; i++)
        ebb_hazards_observe(k, EBB_RATE_REVOCATION, &a, i * HOUR / 4, (i + 1) * HOUR / 4, i == 39,
                            NOW);
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &a, NOW, x, NULL);
    ebb_hazards_table(k, EBB_RATE_REVOCATION, &a, NOW, y, NULL);
    for (int i = 0; i < EBB_AGE_BINS; i++)
        assert_close(x[i], y[i], 1e-9);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(k);
}

static void old_exposure_counts_half_after_the_half_life(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(86400);
    double hours, events;
    uint32_t resets;
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, 4 * HOUR, true, NOW);
    assert_true(ebb_hazards_seen(h, EBB_RATE_REVOCATION, &a, NOW, &hours, &events, &resets));
    assert_close(hours, 4, 1e-9);
    assert_true(
        ebb_hazards_seen(h, EBB_RATE_REVOCATION, &a, after(86400), &hours, &events, &resets));
    assert_close(hours, 2, 1e-9);
    assert_close(events, 0.5, 1e-9);
    /* Told late is as if told in time. */
    struct ebb_hazards *k = ebb_hazards_new(86400);
    ebb_hazards_observe(k, EBB_RATE_REVOCATION, &a, 0, 1 * HOUR, false, after(86400));
    ebb_hazards_observe(k, EBB_RATE_REVOCATION, &a, 0, 4 * HOUR, true, NOW);
    assert_true(
        ebb_hazards_seen(k, EBB_RATE_REVOCATION, &a, after(86400), &hours, &events, &resets));
    assert_close(hours, 3, 1e-9);
    assert_false(ebb_hazards_seen(k, EBB_RATE_RECOVERY, &a, NOW, &hours, &events, &resets));
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(k);
}

static void a_revocation_raises_its_siblings_for_minutes(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    double left_s;
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, HOUR, true, NOW);
    assert_close(ebb_hazards_bulk(h, &a, NOW, &left_s), 6, 1e-12);
    assert_close(left_s, 300, 1e-9);
    assert_close(ebb_hazards_bulk(h, &a_other, NOW, NULL), 3, 1e-12);
    assert_close(ebb_hazards_bulk(h, &b, NOW, NULL), 1, 1e-12);
    assert_close(ebb_hazards_bulk(h, &a, after(150), NULL), 3.5, 1e-9);
    assert_close(ebb_hazards_bulk(h, &a, after(300), &left_s), 1, 1e-12);
    assert_true(left_s == 0);
    assert_close(at(h, &a, HOUR, 0), 6 * at(h, &a, HOUR, 301), 1e-9);
    /* The excess over ten minutes: 5 falling to 0 over 300 s is 750 factor-seconds. */
    double plain = ebb_hazards_survival(h, &a, 8 * HOUR, 8 * HOUR + 600, after(1000));
    double bulk = ebb_hazards_survival(h, &a, 8 * HOUR, 8 * HOUR + 600, NOW);
    assert_close(log(bulk) / log(plain), (600 + 750) / 600.0, 1e-6);
    ebb_hazards_destroy(h);
}

static void a_change_of_rate_is_found_and_the_old_rate_forgotten(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random r;
    double hours, events;
    uint32_t resets;
    ebb_random_seed(&r, 11);
    live(h, &a, &r, 400, 0.1, 2 * HOUR, 0);
    assert_true(ebb_hazards_seen(h, EBB_RATE_REVOCATION, &a, NOW, &hours, &events, &resets));
    assert_int_equal(resets, 0);
    live(h, &a, &r, 120, 1.5, 2 * HOUR, 100);
    assert_true(ebb_hazards_seen(h, EBB_RATE_REVOCATION, &a, NOW, &hours, &events, &resets));
    assert_true(resets >= 1);
    assert_true(at(h, &a, HOUR, 3600) > 1.2);
    live(h, &a, &r, 800, 0.05, 2 * HOUR, 7200);
    assert_true(at(h, &a, HOUR, 20000) < 0.12);
    ebb_hazards_destroy(h);
}

static void a_steady_rate_is_hardly_ever_taken_for_a_change(void **state)
{
    (void)state;
    uint32_t alarms = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct ebb_hazards *h = ebb_hazards_new(0);
        struct ebb_random r;
        double hours, events;
        uint32_t resets = 0;
        ebb_random_seed(&r, seed);
        live(h, &a, &r, 600, 0.3, 3 * HOUR, 0);
        assert_true(ebb_hazards_seen(h, EBB_RATE_REVOCATION, &a, NOW, &hours, &events, &resets));
        alarms += resets;
        ebb_hazards_destroy(h);
    }
    assert_true(alarms <= 1);
}

static void billed_time_that_runs_faster_makes_ages_and_rates_of_billed_time(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(86400), *k = ebb_hazards_new(86400);
    ebb_hazards_set_time_scale(k, 60);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, 2 * HOUR, true, NOW);
    ebb_hazards_observe(k, EBB_RATE_REVOCATION, &a, 0, 2 * HOUR / 60, true, NOW);
    assert_close(at(k, &a, HOUR / 60, 600.0 / 60), 60 * at(h, &a, HOUR, 600), 1e-9);
    assert_close(at(k, &a, HOUR / 60, 60.0 / 60), 60 * at(h, &a, HOUR, 60), 1e-9);
    assert_close(ebb_hazards_survival(k, &a, 0, HOUR / 60, after(1)),
                 ebb_hazards_survival(h, &a, 0, HOUR, after(60)), 1e-9);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(k);
}

static void nonsense_is_not_learned(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    size_t cursor = 0;
    enum ebb_rate rate;
    struct ebb_place p;
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, -1, 5, true, NOW);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 5, 4, true, NOW);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, NAN, 4, true, NOW);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, INFINITY, true, NOW);
    assert_false(ebb_hazards_next(h, &cursor, &rate, &p));
    ebb_hazards_destroy(h);
}

/* Ages are uniform between 400 s and the end of the first bin; the youngest of twenty is 400 s. */
static void the_youngest_end_tells_before_which_age_none_comes(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &a, NOW), 0, 0);
    for (int i = 0; i < 20; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, 400 + 25 * i, true, NOW);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &a, NOW), 400 - 500.0 / 20, 1e-9);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &far, NOW), 375, 1e-9);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_RECOVERY, &a, NOW), 0, 0);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &far, 0, 800, true, NOW); /* one says little */
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &far, NOW), 700, 1e-9);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &far, 0, 5, true, NOW);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &far, NOW), 0, 0);
    assert_close(ebb_hazards_quiet_s(h, EBB_RATE_REVOCATION, &a, NOW), 375, 1e-9);
    ebb_hazards_destroy(h);
}

static void saved_and_loaded_it_is_the_same(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(EBB_HAZARD_HALF_LIFE_S);
    struct ebb_random r;
    struct ebb_error err = {0};
    ebb_random_seed(&r, 5);
    ebb_hazards_prior(h, &b, 0.4);
    live(h, &a, &r, 50, 1, 3 * HOUR, 0);
    live(h, &b, &r, 50, 0.2, 3 * HOUR, 500);
    ebb_hazards_observe(h, EBB_RATE_RECOVERY, &a, 0, HOUR, true, NOW);
    Ebb__HazardState *m = ebb_hazards_save(h);
    struct ebb_hazards *k = ebb_hazards_new(m->half_life_s), *copy = ebb_hazards_copy(h);
    assert_int_equal(ebb_hazards_load(k, m, &err), 0);
    assert_true(ebb_hazards_digest(k, 1) == ebb_hazards_digest(h, 1));
    assert_true(ebb_hazards_digest(copy, 1) == ebb_hazards_digest(h, 1));
    live(k, &a, &r, 1, 1, 3 * HOUR, 600);
    assert_true(ebb_hazards_digest(k, 1) != ebb_hazards_digest(h, 1));
    ebb__hazard_state__free_unpacked(m, NULL);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(k);
    ebb_hazards_destroy(copy);
}

static void a_message_that_is_not_sound_changes_nothing(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_error err = {0};
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, HOUR, true, NOW);
    uint64_t before = ebb_hazards_digest(h, 1);
    Ebb__HazardState *m = ebb_hazards_save(h);
    m->cells[m->n_cells - 1]->sums->events[2] = NAN;
    assert_int_equal(ebb_hazards_load(h, m, &err), EBB_ERR_INPUT);
    m->cells[m->n_cells - 1]->sums->events[2] = 1;
    m->cells[0]->sums->n_exposure_hours--;
    assert_int_equal(ebb_hazards_load(h, m, &err), EBB_ERR_INPUT);
    m->cells[0]->sums->n_exposure_hours++;
    m->age_from_s[1] = 17;
    assert_int_equal(ebb_hazards_load(h, m, &err), EBB_ERR_INPUT);
    m->age_from_s[1] = 900;
    m->version = 2;
    assert_int_equal(ebb_hazards_load(h, m, &err), EBB_ERR_UNSUPPORTED);
    assert_true(ebb_hazards_digest(h, 1) == before);
    m->version = 1;
    assert_int_equal(ebb_hazards_load(h, m, &err), 0);
    assert_true(ebb_hazards_digest(h, 1) != before);
    ebb__hazard_state__free_unpacked(m, NULL);
    ebb_hazards_destroy(h);
}

static void a_place_is_known_by_its_texts_and_not_by_where_they_stand(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random r;
    char zone[16] = "us-east-1a", type_name[16] = "g5.xlarge", copy[16] = "us-east-1a";
    const struct ebb_place here = {"aws", "us-east-1", zone, type_name};
    const struct ebb_place same = {"aws", "us-east-1", copy, "g5.xlarge"};
    ebb_random_seed(&r, 3);
    live(h, &a, &r, 200, 0.5, 4 * HOUR, 0);
    double busy = at(h, &here, HOUR, 0);
    assert_true(busy == at(h, &a, HOUR, 0) && busy == at(h, &same, HOUR, 0));
    zone[9] = 'b';
    assert_true(at(h, &here, HOUR, 0) == at(h, &b, HOUR, 0) && at(h, &here, HOUR, 0) != busy);
    zone[9] = 'a';
    assert_true(at(h, &here, HOUR, 0) == busy);
    ebb_hazards_destroy(h);
}

static void an_answer_holds_until_something_is_seen(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(EBB_HAZARD_HALF_LIFE_S);
    double rate[EBB_AGE_BINS], table[EBB_AGE_BINS], for_s;
    double first = at(h, &a, 0, 1000);
    assert_true(at(h, &a, 0, 1000) == first);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &b, 0, 60, true, NOW);
    double more = at(h, &a, 0, 1000);
    assert_true(more > first);
    assert_true(at(h, &a, 0, 86400) < more);
    ebb_hazards_prior(h, &a, 1);
    assert_true(at(h, &a, 0, 1000) > 5 * more);
    ebb_hazards_set_time_scale(h, 2);
    assert_true(at(h, &a, 0, 1000) > 15 * more);
    assert_true(ebb_hazards_now(h, &b, after(1), rate, &for_s) ==
                ebb_hazards_bulk(h, &b, after(1), NULL));
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &b, after(1), table, NULL);
    assert_memory_equal(rate, table, sizeof rate);
    assert_true(for_s > 0);
    ebb_hazards_destroy(h);
}

/* Lives of an hour's mean for 14 days in each of eight zones of two regions; each half day's rate
 * is a factor of its own, `shared` by all zones or not. */
static struct ebb_hazards *days(double sd, bool shared, uint64_t seed)
{
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random r;
    char zones[8][16];
    double to_border_s = 12 * HOUR - fmod(NOW / 1e9, 12 * HOUR); /* half days of the clock */
    ebb_random_seed(&r, seed);
    for (int day = 0; day < 28; day++) {
        double common = exp(sd * test_normal(&r) - sd * sd / 2);
        for (int z = 0; z < 8; z++) {
            snprintf(zones[z], sizeof zones[z], "z-%d%c", z / 4, 'a' + z % 4);
            const struct ebb_place p = {"aws", z < 4 ? "z-0" : "z-1", zones[z], "t"};
            double factor = shared ? common : exp(sd * test_normal(&r) - sd * sd / 2);
            for (double s = 0; s < 12 * HOUR;) {
                double life_s = fmin(12 * HOUR - s, ebb_random_exponential(&r, 2 * HOUR / factor));
                s += life_s;
                ebb_hazards_observe(h, EBB_RATE_REVOCATION, &p, 0, life_s, s < 12 * HOUR,
                                    after(to_border_s + day * 12 * HOUR + s));
            }
        }
    }
    return h;
}

static struct ebb_hazard_spread spread_of(double sd, bool shared)
{
    struct ebb_hazard_spread mean = {0}, s;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct ebb_hazards *h = days(sd, shared, seed);
        ebb_hazards_spread(h, EBB_RATE_REVOCATION, &s);
        mean.all += s.all / 4;
        mean.region += s.region / 4;
        mean.own += s.own / 4;
        ebb_hazards_destroy(h);
    }
    return mean;
}

static void rates_that_stay_show_no_spread(void **state)
{
    (void)state;
    struct ebb_hazard_spread s = spread_of(0, false);
    assert_true(s.all + s.region + s.own < 0.05);
}

/* A part of it passes for an effect of age: days of many revocations have more young VMs. */
static void the_spread_of_half_days_is_found_and_whose_it_is(void **state)
{
    (void)state;
    double v = expm1(0.5 * 0.5); /* of a log-normal factor */
    struct ebb_hazard_spread own = spread_of(0.5, false), all = spread_of(0.5, true);
    double of_own = own.all + own.region + own.own, of_all = all.all + all.region + all.own;
    assert_true(of_own > 0.5 * v && of_own < 1.3 * v);
    assert_true(own.own > 0.7 * of_own && own.all < 0.15 * of_own);
    assert_true(of_all > 0.25 * v && of_all < 2 * v); /* of 28 factors alone */
    assert_true(all.all > 0.7 * of_all);
}

static void without_history_the_spread_is_the_built_in_one(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_hazard_spread s;
    ebb_hazards_spread(h, EBB_RATE_REVOCATION, &s);
    assert_close(s.all + s.region + s.own, 0.1, 1e-9);
    assert_true(s.all > 0 && s.region > 0 && s.own > 0);
    ebb_hazards_destroy(h);
}

static void revocations_soon_after_one_another_are_told_from_single_ones(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    assert_true(ebb_hazards_in_bulk(h, &a, NOW) == 0);
    for (int i = 0; i < 10; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, HOUR, true, after(i));
    for (int i = 1; i <= 5; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &a, 0, HOUR, true, after(i * HOUR));
    assert_close(ebb_hazards_in_bulk(h, &a, after(5 * HOUR)), 9, 1e-9);
    ebb_hazards_observe(h, EBB_RATE_RECOVERY, &a, 0, HOUR, true, after(6 * HOUR));
    assert_close(ebb_hazards_in_bulk(h, &a, after(6 * HOUR)), 10, 1e-9);
    ebb_hazards_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_gives_the_prior_which_falls_with_age),
        cmocka_unit_test(a_source_of_priors_is_asked_for_what_is_not_set),
        cmocka_unit_test(much_data_wins_over_the_prior_at_every_age),
        cmocka_unit_test(the_posterior_is_the_one_of_the_formula),
        cmocka_unit_test(what_is_learned_reaches_siblings_less_the_farther_they_are),
        cmocka_unit_test(a_stop_by_us_is_censoring_and_lowers_the_rate),
        cmocka_unit_test(a_life_told_in_pieces_is_the_same_life),
        cmocka_unit_test(old_exposure_counts_half_after_the_half_life),
        cmocka_unit_test(a_revocation_raises_its_siblings_for_minutes),
        cmocka_unit_test(a_change_of_rate_is_found_and_the_old_rate_forgotten),
        cmocka_unit_test(a_steady_rate_is_hardly_ever_taken_for_a_change),
        cmocka_unit_test(billed_time_that_runs_faster_makes_ages_and_rates_of_billed_time),
        cmocka_unit_test(nonsense_is_not_learned),
        cmocka_unit_test(rates_that_stay_show_no_spread),
        cmocka_unit_test(the_spread_of_half_days_is_found_and_whose_it_is),
        cmocka_unit_test(without_history_the_spread_is_the_built_in_one),
        cmocka_unit_test(revocations_soon_after_one_another_are_told_from_single_ones),
        cmocka_unit_test(a_place_is_known_by_its_texts_and_not_by_where_they_stand),
        cmocka_unit_test(an_answer_holds_until_something_is_seen),
        cmocka_unit_test(the_youngest_end_tells_before_which_age_none_comes),
        cmocka_unit_test(saved_and_loaded_it_is_the_same),
        cmocka_unit_test(a_message_that_is_not_sound_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
