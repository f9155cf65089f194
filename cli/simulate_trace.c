/* `ebb simulate --availability`: reads traces, runs the contest, prints it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/chart.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/output_file.h"
#include "cli/simulate.h"
#include "cli/table.h"
#include "simulator/contest.h"
#include "simulator/policies.h"

#define TRACE_BYTES_MAX (256u << 20)
#define NAMES_MAX       32

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int read_traces(const struct ebb_option_texts *files, struct ebb_traces *ret,
                       struct ebb_error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
        EBB_AUTO(ebb_trace_clean_up) struct ebb_trace t = {0};
        int rc = ebb_file_read(files->items[i], TRACE_BYTES_MAX, &bytes, err);
        if (rc == 0)
            rc = ebb_trace_parse(files->items[i], ebb_buffer_text(&bytes), bytes.len, &t, err);
        if (rc == 0)
            rc = ebb_traces_add(ret, &t, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

struct names {
    char *text; /* with NULs for commas */
    const char *items[NAMES_MAX];
    size_t count;
};

static void clean_up_names(struct names *n)
{
    free(n->text);
}

static int read_policies(const char *text, struct names *ret, struct ebb_error *err)
{
    ret->text = ebb_strdup(text);
    if (strcmp(text, "all") == 0) {
        ret->items[ret->count++] = "oracle";
        for (size_t i = 0; ebb_policy_names[i] != NULL; i++)
            ret->items[ret->count++] = ebb_policy_names[i];
        return 0;
    }
    char *save = NULL;
    for (char *w = strtok_r(ret->text, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
        if (ret->count == NAMES_MAX)
            return ebb_error_set(err, EBB_ERR_INPUT, "--policy: more than %d names", NAMES_MAX);
        ret->items[ret->count++] = w;
    }
    if (ret->count == 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "--policy: no name; or say all");
    return 0;
}

static int read_price(const char *option, const char *text, double *ret, struct ebb_error *err)
{
    int rc = ebb_parse_double(text, ret, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "--%s", option) : 0;
}

static int read_rules(const struct ebb_simulate_options *o, struct ebb_onejob_rules *ret,
                      struct ebb_error *err)
{
    struct ebb_onejob_rules r = {.work_s = o->work_s,
                                 .deadline_s = o->deadline_s,
                                 .restart_s = o->restart_s,
                                 .probe_s = o->probe_s,
                                 .checkpoint_s = o->checkpoint_s};
    int rc = read_price("spot-price", o->spot_price, &r.spot_usd_per_hour, err);
    if (rc == 0)
        rc = read_price("on-demand-price", o->on_demand_price, &r.on_demand_usd_per_hour, err);
    if (rc == 0)
        rc = read_price("probe-cost", o->probe_cost, &r.probe_usd, err);
    if (rc < 0)
        return rc;
    /* Young 1974 with a mean life of an hour: SciSpot's own comparison (HPDC'20, section 6.2). */
    r.checkpoint_every_s = sqrt(2 * r.checkpoint_s * 3600);
    *ret = r;
    return 0;
}

static json_t *row_json(const struct ebb_contest_row *row, const struct ebb_traces *traces)
{
    json_t *v = json_object();
    if (row->zone == SIZE_MAX)
        json_object_set_new(v, "name", json_string(row->name));
    else
        json_object_set_new(v, "zone", json_string(traces->items[row->zone].name));
    json_object_set_new(v, "cost_mean", json_real(row->cost_mean));
    json_object_set_new(v, "cost_over_oracle_mean", json_real(row->over_oracle.mean));
    json_object_set_new(v, "cost_over_oracle_low", json_real(row->over_oracle.low));
    json_object_set_new(v, "cost_over_oracle_high", json_real(row->over_oracle.high));
    json_object_set_new(v, "p75", json_real(row->p75));
    json_object_set_new(v, "p95", json_real(row->p95));
    json_object_set_new(v, "deadline_misses", json_integer((json_int_t)row->deadline_misses));
    json_object_set_new(v, "revocations_mean", json_real(row->revocations_mean));
    json_object_set_new(v, "launches_mean", json_real(row->launches_mean));
    json_object_set_new(v, "failed_launches_mean", json_real(row->failed_launches_mean));
    json_object_set_new(v, "wasted_fraction", json_real(row->wasted_fraction));
    json_object_set_new(v, "checkpoint_lost_fraction", json_real(row->checkpoint_lost_fraction));
    json_object_set_new(v, "finish_mean_s", json_real(row->finish_mean_s));
    json_object_set_new(v, "cpu_s", json_real(row->cpu_s));
    return v;
}

static int print_json(const struct ebb_contest *c, const struct ebb_contest_result *r)
{
    json_t *v = ebb_json_new("simulate_availability");
    json_object_set_new(v, "mode", json_string(c->any ? "any" : "each"));
    json_object_set_new(v, "starts", json_integer((json_int_t)r->starts));
    json_object_set_new(v, "oracle_cost_mean", json_real(r->oracle_mean));
    json_t *policies = json_array();
    json_t *zones = NULL;
    for (size_t i = 0; i < r->row_count; i++) {
        json_t *row = row_json(&r->rows[i], c->traces);
        if (r->rows[i].zone != SIZE_MAX) {
            json_array_append_new(zones, row);
            continue;
        }
        zones = json_array();
        if (!c->any)
            json_object_set(row, "zones", zones);
        json_decref(zones); /* the row's, or nobody's */
        json_array_append_new(policies, row);
    }
    json_object_set_new(v, "policies", policies);
    return ebb_json_print(v);
}

static void print_text(const struct ebb_contest *c, const struct ebb_contest_result *r)
{
    struct ebb_table *t = ebb_table_new("policy\t>cost\t>over oracle\t>90 %\t>p75\t>p95\t>missed\t"
                                        ">revoked\t>wasted");
    for (size_t i = 0; i < r->row_count; i++) {
        const struct ebb_contest_row *p = &r->rows[i];
        if (p->zone != SIZE_MAX)
            continue;
        ebb_table_row(t, "%s\t$%.3f\t%.3f\t%.3f to %.3f\t%.3f\t%.3f\t%zu\t%.1f\t%.1f %%", p->name,
                      p->cost_mean, p->over_oracle.mean, p->over_oracle.low, p->over_oracle.high,
                      p->p75, p->p95, p->deadline_misses, p->revocations_mean,
                      100 * p->wasted_fraction);
    }
    ebb_table_print(t);
    ebb_table_destroy(t);
    printf("%zu starts, %s of %zu zone%s; the oracle pays $%.3f on average\n", r->starts,
           c->any ? "any" : "each", c->traces->count, c->traces->count == 1 ? "" : "s",
           r->oracle_mean);
}

/* For each policy, the share of starts that cost at most so many times the oracle. */
static int write_plot(const char *path, const struct ebb_contest *c,
                      const struct ebb_contest_result *r, struct ebb_error *err)
{
    EBB_AUTO(ebb_chart_auto) struct ebb_chart *chart = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer svg = {0};
    double share[EBB_CONTEST_QUANTILES];
    EBB_AUTO_FREE char *title =
        ebb_sprintf("%gh of work in %gh, %s of %zu zones", c->rules.work_s / 3600,
                    c->rules.deadline_s / 3600, c->any ? "any" : "each", c->traces->count);
    chart = ebb_chart_new(title);
    ebb_chart_axis_x(chart, "cost / oracle", EBB_CHART_LINEAR);
    ebb_chart_axis_y(chart, "share of starts", EBB_CHART_LINEAR);
    ebb_chart_range_x(chart, 1, 2);
    ebb_chart_range_y(chart, 0, 1);
    for (int q = 0; q < EBB_CONTEST_QUANTILES; q++)
        share[q] = q / (double)(EBB_CONTEST_QUANTILES - 1);
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].zone == SIZE_MAX && strcmp(r->rows[i].name, "oracle") != 0)
            ebb_chart_line(chart, r->rows[i].name, EBB_CHART_LINE, EBB_CONTEST_QUANTILES,
                           r->rows[i].quantile, share);
    ebb_chart_render(&chart, 1, 1, &svg);
    return ebb_output_file_write(path, svg.data, svg.len, err);
}

static int contest(const struct ebb_simulate_options *o, const struct ebb_traces *traces,
                   const struct ebb_traces *history, const struct names *names,
                   struct ebb_error *err)
{
    EBB_AUTO(ebb_contest_result_clean_up) struct ebb_contest_result result = {0};
    bool apart = history->count > 0;
    struct ebb_contest c = {.traces = traces,
                            .history = {apart ? history : traces, apart ? 1 : 0.5},
                            .any = strcmp(o->mode, "any") == 0,
                            .second_half = !apart,
                            .starts = (size_t)o->starts,
                            .seed = (uint64_t)o->seed,
                            .policies = names->items,
                            .policy_count = names->count};
    int rc = read_rules(o, &c.rules, err);
    if (rc == 0)
        rc = ebb_contest_run(&c, cpu_seconds, &result, err);
    if (rc < 0)
        return rc;
    if (result.below_oracle > 0)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "%zu runs cost less than the lower bound",
                             result.below_oracle);
    if (o->plot != NULL)
        rc = write_plot(o->plot, &c, &result, err);
    if (rc < 0)
        return rc;
    if (o->json)
        return print_json(&c, &result) == 0 ? 0
                                            : ebb_error_set(err, EBB_ERR_IO, "cannot write stdout");
    print_text(&c, &result);
    return 0;
}

int ebb_simulate_trace(const struct ebb_simulate_options *o, struct ebb_error *err)
{
    EBB_AUTO(ebb_traces_clean_up) struct ebb_traces traces = {0};
    EBB_AUTO(ebb_traces_clean_up) struct ebb_traces history = {0};
    EBB_AUTO(clean_up_names) struct names names = {0};
    int rc = ebb_output_file_check(o->plot, err);
    if (rc == 0)
        rc = read_policies(o->policy, &names, err);
    if (rc == 0)
        rc = read_traces(&o->availability, &traces, err);
    if (rc == 0)
        rc = read_traces(&o->history, &history, err);
    return rc < 0 ? rc : contest(o, &traces, &history, &names, err);
}
