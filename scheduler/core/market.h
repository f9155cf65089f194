/* What is known of each offer from the log: prices over time, capacity refusals; and the cloud's
 * billing rule. Lifetimes are in hazards.h. */
#ifndef EBB_SCHEDULER_CORE_MARKET_H
#define EBB_SCHEDULER_CORE_MARKET_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/event.pb-c.h"

struct ebb_price {
    int64_t from_wall_ns;
    int64_t usd_micros_per_hour;
};

/* One (zone, type, market). */
struct ebb_market_entry {
    struct ebb_price *prices; /* by time */
    size_t price_count, price_capacity;
    uint32_t refusals;                                /* launches refused in a row */
    uint32_t granted;                                 /* launches granted since the last refusal */
    int64_t refused_wall_ns;                          /* last refusal; 0: none */
    int refused_code;                                 /* enum ebb_code */
    int64_t revoked_wall_ns;                          /* last revocation; 0: none */
    int64_t outage_from_wall_ns, outage_told_wall_ns; /* refused since then; 0: not */
};

struct ebb_market;
struct ebb_market *ebb_market_new(void);
void ebb_market_destroy(struct ebb_market *m);
/* The entry of an offer; made when absent (never NULL). */
struct ebb_market_entry *ebb_market_entry(struct ebb_market *m, const Ebb__Offer *offer);
/* NULL when nothing is known. */
const struct ebb_market_entry *ebb_market_find(const struct ebb_market *m, const char *zone,
                                               const char *type, Ebb__Market market);
/* In key order of first appearance: *cursor from 0; NULL at the end. Key: "zone/type/market". */
const struct ebb_market_entry *ebb_market_next(const struct ebb_market *m, size_t *cursor,
                                               const char **ret_key);
/* The last revocation of any offer; 0: none. */
int64_t ebb_market_revoked_wall_ns(const struct ebb_market *m);

/* For the fold: a VM of this offer has launched; is being revoked; was refused. */
void ebb_market_launched(struct ebb_market *m, const Ebb__Offer *offer);
void ebb_market_revoked(struct ebb_market *m, const Ebb__Offer *offer, int64_t wall_ns);
void ebb_market_refused(struct ebb_market *m, const Ebb__Offer *offer, int64_t wall_ns, int code);
void ebb_market_observe(struct ebb_market *m, const Ebb__PricePoint *p);

/* What a VM costs (docs/ledger.md). Whole seconds from floor(launch) to floor(end), times the
 * scale; a price counts from the second that it falls in; each run of seconds at one price is
 * rounded to a millionth of a dollar, half up. Less than 60 billed seconds cost as 60, the rest at
 * the last price. A spot VM that the cloud interrupts before 3,600 billed seconds costs nothing. */
struct ebb_vm_bill {
    double billed_s; /* seconds times scale, the minimum included */
    int64_t usd_micros;
    int64_t forgiven_usd_micros; /* what the interruption made free */
};
/* `entry` may be NULL (then the offer's own price holds throughout). */
void ebb_bill_vm(const struct ebb_market_entry *entry, const Ebb__Offer *offer,
                 int64_t launched_wall_ns, int64_t ended_wall_ns, bool interrupted, double scale,
                 struct ebb_vm_bill *ret);

/* PUT, POST, LIST 0.005 USD per 1,000; the others 0.0004; rounded half up. */
int64_t ebb_bill_requests(uint64_t puts, uint64_t gets);
/* 0.023 USD per GB-month, of 2^30 bytes and 30 days; rounded half up. */
int64_t ebb_bill_storage(double byte_seconds);

#endif
