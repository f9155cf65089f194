/* The chain: environment, shared files, instance role; renewal, region, endpoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "cloud/aws_config.h"
#include "cloud/credentials.h"
#include "tests/unit/cloud/script_server.h"

static int64_t fake_now_ns;

static int64_t fake_wall(void *ctx)
{
    (void)ctx;
    return fake_now_ns;
}

static const struct ebb_clock fake_clock = {fake_wall, fake_wall, NULL};

static void assert_access_key(struct ebb_credentials *c, const char *expected)
{
    struct ebb_aws_credentials got;
    struct ebb_error err = {0};
    if (ebb_credentials_get(c, &got, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(got.access_key, expected);
}

static void the_environment_comes_first(void **state)
{
    (void)state;
    script_clean_environment();
    setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_SESSION_TOKEN", "t", 1);
    struct ebb_credentials *c = ebb_credentials_new(NULL);
    struct ebb_aws_credentials got;
    assert_int_equal(ebb_credentials_get(c, &got, NULL), 0);
    assert_string_equal(got.access_key, "AKIDENV");
    assert_string_equal(got.session_token, "t");
    assert_int_equal(got.expires_wall_ns, 0);
    ebb_credentials_destroy(c);
}

static void profiles_of_the_shared_files_are_found(void **state)
{
    (void)state;
    char path[] = "/tmp/ebb-test-credentials-XXXXXX", config[] = "/tmp/ebb-test-config-XXXXXX";
    const char *text = "# mine\n[default]\naws_access_key_id = AKIDDEFAULT\r\n"
                       "aws_secret_access_key=a+b/c=\n\n[ other ]\n"
                       "aws_access_key_id=AKIDOTHER\naws_secret_access_key = x\n"
                       "aws_session_token = tok\n";
    const char *config_text = "[default]\nregion = eu-central-1\ns3 =\n  region = nested\n"
                              "[profile other]\nregion=us-west-2\n"
                              "endpoint_url = http://127.0.0.1:1//\n";
    close(mkstemp(path));
    close(mkstemp(config));
    assert_int_equal(ebb_file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    assert_int_equal(ebb_file_write_atomic(config, config_text, strlen(config_text), 0600, NULL),
                     0);
    script_clean_environment();
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_CONFIG_FILE", config, 1);
    char region[32];
    struct ebb_credentials *c = ebb_credentials_new(NULL);
    assert_access_key(c, "AKIDDEFAULT");
    assert_int_equal(ebb_aws_region(region, sizeof(region), NULL), 0);
    assert_string_equal(region, "eu-central-1");
    assert_null(ebb_aws_endpoint("S3"));
    setenv("AWS_PROFILE", "other", 1);
    assert_access_key(c, "AKIDDEFAULT");
    ebb_credentials_invalidate(c);
    assert_access_key(c, "AKIDOTHER");
    assert_int_equal(ebb_aws_region(region, sizeof(region), NULL), 0);
    assert_string_equal(region, "us-west-2");
    EBB_AUTO_FREE char *endpoint = ebb_aws_endpoint("S3");
    assert_string_equal(endpoint, "http://127.0.0.1:1");
    ebb_credentials_destroy(c);
    unlink(path);
    unlink(config);
}

#define ROLE(key, expiration)                                                                      \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" key "\",\"SecretAccessKey\":\"s\","                 \
    "\"Token\":\"t\",\"Expiration\":\"" expiration "\"}"

static void the_instance_role_is_renewed_before_it_expires(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL, "token-1", false},
        {200, NULL, "ebb-role\n", false},
        {200, NULL, ROLE("AKID1", "2026-11-21T11:00:00Z"), false},
        {200, NULL, "ebb-role", false},
        {500, NULL, "", false},
        {200, NULL, "ebb-role", false},
        {200, NULL, ROLE("AKID2", "2026-11-21T12:00:00Z"), true},
    };
    struct script_server s;
    script_start(&s, script);
    script_clean_environment();
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s.url, 1);
    ebb_time_parse("2026-11-21T10:00:00Z", &fake_now_ns, NULL);
    struct ebb_credentials *c = ebb_credentials_new(&fake_clock);
    assert_access_key(c, "AKID1");
    fake_now_ns += 54 * 60 * EBB_NS_PER_S;
    assert_access_key(c, "AKID1");
    assert_int_equal(s.asked_count, 3);
    fake_now_ns += 90 * EBB_NS_PER_S; /* 4.5 minutes left; the renewal fails, the old ones hold */
    assert_access_key(c, "AKID1");
    assert_int_equal(s.asked_count, 5);
    fake_now_ns += 11 * EBB_NS_PER_S;
    assert_access_key(c, "AKID2");
    assert_non_null(strstr(s.asked[6].method_and_target,
                           "GET /latest/meta-data/iam/security-credentials/ebb-role"));
    assert_non_null(strstr(s.asked[6].headers, "x-aws-ec2-metadata-token: token-1\n"));
    ebb_credentials_destroy(c);
    script_stop(&s);
}

static void none_anywhere_is_denied_and_says_where_it_looked(void **state)
{
    (void)state;
    script_clean_environment();
    struct ebb_credentials *c = ebb_credentials_new(NULL);
    struct ebb_aws_credentials got;
    struct ebb_error err = {0};
    assert_int_equal(ebb_credentials_get(c, &got, &err), EBB_ERR_DENIED);
    assert_non_null(strstr(err.text, "AWS_ACCESS_KEY_ID"));
    assert_non_null(strstr(err.text, "\"default\""));
    ebb_credentials_destroy(c);
}

static void the_region_is_asked_for_where_it_must_be_known(void **state)
{
    (void)state;
    char region[32];
    struct ebb_error err = {0};
    script_clean_environment();
    assert_int_equal(ebb_aws_region(region, sizeof(region), &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "AWS_REGION"));
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    assert_int_equal(ebb_aws_region(region, sizeof(region), NULL), 0);
    assert_string_equal(region, "us-east-1");
    setenv("AWS_DEFAULT_REGION", "us-east-2", 1);
    assert_int_equal(ebb_aws_region(region, sizeof(region), NULL), 0);
    assert_string_equal(region, "us-east-2");
    setenv("AWS_REGION", "evil.example/x", 1);
    assert_int_equal(ebb_aws_region(region, sizeof(region), NULL), EBB_ERR_INPUT);
}

static void an_endpoint_of_the_service_goes_before_the_common_one(void **state)
{
    (void)state;
    script_clean_environment();
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/", 1);
    setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2", 1);
    EBB_AUTO_FREE char *s3 = ebb_aws_endpoint("S3");
    EBB_AUTO_FREE char *ec2 = ebb_aws_endpoint("EC2");
    assert_string_equal(s3, "http://127.0.0.1:2");
    assert_string_equal(ec2, "http://127.0.0.1:1");
}

static void ini_values_come_from_their_section_alone(void **state)
{
    (void)state;
    const char *text = "stray = 1\n[a]\nk = 1\nk = 2\nkk = 3\n[ab]\nk = 4\n[broken\nk = 5\n";
    EBB_AUTO_FREE char *a = ebb_ini_value(text, "a", "k");
    EBB_AUTO_FREE char *ab = ebb_ini_value(text, "ab", "k");
    assert_string_equal(a, "2");
    assert_string_equal(ab, "4");
    assert_null(ebb_ini_value(text, "a", "stray"));
    assert_null(ebb_ini_value(text, "none", "k"));
    assert_null(ebb_ini_value("", "a", "k"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_comes_first),
        cmocka_unit_test(profiles_of_the_shared_files_are_found),
        cmocka_unit_test(the_instance_role_is_renewed_before_it_expires),
        cmocka_unit_test(none_anywhere_is_denied_and_says_where_it_looked),
        cmocka_unit_test(the_region_is_asked_for_where_it_must_be_known),
        cmocka_unit_test(an_endpoint_of_the_service_goes_before_the_common_one),
        cmocka_unit_test(ini_values_come_from_their_section_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
