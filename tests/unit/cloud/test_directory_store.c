/* The directory store keeps what cloud/object_store.h promises, between processes too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/object_store.h"

struct fixture {
    char root[64];
    char url[96];
    struct ebb_object_store *store;
};

static int set_up(void **state)
{
    struct fixture *f = ebb_alloc(sizeof(*f));
    snprintf(f->root, sizeof(f->root), "/tmp/ebb-test-store-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->url, sizeof(f->url), "file://%s/s", f->root);
    struct ebb_error err = {0};
    if (ebb_object_store_open(f->url, NULL, &f->store, &err) < 0)
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    ebb_object_store_destroy(f->store);
    ebb_remove_tree(f->root, NULL);
    free(f);
    return 0;
}

static int put(struct fixture *f, const char *key, const char *text, enum ebb_put_condition c,
               const char *etag, char *ret_etag)
{
    return ebb_object_put(f->store, key, text, strlen(text), c, etag, ret_etag, NULL);
}

static void assert_content(struct fixture *f, const char *key, const char *expected)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_object_get(f->store, key, 0, 0, 1 << 20, &b, NULL, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), expected);
}

static void the_probe_passes_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    double skew_s = 99;
    struct ebb_error err = {0};
    if (ebb_object_store_probe(f->store, &skew_s, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(skew_s > -60 && skew_s < 60);
    struct ebb_object_info info;
    assert_int_equal(ebb_object_head(f->store, ".ebb-probe/x", &info, NULL), EBB_ERR_NOT_FOUND);
}

static void create_only_puts_do_not_overwrite(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(put(f, "a/b", "one", EBB_PUT_IF_ABSENT, NULL, NULL), 0);
    assert_int_equal(put(f, "a/b", "two", EBB_PUT_IF_ABSENT, NULL, NULL), EBB_ERR_EXISTS);
    assert_content(f, "a/b", "one");
}

static void a_swap_needs_the_present_etag(void **state)
{
    struct fixture *f = *state;
    char first[EBB_ETAG_SIZE], second[EBB_ETAG_SIZE];
    assert_int_equal(put(f, "h", "x", EBB_PUT_IF_MATCH, "\"none\"", NULL), EBB_ERR_PRECONDITION);
    assert_int_equal(put(f, "h", "one", EBB_PUT_ALWAYS, NULL, first), 0);
    assert_int_equal(put(f, "h", "two", EBB_PUT_IF_MATCH, first, second), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(put(f, "h", "bad", EBB_PUT_IF_MATCH, first, NULL), EBB_ERR_PRECONDITION);
    assert_content(f, "h", "two");
    struct ebb_object_info info;
    assert_int_equal(ebb_object_head(f->store, "h", &info, NULL), 0);
    assert_string_equal(info.etag, second);
    assert_int_equal(info.size_bytes, 3);
}

static void an_etag_never_comes_back_with_the_content(void **state)
{
    struct fixture *f = *state;
    char etags[200][EBB_ETAG_SIZE];
    for (size_t i = 0; i < EBB_ARRAY_LEN(etags); i++) {
        if (i % 7 == 6)
            assert_int_equal(ebb_object_delete(f->store, "k", NULL), 0);
        assert_int_equal(put(f, "k", i % 2 ? "A" : "B", EBB_PUT_ALWAYS, NULL, etags[i]), 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(etags[i], etags[j]);
    }
}

static void ranges_read_and_short_objects_are_corrupt(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_object_info info;
    assert_int_equal(put(f, "r", "0123456789", EBB_PUT_ALWAYS, NULL, NULL), 0);
    assert_int_equal(ebb_object_get(f->store, "r", 2, 3, 100, &b, &info, NULL), 0);
    assert_int_equal(ebb_object_get(f->store, "r", 7, 0, 100, &b, NULL, NULL), 0);
    assert_string_equal(ebb_buffer_text(&b), "234789");
    assert_int_equal(info.size_bytes, 10);
    assert_int_equal(ebb_object_get(f->store, "r", 8, 3, 100, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(f->store, "r", 11, 0, 100, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(f->store, "r", 0, 0, 9, &b, NULL, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_object_get(f->store, "no", 0, 0, 9, &b, NULL, NULL), EBB_ERR_NOT_FOUND);
    assert_string_equal(ebb_buffer_text(&b), "234789");
}

static int collect(void *ctx, const char *key, const struct ebb_object_info *info)
{
    assert_true(info->etag[0] == '"');
    ebb_buffer_printf(ctx, "%s ", key);
    return 0;
}

static int stop_at_first(void *ctx, const char *key, const struct ebb_object_info *info)
{
    (void)key;
    (void)info;
    ++*(int *)ctx;
    return 7;
}

static void lists_come_in_byte_order_below_the_prefix(void **state)
{
    struct fixture *f = *state;
    const char *keys[] = {"a/b", "a-b",        "a/b=1,c+d",    "a/sub/x y",
                          "b",   "a/\xc3\xbc", ".ebb-probe/q", "ab"};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer some = {0};
    for (size_t i = 0; i < EBB_ARRAY_LEN(keys); i++)
        assert_int_equal(put(f, keys[i], "x", EBB_PUT_IF_ABSENT, NULL, NULL), 0);
    assert_int_equal(ebb_object_list(f->store, "", collect, &all, NULL), 0);
    assert_string_equal(ebb_buffer_text(&all),
                        ".ebb-probe/q a-b a/b a/b=1,c+d a/sub/x y a/\xc3\xbc ab b ");
    assert_int_equal(ebb_object_list(f->store, "a/b", collect, &some, NULL), 0);
    assert_string_equal(ebb_buffer_text(&some), "a/b a/b=1,c+d ");
    ebb_buffer_reset(&some);
    assert_int_equal(ebb_object_list(f->store, "nothing/here/", collect, &some, NULL), 0);
    assert_string_equal(ebb_buffer_text(&some), "");
    int calls = 0;
    assert_int_equal(ebb_object_list(f->store, "a", stop_at_first, &calls, NULL), 7);
    assert_int_equal(calls, 1);
}

static void keys_that_leave_the_directory_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *bad[] = {"../x", "a/../../x", "/etc/passwd", "a//b", "a/.", ".ebb/tmp/x", "", "a/"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++)
        assert_int_equal(put(f, bad[i], "x", EBB_PUT_ALWAYS, NULL, NULL), EBB_ERR_INPUT);
    assert_int_equal(put(f, "file", "x", EBB_PUT_ALWAYS, NULL, NULL), 0);
    assert_int_equal(put(f, "file/below", "x", EBB_PUT_ALWAYS, NULL, NULL), EBB_ERR_INPUT);
}

static void deletes_are_idempotent(void **state)
{
    struct fixture *f = *state;
    struct ebb_object_info info;
    assert_int_equal(put(f, "d/e", "x", EBB_PUT_ALWAYS, NULL, NULL), 0);
    assert_int_equal(ebb_object_delete(f->store, "d/e", NULL), 0);
    assert_int_equal(ebb_object_delete(f->store, "d/e", NULL), 0);
    assert_int_equal(ebb_object_head(f->store, "d/e", &info, NULL), EBB_ERR_NOT_FOUND);
}

static void a_presigned_url_names_the_file(void **state)
{
    struct fixture *f = *state;
    EBB_AUTO_FREE char *url = ebb_object_presign(f->store, "bin/e=1 x", 60, NULL);
    EBB_AUTO_FREE char *expected = ebb_sprintf("file://%s/s/bin/e%%3D1%%20x", f->root);
    assert_string_equal(url, expected);
}

static void requests_are_counted(void **state)
{
    struct fixture *f = *state;
    struct ebb_object_store_counts c;
    struct ebb_object_info info;
    put(f, "c", "12345", EBB_PUT_ALWAYS, NULL, NULL);
    ebb_object_head(f->store, "c", &info, NULL);
    assert_content(f, "c", "12345");
    ebb_object_store_counts(f->store, &c);
    assert_int_equal(c.puts, 1);
    assert_int_equal(c.gets, 2);
    assert_int_equal(c.bytes_up, 5);
    assert_int_equal(c.bytes_down, 5);
}

static void a_cancelled_handle_refuses_calls(void **state)
{
    struct fixture *f = *state;
    atomic_int cancel = 1;
    struct ebb_object_store_options o = {.cancel = &cancel};
    struct ebb_object_store *s = NULL;
    struct ebb_object_info info;
    assert_int_equal(ebb_object_store_open(f->url, &o, &s, NULL), 0);
    assert_int_equal(ebb_object_head(s, "k", &info, NULL), EBB_ERR_CANCELLED);
    ebb_object_store_destroy(s);
}

/* Each child opens the store for itself and increments a counter by compare-and-swap. */
static int increment(const char *url, int times)
{
    struct ebb_object_store *s = NULL;
    if (ebb_object_store_open(url, NULL, &s, NULL) < 0)
        return 1;
    for (int done = 0; done < times;) {
        struct ebb_buffer b = {0};
        struct ebb_object_info info;
        char text[16];
        if (ebb_object_get(s, "counter", 0, 0, 100, &b, &info, NULL) < 0)
            return 2;
        snprintf(text, sizeof(text), "%d", atoi(ebb_buffer_text(&b)) + 1);
        int code = ebb_object_put(s, "counter", text, strlen(text), EBB_PUT_IF_MATCH, info.etag,
                                  NULL, NULL);
        if (code == 0)
            done++;
        else if (code != EBB_ERR_PRECONDITION)
            return 3;
        ebb_buffer_clean_up(&b);
    }
    ebb_object_store_destroy(s);
    return 0;
}

static void processes_that_swap_at_once_lose_no_update(void **state)
{
    struct fixture *f = *state;
    pid_t children[4];
    assert_int_equal(put(f, "counter", "0", EBB_PUT_ALWAYS, NULL, NULL), 0);
    for (size_t i = 0; i < EBB_ARRAY_LEN(children); i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(increment(f->url, 25));
    }
    for (size_t i = 0; i < EBB_ARRAY_LEN(children); i++) {
        int status = 0;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_content(f, "counter", "100");
}

static void one_of_many_creators_wins(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 10; round++) {
        char key[16];
        int wins = 0;
        pid_t children[6];
        snprintf(key, sizeof(key), "race/%d", round);
        for (size_t i = 0; i < EBB_ARRAY_LEN(children); i++) {
            children[i] = fork();
            if (children[i] == 0)
                _exit(put(f, key, "x", EBB_PUT_IF_ABSENT, NULL, NULL) == 0 ? 0 : 1);
        }
        for (size_t i = 0; i < EBB_ARRAY_LEN(children); i++) {
            int status = 0;
            waitpid(children[i], &status, 0);
            wins += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        assert_int_equal(wins, 1);
    }
}

static void urls_of_no_known_kind_are_bad_input(void **state)
{
    (void)state;
    struct ebb_object_store *s = NULL;
    const char *bad[] = {"http://x/y", "file://relative/path", "s3://", "s3://Upper/x", "/tmp/x"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++)
        assert_int_equal(ebb_object_store_open(bad[i], NULL, &s, NULL), EBB_ERR_INPUT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_probe_passes_and_leaves_nothing),
        CASE(create_only_puts_do_not_overwrite),
        CASE(a_swap_needs_the_present_etag),
        CASE(an_etag_never_comes_back_with_the_content),
        CASE(ranges_read_and_short_objects_are_corrupt),
        CASE(lists_come_in_byte_order_below_the_prefix),
        CASE(keys_that_leave_the_directory_are_refused),
        CASE(deletes_are_idempotent),
        CASE(a_presigned_url_names_the_file),
        CASE(requests_are_counted),
        CASE(a_cancelled_handle_refuses_calls),
        CASE(processes_that_swap_at_once_lose_no_update),
        CASE(one_of_many_creators_wins),
        cmocka_unit_test(urls_of_no_known_kind_are_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
