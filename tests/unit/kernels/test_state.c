/* Restart state: every bit comes back, constraints or none; waters are found and pay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kernels/cpu.h"
#include "kernels/tensor/state.h"
#include "noise.h"

#define MOST 3000

struct system {
    size_t atoms;
    float x[3 * MOST], v[3 * MOST], frame[3 * MOST];
};

static void unit_vector(uint64_t *seed, double out[3])
{
    double length = 0;
    for (int k = 0; k < 3; k++) {
        out[k] = noise_gauss(seed);
        length += out[k] * out[k];
    }
    for (int k = 0; k < 3; k++)
        out[k] /= sqrt(length);
}

static void cross(const double a[3], const double b[3], double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

/* Velocities that turn and move a water as a whole; half a step later the bonds were the same. */
static void add_water(uint64_t *seed, struct system *s, const double box[3], double step)
{
    const double arm = 0.1, half_angle = 0.9553;
    double a[3], n[3], b[3], o[3], spin[3], drift[3];
    unit_vector(seed, a);
    unit_vector(seed, n);
    cross(a, n, b);
    double length = sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2]);
    for (int k = 0; k < 3; k++) {
        b[k] /= length;
        o[k] = noise_unit(seed) * box[k];
        spin[k] = noise_gauss(seed) * 15;
        drift[k] = noise_gauss(seed) * 0.35;
    }
    for (int atom = 0; atom < 3; atom++) {
        double r[3], moved[3], side = atom == 0 ? 0 : atom == 1 ? 1 : -1;
        for (int k = 0; k < 3; k++)
            r[k] = atom == 0 ? 0 : arm * (cos(half_angle) * a[k] + side * sin(half_angle) * b[k]);
        cross(spin, r, moved);
        /* A turn by `step` about `spin`, exactly (Rodrigues), as a difference over the step. */
        double w = sqrt(spin[0] * spin[0] + spin[1] * spin[1] + spin[2] * spin[2]), dot = 0;
        for (int k = 0; k < 3; k++)
            dot += spin[k] / w * r[k];
        for (int k = 0; k < 3; k++) {
            double before = r[k] * cos(w * step) - moved[k] / w * sin(w * step) +
                            spin[k] / w * dot * (1 - cos(w * step));
            double speed = step > 0 ? (r[k] - before) / step : moved[k];
            double at = o[k] + r[k];
            at -= at >= box[k] ? box[k] : at < 0 ? -box[k] : 0;
            s->x[3 * s->atoms + (size_t)k] = (float)at;
            s->v[3 * s->atoms + (size_t)k] = (float)(drift[k] + speed);
        }
        s->atoms++;
    }
}

static void add_free(uint64_t *seed, struct system *s)
{
    for (size_t k = 0; k < 3; k++) {
        s->x[3 * s->atoms + k] = (float)(noise_unit(seed) * 3);
        s->v[3 * s->atoms + k] = (float)(noise_gauss(seed) * 0.3);
    }
    s->atoms++;
}

static void set_frame(struct system *s)
{
    for (size_t i = 0; i < 3 * s->atoms; i++)
        s->frame[i] = (float)(nearbyint((double)s->x[i] / 0.001) * 0.001);
}

static const double box_of_three[3] = {3, 3, 3};

static struct system *water_box(uint64_t seed, size_t solute, size_t waters, double step)
{
    struct system *s = calloc(1, sizeof *s);
    for (size_t i = 0; i < solute; i++)
        add_free(&seed, s);
    for (size_t i = 0; i < waters; i++)
        add_water(&seed, s, box_of_three, step);
    add_free(&seed, s);
    set_frame(s);
    return s;
}

/* Round trip at each instruction set; returns the bytes, and what the head says. */
static size_t check(const struct ebb_state_input *in, struct ebb_state_info *ret)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0}, again = {0};
    struct ebb_error err = {0};
    size_t bytes = 3 * in->atoms * ebb_dtype_size(in->dtype);
    EBB_AUTO_FREE uint8_t *x = malloc(bytes + 1), *v = malloc(bytes + 1);
    ebb_cpu_level_limit(EBB_CPU_REFERENCE);
    assert_int_equal(ebb_state_encode(in, &blob, &err), 0);
    assert_int_equal(ebb_state_read_info(blob.data, blob.len, ret, &err), 0);
    for (int cpu = EBB_CPU_REFERENCE; cpu <= EBB_CPU_AVX512; cpu++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)cpu);
        ebb_buffer_reset(&again);
        assert_int_equal(ebb_state_encode(in, &again, &err), 0);
        assert_int_equal(again.len, blob.len);
        assert_memory_equal(again.data, blob.data, blob.len);
        x[bytes] = v[bytes] = 0xA5;
        int rc = ebb_state_decode(blob.data, blob.len, in->frame, in->atoms, x,
                                  in->v != NULL ? v : NULL, &err);
        if (rc < 0)
            fail_msg("%s", err.text);
        assert_memory_equal(x, in->x, bytes);
        if (in->v != NULL)
            assert_memory_equal(v, in->v, bytes);
        assert_true(x[bytes] == 0xA5 && v[bytes] == 0xA5);
    }
    return blob.len;
}

static struct ebb_state_input input_of(const struct system *s, bool with_v, bool with_frame)
{
    return (struct ebb_state_input){.atoms = s->atoms,
                                    .x = s->x,
                                    .v = with_v ? s->v : NULL,
                                    .dtype = EBB_DTYPE_F32,
                                    .box = {3, 3, 3},
                                    .frame = with_frame ? s->frame : NULL};
}

static void constraints_of_water_are_found_and_pay(void **state)
{
    (void)state;
    EBB_AUTO_FREE struct system *s = water_box(1, 30, 900, 0.002);
    struct ebb_state_info info;
    struct ebb_state_input in = input_of(s, true, false);
    double raw = 24.0 * (double)s->atoms;
    size_t alone = check(&in, &info);
    assert_int_equal(info.waters, 900);
    assert_true(fabs(info.step - 0.002) < 1e-9);
    assert_true(raw / (double)alone > 1.5);
    in = input_of(s, true, true);
    size_t over = check(&in, &info);
    assert_true(info.needs_frame);
    assert_true(raw / (double)over > 1.8);
    in = input_of(s, false, true);
    assert_true(raw / 2 / (double)check(&in, &info) > 2.7);
}

static void velocities_of_the_same_time_are_derived_too(void **state)
{
    (void)state;
    EBB_AUTO_FREE struct system *s = water_box(2, 0, 900, 0);
    struct ebb_state_info info;
    struct ebb_state_input in = input_of(s, true, false);
    double raw = 24.0 * (double)s->atoms;
    size_t derived = check(&in, &info);
    assert_true(info.step == 0);
    assert_true(raw / (double)derived > 1.5);
}

static void atoms_without_constraints_come_back(void **state)
{
    (void)state;
    uint64_t seed = 3;
    EBB_AUTO_FREE struct system *s = calloc(1, sizeof *s);
    struct ebb_state_info info;
    for (size_t n = 0; n < 40; n++) {
        for (int how = 0; how < 4; how++) {
            set_frame(s);
            struct ebb_state_input in = input_of(s, how & 1, how & 2);
            check(&in, &info);
            assert_int_equal(info.waters, 0);
        }
        add_free(&seed, s);
    }
}

static void waters_and_others_in_any_order_come_back(void **state)
{
    (void)state;
    uint64_t seed = 4;
    for (unsigned round = 0; round < 20; round++) {
        EBB_AUTO_FREE struct system *s = calloc(1, sizeof *s);
        while (s->atoms < 300) {
            if (noise_next(&seed) >> 62 == 0)
                add_free(&seed, s);
            else
                add_water(&seed, s, box_of_three, 0.002);
        }
        set_frame(s);
        struct ebb_state_info info;
        struct ebb_state_input in = input_of(s, true, round & 1);
        if (round & 2)
            in.box[1] = 0; /* some molecules are not whole then */
        check(&in, &info);
        assert_true(info.waters > 20);
    }
}

static void any_bits_come_back_whatever_they_pretend(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct ebb_state_info info;
    for (unsigned round = 0; round < 30; round++) {
        EBB_AUTO_FREE struct system *s = water_box(seed, 5, 60, 0.002);
        uint32_t *words = (uint32_t *)s->x, *speeds = (uint32_t *)s->v;
        static const uint32_t odd[] = {0x7fc00001, 0xffc12345, 0x7f800000, 0xff800000,
                                       0x80000000, 0,          1,          0x807fffff};
        for (unsigned k = 0; k < 30; k++) {
            words[noise_next(&seed) % (3 * s->atoms)] = odd[noise_next(&seed) % 8];
            speeds[noise_next(&seed) % (3 * s->atoms)] = odd[noise_next(&seed) % 8];
            ((uint32_t *)s->frame)[noise_next(&seed) % (3 * s->atoms)] = odd[noise_next(&seed) % 8];
        }
        struct ebb_state_input in = input_of(s, true, round & 1);
        check(&in, &info);
        in.big_endian = true; /* the same bytes mean other numbers */
        check(&in, &info);
        noise_bytes(&seed, s->x, sizeof s->x);
        noise_bytes(&seed, s->v, sizeof s->v);
        check(&in, &info);
        in.dtype = EBB_DTYPE_F64;
        in.atoms /= 2;
        check(&in, &info);
    }
}

static void double_precision_is_refined_and_derived(void **state)
{
    (void)state;
    EBB_AUTO_FREE struct system *s = water_box(6, 10, 300, 0.002);
    EBB_AUTO_FREE double *x = calloc(3 * s->atoms, sizeof *x), *v = calloc(3 * s->atoms, sizeof *v);
    uint64_t seed = 7;
    for (size_t i = 0; i < 3 * s->atoms; i++) {
        x[i] = (double)s->x[i] + noise_unit(&seed) * 1e-9;
        v[i] = (double)s->v[i] + noise_unit(&seed) * 1e-9;
    }
    struct ebb_state_input in = {
        .atoms = s->atoms, .x = x, .v = v, .dtype = EBB_DTYPE_F64, .box = {3, 3, 3}};
    struct ebb_state_info info;
    size_t alone = check(&in, &info);
    assert_int_equal(info.waters, 300);
    in.frame = s->frame;
    assert_true(check(&in, &info) < alone);
}

static void a_frame_of_another_step_is_not_used(void **state)
{
    (void)state;
    EBB_AUTO_FREE struct system *s = water_box(8, 10, 100, 0.002);
    EBB_AUTO_FREE struct system *other = water_box(9, 10, 100, 0.002);
    struct ebb_state_input in = input_of(s, true, false);
    in.frame = other->frame;
    struct ebb_state_info info;
    check(&in, &info);
    assert_false(info.needs_frame);
}

static void every_flip_cut_and_wrong_frame_is_found(void **state)
{
    (void)state;
    EBB_AUTO_FREE struct system *s = water_box(10, 5, 40, 0.002);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    struct ebb_state_input in = input_of(s, true, true);
    EBB_AUTO_FREE struct system *out = calloc(1, sizeof *out);
    assert_int_equal(ebb_state_encode(&in, &blob, NULL), 0);
    for (size_t i = 0; i < blob.len; i++) {
        blob.data[i] ^= (uint8_t)(1U << i % 8);
        assert_true(
            ebb_state_decode(blob.data, blob.len, s->frame, s->atoms, out->x, out->v, NULL) < 0);
        blob.data[i] ^= (uint8_t)(1U << i % 8);
        assert_true(ebb_state_decode(blob.data, i, s->frame, s->atoms, out->x, out->v, NULL) < 0);
    }
    assert_true(ebb_state_decode(blob.data, blob.len, NULL, s->atoms, out->x, out->v, NULL) < 0);
    assert_true(ebb_state_decode(blob.data, blob.len, s->frame, s->atoms, out->x, NULL, NULL) < 0);
    assert_true(
        ebb_state_decode(blob.data, blob.len, s->frame, s->atoms - 1, out->x, out->v, NULL) < 0);
    s->frame[100] += 0.001f;
    assert_true(ebb_state_decode(blob.data, blob.len, s->frame, s->atoms, out->x, out->v, NULL) <
                0);
}

static void blocks_end_where_molecules_do(void **state)
{
    (void)state;
    enum { ATOMS = 70001 };
    EBB_AUTO_FREE float *x = malloc(12 * ATOMS), *v = malloc(12 * ATOMS);
    EBB_AUTO_FREE struct system *part = calloc(1, sizeof *part);
    uint64_t seed = 11;
    size_t n = 0;
    while (n < ATOMS) {
        part->atoms = 0;
        if (n < 2 || ATOMS - n < 3)
            add_free(&seed, part);
        else
            add_water(&seed, part, box_of_three, 0.002);
        memcpy(x + 3 * n, part->x, 12 * part->atoms);
        memcpy(v + 3 * n, part->v, 12 * part->atoms);
        n += part->atoms;
    }
    struct ebb_state_input in = {
        .atoms = n, .x = x, .v = v, .dtype = EBB_DTYPE_F32, .box = {3, 3, 3}};
    struct ebb_state_info info;
    assert_true(24.0 * ATOMS / (double)check(&in, &info) > 1.5);
}

/* ---- blobs of every version stay readable: tests/golden/state-v<version> ----
 *
 * NAME.blob, and NAME.numbers: the positions, the velocities where there are any, and the frame
 * where one is needed. With EBB_GOLDEN_WRITE=tests/golden/state-v<version> set in the environment
 * they are made anew, for a new version of the format; those committed are never rewritten. */

static const char *const golden_names[] = {"water",      "same-time", "mixed",
                                           "over-frame", "positions", "double"};

static void golden_path(char *out, size_t len, const char *folder, const char *name,
                        const char *suffix)
{
    (void)snprintf(out, len, "%s/%s.%s", folder, name, suffix);
}

static void write_golden(const char *folder, size_t which)
{
    EBB_AUTO_FREE struct system *s =
        water_box(40 + which, which == 2 ? 40 : 3, 40, which == 1 ? 0 : 0.002);
    EBB_AUTO_FREE double *wide = calloc(6 * s->atoms, sizeof *wide);
    struct ebb_state_input in = input_of(s, which != 4, which == 3 || which == 4);
    uint64_t seed = 1;
    in.big_endian = false;
    if (which == 5) {
        for (size_t i = 0; i < 3 * s->atoms; i++) {
            wide[i] = (double)s->x[i] + noise_unit(&seed) * 1e-9;
            wide[3 * s->atoms + i] = (double)s->v[i] + noise_unit(&seed) * 1e-9;
        }
        in.x = wide;
        in.v = wide + 3 * s->atoms;
        in.dtype = EBB_DTYPE_F64;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0}, numbers = {0};
    assert_int_equal(ebb_state_encode(&in, &blob, NULL), 0);
    size_t bytes = 3 * in.atoms * ebb_dtype_size(in.dtype);
    ebb_buffer_append(&numbers, in.x, bytes);
    if (in.v != NULL)
        ebb_buffer_append(&numbers, in.v, bytes);
    if (in.frame != NULL)
        ebb_buffer_append(&numbers, in.frame, 12 * in.atoms);
    char path[512];
    golden_path(path, sizeof path, folder, golden_names[which], "blob");
    assert_int_equal(ebb_file_write_atomic(path, blob.data, blob.len, 0644, NULL), 0);
    golden_path(path, sizeof path, folder, golden_names[which], "numbers");
    assert_int_equal(ebb_file_write_atomic(path, numbers.data, numbers.len, 0644, NULL), 0);
}

static void check_golden(const char *folder, const char *name)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0}, numbers = {0};
    char path[512];
    golden_path(path, sizeof path, folder, name, "blob");
    assert_int_equal(ebb_file_read(path, 1u << 20, &blob, NULL), 0);
    golden_path(path, sizeof path, folder, name, "numbers");
    assert_int_equal(ebb_file_read(path, 1u << 20, &numbers, NULL), 0);
    struct ebb_state_info info;
    assert_int_equal(ebb_state_read_info(blob.data, blob.len, &info, NULL), 0);
    size_t bytes = 3 * info.atoms * ebb_dtype_size(info.dtype),
           motion = info.has_v ? 2 * bytes : bytes;
    assert_int_equal(numbers.len, motion + (info.needs_frame ? 12 * info.atoms : 0));
    EBB_AUTO_FREE uint8_t *x = malloc(motion);
    struct ebb_error err = {0};
    for (int cpu = EBB_CPU_REFERENCE; cpu <= EBB_CPU_AVX512; cpu++) {
        ebb_cpu_level_limit((enum ebb_cpu_level)cpu);
        const float *frame = (const float *)(const void *)(numbers.data + motion);
        if (ebb_state_decode(blob.data, blob.len, info.needs_frame ? frame : NULL, info.atoms, x,
                             info.has_v ? x + bytes : NULL, &err) < 0)
            fail_msg("%s/%s: %s", folder, name, err.text);
        assert_memory_equal(x, numbers.data, motion);
    }
}

static void blobs_of_every_version_come_back(void **state)
{
    (void)state;
    const char *write_to = getenv("EBB_GOLDEN_WRITE");
    for (size_t i = 0; i < sizeof golden_names / sizeof *golden_names; i++) {
        if (write_to != NULL)
            write_golden(write_to, i);
        check_golden(EBB_SOURCE_DIR "/tests/golden/state-v1", golden_names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constraints_of_water_are_found_and_pay),
        cmocka_unit_test(velocities_of_the_same_time_are_derived_too),
        cmocka_unit_test(atoms_without_constraints_come_back),
        cmocka_unit_test(waters_and_others_in_any_order_come_back),
        cmocka_unit_test(any_bits_come_back_whatever_they_pretend),
        cmocka_unit_test(double_precision_is_refined_and_derived),
        cmocka_unit_test(a_frame_of_another_step_is_not_used),
        cmocka_unit_test(every_flip_cut_and_wrong_frame_is_found),
        cmocka_unit_test(blocks_end_where_molecules_do),
        cmocka_unit_test(blobs_of_every_version_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
