/* Inside of the catalogue: what its two files share. */
#ifndef EBB_SCHEDULER_CORE_CATALOGUE_READ_H
#define EBB_SCHEDULER_CORE_CATALOGUE_READ_H

#include "scheduler/core/catalogue.h"

#define EBB_CATALOGUE_HEADER                                                                       \
    "provider,region,type,cpus,memory_gib,gpu,gpus,gpu_memory_gib,local_disk_gb,network_gbps,"     \
    "on_demand_usd_per_hour,spot_usd_per_hour,interruption_band,cap_h"

void ebb_catalogue_offer_clean_up(struct ebb_catalogue_offer *o);
/* By provider, type, region. */
int ebb_catalogue_compare(const struct ebb_catalogue_offer *a, const struct ebb_catalogue_offer *b);

#endif
