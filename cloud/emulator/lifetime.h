/* Draws from lifetime models, and the state of a trace at a moment. Pure. */
#ifndef EBB_CLOUD_EMULATOR_LIFETIME_H
#define EBB_CLOUD_EMULATOR_LIFETIME_H

#include "base/random.h"
#include "cloud/emulator/fleet.h"

/* The entry that fits a VM, or NULL: it lives for ever. */
const struct ebb_fleet_lifetime *ebb_lifetime_find(const struct ebb_fleet *f, int zone, int type);
/* The age at which F reaches `u` in [0, 1), in seconds. */
double ebb_lifetime_quantile(const struct ebb_fleet_lifetime *l, double u);
/* The notice that this VM gets: given, late, lost or none by the rates. */
struct ebb_fleet_notice ebb_lifetime_notice(const struct ebb_fleet_lifetime *l, double u);

bool ebb_trace_available(const struct ebb_fleet_trace *t, double at_s);
/* Seconds from at_s until the trace changes its value, or a negative number: never. */
double ebb_trace_next_change(const struct ebb_fleet_trace *t, double at_s);

#endif
