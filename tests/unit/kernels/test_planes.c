/* Byte planes: every size, stride and turn; the instruction sets agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/cpu.h"
#include "kernels/planes.h"
#include "noise.h"

#define MOST 300

static uint64_t turned(uint64_t w, unsigned bits, enum ebb_turn turn)
{
    uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1, sign = w >> (bits - 1);
    if (turn == EBB_TURN_ROTATE)
        return (w << 1 | sign) & mask;
    if (turn == EBB_TURN_ZIGZAG)
        return (sign ? ~(w << 1) : w << 1) & mask;
    return w;
}

static void check(const uint8_t *data, size_t n, unsigned stride, enum ebb_turn turn)
{
    uint8_t store[8][MOST + 2], back[8 * MOST + 2];
    uint8_t *planes[8];
    memset(store, 0xA5, sizeof store);
    memset(back, 0xA5, sizeof back);
    for (unsigned k = 0; k < stride; k++)
        planes[k] = store[k] + 1;
    ebb_planes_split(data, n, stride, turn, planes);
    for (unsigned k = 0; k < stride; k++) {
        assert_int_equal(store[k][0], 0xA5);
        assert_int_equal(store[k][n + 1], 0xA5);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t w = 0;
        memcpy(&w, data + i * stride, stride);
        uint64_t expected = turned(w, 8 * stride, turn);
        for (unsigned k = 0; k < stride; k++)
            assert_int_equal(planes[k][i], expected >> (8 * k) & 255);
    }
    ebb_planes_merge((const uint8_t *const *)planes, n, stride, turn, back + 1);
    if (n > 0)
        assert_memory_equal(back + 1, data, n * stride);
    assert_int_equal(back[0], 0xA5);
    assert_int_equal(back[1 + n * stride], 0xA5);
}

static void every_size_and_turn_comes_back_at_every_level(void **state)
{
    (void)state;
    uint8_t data[8 * MOST + 3];
    uint64_t seed = 5;
    noise_bytes(&seed, data, sizeof data);
    for (int level = EBB_CPU_REFERENCE; level <= EBB_CPU_AVX512; level++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)level);
        for (unsigned stride = 1; stride <= 8; stride *= 2)
            for (int turn = EBB_TURN_NONE; turn <= EBB_TURN_ZIGZAG; turn++)
                for (size_t n = 0; n <= MOST; n += n < 140 ? 1 : 37)
                    check(data + n % 3, n, stride, (enum ebb_turn)turn);
    }
    ebb_cpu_level_limit(EBB_CPU_AVX512);
}

static void rotating_leaves_the_exponent_in_the_last_plane(void **state)
{
    (void)state;
    float values[] = {1.0f, -1.0f, 0.5f, -3.0f};
    uint8_t store[4][4];
    uint8_t *planes[] = {store[0], store[1], store[2], store[3]};
    ebb_planes_split(values, 4, 4, EBB_TURN_ROTATE, planes);
    const uint8_t exponents[] = {127, 127, 126, 128}, signs[] = {0, 1, 0, 1};
    assert_memory_equal(planes[3], exponents, 4);
    assert_memory_equal(planes[0], signs, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_and_turn_comes_back_at_every_level),
        cmocka_unit_test(rotating_leaves_the_exponent_in_the_last_plane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
