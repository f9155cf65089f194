/* Trajectories packed and unpacked by the device kernels: the bytes of the reference, groups that
 * the decoder in plain C reads, and its groups read back. Built twice, as test_device.c is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/buffer.h"
#include "kernels/trajectory/pieces.h"
#include "kernels/trajectory/pieces_layout.h"
#include "memory.h"

EBB_DEFINE_AUTO_PTR(auto_device, void, device_free)
#define DEVICE EBB_AUTO(auto_device)

static uint64_t seed = 88172645463325252ull;

static double next(void) /* -1..1 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 4503599627370496.0 - 1.0;
}

/* A system of rigid molecules and free atoms that move. */
struct scene {
    const char *name;
    size_t waters, gas;
    unsigned sites; /* of a molecule */
    float box[9];
    bool inside; /* kept inside the box */
    bool whole;  /* and molecules are not torn by it */
    bool odd;    /* NaN, infinities and what is far off turn up */
    bool lost;   /* frame 9 has nothing to do with those before */
};

struct body {
    double x[3], v[3], angle, spin, axis[3];
};

struct system {
    const struct scene *scene;
    size_t atoms;
    struct body *bodies;
    float *xyz;
    uint32_t frame;
};

static void system_init(struct system *s, const struct scene *scene)
{
    const size_t count = scene->waters + scene->gas;
    *s = (struct system){.scene = scene, .atoms = scene->waters * scene->sites + scene->gas};
    s->bodies = ebb_alloc_array(count + 1, sizeof *s->bodies);
    s->xyz = ebb_alloc_array(3 * s->atoms + 1, sizeof *s->xyz);
    for (size_t i = 0; i < count; i++) {
        struct body *b = &s->bodies[i];
        for (unsigned k = 0; k < 3; k++) {
            b->x[k] = 1.5 + 1.5 * next();
            b->v[k] = 0.004 * next();
            b->axis[k] = next();
        }
        b->angle = 3 * next();
        b->spin = 0.05 * next();
        double length =
            sqrt(b->axis[0] * b->axis[0] + b->axis[1] * b->axis[1] + b->axis[2] * b->axis[2]) +
            1e-9;
        for (unsigned k = 0; k < 3; k++)
            b->axis[k] /= length;
    }
}

static void system_clean_up(struct system *s)
{
    free(s->bodies);
    free(s->xyz);
}

/* Rodrigues' rotation. */
static void turn(const struct body *b, const double from[3], double to[3])
{
    const double *u = b->axis, c = cos(b->angle), s = sin(b->angle);
    const double dot = u[0] * from[0] + u[1] * from[1] + u[2] * from[2];
    const double cross[3] = {u[1] * from[2] - u[2] * from[1], u[2] * from[0] - u[0] * from[2],
                             u[0] * from[1] - u[1] * from[0]};
    for (unsigned k = 0; k < 3; k++)
        to[k] = from[k] * c + cross[k] * s + u[k] * dot * (1 - c);
}

/* x, by as many box vectors as take `inside` into the box. */
static void put_atom(const struct system *s, const double x[3], const double inside[3], float *out)
{
    const float *box = s->scene->box;
    double r[3] = {x[0], x[1], x[2]}, in[3] = {inside[0], inside[1], inside[2]};
    for (int row = 2; row >= 0 && s->scene->inside; row--) {
        const double turns = floor(in[row] / (double)box[4 * row]);
        for (int k = 0; k <= row; k++) {
            in[k] -= turns * (double)box[3 * row + k];
            r[k] -= turns * (double)box[3 * row + k];
        }
    }
    for (unsigned k = 0; k < 3; k++)
        out[k] = (float)r[k];
}

static void system_step(struct system *s)
{
    static const double offsets[4][3] = {
        {0, 0, 0}, {0.0757, 0.0586, 0}, {-0.0757, 0.0586, 0}, {0, 0.0155, 0}};
    const struct scene *scene = s->scene;
    float *out = s->xyz;
    for (size_t i = 0; i < scene->waters + scene->gas; i++) {
        struct body *b = &s->bodies[i];
        const bool lost = scene->lost && s->frame == 9;
        for (unsigned k = 0; k < 3; k++) {
            b->v[k] += 0.0008 * next();
            b->x[k] += lost ? next() : b->v[k];
        }
        b->angle += lost ? next() : b->spin;
        const unsigned atoms = i < scene->waters ? scene->sites : 1;
        for (unsigned a = 0; a < atoms; a++, out += 3) {
            double r[3];
            turn(b, offsets[a], r);
            for (unsigned k = 0; k < 3; k++)
                r[k] += b->x[k];
            put_atom(s, r, scene->whole ? b->x : r, out);
        }
    }
    if (scene->odd && s->frame > 0 && s->atoms > 20) {
        const float odd[4] = {NAN, INFINITY, -INFINITY, 1e30f};
        s->xyz[(7 * s->frame) % (3 * s->atoms)] = odd[s->frame % 4];
        s->xyz[3 * (s->atoms - 2)] = odd[(s->frame + 1) % 4];
        if (s->frame % 2 == 0)
            s->xyz[3 * (s->atoms / 2) + 1] = 40.0f * (float)s->frame;
    }
    s->frame++;
}

#define CUBE                                                                                       \
    {                                                                                              \
        3, 0, 0, 0, 3, 0, 0, 0, 3                                                                  \
    }
#define TRICLINIC                                                                                  \
    {                                                                                              \
        3, 0, 0, 0.5f, 2.8f, 0, -1, 0.75f, 2.5f                                                    \
    }
static const struct scene scenes[] = {
    {"odd coordinates", 60, 40, 3, CUBE, .inside = true, .odd = true},
    {"one atom", 0, 1, 3, {0}, .inside = false},
    {"31 free atoms", 0, 31, 3, {0}, .inside = false},
    {"free gas in a box", 0, 700, 3, CUBE, .inside = true},
    {"three sites and ions", 150, 37, 3, CUBE, .inside = true},
    {"four sites", 141, 3, 4, CUBE, .inside = true},
    {"three sites, triclinic", 97, 5, 3, TRICLINIC, .inside = true},
    {"three sites, whole", 120, 9, 3, TRICLINIC, .inside = true, .whole = true},
    {"three sites, unwrapped", 85, 0, 3, CUBE, .inside = false},
    {"more than a tile", 530, 300, 3, CUBE, .inside = true},
    {"a jump", 50, 20, 3, CUBE, .lost = true},
};
#define SCENES  (sizeof scenes / sizeof *scenes)
#define QUANTUM 0.001
#define FRAMES  14

/* Memory of a device for one plan. */
struct device {
    struct ebb_kernels_trajectory plan;
    size_t state_bytes, workspace_bytes, bound;
    void *state, *workspace, *piece;
    float *xyz;
};

static void device_init(struct device *d, const struct ebb_kernels_trajectory *plan)
{
    d->plan = *plan;
    d->state_bytes = ebb_kernels_trajectory_state(plan);
    d->workspace_bytes = ebb_kernels_trajectory_workspace(plan);
    d->bound = ebb_kernels_trajectory_bound(plan);
    d->state = device_alloc(d->state_bytes);
    d->workspace = device_alloc(d->workspace_bytes);
    d->piece = device_alloc(d->bound);
    d->xyz = device_alloc(12 * (size_t)plan->atoms);
    memset(d->piece, 0xa5, d->bound);
    memset(d->workspace, 0x5a, d->workspace_bytes);
}

static void device_clean_up(struct device *d)
{
    device_free(d->state);
    device_free(d->workspace);
    device_free(d->piece);
    device_free(d->xyz);
    memset(d, 0, sizeof *d);
}

static int by_atom(const void *p, const void *q) /* of any list: its first word */
{
    uint32_t a, b;
    memcpy(&a, p, sizeof a);
    memcpy(&b, q, sizeof b);
    return a < b ? -1 : a > b;
}

/* The lists of a piece: where, and how many items of how many bytes; those of which there are more
 * than a piece has room for are empty, as it is free which of them are told. */
struct list {
    size_t at, count, each;
};

static void find_lists(const struct ebb_kernels_trajectory *plan, const uint8_t *piece,
                       struct list ret[3])
{
    struct ebb_piece_layout l;
    struct ebb_piece_header h;
    ebb_piece_layout(plan, &l);
    memcpy(&h, piece, sizeof h);
    const uint32_t counts[3] = {h.misses, h.odd, h.images};
    size_t at = (size_t)ebb_piece_lists(&l, h.words);
    for (unsigned k = 0; k < 3; k++) {
        const size_t each = k < 2 ? 16 : 4;
        ret[k] = (struct list){at, counts[k] <= l.list_limit ? counts[k] : 0, each};
        at += each * (size_t)ebb_piece_within(counts[k], l.list_limit);
    }
}

static size_t piece_bytes(const void *piece)
{
    uint64_t bytes;
    memcpy(&bytes, piece, sizeof bytes);
    return (size_t)bytes;
}

static uint32_t lists_seen[3]; /* misses, odd atoms, images */

/* One frame by the device and by the reference: the same piece, the same state after it. */
static void pack_both(struct device *d, const struct ebb_kernels_trajectory_frame *frame,
                      const float *xyz)
{
    EBB_AUTO_FREE void *state = ebb_alloc(d->state_bytes), *piece = ebb_alloc(d->bound);
    memcpy(state, d->state, d->state_bytes);
    memcpy(d->xyz, xyz, 12 * (size_t)d->plan.atoms);
    assert_true(ebb_traj_piece_pack(&d->plan, frame, xyz, state, piece));
    assert_int_equal(ebb_kernels_trajectory_pack(&d->plan, frame, d->xyz, d->state, d->piece,
                                                 d->workspace, d->workspace_bytes, NULL),
                     0);
    device_wait();
    assert_int_equal(piece_bytes(d->piece), piece_bytes(piece));
    struct ebb_piece_layout l;
    struct ebb_piece_header h;
    ebb_piece_layout(&d->plan, &l);
    memcpy(&h, piece, sizeof h);
    lists_seen[0] += h.misses;
    lists_seen[1] += h.odd;
    lists_seen[2] += h.images;
    assert_memory_equal(d->piece, piece, (size_t)ebb_piece_lists(&l, h.words));
    struct list lists[3];
    find_lists(&d->plan, piece, lists);
    for (unsigned k = 0; k < 3; k++) {
        uint8_t *got = (uint8_t *)d->piece + lists[k].at;
        qsort(got, lists[k].count, lists[k].each, by_atom);
        if (lists[k].count > 0)
            assert_memory_equal(got, (uint8_t *)piece + lists[k].at,
                                lists[k].count * lists[k].each);
    }
    assert_memory_equal(d->state, state, d->state_bytes);
}

static struct ebb_traj_encoder *encoder(size_t atoms)
{
    const struct ebb_traj_options o = {
        .quantum = QUANTUM, .group_frames = 11, .bit_packed = true, .rigid_only = true};
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(atoms, &o, NULL);
    assert_non_null(enc);
    return enc;
}

static void put_frame(struct ebb_traj_encoder *enc, struct device *d, const struct system *s,
                      struct ebb_buffer *groups, unsigned *pieces)
{
    struct ebb_error err = {0};
    if (!ebb_traj_encoder_takes_pieces(enc)) {
        device_clean_up(d);
        assert_int_equal(ebb_traj_encoder_add(enc, s->xyz, s->scene->box, groups, &err), 0);
        return;
    }
    struct ebb_kernels_trajectory_frame frame;
    if (d->state == NULL) {
        struct ebb_kernels_trajectory plan;
        ebb_traj_encoder_plan(enc, &plan);
        const struct scene *scene = s->scene;
        if (scene->waters > 0 && !scene->odd)
            assert_int_equal(plan.part[0].atoms_each * plan.part[0].sites,
                             scene->waters * scene->sites);
        device_init(d, &plan);
        ebb_traj_encoder_state(enc, d->state);
    }
    ebb_traj_encoder_next_frame(enc, s->scene->box, &frame);
    pack_both(d, &frame, s->xyz);
    int rc = ebb_traj_encoder_add_piece(enc, d->piece, piece_bytes(d->piece), s->scene->box, groups,
                                        &err);
    if (rc == 1) {
        assert_true(s->scene->lost);
        rc = ebb_traj_encoder_add(enc, s->xyz, s->scene->box, groups, &err);
    } else {
        ++*pieces;
    }
    assert_int_equal(rc, 0);
}

static void check_coordinates(const float *got, const float *expected, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        bool odd = false;
        for (size_t k = i; k < i + 3; k++)
            odd |= !(fabs((double)expected[k]) < QUANTUM * 536870912.0);
        for (size_t k = i; k < i + 3; k++) {
            if (odd)
                assert_memory_equal(got + k, expected + k, sizeof *got);
            else if (!(fabs((double)got[k] - (double)expected[k]) <=
                       QUANTUM / 2 + fabs((double)expected[k]) * 1.2e-7))
                fail_msg("%zu: %.9g is not %.9g", k, (double)got[k], (double)expected[k]);
        }
    }
}

/* Groups by the plain decoder, and by the device from the key frame on: the same floats. */
static void read_groups(const struct ebb_buffer *groups, const float *truth, size_t atoms)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE float *plain = ebb_alloc_array(3 * atoms + 1, sizeof *plain);
    EBB_AUTO_FREE float *key = ebb_alloc_array(3 * atoms + 1, sizeof *key);
    unsigned frames = 0;
    for (size_t at = 0; at < groups->len;) {
        struct ebb_traj_group_info info;
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL, *other = NULL;
        assert_int_equal(ebb_traj_group_info(groups->data + at, groups->len - at, &info, &err), 0);
        assert_int_equal(ebb_traj_decoder_open(groups->data + at, info.bytes, &dec, &err), 0);
        assert_int_equal(ebb_traj_decoder_open(groups->data + at, info.bytes, &other, &err), 0);
        struct ebb_kernels_trajectory plan;
        struct device d;
        assert_int_equal(ebb_traj_decoder_plan(other, &plan, &err), 0);
        device_init(&d, &plan);
        assert_int_equal(ebb_traj_decoder_next(other, key, NULL, &err), 1);
        assert_int_equal(ebb_traj_decoder_state(other, d.state, &err), 0);
        for (uint32_t f = 0; f < info.frames; f++, truth += 3 * atoms, frames++) {
            assert_int_equal(ebb_traj_decoder_next(dec, plain, NULL, &err), 1);
            check_coordinates(plain, truth, 3 * atoms);
            if (f == 0)
                continue;
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer piece = {0};
            struct ebb_kernels_trajectory_frame frame;
            assert_int_equal(ebb_traj_decoder_next_piece(other, &piece, &frame, &err), 1);
            DEVICE void *in = device_alloc(piece.len);
            memcpy(in, piece.data, piece.len);
            assert_int_equal(ebb_kernels_trajectory_unpack(&plan, &frame, in, piece.len, d.state,
                                                           d.xyz, d.workspace, d.workspace_bytes,
                                                           NULL),
                             0);
            device_wait();
            assert_memory_equal(d.xyz, plain, 3 * atoms * sizeof *plain);
        }
        struct ebb_buffer none = {0};
        struct ebb_kernels_trajectory_frame frame;
        assert_int_equal(ebb_traj_decoder_next_piece(other, &none, &frame, &err), 0);
        assert_int_equal(ebb_traj_decoder_next(other, plain, NULL, &err), EBB_ERR_INPUT);
        device_clean_up(&d);
        at += info.bytes;
    }
    assert_int_equal(frames, FRAMES);
}

static void check_scene(const struct scene *scene)
{
    struct system s;
    struct device d = {0};
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer groups = {0};
    unsigned pieces = 0;
    system_init(&s, scene);
    EBB_AUTO(ebb_traj_encoder_destroy_ptr) struct ebb_traj_encoder *enc = encoder(s.atoms);
    EBB_AUTO_FREE float *truth = ebb_alloc_array(3 * s.atoms * FRAMES + 1, sizeof *truth);
    for (unsigned f = 0; f < FRAMES; f++) {
        system_step(&s);
        memcpy(truth + 3 * s.atoms * f, s.xyz, 3 * s.atoms * sizeof *truth);
        put_frame(enc, &d, &s, &groups, &pieces);
    }
    assert_int_equal(ebb_traj_encoder_flush(enc, &groups, &err), 0);
    assert_in_range(pieces, 5, FRAMES - 4);
    read_groups(&groups, truth, s.atoms);
    device_clean_up(&d);
    system_clean_up(&s);
}

static void groups_of_packed_frames_are_read_by_every_decoder(void **state)
{
    (void)state;
    for (size_t k = 0; k < SCENES; k++)
        check_scene(&scenes[k]);

    assert_true(lists_seen[0] > 5 && lists_seen[1] > 5 && lists_seen[2] > 5);
}

static void groups_of_the_plain_encoder_are_unpacked_by_the_device(void **state)
{
    (void)state;
    for (size_t k = 0; k < SCENES; k++) {
        struct system s;
        struct ebb_error err = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer groups = {0};
        system_init(&s, &scenes[k]);
        EBB_AUTO(ebb_traj_encoder_destroy_ptr) struct ebb_traj_encoder *enc = encoder(s.atoms);
        EBB_AUTO_FREE float *truth = ebb_alloc_array(3 * s.atoms * FRAMES + 1, sizeof *truth);
        for (unsigned f = 0; f < FRAMES; f++) {
            system_step(&s);
            memcpy(truth + 3 * s.atoms * f, s.xyz, 3 * s.atoms * sizeof *truth);
            assert_int_equal(ebb_traj_encoder_add(enc, s.xyz, s.scene->box, &groups, &err), 0);
        }
        assert_int_equal(ebb_traj_encoder_flush(enc, &groups, &err), 0);
        read_groups(&groups, truth, s.atoms);
        system_clean_up(&s);
    }
}

/* A plan and a state of any kind, as no encoder would make them: numbers of any size. */
static void pieces_of_noise_equal_the_reference(void **state)
{
    (void)state;
    const uint32_t images = lists_seen[2];
    for (uint32_t n = 1; n < 80; n += 13) {
        const struct ebb_kernels_trajectory plan = {
            .atoms = 8 * (uint64_t)n + 1,
            .quantum = QUANTUM,
            .parts = 3,
            .part = {{n, 3, 9600, 9500, -2100, 0, 0},
                     {n, 4, 9600, 9500, -2100, 0.2f, 0.3f},
                     {n + 1, 1, 0, 0, 0, 0, 0}},
        };
        struct device d, e;
        struct ebb_kernels_trajectory_frame frame = {
            .before = n, .inside = n % 2, .box = {3, 0, 0, 1, 2.5f, 0, -1, 0.5f, 2}};
        struct ebb_piece_layout l;
        ebb_piece_layout(&plan, &l);
        device_init(&d, &plan);
        device_init(&e, &plan);
        int32_t *words = d.state;
        for (uint64_t i = 0; i < l.state_words; i++)
            words[i] = (int32_t)(next() * (i % 5 == 0 ? 2147483647.0 : 3000.0));
        for (uint32_t p = 0, atom = 0; p < 3; p++) {
            for (uint32_t i = 0; i < plan.part[p].sites; i++, atom += plan.part[p].atoms_each) {
                words[l.part[p].first + i] = (int32_t)atom;
                for (uint32_t k = 0; k < plan.part[p].atoms_each; k++)
                    words[l.place + atom + k] =
                        (int32_t)ebb_piece_q(&l.part[p], plan.part[p].atoms_each, i, k);
            }
            frame.weights[p].last = (int8_t)(60 - 20 * (int)p);
            frame.weights[p].mean = (int8_t)(20 * (int)p - 30);
            frame.weights[p].sphere = (uint8_t)(120 + p);
            frame.weights[p].circle = (uint8_t)(100 - p);
        }
        EBB_AUTO_FREE float *xyz = ebb_alloc_array(3 * (size_t)plan.atoms, sizeof *xyz);
        for (size_t i = 0; i < 3 * plan.atoms; i++)
            xyz[i] = (float)(next() * (i % 7 == 0 ? 1e6 : 4));
        /* Free atoms that go to any image of themselves. */
        for (uint64_t i = 7 * (uint64_t)n; i < plan.atoms; i++) {
            const int a = (int)(i % 3) - 1, b = (int)(i / 3 % 3) - 1, c = (int)(i / 9 % 3) - 1;
            int32_t q[3], *at = words + (uint32_t)words[l.place + i];
            for (unsigned k = 0; k < 3; k++)
                at[k * EBB_TILE_NUMBERS] = q[k] = 900 + (int32_t)(next() * 300);
            xyz[3 * i] = (float)(q[0] + a * 3000 + b * 1000 - c * 1000) * 0.001f;
            xyz[3 * i + 1] = (float)(q[1] + b * 2500 + c * 500) * 0.001f;
            xyz[3 * i + 2] = (float)(q[2] + c * 2000) * 0.001f;
        }
        EBB_AUTO_FREE void *before = ebb_alloc(d.state_bytes);
        memcpy(before, d.state, d.state_bytes);
        memcpy(e.state, d.state, d.state_bytes);
        pack_both(&d, &frame, xyz);
        /* Damaged pieces are read as the reference reads them: any widths and planes, then lists
         * that are not there, then no planes. */
        struct ebb_piece_header h;
        memcpy(&h, d.piece, sizeof h);
        for (unsigned round = 0; round < 6; round++) {
            const size_t len = round == 5 ? (size_t)l.words : piece_bytes(d.piece);
            const size_t damaged = (size_t)ebb_piece_lists(&l, h.words) - sizeof h;
            DEVICE void *in = device_alloc(len);
            memcpy(in, d.piece, len);
            for (unsigned k = 0; k < 3 * round && round < 5; k++)
                ((uint8_t *)in)[sizeof h + (size_t)(fabs(next()) * (double)(damaged - 1))] ^=
                    (uint8_t)(1u << k % 8);
            if (round == 4)
                memset((uint8_t *)in + 8, 0xff, 8);
            EBB_AUTO_FREE void *after = ebb_memdup(before, d.state_bytes);
            memcpy(e.state, before, d.state_bytes);
            assert_true(ebb_traj_piece_unpack(&plan, &frame, in, len, after, xyz));
            assert_int_equal(ebb_kernels_trajectory_unpack(&plan, &frame, in, len, e.state, e.xyz,
                                                           e.workspace, e.workspace_bytes, NULL),
                             0);
            device_wait();
            assert_memory_equal(e.state, after, d.state_bytes);
            if (round != 4) /* lists may correct an atom twice: which float stays is free */
                assert_memory_equal(e.xyz, xyz, 12 * (size_t)plan.atoms);
        }
        device_clean_up(&d);
        device_clean_up(&e);
    }
    assert_true(lists_seen[2] > images + 50);
}

/* A piece with one part changed is refused, and the encoder goes on. */
static void damaged_pieces_are_refused(void **state)
{
    (void)state;
    struct system s;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer groups = {0};
    system_init(&s, &scenes[0]);
    EBB_AUTO(ebb_traj_encoder_destroy_ptr) struct ebb_traj_encoder *enc = encoder(s.atoms);
    for (unsigned f = 0; f < 4; f++) {
        system_step(&s);
        assert_false(ebb_traj_encoder_takes_pieces(enc));
        assert_int_equal(ebb_traj_encoder_add_piece(enc, "", 0, NULL, &groups, &err),
                         EBB_ERR_INPUT);
        assert_int_equal(ebb_traj_encoder_add(enc, s.xyz, s.scene->box, &groups, &err), 0);
    }
    assert_true(ebb_traj_encoder_takes_pieces(enc));
    struct ebb_kernels_trajectory plan;
    struct ebb_kernels_trajectory_frame frame;
    struct ebb_piece_layout l;
    struct ebb_piece_header h;
    ebb_traj_encoder_plan(enc, &plan);
    ebb_piece_layout(&plan, &l);
    EBB_AUTO_FREE void *of = ebb_alloc(ebb_kernels_trajectory_state(&plan));
    EBB_AUTO_FREE uint8_t *piece = ebb_alloc(ebb_kernels_trajectory_bound(&plan));
    ebb_traj_encoder_state(enc, of);
    ebb_traj_encoder_next_frame(enc, s.scene->box, &frame);
    system_step(&s);
    assert_true(ebb_traj_piece_pack(&plan, &frame, s.xyz, of, piece));
    memcpy(&h, piece, sizeof h);
    assert_true(h.odd > 0);
    const size_t odd = (size_t)ebb_piece_lists(&l, h.words) + 16 * (size_t)h.misses;
    const size_t places[] = {
        0, 8, 16, 20, 24, 28, sizeof h, sizeof h + 2 * (size_t)l.tiles - 1, odd + 3};
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        piece[places[k]] ^= 0x41;
        assert_int_equal(
            ebb_traj_encoder_add_piece(enc, piece, (size_t)h.bytes, s.scene->box, &groups, &err),
            EBB_ERR_INPUT);
        piece[places[k]] ^= 0x41;
    }
    assert_int_equal(
        ebb_traj_encoder_add_piece(enc, piece, (size_t)h.bytes - 1, s.scene->box, &groups, &err),
        EBB_ERR_INPUT);
    assert_int_equal(
        ebb_traj_encoder_add_piece(enc, piece, (size_t)h.bytes, s.scene->box, &groups, &err), 0);
    assert_int_equal(ebb_traj_encoder_flush(enc, &groups, &err), 0);
    struct ebb_traj_group_info info;
    assert_int_equal(ebb_traj_group_info(groups.data, groups.len, &info, &err), 0);
    assert_int_equal(info.frames, 5);
    system_clean_up(&s);
}

static void what_is_no_plan_is_refused(void **state)
{
    (void)state;
    const struct ebb_kernels_trajectory good = {
        .atoms = 5, .quantum = 1, .parts = 1, .part = {{.sites = 5, .atoms_each = 1}}};
    struct ebb_kernels_trajectory bad = good;
    struct ebb_kernels_trajectory_frame frame = {.before = 1};
    struct device d;
    device_init(&d, &good);
    memset(d.state, 0, d.state_bytes);
    bad.part[0].atoms_each = 2;
    assert_int_equal(ebb_kernels_trajectory_pack(&bad, &frame, d.xyz, d.state, d.piece, d.workspace,
                                                 d.workspace_bytes, NULL),
                     EBB_KERNELS_MISUSE);
    assert_int_equal(ebb_kernels_trajectory_pack(&good, &frame, d.xyz, d.state, d.piece,
                                                 d.workspace, d.workspace_bytes - 1, NULL),
                     EBB_KERNELS_MISUSE);
    frame.before = 0;
    assert_int_equal(ebb_kernels_trajectory_pack(&good, &frame, d.xyz, d.state, d.piece,
                                                 d.workspace, d.workspace_bytes, NULL),
                     EBB_KERNELS_MISUSE);
    frame.before = 1;
    assert_int_equal(ebb_kernels_trajectory_unpack(&good, &frame, d.piece, 16, d.state, d.xyz,
                                                   d.workspace, d.workspace_bytes, NULL),
                     EBB_KERNELS_MISUSE);
    device_clean_up(&d);
}

int main(void)
{
    const char *missing = device_missing();
    if (missing != NULL) {
        printf("skipped: no device: %s\n", missing);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_packed_frames_are_read_by_every_decoder),
        cmocka_unit_test(groups_of_the_plain_encoder_are_unpacked_by_the_device),
        cmocka_unit_test(pieces_of_noise_equal_the_reference),
        cmocka_unit_test(damaged_pieces_are_refused),
        cmocka_unit_test(what_is_no_plan_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
