/* store_contract URL [races]: holds a store, of whatever make, to what cloud/object_store.h
 * promises; with "races" only that one creator wins and no swap is lost, which must hold also where
 * answers get lost. Prints what failed; exit status 0 when all held. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "base/workers.h"
#include "cloud/object_store.h"

#define CREATORS    8
#define ROUNDS      5
#define COUNTERS    4
#define INCREMENTS  10
#define MAX_HISTORY 4096
#define MANY_KEYS   1005
#define LARGE       (6u << 20)

static struct ebb_object_store *store;

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void put_text(const char *key, const char *text)
{
    struct ebb_error err = {0};
    int code = ebb_object_put(store, key, text, strlen(text), EBB_PUT_ALWAYS, NULL, NULL, &err);
    REQUIRE(code == 0, "%s: %s", key, err.text);
}

static void probe(void)
{
    struct ebb_error err = {0};
    double skew_s = 0;
    REQUIRE(ebb_object_store_probe(store, &skew_s, &err) == 0, "%s", err.text);
    REQUIRE(skew_s > -5 && skew_s < 5, "clock skew %g s", skew_s);
}

/* ---- races ---- */

struct race {
    char key[32];
    atomic_int wins, losses;
};

/* An object of a race lists, oldest first, who wrote it: "<0.0><2.1>". A put that landed shows even
 * where the answer was lost and another's put has followed. Also unique, as S3's ETag is the hash
 * of the content. */
static void read_history(const char *key, struct ebb_buffer *ret, struct ebb_object_info *ret_info)
{
    struct ebb_error err = {0};
    int code = ebb_object_get(store, key, 0, 0, MAX_HISTORY, ret, ret_info, &err);
    REQUIRE(code == 0 || code == EBB_ERR_NOT_FOUND, "%s", err.text);
}

static bool has_landed(const char *key, const char *writer)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    read_history(key, &b, NULL);
    return strstr(ebb_buffer_text(&b), writer) != NULL;
}

/* A conditional put that adds `writer`, decided: 0, EBB_ERR_EXISTS or EBB_ERR_PRECONDITION. */
static int put_decided(const char *key, const char *history, const char *writer,
                       enum ebb_put_condition condition, const char *etag)
{
    EBB_AUTO_FREE char *text = ebb_sprintf("%s%s", history, writer);
    for (bool unsure = false;; unsure = true) {
        struct ebb_error err = {0};
        int code = ebb_object_put(store, key, text, strlen(text), condition, etag, NULL, &err);
        if (code == 0)
            return 0;
        if ((unsure || code == EBB_ERR_TIMEOUT) && has_landed(key, writer))
            return 0;
        if (code == EBB_ERR_EXISTS || code == EBB_ERR_PRECONDITION)
            return code;
        REQUIRE(code == EBB_ERR_CONFLICT || code == EBB_ERR_TIMEOUT, "%s", err.text);
    }
}

static void create(void *ctx, size_t i)
{
    struct race *r = ctx;
    char writer[16];
    snprintf(writer, sizeof(writer), "<%zu>", i);
    int code = put_decided(r->key, "", writer, EBB_PUT_IF_ABSENT, NULL);
    atomic_fetch_add(code == 0 ? &r->wins : &r->losses, 1);
}

static void one_creator_wins(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct race r = {.wins = 0};
        snprintf(r.key, sizeof(r.key), "race/%d", round);
        ebb_parallel_for(CREATORS, CREATORS, create, &r);
        REQUIRE(r.wins == 1 && r.losses == CREATORS - 1, "%d creators won", r.wins);
    }
}

static char swapped[COUNTERS][INCREMENTS][16]; /* the writers of each swap told to have succeeded */

static void increment(void *ctx, size_t worker)
{
    (void)ctx;
    for (int done = 0, tries = 0; done < INCREMENTS; tries++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        struct ebb_object_info info = {0};
        char *writer = swapped[worker][done];
        read_history("counter", &b, &info);
        snprintf(writer, sizeof(swapped[0][0]), "<%zu.%d>", worker, tries);
        done +=
            put_decided("counter", ebb_buffer_text(&b), writer, EBB_PUT_IF_MATCH, info.etag) == 0;
    }
}

static void no_swap_is_lost(void)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_text("counter", "");
    ebb_parallel_for(COUNTERS, COUNTERS, increment, NULL);
    read_history("counter", &b, NULL);
    const char *history = ebb_buffer_text(&b);
    int count = 0;
    for (const char *at = history; (at = strchr(at, '<')) != NULL; at++)
        count++;
    REQUIRE(count == COUNTERS * INCREMENTS, "%d swaps: %s", count, history);
    for (int i = 0; i < COUNTERS * INCREMENTS; i++) {
        const char *writer = swapped[i / INCREMENTS][i % INCREMENTS];
        REQUIRE(strstr(history, writer) != NULL, "%s of %s", writer, history);
    }
}

/* ---- keys and lists ---- */

static const char *const odd_keys[] = {
    "odd/!'()*", "odd/%25 literal", "odd/a b",       "odd/a&b;c:d@e", "odd/a+b",
    "odd/a,b",   "odd/sub/x=1",     "odd/t=290,s=1", "odd/~-_.",      "odd/\xc3\xbc\xe2\x82\xac",
};

static int expect_next(void *ctx, const char *key, const struct ebb_object_info *info)
{
    size_t *at = ctx;
    REQUIRE(*at < EBB_ARRAY_LEN(odd_keys), "one key too many: %s", key);
    REQUIRE(strcmp(key, odd_keys[*at]) == 0, "%s came for %s", key, odd_keys[*at]);
    REQUIRE(info->size_bytes == strlen(key), "%s: size", key);
    ++*at;
    return 0;
}

static void keys_of_every_kind_come_back(void)
{
    size_t at = 0;
    struct ebb_error err = {0};
    for (size_t i = 0; i < EBB_ARRAY_LEN(odd_keys); i++)
        put_text(odd_keys[i], odd_keys[i]);
    REQUIRE(ebb_object_list(store, "odd/", expect_next, &at, &err) == 0, "%s", err.text);
    REQUIRE(at == EBB_ARRAY_LEN(odd_keys), "%zu keys listed", at);
    for (size_t i = 0; i < EBB_ARRAY_LEN(odd_keys); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        struct ebb_object_info info;
        const char *key = odd_keys[i];
        REQUIRE(ebb_object_get(store, key, 0, 0, 100, &b, NULL, &err) == 0, "%s", err.text);
        REQUIRE(strcmp(ebb_buffer_text(&b), key) == 0, "%s", key);
        REQUIRE(ebb_object_head(store, key, &info, &err) == 0, "%s", err.text);
        REQUIRE(ebb_object_delete(store, key, &err) == 0, "%s", err.text);
        REQUIRE(ebb_object_delete(store, key, &err) == 0, "%s", err.text);
        REQUIRE(ebb_object_head(store, key, &info, NULL) == EBB_ERR_NOT_FOUND, "%s", key);
    }
}

static void put_numbered(void *ctx, size_t i)
{
    char key[32];
    (void)ctx;
    snprintf(key, sizeof(key), "many/%06zu", i);
    put_text(key, "x");
}

static int count_ascending(void *ctx, const char *key, const struct ebb_object_info *info)
{
    size_t *at = ctx;
    char expected[32];
    (void)info;
    snprintf(expected, sizeof(expected), "many/%06zu", (*at)++);
    REQUIRE(strcmp(key, expected) == 0, "%s came for %s", key, expected);
    return 0;
}

static void long_lists_have_all_pages(void)
{
    size_t at = 0;
    struct ebb_error err = {0};
    ebb_parallel_for(4, MANY_KEYS, put_numbered, NULL);
    REQUIRE(ebb_object_list(store, "many/", count_ascending, &at, &err) == 0, "%s", err.text);
    REQUIRE(at == MANY_KEYS, "%zu of %d keys", at, MANY_KEYS);
}

/* ---- content ---- */

static void large_objects_and_ranges_come_back(void)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer got = {0};
    EBB_AUTO_FREE uint8_t *data = ebb_alloc_array(LARGE, 1);
    struct ebb_object_info info;
    struct ebb_error err = {0};
    struct ebb_random random;
    ebb_random_seed(&random, 7);
    for (size_t i = 0; i < LARGE; i += 8) {
        uint64_t word = ebb_random_next(&random);
        memcpy(data + i, &word, 8);
    }
    int code = ebb_object_put(store, "large", data, LARGE, EBB_PUT_IF_ABSENT, NULL, NULL, &err);
    REQUIRE(code == 0, "%s", err.text);
    code = ebb_object_get(store, "large", 0, 0, LARGE, &got, &info, &err);
    REQUIRE(code == 0, "%s", err.text);
    REQUIRE(got.len == LARGE && memcmp(got.data, data, LARGE) == 0, "content differs");
    REQUIRE(info.size_bytes == LARGE, "size %llu", (unsigned long long)info.size_bytes);
    ebb_buffer_reset(&got);
    code = ebb_object_get(store, "large", 1000001, 77777, LARGE, &got, &info, &err);
    REQUIRE(code == 0, "%s", err.text);
    REQUIRE(got.len == 77777 && memcmp(got.data, data + 1000001, 77777) == 0, "range differs");
    REQUIRE(info.size_bytes == LARGE, "size %llu", (unsigned long long)info.size_bytes);
    code = ebb_object_get(store, "large", LARGE - 10, 20, LARGE, &got, NULL, NULL);
    REQUIRE(code == EBB_ERR_CORRUPT, "a range beyond the end gave %d", code);
}

static void an_empty_object_is_an_object(void)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_object_info info;
    struct ebb_error err = {0};
    put_text("empty", "");
    REQUIRE(ebb_object_get(store, "empty", 0, 0, 10, &b, &info, &err) == 0, "%s", err.text);
    REQUIRE(b.len == 0 && info.size_bytes == 0, "%zu bytes", b.len);
}

static void a_presigned_url_gives_the_object(void)
{
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_error err = {0};
    put_text("bin/a=b,c+d", "presigned");
    EBB_AUTO_FREE char *url = ebb_object_presign(store, "bin/a=b,c+d", 60, &err);
    REQUIRE(url != NULL, "%s", err.text);
    if (ebb_starts_with(url, "file:"))
        return;
    struct ebb_http_client *http = ebb_http_client_new();
    struct ebb_http_request q = {.method = "GET", .url = url};
    REQUIRE(ebb_http_call(http, &q, &answer, &err) == 0, "%s", err.text);
    REQUIRE(answer.status == 200, "HTTP %d: %s", answer.status, ebb_buffer_text(&answer.body));
    REQUIRE(strcmp(ebb_buffer_text(&answer.body), "presigned") == 0, "content differs");
    ebb_http_client_destroy(http);
}

int main(int argc, char **argv)
{
    struct ebb_error err = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: store_contract URL [races]\n");
        return 2;
    }
    bool all = argc < 3;
    REQUIRE(ebb_object_store_open(argv[1], NULL, &store, &err) == 0, "%s", err.text);
    if (all)
        probe();
    one_creator_wins();
    no_swap_is_lost();
    if (!all)
        return 0;
    keys_of_every_kind_come_back();
    long_lists_have_all_pages();
    large_objects_and_ranges_come_back();
    an_empty_object_is_an_object();
    a_presigned_url_gives_the_object();
    ebb_object_store_destroy(store);
    printf("%s keeps the contract\n", argv[1]);
    return 0;
}
