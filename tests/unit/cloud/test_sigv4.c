/* Signatures against the published examples of the S3 documentation and AWS's own test suite, and
 * the check against what the signer makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/sigv4.h"

#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct ebb_sigv4_key docs_key = {"AKIAIOSFODNN7EXAMPLE",
                                              "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL};

static int64_t at(const char *text)
{
    int64_t ns = 0;
    assert_int_equal(ebb_time_parse(text, &ns, NULL), 0);
    return ns;
}

static void assert_signature(const struct ebb_sigv4_request *q, const char *service,
                             const struct ebb_sigv4_key *key, int64_t when, const char *expected)
{
    EBB_AUTO_FREE char *value = ebb_sigv4_authorization(key, "us-east-1", service, when, q);
    const char *signature = strstr(value, "Signature=");
    assert_non_null(signature);
    assert_string_equal(signature + strlen("Signature="), expected);
}

static void documented_get_with_range_signs_right(void **state)
{
    (void)state;
    const struct ebb_sigv4_header headers[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                                               {"Range", "bytes=0-9"},
                                               {"x-amz-content-sha256", NOTHING},
                                               {"x-amz-date", "20130524T000000Z"}};
    const struct ebb_sigv4_request q = {"GET", "/test.txt", headers, 4, NULL};
    assert_signature(&q, "s3", &docs_key, at("2013-05-24T00:00:00Z"),
                     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void documented_put_with_special_key_signs_right(void **state)
{
    (void)state;
    const char *hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    const struct ebb_sigv4_header headers[] = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                               {"Host", "examplebucket.s3.amazonaws.com"},
                                               {"x-amz-content-sha256", hash},
                                               {"x-amz-date", "20130524T000000Z"},
                                               {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
    const char *spellings[] = {"/test$file.text", "/test%24file.text"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(spellings); i++) {
        const struct ebb_sigv4_request q = {"PUT", spellings[i], headers, 5, NULL};
        assert_signature(&q, "s3", &docs_key, at("2013-05-24T00:00:00Z"),
                         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }
}

static void documented_queries_sign_right_in_any_order_and_without_value(void **state)
{
    (void)state;
    const struct {
        const char *target, *signature;
    } cases[] = {
        {"/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"/?max-keys=2&prefix=J",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
        {"/?prefix=J&max-keys=2",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    const struct ebb_sigv4_header headers[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                                               {"x-amz-content-sha256", NOTHING},
                                               {"x-amz-date", "20130524T000000Z"}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        const struct ebb_sigv4_request q = {"GET", cases[i].target, headers, 3, NULL};
        assert_signature(&q, "s3", &docs_key, at("2013-05-24T00:00:00Z"), cases[i].signature);
    }
}

static void test_suite_vanilla_get_signs_right(void **state)
{
    (void)state;
    const struct ebb_sigv4_key key = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                      NULL};
    const struct ebb_sigv4_header headers[] = {{"Host", "example.amazonaws.com"},
                                               {"X-Amz-Date", "20150830T123600Z"}};
    const struct ebb_sigv4_request q = {"GET", "/", headers, 2, NULL};
    assert_signature(&q, "service", &key, at("2015-08-30T12:36:00Z"),
                     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

static void documented_presigned_url_comes_out(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *url =
        ebb_sigv4_presign(&docs_key, "us-east-1", "s3", at("2013-05-24T00:00:00Z"), "GET",
                          "https://examplebucket.s3.amazonaws.com", "/test.txt", 86400);
    assert_true(ebb_starts_with(url, "https://examplebucket.s3.amazonaws.com/test.txt?"));
    assert_true(ebb_ends_with(url, "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265"
                                   "957d157751f604d404"));
}

/* ---- the check ---- */

struct signed_request {
    struct ebb_sigv4_header headers[6];
    struct ebb_sigv4_request q;
    char *authorization;
};

static void sign_request(struct signed_request *s, const char *target, const char *token,
                         int64_t when)
{
    static char date[EBB_SIGV4_DATE_SIZE];
    const struct ebb_sigv4_key key = {docs_key.access_key, docs_key.secret_key, token};
    s->headers[0] = (struct ebb_sigv4_header){"host", "127.0.0.1:4711"};
    s->headers[1] = (struct ebb_sigv4_header){"x-amz-date", ebb_sigv4_date(when, date)};
    s->headers[2] = (struct ebb_sigv4_header){"x-amz-content-sha256", NOTHING};
    s->headers[3] = (struct ebb_sigv4_header){"x-amz-security-token", token};
    s->q = (struct ebb_sigv4_request){"GET", target, s->headers, token != NULL ? 4 : 3, NULL};
    s->authorization = ebb_sigv4_authorization(&key, "us-east-1", "s3", when, &s->q);
    s->headers[s->q.header_count++] = (struct ebb_sigv4_header){"Authorization", s->authorization};
}

static enum ebb_sigv4_verdict check(const struct ebb_sigv4_request *q, const char *secret,
                                    int64_t now)
{
    struct ebb_sigv4_claim claim;
    enum ebb_sigv4_verdict verdict = ebb_sigv4_read_claim(q, &claim);
    return verdict != EBB_SIGV4_GENUINE ? verdict : ebb_sigv4_check(q, &claim, secret, now);
}

static void what_is_signed_checks_for_keys_of_every_kind(void **state)
{
    (void)state;
    const char *targets[] = {"/b/plain",
                             "/b/temperature%3D290%2Cseed%3D1/a%2Bb",
                             "/b/temperature=290,seed=1/a+b",
                             "/b/with%20space/%C3%BC/~.-_",
                             "/b?list-type=2&prefix=a%2Fb%3D1%2C2%20%2B&encoding-type=url",
                             "/b//double//slash/",
                             "/b/a%252Fb%25"};
    int64_t now = at("2026-11-21T10:00:00Z");
    for (size_t i = 0; i < EBB_ARRAY_LEN(targets); i++) {
        struct signed_request s;
        sign_request(&s, targets[i], i % 2 == 0 ? NULL : "session/token==", now);
        assert_int_equal(check(&s.q, docs_key.secret_key, now + 60 * EBB_NS_PER_S),
                         EBB_SIGV4_GENUINE);
        assert_int_equal(check(&s.q, "another secret", now), EBB_SIGV4_MISMATCH);
        s.q.method = "DELETE";
        assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_MISMATCH);
        free(s.authorization);
    }
}

static void a_changed_target_or_header_is_refused(void **state)
{
    (void)state;
    int64_t now = at("2026-11-21T10:00:00Z");
    struct signed_request s;
    sign_request(&s, "/b/key?x=1", NULL, now);
    s.q.target = "/b/key?x=2";
    assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_MISMATCH);
    s.q.target = "/b/key2?x=1";
    assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_MISMATCH);
    s.q.target = "/b/key?x=1";
    s.headers[0].value = "127.0.0.1:4712";
    assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_MISMATCH);
    s.headers[0].value = "127.0.0.1:4711";
    assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_GENUINE);
    free(s.authorization);
}

static void an_unsigned_amz_header_is_refused(void **state)
{
    (void)state;
    int64_t now = at("2026-11-21T10:00:00Z");
    struct signed_request s;
    sign_request(&s, "/b/key", NULL, now);
    s.headers[s.q.header_count++] = (struct ebb_sigv4_header){"x-amz-acl", "public-read"};
    assert_int_equal(check(&s.q, docs_key.secret_key, now), EBB_SIGV4_MISMATCH);
    free(s.authorization);
}

static void an_old_or_early_request_is_skewed(void **state)
{
    (void)state;
    int64_t now = at("2026-11-21T10:00:00Z");
    struct signed_request s;
    sign_request(&s, "/b/key", NULL, now);
    assert_int_equal(check(&s.q, docs_key.secret_key, now + 901 * EBB_NS_PER_S), EBB_SIGV4_SKEWED);
    assert_int_equal(check(&s.q, docs_key.secret_key, now - 901 * EBB_NS_PER_S), EBB_SIGV4_SKEWED);
    free(s.authorization);
}

static void a_presigned_url_checks_until_it_expires(void **state)
{
    (void)state;
    const struct ebb_sigv4_key key = {docs_key.access_key, docs_key.secret_key, "to/ken+=="};
    const char *origin = "http://127.0.0.1:4711";
    int64_t now = at("2026-11-21T10:00:00Z");
    EBB_AUTO_FREE char *url =
        ebb_sigv4_presign(&key, "us-east-1", "s3", now, "GET", origin, "/b/bin/ebb-%3D%2C", 600);
    const struct ebb_sigv4_header headers[] = {{"Host", "127.0.0.1:4711"},
                                               {"User-Agent", "curl/7.88.1"}};
    struct ebb_sigv4_request q = {"GET", url + strlen(origin), headers, 2, NULL};
    assert_int_equal(check(&q, key.secret_key, now + 599 * EBB_NS_PER_S), EBB_SIGV4_GENUINE);
    assert_int_equal(check(&q, key.secret_key, now + 601 * EBB_NS_PER_S), EBB_SIGV4_EXPIRED);
    q.method = "PUT";
    assert_int_equal(check(&q, key.secret_key, now), EBB_SIGV4_MISMATCH);
}

static void requests_without_or_with_broken_signature_are_told_apart(void **state)
{
    (void)state;
    int64_t now = at("2026-11-21T10:00:00Z");
    const char *broken[] = {
        "AWS4-HMAC-SHA256 Credential=AKID/20261121/us-east-1/s3, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=AKID",
        "Basic dXNlcjpwYXNz",
        "",
        "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;, Signature=,",
    };
    struct ebb_sigv4_header headers[] = {
        {"Host", "h"}, {"X-Amz-Date", "20261121T100000Z"}, {"Authorization", ""}};
    struct ebb_sigv4_request q = {"GET", "/b/k", headers, 2, NULL};
    assert_int_equal(check(&q, "s", now), EBB_SIGV4_ABSENT);
    q.header_count = 3;
    for (size_t i = 0; i < EBB_ARRAY_LEN(broken); i++) {
        headers[2].value = broken[i];
        assert_int_equal(check(&q, "s", now), EBB_SIGV4_MALFORMED);
    }
    q.header_count = 2;
    q.target = "/b/k?X-Amz-Signature=00";
    assert_int_equal(check(&q, "s", now), EBB_SIGV4_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_get_with_range_signs_right),
        cmocka_unit_test(documented_put_with_special_key_signs_right),
        cmocka_unit_test(documented_queries_sign_right_in_any_order_and_without_value),
        cmocka_unit_test(test_suite_vanilla_get_signs_right),
        cmocka_unit_test(documented_presigned_url_comes_out),
        cmocka_unit_test(what_is_signed_checks_for_keys_of_every_kind),
        cmocka_unit_test(a_changed_target_or_header_is_refused),
        cmocka_unit_test(an_unsigned_amz_header_is_refused),
        cmocka_unit_test(an_old_or_early_request_is_skewed),
        cmocka_unit_test(a_presigned_url_checks_until_it_expires),
        cmocka_unit_test(requests_without_or_with_broken_signature_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
