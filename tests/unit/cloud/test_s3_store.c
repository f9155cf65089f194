/* The S3 client against scripted answers: what it sends, what it tries again, and what it makes of
 * every kind of refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "cloud/object_store.h"
#include "cloud/sigv4.h"
#include "tests/unit/cloud/script_server.h"

#define ERROR_XML(code) "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code></Error>"
#define ETAG            "ETag: \"abc\"\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT"

static struct ebb_object_store *open_store(const struct script_server *s, double retry_for_s)
{
    struct ebb_object_store *store = NULL;
    struct ebb_object_store_options o = {.retry_for_s = retry_for_s};
    struct ebb_error err = {0};
    script_use(s);
    if (ebb_object_store_open("s3://bucket/pre fix/", &o, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

/* One put against the script; the number of requests made comes back too. */
static int put_against(const struct script_answer *script, enum ebb_put_condition condition,
                       double retry_for_s, size_t *ret_requests)
{
    struct script_server s;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, retry_for_s);
    int code = ebb_object_put(store, "k", "body", 4, condition,
                              condition == EBB_PUT_IF_MATCH ? "\"old\"" : NULL, NULL, NULL);
    ebb_object_store_destroy(store);
    *ret_requests = s.asked_count;
    script_stop(&s);
    return code;
}

static void a_put_sends_checksum_condition_and_genuine_signature(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, ETAG, "", true}};
    struct script_server s;
    char etag[EBB_ETAG_SIZE];
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 5);
    assert_int_equal(
        ebb_object_put(store, "t=290,s=1/a+b", "body", 4, EBB_PUT_IF_ABSENT, NULL, etag, NULL), 0);
    assert_string_equal(etag, "\"abc\"");
    const struct script_request *r = &s.asked[0];
    assert_string_equal(r->method_and_target, "PUT /bucket/pre%20fix/t%3D290%2Cs%3D1/a%2Bb");
    assert_string_equal(r->body, "body");
    assert_non_null(strstr(r->headers, "if-none-match: *\n"));
    assert_non_null(strstr(
        r->headers, "x-amz-checksum-sha256: Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=\n"));
    struct ebb_sigv4_header headers[32];
    size_t n = 0;
    char *copy = ebb_strdup(r->headers), *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL && n < 32;
         line = strtok_r(NULL, "\n", &save)) {
        char *colon = strchr(line, ':');
        *colon = '\0';
        headers[n++] = (struct ebb_sigv4_header){line, colon + 2};
    }
    struct ebb_sigv4_request q = {"PUT", r->method_and_target + 4, headers, n, NULL};
    struct ebb_sigv4_claim claim;
    assert_int_equal(ebb_sigv4_read_claim(&q, &claim), EBB_SIGV4_GENUINE);
    assert_string_equal(claim.region, "eu-west-1");
    assert_int_equal(ebb_sigv4_check(&q, &claim, "secret", claim.signed_wall_ns),
                     EBB_SIGV4_GENUINE);
    free(copy);
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static void refusals_of_conditional_puts_are_told_apart(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *body;
        enum ebb_put_condition condition;
        int code;
    } cases[] = {
        {412, ERROR_XML("PreconditionFailed"), EBB_PUT_IF_ABSENT, EBB_ERR_EXISTS},
        {412, ERROR_XML("PreconditionFailed"), EBB_PUT_IF_MATCH, EBB_ERR_PRECONDITION},
        {412, "", EBB_PUT_IF_MATCH, EBB_ERR_PRECONDITION},
        {404, ERROR_XML("NoSuchKey"), EBB_PUT_IF_MATCH, EBB_ERR_PRECONDITION},
        {404, ERROR_XML("NoSuchBucket"), EBB_PUT_IF_MATCH, EBB_ERR_INPUT},
        {409, ERROR_XML("ConditionalRequestConflict"), EBB_PUT_IF_ABSENT, EBB_ERR_CONFLICT},
        {403, ERROR_XML("AccessDenied"), EBB_PUT_IF_ABSENT, EBB_ERR_DENIED},
        {501, ERROR_XML("NotImplemented"), EBB_PUT_IF_MATCH, EBB_ERR_UNSUPPORTED},
        {301, ERROR_XML("PermanentRedirect"), EBB_PUT_ALWAYS, EBB_ERR_INPUT},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        const struct script_answer script[] = {{cases[i].status, NULL, cases[i].body, true}};
        size_t requests = 0;
        assert_int_equal(put_against(script, cases[i].condition, 5, &requests), cases[i].code);
        assert_int_equal(requests, 1);
    }
}

static void throttled_puts_are_sent_again_and_decided(void **state)
{
    (void)state;
    const struct script_answer script[] = {{503, NULL, ERROR_XML("SlowDown"), false},
                                           {503, NULL, ERROR_XML("SlowDown"), false},
                                           {412, NULL, ERROR_XML("PreconditionFailed"), true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 20, &requests), EBB_ERR_EXISTS);
    assert_int_equal(requests, 3);
}

static void exists_after_an_unsure_try_is_unknown(void **state)
{
    (void)state;
    const struct script_answer script[] = {{500, NULL, ERROR_XML("InternalError"), false},
                                           {412, NULL, ERROR_XML("PreconditionFailed"), true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 20, &requests), EBB_ERR_TIMEOUT);
    assert_int_equal(put_against(script, EBB_PUT_IF_MATCH, 20, &requests), EBB_ERR_TIMEOUT);
    assert_int_equal(requests, 2);
}

static void success_after_an_unsure_try_is_success(void **state)
{
    (void)state;
    const struct script_answer script[] = {{500, NULL, ERROR_XML("InternalError"), false},
                                           {200, ETAG, "", true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 20, &requests), 0);
    assert_int_equal(requests, 2);
}

static void failing_inside_for_good_is_unknown(void **state)
{
    (void)state;
    const struct script_answer script[] = {{500, NULL, ERROR_XML("InternalError"), true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_MATCH, 0.5, &requests), EBB_ERR_TIMEOUT);
    assert_int_equal(put_against(script, EBB_PUT_ALWAYS, 0.5, &requests), EBB_ERR_UNAVAILABLE);
}

static void a_lost_answer_to_a_conditional_put_is_unknown_at_once(void **state)
{
    (void)state;
    const struct script_answer script[] = {{0, NULL, NULL, false}, {200, ETAG, "", true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 20, &requests), EBB_ERR_TIMEOUT);
    assert_int_equal(requests, 1);
    assert_int_equal(put_against(script, EBB_PUT_ALWAYS, 20, &requests), 0);
    assert_int_equal(requests, 2);
}

static void an_error_inside_a_200_is_no_success(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, ETAG, "  \n" ERROR_XML("InternalError"), true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 5, &requests), EBB_ERR_TIMEOUT);
}

static void a_body_damaged_on_the_way_is_sent_again(void **state)
{
    (void)state;
    const struct script_answer script[] = {{400, NULL, ERROR_XML("BadDigest"), false},
                                           {400, NULL, ERROR_XML("RequestTimeout"), false},
                                           {200, ETAG, "", true}};
    size_t requests = 0;
    assert_int_equal(put_against(script, EBB_PUT_IF_ABSENT, 20, &requests), 0);
    assert_int_equal(requests, 3);
}

static void nobody_listening_is_unavailable(void **state)
{
    (void)state;
    struct script_server s;
    const struct script_answer script[] = {{200, NULL, "", true}};
    struct ebb_object_info info;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 0.4);
    script_stop(&s);
    assert_int_equal(ebb_object_head(store, "k", &info, NULL), EBB_ERR_UNAVAILABLE);
    assert_int_equal(ebb_object_put(store, "k", "x", 1, EBB_PUT_IF_ABSENT, NULL, NULL, NULL),
                     EBB_ERR_UNAVAILABLE);
    ebb_object_store_destroy(store);
}

static void gets_check_what_came(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, ETAG, "0123456789", false},
        {206, ETAG "\nContent-Range: bytes 2-4/10", "234", false},
        {206, ETAG "\nContent-Range: bytes 8-9/10", "89", false},
        {416, NULL, ERROR_XML("InvalidRange"), false},
        {200, ETAG, "0123456789", false},
        {404, NULL, ERROR_XML("NoSuchKey"), false},
        {500, NULL, "oops", false},
        {0, NULL, NULL, false},
        {200, ETAG, "at last", true},
    };
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_object_info info;
    struct script_server s;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 20);
    assert_int_equal(ebb_object_get(store, "k", 0, 0, 10, &b, &info, NULL), 0);
    assert_int_equal(info.size_bytes, 10);
    assert_string_equal(info.etag, "\"abc\"");
    assert_int_equal(info.modified_wall_ns / 1000000000, 1795255200);
    assert_int_equal(ebb_object_get(store, "k", 2, 3, 10, &b, &info, NULL), 0);
    assert_int_equal(info.size_bytes, 10);
    assert_string_equal(ebb_buffer_text(&b), "0123456789234");
    assert_non_null(strstr(s.asked[1].headers, "range: bytes=2-4\n"));
    assert_int_equal(ebb_object_get(store, "k", 8, 5, 10, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(store, "k", 20, 5, 10, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(store, "k", 0, 0, 9, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(store, "k", 0, 0, 9, &b, NULL, NULL), EBB_ERR_NOT_FOUND);
    ebb_buffer_reset(&b);
    assert_int_equal(ebb_object_get(store, "k", 0, 0, 9, &b, NULL, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), "at last");
    struct ebb_object_store_counts c;
    ebb_object_store_counts(store, &c);
    assert_in_range(c.gets, 8, 9); /* libcurl may resend a get on a kept connection by itself */
    assert_int_equal(c.puts, 0);
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static int collect(void *ctx, const char *key, const struct ebb_object_info *info)
{
    ebb_buffer_printf(ctx, "%s:%d ", key, (int)info->size_bytes);
    return 0;
}

#define CONTENTS(key, size)                                                                        \
    "<Contents><Key>" key "</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified>"            \
    "<ETag>&quot;e&quot;</ETag><Size>" size "</Size></Contents>"

static void lists_follow_pages_and_decode_keys(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, NULL,
         "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
         "<IsTruncated>true</IsTruncated>" CONTENTS("pre+fix/a%3D1%2Cb", "3") CONTENTS(
             "pre%20fix/c%2Bd",
             "4") "<NextContinuationToken>1/to+k=</NextContinuationToken></ListBucketResult>",
         false},
        {200, NULL,
         "<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENTS("pre+fix/z%C3%BC",
                                                                       "5") "</ListBucketResult>",
         false},
        {200, NULL,
         "<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENTS("other/z",
                                                                       "5") "</ListBucketResult>",
         true},
    };
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct script_server s;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 5);
    assert_int_equal(ebb_object_list(store, "", collect, &b, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), "a=1,b:3 c+d:4 z\xc3\xbc:5 ");
    assert_string_equal(s.asked[0].method_and_target,
                        "GET /bucket/?encoding-type=url&list-type=2&prefix=pre%20fix%2F");
    assert_string_equal(s.asked[1].method_and_target,
                        "GET /bucket/?continuation-token=1%2Fto%2Bk%3D&encoding-type=url&list-type="
                        "2&prefix=pre%20fix%2F");
    assert_int_equal(ebb_object_list(store, "", collect, &b, NULL), EBB_ERR_CORRUPT);
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static void deletes_of_absent_objects_succeed(void **state)
{
    (void)state;
    const struct script_answer script[] = {{204, NULL, "", false},
                                           {404, NULL, ERROR_XML("NoSuchKey"), true}};
    struct script_server s;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 5);
    assert_int_equal(ebb_object_delete(store, "k", NULL), 0);
    assert_int_equal(ebb_object_delete(store, "k", NULL), 0);
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static void a_clock_that_is_off_is_mended_from_the_answer(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {403, "Date: Sat, 21 Nov 2015 10:00:00 GMT", ERROR_XML("RequestTimeTooSkewed"), false},
        {200, ETAG, "ok", true}};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct script_server s;
    script_start(&s, script);
    struct ebb_object_store *store = open_store(&s, 5);
    assert_int_equal(ebb_object_get(store, "k", 0, 0, 10, &b, NULL, NULL), 0);
    assert_non_null(strstr(s.asked[1].headers, "x-amz-date: 20151121T10000"));
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static void addresses_of_real_buckets_have_the_bucket_in_the_host(void **state)
{
    (void)state;
    struct ebb_object_store *store = NULL;
    script_clean_environment();
    setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_REGION", "eu-west-1", 1);
    assert_int_equal(ebb_object_store_open("s3://bucket/p", NULL, &store, NULL), 0);
    EBB_AUTO_FREE char *url = ebb_object_presign(store, "k=1", 60, NULL);
    assert_true(ebb_starts_with(url, "https://bucket.s3.eu-west-1.amazonaws.com/p/k%3D1?"));
    ebb_object_store_destroy(store);
    assert_int_equal(ebb_object_store_open("s3://buc.ket", NULL, &store, NULL), 0);
    EBB_AUTO_FREE char *dotted = ebb_object_presign(store, "k", 60, NULL);
    assert_true(ebb_starts_with(dotted, "https://s3.eu-west-1.amazonaws.com/buc.ket/k?"));
    ebb_object_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_sends_checksum_condition_and_genuine_signature),
        cmocka_unit_test(refusals_of_conditional_puts_are_told_apart),
        cmocka_unit_test(throttled_puts_are_sent_again_and_decided),
        cmocka_unit_test(exists_after_an_unsure_try_is_unknown),
        cmocka_unit_test(success_after_an_unsure_try_is_success),
        cmocka_unit_test(failing_inside_for_good_is_unknown),
        cmocka_unit_test(a_lost_answer_to_a_conditional_put_is_unknown_at_once),
        cmocka_unit_test(an_error_inside_a_200_is_no_success),
        cmocka_unit_test(a_body_damaged_on_the_way_is_sent_again),
        cmocka_unit_test(nobody_listening_is_unavailable),
        cmocka_unit_test(gets_check_what_came),
        cmocka_unit_test(lists_follow_pages_and_decode_keys),
        cmocka_unit_test(deletes_of_absent_objects_succeed),
        cmocka_unit_test(a_clock_that_is_off_is_mended_from_the_answer),
        cmocka_unit_test(addresses_of_real_buckets_have_the_bucket_in_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
