/* Offers are kept sorted, so that one is found by bisection and those of a type stand side by side.
 */
#include "scheduler/core/catalogue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/csv.h"
#include "scheduler/core/catalogue_read.h"

extern const unsigned char ebb_catalogue_file[];
extern const size_t ebb_catalogue_file_len;

static const char *const band_names[EBB_BANDS] = {"", "<5", "5-10", "10-15", "15-20", ">20"};

void ebb_catalogue_offer_clean_up(struct ebb_catalogue_offer *o)
{
    free(o->provider);
    free(o->region);
    free(o->type);
    free(o->gpu_model);
    *o = (struct ebb_catalogue_offer){0};
}

void ebb_catalogue_destroy(struct ebb_catalogue *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        ebb_catalogue_offer_clean_up(&c->offers[i]);
    free(c->offers);
    free(c->dated);
    free(c->source);
    free(c);
}

/* Read at the first call; one thread decides, so there is no race. */
const struct ebb_catalogue *ebb_catalogue_builtin(void)
{
    static struct ebb_catalogue *builtin;
    if (builtin == NULL) {
        int rc = ebb_catalogue_read("built in", (const char *)ebb_catalogue_file,
                                    ebb_catalogue_file_len, &builtin, NULL);
        if (rc < 0)
            abort(); /* a test reads it */
    }
    return builtin;
}

int ebb_catalogue_compare(const struct ebb_catalogue_offer *a, const struct ebb_catalogue_offer *b)
{
    int order = strcmp(a->provider, b->provider);
    if (order == 0)
        order = strcmp(a->type, b->type);
    return order != 0 ? order : strcmp(a->region, b->region);
}

/* The first offer that is not before (provider, type, region). */
static size_t lower_bound(const struct ebb_catalogue *c, const char *provider, const char *region,
                          const char *type)
{
    const struct ebb_catalogue_offer key = {
        .provider = (char *)(uintptr_t)provider,
        .region = (char *)(uintptr_t)region,
        .type = (char *)(uintptr_t)type,
    };
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ebb_catalogue_compare(&c->offers[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct ebb_catalogue_offer *ebb_catalogue_find(const struct ebb_catalogue *c,
                                                     const char *provider, const char *region,
                                                     const char *type)
{
    size_t i = lower_bound(c, provider, region, type);
    const struct ebb_catalogue_offer *o = i < c->count ? &c->offers[i] : NULL;
    bool found = o != NULL && strcmp(o->provider, provider) == 0 && strcmp(o->type, type) == 0 &&
                 strcmp(o->region, region) == 0;
    return found ? o : NULL;
}

const struct ebb_catalogue_offer *ebb_catalogue_find_type(const struct ebb_catalogue *c,
                                                          const char *provider, const char *type)
{
    size_t i = lower_bound(c, provider, "", type);
    const struct ebb_catalogue_offer *o = i < c->count ? &c->offers[i] : NULL;
    bool found = o != NULL && strcmp(o->provider, provider) == 0 && strcmp(o->type, type) == 0;
    return found ? o : NULL;
}

bool ebb_catalogue_gpu_matches(const char *model, const char *wanted)
{
    size_t len = strlen(wanted);
    return len > 0 && strncasecmp(model, wanted, len) == 0 &&
           (model[len] == '\0' || model[len] == '-');
}

const char *ebb_band_name(enum ebb_band band)
{
    return (unsigned)band < EBB_BANDS ? band_names[band] : "";
}

int ebb_band_parse(const char *text, enum ebb_band *ret, struct ebb_error *err)
{
    for (size_t i = 0; i < EBB_BANDS; i++) {
        if (strcmp(text, band_names[i]) == 0) {
            *ret = (enum ebb_band)i;
            return 0;
        }
    }
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "interruption_band '%.40s' is not one of <5, 5-10, 10-15, 15-20, >20",
                         text);
}

double ebb_catalogue_band_hazard_per_hour(enum ebb_band band)
{
    static const double gone[EBB_BANDS] = {0, 0.05, 0.10, 0.15, 0.20, 0.40};
    return (unsigned)band < EBB_BANDS ? -log1p(-gone[band]) / 6 : 0;
}

double ebb_catalogue_hazard_per_hour(const struct ebb_catalogue *c, const struct ebb_place *p)
{
    const char *provider = p->provider == NULL ? "" : p->provider;
    const char *region = p->region == NULL ? "" : p->region;
    const char *type = p->type == NULL ? "" : p->type;
    const struct ebb_catalogue_offer *o = ebb_catalogue_find(c, provider, region, type);
    if (o != NULL && o->band != EBB_BAND_UNKNOWN)
        return ebb_catalogue_band_hazard_per_hour(o->band);
    double sum = 0, known = 0;
    for (size_t i = lower_bound(c, provider, "", type);
         i < c->count && strcmp(c->offers[i].provider, provider) == 0 &&
         strcmp(c->offers[i].type, type) == 0;
         i++) {
        bool told = c->offers[i].band != EBB_BAND_UNKNOWN;
        sum += told ? ebb_catalogue_band_hazard_per_hour(c->offers[i].band) : 0;
        known += told;
    }
    return known > 0 ? sum / known : 0;
}

double ebb_catalogue_prior(const void *catalogue, const struct ebb_place *p)
{
    return ebb_catalogue_hazard_per_hour(catalogue != NULL ? catalogue : ebb_catalogue_builtin(),
                                         p);
}

void ebb_catalogue_cap(const struct ebb_catalogue *c, Ebb__Offer *offer)
{
    if (c == NULL || offer->market == EBB__MARKET__ON_DEMAND || offer->cap_s > 0)
        return;
    const struct ebb_catalogue_offer *known =
        ebb_catalogue_find(c, offer->provider, offer->region, offer->type);
    if (known != NULL)
        offer->cap_s = known->cap_s;
}

static void write_number(struct ebb_buffer *out, double v)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.6f", v);
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '0')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '.')
        text[--len] = '\0';
    ebb_buffer_printf(out, ",%s", text);
}

#define GIB 1073741824.0
#define GB  1e9

void ebb_catalogue_write(const struct ebb_catalogue *c, struct ebb_buffer *out)
{
    if (*c->dated != '\0')
        ebb_buffer_printf(out, "# dated: %s\n", c->dated);
    ebb_buffer_append_text(out, EBB_CATALOGUE_HEADER "\n");
    for (size_t i = 0; i < c->count; i++) {
        const struct ebb_catalogue_offer *o = &c->offers[i];
        ebb_csv_quote(out, o->provider);
        ebb_buffer_append_text(out, ",");
        ebb_csv_quote(out, o->region);
        ebb_buffer_append_text(out, ",");
        ebb_csv_quote(out, o->type);
        write_number(out, o->cpus);
        write_number(out, (double)o->memory_bytes / GIB);
        ebb_buffer_append_text(out, ",");
        ebb_csv_quote(out, o->gpu_model);
        write_number(out, o->gpus);
        write_number(out, (double)o->gpu_memory_bytes / GIB);
        write_number(out, (double)o->local_disk_bytes / GB);
        write_number(out, o->network_gbps);
        write_number(out, (double)o->on_demand_usd_micros_per_hour / 1e6);
        write_number(out, (double)o->spot_usd_micros_per_hour / 1e6);
        ebb_buffer_printf(out, ",%s", ebb_band_name(o->band));
        write_number(out, o->cap_s / 3600);
        ebb_buffer_append_text(out, "\n");
    }
}
