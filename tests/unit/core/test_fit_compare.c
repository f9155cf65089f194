/* The comparison: the law that made the data is chosen, folds are whole days, few data say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "scheduler/core/fit_compare.h"
#include "tests/unit/core/lifetimes.h"

static const struct ebb_fit_model *find(const struct ebb_fit_comparison *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->models[i].name, name) == 0)
            return &c->models[i];
    }
    fail_msg("no model %s", name);
    return &c->models[0];
}

static void draw_mixture(struct ebb_lifetimes *l, uint64_t seed, int vms)
{
    struct ebb_random r;
    ebb_random_seed(&r, seed);
    for (int i = 0; i < vms; i++) {
        double early = ebb_random_uniform(&r) < 0.7 ? INFINITY : draw_weibull(&r, 1.5, 0.8);
        add_censored(l, &r, fmin(early, ebb_random_exponential(&r, 100)), 40, 24, "n1-highcpu-2",
                     "us-east1-b", i % 20);
    }
}

static void the_law_that_made_the_data_is_near_and_a_constant_hazard_far(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0}, other = {0};
    draw_mixture(&l, 31, 1500);
    draw_mixture(&other, 32, 1500);
    EBB_AUTO(ebb_fit_comparison_clean_up) struct ebb_fit_comparison c = {0};
    struct ebb_fit_options o = {.cap_h = 24, .score = &other};
    assert_int_equal(ebb_fit_compare(&l, &o, &c, NULL), 0);
    const struct ebb_fit_model *chosen = &c.models[c.chosen];
    const struct ebb_fit_model *constant = find(&c, "exponential");
    assert_int_equal(c.count, EBB_FIT_FAMILIES); /* one place only: no covariate model */
    assert_true(chosen->ks < 0.02);
    assert_true(constant->ks > 0.05);
    assert_true(chosen->cv_log_likelihood > constant->cv_log_likelihood + 50);
    /* Cross-validation foretells the score of data of the same law. */
    assert_true(fabs(chosen->cv_log_likelihood - chosen->score_log_likelihood) <
                0.15 * fabs(chosen->cv_log_likelihood));
    assert_true(c.by_day && c.folds == 5 && c.days == 20);
    for (size_t i = 0; i < c.count; i++) {
        assert_true(c.models[i].cv_log_likelihood <= chosen->cv_log_likelihood);
        assert_true(c.models[i].aic == 2 * (c.models[i].degrees - c.models[i].log_likelihood));
    }
    ebb_lifetimes_clean_up(&other);
}

static void the_same_data_give_the_same_bits(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    draw_mixture(&l, 33, 300);
    struct ebb_fit_options o = {.cap_h = 24};
    struct ebb_fit_comparison a, b;
    assert_int_equal(ebb_fit_compare(&l, &o, &a, NULL), 0);
    assert_int_equal(ebb_fit_compare(&l, &o, &b, NULL), 0);
    assert_int_equal(a.chosen, b.chosen);
    for (size_t i = 0; i < a.count; i++) {
        assert_memory_equal(&a.models[i].log_likelihood, &b.models[i].log_likelihood, 8);
        assert_memory_equal(&a.models[i].cv_log_likelihood, &b.models[i].cv_log_likelihood, 8);
    }
    ebb_fit_comparison_clean_up(&a);
    ebb_fit_comparison_clean_up(&b);
}

static void folds_are_whole_days_in_turn(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    static const int days[] = {107, 100, 103, 100, 120, 104, 105, 107};
    static const size_t want[] = {0, 0, 1, 0, 1, 2, 3, 0}; /* 100 103 104 105 107 120 */
    for (size_t i = 0; i < EBB_ARRAY_LEN(days); i++)
        add_life(&l, 1, EBB_LIFETIME_STOPPED, NULL, NULL, days[i]);
    size_t fold[EBB_ARRAY_LEN(days)], count;
    bool by_day;
    assert_int_equal(ebb_fit_folds(&l, fold, &by_day, &count), 5);
    assert_true(by_day && count == 6);
    for (size_t i = 0; i < EBB_ARRAY_LEN(days); i++)
        assert_int_equal(fold[i], days[i] == 107 ? 4 : days[i] == 120 ? 0 : want[i]);
}

static void without_days_single_vms_are_left_out(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    for (int i = 0; i < 7; i++)
        add_life(&l, 1, EBB_LIFETIME_STOPPED, NULL, NULL, EBB_DAY_UNKNOWN);
    size_t fold[7], count;
    bool by_day;
    assert_int_equal(ebb_fit_folds(&l, fold, &by_day, &count), 5);
    assert_false(by_day);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(fold[i], i % 5);
}

static void nothing_revoked_is_an_error_and_little_a_simple_model(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    struct ebb_error err = {0};
    struct ebb_fit_options o = {0};
    EBB_AUTO(ebb_fit_comparison_clean_up) struct ebb_fit_comparison c = {0};
    add_life(&l, 5, EBB_LIFETIME_STOPPED, NULL, NULL, EBB_DAY_UNKNOWN);
    assert_int_equal(ebb_fit_compare(&l, &o, &c, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "none of 1 VMs was revoked: there is nothing to fit");
    add_life(&l, 3, EBB_LIFETIME_REVOKED, NULL, NULL, EBB_DAY_UNKNOWN);
    assert_int_equal(ebb_fit_compare(&l, &o, &c, &err), 0);
    assert_true(c.chosen_by_aic);
    assert_string_equal(c.models[c.chosen].name, "exponential");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_law_that_made_the_data_is_near_and_a_constant_hazard_far),
        cmocka_unit_test(the_same_data_give_the_same_bits),
        cmocka_unit_test(folds_are_whole_days_in_turn),
        cmocka_unit_test(without_days_single_vms_are_left_out),
        cmocka_unit_test(nothing_revoked_is_an_error_and_little_a_simple_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
