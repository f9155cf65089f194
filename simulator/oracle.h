/* The least that a job could have cost, had all traces been known: the lower bound of every policy.
 *
 * Exact by dynamic programme. With n launches (each of `restart_s`) a job of W seconds is billed
 * for A = W + n d seconds, T of them on spot, so it costs od A - (od - spot) T: for each n the most
 * spot time T is wanted, with at most I_n = floor((D - A) / gap) ticks idle. Moving idle ticks
 * within on-demand stretches, or ahead, never loses spot time; so
 *
 *  - spot is launched where the longest-lived of the zones comes up, or where another ended, and
 *    held to its end (prices are equal: the zone that lives longest dominates);
 *  - a stretch between two spot instances is idle, or on-demand, as a whole; what idle time is left
 *    over shortens on-demand and so moves the end of the job to D_n = A + I_n gap.
 *
 * That leaves some tens of nodes (times) and a table of (launches, idle ticks) at each. */
#ifndef EBB_SIMULATOR_ORACLE_H
#define EBB_SIMULATOR_ORACLE_H

#include "simulator/onejob.h"

struct ebb_oracle; /* for one set of zones and one set of rules; not for two threads at once */

struct ebb_oracle *ebb_oracle_new(const struct ebb_onejob_rules *rules,
                                  const struct ebb_traces *traces, const size_t *zones,
                                  size_t zone_count);
void ebb_oracle_destroy(struct ebb_oracle *o);
double ebb_oracle_usd(struct ebb_oracle *o, size_t start);

#endif
