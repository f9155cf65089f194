/* The coder with tables by context: what is coded comes back, the bytes are the same for every
 * instruction set, and what is damaged is told or at least read within its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu.h"
#include "kernels/tensor/mixed.h"
#include "noise.h"

enum { TABLES = 5, MOST = 70001, PART = 4096 };

struct set {
    size_t n;
    uint8_t *symbols, *tables;
    uint32_t steps[TABLES * 256];
    uint32_t slots[TABLES * EBB_MIXED_TOTAL];
};

/* Table t's symbols spread over about 2^(2t) values; those of table 0 are all the same. */
static void fill(struct set *s, uint64_t *seed, size_t n)
{
    uint32_t counts[TABLES][256] = {{0}};
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        unsigned t = (unsigned)(noise_next(seed) >> 32) % TABLES;
        double spread = t == 0 ? 0 : (double)(1U << 2 * t) / 4;
        s->tables[i] = (uint8_t)t;
        s->symbols[i] = (uint8_t)(int)(128 + noise_gauss(seed) * spread);
        counts[t][s->symbols[i]]++;
    }
    for (unsigned t = 0; t < TABLES; t++) {
        uint16_t frequency[256];
        unsigned sum = 0;
        ebb_mixed_frequencies(counts[t], frequency);
        for (unsigned k = 0; k < 256; k++) {
            sum += frequency[k];
            assert_true(counts[t][k] == 0 || frequency[k] > 0);
        }
        assert_int_equal(sum, EBB_MIXED_TOTAL);
        ebb_mixed_steps(frequency, s->steps + (size_t)256 * t);
        assert_true(ebb_mixed_slots(frequency, s->slots + (size_t)EBB_MIXED_TOTAL * t));
    }
}

/* In parts, as the method of steps reads them. */
static bool decode(const struct set *s, const uint8_t *bytes, size_t len, uint8_t *out)
{
    struct ebb_mixed_decoder d;
    if (!ebb_mixed_decoder_init(&d, bytes, len))
        return false;
    for (size_t i = 0; i < s->n; i += PART)
        if (!ebb_mixed_decode(&d, s->slots, s->tables + i, s->n - i < PART ? s->n - i : PART,
                              out + i))
            return false;
    return ebb_mixed_decoder_done(&d);
}

static void symbols_come_back_and_bytes_are_the_same_everywhere(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 1000, 4096, 4097, MOST};
    struct set *s = calloc(1, sizeof *s);
    s->symbols = malloc(MOST);
    s->tables = malloc(MOST);
    EBB_AUTO_FREE uint8_t *back = malloc(MOST), *first = NULL;
    uint64_t seed = 1;
    for (size_t k = 0; k < EBB_ARRAY_LEN(sizes); k++) {
        fill(s, &seed, sizes[k]);
        size_t bound = ebb_mixed_bound(s->n), len = 0;
        free(first);
        first = NULL;
        for (int cpu = EBB_CPU_REFERENCE; cpu <= EBB_CPU_AVX512; cpu++) {
            ebb_cpu_level_limit((enum ebb_cpu_level)cpu);
            EBB_AUTO_FREE uint8_t *out = malloc(bound);
            uint8_t *at = ebb_mixed_encode(s->symbols, s->tables, s->n, s->steps, out, bound);
            size_t here = (size_t)(out + bound - at);
            if (first == NULL) {
                first = ebb_memdup(at, here);
                len = here;
            }
            assert_int_equal(here, len);
            assert_memory_equal(at, first, len);
            memset(back, 0, s->n);
            EBB_AUTO_FREE uint8_t *tight = ebb_memdup(at, here);
            assert_true(decode(s, tight, here, back));
            assert_memory_equal(back, s->symbols, s->n);
        }
    }
    free(s->symbols);
    free(s->tables);
    free(s);
}

static void damage_is_told_or_stays_within_bounds(void **state)
{
    (void)state;
    enum { N = 1500 };
    struct set *s = calloc(1, sizeof *s);
    s->symbols = malloc(N);
    s->tables = malloc(N);
    uint64_t seed = 2;
    fill(s, &seed, N);
    size_t bound = ebb_mixed_bound(N);
    EBB_AUTO_FREE uint8_t *out = malloc(bound), *back = malloc(N);
    uint8_t *at = ebb_mixed_encode(s->symbols, s->tables, N, s->steps, out, bound);
    size_t len = (size_t)(out + bound - at);
    for (size_t i = 0; i < len; i++) {
        EBB_AUTO_FREE uint8_t *bad = ebb_memdup(at, len);
        assert_false(decode(s, bad, i, back));
        bad[i] ^= (uint8_t)(1 + (noise_next(&seed) >> 57));
        (void)decode(s, bad, len, back);
    }
    free(s->symbols);
    free(s->tables);
    free(s);
}

static void frequencies_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    uint16_t frequency[256] = {0};
    uint32_t slots[EBB_MIXED_TOTAL];
    assert_false(ebb_mixed_slots(frequency, slots));
    frequency[3] = EBB_MIXED_TOTAL;
    assert_false(ebb_mixed_slots(frequency, slots));
    frequency[3] = EBB_MIXED_TOTAL - 1;
    frequency[200] = 2;
    assert_false(ebb_mixed_slots(frequency, slots));
    frequency[200] = 1;
    assert_true(ebb_mixed_slots(frequency, slots));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_come_back_and_bytes_are_the_same_everywhere),
        cmocka_unit_test(damage_is_told_or_stays_within_bounds),
        cmocka_unit_test(frequencies_that_do_not_add_up_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
