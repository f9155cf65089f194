/* The entropy stage: blocks that describe themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kernels/entropy.h"
#include "noise.h"

static size_t round_trip(const uint8_t *in, size_t n, enum ebb_entropy_level level)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    ebb_entropy_encode(in, n, level, &packed);
    size_t alone = packed.len, size = 0;
    ebb_buffer_append(&packed, "next", 4);
    EBB_AUTO_FREE uint8_t *back = malloc(n + 1);
    struct ebb_error err = {0};
    assert_int_equal(ebb_entropy_decode(packed.data, packed.len, back, n, &size, &err), 0);
    assert_int_equal(size, alone);
    if (n > 0)
        assert_memory_equal(back, in, n);
    return alone;
}

static void every_size_comes_back(void **state)
{
    (void)state;
    uint8_t data[600];
    uint64_t seed = 3;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(int)(noise_gauss(&seed) * 3);
    for (size_t n = 0; n <= sizeof data; n++)
        round_trip(data, n, n % 2 ? EBB_ENTROPY_FAST : EBB_ENTROPY_SMALL);
}

static void noise_is_stored_and_costs_its_head_alone(void **state)
{
    (void)state;
    enum { N = 300000 };
    EBB_AUTO_FREE uint8_t *data = malloc(N);
    uint64_t seed = 4;
    noise_bytes(&seed, data, N);
    assert_true(round_trip(data, N, EBB_ENTROPY_FAST) <= N + 7);
}

static void small_finds_matches_that_fast_does_not_look_for(void **state)
{
    (void)state;
    enum { N = 40000 };
    EBB_AUTO_FREE uint8_t *data = malloc(N);
    uint64_t seed = 6;
    noise_bytes(&seed, data, N / 2);
    memcpy(data + N / 2, data, N / 2);
    assert_true(round_trip(data, N, EBB_ENTROPY_FAST) > N);
    assert_true(round_trip(data, N, EBB_ENTROPY_SMALL) < N * 6 / 10);
}

static void a_stored_block_is_seen_in_place(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    const uint8_t *bytes = NULL;
    struct ebb_entropy_block block;
    ebb_entropy_store((const uint8_t *)"abc", 3, &packed);
    assert_int_equal(ebb_entropy_read(packed.data, packed.len, &block, NULL), 0);
    assert_int_equal(ebb_entropy_view(&block, NULL, &bytes, NULL), 0);
    assert_ptr_equal(bytes, packed.data + packed.len - 3);
}

static void damage_is_refused_or_harmless(void **state)
{
    (void)state;
    enum { N = 700 };
    uint8_t data[N], back[N + 1];
    uint64_t seed = 8;
    for (size_t i = 0; i < N; i++)
        data[i] = (uint8_t)(int)(noise_gauss(&seed) * 3);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    ebb_entropy_encode(data, N, EBB_ENTROPY_FAST, &packed);
    size_t size;
    for (size_t i = 0; i < packed.len; i++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            back[N] = 0xA5;
            packed.data[i] ^= (uint8_t)flip;
            (void)ebb_entropy_decode(packed.data, packed.len, back, N, &size, NULL);
            packed.data[i] ^= (uint8_t)flip;
            assert_int_equal(back[N], 0xA5);
        }
    for (size_t cut = 0; cut < packed.len; cut++)
        assert_true(ebb_entropy_decode(packed.data, cut, back, N, &size, NULL) < 0);
    assert_true(ebb_entropy_decode(packed.data, packed.len, back, N - 1, &size, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(noise_is_stored_and_costs_its_head_alone),
        cmocka_unit_test(small_finds_matches_that_fast_does_not_look_for),
        cmocka_unit_test(a_stored_block_is_seen_in_place),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
