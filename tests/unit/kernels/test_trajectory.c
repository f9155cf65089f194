/* Trajectory groups: what goes in comes out, within the bound or exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "frames.h"
#include "kernels/cpu.h"
#include "kernels/trajectory/trajectory.h"

#define QUANTUM 0.001

static void encode(const struct frames *f, const struct ebb_traj_options *o, struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(f->atoms, o, &err);
    assert_non_null(enc);
    for (size_t t = 0; t < f->count; t++)
        assert_int_equal(
            ebb_traj_encoder_add(enc, f->xyz + 3 * f->atoms * t, f->box + 9 * t, out, &err), 0);
    assert_int_equal(ebb_traj_encoder_flush(enc, out, &err), 0);
}

static bool within(float got, float want, double quantum)
{
    if (!isfinite(want) || fabs((double)want) >= 536870912.0 * quantum)
        return memcmp(&got, &want, sizeof got) == 0;
    double ulp = nextafterf(fabsf(want), INFINITY) - fabsf(want);
    return fabs((double)got - want) <= quantum / 2 + ulp;
}

/* Reads every group and compares; returns how many groups there were. */
static size_t check(const struct frames *f, const struct ebb_buffer *out, double quantum)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE float *xyz = ebb_alloc_array(3 * f->atoms + 1, sizeof(float));
    size_t at = 0, t = 0, groups = 0;
    for (; at < out->len; groups++) {
        struct ebb_traj_group_info info;
        assert_int_equal(ebb_traj_group_info(out->data + at, out->len - at, &info, &err), 0);
        assert_int_equal(info.atoms, f->atoms);
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
        if (ebb_traj_decoder_open(out->data + at, out->len - at, &dec, &err) != 0)
            fail_msg("%s", err.text);
        float box[9];
        int rc;
        uint32_t frames = 0;
        for (; (rc = ebb_traj_decoder_next(dec, xyz, box, &err)) == 1; t++, frames++) {
            assert_true(t < f->count);
            assert_memory_equal(box, f->box + 9 * t, sizeof box);
            for (size_t i = 0; i < 3 * f->atoms; i++)
                assert_true(within(xyz[i], f->xyz[3 * f->atoms * t + i], quantum));
        }
        if (rc < 0)
            fail_msg("%s", err.text);
        assert_int_equal(frames, info.frames);
        at += info.bytes;
    }
    assert_int_equal(t, f->count);
    return groups;
}

/* Both forms, every instruction set; the bytes do not depend on the latter. Returns the ratio of
 * the coded form. */
static double round_trip(const struct frames *f, const struct ebb_traj_options *options)
{
    double ratio = 0;
    for (int packed = 0; packed < 2; packed++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer reference = {0};
        for (int level = EBB_CPU_REFERENCE; level <= EBB_CPU_AVX512; level++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
            struct ebb_traj_options o = *options;
            o.bit_packed = packed != 0;
            ebb_cpu_level_limit((enum ebb_cpu_level)level);
            encode(f, &o, &out);
            check(f, &out, o.quantum);
            if (level == EBB_CPU_REFERENCE) {
                ebb_buffer_append(&reference, out.data, out.len);
                continue;
            }
            assert_int_equal(out.len, reference.len);
            assert_true(out.len == 0 || memcmp(out.data, reference.data, out.len) == 0);
        }
        if (!packed)
            ratio = reference.len == 0
                        ? 0
                        : 12.0 * (double)f->atoms * (double)f->count / (double)reference.len;
    }
    ebb_cpu_level_limit(EBB_CPU_AVX512);
    return ratio;
}

static const struct ebb_traj_options defaults = {.quantum = QUANTUM, .level = EBB_TRAJ_SMALL};

static void every_number_of_atoms_and_frames_comes_back(void **state)
{
    (void)state;
    for (size_t atoms = 0; atoms <= 70; atoms++) {
        for (size_t count = 0; count <= 6; count += atoms % 2 + 1) {
            EBB_AUTO(frames_clean_up) struct frames f = frames_new(atoms, count);
            set_box(&f, 2.5, 0);
            size_t molecules = atoms / 5;
            fill_water(&f, 0, molecules, 3, true);
            fill_gas(&f, 3 * molecules, atoms - 3 * molecules, 0.03, true);
            round_trip(&f, &defaults);
        }
    }
}

static void rigid_water_is_found_and_small(void **state)
{
    (void)state;
    for (unsigned sites = 3; sites <= 4; sites++) {
        for (int wrapped = 0; wrapped < 2; wrapped++) {
            EBB_AUTO(frames_clean_up) struct frames f = frames_new(2000 * sites, 12);
            set_box(&f, 3.9, 0);
            fill_water(&f, 0, 2000, sites, wrapped != 0);
            double ratio = round_trip(&f, &defaults);
            /* 0.07 nm a frame: 3 x 8.2 bits, 17.8 for the second site, 12 for the third, 3 for a
             * fourth, against 96 bits a site. */
            assert_true(ratio > (sites == 3 ? 4.9 : 6.3));
        }
    }
}

static void bonds_are_found_and_save_bytes(void **state)
{
    (void)state;
    for (int wrapped = 0; wrapped < 2; wrapped++) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(1500, 30);
        set_box(&f, 3.0, 0);
        fill_chains(&f, 0, 1500, 150, wrapped != 0);
        struct ebb_traj_options o = defaults;
        double found = round_trip(&f, &o);
        uint32_t alone[1500]; /* and without bonds */
        for (uint32_t i = 0; i < 1500; i++)
            alone[i] = i;
        o.molecule = alone;
        o.level = EBB_TRAJ_FAST;
        assert_true(found > 1.15 * round_trip(&f, &o));
    }
}

static void broken_bonds_stay_exact(void **state)
{
    (void)state;
    for (size_t atoms = 2; atoms < 300; atoms = atoms * 3 / 2 + 1) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(atoms + 30, 14);
        set_box(&f, 2.0, 0.25);
        fill_chains(&f, 0, atoms, 20, true);
        fill_water(&f, atoms, 10, 3, true);
        for (size_t k = 0; k < 40; k++) { /* after the frames that were looked at */
            size_t frame = 5 + random_bits() % 9, i = random_bits() % (3 * atoms);
            f.xyz[3 * f.atoms * frame + i] += (float)(normal() * pow(10, uniform() * 5));
        }
        f.xyz[3 * f.atoms * 7 + 1] = NAN;
        round_trip(&f, &defaults);
    }
}

static void atoms_that_fly_apart_and_back_stay_exact(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(40, 6);
    for (size_t t = 0; t < f.count; t++) {
        for (size_t i = 0; i < f.atoms; i++) {
            /* Pairs that hold, and swing from side to side 79 nm apart. */
            const double back = t % 2 == 0 ? 1 : -1, far = t == 0 ? 31.5 : 79 * back;
            put(&f, t, i,
                (double[]){far * (double)(i / 2) + 0.1 * back * (double)(i % 2), 0.001 * normal(),
                           0.001 * normal()},
                false);
        }
    }
    round_trip(&f, &defaults);
}

static void any_box_will_do(void **state)
{
    (void)state;
    const double tilts[] = {0, 0.5, -0.33, 1.0};
    for (size_t k = 0; k < EBB_ARRAY_LEN(tilts); k++) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(903, 9);
        set_box(&f, 2.1, tilts[k]);
        fill_water(&f, 0, 200, 3, true);
        fill_gas(&f, 600, 303, 0.2, true);
        for (size_t t = 0; t < f.count; t++) /* and it changes */
            f.box[9 * t] += 0.01f * (float)t;
        round_trip(&f, &defaults);
    }
    const float odd[][9] = {
        {1e30f, 0, 0, 0, 1, 0, 0, 0, 1},      {1e-9f, 0, 0, 0, 1e-9f, 0, 0, 0, 1e-9f},
        {-2, 0, 0, 0, 2, 0, 0, 0, 2},         {2, 1, 0, 0, 2, 0, 0, 0, 2},
        {NAN, 0, 0, 0, INFINITY, 0, 0, 0, 2}, {2, 0, 0, 1e20f, 2, 0, 0, 0, 2}};
    for (size_t k = 0; k < EBB_ARRAY_LEN(odd); k++) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(99, 6);
        fill_water(&f, 0, 33, 3, false);
        for (size_t t = 0; t < f.count; t++)
            memcpy(f.box + 9 * t, odd[k], sizeof odd[k]);
        round_trip(&f, &defaults);
    }
}

static void what_is_no_number_comes_back_exactly(void **state)
{
    (void)state;
    const float odd[] = {NAN,      INFINITY, -INFINITY, 1e30f,   -1e30f,     FLT_MAX,
                         536871.f, -0.0f,    FLT_MIN,   -1e-40f, 536870.875f};
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(100, 8);
    set_box(&f, 2.0, 0.2);
    fill_water(&f, 0, 30, 3, true);
    for (size_t i = 0; i < 100; i++) {
        for (size_t k = 0; k < 3; k++)
            f.xyz[random_bits() % (300 * 8)] = odd[random_bits() % EBB_ARRAY_LEN(odd)];
    }
    uint32_t payload = 0x7fa00001; /* a signalling NaN */
    memcpy(&f.xyz[5], &payload, sizeof payload);
    round_trip(&f, &defaults);
}

static void an_exploding_system_stays_exact(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(600, 20);
    set_box(&f, 2.5, 0);
    fill_water(&f, 0, 200, 3, true);
    for (size_t t = 8; t < 20; t++) {
        for (size_t i = 0; i < 1800; i++)
            f.xyz[1800 * t + i] *= (float)(1 + normal() * pow(10, (double)t - 8));
    }
    round_trip(&f, &defaults);
}

static void atoms_may_leave_and_enter_the_box(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(600, 20);
    set_box(&f, 2.5, 0.3);
    fill_water(&f, 0, 150, 3, false);
    fill_gas(&f, 450, 150, 0.5, false);
    for (size_t i = 0; i < f.atoms; i += 3) { /* some of them wrapped, in some frames */
        for (size_t t = i % 2; t < f.count; t += 2) {
            float *x = f.xyz + 3 * (t * f.atoms + i);
            put(&f, t, i, (double[]){x[0], x[1], x[2]}, true);
        }
    }
    round_trip(&f, &defaults);
}

static void a_crystal_at_rest_costs_next_to_nothing(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(8000, 10);
    set_box(&f, 20 * 0.3615, 0);
    for (size_t t = 0; t < f.count; t++) {
        for (size_t i = 0; i < f.atoms; i++)
            put(&f, t, i,
                (double[]){0.3615 * (double)(i % 20), 0.3615 * (double)(i / 20 % 20),
                           0.3615 * (double)(i / 400)},
                true);
    }
    assert_true(round_trip(&f, &defaults) > 30);
}

static void a_vibrating_crystal_is_predicted_from_its_sites(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(4000, 40);
    set_box(&f, 5.784, 0);
    for (size_t t = 0; t < f.count; t++) {
        for (size_t i = 0; i < f.atoms; i++)
            put(&f, t, i,
                (double[]){0.3615 * (double)(i % 16) + 0.01 * normal(),
                           0.3615 * (double)(i / 16 % 16) + 0.01 * normal(),
                           0.3615 * (double)(i / 256) + 0.01 * normal()},
                true);
    }
    /* 10 lattice spacings: 5.37 bits; after the frame before it would be half a bit more. */
    assert_true(round_trip(&f, &defaults) > 5.7);
}

/* As LAMMPS writes them: an atom changes sides when lists of neighbours are built, not when it
 * crosses the face. */
static void atoms_that_change_sides_at_once_are_foretold_as_before(void **state)
{
    (void)state;
    const double side = 16 * 0.3615;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(4096, 12);
    set_box(&f, side, 0);
    for (size_t t = 0; t < f.count; t++) {
        for (size_t i = 0; i < f.atoms; i++)
            put(&f, t, i,
                (double[]){0.3615 * (double)(i % 16) + 0.01 * normal(),
                           0.3615 * (double)(i / 16 % 16) + 0.01 * normal(),
                           0.3615 * (double)(i / 256) + 0.01 * normal()},
                false);
    }
    const double before = round_trip(&f, &defaults);
    const size_t n = 3 * f.atoms;
    for (size_t k = 0; k < n; k++) {
        const bool at_face = fabsf(f.xyz[k]) < 0.1f, changes = at_face && uniform() < 0.4;
        for (size_t t = 4; changes && t < f.count; t++)
            f.xyz[t * n + k] += (float)side;
    }
    assert_true(round_trip(&f, &defaults) > 0.97 * before);
}

static void what_neighbours_do_tells_of_a_site(void **state)
{
    (void)state;
    struct ebb_traj_options fast = defaults;
    fast.level = EBB_TRAJ_FAST;
    for (int boxed = 0; boxed < 2; boxed++) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(1331 + 120, 12);
        if (boxed == 1)
            set_box(&f, 2.75, 0);
        fill_solid(&f, 11, 11);
        assert_true(round_trip(&f, &defaults) > 1.07 * round_trip(&f, &fast));
    }
}

static void what_water_did_before_tells_of_its_numbers(void **state)
{
    (void)state;
    struct ebb_traj_options fast = defaults;
    fast.level = EBB_TRAJ_FAST;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(3 * 701, 40);
    set_box(&f, 3.0, 0);
    fill_slow_water(&f, 701);
    assert_true(round_trip(&f, &defaults) > 1.008 * round_trip(&f, &fast));
}

static void groups_hold_as_many_frames_as_asked(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(31, 203);
    set_box(&f, 1.5, 0);
    fill_water(&f, 0, 10, 3, true);
    fill_gas(&f, 30, 1, 0.1, true);
    for (uint32_t group = 0; group <= EBB_TRAJ_GROUP_FRAMES_MAX; group++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        struct ebb_traj_options o = defaults;
        o.group_frames = group;
        encode(&f, &o, &out);
        uint32_t frames = group == 0 ? EBB_TRAJ_GROUP_FRAMES_MAX : group;
        assert_int_equal(check(&f, &out, o.quantum), (203 + frames - 1) / frames);
    }
}

static void flushing_makes_a_group_and_appending_goes_on(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(99, 40);
    set_box(&f, 1.5, 0);
    fill_water(&f, 0, 33, 3, true);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(99, &defaults, &err);
    assert_int_equal(ebb_traj_encoder_flush(enc, &out, &err), 0);
    assert_int_equal(out.len, 0);
    for (size_t t = 0; t < f.count; t++) {
        assert_int_equal(ebb_traj_encoder_add(enc, f.xyz + 297 * t, f.box + 9 * t, &out, &err), 0);
        if (t == 0 || t == 2 || t == 9 || t == 39)
            assert_int_equal(ebb_traj_encoder_flush(enc, &out, &err), 0);
    }
    assert_int_equal(check(&f, &out, QUANTUM), 4);
}

static void whole_numbers_come_back_as_they_were(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    enum { ATOMS = 45, FRAMES = 7 };
    static int32_t q[FRAMES][3 * ATOMS];
    for (int t = 0; t < FRAMES; t++) {
        for (int i = 0; i < 3 * ATOMS; i++)
            q[t][i] = (int32_t)(t % 2 != 0 ? random_bits() : random_bits() % 1000);
    }
    q[3][4] = INT32_MIN;
    q[4][4] = INT32_MAX;
    const float box[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (int packed = 0; packed < 2; packed++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        struct ebb_traj_options o = defaults;
        o.bit_packed = packed != 0;
        EBB_AUTO(ebb_traj_encoder_destroy_ptr)
        struct ebb_traj_encoder *enc = ebb_traj_encoder_new(ATOMS, &o, &err);
        for (int t = 0; t < FRAMES; t++)
            assert_int_equal(ebb_traj_encoder_add_lattice(enc, q[t], box, &out, &err), 0);
        assert_int_equal(ebb_traj_encoder_flush(enc, &out, &err), 0);
        int t = 0;
        for (size_t at = 0; at < out.len;) {
            struct ebb_traj_group_info info;
            assert_int_equal(ebb_traj_group_info(out.data + at, out.len - at, &info, &err), 0);
            assert_int_equal(info.kind, EBB_TRAJ_LATTICE);
            EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
            assert_int_equal(ebb_traj_decoder_open(out.data + at, info.bytes, &dec, &err), 0);
            int32_t got[3 * ATOMS];
            for (; ebb_traj_decoder_next_lattice(dec, got, NULL, &err) == 1; t++)
                assert_memory_equal(got, q[t], sizeof got);
            at += info.bytes;
        }
        assert_int_equal(t, FRAMES);
    }
}

static void doubles_keep_the_bound_and_oddities(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    enum { ATOMS = 40 };
    double x[3 * ATOMS];
    for (int i = 0; i < 3 * ATOMS; i++)
        x[i] = 100 * normal();
    x[7] = NAN;
    x[8] = -1e300;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct ebb_traj_options o = defaults;
    o.quantum = 1e-5;
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(ATOMS, &o, &err);
    assert_int_equal(ebb_traj_encoder_add_f64(enc, x, NULL, &out, &err), 0);
    assert_int_equal(ebb_traj_encoder_flush(enc, &out, &err), 0);
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    assert_int_equal(ebb_traj_decoder_open(out.data, out.len, &dec, &err), 0);
    double got[3 * ATOMS];
    assert_int_equal(ebb_traj_decoder_next_f64(dec, got, NULL, &err), 1);
    for (int i = 0; i < 3 * ATOMS; i++) {
        if (i == 7 || i == 8)
            assert_memory_equal(&got[i], &x[i], sizeof x[i]);
        else
            assert_true(fabs(got[i] - x[i]) <= 0.5e-5 * (1 + 1e-9));
    }
    assert_int_equal(ebb_traj_decoder_next_f64(dec, got, NULL, &err), 0);
}

static void any_quantum_keeps_its_bound(void **state)
{
    (void)state;
    for (double quantum = 1e-7; quantum < 5; quantum *= 7) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(99, 8);
        set_box(&f, 2.5, 0);
        fill_water(&f, 0, 33, 3, true);
        struct ebb_traj_options o = defaults;
        o.quantum = quantum;
        round_trip(&f, &o);
    }
}

static void a_topology_is_believed(void **state)
{
    (void)state;
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(300, 5);
    set_box(&f, 2.5, 0);
    fill_water(&f, 0, 100, 3, true);
    uint32_t molecule[300];
    for (uint32_t i = 0; i < 300; i++)
        molecule[i] = i / 3;
    struct ebb_traj_options o = defaults;
    o.molecule = molecule;
    double told = round_trip(&f, &o);
    for (uint32_t i = 0; i < 300; i++)
        molecule[i] = i;
    assert_true(round_trip(&f, &o) < told);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    struct ebb_traj_options o = defaults;
    const double wrong[] = {0, -1, NAN, INFINITY, 5e-324};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++) {
        o.quantum = wrong[i];
        assert_null(ebb_traj_encoder_new(3, &o, &err));
        assert_int_equal(err.code, EBB_ERR_INPUT);
    }
    o = defaults;
    o.group_frames = 101;
    assert_null(ebb_traj_encoder_new(3, &o, &err));
    assert_null(ebb_traj_encoder_new((size_t)1 << 40, &defaults, &err));
}

/* A group is opened and read to the end: true when nothing was refused. */
static bool reads(const uint8_t *bytes, size_t len, size_t atoms)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    if (ebb_traj_decoder_open(bytes, len, &dec, &err) < 0) {
        assert_true(err.code == EBB_ERR_CORRUPT || err.code == EBB_ERR_UNSUPPORTED);
        return false;
    }
    EBB_AUTO_FREE float *xyz = ebb_alloc_array(3 * atoms, sizeof(float));
    int rc;
    while ((rc = ebb_traj_decoder_next(dec, xyz, NULL, &err)) == 1)
        ;
    return rc == 0;
}

static void any_changed_byte_and_any_cut_is_detected(void **state)
{
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        EBB_AUTO(frames_clean_up) struct frames f = frames_new(60, 6);
        set_box(&f, 1.5, 0);
        fill_water(&f, 0, 12, 3, true);
        fill_gas(&f, 36, 4, 0.1, true);
        fill_chains(&f, 40, 20, 20, true);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        struct ebb_traj_options o = defaults;
        o.bit_packed = packed != 0;
        encode(&f, &o, &out);
        assert_true(reads(out.data, out.len, 60));
        for (size_t i = 0; i < out.len; i++) {
            for (unsigned bit = 0; bit < 8; bit += 7) {
                out.data[i] ^= (uint8_t)(1u << bit);
                assert_false(reads(out.data, out.len, 60));
                out.data[i] ^= (uint8_t)(1u << bit);
            }
            assert_false(reads(out.data, i, 60));
        }
    }
}

/* tests/golden/trajectory-v1: a group in each form, and the whole numbers of its frames or, where
 * these are many, a hash of them. With
 * EBB_WRITE_GOLDEN set in the environment they are made anew, for a new version of the format, but
 * for what the same frames no longer make ("packed": blocks of 32 with a width each; "lattice": a
 * solid whose atoms' order now tells their homes). */
static const struct golden {
    const char *group, *numbers;
    size_t atoms;
    int level;
    bool bit_packed, written;
} goldens[] = {
    {"coded", "numbers", 147, EBB_TRAJ_FAST, false, true},
    {"packed", "numbers", 147, EBB_TRAJ_FAST, true, false},
    {"tiles", "numbers", 147, EBB_TRAJ_FAST, true, true},
    {"contexts", "numbers", 147, EBB_TRAJ_SMALL, false, true},
    {"lattice", "lattice-numbers", 343, EBB_TRAJ_SMALL, false, false},
};
#define WATER_MOLECULES 50
#define WATER_HASH      0x345abda39e8a4817u /* FNV-1a of the numbers of the group "water" */

static uint64_t fnv(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    return hash;
}

static void golden_path(char *path, size_t len, const char *name)
{
    (void)snprintf(path, len, EBB_SOURCE_DIR "/tests/golden/trajectory-v1/%s", name);
}

static void write_golden(const struct golden *g, const struct frames *f)
{
    struct ebb_error err = {0};
    char path[500];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0}, numbers = {0};
    struct ebb_traj_options o = {
        .quantum = QUANTUM, .level = g->level, .bit_packed = g->bit_packed};
    encode(f, &o, &out);
    golden_path(path, sizeof path, g->group);
    assert_int_equal(ebb_file_write_atomic(path, out.data, out.len, 0644, &err), 0);
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    assert_int_equal(ebb_traj_decoder_open(out.data, out.len, &dec, &err), 0);
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * g->atoms, sizeof *q);
    while (ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1)
        ebb_buffer_append(&numbers, q, 3 * g->atoms * sizeof *q);
    golden_path(path, sizeof path, g->numbers);
    assert_int_equal(ebb_file_write_atomic(path, numbers.data, numbers.len, 0644, &err), 0);
}

static void write_goldens(void)
{
    EBB_AUTO(frames_clean_up) struct frames f = frames_new(147, 7), solid = frames_new(343, 5);
    set_box(&f, 1.6, 0.25);
    fill_water(&f, 0, 20, 3, true);
    fill_water(&f, 60, 9, 4, true);
    fill_gas(&f, 96, 11, 0.1, true);
    fill_chains(&f, 107, 40, 20, true);
    f.xyz[3 * (147 * 5 + 8)] += 0.3f; /* a molecule breaks */
    set_box(&solid, 1.75, 0);
    fill_solid(&solid, 7, 0);
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        if (goldens[i].written)
            write_golden(&goldens[i], goldens[i].atoms == 147 ? &f : &solid);
    }
    EBB_AUTO(frames_clean_up) struct frames water = frames_new(3 * WATER_MOLECULES + 60, 70);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    char path[500];
    struct ebb_error err = {0};
    set_box(&water, 2.0, 0);
    fill_slow_water(&water, WATER_MOLECULES);
    fill_chains(&water, 3 * WATER_MOLECULES, 60, 20, true);
    encode(&water, &defaults, &out);
    golden_path(path, sizeof path, "water");
    assert_int_equal(ebb_file_write_atomic(path, out.data, out.len, 0644, &err), 0);
}

/* Long enough that its streams are worth their contexts. */
static void check_golden_water(void)
{
    struct ebb_error err = {0};
    char path[500];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer group = {0};
    golden_path(path, sizeof path, "water");
    assert_int_equal(ebb_file_read(path, 1 << 20, &group, &err), 0);
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    assert_int_equal(ebb_traj_decoder_open(group.data, group.len, &dec, &err), 0);
    int32_t q[3 * (3 * WATER_MOLECULES + 60)];
    uint64_t hash = 14695981039346656037u;
    while (ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1)
        hash = fnv(hash, q, sizeof q);
    if (hash != WATER_HASH)
        fail_msg("hash %" PRIx64, hash);
}

static void groups_of_version_1_stay_readable(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    char path[500];
    if (getenv("EBB_WRITE_GOLDEN") != NULL)
        write_goldens();
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const struct golden *g = &goldens[i];
        const size_t frame_bytes = 3 * g->atoms * sizeof(int32_t);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer group = {0}, numbers = {0};
        golden_path(path, sizeof path, g->numbers);
        assert_int_equal(ebb_file_read(path, 1 << 20, &numbers, &err), 0);
        golden_path(path, sizeof path, g->group);
        assert_int_equal(ebb_file_read(path, 1 << 20, &group, &err), 0);
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
        assert_int_equal(ebb_traj_decoder_open(group.data, group.len, &dec, &err), 0);
        EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * g->atoms, sizeof *q);
        size_t at = 0;
        for (; ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1; at += frame_bytes) {
            assert_true(at + frame_bytes <= numbers.len);
            assert_memory_equal(q, numbers.data + at, frame_bytes);
        }
        assert_int_equal(at, numbers.len);
    }
    check_golden_water();
}

static void a_group_with_more_frames_than_data_is_no_group(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    struct ebb_traj_group_info info;
    uint8_t zeros[64] = {0};
    assert_int_equal(ebb_traj_group_info(zeros, sizeof zeros, &info, &err), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_traj_group_info(zeros, 0, &info, &err), EBB_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_number_of_atoms_and_frames_comes_back, begin),
        cmocka_unit_test_setup(rigid_water_is_found_and_small, begin),
        cmocka_unit_test_setup(bonds_are_found_and_save_bytes, begin),
        cmocka_unit_test_setup(broken_bonds_stay_exact, begin),
        cmocka_unit_test_setup(atoms_that_fly_apart_and_back_stay_exact, begin),
        cmocka_unit_test_setup(any_box_will_do, begin),
        cmocka_unit_test_setup(what_is_no_number_comes_back_exactly, begin),
        cmocka_unit_test_setup(an_exploding_system_stays_exact, begin),
        cmocka_unit_test_setup(atoms_may_leave_and_enter_the_box, begin),
        cmocka_unit_test_setup(a_crystal_at_rest_costs_next_to_nothing, begin),
        cmocka_unit_test_setup(a_vibrating_crystal_is_predicted_from_its_sites, begin),
        cmocka_unit_test_setup(atoms_that_change_sides_at_once_are_foretold_as_before, begin),
        cmocka_unit_test_setup(what_neighbours_do_tells_of_a_site, begin),
        cmocka_unit_test_setup(what_water_did_before_tells_of_its_numbers, begin),
        cmocka_unit_test_setup(groups_hold_as_many_frames_as_asked, begin),
        cmocka_unit_test_setup(flushing_makes_a_group_and_appending_goes_on, begin),
        cmocka_unit_test_setup(whole_numbers_come_back_as_they_were, begin),
        cmocka_unit_test_setup(doubles_keep_the_bound_and_oddities, begin),
        cmocka_unit_test_setup(any_quantum_keeps_its_bound, begin),
        cmocka_unit_test_setup(a_topology_is_believed, begin),
        cmocka_unit_test_setup(wrong_options_are_refused, begin),
        cmocka_unit_test_setup(any_changed_byte_and_any_cut_is_detected, begin),
        cmocka_unit_test_setup(groups_of_version_1_stay_readable, begin),
        cmocka_unit_test_setup(a_group_with_more_frames_than_data_is_no_group, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
