/* Crystals in trajectory groups: homes that are found, neighbours on all sides, and what comes back
 * when a crystal is none after all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "kernels/cpu.h"
#include "kernels/trajectory/trajectory.h"
#include "seed.h"

#define QUANTUM 0.001

/* Frames of whole numbers, and one box. */
struct frames {
    size_t atoms, count;
    int32_t *q;
    float box[9];
};

static void frames_clean_up(struct frames *f)
{
    free(f->q);
}

struct solid {
    size_t side, count; /* cells along an axis, frames */
    bool boxed;
    double tilt;    /* of the box's rows, in cells */
    size_t missing; /* every so-manieth atom is not there; 0: all are */
    double heat;    /* of each by itself */
    double common;  /* of the waves */
};

static const double cell = 361.5, fcc[4][3] = {{0, 0, 0}, {.5, .5, 0}, {.5, 0, .5}, {0, .5, .5}};

/* Into the box: z first, as the box's rows have it. */
static void wrap(const float box[9], double x[3])
{
    for (int k = 2; k >= 0; k--) {
        const double rows = floor(x[k] / (box[4 * k] / QUANTUM));
        for (int d = 0; d <= k; d++)
            x[d] -= rows * box[3 * k + d] / QUANTUM;
    }
}

static struct frames make(const struct solid *s)
{
    enum { WAVES = 9 };
    const size_t all = 4 * s->side * s->side * s->side;
    struct frames f = {.count = s->count};
    for (size_t i = 0; i < all; i++)
        f.atoms += s->missing == 0 || i % s->missing != s->missing - 1;
    f.q = ebb_alloc_array(3 * f.atoms * f.count, sizeof *f.q);
    const float a = (float)(cell * QUANTUM), length = (float)s->side * a;
    const float box[9] = {length, 0, 0, (float)s->tilt * a, length, 0, 0, (float)s->tilt * a,
                          length};
    if (s->boxed)
        memcpy(f.box, box, sizeof box);
    double k[WAVES][3];
    for (size_t w = 0; w < 3 * (size_t)WAVES; w++)
        k[w / 3][w % 3] = 6.283 / (cell * (double)s->side) * (double)(random_bits() % 3);
    for (size_t t = 0; t < s->count; t++) {
        double strength[WAVES][3], phase[WAVES];
        for (size_t w = 0; w < WAVES; w++) {
            phase[w] = 6.283 * uniform();
            for (size_t d = 0; d < 3; d++)
                strength[w][d] = s->common * normal();
        }
        int32_t *q = f.q + 3 * f.atoms * t;
        for (size_t i = 0; i < all; i++) {
            if (s->missing != 0 && i % s->missing == s->missing - 1)
                continue;
            const size_t c = i / 4,
                         at[3] = {c % s->side, c / s->side % s->side, c / s->side / s->side};
            double home[3], x[3];
            for (size_t d = 0; d < 3; d++)
                home[d] = cell * ((double)at[d] + fcc[i % 4][d]);
            for (size_t d = 0; d < 3; d++) {
                x[d] = home[d] + s->heat * normal();
                for (size_t w = 0; w < WAVES; w++)
                    x[d] += strength[w][d] * sin(k[w][0] * home[0] + k[w][1] * home[1] +
                                                 k[w][2] * home[2] + phase[w]);
            }
            if (s->boxed)
                wrap(f.box, x);
            for (size_t d = 0; d < 3; d++)
                *q++ = (int32_t)lrint(x[d]);
        }
    }
    return f;
}

static void encode(const struct frames *f, int level, uint32_t group, struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    const struct ebb_traj_options o = {.quantum = QUANTUM, .level = level, .group_frames = group};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(f->atoms, &o, &err);
    for (size_t t = 0; t < f->count; t++)
        assert_int_equal(
            ebb_traj_encoder_add_lattice(enc, f->q + 3 * f->atoms * t, f->box, out, &err), 0);
    assert_int_equal(ebb_traj_encoder_flush(enc, out, &err), 0);
}

static void check(const struct frames *f, const struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * f->atoms, sizeof *q);
    size_t t = 0;
    for (size_t at = 0; at < out->len;) {
        struct ebb_traj_group_info info;
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
        assert_int_equal(ebb_traj_group_info(out->data + at, out->len - at, &info, &err), 0);
        if (ebb_traj_decoder_open(out->data + at, info.bytes, &dec, &err) < 0)
            fail_msg("%s", err.text);
        for (; ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1; t++)
            assert_memory_equal(q, f->q + 3 * f->atoms * t, 3 * f->atoms * sizeof *q);
        at += info.bytes;
    }
    assert_int_equal(t, f->count);
}

/* By every instruction set, which all make the same bytes. Returns the bits of a number. */
static double bits(const struct frames *f, int level, uint32_t group)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer reference = {0};
    for (int cpu = EBB_CPU_REFERENCE; cpu <= EBB_CPU_AVX512; cpu++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        ebb_cpu_level_limit((enum ebb_cpu_level)cpu);
        encode(f, level, group, &out);
        check(f, &out);
        if (cpu == EBB_CPU_REFERENCE)
            ebb_buffer_append(&reference, out.data, out.len);
        assert_int_equal(out.len, reference.len);
        assert_memory_equal(out.data, reference.data, out.len);
    }
    ebb_cpu_level_limit(EBB_CPU_AVX512);
    return 8.0 * (double)reference.len / (3.0 * (double)f->atoms * (double)f->count);
}

/* Of what is normal with this spread, in whole numbers. */
static double entropy(double spread)
{
    return log2(spread * sqrt(2 * 3.14159265 * exp(1)));
}

static void key_frames_are_seen_from_homes_too(void **state)
{
    (void)state;
    const struct solid s = {.side = 8, .count = 8, .boxed = true, .heat = 12};
    EBB_AUTO(frames_clean_up) struct frames f = make(&s);
    const double least = entropy(12);
    /* Every frame by itself; tables and steps cost something. */
    assert_true(bits(&f, EBB_TRAJ_FAST, 1) < least + 0.5);
    assert_true(bits(&f, EBB_TRAJ_FAST, 8) < least + 0.2);
}

static void neighbours_tell_through_the_faces_of_any_box(void **state)
{
    (void)state;
    const struct solid solids[] = {
        {.side = 6, .count = 16, .boxed = false, .heat = 4, .common = 8},
        {.side = 6, .count = 16, .boxed = true, .heat = 4, .common = 8},
        {.side = 6, .count = 16, .boxed = true, .tilt = 2, .heat = 4, .common = 8},
        {.side = 6, .count = 16, .boxed = true, .tilt = -1, .heat = 4, .common = 8},
        {.side = 7, .count = 16, .boxed = true, .heat = 4, .common = 8},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(solids); i++) {
        EBB_AUTO(frames_clean_up) struct frames f = make(&solids[i]);
        const double fast = bits(&f, EBB_TRAJ_FAST, 0), small = bits(&f, EBB_TRAJ_SMALL, 0);
        struct frames few = f;
        few.count = 12; /* the level fast looks for no neighbours in so few */
        assert_true(small < bits(&few, EBB_TRAJ_FAST, 0) - 0.5);
        assert_true(fast < bits(&few, EBB_TRAJ_FAST, 0) - 0.1);
    }
}

static void a_crystal_may_lack_atoms(void **state)
{
    (void)state;
    const struct solid s = {.side = 7, .count = 14, .boxed = true, .missing = 97, .heat = 8};
    EBB_AUTO(frames_clean_up) struct frames f = make(&s);
    assert_true(bits(&f, EBB_TRAJ_SMALL, 0) < entropy(8) + 0.35);
}

/* Homes of some frames are no help for the others, and no harm but in bytes. */
static void a_crystal_may_melt_drift_jump_and_shrink(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        const struct solid s = {.side = 5, .count = 20, .boxed = kind != 4, .heat = 6};
        EBB_AUTO(frames_clean_up) struct frames f = make(&s);
        for (size_t t = 1; t < f.count; t++) {
            for (size_t i = 0; i < 3 * f.atoms; i++) {
                int32_t *x = f.q + 3 * f.atoms * t + i;
                if (kind == 0)
                    *x += (int32_t)(8 * (double)t * normal());
                else if (kind == 1)
                    *x += (int32_t)(9 * t);
                else if (kind == 2 && t >= 13)
                    *x = (int32_t)(random_bits() % 100000);
                else if (kind == 3)
                    *x = (int32_t)((double)*x * (1 - 0.004 * (double)t));
                else if (kind == 4 && t % 5 == 0 && i % 7 == 0)
                    *x = (int32_t)(random_bits() >> 35) - (1 << 28);
            }
        }
        (void)bits(&f, EBB_TRAJ_FAST, 0);
        (void)bits(&f, EBB_TRAJ_SMALL, 7);
    }
}

/* Places far from zero, on top of each other, or in a line. */
static void homes_may_lie_anywhere(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        const struct solid s = {.side = 4, .count = 14, .heat = 1};
        EBB_AUTO(frames_clean_up) struct frames f = make(&s);
        for (size_t i = 0; i < 3 * f.atoms * f.count; i++) {
            if (kind == 0)
                f.q[i] += (1 << 29) - 4000;
            else if (kind == 1)
                f.q[i] = f.q[i] / 1000;
            else if (kind == 2)
                f.q[i] = i % 3 == 0 ? (int32_t)(i / 3 % f.atoms) * 40000 : f.q[i] / 1000;
            else
                f.q[i] = i % 2 == 0 ? -(1 << 29) + 1 : (1 << 29) - 1;
        }
        (void)bits(&f, EBB_TRAJ_FAST, 0);
        (void)bits(&f, EBB_TRAJ_SMALL, 0);
    }
}

static void any_changed_byte_is_detected(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    const struct solid s = {.side = 4, .count = 3, .boxed = true, .heat = 3, .common = 5};
    EBB_AUTO(frames_clean_up) struct frames f = make(&s);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    encode(&f, EBB_TRAJ_SMALL, 0, &out);
    for (size_t i = 0; i < out.len; i++) {
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
        out.data[i] ^= (uint8_t)(1u << i % 8);
        assert_true(ebb_traj_decoder_open(out.data, out.len, &dec, &err) < 0);
        out.data[i] ^= (uint8_t)(1u << i % 8);
    }
}

/* tests/golden/trajectory-v1/crystal: made anew with EBB_WRITE_GOLDEN in the environment. */
#define GOLDEN_ATOMS 256
#define GOLDEN_HASH  UINT64_C(0x436719c4bd7750de) /* FNV-1a of its numbers */

static void the_golden_group_stays_readable(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    const char *path = EBB_SOURCE_DIR "/tests/golden/trajectory-v1/crystal";
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer group = {0};
    if (getenv("EBB_WRITE_GOLDEN") != NULL) {
        const struct solid s = {.side = 4, .count = 14, .boxed = true, .heat = 3, .common = 5};
        EBB_AUTO(frames_clean_up) struct frames f = make(&s);
        encode(&f, EBB_TRAJ_FAST, 0, &group);
        assert_int_equal(ebb_file_write_atomic(path, group.data, group.len, 0644, &err), 0);
        ebb_buffer_reset(&group);
    }
    assert_int_equal(ebb_file_read(path, 1 << 20, &group, &err), 0);
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    assert_int_equal(ebb_traj_decoder_open(group.data, group.len, &dec, &err), 0);
    int32_t q[3 * GOLDEN_ATOMS];
    uint64_t hash = 14695981039346656037u;
    while (ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1) {
        for (size_t i = 0; i < sizeof q; i++)
            hash = (hash ^ ((const uint8_t *)q)[i]) * 1099511628211u;
    }
    if (hash != GOLDEN_HASH)
        fail_msg("hash %" PRIx64, hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(key_frames_are_seen_from_homes_too, begin),
        cmocka_unit_test_setup(neighbours_tell_through_the_faces_of_any_box, begin),
        cmocka_unit_test_setup(a_crystal_may_lack_atoms, begin),
        cmocka_unit_test_setup(a_crystal_may_melt_drift_jump_and_shrink, begin),
        cmocka_unit_test_setup(homes_may_lie_anywhere, begin),
        cmocka_unit_test_setup(any_changed_byte_is_detected, begin),
        cmocka_unit_test_setup(the_golden_group_stays_readable, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
