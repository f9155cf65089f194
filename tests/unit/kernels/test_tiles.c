/* Tiles come back as they were, whatever the numbers, and never take more than their widest number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu.h"
#include "kernels/trajectory/tiles.h"
#include "noise.h"

enum { NORMAL, SKEWED, ZEROS, ONES, OUTLIER, ANY, KINDS };

static uint32_t number(uint64_t *seed, int kind, double spread, size_t i)
{
    const double u = noise_unit(seed), v = noise_unit(seed);
    switch (kind) {
    case NORMAL: /* Box and Muller */
        return (uint32_t)(2 * spread * fabs(sqrt(-2 * log(1 - u)) * cos(6.2831853 * v)));
    case SKEWED:
        return (uint32_t)(-spread * log(1 - u));
    case ZEROS:
        return 0;
    case ONES:
        return UINT32_MAX;
    case OUTLIER:
        return i == 77 || i == 300 ? UINT32_MAX - 5 : (uint32_t)(u * spread);
    default:
        return (uint32_t)(u * 4294967295.0) >> (unsigned)(v * 31);
    }
}

static size_t widest(const uint32_t *run, size_t count)
{
    size_t bytes = 0;
    for (size_t at = 0; at < count; at += EBB_TILE_NUMBERS) {
        uint32_t any = 0;
        for (size_t i = at; i < count && i < at + EBB_TILE_NUMBERS; i++)
            any |= run[i];
        bytes += 4 * (size_t)ebb_tile_blocks(count, at / EBB_TILE_NUMBERS) *
                 (any == 0 ? 0 : 32 - (unsigned)__builtin_clz(any));
    }
    return bytes;
}

static size_t check(const uint32_t *run, size_t count)
{
    const size_t tiles = (size_t)ebb_tiles_of(count), room = 4 * EBB_TILE_WORDS * tiles;
    EBB_AUTO_FREE uint8_t *heads = ebb_alloc(2 * tiles + 1), *words = ebb_alloc(room + 1);
    EBB_AUTO_FREE uint8_t *other_heads = ebb_alloc(2 * tiles + 1), *other = ebb_alloc(room + 1);
    EBB_AUTO_FREE uint32_t *back = ebb_alloc_array(count + 1, sizeof *back);
    ebb_cpu_level_limit(EBB_CPU_REFERENCE);
    const size_t bytes = ebb_tiles_pack(run, count, heads, words);
    for (int level = EBB_CPU_REFERENCE; level <= EBB_CPU_AVX512; level++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)level);
        assert_int_equal(ebb_tiles_pack(run, count, other_heads, other), bytes);
        assert_memory_equal(other_heads, heads, 2 * tiles);
        assert_memory_equal(other, words, bytes);
        memset(back, 0xa5, (count + 1) * sizeof *back);
        assert_true(ebb_tiles_unpack(heads, words, count, back));
        assert_memory_equal(back, run, count * sizeof *back);
        assert_int_equal(back[count], 0xa5a5a5a5);
    }
    assert_int_equal(ebb_tiles_bytes(heads, count), bytes);
    assert_true(ebb_tiles_are_whole(heads, words, count));
    assert_true(bytes <= widest(run, count));
    return bytes;
}

static void numbers_of_any_kind_come_back(void **state)
{
    (void)state;
    uint64_t seed = 5;
    uint32_t run[1100];
    for (size_t count = 0; count <= 1100; count += count < 70 ? 1 : count < 300 ? 13 : 111) {
        for (int kind = 0; kind < KINDS; kind++) {
            for (size_t i = 0; i < count; i++)
                run[i] = number(&seed, kind, (double)(1u << count % 20), i);
            (void)check(run, count);
        }
    }
}

/* Entropy of a rounded normal spread of numbers by twice their size: log2(s sqrt(2 pi e)). */
static void a_normal_spread_costs_little_more_than_its_entropy(void **state)
{
    (void)state;
    enum { N = 1 << 14 };
    uint64_t seed = 11;
    EBB_AUTO_FREE uint32_t *run = ebb_alloc_array(N, sizeof *run);
    for (double spread = 20; spread < 3000; spread *= 1.3) {
        for (size_t i = 0; i < N; i++)
            run[i] = number(&seed, NORMAL, spread, i);
        const double bits = 8.0 * (double)check(run, N) / N + 16.0 / EBB_TILE_NUMBERS,
                     entropy = log2(spread * 4.1327);
        if (!(bits > entropy - 0.05 && bits < entropy + 0.3))
            fail_msg("spread %.0f: %.3f bits, entropy %.3f", spread, bits, entropy);
    }
}

static void damaged_tiles_are_told(void **state)
{
    (void)state;
    enum { N = 600 };
    uint64_t seed = 3;
    uint32_t run[N], back[N];
    uint8_t heads[2 * 3], words[4 * EBB_TILE_WORDS * 3];
    for (size_t i = 0; i < N; i++)
        run[i] = number(&seed, SKEWED, 40, i);
    const size_t bytes = ebb_tiles_pack(run, N, heads, words);
    for (uint32_t head = 0; head < 65536;
         head++) { /* whatever a head says, its words are bounded */
        const uint8_t changed[6] = {(uint8_t)head, (uint8_t)(head >> 8)};
        const size_t got = ebb_tiles_bytes(changed, N);
        assert_true(got == SIZE_MAX || got <= 4 * EBB_TILE_WORDS);
        if (got != SIZE_MAX && got > 0)
            assert_int_equal(ebb_tiles_unpack(changed, words, N, back),
                             ebb_tiles_are_whole(changed, words, N));
    }
    unsigned told = 0;
    for (size_t i = 0; i < 8 * bytes; i++) {
        words[i / 8] ^= (uint8_t)(1u << i % 8);
        told += !ebb_tiles_are_whole(heads, words, N);
        assert_int_equal(ebb_tiles_unpack(heads, words, N, back),
                         ebb_tiles_are_whole(heads, words, N));
        words[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(told > bytes); /* those in the unary codes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_any_kind_come_back),
        cmocka_unit_test(a_normal_spread_costs_little_more_than_its_entropy),
        cmocka_unit_test(damaged_tiles_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
