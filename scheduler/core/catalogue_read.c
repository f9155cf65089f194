/* Reading a catalogue: CSV and JSON give the same fields by the same names, so that one table of
 * them reads both. Strict, because a price that is read wrong costs money. */
#include "scheduler/core/catalogue_read.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/csv.h"
#include "base/text.h"

#define GIB         1073741824.0
#define GB          1e9
#define MOST_TEXT   100
#define MOST_OFFERS 200000

/* A field of an offer as text; NULL: it is not told. `ctx` is the row or the object. */
typedef const char *field_fn(void *ctx, const char *name, char *number, size_t size);

static int read_text(field_fn *field, void *ctx, const char *name, bool needed, char **ret,
                     struct ebb_error *err)
{
    char number[40];
    const char *text = field(ctx, name, number, sizeof number);
    if (text == NULL || *text == '\0') {
        if (needed)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s is empty", name);
        text = "";
    }
    if (strlen(text) > MOST_TEXT)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is longer than %d characters", name,
                             MOST_TEXT);
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s holds a control character", name);
    }
    *ret = ebb_strdup(text);
    return 0;
}

/* A number from 0 to `most`; 0 when it is not needed and not told. */
static int read_number(field_fn *field, void *ctx, const char *name, bool needed, double most,
                       double *ret, struct ebb_error *err)
{
    char number[40];
    const char *text = field(ctx, name, number, sizeof number);
    double v = 0;
    if (text == NULL || *text == '\0') {
        if (needed)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s is empty", name);
    } else if (ebb_parse_double(text, &v, NULL) < 0) {
        return ebb_error_set(err, EBB_ERR_INPUT, "%s '%.40s' is no number", name, text);
    } else if (v < 0 || v > most) {
        return ebb_error_set(err, EBB_ERR_INPUT, "%s %.40s is not from 0 to %g", name, text, most);
    }
    *ret = v;
    return 0;
}

static int read_gpus(field_fn *field, void *ctx, struct ebb_catalogue_offer *o,
                     struct ebb_error *err)
{
    double gpus = 0, memory_gib = 0;
    int rc = read_text(field, ctx, "gpu", false, &o->gpu_model, err);
    if (rc == 0)
        rc = read_number(field, ctx, "gpus", false, 1024, &gpus, err);
    if (rc == 0)
        rc = read_number(field, ctx, "gpu_memory_gib", false, 1e6, &memory_gib, err);
    if (rc < 0)
        return rc;
    if (gpus != floor(gpus))
        return ebb_error_set(err, EBB_ERR_INPUT, "gpus %g is no whole number", gpus);
    if ((gpus > 0) != (*o->gpu_model != '\0'))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "gpu and gpus do not agree: a model and a number, "
                             "or neither");
    o->gpus = (uint32_t)gpus;
    o->gpu_memory_bytes = (uint64_t)llround(memory_gib * GIB);
    return 0;
}

static int read_prices(field_fn *field, void *ctx, struct ebb_catalogue_offer *o,
                       struct ebb_error *err)
{
    double on_demand = 0, spot = 0;
    char number[40];
    int rc = read_number(field, ctx, "on_demand_usd_per_hour", true, 1e6, &on_demand, err);
    if (rc == 0)
        rc = read_number(field, ctx, "spot_usd_per_hour", false, 1e6, &spot, err);
    if (rc < 0)
        return rc;
    o->on_demand_usd_micros_per_hour = llround(on_demand * 1e6);
    o->spot_usd_micros_per_hour = llround(spot * 1e6);
    const char *band = field(ctx, "interruption_band", number, sizeof number);
    return ebb_band_parse(band == NULL ? "" : band, &o->band, err);
}

static int read_offer(field_fn *field, void *ctx, struct ebb_catalogue_offer *o,
                      struct ebb_error *err)
{
    double memory_gib = 0, disk_gb = 0, cap_h = 0;
    int rc = read_text(field, ctx, "provider", true, &o->provider, err);
    if (rc == 0)
        rc = read_text(field, ctx, "region", true, &o->region, err);
    if (rc == 0)
        rc = read_text(field, ctx, "type", true, &o->type, err);
    if (rc == 0)
        rc = read_number(field, ctx, "cpus", true, 1e5, &o->cpus, err);
    if (rc == 0)
        rc = read_number(field, ctx, "memory_gib", true, 1e6, &memory_gib, err);
    if (rc == 0)
        rc = read_number(field, ctx, "local_disk_gb", false, 1e7, &disk_gb, err);
    if (rc == 0)
        rc = read_number(field, ctx, "network_gbps", false, 1e6, &o->network_gbps, err);
    if (rc == 0)
        rc = read_number(field, ctx, "cap_h", false, 1e5, &cap_h, err);
    if (rc == 0)
        rc = read_gpus(field, ctx, o, err);
    if (rc == 0)
        rc = read_prices(field, ctx, o, err);
    o->memory_bytes = (uint64_t)llround(memory_gib * GIB);
    o->local_disk_bytes = (uint64_t)llround(disk_gb * GB);
    o->cap_s = cap_h * 3600;
    return rc;
}

/* Room for one more, already zeroed; capacity is the power of two above the count. */
static struct ebb_catalogue_offer *add_offer(struct ebb_catalogue *c)
{
    if ((c->count & (c->count + 1)) == 0)
        c->offers = ebb_realloc_array(c->offers, 2 * c->count + 2, sizeof *c->offers);
    c->offers[c->count] = (struct ebb_catalogue_offer){0};
    return &c->offers[c->count++];
}

static const char *csv_field(void *ctx, const char *name, char *number, size_t size)
{
    (void)number;
    (void)size;
    const struct ebb_csv *csv = ctx;
    int column = ebb_csv_column(csv, name);
    return column < 0 ? NULL : ebb_csv_cell(csv, column);
}

static int check_columns(const struct ebb_csv *csv, struct ebb_error *err)
{
    static const char *const needed[] = {"provider", "region",     "type",
                                         "cpus",     "memory_gib", "on_demand_usd_per_hour"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(needed); i++) {
        if (ebb_csv_column(csv, needed[i]) < 0)
            return ebb_csv_fault(csv, err, "no column '%s'", needed[i]);
    }
    return 0;
}

static int read_csv_rows(struct ebb_catalogue *c, struct ebb_csv *csv, struct ebb_error *err)
{
    struct ebb_error row = {0};
    int rc = check_columns(csv, err);
    if (rc < 0)
        return rc;
    while ((rc = ebb_csv_next(csv, err)) > 0) {
        if (c->count == MOST_OFFERS)
            return ebb_csv_fault(csv, err, "more than %d offers", MOST_OFFERS);
        if (read_offer(csv_field, csv, add_offer(c), &row) < 0)
            return ebb_csv_fault(csv, err, "%s", row.text);
    }
    return rc;
}

/* "# dated: 2026-07-22" on the first line. */
static char *dated_of(const char *text, size_t len)
{
    static const char mark[] = "# dated: ";
    size_t n = sizeof mark - 1, end = n;
    if (len < n || memcmp(text, mark, n) != 0)
        return ebb_strdup("");
    while (end < len && end - n < 32 && strchr("0123456789-:TZ.", text[end]) != NULL &&
           text[end] != '\0')
        end++;
    return ebb_strndup(text + n, end - n);
}

static int read_csv(struct ebb_catalogue *c, const char *path, const char *text, size_t len,
                    struct ebb_error *err)
{
    struct ebb_csv csv;
    int rc = ebb_csv_open(&csv, path, text, len, err);
    if (rc < 0)
        return rc;
    c->dated = dated_of(text, len);
    rc = read_csv_rows(c, &csv, err);
    ebb_csv_clean_up(&csv);
    return rc;
}

static const char *json_field(void *ctx, const char *name, char *number, size_t size)
{
    json_t *v = json_object_get(ctx, name);
    if (json_is_number(v)) {
        (void)snprintf(number, size, "%.15g", json_number_value(v));
        return number;
    }
    return v == NULL || json_is_null(v) ? NULL : json_string_value(v);
}

/* Values are text, numbers or null. */
static int check_values(json_t *offer, struct ebb_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(offer, key, value)
    {
        if (!json_is_string(value) && !json_is_number(value) && !json_is_null(value))
            return ebb_error_set(err, EBB_ERR_INPUT, "'%.40s' is neither text nor number", key);
    }
    return 0;
}

static int read_json_offers(struct ebb_catalogue *c, const char *path, json_t *root,
                            struct ebb_error *err)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    const char *dated = json_string_value(json_object_get(root, "dated"));
    json_t *offers = json_object_get(root, "offers");
    if (schema == NULL || strcmp(schema, "ebb.prices.v1") != 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: 'schema' is not \"ebb.prices.v1\"", path);
    if (!json_is_array(offers))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: no array 'offers'", path);
    if (dated != NULL && (strlen(dated) > 32 || dated[strspn(dated, "0123456789-:TZ.")] != '\0'))
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: 'dated' is no date: write 2026-07-22", path);
    c->dated = ebb_strdup(dated == NULL ? "" : dated);
    for (size_t i = 0; i < json_array_size(offers); i++) {
        struct ebb_error row = {0};
        json_t *o = json_array_get(offers, i);
        if (c->count == MOST_OFFERS || !json_is_object(o))
            return ebb_error_set(err, EBB_ERR_INPUT, "%s: offers[%zu] %s", path, i,
                                 json_is_object(o) ? "is one too many" : "is no object");
        if (check_values(o, &row) < 0 || read_offer(json_field, o, add_offer(c), &row) < 0)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s: offers[%zu]: %s", path, i, row.text);
    }
    return 0;
}

static int read_json(struct ebb_catalogue *c, const char *path, const char *text, size_t len,
                     struct ebb_error *err)
{
    json_error_t fault;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s:%d:%d: %s", path, fault.line, fault.column,
                             fault.text);
    int rc = read_json_offers(c, path, root, err);
    json_decref(root);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    return ebb_catalogue_compare(a, b);
}

static int sort_offers(struct ebb_catalogue *c, const char *path, struct ebb_error *err)
{
    if (c->count == 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: no offer in it", path);
    qsort(c->offers, c->count, sizeof *c->offers, by_place);
    for (size_t i = 1; i < c->count; i++) {
        const struct ebb_catalogue_offer *o = &c->offers[i];
        if (ebb_catalogue_compare(&c->offers[i - 1], o) == 0)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s: %s %s in %s is there twice", path,
                                 o->provider, o->type, o->region);
    }
    return 0;
}

int ebb_catalogue_read(const char *path, const char *text, size_t len, struct ebb_catalogue **ret,
                       struct ebb_error *err)
{
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *c = ebb_alloc(sizeof *c);
    size_t blank = 0;
    while (blank < len && strchr(" \t\r\n", text[blank]) != NULL && text[blank] != '\0')
        blank++;
    c->source = ebb_strdup(path);
    bool json = blank < len && text[blank] == '{';
    int rc = json ? read_json(c, path, text, len, err) : read_csv(c, path, text, len, err);
    if (rc == 0)
        rc = sort_offers(c, path, err);
    if (rc == 0)
        *ret = EBB_TAKE(c);
    return rc;
}
