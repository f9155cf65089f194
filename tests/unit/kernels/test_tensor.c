/* The tensor codec: every type, size and value comes back, by every method and instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/tensor/tensor.h"
#include "noise.h"

/* Encodes at each instruction set, which must agree, decodes at each, and returns the method. */
static enum ebb_tensor_method check(const struct ebb_tensor_input *in, enum ebb_tensor_level level,
                                    size_t *ret_len)
{
    struct ebb_error err = {0};
    size_t bytes = in->elements * ebb_dtype_size(in->dtype);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0}, again = {0};
    EBB_AUTO_FREE uint8_t *back = malloc(bytes + 1);
    ebb_cpu_level_limit(EBB_CPU_REFERENCE);
    assert_int_equal(ebb_tensor_encode(in, level, &blob, &err), 0);
    struct ebb_tensor_info info;
    assert_int_equal(ebb_tensor_read_info(blob.data, blob.len, &info, &err), 0);
    assert_int_equal(info.bytes, bytes);
    for (int cpu = EBB_CPU_REFERENCE; cpu <= EBB_CPU_AVX512; cpu++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)cpu);
        ebb_buffer_reset(&again);
        assert_int_equal(ebb_tensor_encode(in, level, &again, &err), 0);
        assert_int_equal(again.len, blob.len);
        assert_memory_equal(again.data, blob.data, blob.len);
        memset(back, 0xA5, bytes + 1);
        int rc = ebb_tensor_decode(blob.data, blob.len, info.needs_base ? in->base : NULL,
                                   info.needs_base ? bytes : 0, back, bytes, &err);
        if (rc < 0)
            fail_msg("%s", err.text);
        if (bytes > 0)
            assert_memory_equal(back, in->data, bytes);
        assert_int_equal(back[bytes], 0xA5);
    }
    if (ret_len != NULL)
        *ret_len = blob.len;
    return info.method;
}

/* `n` elements around `scale`, one in 64 of them any bits at all (NaN payloads, infinities,
 * denormals, zeros of both signs). */
static void fill(uint64_t *seed, enum ebb_dtype dtype, uint8_t *out, size_t n, double scale)
{
    size_t size = ebb_dtype_size(dtype);
    for (size_t i = 0; i < n; i++) {
        double x = noise_gauss(seed) * scale;
        float f = (float)x;
        uint64_t w;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        if (dtype == EBB_DTYPE_F64)
            memcpy(&w, &x, 8);
        else if (dtype == EBB_DTYPE_F32)
            w = bits;
        else if (dtype == EBB_DTYPE_BF16)
            w = bits >> 16;
        else if (dtype == EBB_DTYPE_F16)
            w = (bits >> 31) << 15 | (((bits >> 13) - (112U << 10)) & 0x7fff);
        else
            w = (uint64_t)(int64_t)(x * 100);
        if (noise_next(seed) >> 58 == 0)
            w = noise_next(seed) >> 57 == 0 ? noise_next(seed) : UINT64_C(1) << (8 * size - 1);
        memcpy(out + i * size, &w, size);
    }
}

/* A step of training: each element moves by about `step`. */
static void move_floats(uint64_t *seed, const float *from, float *to, size_t n, double step)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] + (float)(noise_gauss(seed) * step);
}

static void every_type_and_size_comes_back(void **state)
{
    (void)state;
    enum { MOST = 1500 };
    uint8_t data[8 * MOST + 1], base[8 * MOST + 1];
    uint64_t seed = 1;
    static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 256, 257, 1023, 1500};
    for (int d = EBB_DTYPE_F64; d <= EBB_DTYPE_BOOL; d++)
        for (size_t k = 0; k < EBB_ARRAY_LEN(sizes); k++)
            for (int variant = 0; variant < 4; variant++) {
                enum ebb_dtype dtype = (enum ebb_dtype)d;
                size_t n = sizes[k], at = k % 2; /* unaligned too */
                fill(&seed, dtype, data + at, n, 0.02);
                memcpy(base, data, sizeof base);
                for (size_t i = 0; i < n / 2; i++)
                    base[at + (noise_next(&seed) >> 33) % (n * ebb_dtype_size(dtype))]++;
                struct ebb_tensor_input in = {.data = data + at,
                                              .elements = n,
                                              .columns = variant == 3 ? 5 : 0,
                                              .dtype = dtype,
                                              .big_endian = variant == 2,
                                              .role = variant == 3 ? EBB_TENSOR_FIRST_MOMENT
                                                                   : EBB_TENSOR_ANY,
                                              .base = variant > 0 ? base + at : NULL};
                check(&in, variant == 2 ? EBB_TENSOR_SMALL : EBB_TENSOR_FAST, NULL);
            }
}

static void any_bits_come_back_against_any_bits(void **state)
{
    (void)state;
    enum { N = 700 };
    uint8_t data[8 * N], base[8 * N];
    uint64_t seed = 2;
    for (int d = EBB_DTYPE_F64; d <= EBB_DTYPE_BOOL; d++) {
        noise_bytes(&seed, data, sizeof data);
        noise_bytes(&seed, base, sizeof base);
        struct ebb_tensor_input in = {
            .data = data, .elements = N, .dtype = (enum ebb_dtype)d, .base = base};
        check(&in, EBB_TENSOR_FAST, NULL);
        /* Near the base, so that the differences are coded: over the ends of the range too. */
        for (size_t i = 0; i < N; i++) {
            size_t size = ebb_dtype_size(in.dtype);
            uint64_t w = 0;
            memcpy(&w, base + i * size, size);
            w += noise_next(&seed) >> 62;
            memcpy(data + i * size, &w, size);
        }
        check(&in, EBB_TENSOR_FAST, NULL);
    }
}

static void a_tensor_equal_to_its_base_is_a_reference(void **state)
{
    (void)state;
    enum { N = 50000 };
    EBB_AUTO_FREE uint8_t *data = malloc(4 * N), *base = malloc(4 * N);
    uint64_t seed = 3;
    fill(&seed, EBB_DTYPE_F32, data, N, 1);
    memcpy(base, data, 4 * N);
    struct ebb_tensor_input in = {
        .data = data, .elements = N, .dtype = EBB_DTYPE_F32, .base = base};
    size_t len;
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &len), EBB_TENSOR_SAME);
    assert_true(len < 32);
}

static void weights_shrink_to_their_exponents_entropy(void **state)
{
    (void)state;
    enum { N = 300001 };
    EBB_AUTO_FREE uint8_t *data = malloc(4 * N);
    EBB_AUTO_FREE uint16_t *half = malloc(2 * N);
    uint64_t seed = 4;
    size_t len;
    for (size_t i = 0; i < N; i++) {
        float f = (float)(noise_gauss(&seed) * 0.02);
        memcpy(data + 4 * i, &f, 4);
        memcpy(half + i, data + 4 * i + 2, 2);
    }
    struct ebb_tensor_input in = {.data = data, .elements = N, .dtype = EBB_DTYPE_F32};
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &len), EBB_TENSOR_PLANES);
    assert_true(4.0 * N / (double)len > 1.19);
    in.data = half;
    in.dtype = EBB_DTYPE_BF16;
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &len), EBB_TENSOR_PLANES);
    assert_true(2.0 * N / (double)len > 1.48);
}

static void a_small_step_from_the_base_is_coded_as_differences(void **state)
{
    (void)state;
    enum { N = 200000 };
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    uint64_t seed = 5;
    for (size_t i = 0; i < N; i++)
        base[i] = (float)(noise_gauss(&seed) * 0.02);
    move_floats(&seed, base, data, N, 1e-5);
    struct ebb_tensor_input in = {
        .data = data, .elements = N, .columns = 400, .dtype = EBB_DTYPE_F32, .base = base};
    size_t len;
    enum ebb_tensor_method method = check(&in, EBB_TENSOR_FAST, &len);
    assert_true(method == EBB_TENSOR_DELTA || method == EBB_TENSOR_STEP);
    assert_true(4.0 * N / (double)len > 1.9);
    in.columns = 0;
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &len), EBB_TENSOR_DELTA);
    assert_true(4.0 * N / (double)len > 1.9);
    in.role = EBB_TENSOR_FIRST_MOMENT; /* never against a base */
    assert_int_equal(check(&in, EBB_TENSOR_FAST, NULL), EBB_TENSOR_PLANES);
}

static void second_moments_are_coded_by_row_and_column(void **state)
{
    (void)state;
    enum { ROWS = 300, COLUMNS = 517, N = ROWS * COLUMNS };
    EBB_AUTO_FREE double *wide = malloc(8 * N), *wide_base = malloc(8 * N);
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    EBB_AUTO_FREE uint16_t *half = malloc(2 * N);
    double column[COLUMNS];
    uint64_t seed = 6;
    for (size_t j = 0; j < COLUMNS; j++)
        column[j] = exp(2 * noise_gauss(&seed));
    for (size_t i = 0; i < ROWS; i++) {
        double row = i == 7 ? 0 : 1e-8 * exp(2 * noise_gauss(&seed));
        for (size_t j = 0; j < COLUMNS; j++) {
            double own = exp(0.5 * noise_gauss(&seed));
            wide[i * COLUMNS + j] = row * column[j] * own * exp(0.5 * noise_gauss(&seed));
            wide_base[i * COLUMNS + j] = row * column[j] * own;
        }
    }
    for (size_t i = 0; i < N; i++) {
        data[i] = i % 1009 == 3 ? -HUGE_VALF : (float)wide[i];
        base[i] = (float)wide_base[i];
        memcpy(half + i, (uint8_t *)&data[i] + 2, 2);
    }
    struct ebb_tensor_input in = {.data = data,
                                  .elements = N,
                                  .columns = COLUMNS,
                                  .dtype = EBB_DTYPE_F32,
                                  .role = EBB_TENSOR_SECOND_MOMENT};
    size_t alone, with_base;
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &alone), EBB_TENSOR_SCALE);
    assert_true(4.0 * N / (double)alone > 1.18);
    in.base = base;
    check(&in, EBB_TENSOR_FAST, &with_base);
    assert_true(with_base < alone);
    in.columns = 0;
    check(&in, EBB_TENSOR_FAST, NULL);
    in = (struct ebb_tensor_input){.data = wide,
                                   .elements = N,
                                   .columns = COLUMNS,
                                   .dtype = EBB_DTYPE_F64,
                                   .role = EBB_TENSOR_SECOND_MOMENT,
                                   .base = wide_base};
    check(&in, EBB_TENSOR_FAST, NULL);
    in.columns = 0;
    check(&in, EBB_TENSOR_SMALL, NULL);
    in = (struct ebb_tensor_input){.data = half,
                                   .elements = N,
                                   .columns = COLUMNS,
                                   .dtype = EBB_DTYPE_BF16,
                                   .role = EBB_TENSOR_SECOND_MOMENT,
                                   .big_endian = true};
    check(&in, EBB_TENSOR_FAST, NULL);
}

static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Small numbers only. */
static uint16_t to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits >> 31) << 15 | (((bits >> 13) - (112U << 10)) & 0x7fff));
}

/* What training does: decay, a part of rank two, rows that move more than others, noise. Every so
 * many elements anything at all stands, in both. */
static void train(uint64_t *seed, size_t rows, size_t columns, float *base, float *data)
{
    EBB_AUTO_FREE double *v = malloc(2 * columns * sizeof *v);
    for (size_t j = 0; j < 2 * columns; j++)
        v[j] = noise_gauss(seed);
    for (size_t i = 0; i < rows; i++) {
        double u = noise_gauss(seed) * 1e-4, w = noise_gauss(seed) * 5e-5;
        double moved = i % 5 == 4 ? 0 : 2e-5 * exp(noise_gauss(seed));
        for (size_t j = 0; j < columns; j++) {
            size_t at = i * columns + j;
            base[at] = (float)(noise_gauss(seed) * 0.02);
            double step = moved > 0 ? u * v[j] + w * v[columns + j] + noise_gauss(seed) * moved : 0;
            data[at] = (float)((double)base[at] * (1 - 5e-4) + step);
            uint32_t any = (uint32_t)(noise_next(seed) >> 32);
            if (at % 997 == 5)
                memcpy(&base[at], &any, 4);
            if (at % 991 == 3)
                memcpy(&data[at], &any, 4);
        }
    }
}

static void a_step_of_training_is_foretold_but_for_its_noise(void **state)
{
    (void)state;
    enum { ROWS = 403, COLUMNS = 517, N = ROWS * COLUMNS };
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    EBB_AUTO_FREE uint16_t *half = malloc(2 * N), *half_base = malloc(2 * N);
    uint64_t seed = 10;
    size_t len, flat;
    train(&seed, ROWS, COLUMNS, base, data);
    struct ebb_tensor_input in = {
        .data = data, .elements = N, .columns = COLUMNS, .dtype = EBB_DTYPE_F32, .base = base};
    assert_int_equal(check(&in, EBB_TENSOR_FAST, &len), EBB_TENSOR_STEP);
    in.columns = 0;
    check(&in, EBB_TENSOR_FAST, &flat);
    assert_true((double)len < 0.9 * (double)flat);
    for (int type = 0; type < 2; type++) {
        for (size_t i = 0; i < N; i++) {
            half[i] = type == 0 ? to_bf16(data[i]) : to_f16(data[i]);
            half_base[i] = type == 0 ? to_bf16(base[i]) : to_f16(base[i]);
        }
        in = (struct ebb_tensor_input){.data = half,
                                       .elements = N,
                                       .columns = COLUMNS,
                                       .dtype = type == 0 ? EBB_DTYPE_BF16 : EBB_DTYPE_F16,
                                       .big_endian = type == 1,
                                       .base = half_base};
        enum ebb_tensor_method method = check(&in, EBB_TENSOR_FAST, &len);
        if (type == 0)
            assert_int_equal(method, EBB_TENSOR_STEP);
    }
}

/* Whole tensors at the edges of what the method of steps takes on, of every type that it knows. */
static void steps_of_every_shape_and_value_come_back(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{16, 256},  {256, 16},  {17, 241},   {64, 64},
                                       {65, 63},   {33, 1000}, {1000, 33},  {128, 129},
                                       {16, 4097}, {5, 2000},  {66000, 16}, {16, 66000}};
    enum { MOST = 66000 * 16 };
    EBB_AUTO_FREE uint8_t *data = malloc(4 * MOST + 1), *base = malloc(4 * MOST + 1);
    EBB_AUTO_FREE float *from = malloc(4 * MOST), *to = malloc(4 * MOST);
    static const enum ebb_dtype types[] = {EBB_DTYPE_F32, EBB_DTYPE_BF16, EBB_DTYPE_F16};
    uint64_t seed = 11;
    for (size_t k = 0; k < EBB_ARRAY_LEN(shapes); k++) {
        size_t n = shapes[k][0] * shapes[k][1], at = k % 2;
        train(&seed, shapes[k][0], shapes[k][1], from, to);
        for (size_t t = 0; t < EBB_ARRAY_LEN(types); t++) {
            if (n > 100000 && t != k % 2)
                continue;
            size_t size = ebb_dtype_size(types[t]);
            for (size_t i = 0; i < n; i++) {
                uint16_t x = t == 1 ? to_bf16(to[i]) : to_f16(to[i]);
                uint16_t y = t == 1 ? to_bf16(from[i]) : to_f16(from[i]);
                memcpy(data + at + i * size, t == 0 ? (const void *)&to[i] : &x, size);
                memcpy(base + at + i * size, t == 0 ? (const void *)&from[i] : &y, size);
            }
            struct ebb_tensor_input in = {.data = data + at,
                                          .elements = n,
                                          .columns = shapes[k][1],
                                          .dtype = types[t],
                                          .big_endian = (k + t) % 3 == 2,
                                          .base = base + at};
            check(&in, EBB_TENSOR_FAST, NULL);
        }
    }
}

/* The model's arithmetic at its ends: numbers that are infinite, tiny, or far from what they were;
 * a base of zeros; steps that are all equal. */
static void steps_over_extreme_numbers_come_back(void **state)
{
    (void)state;
    enum { COLUMNS = 96, N = 64 * COLUMNS };
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    static const double sizes[] = {1e-44, 1e-38, 1e-20, 1, 1e20, 3e38};
    uint64_t seed = 12;
    for (size_t s = 0; s < EBB_ARRAY_LEN(sizes); s++)
        for (int kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < N; i++) {
                double x = kind == 3 ? 0 : noise_gauss(&seed) * sizes[s];
                double far = kind == 1 ? sizes[s] : sizes[s] * 1e-3;
                base[i] = (float)x;
                data[i] = (float)(kind == 2 ? x + far : x + noise_gauss(&seed) * far);
            }
            struct ebb_tensor_input in = {.data = data,
                                          .elements = N,
                                          .columns = COLUMNS,
                                          .dtype = EBB_DTYPE_F32,
                                          .base = base};
            check(&in, EBB_TENSOR_FAST, NULL);
        }
}

/* What a blob of `method` says about each of its bytes' bits turned over, and of each cut. */
static void check_damage(struct ebb_tensor_input *in, enum ebb_tensor_method method)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    size_t bytes = in->elements * ebb_dtype_size(in->dtype);
    EBB_AUTO_FREE uint8_t *back = malloc(bytes);
    struct ebb_tensor_info info;
    assert_int_equal(ebb_tensor_encode(in, EBB_TENSOR_FAST, &blob, NULL), 0);
    assert_int_equal(ebb_tensor_read_info(blob.data, blob.len, &info, NULL), 0);
    assert_int_equal(info.method, method);
    for (size_t i = 0; i < blob.len; i++) {
        uint8_t flip = (uint8_t)(1U << i % 8);
        blob.data[i] ^= flip;
        assert_true(ebb_tensor_decode(blob.data, blob.len, in->base, bytes, back, bytes, NULL) < 0);
        blob.data[i] ^= flip;
        assert_true(ebb_tensor_decode(blob.data, i, in->base, bytes, back, bytes, NULL) < 0);
    }
    assert_true(ebb_tensor_decode(blob.data, blob.len, in->base, bytes, back, bytes - 1, NULL) < 0);
    if (!info.needs_base)
        return;
    assert_true(ebb_tensor_decode(blob.data, blob.len, NULL, 0, back, bytes, NULL) < 0);
    EBB_AUTO_FREE uint8_t *other = ebb_memdup(in->base, bytes);
    other[bytes / 2] ^= 0x40;
    assert_true(ebb_tensor_decode(blob.data, blob.len, other, bytes, back, bytes, NULL) < 0);
}

static void every_flip_and_cut_and_a_wrong_base_are_found(void **state)
{
    (void)state;
    enum { N = 4608 };
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    uint64_t seed = 8;
    for (size_t i = 0; i < N; i++)
        base[i] = (float)exp(noise_gauss(&seed));
    move_floats(&seed, base, data, N, 1e-4);
    struct ebb_tensor_input in = {.data = data, .elements = 900, .dtype = EBB_DTYPE_F32};
    check_damage(&in, EBB_TENSOR_PLANES);
    in.base = base;
    check_damage(&in, EBB_TENSOR_DELTA);
    in.data = base;
    check_damage(&in, EBB_TENSOR_SAME);
    for (size_t i = 0; i < N; i++)
        data[i] = (float)exp(0.1 * noise_gauss(&seed)) * (float)(1 + i / 64);
    in = (struct ebb_tensor_input){.data = data,
                                   .elements = N,
                                   .columns = 64,
                                   .dtype = EBB_DTYPE_F32,
                                   .role = EBB_TENSOR_SECOND_MOMENT};
    check_damage(&in, EBB_TENSOR_SCALE);
    train(&seed, 48, 96, base, data);
    in = (struct ebb_tensor_input){
        .data = data, .elements = N, .columns = 96, .dtype = EBB_DTYPE_F32, .base = base};
    check_damage(&in, EBB_TENSOR_STEP);
}

/* Several chunks, either order of bytes: damage is found before anything is decoded. */
static void a_large_tensor_comes_back_or_says_that_it_is_damaged(void **state)
{
    (void)state;
    enum { ELEMENTS = 140001 };
    EBB_AUTO_FREE float *data = ebb_alloc_array(ELEMENTS, sizeof *data);
    EBB_AUTO_FREE uint8_t *back = ebb_alloc_array(ELEMENTS, sizeof *data);
    uint64_t seed = 8;
    for (size_t i = 0; i < ELEMENTS; i++)
        data[i] = (float)noise_gauss(&seed);
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
        struct ebb_tensor_input in = {.data = data,
                                      .elements = ELEMENTS,
                                      .columns = 1,
                                      .dtype = EBB_DTYPE_F32,
                                      .big_endian = big_endian};
        struct ebb_error err = {0};
        size_t len = ELEMENTS * sizeof *data;
        assert_int_equal(ebb_tensor_encode(&in, EBB_TENSOR_FAST, &blob, &err), 0);
        assert_int_equal(ebb_tensor_decode(blob.data, blob.len, NULL, 0, back, len, &err), 0);
        assert_memory_equal(back, data, len);
        for (size_t i = 0; i < blob.len; i += i < 64 ? 1 : 15013) {
            blob.data[i] ^= 4;
            assert_true(ebb_tensor_decode(blob.data, blob.len, NULL, 0, back, len, &err) < 0);
            if (i > 40)
                assert_string_equal(err.text, "packed tensor: its checksum does not match");
            blob.data[i] ^= 4;
        }
        for (size_t cut = 30; cut < blob.len; cut += 50021)
            assert_true(ebb_tensor_decode(blob.data, cut, NULL, 0, back, len, &err) < 0);
    }
}

static void decoding_in_place_of_the_base_is_right(void **state)
{
    (void)state;
    enum { N = 150000 };
    EBB_AUTO_FREE float *data = malloc(4 * N), *base = malloc(4 * N);
    uint64_t seed = 9;
    for (size_t i = 0; i < N; i++)
        base[i] = (float)noise_gauss(&seed);
    move_floats(&seed, base, data, N, 1e-4);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    struct ebb_tensor_input in = {
        .data = data, .elements = N, .dtype = EBB_DTYPE_F32, .base = base};
    assert_int_equal(ebb_tensor_encode(&in, EBB_TENSOR_FAST, &blob, NULL), 0);
    assert_int_equal(ebb_tensor_decode(blob.data, blob.len, base, 4 * N, base, 4 * N, NULL), 0);
    assert_memory_equal(base, data, 4 * N);
}

static void a_later_version_is_refused_as_such(void **state)
{
    (void)state;
    uint8_t blob[40] = {2};
    struct ebb_tensor_info info;
    assert_int_equal(ebb_tensor_read_info(blob, sizeof blob, &info, NULL), EBB_ERR_UNSUPPORTED);
}

/* 2^31 + 5 elements, sparse: some gigabytes, so only when asked for. */
static void more_than_two_to_the_31_elements_come_back(void **state)
{
    (void)state;
    if (getenv("EBB_TEST_HUGE") == NULL)
        skip();
    size_t n = ((size_t)1 << 31) + 5;
    uint8_t *data = calloc(n, 1), *back = malloc(n);
    assert_true(data != NULL && back != NULL);
    for (size_t i = 0; i < n; i += 9999991)
        data[i] = (uint8_t)(i >> 3);
    data[n - 1] = 77;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    struct ebb_tensor_input in = {.data = data, .elements = n, .dtype = EBB_DTYPE_U8};
    assert_int_equal(ebb_tensor_encode(&in, EBB_TENSOR_FAST, &blob, NULL), 0);
    assert_true(blob.len < n / 100);
    assert_int_equal(ebb_tensor_decode(blob.data, blob.len, NULL, 0, back, n, NULL), 0);
    assert_true(memcmp(data, back, n) == 0);
    free(data);
    free(back);
}

/* `bytes` of which each `block` is the same memory. */
static uint8_t *repeated(const uint8_t *from, size_t block, size_t bytes)
{
    int fd = memfd_create("ebb-test", 0);
    assert_true(fd >= 0 && write(fd, from, block) == (ssize_t)block);
    uint8_t *all = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED);
    for (size_t at = 0; at < bytes; at += block)
        assert_true(mmap(all + at, bytes - at < block ? bytes - at : block, PROT_READ,
                         MAP_SHARED | MAP_FIXED, fd, 0) == all + at);
    assert_int_equal(close(fd), 0);
    return all;
}

/* As many against a base, by the method of steps: two arrays of 4 GiB in 16 MiB of memory each. */
static void more_than_two_to_the_31_steps_come_back(void **state)
{
    (void)state;
    if (getenv("EBB_TEST_HUGE") == NULL)
        skip();
    enum { COLUMNS = 4096, ROWS = 2048, N = ROWS * COLUMNS };
    size_t rows = ((size_t)1 << 31) / COLUMNS + 3, n = rows * COLUMNS, block = 2 * (size_t)N;
    float *x = malloc(4 * N), *y = malloc(4 * N);
    uint16_t *part = malloc(block);
    uint64_t seed = 14;
    train(&seed, ROWS, COLUMNS, x, y);
    for (size_t i = 0; i < N; i++)
        part[i] = to_bf16(x[i]);
    uint8_t *base = repeated((uint8_t *)part, block, 2 * n);
    for (size_t i = 0; i < N; i++)
        part[i] = to_bf16(y[i]);
    uint8_t *data = repeated((uint8_t *)part, block, 2 * n);
    free(x);
    free(y);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    struct ebb_tensor_input in = {
        .data = data, .elements = n, .columns = COLUMNS, .dtype = EBB_DTYPE_BF16, .base = base};
    struct ebb_tensor_info info;
    assert_int_equal(ebb_tensor_encode(&in, EBB_TENSOR_FAST, &blob, NULL), 0);
    assert_int_equal(ebb_tensor_read_info(blob.data, blob.len, &info, NULL), 0);
    assert_int_equal(info.method, EBB_TENSOR_STEP);
    assert_true(info.elements == n);
    uint8_t *back = malloc(2 * n);
    assert_int_equal(ebb_tensor_decode(blob.data, blob.len, base, 2 * n, back, 2 * n, NULL), 0);
    assert_true(memcmp(data, back, 2 * n) == 0);
    free(back);
    free(part);
    assert_int_equal(munmap(data, 2 * n), 0);
    assert_int_equal(munmap(base, 2 * n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_size_comes_back),
        cmocka_unit_test(any_bits_come_back_against_any_bits),
        cmocka_unit_test(a_tensor_equal_to_its_base_is_a_reference),
        cmocka_unit_test(weights_shrink_to_their_exponents_entropy),
        cmocka_unit_test(a_small_step_from_the_base_is_coded_as_differences),
        cmocka_unit_test(second_moments_are_coded_by_row_and_column),
        cmocka_unit_test(a_step_of_training_is_foretold_but_for_its_noise),
        cmocka_unit_test(steps_of_every_shape_and_value_come_back),
        cmocka_unit_test(steps_over_extreme_numbers_come_back),
        cmocka_unit_test(every_flip_and_cut_and_a_wrong_base_are_found),
        cmocka_unit_test(a_large_tensor_comes_back_or_says_that_it_is_damaged),
        cmocka_unit_test(decoding_in_place_of_the_base_is_right),
        cmocka_unit_test(a_later_version_is_refused_as_such),
        cmocka_unit_test(more_than_two_to_the_31_elements_come_back),
        cmocka_unit_test(more_than_two_to_the_31_steps_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
