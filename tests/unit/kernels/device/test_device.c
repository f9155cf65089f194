/* The device kernels give the bytes of the references, at every odd size. Built twice: with the
 * kernels' source on the CPU, and with the CUDA compiler for a real GPU (skipped where none is). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/memory.h"
#include "kernels/block_hash.h"
#include "kernels/delta.h"
#include "kernels/ebb_kernels.h"
#include "kernels/exponents.h"
#include "kernels/huffman.h"
#include "kernels/planes.h"
#include "memory.h"

EBB_DEFINE_AUTO_PTR(auto_device, void, device_free)
#define DEVICE EBB_AUTO(auto_device)

static uint64_t seed = 88172645463325252ull;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t rounded(size_t n)
{
    return (n + 15) / 16 * 16;
}

/* Sizes around the borders of what a thread, a block of threads and a round take. */
static const size_t sizes[] = {0,    1,    2,    3,    4,    5,    15,    16,   17,
                               31,   33,   63,   64,   65,   127,  240,   241,  255,
                               256,  257,  511,  1000, 1023, 1024, 1025,  2047, 2049,
                               4095, 4096, 4097, 5000, 8191, 8193, 12289, 20001};
#define SIZES (sizeof sizes / sizeof *sizes)

static void fill_any(void *data, size_t len)
{
    uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)next();
}

/* Floats like weights, with zeros, denormals, infinities and NaN here and there. */
static void fill_floats(void *data, size_t count, unsigned stride)
{
    uint8_t *at = data;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = next();
        float f = ((float)(r & 0xffff) - 32768.0f) * 1e-6f * (float)(1 + (r >> 16 & 7));
        uint32_t w;
        memcpy(&w, &f, 4);
        if ((r >> 20 & 63) == 0)
            w = (uint32_t)(r >> 32);
        if (stride == 2)
            w >>= 16;
        memcpy(at + i * stride, &w, stride);
    }
}

static void planes_equal_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        for (unsigned stride = 2; stride <= 4; stride += 2) {
            for (int turn = EBB_TURN_NONE; turn <= EBB_TURN_ZIGZAG; turn++) {
                size_t n = sizes[k], pitch = rounded(n) + 16 * (k % 2);
                DEVICE void *data = device_alloc(n * stride),
                            *planes = device_alloc(pitch * stride),
                            *back = device_alloc(n * stride);
                EBB_AUTO_FREE uint8_t *expected = ebb_alloc(n * stride + 1);
                uint8_t *list[4];
                for (unsigned p = 0; p < stride; p++)
                    list[p] = expected + p * n;
                fill_any(data, n * stride);
                ebb_planes_split(data, n, stride, (enum ebb_turn)turn, list);
                assert_int_equal(
                    ebb_kernels_planes_split(data, n, stride, turn, planes, pitch, NULL), 0);
                assert_int_equal(
                    ebb_kernels_planes_merge(planes, pitch, n, stride, turn, back, NULL), 0);
                device_wait();
                for (unsigned p = 0; p < stride; p++)
                    assert_memory_equal((uint8_t *)planes + p * pitch, list[p], n);
                assert_memory_equal(back, data, n * stride);
            }
        }
    }
}

static void differences_equal_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        for (unsigned stride = 2; stride <= 4; stride += 2) {
            for (int delta = EBB_DELTA_XOR; delta <= EBB_DELTA_DIFFERENCE; delta++) {
                size_t n = sizes[k], pitch = rounded(n);
                DEVICE void *data = device_alloc(n * stride), *base = device_alloc(n * stride),
                            *planes = device_alloc(pitch * stride),
                            *back = device_alloc(n * stride);
                EBB_AUTO_FREE uint8_t *expected = ebb_alloc(n * stride + 1),
                                      *reference = ebb_alloc(n * stride + 1),
                                      *old = ebb_alloc(n * stride + 1);
                uint8_t *list[4];
                for (unsigned p = 0; p < stride; p++)
                    list[p] = expected + p * n;
                fill_floats(base, n, stride);
                memcpy(data, base, n * stride);
                for (size_t i = 0; i < n * stride; i += 1 + next() % 9)
                    ((uint8_t *)data)[i] ^= (uint8_t)next();
                memcpy(old, base, n * stride);
                ebb_delta_split(data, base, n, stride, (enum ebb_delta)delta, list);
                ebb_delta_merge((const uint8_t *const *)list, old, n, stride, (enum ebb_delta)delta,
                                reference);
                assert_memory_equal(reference, data, n * stride);
                assert_int_equal(ebb_kernels_delta_split(data, base, base, n, stride, delta, planes,
                                                         pitch, NULL),
                                 0);
                device_wait();
                for (unsigned p = 0; p < stride; p++)
                    assert_memory_equal((uint8_t *)planes + p * pitch, list[p], n);
                assert_memory_equal(base, data, n * stride); /* refreshed */
                memcpy(base, old, n * stride);
                assert_int_equal(
                    ebb_kernels_delta_merge(planes, pitch, base, n, stride, delta, back, NULL), 0);
                device_wait();
                assert_memory_equal(back, data, n * stride);
            }
        }
    }
}

static void check_exponents(size_t n, unsigned stride, unsigned bits, const void *from)
{
    size_t bound = ebb_exponents_bound(n, stride, bits),
           workspace_bytes = ebb_kernels_exponents_workspace(n);
    assert_int_equal(bound, ebb_kernels_exponents_bound(n, stride, bits));
    DEVICE void *data = device_alloc(n * stride), *packed = device_alloc(bound),
                *workspace = device_alloc(workspace_bytes), *back = device_alloc(n * stride),
                *bytes = device_alloc(8);
    EBB_AUTO_FREE uint8_t *expected = ebb_alloc(bound), *reference = ebb_alloc(n * stride + 1);
    memcpy(data, from, n * stride);
    memset(packed, 0xa5, bound);
    memset(workspace, 0x5a, workspace_bytes);
    size_t size = ebb_exponents_pack(data, n, stride, bits, expected);
    assert_int_equal(ebb_exponents_unpack(expected, size, n, stride, reference), 0);
    assert_memory_equal(reference, data, n * stride);
    assert_int_equal(ebb_kernels_exponents_pack(data, n, stride, bits, packed, bytes, workspace,
                                                workspace_bytes, NULL),
                     0);
    device_wait();
    assert_int_equal(*(uint64_t *)bytes, size);
    assert_memory_equal(packed, expected, size);
    assert_int_equal(ebb_kernels_exponents_unpack(packed, size, n, stride, bits, back, workspace,
                                                  workspace_bytes, NULL),
                     0);
    device_wait();
    assert_memory_equal(back, data, n * stride);
}

static void exponents_equal_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; k < SIZES; k++) {
        for (unsigned stride = 2; stride <= 4; stride += 2) {
            EBB_AUTO_FREE uint8_t *data = ebb_alloc(sizes[k] * stride + 1);
            fill_floats(data, sizes[k], stride);
            for (unsigned bits = 2; bits <= 7; bits += k % 4 == 0 ? 1 : 3)
                check_exponents(sizes[k], stride, bits, data);
            fill_any(data, sizes[k] * stride);
            check_exponents(sizes[k], stride, 3, data);
        }
    }
}

/* No byte of the counts leads outside the arrays (the sanitizers would see it). */
static void damaged_exponents_stay_inside(void **state)
{
    (void)state;
    enum { N = 1500 };
    uint16_t data[N];
    fill_floats(data, N, 2);
    EBB_AUTO_FREE uint8_t *good = ebb_alloc(ebb_exponents_bound(N, 2, 3));
    size_t size = ebb_exponents_pack(data, N, 2, 3, good),
           workspace_bytes = ebb_kernels_exponents_workspace(N);
    DEVICE void *packed = device_alloc(size), *workspace = device_alloc(workspace_bytes),
                *back = device_alloc(N * 2);
    EBB_AUTO_FREE uint8_t *reference = ebb_alloc(N * 2);
    for (size_t i = 0; i < 200; i++) {
        memcpy(packed, good, size);
        ((uint8_t *)packed)[i < 64 ? i : next() % size] ^= (uint8_t)(1 + next() % 255);
        (void)ebb_exponents_unpack(packed, size, N, 2, reference);
        assert_int_equal(ebb_kernels_exponents_unpack(packed, size, N, 2, 3, back, workspace,
                                                      workspace_bytes, NULL),
                         0);
    }
    device_wait();
}

static void check_huffman(const uint8_t *from, size_t len)
{
    size_t bound = EBB_HUFFMAN_BOUND(len), workspace_bytes = ebb_kernels_huffman_workspace(len);
    assert_int_equal(bound, ebb_kernels_huffman_bound(len));
    DEVICE void *data = device_alloc(len), *out = device_alloc(bound),
                *workspace = device_alloc(workspace_bytes), *bytes = device_alloc(8);
    EBB_AUTO_FREE uint8_t *expected = ebb_alloc(bound), *back = ebb_alloc(len + 1);
    memcpy(data, from, len);
    memset(workspace, 0x5a, workspace_bytes);
    size_t size = ebb_huffman_encode(from, len, expected);
    assert_int_equal(
        ebb_kernels_huffman_encode(data, len, out, bytes, workspace, workspace_bytes, NULL), 0);
    device_wait();
    assert_int_equal(*(uint64_t *)bytes, size);
    assert_memory_equal(out, expected, size);
    assert_int_equal(ZSTD_decompress(back, len, out, size), len);
    assert_memory_equal(back, from, len);
}

static void huffman_frames_equal_the_reference(void **state)
{
    (void)state;
    size_t most = 3 * EBB_HUFFMAN_BLOCK + 77;
    EBB_AUTO_FREE uint8_t *data = ebb_alloc(most);
    for (size_t i = 0; i < most; i++)
        data[i] = (uint8_t)(118 + __builtin_popcountll(next() & 0xffff));
    for (size_t k = 0; k < SIZES; k++)
        check_huffman(data, sizes[k]);
    check_huffman(data, EBB_HUFFMAN_BLOCK - 1);
    check_huffman(data, EBB_HUFFMAN_BLOCK);
    check_huffman(data, EBB_HUFFMAN_BLOCK + 63);
    fill_any(data + EBB_HUFFMAN_BLOCK, EBB_HUFFMAN_BLOCK);      /* a stored block between */
    memset(data + 2 * EBB_HUFFMAN_BLOCK, 9, EBB_HUFFMAN_BLOCK); /* and a repeated one */
    check_huffman(data, most);
}

static void block_hashes_equal_the_library(void **state)
{
    (void)state;
    for (size_t len = 0; len < 3000; len += len < 300 ? 1 : 137) {
        for (size_t block = 16; block <= 4096; block *= 4) {
            if (len > 300 && block < 256)
                continue;
            size_t count = ebb_block_count(len, block);
            DEVICE void *data = device_alloc(len), *hashes = device_alloc(16 * count);
            uint8_t(*expected)[16] = ebb_alloc(16 * count + 16);
            fill_any(data, len);
            ebb_block_hashes(data, len, block, expected);
            assert_int_equal(ebb_kernels_block_hash(data, len, block, hashes, NULL), 0);
            device_wait();
            assert_memory_equal(hashes, expected, 16 * count);
            free(expected);
        }
    }
}

static void misuse_is_refused(void **state)
{
    (void)state;
    DEVICE void *data = device_alloc(4096), *out = device_alloc(4096);
    uint8_t *odd = (uint8_t *)data + 4;
    assert_int_equal(ebb_kernels_planes_split(odd, 64, 4, 0, out, 64, NULL), EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_planes_split(data, 64, 3, 0, out, 64, NULL), EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_planes_split(data, 64, 4, 7, out, 64, NULL), EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_planes_split(data, 64, 4, 0, out, 48, NULL), EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_block_hash(data, 64, 0, out, NULL), EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_huffman_encode(data, 64, out, out, out, 3, NULL),
                     EBB_KERNELS_MISUSE);
    assert_non_null(strstr(ebb_kernels_error(EBB_KERNELS_MISUSE), "alignment"));
}

int main(void)
{
    const char *missing = device_missing();
    if (missing != NULL) {
        printf("skipped: %s\n", missing);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_equal_the_reference),
        cmocka_unit_test(differences_equal_the_reference),
        cmocka_unit_test(exponents_equal_the_reference),
        cmocka_unit_test(damaged_exponents_stay_inside),
        cmocka_unit_test(huffman_frames_equal_the_reference),
        cmocka_unit_test(block_hashes_equal_the_library),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
