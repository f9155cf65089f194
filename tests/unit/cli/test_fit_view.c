/* Fitted lifetimes as text, JSON and picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "cli/fit_view.h"
#include "tests/unit/core/lifetimes.h"

static void make_group(struct ebb_fit_group *g)
{
    struct ebb_random r;
    ebb_random_seed(&r, 5);
    for (int i = 0; i < 200; i++)
        add_censored(&g->lifetimes, &r, draw_weibull(&r, 30, 0.6), 40, 24, "c5.large", "us-east-1a",
                     i % 8);
    struct ebb_fit_options o = {.cap_h = 24};
    assert_int_equal(ebb_fit_compare(&g->lifetimes, &o, &g->comparison, NULL), 0);
    g->fitted = true;
}

static void json_has_each_model_and_null_where_nothing_is_known(void **state)
{
    (void)state;
    EBB_AUTO(ebb_fit_group_clean_up) struct ebb_fit_group g = {0};
    make_group(&g);
    json_t *v = json_object();
    ebb_fit_group_json(&g, v);
    json_t *models = json_object_get(v, "models");
    assert_int_equal(json_array_size(models), EBB_FIT_FAMILIES);
    assert_int_equal(json_array_size(json_object_get(v, "kaplan_meier")),
                     g.comparison.kaplan_meier.count);
    const struct ebb_fit_model *chosen = &g.comparison.models[g.comparison.chosen];
    assert_string_equal(json_string_value(json_object_get(v, "chosen")), chosen->name);
    for (size_t i = 0; i < json_array_size(models); i++) {
        json_t *m = json_array_get(models, i);
        assert_true(json_is_null(json_object_get(m, "score_log_likelihood")));
        assert_true(json_is_real(json_object_get(m, "ks")));
        bool least_squares = strcmp(g.comparison.models[i].name, "bathtub") == 0;
        assert_true((json_object_get(m, "r_squared") != NULL) == least_squares);
    }
    json_decref(v);
}

static void a_group_without_revocations_has_no_model(void **state)
{
    (void)state;
    EBB_AUTO(ebb_fit_group_clean_up)
    struct ebb_fit_group g = {.name = ebb_strdup("x"), .by = json_pack("{s:s}", "type", "x")};
    add_life(&g.lifetimes, 5, EBB_LIFETIME_STOPPED, "x", NULL, 0);
    json_t *v = json_object();
    ebb_fit_group_json(&g, v);
    assert_true(json_is_null(json_object_get(v, "chosen")));
    assert_int_equal(json_array_size(json_object_get(v, "models")), 0);
    assert_true(json_real_value(json_object_get(v, "exposure_h")) == 5);
    json_decref(v);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_fit_groups_text(&g, 1, &out);
    assert_non_null(strstr(ebb_buffer_text(&out), "x        1        0         5"));
}

static void text_marks_the_model_that_is_chosen(void **state)
{
    (void)state;
    EBB_AUTO(ebb_fit_group_clean_up) struct ebb_fit_group g = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    make_group(&g);
    ebb_fit_group_text(&g, false, &out);
    const char *text = ebb_buffer_text(&out), *name = g.comparison.models[g.comparison.chosen].name;
    const char *row = strstr(text, name), *end = row == NULL ? NULL : strchr(row, '\n');
    assert_non_null(end);
    assert_int_equal(strncmp(end - 3, "yes", 3), 0);
    assert_non_null(strstr(text, "chosen by cross-validated log-likelihood"));
}

static void the_picture_is_the_same_each_time(void **state)
{
    (void)state;
    EBB_AUTO(ebb_fit_group_clean_up) struct ebb_fit_group g = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer a = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    make_group(&g);
    ebb_fit_plot(&g, NULL, 0, &a);
    ebb_fit_plot(&g, NULL, 0, &b);
    assert_string_equal(ebb_buffer_text(&a), ebb_buffer_text(&b));
    assert_null(strstr(ebb_buffer_text(&a), "nan"));
    assert_non_null(strstr(ebb_buffer_text(&a), "Kaplan-Meier"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_each_model_and_null_where_nothing_is_known),
        cmocka_unit_test(a_group_without_revocations_has_no_model),
        cmocka_unit_test(text_marks_the_model_that_is_chosen),
        cmocka_unit_test(the_picture_is_the_same_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
