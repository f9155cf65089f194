/* What a plan knows of pools of spot VMs (one type in one zone), and what it draws from that.
 *
 * From the posterior of hazards.h come a mean and a standard deviation of each age's rate. A draw
 * takes a log-normal rate with that mean and deviation; the normal behind it is partly one for all
 * pools, partly the pool's, partly the age's (shares SHARED, OF_POOL, the rest), since what is not
 * known is mostly common to all. A second factor is how far the next days are from those learned
 * from: of all pools, of each region, of each pool, with the variances that the history itself
 * shows (ebb_hazards_spread). Which part of the revocations takes a whole pool at once and closes
 * it is Beta distributed, by what was seen (ebb_hazards_in_bulk). */
#ifndef EBB_SIMULATOR_POOLS_H
#define EBB_SIMULATOR_POOLS_H

#include "proto/event.pb-c.h"
#include "scheduler/core/hazards.h"
#include "simulator/world.h"

struct ebb_pools;

/* A fleet with the zones and types of the offers: prices as they stand now, capacity without end,
 * no lifetimes, revocations or faults. Boot, pending and capacity are those of `like` where it is
 * given. Names that a fleet has no room for are left out. The caller destroys it. */
struct ebb_fleet *ebb_fleet_of_offers(const Ebb__Offer *const *offers, size_t count,
                                      double time_scale, const struct ebb_fleet *like);

/* `hazards` holds for the pools of `fleet`; offers say provider and region of a zone. Both are
 * read now and not kept; the fleet is. */
struct ebb_pools *ebb_pools_new(const struct ebb_fleet *fleet, const Ebb__Offer *const *offers,
                                size_t offer_count, const struct ebb_hazards *hazards,
                                int64_t now_wall_ns);
void ebb_pools_destroy(struct ebb_pools *p);
/* One world: pools by zone index * type count + type index, valid until the next draw. */
const struct ebb_pool_model *ebb_pools_draw(struct ebb_pools *p, struct ebb_random *random);

#endif
