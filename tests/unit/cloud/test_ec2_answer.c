/* EC2's values: prices to the millionth of a dollar, and fields that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "cloud/aws_prices.h"
#include "cloud/ec2_answer.h"

static void prices_round_half_up_to_millionths(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t micros;
    } good[] = {
        {"0.0416000000", 41600}, {"1", 1000000},         {"0.0000005", 1},
        {"0.00000049", 0},       {"113.93", 113930000},  {"0.12345649999", 123456},
        {"0.1234565", 123457},   {"0.9999999", 1000000}, {"999999999.5", 999999999500000},
    };
    const char *bad[] = {"", ".5", "1.", "-1", "1e3", "0x1", "1,5", "9999999999", "1.5 ", "nan"};
    int64_t micros = 0;
    for (size_t i = 0; i < EBB_ARRAY_LEN(good); i++) {
        assert_true(ebb_ec2_parse_price(good[i].text, &micros));
        assert_int_equal(micros, good[i].micros);
    }
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++)
        assert_false(ebb_ec2_parse_price(bad[i], &micros));
}

static int read_type(const char *cap, struct ebb_ec2_type *ret)
{
    EBB_AUTO_FREE char *text = ebb_sprintf(
        "<item><instanceType>t</instanceType><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo>"
        "<memoryInfo><sizeInMiB>2048</sizeInMiB></memoryInfo>%s</item>",
        cap);
    struct ebb_xml *x = NULL;
    assert_int_equal(ebb_xml_parse(text, strlen(text), &x, NULL), 0);
    int code = ebb_ec2_read_type(ebb_xml_root(x), "x86_64", ret, NULL);
    ebb_xml_destroy(x);
    return code;
}

static void a_cap_is_read_and_nonsense_refused(void **state)
{
    (void)state;
    struct ebb_ec2_type t;
    assert_int_equal(read_type("", &t), 0);
    assert_true(t.spot_cap_s == 0);
    assert_int_equal(read_type("<ebbSpotCapSeconds>86400.000</ebbSpotCapSeconds>", &t), 0);
    assert_true(t.spot_cap_s == 86400);
    const char *bad[] = {"-1", "0", "nan", "inf", "1e10", "day", "5 "};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++) {
        EBB_AUTO_FREE char *cap = ebb_sprintf("<ebbSpotCapSeconds>%s</ebbSpotCapSeconds>", bad[i]);
        assert_int_equal(read_type(cap, &t), EBB_ERR_CORRUPT);
    }
}

static int read_instance(const char *text, struct ebb_instance *ret)
{
    struct ebb_xml *x = NULL;
    assert_int_equal(ebb_xml_parse(text, strlen(text), &x, NULL), 0);
    int code = ebb_ec2_read_instance(ebb_xml_root(x), ret, NULL);
    ebb_xml_destroy(x);
    return code;
}

static void instances_that_cannot_be_read_are_corrupt(void **state)
{
    (void)state;
    const char *bad[] = {
        "<item/>",
        "<item><instanceId>i-1</instanceId></item>",
        "<item><instanceId>i-1</instanceId><instanceState><name>dancing</name></instanceState>"
        "</item>",
        "<item><instanceId>i-0123456789012345678901234567890123456789</instanceId><instanceState>"
        "<name>running</name></instanceState></item>",
        "<item><instanceId>i-1</instanceId><instanceState><name>running</name></instanceState>"
        "<launchTime>yesterday</launchTime></item>",
    };
    struct ebb_instance i;
    for (size_t n = 0; n < EBB_ARRAY_LEN(bad); n++)
        assert_int_equal(read_instance(bad[n], &i), EBB_ERR_CORRUPT);
}

static void only_the_clouds_own_ends_are_interruptions(void **state)
{
    (void)state;
    const struct {
        const char *code;
        bool interrupted;
    } cases[] = {
        {"Server.SpotInstanceTermination", true}, {"Server.SpotInstanceShutdown", true},
        {"Client.UserInitiatedShutdown", false},  {"Client.InstanceInitiatedShutdown", false},
        {"Server.InternalError", false},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        struct ebb_instance instance;
        EBB_AUTO_FREE char *text =
            ebb_sprintf("<item><instanceId>i-1</instanceId><instanceState><name>terminated</name>"
                        "</instanceState><reason>whatever (2026-11-21 11:05:00 GMT)</reason>"
                        "<stateReason><code>%s</code></stateReason></item>",
                        cases[i].code);
        assert_int_equal(read_instance(text, &instance), 0);
        assert_int_equal(instance.interrupted, cases[i].interrupted);
        assert_string_equal(instance.reason, cases[i].code);
    }
}

static void a_price_page_keeps_what_it_can_read(void **state)
{
    (void)state;
    const char *page =
        "{\"PriceList\":[\"not json\", 7, {\"product\":{}},"
        "{\"product\":{\"attributes\":{\"instanceType\":\"free.large\"}},\"terms\":{\"OnDemand\":"
        "{\"a\":{\"priceDimensions\":{\"b\":{\"unit\":\"Hrs\",\"pricePerUnit\":{\"USD\":\"0.0\"}}}"
        "}}}},"
        "{\"product\":{\"attributes\":{\"instanceType\":\"c5.large\"}},\"terms\":{\"OnDemand\":"
        "{\"a\":{\"priceDimensions\":{\"x\":{\"unit\":\"Quantity\",\"pricePerUnit\":{\"USD\":"
        "\"9\"}},\"b\":{\"unit\":\"Hrs\",\"pricePerUnit\":{\"USD\":\"0.085\"}}}}}}}],"
        "\"NextToken\":\"n\"}";
    struct ebb_map *prices = ebb_map_new(free);
    char *token = NULL;
    assert_int_equal(ebb_aws_prices_read(page, strlen(page), prices, &token, NULL), 0);
    assert_string_equal(token, "n");
    assert_int_equal(ebb_map_count(prices), 1);
    assert_int_equal(*(int64_t *)ebb_map_get(prices, "c5.large"), 85000);
    free(token);
    assert_int_equal(ebb_aws_prices_read("{}", 2, prices, &token, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_aws_prices_read("<a>", 3, prices, &token, NULL), EBB_ERR_CORRUPT);
    ebb_map_destroy(prices);
}

static void built_in_prices_hold_for_their_region_alone(void **state)
{
    (void)state;
    assert_int_equal(ebb_aws_price_built_in("us-east-1", "g5.xlarge"), 1006000);
    assert_int_equal(ebb_aws_price_built_in("eu-west-1", "g5.xlarge"), 0);
    assert_int_equal(ebb_aws_price_built_in("us-east-1", "none"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cap_is_read_and_nonsense_refused),
        cmocka_unit_test(prices_round_half_up_to_millionths),
        cmocka_unit_test(instances_that_cannot_be_read_are_corrupt),
        cmocka_unit_test(only_the_clouds_own_ends_are_interruptions),
        cmocka_unit_test(a_price_page_keeps_what_it_can_read),
        cmocka_unit_test(built_in_prices_hold_for_their_region_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
