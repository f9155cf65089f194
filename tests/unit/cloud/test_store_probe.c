/* The probe finds stores that do not keep their word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <sys/socket.h>

#include "cloud/object_store.h"
#include "tests/unit/cloud/script_server.h"

#define ETAG(e) "ETag: \"" e "\"\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT"
#define REFUSED                                                                                    \
    {                                                                                              \
        412, NULL, "<Error><Code>PreconditionFailed</Code></Error>", false                         \
    }

static void assert_refused(const struct script_answer *script, const char *expected)
{
    struct ebb_object_store *store = NULL;
    struct ebb_object_store_options o = {.retry_for_s = 2};
    struct ebb_error err = {0};
    struct script_server s;
    script_start(&s, script);
    script_use(&s);
    assert_int_equal(ebb_object_store_open("s3://bucket/p", &o, &store, NULL), 0);
    assert_int_equal(ebb_object_store_probe(store, NULL, &err), EBB_ERR_UNSUPPORTED);
    if (strstr(err.text, expected) == NULL)
        fail_msg("%s", err.text);
    assert_true(ebb_starts_with(s.asked[s.asked_count - 1].method_and_target, "DELETE "));
    ebb_object_store_destroy(store);
    script_stop(&s);
}

static void a_store_that_ignores_if_none_match_is_refused(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, ETAG("1"), "", true}};
    assert_refused(script, "If-None-Match");
}

static void a_store_that_ignores_if_match_is_refused(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, ETAG("1"), "", false},
                                           REFUSED,
                                           {200, ETAG("1") "\nContent-Length: 3", NULL, false},
                                           {200, ETAG("2"), "", true}};
    assert_refused(script, "If-Match is ignored");
}

static void a_store_that_does_not_know_its_own_etag_is_refused(void **state)
{
    (void)state;
    const struct script_answer script[] = {{200, ETAG("1"), "", false},
                                           REFUSED,
                                           {200, ETAG("1") "\nContent-Length: 3", NULL, false},
                                           REFUSED,
                                           {204, NULL, "", true}};
    assert_refused(script, "right ETag");
}

static void a_store_that_gives_something_else_back_is_refused(void **state)
{
    (void)state;
    const struct script_answer script[] = {
        {200, ETAG("1"), "", false},
        REFUSED,
        {200, ETAG("1") "\nContent-Length: 3", NULL, false},
        {200, ETAG("2"), "", false},
        REFUSED,
        {200, ETAG("2"), "stale", false},
        {206, ETAG("2") "\nContent-Range: bytes 1-3/5", "hre", false},
        {200, NULL, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", false},
        {204, NULL, "", true}};
    assert_refused(script, "read back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_ignores_if_none_match_is_refused),
        cmocka_unit_test(a_store_that_ignores_if_match_is_refused),
        cmocka_unit_test(a_store_that_does_not_know_its_own_etag_is_refused),
        cmocka_unit_test(a_store_that_gives_something_else_back_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
