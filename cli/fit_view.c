/* Ages are told in hours throughout: rates are per hour, and so are the parameters. */
#include "cli/fit_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/table.h"

#define MOST_STEPS 2000 /* of Kaplan-Meier in JSON: beyond it every second, third, ... is told */

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

void ebb_fit_group_clean_up(struct ebb_fit_group *g)
{
    free(g->name);
    json_decref(g->by);
    ebb_lifetimes_clean_up(&g->lifetimes);
    ebb_fit_comparison_clean_up(&g->comparison);
    *g = (struct ebb_fit_group){0};
}

#define NUMBER_SIZE 32

static char *number(double v, int places, char *out)
{
    if (isnan(v))
        (void)snprintf(out, NUMBER_SIZE, "-");
    else if (fabs(v) >= 1e7)
        (void)snprintf(out, NUMBER_SIZE, "%.3g", v);
    else
        (void)snprintf(out, NUMBER_SIZE, "%.*f", places, v);
    return out;
}

static void text_counts(const struct ebb_fit_group *g, struct ebb_buffer *out)
{
    const struct ebb_fit_comparison *c = &g->comparison;
    ebb_buffer_printf(out, "%zu VMs in %.0f VM-hours: %zu revoked, %zu at the cap, %zu stopped\n",
                      g->lifetimes.count, c->exposure_h, c->revoked, c->capped, c->stopped);
    if (c->by_day)
        ebb_buffer_printf(out, "cross-validation: %zu folds of whole days of launch (%zu days)\n\n",
                          c->folds, c->days);
    else
        ebb_buffer_printf(
            out,
            "cross-validation: %zu folds of single VMs, for there are not two days of "
            "launch\n\n",
            c->folds);
}

static void text_models(const struct ebb_fit_comparison *c, bool scored, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new(
        scored ? "model\t>parameters\t>log-likelihood\t>AIC\t>KS\t>cross-validated\t>score\tchosen"
               : "model\t>parameters\t>log-likelihood\t>AIC\t>KS\t>cross-validated\tchosen");
    for (size_t i = 0; i < c->count; i++) {
        const struct ebb_fit_model *m = &c->models[i];
        char cells[6][NUMBER_SIZE];
        const char *mark = i == c->chosen ? "yes" : "";
        (void)number(m->degrees, m->covariates != NULL ? 1 : 0, cells[0]);
        (void)number(m->log_likelihood, 2, cells[1]);
        (void)number(m->aic, 1, cells[2]);
        (void)number(m->ks, 4, cells[3]);
        (void)number(m->cv_log_likelihood, 2, cells[4]);
        (void)number(m->score_log_likelihood, 2, cells[5]);
        if (scored)
            ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", m->name, cells[0], cells[1],
                          cells[2], cells[3], cells[4], cells[5], mark);
        else
            ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s", m->name, cells[0], cells[1], cells[2],
                          cells[3], cells[4], mark);
    }
    ebb_table_render(t, 0, "", out);
}

static void text_parameters(const struct ebb_fit_model *m, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new("parameter\t>value\t>standard error");
    for (size_t k = 0; k < m->parameter_count; k++) {
        const struct ebb_fit_parameter *p = &m->parameters[k];
        char error[NUMBER_SIZE] = "-";
        if (!isnan(p->standard_error))
            (void)snprintf(error, sizeof error, "%.3g", p->standard_error);
        ebb_table_row(t, "%s\t%.6g\t%s", p->name, p->value, error);
    }
    ebb_table_render(t, 0, "", out);
}

void ebb_fit_group_text(const struct ebb_fit_group *g, bool scored, struct ebb_buffer *out)
{
    const struct ebb_fit_comparison *c = &g->comparison;
    text_counts(g, out);
    text_models(c, scored, out);
    ebb_buffer_printf(out, "\n%s, chosen by %s:\n", c->models[c->chosen].name,
                      c->chosen_by_aic ? "AIC (too few revocations to cross-validate)"
                                       : "cross-validated log-likelihood");
    text_parameters(&c->models[c->chosen], out);
}

void ebb_fit_groups_text(const struct ebb_fit_group *groups, size_t count, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new("group\t>VMs\t>revoked\t>VM-hours\t>alive 1 h\t>6 h\t>24 h\tmodel\t>KS");
    for (size_t i = 0; i < count; i++) {
        const struct ebb_fit_group *g = &groups[i];
        const struct ebb_fit_comparison *c = &g->comparison;
        if (!g->fitted) {
            ebb_table_row(t, "%s\t%zu\t0\t%.0f", g->name, g->lifetimes.count,
                          ebb_lifetimes_exposure_h(&g->lifetimes));
            continue;
        }
        char alive[3][NUMBER_SIZE];
        static const double ages[] = {1, 6, 24};
        for (size_t k = 0; k < EBB_ARRAY_LEN(ages); k++)
            (void)number(ages[k] <= c->kaplan_meier.largest_h
                             ? ebb_kaplan_meier_survival(&c->kaplan_meier, ages[k])
                             : NAN,
                         3, alive[k]);
        ebb_table_row(t, "%s\t%zu\t%zu\t%.0f\t%s\t%s\t%s\t%s\t%.3f", g->name, g->lifetimes.count,
                      c->revoked, c->exposure_h, alive[0], alive[1], alive[2],
                      c->models[c->chosen].name, c->models[c->chosen].ks);
    }
    ebb_table_render(t, 0, "", out);
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *json_parameters(const struct ebb_fit_model *m)
{
    json_t *list = json_array();
    for (size_t k = 0; k < m->parameter_count; k++) {
        const struct ebb_fit_parameter *p = &m->parameters[k];
        (void)json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name", p->name, "value",
                                                    real_or_null(p->value), "standard_error",
                                                    real_or_null(p->standard_error)));
    }
    return list;
}

static json_t *json_model(const struct ebb_fit_model *m)
{
    json_t *v =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", m->name, "parameters",
                  json_parameters(m), "log_likelihood", real_or_null(m->log_likelihood),
                  "degrees_of_freedom", real_or_null(m->degrees), "aic", real_or_null(m->aic), "ks",
                  real_or_null(m->ks), "cv_log_likelihood", real_or_null(m->cv_log_likelihood),
                  "score_log_likelihood", real_or_null(m->score_log_likelihood));
    if (isfinite(m->r_squared))
        (void)json_object_set_new(v, "r_squared", json_real(m->r_squared));
    return v;
}

static json_t *json_kaplan_meier(const struct ebb_kaplan_meier *k)
{
    json_t *list = json_array();
    size_t stride = k->count / MOST_STEPS + 1;
    for (size_t i = 0; i < k->count; i += stride) {
        const struct ebb_kaplan_meier_step *s = &k->steps[i];
        (void)json_array_append_new(
            list, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "age_h", s->age_h, "survival",
                            s->survival, "standard_error", s->standard_error, "low", s->low, "high",
                            s->high, "at_risk", s->at_risk, "revoked", s->revoked));
    }
    return list;
}

void ebb_fit_group_json(const struct ebb_fit_group *g, json_t *object)
{
    const struct ebb_fit_comparison *c = &g->comparison;
    json_t *models = json_array();
    if (g->by != NULL)
        (void)json_object_set(object, "by", g->by);
    (void)json_object_set_new(object, "vms", json_integer((json_int_t)g->lifetimes.count));
    (void)json_object_set_new(object, "revoked", json_integer((json_int_t)c->revoked));
    (void)json_object_set_new(object, "exposure_h",
                              json_real(ebb_lifetimes_exposure_h(&g->lifetimes)));
    for (size_t i = 0; i < c->count; i++)
        (void)json_array_append_new(models, json_model(&c->models[i]));
    (void)json_object_set_new(object, "models", models);
    (void)json_object_set_new(object, "chosen",
                              g->fitted ? json_string(c->models[c->chosen].name) : json_null());
    if (!g->fitted)
        return;
    (void)json_object_set_new(object, "capped", json_integer((json_int_t)c->capped));
    (void)json_object_set_new(object, "stopped", json_integer((json_int_t)c->stopped));
    (void)json_object_set_new(object, "cap_h", c->capped > 0 ? json_real(c->limit_h) : json_null());
    (void)json_object_set_new(object, "chosen_by",
                              json_string(c->chosen_by_aic ? "aic" : "cross_validation"));
    (void)json_object_set_new(object, "cross_validation",
                              json_pack("{s:s, s:I, s:I}", "by", c->by_day ? "launch_day" : "vm",
                                        "folds", (json_int_t)c->folds, "days",
                                        (json_int_t)c->days));
    (void)json_object_set_new(object, "kaplan_meier", json_kaplan_meier(&c->kaplan_meier));
}
