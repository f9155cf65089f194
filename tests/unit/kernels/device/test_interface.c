/* The library for engines, by its header alone: every array comes back at every odd size and
 * stride, results stay inside their arrays, and what the header excludes is refused. Linked with
 * the library for the CPU, and with the device's kernels on the CPU. */
#include "kernels/ebb_kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "memory.h"

#define GUARD 64 /* bytes behind an array that nobody may touch */

static uint64_t seed = 2463534242u;

static uint32_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

struct array {
    uint8_t *at;
    size_t len;
};

static struct array array_new(size_t len)
{
    struct array a = {device_alloc(len + GUARD), len};
    memset(a.at, 0x5a, len + GUARD);
    return a;
}

static void fill(struct array a)
{
    for (size_t i = 0; i < a.len; i++)
        a.at[i] = (uint8_t)any();
}

/* Weights, among them every kind of NaN and zero. */
static void fill_floats(struct array a, size_t n, unsigned stride)
{
    for (size_t i = 0; i < n; i++) {
        const float f = (float)((int32_t)any()) * 1e-11f;
        uint32_t word;
        memcpy(&word, &f, sizeof word);
        word = any() % 64 == 0 ? any() << 9 >> (any() % 32) : word;
        word = any() % 64 == 0 ? word | 0x7f800000u : word;
        word = stride == 2 ? word >> 16 : word;
        memcpy(a.at + i * stride, &word, stride);
    }
}

static void done(struct array *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < GUARD; k++)
            assert_int_equal(list[i].at[list[i].len + k], 0x5a);
        device_free(list[i].at);
    }
}

static const size_t sizes[] = {0,  1,   2,   3,    7,    15,   16,   17,  31,
                               33, 255, 257, 1000, 1023, 1025, 4097, 9001};
#define SIZES (sizeof sizes / sizeof *sizes)

static void planes_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        const size_t n = sizes[k], pitch = (n + 15) / 16 * 16 + 16 * (k % 3);
        for (unsigned stride = 2; stride <= 4; stride += 2) {
            struct array list[] = {array_new(n * stride), array_new(n * stride),
                                   array_new(pitch * stride), array_new(n * stride)};
            struct array data = list[0], base = list[1], planes = list[2], back = list[3];
            fill_floats(data, n, stride);
            for (int turn = EBB_KERNELS_TURN_NONE; turn <= EBB_KERNELS_TURN_ZIGZAG; turn++) {
                assert_int_equal(
                    ebb_kernels_planes_split(data.at, n, stride, turn, planes.at, pitch, NULL), 0);
                assert_int_equal(
                    ebb_kernels_planes_merge(planes.at, pitch, n, stride, turn, back.at, NULL), 0);
                assert_memory_equal(back.at, data.at, n * stride);
            }
            for (int delta = EBB_KERNELS_DELTA_XOR; delta <= EBB_KERNELS_DELTA_DIFFERENCE;
                 delta++) {
                fill_floats(base, n, stride);
                assert_int_equal(ebb_kernels_delta_split(data.at, base.at, back.at, n, stride,
                                                         delta, planes.at, pitch, NULL),
                                 0);
                assert_memory_equal(back.at, data.at, n * stride); /* refreshed */
                assert_int_equal(ebb_kernels_delta_merge(planes.at, pitch, base.at, n, stride,
                                                         delta, base.at, NULL),
                                 0);
                assert_memory_equal(base.at, data.at, n * stride);
            }
            for (size_t p = 0; p < stride; p++) /* between elements and pitch nothing is written */
                for (size_t i = n; i < pitch; i++)
                    assert_int_equal(planes.at[p * pitch + i], 0x5a);
            done(list, 4);
        }
    }
}

static void exponents_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        const size_t n = sizes[k];
        for (unsigned stride = 2; stride <= 4; stride += 2) {
            for (unsigned bits = 2; bits <= 7; bits++) {
                const size_t room = ebb_kernels_exponents_workspace(n);
                struct array list[] = {
                    array_new(n * stride), array_new(n * stride), array_new(room),
                    array_new(ebb_kernels_exponents_bound(n, stride, bits)), array_new(8)};
                struct array data = list[0], back = list[1], workspace = list[2], packed = list[3];
                uint64_t *size = (uint64_t *)(void *)list[4].at;
                fill_floats(data, n, stride);
                assert_int_equal(ebb_kernels_exponents_pack(data.at, n, stride, bits, packed.at,
                                                            size, workspace.at, room, NULL),
                                 0);
                assert_in_range(*size, 1, packed.len);
                assert_int_equal(ebb_kernels_exponents_unpack(packed.at, (size_t)*size, n, stride,
                                                              bits, back.at, workspace.at, room,
                                                              NULL),
                                 0);
                assert_memory_equal(back.at, data.at, n * stride);
                done(list, 5);
            }
        }
    }
}

static void frames_are_read_by_zstd(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        const size_t n = 17 * sizes[k], room = ebb_kernels_huffman_workspace(n);
        struct array list[] = {array_new(n), array_new(ebb_kernels_huffman_bound(n)),
                               array_new(room), array_new(8)};
        uint64_t *size = (uint64_t *)(void *)list[3].at;
        uint8_t *back = malloc(n + 1);
        for (size_t i = 0; i < n; i++)
            list[0].at[i] = (uint8_t)(120 + __builtin_popcount(any() & 0xff));
        assert_int_equal(
            ebb_kernels_huffman_encode(list[0].at, n, list[1].at, size, list[2].at, room, NULL), 0);
        assert_int_equal(ZSTD_getFrameContentSize(list[1].at, (size_t)*size), n);
        assert_int_equal(ZSTD_decompress(back, n, list[1].at, (size_t)*size), n);
        assert_memory_equal(back, list[0].at, n);
        free(back);
        done(list, 4);
    }
}

static void equal_blocks_have_equal_hashes(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        const size_t n = sizes[k], block = 256, count = (n + block - 1) / block;
        struct array list[] = {array_new(n), array_new(16 * count), array_new(16 * count)};
        fill(list[0]);
        assert_int_equal(ebb_kernels_block_hash(list[0].at, n, block, list[1].at, NULL), 0);
        for (size_t b = 0; b < count; b++) {
            list[0].at[b * block] ^= 1;
            assert_int_equal(ebb_kernels_block_hash(list[0].at, n, block, list[2].at, NULL), 0);
            for (size_t c = 0; c < count; c++)
                assert_int_equal(memcmp(list[1].at + 16 * c, list[2].at + 16 * c, 16) != 0, b == c);
            list[0].at[b * block] ^= 1;
        }
        done(list, 3);
    }
}

/* A slice of a matrix that is aligned to nothing, split and put back. */
static void slices_are_made_contiguous(void **state)
{
    (void)state;
    for (size_t columns = 1; columns < 40; columns += 6) {
        const size_t rows = 13, row = 4 * columns, pitch = row + 4 * (columns % 5),
                     n = rows * columns;
        struct array list[] = {array_new(rows * pitch + 4), array_new(n * 4),
                               array_new(4 * ((n + 15) / 16 * 16)), array_new(rows * pitch + 4)};
        fill(list[0]);
        const size_t plane = list[2].len / 4;
        assert_int_equal(
            ebb_kernels_snapshot_rows(list[1].at, row, list[0].at + 4, pitch, row, rows, NULL), 0);
        assert_int_equal(ebb_kernels_planes_split(list[1].at, n, 4, 1, list[2].at, plane, NULL), 0);
        memset(list[1].at, 0, n * 4);
        assert_int_equal(ebb_kernels_planes_merge(list[2].at, plane, n, 4, 1, list[1].at, NULL), 0);
        assert_int_equal(
            ebb_kernels_snapshot_rows(list[3].at + 4, pitch, list[1].at, row, row, rows, NULL), 0);
        for (size_t r = 0; r < rows; r++) {
            assert_memory_equal(list[3].at + 4 + r * pitch, list[0].at + 4 + r * pitch, row);
            for (size_t i = row; i < pitch && r + 1 < rows; i++)
                assert_int_equal(list[3].at[4 + r * pitch + i], 0x5a);
        }
        done(list, 4);
    }
}

/* Free atoms at any stride: the same piece, and the same coordinates with nothing written between.
 */
static void frames_of_any_stride_are_the_same(void **state)
{
    (void)state;
    enum { ATOMS = 700 };
    const struct ebb_kernels_trajectory plan = {
        .atoms = ATOMS, .quantum = 0.001, .parts = 1, .part = {{.sites = ATOMS, .atoms_each = 1}}};
    const size_t state_len = ebb_kernels_trajectory_state(&plan),
                 room = ebb_kernels_trajectory_workspace(&plan),
                 bound = ebb_kernels_trajectory_bound(&plan);
    struct array list[] = {array_new(state_len), array_new(bound), array_new(room),
                           array_new(bound)};
    uint64_t size = 0;
    for (uint32_t stride = 0; stride < 6; stride += stride == 0 ? 3 : 1) {
        const struct ebb_kernels_trajectory_frame frame = {.before = 1, .stride = stride};
        const size_t step = stride == 0 ? 3 : stride;
        struct array xyz = array_new(4 * step * ATOMS), back = array_new(4 * step * ATOMS);
        seed = 99;
        for (size_t i = 0; i < 3 * ATOMS; i++) {
            const float x = i % 500 == 7 ? 1e30f : (float)(any() % 100000) * 0.0001f;
            memcpy(xyz.at + 4 * (i / 3 * step + i % 3), &x, 4);
        }
        /* A state as the host makes it: where each atom's coordinates stand, and all at rest. */
        memset(list[0].at, 0, state_len);
        uint32_t *words = (uint32_t *)(void *)list[0].at;
        const size_t places = (ATOMS + 31) / 32 * 32, q = 2 * places;
        for (uint32_t i = 0; i < ATOMS; i++) {
            words[i] = i;
            words[places + i] = (uint32_t)(q + i / 256 * 768 + i % 256);
        }
        uint8_t *before = malloc(state_len);
        memcpy(before, list[0].at, state_len);
        assert_int_equal(ebb_kernels_trajectory_pack(&plan, &frame, (const float *)(void *)xyz.at,
                                                     list[0].at, list[1].at, list[2].at, room,
                                                     NULL),
                         0);
        if (stride == 0) {
            memcpy(&size, list[1].at, 8);
            memcpy(list[3].at, list[1].at, (size_t)size);
        }
        assert_memory_equal(list[1].at, list[3].at,
                            (size_t)size - 80); /* 5 far atoms, in any order */
        memcpy(list[0].at, before, state_len);
        assert_int_equal(ebb_kernels_trajectory_unpack(&plan, &frame, list[1].at, (size_t)size,
                                                       list[0].at, (float *)(void *)back.at,
                                                       list[2].at, room, NULL),
                         0);
        for (size_t i = 0; i < step * ATOMS; i++) {
            float x, y;
            memcpy(&x, xyz.at + 4 * i, 4);
            memcpy(&y, back.at + 4 * i, 4);
            if (i % step >= 3 || x > 1e29f)
                assert_memory_equal(&x, &y, 4);
            else
                assert_true(x - y <= 0.000501f && y - x <= 0.000501f);
        }
        free(before);
        struct array both[] = {xyz, back};
        done(both, 2);
    }
    done(list, 4);
}

static void what_the_header_excludes_is_refused(void **state)
{
    (void)state;
    struct array a = array_new(4096), b = array_new(16384);
    uint64_t *size = (uint64_t *)(void *)b.at;
    const int bad = EBB_KERNELS_MISUSE;
    assert_int_equal(ebb_kernels_planes_split(a.at + 4, 64, 4, 0, b.at, 64, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(a.at, 64, 4, 0, b.at + 8, 64, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(a.at, 64, 3, 0, b.at, 64, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(a.at, 64, 4, 9, b.at, 64, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(a.at, 64, 4, 0, b.at, 48, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(a.at, 64, 4, 0, b.at, 72, NULL), bad);
    assert_int_equal(ebb_kernels_planes_split(NULL, 64, 4, 0, b.at, 64, NULL), bad);
    assert_int_equal(
        ebb_kernels_planes_split(a.at, SIZE_MAX / 2, 4, 0, b.at, SIZE_MAX / 16 * 16, NULL), bad);
    assert_int_equal(ebb_kernels_delta_split(a.at, NULL, NULL, 64, 4, 0, b.at, 64, NULL), bad);
    assert_int_equal(ebb_kernels_delta_split(a.at, a.at, a.at + 4, 64, 4, 0, b.at, 64, NULL), bad);
    assert_int_equal(ebb_kernels_delta_merge(b.at, 64, a.at, 64, 4, 5, a.at, NULL), bad);
    assert_int_equal(ebb_kernels_exponents_pack(a.at, 64, 4, 8, b.at, size, b.at, b.len, NULL),
                     bad);
    assert_int_equal(ebb_kernels_exponents_pack(a.at, 64, 4, 4, b.at, NULL, b.at, b.len, NULL),
                     bad);
    assert_int_equal(ebb_kernels_exponents_unpack(b.at, 10, 64, 4, 4, a.at, b.at, b.len, NULL),
                     bad);
    assert_int_equal(ebb_kernels_huffman_encode(a.at + 1, 64, b.at, size, b.at, b.len, NULL), bad);
    assert_int_equal(ebb_kernels_huffman_encode(a.at, 64, NULL, size, b.at, b.len, NULL), bad);
    assert_int_equal(ebb_kernels_block_hash(a.at, 64, 24, b.at, NULL), bad);
    assert_int_equal(ebb_kernels_block_hash(a.at, 64, 16, NULL, NULL), bad);
    assert_int_equal(ebb_kernels_snapshot(NULL, a.at, 1, NULL), bad);
    assert_int_equal(ebb_kernels_snapshot_rows(b.at, 3, a.at, 8, 4, 2, NULL), bad);
    assert_non_null(strstr(ebb_kernels_error(bad), "ebb_kernels.h"));
    assert_int_equal(ebb_kernels_version(), EBB_KERNELS_VERSION);
    struct array both[] = {a, b};
    done(both, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_come_back),
        cmocka_unit_test(exponents_come_back),
        cmocka_unit_test(frames_are_read_by_zstd),
        cmocka_unit_test(equal_blocks_have_equal_hashes),
        cmocka_unit_test(slices_are_made_contiguous),
        cmocka_unit_test(frames_of_any_stride_are_the_same),
        cmocka_unit_test(what_the_header_excludes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
