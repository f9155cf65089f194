/* `ebb prices`: the catalogue of VM types, searched, sorted, replaced and written out. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/prices_file.h"
#include "cli/table.h"

extern const struct ebb_command ebb_command_prices;
extern const struct ebb_command ebb_command_prices_import;
extern const struct ebb_command ebb_command_prices_export;

static const char *gpu;
static const char *region;
static const char *provider;
static const char *type;
static int64_t cpus;
static int64_t gpus;
static const char *memory;
static const char *sort_by = "spot";
static int64_t limit;
static bool as_json;
static bool built_in;

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

typedef const struct ebb_catalogue_offer *offer_ptr;

/* One of the words of a list with commas matches. */
static bool any_word(const char *list, const char *value,
                     bool (*matches)(const char *value, const char *word))
{
    for (const char *p = list; *p != '\0';) {
        size_t len = strcspn(p, ",");
        EBB_AUTO_FREE char *word = ebb_strndup(p, len);
        if (matches(value, word))
            return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static bool glob_matches(const char *value, const char *word)
{
    return fnmatch(word, value, 0) == 0;
}

static bool wanted(offer_ptr o, uint64_t memory_bytes)
{
    return (gpu == NULL || any_word(gpu, o->gpu_model, ebb_catalogue_gpu_matches)) &&
           (region == NULL || any_word(region, o->region, glob_matches)) &&
           (provider == NULL || any_word(provider, o->provider, glob_matches)) &&
           (type == NULL || any_word(type, o->type, glob_matches)) && o->cpus >= (double)cpus &&
           o->gpus >= (uint64_t)gpus && o->memory_bytes >= memory_bytes;
}

/* Micro-dollars; offers without spot price come last. */
static double spot_of(offer_ptr o)
{
    return o->spot_usd_micros_per_hour > 0 ? (double)o->spot_usd_micros_per_hour : INFINITY;
}

static double sort_key(offer_ptr o)
{
    double on_demand = (double)o->on_demand_usd_micros_per_hour;
    double many = o->gpus > 0 ? o->gpus : INFINITY;
    if (strcmp(sort_by, "on-demand") == 0)
        return on_demand;
    if (strcmp(sort_by, "spot-per-gpu") == 0)
        return isinf(many) ? INFINITY : spot_of(o) / many;
    if (strcmp(sort_by, "spot-per-cpu") == 0)
        return o->cpus > 0 ? spot_of(o) / o->cpus : INFINITY;
    if (strcmp(sort_by, "interruption") == 0)
        return o->band == EBB_BAND_UNKNOWN ? INFINITY : o->band;
    return strcmp(sort_by, "spot") == 0 ? spot_of(o) : 0;
}

static int by_key(const void *a, const void *b)
{
    offer_ptr x = *(const offer_ptr *)a, y = *(const offer_ptr *)b;
    double kx = sort_key(x), ky = sort_key(y);
    if (kx != ky)
        return kx < ky ? -1 : 1;
    int order = strcmp(sort_by, "region") == 0 ? strcmp(x->region, y->region) : 0;
    if (order == 0)
        order = strcmp(x->provider, y->provider);
    if (order == 0)
        order = strcmp(x->type, y->type);
    return order != 0 ? order : strcmp(x->region, y->region);
}

/* The offers asked for, sorted; malloc'ed. */
static offer_ptr *select_offers(const struct ebb_catalogue *c, uint64_t memory_bytes,
                                size_t *ret_count)
{
    offer_ptr *list = ebb_alloc_array(c->count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (wanted(&c->offers[i], memory_bytes))
            list[count++] = &c->offers[i];
    }
    qsort(list, count, sizeof *list, by_key);
    *ret_count = limit > 0 && (uint64_t)limit < count ? (size_t)limit : count;
    return list;
}

static void text_row(struct ebb_table *t, offer_ptr o)
{
    char gpu_text[160] = "", disk[32] = "", spot[EBB_QUANTITY_TEXT_SIZE] = "-",
         on_demand[EBB_QUANTITY_TEXT_SIZE], share[16] = "-";
    if (o->gpus > 0)
        (void)snprintf(gpu_text, sizeof gpu_text, "%ux %s", o->gpus, o->gpu_model);
    if (o->local_disk_bytes > 0)
        (void)snprintf(disk, sizeof disk, "%.0f", (double)o->local_disk_bytes / 1e9);
    if (o->spot_usd_micros_per_hour > 0) {
        (void)ebb_format_usd(o->spot_usd_micros_per_hour, spot);
        (void)snprintf(share, sizeof share, "%.0f %%",
                       100.0 * (double)o->spot_usd_micros_per_hour /
                           fmax(1, (double)o->on_demand_usd_micros_per_hour));
    }
    ebb_table_row(t, "%s\t%s\t%s\t%g\t%.0f\t%s\t%.0f\t%s\t%g\t%s\t%s\t%s\t%s", o->provider,
                  o->region, o->type, o->cpus, (double)o->memory_bytes / 0x1p30, gpu_text,
                  (double)o->gpu_memory_bytes / 0x1p30, disk, o->network_gbps,
                  ebb_format_usd(o->on_demand_usd_micros_per_hour, on_demand), spot, share,
                  ebb_band_name(o->band));
}

static void print_source(const struct ebb_catalogue *c, FILE *to)
{
    double age = ebb_prices_age_days(c, ebb_wall_ns(NULL));
    (void)fprintf(to, "prices %s", c->source);
    if (age >= 0)
        (void)fprintf(to, ", of %s (%.0f days old)", c->dated, floor(age));
    (void)fputs(": typical for spot, not what a cloud asks now\n", to);
}

static int print_text(const struct ebb_catalogue *c, const offer_ptr *list, size_t count)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new(
        "cloud\tregion\ttype\t>CPUs\t>GiB\tGPU\t>GPU GiB\t>disk GB\t>Gbit/s\t>on demand/h\t"
        ">spot/h\t>share\tinterrupted %");
    for (size_t i = 0; i < count; i++)
        text_row(t, list[i]);
    ebb_table_print(t);
    print_source(c, stderr);
    return ferror(stdout) || fflush(stdout) != 0 ? 1 : 0;
}

static json_t *json_offer(offer_ptr o)
{
    json_t *v = json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:s, s:i, s:f, s:f, s:f, s:o, s:o, s:s, s:f}", "provider",
        o->provider, "region", o->region, "type", o->type, "cpus", o->cpus, "memory_gib",
        (double)o->memory_bytes / 0x1p30, "gpu", o->gpu_model, "gpus", (int)o->gpus,
        "gpu_memory_gib", (double)o->gpu_memory_bytes / 0x1p30, "local_disk_gb",
        (double)o->local_disk_bytes / 1e9, "network_gbps", o->network_gbps,
        "on_demand_usd_per_hour", ebb_json_usd(o->on_demand_usd_micros_per_hour),
        "spot_usd_per_hour",
        o->spot_usd_micros_per_hour > 0 ? ebb_json_usd(o->spot_usd_micros_per_hour) : json_null(),
        "interruption_band", ebb_band_name(o->band), "cap_h", o->cap_s / 3600);
    return v;
}

static int print_json(const struct ebb_catalogue *c, const offer_ptr *list, size_t count)
{
    json_t *v = ebb_json_new("prices"), *offers = json_array();
    double age = ebb_prices_age_days(c, ebb_wall_ns(NULL));
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(offers, json_offer(list[i]));
    (void)json_object_set_new(v, "dated", json_string(c->dated));
    (void)json_object_set_new(v, "age_days", age >= 0 ? json_real(floor(age)) : json_null());
    (void)json_object_set_new(v, "source", json_string(c->source));
    (void)json_object_set_new(v, "offers", offers);
    return ebb_json_print(v);
}

/* "no GPU 'l5'": what of the question nothing matches, with the nearest name. */
static int nothing_found(const struct ebb_catalogue *c, struct ebb_error *err)
{
    if (gpu != NULL && strchr(gpu, ',') == NULL) {
        EBB_AUTO_FREE const char **names = ebb_alloc_array(c->count + 1, sizeof *names);
        bool known = false;
        for (size_t i = 0; i < c->count; i++) {
            names[i] = c->offers[i].gpu_model;
            known |= ebb_catalogue_gpu_matches(names[i], gpu);
        }
        const char *near = ebb_nearest_name(gpu, names, c->count);
        if (!known)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no offer has a GPU '%s'%s%s%s", gpu,
                                 near == NULL ? "" : ", did you mean '", near == NULL ? "" : near,
                                 near == NULL ? "" : "'?");
    }
    return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                         "none of %zu offers matches: ask for less, or 'ebb prices import' others",
                         c->count);
}

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = NULL;
    uint64_t memory_bytes = 0;
    if (memory != NULL && ebb_parse_size(memory, &memory_bytes, &err) < 0)
        return ebb_command_fail(&err);
    const struct ebb_catalogue *c = ebb_prices_load(&imported, &err);
    if (c == NULL)
        return ebb_command_fail(&err);
    size_t count = 0;
    EBB_AUTO_FREE offer_ptr *list = select_offers(c, memory_bytes, &count);
    if (as_json)
        return print_json(c, list, count);
    if (count == 0) {
        (void)nothing_found(c, &err);
        return ebb_command_fail(&err);
    }
    return print_text(c, list, count);
}

static int run_import(int argc, char **argv)
{
    struct ebb_error err = {0};
    size_t offers = 0;
    int rc;
    if (built_in != (argc == 0))
        rc = ebb_error_set(&err, EBB_ERR_INPUT, "name a file, or --built-in");
    else
        rc = built_in ? ebb_prices_forget(&err) : ebb_prices_import(argv[0], &offers, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    if (built_in)
        (void)puts("the built-in prices are used");
    else
        (void)printf("%zu offers from %s are used\n", offers, argv[0]);
    return 0;
}

static int run_export(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    const struct ebb_catalogue *c = ebb_prices_load(&imported, &err);
    if (c == NULL)
        return ebb_command_fail(&err);
    if (as_json) {
        offer_ptr *all = ebb_alloc_array(c->count + 1, sizeof *all);
        for (size_t i = 0; i < c->count; i++)
            all[i] = &c->offers[i];
        int status = print_json(c, all, c->count);
        free(all);
        return status;
    }
    ebb_catalogue_write(c, &out);
    return fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
}

static const char *const orders[] = {"spot",         "spot-per-gpu", "spot-per-cpu", "on-demand",
                                     "interruption", "type",         "region",       NULL};

static const struct ebb_option options[] = {
    {.name = "gpu",
     .kind = EBB_OPTION_TEXT,
     .target = &gpu,
     .value = "l4,a100",
     .help = "Only these GPU models; a100 is a100-80gb too."},
    {.name = "gpus",
     .kind = EBB_OPTION_INT,
     .target = &gpus,
     .least = 0,
     .most = INT64_MAX,
     .help = "At least so many GPUs."},
    {.name = "cpus",
     .kind = EBB_OPTION_INT,
     .target = &cpus,
     .least = 0,
     .most = INT64_MAX,
     .help = "At least so many CPUs."},
    {.name = "memory",
     .kind = EBB_OPTION_TEXT,
     .target = &memory,
     .value = "64GiB",
     .help = "At least so much memory."},
    {.name = "region",
     .kind = EBB_OPTION_TEXT,
     .target = &region,
     .value = "us-*,eu-*",
     .help = "Only these regions; * and ? stand for any letters."},
    {.name = "provider",
     .kind = EBB_OPTION_TEXT,
     .target = &provider,
     .value = "aws,gcp",
     .help = "Only these clouds."},
    {.name = "type",
     .kind = EBB_OPTION_TEXT,
     .target = &type,
     .value = "g5.*",
     .help = "Only these VM types."},
    {.name = "sort",
     .kind = EBB_OPTION_CHOICE,
     .target = &sort_by,
     .choices = orders,
     .help = "By what the list is sorted, lowest first."},
    {.name = "limit",
     .letter = 'n',
     .kind = EBB_OPTION_INT,
     .target = &limit,
     .least = 1,
     .most = INT64_MAX,
     .help = "Only the first so many."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_prices = {
    .name = "prices",
    .summary = "List VM types and what they cost",
    .details = "From the catalogue that is built in, or the one imported. Prices for spot are "
               "typical ones.",
    .options = options,
    .run = run,
};

static const struct ebb_option import_options[] = {
    {.name = "built-in", .target = &built_in, .help = "Drop what was imported."},
    {.name = NULL},
};

const struct ebb_command ebb_command_prices_import = {
    .name = "prices import",
    .arguments = "[FILE]",
    .summary = "Use other prices than those built in",
    .details = "CSV or JSON, as docs/planner.md describes it. The file is checked whole before it "
               "is used,\nand replaces what was used before.",
    .options = import_options,
    .max_arguments = 1,
    .run = run_import,
};

static const struct ebb_option export_options[] = {
    {.name = "json", .target = &as_json, .help = "JSON instead of CSV."},
    {.name = NULL},
};

const struct ebb_command ebb_command_prices_export = {
    .name = "prices export",
    .summary = "Print the prices in use, for `ebb prices import`",
    .options = export_options,
    .run = run_export,
};
