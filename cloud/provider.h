/* A cloud that rents VMs. Calls block (worker threads make them); a handle may be used by several
 * threads. Nothing here decides: which offer, when, and what to do about a failure is the
 * scheduler's. */
#ifndef EBB_CLOUD_PROVIDER_H
#define EBB_CLOUD_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/event.pb-c.h"

struct ebb_provider;

enum ebb_instance_state {
    EBB_INSTANCE_PENDING,
    EBB_INSTANCE_RUNNING,
    EBB_INSTANCE_STOPPING, /* shutting down */
    EBB_INSTANCE_TERMINATED,
};

struct ebb_instance {
    char id[32];        /* "i-0123456789abcdef0" */
    char vm[32];        /* tag ebb:vm: our id; empty when untagged */
    char scheduler[64]; /* tag ebb:scheduler: which scheduler launched it */
    char type[32];
    char zone[32];
    bool spot;
    enum ebb_instance_state state;
    int64_t launched_wall_ns; /* billing starts */
    int64_t ended_wall_ns;    /* 0 while it lives */
    bool interrupted;         /* ended by the cloud */
    char reason[96];          /* "Server.SpotInstanceTermination" */
};

struct ebb_launch_request {
    const Ebb__Offer *offer;
    const char *client_token; /* idempotency: the same token gives the same VM, at most 64 ASCII */
    const char *vm;           /* our id: tags Name and ebb:vm */
    const char *scheduler;    /* tag ebb:scheduler */
    const char *user_data;    /* boot script, plain text */
};

/* Called once per offer, or price point, or instance; return non-zero to stop. */
typedef int (*ebb_offer_fn)(void *ctx, const Ebb__Offer *offer);
typedef int (*ebb_price_fn)(void *ctx, const Ebb__PricePoint *point);
typedef int (*ebb_instance_fn)(void *ctx, const struct ebb_instance *instance);

struct ebb_provider_methods {
    void (*destroy)(struct ebb_provider *p);
    int (*offers)(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err);
    int (*prices)(struct ebb_provider *p, int64_t since_wall_ns, ebb_price_fn fn, void *ctx,
                  struct ebb_error *err);
    int (*launch)(struct ebb_provider *p, const struct ebb_launch_request *q,
                  struct ebb_instance *ret, struct ebb_error *err);
    int (*list)(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                struct ebb_error *err);
    int (*terminate)(struct ebb_provider *p, const char *const *ids, size_t count,
                     struct ebb_error *err);
};

struct ebb_provider {
    const struct ebb_provider_methods *methods;
    const char *name; /* "aws" */
    char region[32];
};

/* "aws": endpoint, region and credentials as the AWS tools find them. The emulated cloud is this
 * provider with AWS_ENDPOINT_URL set. */
int ebb_provider_open(const char *name, struct ebb_provider **ret, struct ebb_error *err);
void ebb_provider_destroy(struct ebb_provider *p);

/* Every VM type in every zone of the region, spot and on demand, with the price now. */
int ebb_provider_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err);
/* Spot price changes since then, the one in force at `since` included. */
int ebb_provider_prices(struct ebb_provider *p, int64_t since_wall_ns, ebb_price_fn fn, void *ctx,
                        struct ebb_error *err);
/* One VM. EBB_ERR_NO_CAPACITY, EBB_ERR_QUOTA, EBB_ERR_THROTTLED, EBB_ERR_TIMEOUT (unknown: call
 * again with the same token), ... */
int ebb_provider_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                        struct ebb_instance *ret, struct ebb_error *err);
/* All VMs that carry the scheduler's tag, ended ones as long as the cloud remembers them. */
int ebb_provider_list(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                      struct ebb_error *err);
int ebb_provider_terminate(struct ebb_provider *p, const char *const *ids, size_t count,
                           struct ebb_error *err);

#endif
