/* The cloud's billing rule: whole seconds at the price in force.
 *
 *   launch        price change            end
 *     |...........|.......................|
 *     floor       floor                   floor      a change counts from the second it falls in
 */
#include <math.h>

#include "scheduler/core/market.h"

#define NS_PER_S       1000000000
#define LEAST_BILLED_S 60.0
#define FIRST_HOUR_S   3600.0

static int64_t round_half_up(double x)
{
    return (int64_t)floor(x + 0.5);
}

static int64_t floor_s(int64_t ns)
{
    return ns >= 0 ? ns / NS_PER_S : -((-ns + NS_PER_S - 1) / NS_PER_S);
}

static int64_t amount(double billed_s, int64_t usd_micros_per_hour)
{
    return round_half_up(billed_s * (double)usd_micros_per_hour / 3600);
}

void ebb_bill_vm(const struct ebb_market_entry *entry, const Ebb__Offer *offer,
                 int64_t launched_wall_ns, int64_t ended_wall_ns, bool interrupted, double scale,
                 struct ebb_vm_bill *ret)
{
    *ret = (struct ebb_vm_bill){0};
    if (launched_wall_ns == 0)
        return;
    const struct ebb_price own = {0, offer->usd_micros_per_hour};
    const struct ebb_price *prices = &own;
    size_t count = 1, i = 0;
    if (entry != NULL && entry->price_count > 0) {
        prices = entry->prices;
        count = entry->price_count;
    }
    int64_t at = floor_s(launched_wall_ns), to = floor_s(ended_wall_ns);
    if (to < at)
        to = at;
    double billed_s = (double)(to - at) * scale, last_s = (double)(to - at) * scale;
    int64_t sum = 0;
    while (i + 1 < count && floor_s(prices[i + 1].from_wall_ns) <= at)
        i++;
    for (; i + 1 < count && floor_s(prices[i + 1].from_wall_ns) < to; i++) {
        int64_t until = floor_s(prices[i + 1].from_wall_ns);
        sum += amount((double)(until - at) * scale, prices[i].usd_micros_per_hour);
        at = until;
        last_s = (double)(to - at) * scale;
    }
    bool forgiven = interrupted && offer->market == EBB__MARKET__SPOT && billed_s < FIRST_HOUR_S;
    if (billed_s < LEAST_BILLED_S) {
        last_s += LEAST_BILLED_S - billed_s;
        billed_s = LEAST_BILLED_S;
    }
    sum += amount(last_s, prices[i].usd_micros_per_hour);
    ret->billed_s = forgiven ? 0 : billed_s;
    ret->usd_micros = forgiven ? 0 : sum;
    ret->forgiven_usd_micros = forgiven ? sum : 0;
}

int64_t ebb_bill_requests(uint64_t puts, uint64_t gets)
{
    return (int64_t)((puts * 50 + gets * 4 + 5) / 10);
}

int64_t ebb_bill_storage(double byte_seconds)
{
    return round_half_up(byte_seconds / 1073741824.0 / 2592000.0 * 23000);
}
