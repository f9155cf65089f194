/* provider_contract: the AWS provider through one life of VMs, against the cloud that the
 * environment names, with the types and zones of tests/clients/contract_fleet.yaml. Prints what
 * failed; exit status 0 when all held. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/provider.h"

#define SCHEDULER "contract"
#define WAIT_S    90

static struct ebb_provider *provider;

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* ---- offers and prices ---- */

struct seen {
    unsigned spot, on_demand, gpu, points;
};

static int on_offer(void *ctx, const Ebb__Offer *o)
{
    struct seen *seen = ctx;
    bool spot = o->market == EBB__MARKET__SPOT;
    REQUIRE(o->usd_micros_per_hour > 0 && o->cpus >= 1 && o->memory_bytes > 0, "%s", o->type);
    REQUIRE(o->on_demand_usd_micros_per_hour >= o->usd_micros_per_hour, "%s %s", o->type, o->zone);
    REQUIRE(strcmp(o->provider, "aws") == 0 && strcmp(o->region, "us-east-1") == 0, "%s",
            o->region);
    if (strcmp(o->type, "c5.large") == 0 && strcmp(o->zone, "us-east-1b") == 0)
        REQUIRE(o->usd_micros_per_hour == (spot ? 34300 : 85000), "%lld",
                (long long)o->usd_micros_per_hour);
    seen->gpu += o->gpus == 1 && strcmp(o->gpu_model, "a10g") == 0;
    seen->spot += spot;
    seen->on_demand += !spot;
    return 0;
}

static int on_price(void *ctx, const Ebb__PricePoint *p)
{
    struct seen *seen = ctx;
    REQUIRE(p->usd_micros_per_hour > 0 && p->from_wall_ns <= ebb_wall_ns(NULL), "%s %s", p->type,
            p->zone);
    seen->points++;
    return 0;
}

static void offers_and_prices_cover_all_pools(void)
{
    struct seen seen = {0};
    struct ebb_error err = {0};
    REQUIRE(ebb_provider_offers(provider, on_offer, &seen, &err) == 0, "%s", err.text);
    REQUIRE(seen.spot == 4 && seen.on_demand == 4 && seen.gpu == 4, "%u spot, %u on demand, %u gpu",
            seen.spot, seen.on_demand, seen.gpu);
    REQUIRE(ebb_provider_prices(provider, ebb_wall_ns(NULL), on_price, &seen, &err) == 0, "%s",
            err.text);
    REQUIRE(seen.points >= 4, "%u prices", seen.points);
}

/* ---- VMs ---- */

static int try_launch(const char *type, const char *zone, const char *token, const char *script,
                      struct ebb_instance *ret, struct ebb_error *err)
{
    Ebb__Offer offer = EBB__OFFER__INIT;
    offer.type = (char *)type;
    offer.zone = (char *)zone;
    offer.market = EBB__MARKET__SPOT;
    const struct ebb_launch_request q = {&offer, token, token, SCHEDULER, script};
    return ebb_provider_launch(provider, &q, ret, err);
}

static struct ebb_instance launch(const char *zone, const char *token, const char *script)
{
    struct ebb_instance i = {0};
    struct ebb_error err = {0};
    REQUIRE(try_launch("c5.large", zone, token, script, &i, &err) == 0, "%s", err.text);
    REQUIRE(strcmp(i.vm, token) == 0 && strcmp(i.scheduler, SCHEDULER) == 0, "tags %s %s", i.vm,
            i.scheduler);
    REQUIRE(i.spot && strcmp(i.zone, zone) == 0 && strcmp(i.type, "c5.large") == 0, "%s in %s",
            i.type, i.zone);
    return i;
}

struct look {
    const char *id;
    struct ebb_instance found;
    unsigned count;
};

static int on_instance(void *ctx, const struct ebb_instance *i)
{
    struct look *l = ctx;
    if (strcmp(i->id, l->id) == 0) {
        l->found = *i;
        l->count++;
    }
    return 0;
}

/* Waits until the VM is in the state. */
static struct ebb_instance await(const char *id, enum ebb_instance_state state)
{
    int64_t deadline_ns = ebb_now_ns(NULL) + WAIT_S * EBB_NS_PER_S;
    const struct timespec nap = {.tv_nsec = 100000000};
    for (;;) {
        struct look l = {.id = id};
        struct ebb_error err = {0};
        REQUIRE(ebb_provider_list(provider, SCHEDULER, on_instance, &l, &err) == 0, "%s", err.text);
        REQUIRE(l.count <= 1, "%s is listed %u times", id, l.count);
        if (l.count == 1 && l.found.state == state)
            return l.found;
        REQUIRE(ebb_now_ns(NULL) < deadline_ns, "%s is in state %d, not %d", id, l.found.state,
                state);
        nanosleep(&nap, NULL);
    }
}

static void require_ended(const struct ebb_instance *i, bool interrupted, const char *reason)
{
    REQUIRE(i->ended_wall_ns >= i->launched_wall_ns && i->launched_wall_ns > 0, "%s: times", i->id);
    REQUIRE(i->ended_wall_ns <= ebb_wall_ns(NULL) + EBB_NS_PER_S, "%s: ended later than now",
            i->id);
    REQUIRE(i->interrupted == interrupted && strcmp(i->reason, reason) == 0, "%s: %s", i->id,
            i->reason);
}

static void a_repeated_launch_is_one_vm_that_terminates(void)
{
    const char *script = "#!/bin/bash\nsleep 600\n", *none = "i-0123456789abcdef0";
    struct ebb_error err = {0};
    struct ebb_instance first = launch("us-east-1a", "vm-1", script);
    struct ebb_instance again = launch("us-east-1a", "vm-1", script);
    struct ebb_instance other;
    REQUIRE(strcmp(first.id, again.id) == 0, "%s and %s", first.id, again.id);
    REQUIRE(try_launch("c5.large", "us-east-1a", "vm-1", "#!/bin/sh\n", &other, NULL) ==
                EBB_ERR_INPUT,
            "another request with the same token");
    struct ebb_instance running = await(first.id, EBB_INSTANCE_RUNNING);
    REQUIRE(running.ended_wall_ns == 0, "a running VM has ended");
    const char *ids[] = {none, first.id};
    REQUIRE(ebb_provider_terminate(provider, ids, 2, &err) == 0, "%s", err.text);
    struct ebb_instance ended = await(first.id, EBB_INSTANCE_TERMINATED);
    require_ended(&ended, false, "Client.UserInitiatedShutdown");
    REQUIRE(ended.launched_wall_ns == running.launched_wall_ns, "launch time moved");
    REQUIRE(ebb_provider_terminate(provider, ids, 2, &err) == 0, "%s", err.text);
}

static void a_vm_that_shuts_itself_down_is_terminated(void)
{
    struct ebb_instance i = launch("us-east-1b", "vm-2", "#!/bin/bash\nshutdown -h now\n");
    struct ebb_instance ended = await(i.id, EBB_INSTANCE_TERMINATED);
    require_ended(&ended, false, "Client.InstanceInitiatedShutdown");
}

static void a_revoked_vm_is_interrupted(void)
{
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_error err = {0};
    struct ebb_instance i = launch("us-east-1b", "vm-3", "#!/bin/bash\nsleep 600\n");
    (void)await(i.id, EBB_INSTANCE_RUNNING);
    EBB_AUTO_FREE char *url =
        ebb_sprintf("%s/_ebb/revoke?instance=%s&notice=none", getenv("AWS_ENDPOINT_URL"), i.id);
    struct ebb_http_client *http = ebb_http_client_new();
    struct ebb_http_request q = {.method = "POST", .url = url};
    REQUIRE(ebb_http_call(http, &q, &answer, &err) == 0 && answer.status == 200, "%s", err.text);
    ebb_http_client_destroy(http);
    struct ebb_instance ended = await(i.id, EBB_INSTANCE_TERMINATED);
    require_ended(&ended, true, "Server.SpotInstanceTermination");
}

static void a_pool_without_room_is_no_capacity(void)
{
    struct ebb_instance i;
    struct ebb_error err = {0};
    int code = try_launch("g5.xlarge", "us-east-1b", "vm-4", "#!/bin/sh\n", &i, &err);
    REQUIRE(code == EBB_ERR_NO_CAPACITY, "%d: %s", code, err.text);
    code = try_launch("x9.unheard", "us-east-1b", "vm-5", "#!/bin/sh\n", &i, &err);
    REQUIRE(code == EBB_ERR_INPUT, "%d: %s", code, err.text);
}

/* The VM's own view: `boot` runs there, with the instance role's credentials. */
static void a_vm_reaches_the_store_by_its_role(const char *boot)
{
    EBB_AUTO_FREE char *script =
        ebb_sprintf("#!/bin/bash\n%s && shutdown -h now\nsleep 600\n", boot);
    struct ebb_instance i = launch("us-east-1a", "vm-6", script);
    struct ebb_instance ended = await(i.id, EBB_INSTANCE_TERMINATED);
    require_ended(&ended, false, "Client.InstanceInitiatedShutdown");
}

int main(int argc, char **argv)
{
    struct ebb_error err = {0};
    REQUIRE(ebb_provider_open("aws", &provider, &err) == 0, "%s", err.text);
    offers_and_prices_cover_all_pools();
    a_repeated_launch_is_one_vm_that_terminates();
    a_vm_that_shuts_itself_down_is_terminated();
    a_revoked_vm_is_interrupted();
    a_pool_without_room_is_no_capacity();
    if (argc > 1)
        a_vm_reaches_the_store_by_its_role(argv[1]);
    ebb_provider_destroy(provider);
    printf("the provider keeps the contract\n");
    return 0;
}
