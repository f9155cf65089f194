/* Which provider a name means, and the calls through its methods. */
#include "cloud/provider.h"

#include <string.h>

#include "cloud/aws_provider.h"

int ebb_provider_open(const char *name, struct ebb_provider **ret, struct ebb_error *err)
{
    if (strcmp(name, "aws") == 0)
        return ebb_aws_provider_open(ret, err);
    return ebb_error_set(err, EBB_ERR_INPUT, "cloud \"%s\" is not known; there is \"aws\"", name);
}

void ebb_provider_destroy(struct ebb_provider *p)
{
    if (p != NULL)
        p->methods->destroy(p);
}

int ebb_provider_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err)
{
    return p->methods->offers(p, fn, ctx, err);
}

int ebb_provider_prices(struct ebb_provider *p, int64_t since_wall_ns, ebb_price_fn fn, void *ctx,
                        struct ebb_error *err)
{
    return p->methods->prices(p, since_wall_ns, fn, ctx, err);
}

int ebb_provider_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                        struct ebb_instance *ret, struct ebb_error *err)
{
    return p->methods->launch(p, q, ret, err);
}

int ebb_provider_list(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                      struct ebb_error *err)
{
    return p->methods->list(p, scheduler, fn, ctx, err);
}

int ebb_provider_terminate(struct ebb_provider *p, const char *const *ids, size_t count,
                           struct ebb_error *err)
{
    return count == 0 ? 0 : p->methods->terminate(p, ids, count, err);
}
