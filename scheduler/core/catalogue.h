/* What VM types are, where they are offered, and what they cost: a dated table, built in, or read
 * from a file of the same form (docs/planner.md, "Prices"). Live prices, where there are any, go
 * before it. */
#ifndef EBB_SCHEDULER_CORE_CATALOGUE_H
#define EBB_SCHEDULER_CORE_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "proto/event.pb-c.h"
#include "scheduler/core/hazards.h"

/* How often spot VMs of an offer are interrupted, in the bands of AWS's Spot Advisor. */
enum ebb_band {
    EBB_BAND_UNKNOWN,
    EBB_BAND_UNDER_5,
    EBB_BAND_5_TO_10,
    EBB_BAND_10_TO_15,
    EBB_BAND_15_TO_20,
    EBB_BAND_OVER_20,
};
#define EBB_BANDS 6

struct ebb_catalogue_offer {
    char *provider, *region, *type;
    double cpus;
    uint64_t memory_bytes;
    uint32_t gpus;
    char *gpu_model;           /* "l4", "a100-80gb"; "" without */
    uint64_t gpu_memory_bytes; /* of one GPU */
    uint64_t local_disk_bytes; /* that comes with the VM */
    double network_gbps;
    int64_t on_demand_usd_micros_per_hour;
    int64_t spot_usd_micros_per_hour; /* typical; 0: not told */
    enum ebb_band band;
    double cap_s; /* spot VMs end at this age; 0: they do not */
};

struct ebb_catalogue {
    char *dated;  /* "2026-07-22": the day that the prices are of; "" when not told */
    char *source; /* "built in", or the file that it was read from */
    struct ebb_catalogue_offer *offers; /* by provider, type, region */
    size_t count;
};

void ebb_catalogue_destroy(struct ebb_catalogue *c);
EBB_DEFINE_AUTO_PTR(ebb_catalogue_auto, struct ebb_catalogue, ebb_catalogue_destroy)
/* The built-in one; never destroyed. */
const struct ebb_catalogue *ebb_catalogue_builtin(void);
/* Reads CSV, or JSON when the text begins with '{'. EBB_ERR_INPUT names `path` and line (of JSON:
 * the offer's number): a column is missing, a number is negative or none, an offer is there twice.
 */
int ebb_catalogue_read(const char *path, const char *text, size_t len, struct ebb_catalogue **ret,
                       struct ebb_error *err);
/* Appends the catalogue as CSV, which ebb_catalogue_read reads back. */
void ebb_catalogue_write(const struct ebb_catalogue *c, struct ebb_buffer *out);
/* NULL when it has none. */
const struct ebb_catalogue_offer *ebb_catalogue_find(const struct ebb_catalogue *c,
                                                     const char *provider, const char *region,
                                                     const char *type);
/* The same type in any region (NULL: none); shape and GPU are the same everywhere. */
const struct ebb_catalogue_offer *ebb_catalogue_find_type(const struct ebb_catalogue *c,
                                                          const char *provider, const char *type);
/* True when `wanted` ("a100") is the model, or the model without its variant ("a100-80gb"). Upper
 * and lower case are the same. */
bool ebb_catalogue_gpu_matches(const char *model, const char *wanted);

/* "<5", "5-10", "10-15", "15-20", ">20"; "" for unknown. */
const char *ebb_band_name(enum ebb_band band);
/* EBB_ERR_INPUT names the bands. */
int ebb_band_parse(const char *text, enum ebb_band *ret, struct ebb_error *err);
/* A first guess of the hazard of a revocation per hour, over the first day of a VM; 0 for unknown.
 *
 * A band says which part of the VMs was interrupted in a month, not in what time of running. Spot
 * VMs of batch work live hours, so the band's upper end is read as the part that is gone after six
 * hours: -ln(1 - 0.05, 0.10, 0.15, 0.20) / 6 h = 0.0085, 0.018, 0.027, 0.037 per hour, and for
 * "over 20" -ln(1 - 0.40) / 6 h = 0.085. GCP's preemptible VMs of 2019, of which 28 % were gone
 * after six hours, would stand in the last. Observations replace it soon. */
double ebb_catalogue_band_hazard_per_hour(enum ebb_band band);
/* The same for a place: of its region, else the mean over the type's regions; 0: not known. */
double ebb_catalogue_hazard_per_hour(const struct ebb_catalogue *c, const struct ebb_place *p);
/* Sets the age at which the catalogue (NULL: none) says that the offer's VMs end, where they are
 * spot VMs and the cloud has not told one itself. */
void ebb_catalogue_cap(const struct ebb_catalogue *c, Ebb__Offer *offer);
/* As ebb_hazards_set_prior_source takes it; NULL is the built-in catalogue. */
double ebb_catalogue_prior(const void *catalogue, const struct ebb_place *p);

/* What decisions need of a catalogue, for the event log: offers with a band or a cap. `sha256`: of
 * its text, 32 bytes; kept by reference, as the offers' texts are. The caller frees it with
 * ebb_catalogue_event_destroy. */
Ebb__CatalogueImported *ebb_catalogue_event_new(const struct ebb_catalogue *c, uint8_t sha256[32]);
void ebb_catalogue_event_destroy(Ebb__CatalogueImported *m);
/* Back from it: prices and sizes are 0. EBB_ERR_INPUT when it is not sound. */
int ebb_catalogue_of_event(const Ebb__CatalogueImported *m, struct ebb_catalogue **ret,
                           struct ebb_error *err);

#endif
