/* A catalogue in the event log: what decisions are made from must come back at a replay, whatever
 * stands in the file by then. */
#include <math.h>
#include <stdlib.h>

#include "scheduler/core/catalogue_read.h"

#define MOST_CAP_S 4e8

Ebb__CatalogueImported *ebb_catalogue_event_new(const struct ebb_catalogue *c, uint8_t sha256[32])
{
    Ebb__CatalogueImported *m = ebb_alloc(sizeof *m);
    ebb__catalogue_imported__init(m);
    m->sha256 = (ProtobufCBinaryData){.len = 32, .data = sha256};
    m->dated = c->dated;
    m->entries = ebb_alloc_array(c->count + 1, sizeof *m->entries);
    for (size_t i = 0; i < c->count; i++) {
        const struct ebb_catalogue_offer *o = &c->offers[i];
        if (o->band == EBB_BAND_UNKNOWN && o->cap_s <= 0)
            continue;
        Ebb__CatalogueEntry *e = ebb_alloc(sizeof *e);
        ebb__catalogue_entry__init(e);
        e->provider = o->provider;
        e->region = o->region;
        e->type = o->type;
        e->band = o->band;
        e->cap_s = o->cap_s;
        m->entries[m->n_entries++] = e;
    }
    return m;
}

void ebb_catalogue_event_destroy(Ebb__CatalogueImported *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n_entries; i++)
        free(m->entries[i]);
    free(m->entries);
    free(m);
}

static bool is_sound(const Ebb__CatalogueEntry *e)
{
    return e->band < EBB_BANDS && e->cap_s >= 0 && e->cap_s <= MOST_CAP_S && e->type[0] != '\0';
}

int ebb_catalogue_of_event(const Ebb__CatalogueImported *m, struct ebb_catalogue **ret,
                           struct ebb_error *err)
{
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *c = ebb_alloc(sizeof *c);
    c->dated = ebb_strdup(m->dated);
    c->source = ebb_strdup("imported");
    c->offers = ebb_alloc_array(m->n_entries + 1, sizeof *c->offers);
    for (size_t i = 0; i < m->n_entries; i++) {
        const Ebb__CatalogueEntry *e = m->entries[i];
        struct ebb_catalogue_offer *o = &c->offers[c->count];
        if (!is_sound(e))
            return ebb_error_set(err, EBB_ERR_INPUT, "catalogue entry %zu is not sound", i);
        *o = (struct ebb_catalogue_offer){.provider = ebb_strdup(e->provider),
                                          .region = ebb_strdup(e->region),
                                          .type = ebb_strdup(e->type),
                                          .gpu_model = ebb_strdup(""),
                                          .band = (enum ebb_band)e->band,
                                          .cap_s = e->cap_s};
        c->count++;
        if (i > 0 && ebb_catalogue_compare(o - 1, o) >= 0)
            return ebb_error_set(err, EBB_ERR_INPUT, "catalogue entry %zu is out of order", i);
    }
    *ret = EBB_TAKE(c);
    return 0;
}
