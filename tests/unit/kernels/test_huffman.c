/* Frames of Huffman literals: standard, complete, the same at every level. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/memory.h"
#include "kernels/cpu.h"
#include "kernels/huffman.h"
#include "noise.h"

/* `alphabet` symbols from `first` on, the more unequal the greater `bend`. */
static void fill(uint64_t *seed, uint8_t *out, size_t n, unsigned first, unsigned alphabet,
                 double bend)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(first + (unsigned)(pow(noise_unit(seed), bend) * alphabet));
}

static void check(const uint8_t *in, size_t n)
{
    EBB_AUTO_FREE uint8_t *frame = malloc(EBB_HUFFMAN_BOUND(n));
    EBB_AUTO_FREE uint8_t *again = malloc(EBB_HUFFMAN_BOUND(n));
    EBB_AUTO_FREE uint8_t *back = malloc(n + 1);
    struct ebb_error err = {0};
    ebb_cpu_level_limit(EBB_CPU_REFERENCE);
    size_t size = ebb_huffman_encode(in, n, frame);
    assert_true(size <= EBB_HUFFMAN_BOUND(n));
    EBB_AUTO_FREE uint8_t *tight = ebb_memdup(frame, size);
    for (int level = EBB_CPU_REFERENCE; level <= EBB_CPU_AVX512; level++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)level);
        memset(back, 0xA5, n + 1);
        assert_int_equal(ebb_huffman_encode(in, n, again), size);
        assert_memory_equal(frame, again, size);
        assert_int_equal(ebb_huffman_decode(tight, size, back, n, &err), 0);
        assert_memory_equal(back, in, n);
        assert_int_equal(back[n], 0xA5);
    }
    memset(back, 0, n + 1);
    assert_int_equal(ZSTD_decompress(back, n + 1, frame, size), n);
    assert_memory_equal(back, in, n);
}

static void every_small_size_is_a_frame_that_zstd_reads(void **state)
{
    (void)state;
    uint8_t data[1200];
    uint64_t seed = 7;
    fill(&seed, data, sizeof data, 120, 9, 2.0);
    for (size_t n = 0; n <= 700; n++)
        check(data, n);
    check(data, 1023);
    check(data, 1024);
}

static void every_alphabet_is_a_frame_that_zstd_reads(void **state)
{
    (void)state;
    enum { N = 3000 };
    uint8_t data[N];
    uint64_t seed = 11;
    for (unsigned i = 0; i < 1500; i++) {
        unsigned alphabet = 1 + (unsigned)(noise_unit(&seed) * 256);
        fill(&seed, data, N, (unsigned)(noise_unit(&seed) * 256), alphabet,
             exp2(noise_unit(&seed) * 6 - 2));
        check(data, 256 + (size_t)(noise_unit(&seed) * (N - 256)));
    }
}

/* Whole blocks, from a code of one bit for nearly all to codes that are all as long. */
static void every_skewness_is_read_at_full_length(void **state)
{
    (void)state;
    const size_t n = EBB_HUFFMAN_BLOCK + 12345;
    EBB_AUTO_FREE uint8_t *data = malloc(n);
    uint64_t seed = 23;
    for (unsigned bend = 1; bend < 40; bend += 3) {
        fill(&seed, data, n, bend * 31, 2 + bend * 5, bend);
        check(data, n);
    }
}

static void blocks_of_every_kind_follow_each_other(void **state)
{
    (void)state;
    size_t n = 5 * EBB_HUFFMAN_BLOCK + 77;
    EBB_AUTO_FREE uint8_t *data = calloc(n, 1);
    uint64_t seed = 13;
    noise_bytes(&seed, data + EBB_HUFFMAN_BLOCK, EBB_HUFFMAN_BLOCK);
    fill(&seed, data + 2 * EBB_HUFFMAN_BLOCK, 3 * EBB_HUFFMAN_BLOCK + 77, 0, 256, 9.0);
    check(data, n);
    check(data + 3, 4 * EBB_HUFFMAN_BLOCK);
    check(data + 1, 3 * EBB_HUFFMAN_BLOCK + 1);
}

static void lengths_are_complete_and_at_most_eleven(void **state)
{
    (void)state;
    uint32_t counts[256] = {0};
    uint8_t lengths[256];
    counts[0] = counts[1] = 1; /* Fibonacci's numbers make the deepest tree */
    for (unsigned s = 2; s < 24; s++)
        counts[s] = counts[s - 1] + counts[s - 2];
    assert_int_equal(ebb_huffman_lengths(counts, lengths), EBB_HUFFMAN_MAX_BITS);
    unsigned sum = 0;
    for (unsigned s = 0; s < 24; s++) {
        assert_true(lengths[s] >= 1 && lengths[s] <= EBB_HUFFMAN_MAX_BITS);
        sum += 1U << (EBB_HUFFMAN_MAX_BITS - lengths[s]);
    }
    assert_int_equal(sum, 1U << EBB_HUFFMAN_MAX_BITS);
}

static void frames_of_other_writers_are_read(void **state)
{
    (void)state;
    enum { N = 70000 };
    EBB_AUTO_FREE uint8_t *data = malloc(N), *back = malloc(N),
                          *frame = malloc(ZSTD_compressBound(N));
    uint64_t seed = 17;
    fill(&seed, data, N, 0, 40, 3.0);
    memcpy(data + 40000, data, 20000);
    size_t size = ZSTD_compress(frame, ZSTD_compressBound(N), data, N, 3);
    assert_int_equal(ebb_huffman_decode(frame, size, back, N, NULL), 0);
    assert_memory_equal(data, back, N);
}

/* Some flips only change what comes out; none writes past it. */
static void damage_never_writes_past_the_end(void **state)
{
    (void)state;
    enum { N = 1500 };
    uint8_t data[N], frame[EBB_HUFFMAN_BOUND(N)], back[N + 1];
    uint64_t seed = 19;
    fill(&seed, data, N, 200, 30, 4.0);
    size_t size = ebb_huffman_encode(data, N, frame);
    for (size_t i = 0; i < size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            back[N] = 0xA5;
            frame[i] ^= (uint8_t)(1U << bit);
            (void)ebb_huffman_decode(frame, size, back, N, NULL);
            frame[i] ^= (uint8_t)(1U << bit);
            assert_int_equal(back[N], 0xA5);
        }
    for (size_t cut = 0; cut < size; cut++)
        assert_true(ebb_huffman_decode(frame, cut, back, N, NULL) < 0);
    assert_true(ebb_huffman_decode(frame, size, back, N - 1, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_size_is_a_frame_that_zstd_reads),
        cmocka_unit_test(every_alphabet_is_a_frame_that_zstd_reads),
        cmocka_unit_test(every_skewness_is_read_at_full_length),
        cmocka_unit_test(blocks_of_every_kind_follow_each_other),
        cmocka_unit_test(lengths_are_complete_and_at_most_eleven),
        cmocka_unit_test(frames_of_other_writers_are_read),
        cmocka_unit_test(damage_never_writes_past_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
