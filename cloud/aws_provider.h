/* EC2 as a provider: the parts share this handle. aws_provider.c lists and terminates,
 * aws_launch.c launches, aws_catalogue.c knows offers and prices. */
#ifndef EBB_CLOUD_AWS_PROVIDER_H
#define EBB_CLOUD_AWS_PROVIDER_H

#include <pthread.h>

#include "base/map.h"
#include "cloud/aws_client.h"
#include "cloud/ec2_call.h"
#include "cloud/provider.h"

struct ebb_aws_catalogue;

struct ebb_aws_provider {
    struct ebb_provider base;
    struct ebb_aws_client *client;
    struct ebb_ec2 ec2;
    struct ebb_aws_catalogue *catalogue;
    pthread_mutex_t lock;       /* guards `first_seen` */
    struct ebb_map *first_seen; /* instance -> int64_t: when first seen ended, see list */
};

int ebb_aws_provider_open(struct ebb_provider **ret, struct ebb_error *err);

int ebb_aws_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                   struct ebb_instance *ret, struct ebb_error *err);
/* The subnet that EBB_AWS_SUBNETS ("zone=subnet,...") names for a zone, malloc'ed; NULL when the
 * variable is not set or names none. */
char *ebb_aws_subnet_of(const char *zone);

struct ebb_aws_catalogue *ebb_aws_catalogue_new(void);
void ebb_aws_catalogue_destroy(struct ebb_aws_catalogue *c);
int ebb_aws_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err);
int ebb_aws_prices(struct ebb_provider *p, int64_t since_wall_ns, ebb_price_fn fn, void *ctx,
                   struct ebb_error *err);

#endif
