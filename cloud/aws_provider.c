/* EC2 as a provider: opening, listing, terminating. */
#include "cloud/aws_provider.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/ec2_answer.h"

#define RETRY_FOR_S     30.0
#define TERMINATE_BATCH 1000

static struct ebb_aws_provider *self(struct ebb_provider *p)
{
    return (struct ebb_aws_provider *)p;
}

static void destroy(struct ebb_provider *p)
{
    struct ebb_aws_provider *a = self(p);
    ebb_aws_catalogue_destroy(a->catalogue);
    ebb_map_destroy(a->first_seen);
    pthread_mutex_destroy(&a->lock);
    ebb_ec2_clean_up(&a->ec2);
    ebb_aws_client_destroy(a->client);
    free(a);
}

/* ---- list ---- */

struct listing {
    struct ebb_aws_provider *provider;
    ebb_instance_fn fn;
    void *ctx;
};

/* EC2 does not always say when an instance ended. Then it is when we first saw it so, and stays
 * that. */
static void settle_end(struct ebb_aws_provider *a, struct ebb_instance *i)
{
    if (i->state != EBB_INSTANCE_TERMINATED || i->ended_wall_ns != 0)
        return;
    pthread_mutex_lock(&a->lock);
    int64_t *seen = ebb_map_get(a->first_seen, i->id);
    if (seen == NULL) {
        seen = ebb_alloc(sizeof(*seen));
        *seen = ebb_wall_ns(NULL);
        ebb_map_set(a->first_seen, i->id, seen);
    }
    i->ended_wall_ns = *seen;
    pthread_mutex_unlock(&a->lock);
}

static int on_instances(void *ctx, const struct ebb_xml_node *root, struct ebb_error *err)
{
    struct listing *l = ctx;
    const struct ebb_xml_node *r = ebb_xml_child(ebb_xml_child(root, "reservationSet"), "item");
    for (; r != NULL; r = ebb_xml_next(r, "item")) {
        const struct ebb_xml_node *n = ebb_xml_child(ebb_xml_child(r, "instancesSet"), "item");
        for (; n != NULL; n = ebb_xml_next(n, "item")) {
            struct ebb_instance instance;
            int code = ebb_ec2_read_instance(n, &instance, err);
            if (code < 0)
                return code;
            settle_end(l->provider, &instance);
            code = l->fn(l->ctx, &instance);
            if (code != 0)
                return code;
        }
    }
    return 0;
}

static int list(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    struct listing l = {self(p), fn, ctx};
    ebb_ec2_form_begin(&form, "DescribeInstances");
    ebb_ec2_form_add(&form, "MaxResults", "1000");
    ebb_ec2_form_add_filter(&form, 1, "tag:ebb:scheduler", scheduler);
    return ebb_ec2_call_pages(&self(p)->ec2, &form, RETRY_FOR_S, on_instances, &l, err);
}

/* ---- terminate ---- */

static int terminate_call(struct ebb_aws_provider *a, const char *const *ids, size_t count,
                          struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    struct ebb_xml *x = NULL;
    ebb_ec2_form_begin(&form, "TerminateInstances");
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "InstanceId.%zu", i + 1);
        ebb_ec2_form_add(&form, name, ids[i]);
    }
    int code = ebb_ec2_call(&a->ec2, &form, RETRY_FOR_S, &x, NULL, err);
    if (code == 0)
        ebb_xml_destroy(x);
    return code;
}

/* One id that EC2 does not know fails the whole batch: then each half by itself, down to the one
 * that is gone already, which is what was wanted. */
static int terminate_batch(struct ebb_aws_provider *a, const char *const *ids, size_t count,
                           struct ebb_error *err)
{
    int code = terminate_call(a, ids, count, err);
    if (code != EBB_ERR_NOT_FOUND)
        return code;
    ebb_error_clear(err);
    if (count == 1)
        return 0;
    code = terminate_batch(a, ids, count / 2, err);
    return code < 0 ? code : terminate_batch(a, ids + count / 2, count - count / 2, err);
}

static int terminate(struct ebb_provider *p, const char *const *ids, size_t count,
                     struct ebb_error *err)
{
    for (size_t at = 0; at < count; at += TERMINATE_BATCH) {
        size_t n = count - at < TERMINATE_BATCH ? count - at : TERMINATE_BATCH;
        int code = terminate_batch(self(p), ids + at, n, err);
        if (code < 0)
            return code;
    }
    return 0;
}

int ebb_aws_provider_open(struct ebb_provider **ret, struct ebb_error *err)
{
    static const struct ebb_provider_methods methods = {
        destroy, ebb_aws_offers, ebb_aws_prices, ebb_aws_launch, list, terminate,
    };
    struct ebb_aws_client *client = NULL;
    int code = ebb_aws_client_new(&client, err);
    if (code < 0)
        return code;
    struct ebb_aws_provider *a = ebb_alloc(sizeof(*a));
    a->base.methods = &methods;
    a->base.name = "aws";
    snprintf(a->base.region, sizeof(a->base.region), "%.31s", ebb_aws_client_region(client));
    a->client = client;
    ebb_ec2_init(&a->ec2, client);
    a->catalogue = ebb_aws_catalogue_new();
    pthread_mutex_init(&a->lock, NULL);
    a->first_seen = ebb_map_new(free);
    *ret = &a->base;
    return 0;
}
