/* The metadata client: tokens, identity, notices, and a service that does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "cloud/metadata.h"
#include "tests/unit/cloud/script_server.h"

static struct ebb_metadata *open_metadata(const char *url)
{
    struct ebb_metadata *m = NULL;
    script_clean_environment();
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
    assert_int_equal(ebb_metadata_open(&m, NULL), 0);
    return m;
}

static void a_notice_is_seen_with_its_deadline(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL, "tok", false},
        {404, NULL, "", false},
        {404, NULL, "", false},
        {404, NULL, "", false},
        {200, NULL, "{\"noticeTime\":\"2026-11-21T10:00:00Z\"}", false},
        {200, NULL, "{\"action\":\"terminate\",\"time\":\"2026-11-21T10:02:00Z\"}", true}};
    struct ebb_notice n;
    struct script_server s;
    int64_t deadline_ns;
    script_start(&s, script);
    struct ebb_metadata *m = open_metadata(s.url);
    assert_int_equal(ebb_metadata_notice(m, &n, NULL), 0);
    assert_false(n.revocation || n.rebalance);
    assert_int_equal(ebb_metadata_notice(m, &n, NULL), 0);
    assert_true(!n.revocation && n.rebalance);
    assert_int_equal(ebb_metadata_notice(m, &n, NULL), 0);
    assert_true(n.revocation && !n.rebalance);
    ebb_time_parse("2026-11-21T10:02:00Z", &deadline_ns, NULL);
    assert_int_equal(n.deadline_wall_ns, deadline_ns);
    assert_string_equal(s.asked[0].method_and_target, "PUT /latest/api/token");
    assert_non_null(strstr(s.asked[0].headers, "x-aws-ec2-metadata-token-ttl-seconds: 21600\n"));
    assert_non_null(strstr(s.asked[1].headers, "x-aws-ec2-metadata-token: tok\n"));
    assert_int_equal(s.asked_count, 6);
    ebb_metadata_destroy(m);
    script_stop(&s);
}

static void a_refused_token_is_renewed_once(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, NULL, "old", false}, {401, NULL, "", false},
                                           {200, NULL, "new", false}, {200, NULL, "data", false},
                                           {401, NULL, "", false},    {200, NULL, "x", false},
                                           {401, NULL, "", true}};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct script_server s;
    script_start(&s, script);
    struct ebb_metadata *m = open_metadata(s.url);
    assert_int_equal(ebb_metadata_read(m, "/latest/user-data", &b, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), "data");
    assert_non_null(strstr(s.asked[3].headers, "x-aws-ec2-metadata-token: new\n"));
    assert_int_equal(ebb_metadata_read(m, "/latest/user-data", &b, NULL), EBB_ERR_UNAVAILABLE);
    assert_int_equal(s.asked_count, 7);
    ebb_metadata_destroy(m);
    script_stop(&s);
}

static void the_identity_is_read_from_the_document_or_piecewise(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL, "tok", false},
        {200, NULL,
         "{\"instanceId\":\"i-1\",\"instanceType\":\"g5.xlarge\",\"region\":\"eu-west-1\","
         "\"availabilityZone\":\"eu-west-1a\",\"pendingTime\":\"2026-11-21T10:00:00Z\"}",
         false},
        {404, NULL, "", false},
        {200, NULL, "i-2", false},
        {200, NULL, "c7.large", false},
        {200, NULL, "eu-west-1b", false},
        {200, NULL, "eu-west-1", false},
        {200, NULL, "{\"instanceId\":7}", true}};
    struct ebb_identity id;
    struct script_server s;
    script_start(&s, script);
    struct ebb_metadata *m = open_metadata(s.url);
    assert_int_equal(ebb_metadata_identity(m, &id, NULL), 0);
    assert_string_equal(id.instance, "i-1");
    assert_string_equal(id.zone, "eu-west-1a");
    assert_int_equal(ebb_metadata_identity(m, &id, NULL), 0);
    assert_string_equal(id.instance, "i-2");
    assert_string_equal(id.type, "c7.large");
    assert_string_equal(id.region, "eu-west-1");
    assert_int_equal(ebb_metadata_identity(m, &id, NULL), EBB_ERR_CORRUPT);
    assert_string_equal(id.instance, "i-2");
    ebb_metadata_destroy(m);
    script_stop(&s);
}

static void a_service_that_is_silent_costs_two_seconds(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    char url[64];
    struct ebb_notice n;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(a.sin_port));
    struct ebb_metadata *m = open_metadata(url);
    int64_t begin_ns = ebb_now_ns(NULL);
    assert_int_equal(ebb_metadata_notice(m, &n, NULL), EBB_ERR_TIMEOUT);
    double took_s = (double)(ebb_now_ns(NULL) - begin_ns) / 1e9;
    assert_true(took_s > 1.5 && took_s < 30);
    ebb_metadata_destroy(m);
    close(fd);
}

static void a_switched_off_service_is_not_asked(void **state)
{
    (void)state;
    struct ebb_metadata *m = NULL;
    script_clean_environment();
    assert_int_equal(ebb_metadata_open(&m, NULL), EBB_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notice_is_seen_with_its_deadline),
        cmocka_unit_test(a_refused_token_is_renewed_once),
        cmocka_unit_test(the_identity_is_read_from_the_document_or_piecewise),
        cmocka_unit_test(a_service_that_is_silent_costs_two_seconds),
        cmocka_unit_test(a_switched_off_service_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
