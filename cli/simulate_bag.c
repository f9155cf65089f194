/* `ebb simulate BAG.yaml`: a bag on a fleet in simulated time. The report is made and printed by
 * the code that `ebb report` uses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/event_json.h"
#include "cli/json_out.h"
#include "cli/prices_file.h"
#include "cli/report_view.h"
#include "cli/simulate_bag.h"
#include "cli/submit_inputs.h"
#include "cli/table.h"
#include "cloud/emulator/fleet.h"
#include "scheduler/core/ledger.h"
#include "simulator/outcomes.h"

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)
EBB_DEFINE_AUTO_PTR(fleet_auto, struct ebb_fleet, ebb_fleet_destroy)

struct simulating {
    const struct ebb_simulate_bag_options *o;
    struct ebb_bag_file bag;
    struct ebb_simulation_options options;
    struct ebb_catalogue *imported;
    uint8_t sha256[32];
    FILE *events;
    int write_error;
    Ebb__Report *report; /* of the first run */
    struct ebb_outcome *outcomes;
    size_t count;
};

static void simulating_clean_up(struct simulating *s)
{
    ebb_bag_file_clean_up(&s->bag);
    ebb_catalogue_event_destroy(s->options.catalogue);
    ebb_catalogue_destroy(s->imported);
    free(s->outcomes);
    if (s->report != NULL)
        ebb__report__free_unpacked(s->report, NULL);
    if (s->events != NULL && s->events != stdout)
        (void)fclose(s->events);
}

static const char nothing[] = "nothing was simulated";

static int read_bag(const char *path, struct ebb_bag_file *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    int rc = ebb_bag_file_read(path, ret, &faults, err);
    return ebb_faults_tell(rc, path, &faults, nothing, err);
}

static int read_fleet(const char *path, struct ebb_fleet **ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    int rc =
        path != NULL ? ebb_fleet_load(path, ret, &faults, err) : ebb_fleet_load_default(ret, err);
    return ebb_faults_tell(rc, path, &faults, nothing, err);
}

static int write_event(void *ctx, const Ebb__Event *e)
{
    struct simulating *s = ctx;
    json_t *v = ebb_event_json(e);
    int rc = json_dumpf(v, s->events, JSON_COMPACT);
    json_decref(v);
    if (rc == 0 && fputc('\n', s->events) != EOF)
        return 0;
    s->write_error = errno != 0 ? errno : EIO;
    return -1;
}

static int open_events(struct simulating *s, struct ebb_error *err)
{
    if (s->o->events == NULL)
        return 0;
    s->events = strcmp(s->o->events, "-") == 0 ? stdout : fopen(s->o->events, "we");
    if (s->events == NULL)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "--events %s", s->o->events);
    return 0;
}

static int check_options(struct simulating *s, struct ebb_error *err)
{
    const struct ebb_simulate_bag_options *o = s->o;
    struct ebb_simulation_options *to = &s->options;
    if (o->as_json && o->events != NULL && strcmp(o->events, "-") == 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "--json and --events - both print to stdout: write the events into a "
                             "file");
    ebb_simulation_defaults(o->timings == NULL || strcmp(o->timings, "emulated") == 0, to);
    return ebb_simulated_jobs_apply(&o->jobs, 0, to, err);
}

static int run_one(struct simulating *s, size_t i, struct ebb_error *err)
{
    struct ebb_simulation run;
    s->options.seed = (uint64_t)s->o->seed + i;
    s->options.event = i == 0 && s->events != NULL ? write_event : NULL;
    s->options.ctx = s;
    int rc = ebb_simulation_run(&s->options, &run, err);
    if (rc < 0)
        return rc;
    if (i == 0)
        s->report = ebb_report_new(run.state, run.state->bags[0], run.end_wall_ns,
                                   s->o->with_jobs || s->o->as_json);
    ebb_outcome_of(&run, &s->outcomes[i]);
    ebb_simulation_clean_up(&run);
    if (i == 0 && s->events != NULL && s->write_error == 0 && fflush(s->events) != 0)
        s->write_error = errno;
    if (s->write_error != 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, s->write_error, "--events %s", s->o->events);
    return 0;
}

static int run_all(struct simulating *s, struct ebb_error *err)
{
    int rc = 0;
    s->count = (size_t)s->o->runs;
    s->outcomes = ebb_alloc_array(s->count, sizeof *s->outcomes);
    for (size_t i = 0; rc == 0 && i < s->count; i++)
        rc = run_one(s, i, err);
    return rc;
}

/* ---- output ---- */

static void usd_row(struct ebb_table *t, const struct ebb_spread *x)
{
    ebb_table_row(t, "cost\t$%.4g\t$%.2g\t$%.4g\t$%.4g\t$%.4g", x->mean, x->sd, x->p5, x->p50,
                  x->p95);
}

static void time_row(struct ebb_table *t, const struct ebb_spread *x)
{
    char text[5][EBB_QUANTITY_TEXT_SIZE];
    ebb_table_row(t, "finish\t%s\t%s\t%s\t%s\t%s", ebb_format_duration(x->mean, text[0]),
                  ebb_format_duration(x->sd, text[1]), ebb_format_duration(x->p5, text[2]),
                  ebb_format_duration(x->p50, text[3]), ebb_format_duration(x->p95, text[4]));
}

static void print_spread(const struct simulating *s)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new("RUNS\t>MEAN\t>SD\t>5 %\t>MEDIAN\t>95 %");
    struct ebb_outcome_summary sum;
    ebb_outcomes_summarise(s->outcomes, s->count, &sum);
    usd_row(t, &sum.usd);
    time_row(t, &sum.finish_s);
    const struct ebb_spread *r = &sum.revocations;
    ebb_table_row(t, "revocations\t%.3g\t%.2g\t%.3g\t%.3g\t%.3g", r->mean, r->sd, r->p5, r->p50,
                  r->p95);
    ebb_buffer_printf(&out, "\n%zu runs, seeds %lld to %lld; every job done in %.0f %%\n", s->count,
                      (long long)s->o->seed, (long long)s->o->seed + (long long)s->count - 1,
                      sum.done * 100);
    ebb_table_render(t, 0, "", &out);
    (void)fputs(ebb_buffer_text(&out), stdout);
}

static json_t *spread_json(const struct ebb_spread *x)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mean", x->mean, "sd", x->sd, "p5", x->p5, "p50",
                     x->p50, "p95", x->p95);
}

static int print_json(const struct simulating *s)
{
    json_t *v = ebb_json_new("simulate"), *runs = json_array();
    struct ebb_outcome_summary sum;
    ebb_outcomes_summarise(s->outcomes, s->count, &sum);
    (void)json_object_set_new(v, "seed", json_integer((json_int_t)s->o->seed));
    (void)json_object_set_new(v, "report", ebb_json_of_message(&s->report->base));
    for (size_t i = 0; i < s->count; i++) {
        const struct ebb_outcome *x = &s->outcomes[i];
        json_array_append_new(runs,
                              json_pack("{s:I, s:f, s:f, s:b, s:I, s:I, s:f, s:f}", "seed",
                                        (json_int_t)(s->o->seed + (int64_t)i), "cost_usd", x->usd,
                                        "finish_s", x->finish_s, "done", x->is_done, "revocations",
                                        (json_int_t)x->revocations, "vms", (json_int_t)x->vms,
                                        "useful_s", x->useful_s, "lost_s", x->lost_s));
    }
    (void)json_object_set_new(v, "runs", runs);
    (void)json_object_set_new(v, "cost_usd", spread_json(&sum.usd));
    (void)json_object_set_new(v, "finish_s", spread_json(&sum.finish_s));
    (void)json_object_set_new(v, "revocations", spread_json(&sum.revocations));
    (void)json_object_set_new(v, "done", json_real(sum.done));
    return ebb_json_print(v);
}

static int print(const struct simulating *s)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    if (s->o->as_json)
        return print_json(s);
    if (s->events == stdout)
        return fflush(stdout) == 0 ? 0 : 1;
    ebb_report_text(s->report, s->o->with_jobs, &out);
    (void)fputs(ebb_buffer_text(&out), stdout);
    if (s->count > 1)
        print_spread(s);
    return fflush(stdout) == 0 ? 0 : 1;
}

int ebb_simulate_bag(const struct ebb_simulate_bag_options *o, const char *bag_path)
{
    struct ebb_error err = {0};
    EBB_AUTO(fleet_auto) struct ebb_fleet *fleet = NULL;
    EBB_AUTO(simulating_clean_up) struct simulating s = {.o = o};
    int rc = check_options(&s, &err);
    if (rc == 0)
        rc = read_bag(bag_path, &s.bag, &err);
    if (rc == 0)
        rc = read_fleet(o->fleet, &fleet, &err);
    if (rc == 0)
        rc = ebb_prices_event(&s.imported, s.sha256, &s.options.catalogue, &err);
    if (rc == 0)
        rc = open_events(&s, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    s.options.fleet = fleet;
    s.options.spec = s.bag.spec;
    if (run_all(&s, &err) < 0)
        return ebb_command_fail(&err);
    return print(&s);
}
