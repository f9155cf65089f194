/* The EC2 provider against scripted answers: what it asks for, what it reads, what every refusal
 * means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cloud/provider.h"
#include "tests/unit/cloud/script_server.h"

#define EC2_ERROR(code)                                                                            \
    "<Response><Errors><Error><Code>" code "</Code><Message>as it is</Message></Error></Errors>"   \
    "<RequestID>1</RequestID></Response>"

static struct ebb_provider *open_provider(const struct script_server *s)
{
    struct ebb_provider *p = NULL;
    struct ebb_error err = {0};
    script_use(s);
    if (ebb_provider_open("aws", &p, &err) < 0)
        fail_msg("%s", err.text);
    return p;
}

static int launch(struct ebb_provider *p, Ebb__Market market, struct ebb_instance *ret,
                  struct ebb_error *err)
{
    Ebb__Offer offer = EBB__OFFER__INIT;
    offer.type = (char *)"g5.xlarge";
    offer.zone = (char *)"eu-west-1b";
    offer.market = market;
    const struct ebb_launch_request q = {&offer, "token-1", "vm-000007", "sched-1",
                                         "#!/bin/bash\necho hi\n"};
    return ebb_provider_launch(p, &q, ret, err);
}

#define INSTANCE(id, state, rest)                                                                  \
    "<item><instanceId>" id "</instanceId><instanceType>g5.xlarge</instanceType>"                  \
    "<launchTime>2026-11-21T10:00:00.000Z</launchTime>"                                            \
    "<placement><availabilityZone>eu-west-1b</availabilityZone></placement>"                       \
    "<instanceState><code>16</code><name>" state "</name></instanceState>" rest "</item>"

#define TAGS                                                                                       \
    "<tagSet><item><key>Name</key><value>vm-000007</value></item>"                                 \
    "<item><key>ebb:vm</key><value>vm-000007</value></item>"                                       \
    "<item><key>ebb:scheduler</key><value>sched-1</value></item></tagSet>"

static void a_launch_asks_for_one_tagged_spot_vm(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL,
         "<RunInstancesResponse><instancesSet>" INSTANCE(
             "i-0abc", "pending",
             "<instanceLifecycle>spot</instanceLifecycle>" TAGS) "</instancesSet></"
                                                                 "RunInstancesResponse>",
         true}};
    const char *expected[] = {
        "Action=RunInstances&Version=2016-11-15",
        "&ClientToken=token-1&",
        "&InstanceType=g5.xlarge&",
        "&MinCount=1&MaxCount=1&",
        "&InstanceInitiatedShutdownBehavior=terminate&",
        "&UserData=IyEvYmluL2Jhc2gKZWNobyBoaQo%3D&",
        "&ImageId=ami-1&",
        "&SecurityGroupId.1=sg-1&SecurityGroupId.2=sg-2&",
        "&IamInstanceProfile.Name=ebb&",
        "&InstanceMarketOptions.MarketType=spot&",
        "&InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time&",
        "&TagSpecification.1.ResourceType=instance&",
        "&TagSpecification.1.Tag.2.Key=ebb%3Avm&TagSpecification.1.Tag.2.Value=vm-000007&",
        "&TagSpecification.1.Tag.3.Value=sched-1&",
        "&Placement.AvailabilityZone=eu-west-1b&SubnetId=subnet-b",
    };
    struct ebb_instance i;
    struct script_server s;
    script_start(&s, script);
    struct ebb_provider *p = open_provider(&s);
    setenv("EBB_AWS_IMAGE_ID", "ami-1", 1);
    setenv("EBB_AWS_SUBNETS", "eu-west-1a=subnet-a,eu-west-1b=subnet-b", 1);
    setenv("EBB_AWS_SECURITY_GROUPS", "sg-1,sg-2", 1);
    setenv("EBB_AWS_INSTANCE_PROFILE", "ebb", 1);
    assert_int_equal(launch(p, EBB__MARKET__SPOT, &i, NULL), 0);
    for (size_t n = 0; n < EBB_ARRAY_LEN(expected); n++)
        if (strstr(s.asked[0].body, expected[n]) == NULL)
            fail_msg("no %s in %s", expected[n], s.asked[0].body);
    assert_string_equal(i.id, "i-0abc");
    assert_string_equal(i.vm, "vm-000007");
    assert_string_equal(i.zone, "eu-west-1b");
    assert_true(i.spot);
    assert_int_equal(i.state, EBB_INSTANCE_PENDING);
    assert_int_equal(i.ended_wall_ns, 0);
    assert_int_equal(launch(p, EBB__MARKET__ON_DEMAND, &i, NULL), 0);
    assert_null(strstr(s.asked[1].body, "InstanceMarketOptions"));
    setenv("EBB_AWS_SUBNETS", "eu-west-1a=subnet-a", 1);
    assert_int_equal(launch(p, EBB__MARKET__SPOT, &i, NULL), EBB_ERR_INPUT);
    ebb_provider_destroy(p);
    script_stop(&s);
}

static void refused_launches_are_told_apart(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *body;
        int code;
    } cases[] = {
        {500, EC2_ERROR("InsufficientInstanceCapacity"), EBB_ERR_NO_CAPACITY},
        {400, EC2_ERROR("SpotMaxPriceTooLow"), EBB_ERR_NO_CAPACITY},
        {400, EC2_ERROR("Unsupported"), EBB_ERR_NO_CAPACITY},
        {400, EC2_ERROR("MaxSpotInstanceCountExceeded"), EBB_ERR_QUOTA},
        {400, EC2_ERROR("VcpuLimitExceeded"), EBB_ERR_QUOTA},
        {503, EC2_ERROR("RequestLimitExceeded"), EBB_ERR_THROTTLED},
        {400, EC2_ERROR("Client.RequestLimitExceeded"), EBB_ERR_THROTTLED},
        {403, EC2_ERROR("UnauthorizedOperation"), EBB_ERR_DENIED},
        {401, EC2_ERROR("AuthFailure"), EBB_ERR_DENIED},
        {400, EC2_ERROR("InvalidAMIID.NotFound"), EBB_ERR_INPUT},
        {400, EC2_ERROR("IdempotentParameterMismatch"), EBB_ERR_INPUT},
        {500, EC2_ERROR("InternalError"), EBB_ERR_TIMEOUT},
        {502, "<html>bad gateway", EBB_ERR_TIMEOUT},
        {200, "<RunInstancesResponse/>", EBB_ERR_TIMEOUT},
        {0, NULL, EBB_ERR_TIMEOUT},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        const struct script_answer script[] = {{cases[i].status, NULL, cases[i].body, true}};
        struct ebb_instance instance;
        struct ebb_error err = {0};
        struct script_server s;
        script_start(&s, script);
        struct ebb_provider *p = open_provider(&s);
        assert_int_equal(launch(p, EBB__MARKET__SPOT, &instance, &err), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(s.asked_count, 1);
        ebb_provider_destroy(p);
        script_stop(&s);
    }
}

static int collect_instance(void *ctx, const struct ebb_instance *i)
{
    struct ebb_instance **at = ctx;
    *(*at)++ = *i;
    return 0;
}

#define LIST_BEGIN  "<DescribeInstancesResponse><reservationSet>"
#define LIST_END    "</DescribeInstancesResponse>"
#define RESERVATION "<item><instancesSet>"
#define RESERVED    "</instancesSet></item>"
#define ENDED(reason, code)                                                                        \
    "<reason>" reason "</reason><stateReason><code>" code "</code></stateReason>"

static const char running_spot[] =
    INSTANCE("i-1", "running", "<instanceLifecycle>spot</instanceLifecycle>" TAGS);
static const char interrupted[] =
    INSTANCE("i-2", "terminated",
             ENDED("Server.SpotInstanceTermination (2026-11-21 11:05:00 GMT)",
                   "Server.SpotInstanceTermination"));
static const char stopping[] =
    INSTANCE("i-3", "shutting-down",
             ENDED("User initiated (2026-11-21 11:06:01 GMT)", "Client.UserInitiatedShutdown"));
static const char ended_untold[] = INSTANCE("i-4", "terminated", "");

static void a_list_follows_pages_and_reads_how_vms_ended(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *first = ebb_sprintf(
        "%s%s%s%s%s%s%s</reservationSet><nextToken>n=1</nextToken>%s", LIST_BEGIN, RESERVATION,
        running_spot, RESERVED, RESERVATION, interrupted, RESERVED, LIST_END);
    EBB_AUTO_FREE char *second =
        ebb_sprintf("%s%s%s%s%s</reservationSet>%s", LIST_BEGIN, RESERVATION, stopping,
                    ended_untold, RESERVED, LIST_END);
    const struct script_answer script[] = {
        {503, NULL, EC2_ERROR("RequestLimitExceeded"), false},
        {200, NULL, first, false},
        {200, NULL, second, true},
    };
    struct ebb_instance got[8], *at = got;
    int64_t time_ns;
    struct script_server s;
    script_start(&s, script);
    struct ebb_provider *p = open_provider(&s);
    assert_int_equal(ebb_provider_list(p, "sched-1", collect_instance, &at, NULL), 0);
    assert_int_equal(at - got, 4);
    assert_non_null(strstr(s.asked[1].body, "&Filter.1.Name=tag%3Aebb%3Ascheduler"
                                            "&Filter.1.Value.1=sched-1"));
    assert_non_null(strstr(s.asked[2].body, "&NextToken=n%3D1"));
    assert_int_equal(got[0].state, EBB_INSTANCE_RUNNING);
    assert_string_equal(got[0].scheduler, "sched-1");
    ebb_time_parse("2026-11-21T10:00:00Z", &time_ns, NULL);
    assert_int_equal(got[0].launched_wall_ns, time_ns);
    assert_int_equal(got[0].ended_wall_ns, 0);
    ebb_time_parse("2026-11-21T11:05:00Z", &time_ns, NULL);
    assert_int_equal(got[1].ended_wall_ns, time_ns);
    assert_true(got[1].interrupted);
    assert_string_equal(got[1].reason, "Server.SpotInstanceTermination");
    assert_int_equal(got[2].state, EBB_INSTANCE_STOPPING);
    assert_false(got[2].interrupted);
    assert_int_equal(got[2].ended_wall_ns, time_ns + 61 * EBB_NS_PER_S);
    assert_int_not_equal(got[3].ended_wall_ns, 0);
    int64_t first_seen_ns = got[3].ended_wall_ns;
    at = got;
    assert_int_equal(ebb_provider_list(p, "sched-1", collect_instance, &at, NULL), 0);
    assert_int_equal(got[1].ended_wall_ns, first_seen_ns);
    ebb_provider_destroy(p);
    script_stop(&s);
}

static void a_vm_that_is_gone_does_not_keep_others_alive(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {400, NULL, EC2_ERROR("InvalidInstanceID.NotFound"), false}, /* all three */
        {400, NULL, EC2_ERROR("InvalidInstanceID.NotFound"), false}, /* i-1 */
        {200, NULL, "<TerminateInstancesResponse/>", true}};         /* i-2, i-3 */
    const char *ids[] = {"i-1", "i-2", "i-3"};
    struct script_server s;
    script_start(&s, script);
    struct ebb_provider *p = open_provider(&s);
    assert_int_equal(ebb_provider_terminate(p, ids, 3, NULL), 0);
    assert_int_equal(s.asked_count, 3);
    assert_non_null(strstr(s.asked[0].body, "&InstanceId.1=i-1&InstanceId.2=i-2&InstanceId.3=i-3"));
    assert_non_null(strstr(s.asked[2].body, "&InstanceId.1=i-2&InstanceId.2=i-3"));
    ebb_provider_destroy(p);
    script_stop(&s);
}

#define TYPE(name, cpus, mib, architecture, rest)                                                  \
    "<item><instanceType>" name "</instanceType><vCpuInfo><defaultVCpus>" cpus                     \
    "</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>" mib "</sizeInMiB></memoryInfo>"            \
    "<processorInfo><supportedArchitectures><item>" architecture                                   \
    "</item></supportedArchitectures></processorInfo>"                                             \
    "<supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>" rest  \
    "</item>"
#define PRICE(type, zone, price, time)                                                             \
    "<item><instanceType>" type "</instanceType><productDescription>Linux/UNIX"                    \
    "</productDescription><spotPrice>" price "</spotPrice><timestamp>" time "</timestamp>"         \
    "<availabilityZone>" zone "</availabilityZone></item>"
#define GPU                                                                                        \
    "<gpuInfo><gpus><item><name>A10G</name><manufacturer>NVIDIA</manufacturer><count>1</count>"    \
    "</item></gpus></gpuInfo>"
#define OURS                                                                                       \
    TYPE("g5.xlarge", "4", "16384", "x86_64", GPU)                                                 \
    TYPE("c7.large", "2", "4096", "x86_64", "")                                                    \
    TYPE("x1.metal", "2", "4096", "x86_64", "<bareMetal>true</bareMetal>")                         \
    TYPE("odd.large", "2", "4096", "mips", "")

static int print_offer(void *ctx, const Ebb__Offer *o)
{
    ebb_buffer_printf(ctx, "%s %s %s %g %llu %u %s %lld %lld\n", o->type, o->zone,
                      o->market == EBB__MARKET__SPOT ? "spot" : "od", o->cpus,
                      (unsigned long long)o->memory_bytes >> 20, o->gpus, o->gpu_model,
                      (long long)o->usd_micros_per_hour,
                      (long long)o->on_demand_usd_micros_per_hour);
    return 0;
}

static void offers_join_types_zones_and_prices(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL,
         "<DescribeInstanceTypesResponse><instanceTypeSet>" OURS
         "</instanceTypeSet></DescribeInstanceTypesResponse>",
         false},
        {200, NULL,
         "<DescribeAvailabilityZonesResponse><availabilityZoneInfo>"
         "<item><zoneName>eu-west-1a</zoneName><zoneState>available</zoneState></item>"
         "<item><zoneName>eu-west-1b</zoneName><zoneState>available</zoneState></item>"
         "<item><zoneName>eu-west-1c</zoneName><zoneState>impaired</zoneState></item>"
         "<item><zoneName>eu-west-1-lon-1a</zoneName><zoneState>available</zoneState>"
         "<zoneType>local-zone</zoneType></item>"
         "</availabilityZoneInfo></DescribeAvailabilityZonesResponse>",
         false},
        {200, NULL,
         "<DescribeInstanceTypeOfferingsResponse><instanceTypeOfferingSet>"
         "<item><instanceType>g5.xlarge</instanceType><location>eu-west-1a</location></item>"
         "<item><instanceType>c7.large</instanceType><location>eu-west-1a</location></item>"
         "<item><instanceType>c7.large</instanceType><location>eu-west-1b</location></item>"
         "</instanceTypeOfferingSet></DescribeInstanceTypeOfferingsResponse>",
         false},
        {200, NULL,
         "{\"PriceList\":[\"{\\\"product\\\":{\\\"attributes\\\":{\\\"instanceType\\\":"
         "\\\"g5.xlarge\\\"}},\\\"terms\\\":{\\\"OnDemand\\\":{\\\"a.b\\\":{"
         "\\\"priceDimensions\\\":{\\\"a.b.c\\\":{\\\"unit\\\":\\\"Hrs\\\",\\\"pricePerUnit\\\":{"
         "\\\"USD\\\":\\\"1.1230000000\\\"}}}}}}}\"]}",
         false},
        {200, NULL,
         "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet>" PRICE(
             "g5.xlarge", "eu-west-1a", "0.410000", "2026-11-21T09:00:00.000Z")
             PRICE("g5.xlarge", "eu-west-1a", "0.400000", "2026-11-21T08:00:00.000Z")
                 PRICE("c7.large", "eu-west-1b", "0.0312345", "2026-11-21T09:00:00.000Z")
                     PRICE("g5.xlarge", "eu-west-1b", "0.3",
                           "2026-11-21T09:00:00.000Z") "</spotPriceHistorySet></"
                                                       "DescribeSpotPriceHistoryResponse>",
         true}};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_error err = {0};
    struct script_server s;
    script_start(&s, script);
    struct ebb_provider *p = open_provider(&s);
    if (ebb_provider_offers(p, print_offer, &b, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(ebb_buffer_text(&b),
                        "g5.xlarge eu-west-1a spot 4 16384 1 a10g 410000 1123000\n"
                        "g5.xlarge eu-west-1a od 4 16384 1 a10g 1123000 1123000\n"
                        "c7.large eu-west-1b spot 2 4096 0  31235 0\n");
    assert_non_null(strstr(s.asked[3].headers, "x-amz-target: AWSPriceListService.GetProducts\n"));
    assert_non_null(strstr(s.asked[3].headers, "/us-east-1/pricing/aws4_request"));
    assert_int_equal(ebb_provider_offers(p, print_offer, &b, &err), 0);
    assert_int_equal(s.asked_count, 6); /* only the spot prices are asked for again */
    ebb_provider_destroy(p);
    script_stop(&s);
}

static int print_price(void *ctx, const Ebb__PricePoint *p)
{
    ebb_buffer_printf(ctx, "%s %s %lld %lld\n", p->type, p->zone, (long long)p->usd_micros_per_hour,
                      (long long)(p->from_wall_ns / EBB_NS_PER_S % 86400));
    return 0;
}

static void prices_come_oldest_first(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL,
         "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet>" PRICE(
             "g5.xlarge", "eu-west-1a", "0.410000",
             "2026-11-21T09:00:00.000Z") "</spotPriceHistorySet><nextToken>x</nextToken></"
                                         "DescribeSpotPriceHistoryResponse>",
         false},
        {200, NULL,
         "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet>" PRICE(
             "g5.xlarge", "eu-west-1a", "0.400000",
             "2026-11-21T08:00:00.000Z") "</spotPriceHistorySet></"
                                         "DescribeSpotPriceHistoryResponse>",
         false},
        {200, NULL,
         "<DescribeSpotPriceHistoryResponse><spotPriceHistorySet>" PRICE(
             "g5.xlarge", "eu-west-1a", "cheap",
             "2026-11-21T08:00:00.000Z") "</spotPriceHistorySet></"
                                         "DescribeSpotPriceHistoryResponse>",
         true}};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct script_server s;
    script_start(&s, script);
    struct ebb_provider *p = open_provider(&s);
    assert_int_equal(
        ebb_provider_prices(p, INT64_C(1795248000) * EBB_NS_PER_S, print_price, &b, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), "g5.xlarge eu-west-1a 400000 28800\n"
                                             "g5.xlarge eu-west-1a 410000 32400\n");
    assert_non_null(strstr(s.asked[0].body, "&StartTime=2026-11-21T08%3A00%3A00"));
    assert_int_equal(ebb_provider_prices(p, 0, print_price, &b, NULL), EBB_ERR_CORRUPT);
    ebb_provider_destroy(p);
    script_stop(&s);
}

static void clouds_of_no_known_name_are_bad_input(void **state)
{
    (void)state;
    struct ebb_provider *p = NULL;
    assert_int_equal(ebb_provider_open("azure", &p, NULL), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_launch_asks_for_one_tagged_spot_vm),
        cmocka_unit_test(refused_launches_are_told_apart),
        cmocka_unit_test(a_list_follows_pages_and_reads_how_vms_ended),
        cmocka_unit_test(a_vm_that_is_gone_does_not_keep_others_alive),
        cmocka_unit_test(offers_join_types_zones_and_prices),
        cmocka_unit_test(prices_come_oldest_first),
        cmocka_unit_test(clouds_of_no_known_name_are_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
