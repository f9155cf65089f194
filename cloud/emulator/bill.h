/* The emulated cloud's own bill: its answer to check a ledger against. Pure: times and prices come
 * in. The rules (docs/emulator.md, "The bill"):
 *  - a VM is billed from floor(start) to floor(end) in whole seconds, times the time scale;
 *  - each second costs the price in force at it; price changes count from their whole second on;
 *  - at least 60 billed seconds a VM, the missing ones at the last price;
 *  - a spot VM that the cloud itself ends before 3,600 billed seconds costs nothing;
 *  - micro-USD are rounded, half up, once per VM and price. */
#ifndef EBB_CLOUD_EMULATOR_BILL_H
#define EBB_CLOUD_EMULATOR_BILL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cloud/emulator/fleet.h"

struct ebb_bill_line {
    char instance[32];
    char type[EBB_FLEET_NAME_SIZE];
    char zone[EBB_FLEET_NAME_SIZE];
    bool spot;
    bool forgiven;
    int64_t start_s; /* whole seconds since 1970; 0: never ran */
    int64_t end_s;   /* 0: runs still */
    int64_t billed_s;
    int64_t usd_micros;
};

enum ebb_bill_request { EBB_BILL_PUT, EBB_BILL_GET, EBB_BILL_DELETE, EBB_BILL_REQUEST_KINDS };

struct ebb_bill {
    int64_t time_scale;
    struct ebb_bill_line *lines; /* VMs that have ended, in order of their end */
    size_t line_count;
    uint64_t requests[EBB_BILL_REQUEST_KINDS];
    long double stored_byte_s; /* real seconds, not scaled */
};

/* Price changes as whole seconds since 1970, ascending; price in force at second s is that of the
 * last change at or before s, or the first. */
struct ebb_bill_price {
    int64_t from_s;
    int64_t usd_micros_per_hour;
};

/* Fills billed_s, usd_micros and forgiven of a line whose other fields are set (end_s too). */
void ebb_bill_charge(struct ebb_bill_line *line, int64_t time_scale, bool interrupted,
                     const struct ebb_bill_price *prices, size_t count);
/* The price changes of a fleet's prices for an emulator that started then; malloc'ed. */
struct ebb_bill_price *ebb_bill_prices(const struct ebb_fleet_prices *p, int64_t origin_wall_ns,
                                       size_t *ret_count);

void ebb_bill_clean_up(struct ebb_bill *b);
void ebb_bill_add_line(struct ebb_bill *b, const struct ebb_bill_line *line);
void ebb_bill_count(struct ebb_bill *b, enum ebb_bill_request kind);
void ebb_bill_store(struct ebb_bill *b, uint64_t bytes, double seconds);
int64_t ebb_bill_request_usd_micros(const struct ebb_bill *b);
int64_t ebb_bill_storage_usd_micros(const struct ebb_bill *b);
/* As written to bill.json; `open` are VMs still running, charged until now. */
json_t *ebb_bill_json(const struct ebb_bill *b, const struct ebb_bill_line *open, size_t count);
/* Takes lines, requests and storage back from what ebb_bill_json made (without its open VMs). */
int ebb_bill_restore(struct ebb_bill *b, const json_t *from, struct ebb_error *err);

#endif
