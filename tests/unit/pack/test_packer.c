/* Files through packing and back: byte for byte, or within the bound that was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "formats/frame.h"
#include "packed_fixture.h"
#include "sample_files.h"

static const struct ebb_packer_options plain = {0};

static void files_of_nothing_known_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65536, 300001};
    uint64_t random = 1;
    for (size_t i = 0; i < EBB_ARRAY_LEN(sizes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        for (size_t k = 0; k < sizes[i]; k++)
            ebb_buffer_append(&b, &(uint8_t){(uint8_t)next_random(&random)}, 1);
        (void)assert_round_trip(b.data, b.len, &plain);
        if (b.len > 0)
            memset(b.data, 0, b.len);
        (void)assert_round_trip(b.data, b.len, &plain);
    }
}

static void xtc_comes_back_smaller_whatever_its_size_and_grouping(void **state)
{
    (void)state;
    static const unsigned atoms[] = {0, 1, 9, 10, 11, 100, 999};
    for (size_t i = 0; i < EBB_ARRAY_LEN(atoms); i++)
        for (unsigned frames = 1; frames <= 9; frames += 4) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            sample_xtc(&b, atoms[i], frames, 1000);
            struct ebb_packer_options o = {.group_frames = 4, .threads = 2};
            size_t packed = assert_round_trip(b.data, b.len, &o);
            if (atoms[i] == 999)
                assert_true(packed < b.len);
            o.level = EBB_PACK_SMALL;
            (void)assert_round_trip(b.data, b.len, &o);
        }
}

static void torn_and_damaged_trajectories_come_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    sample_xtc(&b, 50, 6, 1000);
    for (size_t cut = 1; cut < b.len; cut += 97)
        (void)assert_round_trip(b.data, b.len - cut, &plain);
    uint64_t random = 9;
    for (int i = 0; i < 60; i++) {
        size_t at = next_random(&random) % b.len;
        uint8_t old = b.data[at];
        b.data[at] = (uint8_t)next_random(&random);
        (void)assert_round_trip(b.data, b.len, &plain);
        b.data[at] = old;
    }
}

static void frames_of_other_sizes_in_one_file_come_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    sample_xtc(&b, 50, 3, 1000);
    sample_xtc(&b, 5, 2, 1000);
    sample_xtc(&b, 50, 3, 100);
    sample_xtc(&b, 0, 1, 100);
    sample_xtc(&b, 51, 3, 1000);
    (void)assert_round_trip(b.data, b.len, &plain);
}

static void arrays_come_back(void **state)
{
    (void)state;
    for (unsigned rows = 1; rows < 2000; rows = rows * 5 + 1) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer s = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer n = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer t = {0};
        sample_safetensors(&s, rows, 0);
        sample_npy(&n, rows, 7);
        sample_trr(&t, rows, 3);
        (void)assert_round_trip(n.data, n.len, &plain);
        (void)assert_round_trip(t.data, t.len, &plain);
        size_t packed = assert_round_trip(s.data, s.len, &plain);
        if (rows > 1000)
            assert_true(packed < s.len * 95 / 100);
        for (size_t cut = 1; cut < s.len; cut += s.len / 5 + 1)
            (void)assert_round_trip(s.data, s.len - cut, &plain);
    }
}

static void arrays_larger_than_a_part_come_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    sample_npy(&b, 400001, 7); /* 22 MB, of which a row is 56 bytes */
    struct ebb_packer_options o = {.threads = 2};
    (void)assert_round_trip(b.data, b.len, &o);
}

static void positions_and_velocities_of_water_are_packed_together(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer other = {0};
    sample_waters(&b, 1000);
    sample_trr(&other, 3000, 1);
    assert_int_equal(b.len, other.len);
    size_t packed = assert_round_trip(b.data, b.len, &plain);
    assert_true(packed < b.len * 80 / 100);
    assert_true(packed < assert_round_trip(other.data, other.len, &plain));
    for (size_t cut = 100; cut < b.len; cut += b.len / 5)
        (void)assert_round_trip(b.data, b.len - cut, &plain);
}

static void frames_without_a_bound_are_packed_over_those_before(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer one = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer many = {0};
    sample_trr(&one, 2000, 1);
    sample_trr(&many, 2000, 9);
    assert_int_equal(many.len, 9 * one.len);
    size_t alone = assert_round_trip(one.data, one.len, &plain);
    assert_true(assert_round_trip(many.data, many.len, &plain) < alone * 9 * 93 / 100);
    for (size_t cut = 100; cut < many.len; cut += many.len / 4)
        (void)assert_round_trip(many.data, many.len - cut, &plain);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    assert_int_equal(pack_memory(many.data, many.len, NULL, &plain, &packed, NULL), 0);
    struct ebb_memory m = {.data = packed.data, .len = packed.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    assert_int_equal(ebb_container_open(&bytes, &c, NULL), 0);
    assert_int_equal(c->entries[0].parts[0].codec, EBB_PART_OVER_ARRAYS);
}

static void a_raw_array_comes_back_by_its_shape(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    sample_raw(&b, 1000, 5);
    struct ebb_packer_options o = {.rows = 1000, .columns = 3, .dtype = EBB_DTYPE_F32};
    size_t shaped = assert_round_trip(b.data, b.len, &o);
    assert_true(shaped < assert_round_trip(b.data, b.len, &plain));
    (void)assert_round_trip(b.data, b.len - 5, &o);
    o.rows = UINT64_C(1) << 40;
    (void)assert_round_trip(b.data, b.len, &o);
}

/* ---- against a base ---- */

static void tensors_are_changes_to_their_base(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer old = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer new = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    sample_safetensors(&old, 2000, 0);
    sample_safetensors(&new, 2000, 1);
    struct ebb_memory m = {.data = old.data, .len = old.len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    struct ebb_error err = {0};
    assert_int_equal(pack_memory(new.data, new.len, &base, &plain, &packed, &err), 0);
    assert_true(packed.len < assert_round_trip(new.data, new.len, &plain) * 3 / 4);
    assert_int_equal(unpack_memory(&packed, NULL, &back, &err), EBB_ERR_NOT_FOUND);
    ebb_buffer_reset(&back);
    assert_int_equal(unpack_memory(&packed, &base, &back, &err), 0);
    assert_int_equal(back.len, new.len);
    assert_memory_equal(back.data, new.data, new.len);
    /* Another base is found out. */
    old.data[old.len / 2] ^= 1;
    assert_int_equal(unpack_memory(&packed, &base, &back, &err), EBB_ERR_CORRUPT);
}

/* ---- within a bound ---- */

static int unpack_lossy(const struct ebb_buffer *file, enum ebb_file_kind kind,
                        const struct ebb_packer_options *o, struct ebb_buffer *back,
                        struct ebb_error *err)
{
    (void)kind;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    int rc = pack_memory(file->data, file->len, NULL, o, &packed, err);
    return rc < 0 ? rc : unpack_memory(&packed, NULL, back, err);
}

struct reading {
    struct ebb_memory_source source;
    struct ebb_frame_reader *reader;
    struct ebb_frame frame;
};

static void open_reading(struct reading *r, enum ebb_file_kind kind, const struct ebb_buffer *b)
{
    *r = (struct reading){.source = {.data = b->data, .len = b->len}};
    assert_int_equal(ebb_frame_reader_open(kind, ebb_memory_source(&r->source), &r->reader, NULL),
                     0);
}

static double coordinate(const struct ebb_frame *f, size_t i)
{
    return f->x32 != NULL ? (double)f->x32[i] : (double)f->xq[i] / f->precision;
}

static double worst_error(enum ebb_file_kind kind, const struct ebb_buffer *a,
                          const struct ebb_buffer *b, unsigned *ret_frames)
{
    struct reading ra, rb;
    open_reading(&ra, kind, a);
    open_reading(&rb, kind, b);
    double worst = 0;
    *ret_frames = 0;
    while (ebb_frame_reader_next(ra.reader, &ra.frame, NULL) > 0) {
        assert_int_equal(ebb_frame_reader_next(rb.reader, &rb.frame, NULL), 1);
        assert_int_equal(ra.frame.atoms, rb.frame.atoms);
        assert_int_equal(ra.frame.step, rb.frame.step);
        assert_true(ra.frame.time == rb.frame.time);
        assert_memory_equal(ra.frame.box, rb.frame.box, sizeof ra.frame.box);
        for (size_t i = 0; i < 3 * ra.frame.atoms; i++)
            worst = fmax(worst, fabs(coordinate(&ra.frame, i) - coordinate(&rb.frame, i)));
        ++*ret_frames;
    }
    assert_int_equal(ebb_frame_reader_next(rb.reader, &rb.frame, NULL), 0);
    ebb_frame_clean_up(&ra.frame);
    ebb_frame_clean_up(&rb.frame);
    ebb_frame_reader_destroy(ra.reader);
    ebb_frame_reader_destroy(rb.reader);
    return worst;
}

static void coordinates_stay_within_the_bound_and_the_rest_stays(void **state)
{
    (void)state;
    static const struct {
        double error;
        const char *unit;
        double nm;
    } bounds[] = {{0.0005, "nm", 0.0005}, {0.05, "A", 0.005}, {20, "pm", 0.02}, {0.003, "", 0.003}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bounds); i++) {
        struct ebb_packer_options o = {.error = bounds[i].error, .group_frames = 3};
        (void)strcpy(o.unit, bounds[i].unit);
        for (int kind = EBB_FILE_XTC; kind <= EBB_FILE_TRR; kind++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
            if (kind == EBB_FILE_XTC)
                sample_xtc(&b, 300, 7, 1000);
            else
                sample_trr(&b, 300, 7);
            struct ebb_error err = {0};
            if (unpack_lossy(&b, (enum ebb_file_kind)kind, &o, &back, &err) < 0)
                fail_msg("%s", err.text);
            unsigned frames = 0;
            double worst = worst_error((enum ebb_file_kind)kind, &b, &back, &frames);
            assert_int_equal(frames, 7);
            if (!(worst <= bounds[i].nm + 3 * (double)FLT_EPSILON))
                fail_msg("%g is more than %g", worst, bounds[i].nm);
            if (kind == EBB_FILE_TRR) /* velocities are at the end of each frame */
                assert_memory_equal(b.data + b.len - 3600, back.data + back.len - 3600, 3600);
        }
    }
}

static void what_is_not_finite_comes_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    sample_raw(&b, 100, 4);
    float *x = (float *)(void *)b.data;
    x[5] = NAN;
    x[500] = INFINITY;
    x[900] = -1e30f;
    x[901] = FLT_MIN / 4;
    struct ebb_packer_options o = {
        .error = 0.001, .rows = 100, .columns = 3, .dtype = EBB_DTYPE_F32};
    struct ebb_error err = {0};
    if (unpack_lossy(&b, EBB_FILE_RAW, &o, &back, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(back.len, b.len);
    const float *y = (const float *)(const void *)back.data;
    for (size_t i = 0; i < b.len / 4; i++)
        if (!isfinite(x[i]) || fabsf(x[i]) > 1e6f)
            assert_memory_equal(&x[i], &y[i], 4);
        else
            assert_true(fabs((double)x[i] - (double)y[i]) <= 0.001 + 1e-6);
}

static void a_bound_finer_than_xtc_leaves_it_as_it_is(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    sample_xtc(&b, 300, 7, 1000);
    struct ebb_packer_options o = {.error = 0.0005, .unit = "nm"};
    assert_int_equal(unpack_lossy(&b, EBB_FILE_XTC, &o, &back, NULL), 0);
    assert_int_equal(back.len, b.len);
    assert_memory_equal(back.data, b.data, b.len);
}

static void a_bound_is_refused_where_bits_matter(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    sample_safetensors(&b, 10, 0);
    struct ebb_packer_options o = {.error = 0.001};
    struct ebb_error err = {0};
    assert_int_equal(pack_memory(b.data, b.len, NULL, &o, &out, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "bit for bit"));
    assert_int_equal(pack_memory("text", 4, NULL, &o, &out, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "no trajectory"));
}

/* ---- damage ---- */

static void every_flipped_byte_of_each_codec_is_found(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
        if (kind == 0)
            sample_xtc(&b, 40, 3, 1000);
        else if (kind == 1)
            sample_safetensors(&b, 20, 0);
        else
            ebb_buffer_append_text(&b, "some text, some text, some text");
        if (kind == 3) {
            ebb_buffer_reset(&b);
            sample_trr(&b, 40, 3);
        }
        struct ebb_error err = {0};
        assert_int_equal(pack_memory(b.data, b.len, NULL, &plain, &packed, &err), 0);
        for (size_t i = 0; i < packed.len; i++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
            packed.data[i] ^= (uint8_t)(1u << i % 8);
            if (unpack_memory(&packed, NULL, &back, &err) == 0)
                fail_msg("kind %d: byte %zu flipped unseen", kind, i);
            packed.data[i] ^= (uint8_t)(1u << i % 8);
        }
    }
}

/* The codecs themselves must stand damage: in a checkpoint no container's hash stands before. */
static void damaged_payloads_never_crash(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
        if (kind == 0)
            sample_xtc(&b, 40, 3, 1000);
        else if (kind == 1)
            sample_safetensors(&b, 20, 0);
        else
            sample_waters(&b, 100);
        if (kind == 3) {
            ebb_buffer_reset(&b);
            sample_trr(&b, 40, 3);
        }
        assert_int_equal(pack_memory(b.data, b.len, NULL, &plain, &packed, NULL), 0);
        struct ebb_memory m = {.data = packed.data, .len = packed.len};
        struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
        EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
        assert_int_equal(ebb_container_open(&bytes, &c, NULL), 0);
        const struct ebb_packed_part *p = &c->entries[0].parts[0];
        assert_true(p->codec >= EBB_PART_SECTIONS);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer payload = {0};
        assert_int_equal(ebb_container_read_part(c, p, &payload, NULL), 0);
        EBB_AUTO_FREE uint8_t *out = ebb_alloc((size_t)p->raw_bytes);
        for (size_t i = 0; i < payload.len; i++)
            for (int bit = 0; bit < 8; bit += 3) {
                payload.data[i] ^= (uint8_t)(1u << bit);
                (void)ebb_part_decode(p->codec, payload.data, payload.len, NULL, out,
                                      (size_t)p->raw_bytes, NULL);
                payload.data[i] ^= (uint8_t)(1u << bit);
            }
        for (size_t len = 0; len < payload.len; len++)
            assert_true(ebb_part_decode(p->codec, payload.data, len, NULL, out,
                                        (size_t)p->raw_bytes, NULL) < 0);
    }
}

/* ---- growth ---- */

static int append_memory(const struct ebb_buffer *old, const void *data, size_t len,
                         struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_memory m = {.data = data, .len = len};
    struct ebb_memory o = {.data = old->data, .len = old->len};
    struct ebb_bytes file = ebb_bytes_of_memory(&m), bytes = ebb_bytes_of_memory(&o);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    assert_int_equal(ebb_container_open(&bytes, &c, err), 0);
    EBB_AUTO(ebb_packed_entry_clean_up)
    struct ebb_packed_entry facts = {.name = ebb_strdup("file")};
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w = ebb_container_writer_new(buffer_sink(out));
    struct ebb_packer_options options = {.group_frames = 4};
    int rc = ebb_packer_append(w, c, &c->entries[0], &facts, &file, &options, err);
    return rc < 0 ? rc : ebb_container_finish(w, err);
}

static void a_file_that_grows_is_appended_to(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
        if (kind == 0)
            sample_xtc(&b, 200, 12, 1000);
        else if (kind == 1)
            sample_trr(&b, 200, 12);
        else
            for (int i = 0; i < 5000; i++)
                ebb_buffer_printf(&b, "line %d\n", i);
        /* Cut at any place, also inside a frame. */
        assert_int_equal(pack_memory(b.data, b.len / 3, NULL, &plain, &packed, NULL), 0);
        for (size_t len = b.len / 3; len <= b.len; len += (b.len - len + 2) / 3 + 1) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer next = {0};
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
            struct ebb_error err = {0};
            if (append_memory(&packed, b.data, len, &next, &err) < 0 ||
                unpack_memory(&next, NULL, &back, &err) < 0)
                fail_msg("%s", err.text);
            assert_int_equal(back.len, len);
            assert_memory_equal(back.data, b.data, len);
            ebb_buffer_reset(&packed);
            ebb_buffer_append(&packed, next.data, next.len);
        }
        /* What has changed, or shrunk, has not grown. */
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer next = {0};
        assert_int_equal(append_memory(&packed, b.data, b.len / 2, &next, NULL), EBB_ERR_INPUT);
        b.data[10] ^= 1;
        assert_int_equal(append_memory(&packed, b.data, b.len, &next, NULL), EBB_ERR_INPUT);
    }
}

static void a_view_reads_any_place(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    sample_xtc(&b, 100, 40, 1000);
    struct ebb_packer_options o = {.group_frames = 2};
    assert_int_equal(pack_memory(b.data, b.len, NULL, &o, &packed, NULL), 0);
    struct ebb_memory m = {.data = packed.data, .len = packed.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    assert_int_equal(ebb_container_open(&bytes, &c, NULL), 0);
    assert_int_equal(c->entries[0].part_count, 20);
    struct ebb_entry_view *v = ebb_entry_view_new(c, &c->entries[0], NULL);
    struct ebb_bytes view = ebb_entry_view_bytes(v);
    uint64_t random = 4;
    uint8_t out[4000];
    for (int i = 0; i < 200; i++) {
        size_t len = next_random(&random) % sizeof out, at = next_random(&random) % (b.len - len);
        assert_int_equal(ebb_bytes_read(&view, at, out, len, NULL), 0);
        assert_memory_equal(out, b.data + at, len);
    }
    assert_int_equal(ebb_bytes_read(&view, b.len - 1, out, 2, NULL), EBB_ERR_CORRUPT);
    ebb_entry_view_destroy(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_nothing_known_come_back),
        cmocka_unit_test(xtc_comes_back_smaller_whatever_its_size_and_grouping),
        cmocka_unit_test(torn_and_damaged_trajectories_come_back),
        cmocka_unit_test(frames_of_other_sizes_in_one_file_come_back),
        cmocka_unit_test(arrays_come_back),
        cmocka_unit_test(arrays_larger_than_a_part_come_back),
        cmocka_unit_test(positions_and_velocities_of_water_are_packed_together),
        cmocka_unit_test(frames_without_a_bound_are_packed_over_those_before),
        cmocka_unit_test(a_raw_array_comes_back_by_its_shape),
        cmocka_unit_test(tensors_are_changes_to_their_base),
        cmocka_unit_test(coordinates_stay_within_the_bound_and_the_rest_stays),
        cmocka_unit_test(what_is_not_finite_comes_back),
        cmocka_unit_test(a_bound_finer_than_xtc_leaves_it_as_it_is),
        cmocka_unit_test(a_bound_is_refused_where_bits_matter),
        cmocka_unit_test(every_flipped_byte_of_each_codec_is_found),
        cmocka_unit_test(damaged_payloads_never_crash),
        cmocka_unit_test(a_file_that_grows_is_appended_to),
        cmocka_unit_test(a_view_reads_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
