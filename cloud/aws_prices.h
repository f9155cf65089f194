/* On-demand prices: the Price List API, or a small built-in table where that cannot be asked. */
#ifndef EBB_CLOUD_AWS_PRICES_H
#define EBB_CLOUD_AWS_PRICES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "cloud/aws_client.h"

/* One page of GetProducts: sets int64_t (malloc'ed, millionths of a dollar per hour) in `prices`
 * by instance type. *ret_token: the next page's token, malloc'ed, or NULL. Pure. */
int ebb_aws_prices_read(const void *body, size_t len, struct ebb_map *prices, char **ret_token,
                        struct ebb_error *err);
/* All Linux prices of a region into `prices`. */
int ebb_aws_prices_fetch(struct ebb_aws_client *client, const char *region, struct ebb_map *prices,
                         struct ebb_error *err);
/* Prices known when this was written (2026-07-20, us-east-1 alone); 0: not in the table. */
int64_t ebb_aws_price_built_in(const char *region, const char *type);

#endif
