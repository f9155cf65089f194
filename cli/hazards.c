/* `ebb hazards`: what is known of revocations and outages, as a table, JSON or a plot. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/chart.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/options.h"
#include "cli/client.h"
#include "cli/hazards.h"
#include "cli/json_out.h"
#include "cli/output_file.h"
#include "cli/prices_file.h"
#include "cli/table.h"
#include "scheduler/core/catalogue.h"

extern const struct ebb_command ebb_command_hazards;

#define MOST_CURVES 7

static bool as_json, show_all;
static const char *plot_path;

static const char *const age_names[EBB_AGE_BINS] = {"<15m",  "<1h",    "1-3h", "3-6h",
                                                    "6-12h", "12-24h", ">24h"};

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

struct view {
    struct ebb_hazards *hazards;
    struct ebb_catalogue *catalogue; /* imported: its priors; NULL: the built-in ones */
    int64_t now_wall_ns;
    double scale; /* billed seconds a second */
};

/* One place with all that is shown of it; rates per billed hour. */
struct entry {
    enum ebb_rate rate;
    struct ebb_place place;
    double hours, events, per_hour[EBB_AGE_BINS], sd[EBB_AGE_BINS];
    uint32_t resets;
};

static const char *level_of(const struct ebb_place *p)
{
    if (p->zone[0] != '\0')
        return "zone";
    if (p->region[0] != '\0')
        return "region";
    return p->type[0] != '\0' ? "type" : "all";
}

static void fill(const struct view *v, struct entry *e)
{
    ebb_hazards_table(v->hazards, e->rate, &e->place, v->now_wall_ns, e->per_hour, e->sd);
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        e->per_hour[b] /= v->scale;
        e->sd[b] /= v->scale;
    }
    ebb_hazards_seen(v->hazards, e->rate, &e->place, v->now_wall_ns, &e->hours, &e->events,
                     &e->resets);
}

/* The next place to show; with `every` also the levels between a zone and all. */
static bool next_entry(const struct view *v, size_t *cursor, bool every, struct entry *ret)
{
    while (ebb_hazards_next(v->hazards, cursor, &ret->rate, &ret->place)) {
        const char *level = level_of(&ret->place);
        if (!every && (strcmp(level, "type") == 0 || strcmp(level, "region") == 0))
            continue;
        fill(v, ret);
        return true;
    }
    return false;
}

static json_t *numbers(const double values[EBB_AGE_BINS])
{
    json_t *list = json_array();
    for (int b = 0; b < EBB_AGE_BINS; b++)
        json_array_append_new(list, json_real(values[b]));
    return list;
}

static json_t *entry_json(const struct entry *e)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:i, s:o, s:o}", "rate",
                     e->rate == EBB_RATE_REVOCATION ? "revocation" : "recovery", "level",
                     level_of(&e->place), "provider", e->place.provider, "region", e->place.region,
                     "zone", e->place.zone, "type", e->place.type, "hours", e->hours, "events",
                     e->events, "resets", (int)e->resets, "per_hour", numbers(e->per_hour), "sd",
                     numbers(e->sd));
}

static int print_json(const struct view *v)
{
    json_t *out = ebb_json_new("hazards"), *ages = json_array(), *places = json_array();
    for (int b = 0; b < EBB_AGE_BINS; b++)
        json_array_append_new(ages, json_real(ebb_age_bin_from_s[b]));
    struct entry e;
    size_t cursor = 0;
    while (next_entry(v, &cursor, true, &e))
        json_array_append_new(places, entry_json(&e));
    json_object_set_new(out, "at", ebb_json_time(v->now_wall_ns));
    json_object_set_new(out, "age_from_s", ages);
    json_object_set_new(out, "places", places);
    return ebb_json_print(out);
}

static void add_row(struct ebb_table *t, const struct entry *e)
{
    char cells[EBB_AGE_BINS][16], place[200];
    for (int b = 0; b < EBB_AGE_BINS; b++)
        (void)snprintf(cells[b], sizeof cells[b], "%.2g", e->per_hour[b]);
    const struct ebb_place *p = &e->place;
    (void)snprintf(place, sizeof place, "%s\t%s", p->type[0] != '\0' ? p->type : "(all)",
                   p->zone[0] != '\0' ? p->zone : p->region);
    ebb_table_row(t, "%s\t%.1f\t%.1f\t%s\t%s\t%s\t%s\t%s\t%s\t%s", place, e->hours, e->events,
                  cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]);
}

static void print_rate(const struct view *v, enum ebb_rate rate, const char *title,
                       const char *events)
{
    EBB_AUTO_FREE char *header =
        ebb_sprintf("TYPE\tZONE\t>HOURS\t>%s\t>%s\t>%s\t>%s\t>%s\t>%s\t>"
                    "%s\t>%s",
                    events, age_names[0], age_names[1], age_names[2], age_names[3], age_names[4],
                    age_names[5], age_names[6]);
    EBB_AUTO(table_auto) struct ebb_table *t = ebb_table_new(header);
    struct entry e;
    size_t cursor = 0;
    while (next_entry(v, &cursor, show_all, &e)) {
        if (e.rate == rate)
            add_row(t, &e);
    }
    if (ebb_table_row_count(t) == 0)
        return;
    (void)printf("%s\n", title);
    ebb_table_print(t);
}

static int print_text(const struct view *v)
{
    size_t cursor = 0;
    struct entry e;
    if (!next_entry(v, &cursor, true, &e)) {
        (void)puts("No VM has been seen yet: the built-in interruption bands hold.");
        return 0;
    }
    print_rate(v, EBB_RATE_REVOCATION, "Revocations an hour, by the VM's age:", "REVOKED");
    print_rate(v, EBB_RATE_RECOVERY, "\nEnds of outages an hour, by the outage's age:", "ENDED");
    return 0;
}

/* ---- the plot ---- */

/* Steps over age; the last bin is drawn to two days. */
static void add_curve(struct ebb_chart *c, const struct entry *e)
{
    double x[EBB_AGE_BINS + 1], y[EBB_AGE_BINS + 1], low[EBB_AGE_BINS + 1], high[EBB_AGE_BINS + 1];
    for (int b = 0; b <= EBB_AGE_BINS; b++) {
        int from = b < EBB_AGE_BINS ? b : EBB_AGE_BINS - 1;
        x[b] = b < EBB_AGE_BINS ? ebb_age_bin_from_s[b] / 3600 : 48;
        y[b] = e->per_hour[from];
        low[b] = fmax(y[b] / 20, y[b] - e->sd[from]);
        high[b] = y[b] + e->sd[from];
    }
    const struct ebb_place *p = &e->place;
    EBB_AUTO_FREE char *name = ebb_sprintf("%s %s", p->type[0] != '\0' ? p->type : "all", p->zone);
    ebb_chart_line(c, name, EBB_CHART_STEP, EBB_AGE_BINS + 1, x, y);
    ebb_chart_keep_colour(c);
    ebb_chart_band(c, NULL, EBB_CHART_STEP, EBB_AGE_BINS + 1, x, low, high);
}

/* All places together, and the zones that were seen longest. */
static void add_curves(const struct view *v, enum ebb_rate rate, struct ebb_chart *c)
{
    struct entry best[MOST_CURVES], e;
    size_t count = 0, cursor = 0;
    while (next_entry(v, &cursor, false, &e)) {
        if (e.rate != rate)
            continue;
        size_t at = count < MOST_CURVES ? count++ : count;
        for (; at > 0 && best[at - 1].hours < e.hours; at--) {
            if (at < MOST_CURVES)
                best[at] = best[at - 1];
        }
        if (at < MOST_CURVES)
            best[at] = e;
    }
    for (size_t i = 0; i < count; i++)
        add_curve(c, &best[i]);
}

static int plot(const struct view *v, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer svg = {0};
    struct ebb_chart *panels[EBB_RATES];
    const char *const titles[EBB_RATES] = {"Revocations", "Ends of outages"};
    for (int r = 0; r < EBB_RATES; r++) {
        panels[r] = ebb_chart_new(titles[r]);
        ebb_chart_axis_x(panels[r], r == 0 ? "age of the VM" : "age of the outage",
                         EBB_CHART_HOURS);
        ebb_chart_axis_y(panels[r], "per hour", EBB_CHART_LOG);
        add_curves(v, (enum ebb_rate)r, panels[r]);
    }
    ebb_chart_render(panels, EBB_RATES, 2, &svg);
    for (int r = 0; r < EBB_RATES; r++)
        ebb_chart_destroy(panels[r]);
    return ebb_output_file_write(plot_path, svg.data, svg.len, err);
}

/* ---- the command ---- */

static int load(const char *path, struct view *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__HazardState *file = NULL;
    int rc = path != NULL ? ebb_hazards_file_read(path, &file, err)
                          : ebb_ask_hazards(NULL, NULL, &a, err);
    if (rc < 0)
        return rc;
    if (ebb_prices_load(&ret->catalogue, err) == NULL) {
        if (file != NULL)
            ebb__hazard_state__free_unpacked(file, NULL);
        return err->code;
    }
    const Ebb__HazardState *m = file != NULL ? file : a->hazards->state;
    ret->scale = a != NULL && a->hazards->bill_time_scale > 0 ? a->hazards->bill_time_scale : 1;
    ret->now_wall_ns = a != NULL ? a->hazards->wall_ns : ebb_wall_ns(NULL);
    ret->hazards = ebb_hazards_new(m->half_life_s);
    ebb_hazards_set_prior_source(ret->hazards, ebb_catalogue_prior, ret->catalogue);
    ebb_hazards_set_time_scale(ret->hazards, ret->scale);
    rc = ebb_hazards_load(ret->hazards, m, err);
    if (file != NULL)
        ebb__hazard_state__free_unpacked(file, NULL);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s", path != NULL ? path : "scheduler");
    return 0;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    struct view v = {0};
    int rc = load(argc > 0 ? argv[0] : NULL, &v, &err);
    EBB_AUTO(ebb_hazards_auto) struct ebb_hazards *owned = v.hazards;
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = v.catalogue;
    (void)imported;
    if (rc == 0 && plot_path != NULL)
        rc = plot(&v, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    (void)owned;
    return as_json ? print_json(&v) : print_text(&v);
}

static const struct ebb_option options[] = {
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = "all",
     .target = &show_all,
     .help = "Also the levels between a zone and all: types, and types in a region."},
    {.name = "plot",
     .kind = EBB_OPTION_TEXT,
     .target = &plot_path,
     .value = "FILE",
     .help = "Draw the rates by age into an SVG file."},
    {.name = NULL},
};

const struct ebb_command ebb_command_hazards = {
    .name = "hazards",
    .arguments = "[FILE]",
    .summary = "Show what was learned of revocations and outages, by place and age",
    .details = "HOURS and REVOKED are what was seen, old hours discounted by half every two days. "
               "The rates are posterior means: where little was seen they lean on the level above, "
               "and at last on the built-in interruption bands. FILE is one of 'ebb hazards "
               "export'; without it the scheduler is asked.",
    .options = options,
    .min_arguments = 0,
    .max_arguments = 1,
    .run = run,
};
