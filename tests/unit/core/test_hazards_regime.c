/* Whether lives that follow one another are alike, as hazards_regime.c learns it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/random.h"
#include "scheduler/core/hazards.h"

#define NOW INT64_C(1700000000000000000)

static const struct ebb_place place = {"aws", "us-east-1", "us-east-1a", "g5.xlarge"};
static const struct ebb_place beside = {"aws", "us-east-1", "us-east-1b", "g5.xlarge"};

struct lives {
    double share, keep, regime;
    int64_t at_ns;
    struct ebb_random random;
};

/* Exponential, of two hours on average, one after another. */
static void live(struct ebb_hazards *h, struct lives *l, const struct ebb_place *p, int count)
{
    for (int i = 0; i < count; i++) {
        double radius = sqrt(-2 * log1p(-ebb_random_uniform(&l->random)));
        double angle = 2 * M_PI * ebb_random_uniform(&l->random);
        l->regime = l->keep * l->regime + sqrt(1 - l->keep * l->keep) * radius * sin(angle);
        double z = sqrt(l->share) * l->regime + sqrt(1 - l->share) * radius * cos(angle);
        double life_s = -7200 * log(fmax(1e-12, erfc(z / M_SQRT2) / 2));
        l->at_ns += (int64_t)((life_s + 1800) * 1e9);
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, p, 0, life_s, true, l->at_ns);
    }
}

static void nothing_seen_means_that_lives_are_their_own(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_hazard_regime r;
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &place, &r);
    assert_true(r.share == 0 && r.keep >= 0 && r.keep < 1);
    ebb_hazards_destroy(h);
}

static void lives_that_follow_their_like_are_told_from_those_that_do_not(void **state)
{
    (void)state;
    struct ebb_hazard_regime alike, apart;
    struct ebb_hazards *h = ebb_hazards_new(0), *g = ebb_hazards_new(0);
    struct lives yes = {.share = 0.6, .keep = 0.8, .at_ns = NOW}, no = {.at_ns = NOW};
    ebb_random_seed(&yes.random, 3);
    ebb_random_seed(&no.random, 4);
    live(h, &yes, &place, 4000);
    live(g, &no, &place, 4000);
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &place, &alike);
    ebb_hazards_regime(g, EBB_RATE_REVOCATION, &place, &apart);
    assert_true(fabs(alike.share * alike.keep - 0.48) < 0.08);
    assert_true(fabs(alike.keep - 0.8) < 0.1);
    assert_true(apart.share * apart.keep < 0.06);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(g);
}

static void a_place_that_was_hardly_seen_is_taken_for_one_like_the_others(void **state)
{
    (void)state;
    struct ebb_hazard_regime known, new;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct lives l = {.share = 0.6, .keep = 0.8, .at_ns = NOW};
    ebb_random_seed(&l.random, 3);
    live(h, &l, &place, 2000);
    live(h, &l, &beside, 3);
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &place, &known);
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &beside, &new);
    assert_true(fabs(new.share - known.share) < 0.15 && new.keep == known.keep);
    ebb_hazards_destroy(h);
}

/* Twenty VMs that a pool loses at once had one life, and are no proof of anything. */
static void siblings_that_end_together_are_one_life(void **state)
{
    (void)state;
    struct ebb_hazard_regime r;
    struct ebb_hazards *h = ebb_hazards_new(0);
    struct ebb_random random;
    ebb_random_seed(&random, 5);
    for (int i = 0; i < 200; i++) {
        double life_s = -7200 * log(1 - ebb_random_uniform(&random));
        for (int k = 0; k < 20; k++)
            ebb_hazards_observe(h, EBB_RATE_REVOCATION, &place, 0, life_s, true,
                                NOW + (int64_t)i * INT64_C(36000000000000) + k);
    }
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &place, &r);
    assert_true(r.share * r.keep < 0.2);
    ebb_hazards_destroy(h);
}

static void it_is_saved_and_loaded(void **state)
{
    (void)state;
    struct ebb_hazard_regime before, after;
    struct ebb_hazards *h = ebb_hazards_new(86400), *g = ebb_hazards_new(86400);
    struct lives l = {.share = 0.6, .keep = 0.8, .at_ns = NOW};
    ebb_random_seed(&l.random, 3);
    live(h, &l, &place, 500);
    Ebb__HazardState *m = ebb_hazards_save(h);
    assert_int_equal(0, ebb_hazards_load(g, m, NULL));
    ebb_hazards_regime(h, EBB_RATE_REVOCATION, &place, &before);
    ebb_hazards_regime(g, EBB_RATE_REVOCATION, &place, &after);
    assert_true(before.share > 0.1 && before.share == after.share && before.keep == after.keep);
    assert_int_equal(ebb_hazards_digest(h, 1), ebb_hazards_digest(g, 1));
    ebb__hazard_state__free_unpacked(m, NULL);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(g);
}

static void a_message_with_scores_out_of_range_is_refused(void **state)
{
    (void)state;
    struct ebb_hazards *h = ebb_hazards_new(0), *g = ebb_hazards_new(0);
    struct lives l = {.at_ns = NOW};
    ebb_random_seed(&l.random, 3);
    live(h, &l, &place, 5);
    Ebb__HazardState *m = ebb_hazards_save(h);
    for (size_t i = 0; i < m->n_cells; i++) {
        if (m->cells[i]->serial != NULL)
            m->cells[i]->serial->lag1 = NAN;
    }
    assert_true(ebb_hazards_load(g, m, NULL) < 0);
    ebb__hazard_state__free_unpacked(m, NULL);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_seen_means_that_lives_are_their_own),
        cmocka_unit_test(lives_that_follow_their_like_are_told_from_those_that_do_not),
        cmocka_unit_test(a_place_that_was_hardly_seen_is_taken_for_one_like_the_others),
        cmocka_unit_test(siblings_that_end_together_are_one_life),
        cmocka_unit_test(it_is_saved_and_loaded),
        cmocka_unit_test(a_message_with_scores_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
