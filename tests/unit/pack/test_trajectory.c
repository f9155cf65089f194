/* Restart state over a trajectory: the frame that is found, what it saves, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pack/trajectory.h"
#include "packed_fixture.h"
#include "sample_files.h"

static const struct ebb_packer_options plain = {0};

static struct ebb_frame_ref find(struct ebb_trajectory *t, unsigned atoms, int64_t step,
                                 bool *ret_is_same)
{
    struct ebb_frame_ref r = {0};
    assert_int_equal(ebb_trajectory_find(t, atoms, step, &r, ret_is_same, NULL), 1);
    return r;
}

static void the_frame_of_a_step_or_the_nearest_is_found(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    uint64_t ends[50];
    for (unsigned f = 0; f < 50; f++) {
        sample_waters_xtc(&b, 20, 1, 10 * (int)f, 0);
        ends[f] = b.len;
    }
    struct ebb_memory m = {.data = b.data, .len = b.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    const uint64_t anchors[] = {0, ends[9], ends[29]};
    for (size_t anchored = 0; anchored <= 3; anchored += 3) {
        EBB_AUTO(ebb_auto_trajectory)
        struct ebb_trajectory *t = ebb_trajectory_new(&bytes, anchors, anchored);
        static const int64_t steps[] = {0, 10, 104, 106, 480, 485, 1000, 250, 300, -7, 301, 490};
        for (size_t i = 0; i < EBB_ARRAY_LEN(steps); i++) {
            bool is_same = false;
            struct ebb_frame_ref r = find(t, 60, steps[i], &is_same);
            int64_t nearest = steps[i] < 0 ? 0 : (steps[i] + 4) / 10;
            nearest = nearest > 49 ? 49 : nearest;
            assert_int_equal(r.offset, nearest == 0 ? 0 : ends[nearest - 1]);
            assert_int_equal(r.bytes, ends[nearest] - r.offset);
            assert_int_equal(is_same, steps[i] == 10 * nearest);
        }
        struct ebb_frame_ref r;
        bool is_same;
        assert_int_equal(ebb_trajectory_find(t, 61, 10, &r, &is_same, NULL), 0);
    }
    /* What comes behind a torn frame is not there; text is no trajectory. */
    m.len = (size_t)ends[30] - 3;
    bytes.size_bytes = m.len;
    EBB_AUTO(ebb_auto_trajectory)
    struct ebb_trajectory *torn = ebb_trajectory_new(&bytes, NULL, 0);
    bool is_same = true;
    assert_int_equal(find(torn, 60, 400, &is_same).offset, ends[28]);
    assert_false(is_same);
    m = (struct ebb_memory){.data = (const uint8_t *)"some text", .len = 9};
    bytes = ebb_bytes_of_memory(&m);
    assert_null(ebb_trajectory_new(&bytes, NULL, 0));
}

static void assert_comes_back(const struct ebb_buffer *packed, const struct ebb_bytes *base,
                              const struct ebb_buffer *file)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    struct ebb_error err = {0};
    if (unpack_memory(packed, base, &back, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(back.len, file->len);
    assert_memory_equal(back.data, file->data, file->len);
}

static void restart_state_is_refined_against_the_frame_of_its_step(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer xtc = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    sample_waters(&file, 1000);
    sample_waters_xtc(&xtc, 1000, 3, 0, 0.02f);
    struct ebb_memory m = {.data = xtc.data, .len = xtc.len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    struct ebb_error err = {0};
    assert_int_equal(pack_memory(file.data, file.len, &base, &plain, &packed, &err), 0);
    size_t alone = assert_round_trip(file.data, file.len, &plain);
    if (packed.len * 100 > alone * 88)
        fail_msg("%zu over a frame, %zu alone", packed.len, alone);
    assert_comes_back(&packed, &base, &file);
    /* Without the trajectory, with another, with one that ends too early. */
    assert_int_equal(unpack_memory(&packed, NULL, &back, &err), EBB_ERR_NOT_FOUND);
    for (size_t i = 200; i < 300; i += 5) /* a number that follows from others may be any */
        xtc.data[i] ^= 1;
    assert_int_equal(unpack_memory(&packed, &base, &back, &err), EBB_ERR_CORRUPT);
    for (size_t i = 200; i < 300; i += 5)
        xtc.data[i] ^= 1;
    base.size_bytes = m.len = 300;
    assert_int_equal(unpack_memory(&packed, &base, &back, &err), EBB_ERR_CORRUPT);
}

static void the_nearest_frame_is_taken_when_it_pays(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    sample_waters(&file, 1000);
    size_t alone = assert_round_trip(file.data, file.len, &plain);
    for (int far = 0; far < 2; far++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer xtc = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
        /* Step 0 is not there; the nearest is a little off, or another arrangement. */
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer both = {0};
        sample_waters_xtc(&both, 1000, 1, 0, 0);
        size_t first = both.len;
        sample_waters_xtc(&both, 1000, 2, 50, far ? 1.5f : 0.002f);
        ebb_buffer_append(&xtc, both.data + (far ? 2 : 1) * first,
                          both.len - (far ? 2 : 1) * first);
        struct ebb_memory m = {.data = xtc.data, .len = xtc.len};
        struct ebb_bytes base = ebb_bytes_of_memory(&m);
        struct ebb_error err = {0};
        assert_int_equal(pack_memory(file.data, file.len, &base, &plain, &packed, &err), 0);
        assert_true(far ? packed.len <= alone + 200 : packed.len < alone * 90 / 100);
        assert_comes_back(&packed, far ? NULL : &base, &file);
    }
}

static void a_trajectory_of_other_atoms_is_left_alone(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer xtc = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    sample_waters(&file, 200);
    sample_waters_xtc(&xtc, 199, 2, 0, 0);
    struct ebb_memory m = {.data = xtc.data, .len = xtc.len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    assert_int_equal(pack_memory(file.data, file.len, &base, &plain, &packed, NULL), 0);
    assert_comes_back(&packed, NULL, &file);
}

static void positions_without_velocities_are_refined_too(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer xtc = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    sample_waters(&file, 500);
    memset(file.data + 24 + 4 * 8, 0, 4); /* no velocities */
    file.len -= 500 * 36;
    sample_waters_xtc(&xtc, 500, 2, 0, 0.02f);
    struct ebb_memory m = {.data = xtc.data, .len = xtc.len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    assert_int_equal(pack_memory(file.data, file.len, &base, &plain, &packed, NULL), 0);
    assert_true(packed.len < file.len / 2);
    assert_comes_back(&packed, &base, &file);
}

static void damage_over_a_frame_is_found(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer xtc = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    sample_waters(&file, 60);
    sample_waters_xtc(&xtc, 60, 2, 0, 0.02f);
    struct ebb_memory m = {.data = xtc.data, .len = xtc.len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    assert_int_equal(pack_memory(file.data, file.len, &base, &plain, &packed, NULL), 0);
    struct ebb_memory pm = {.data = packed.data, .len = packed.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&pm);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    assert_int_equal(ebb_container_open(&bytes, &c, NULL), 0);
    const struct ebb_packed_part *p = &c->entries[0].parts[0];
    assert_int_equal(p->codec, EBB_PART_OVER_FRAMES);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer payload = {0};
    assert_int_equal(ebb_container_read_part(c, p, &payload, NULL), 0);
    EBB_AUTO_FREE uint8_t *out = ebb_alloc((size_t)p->raw_bytes);
    for (size_t i = 0; i < payload.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            payload.data[i] ^= (uint8_t)(1u << bit);
            int rc = ebb_part_decode(p->codec, payload.data, payload.len, &base, out,
                                     (size_t)p->raw_bytes, NULL);
            /* What is not read (a base that no section uses) may differ; what comes back may not.
             */
            assert_true(rc < 0 || memcmp(out, file.data, file.len) == 0 ||
                        i < 16 + 3 * 16 + 200 /* plain bytes have no hash in a part */);
            payload.data[i] ^= (uint8_t)(1u << bit);
        }
    for (size_t len = 0; len < payload.len; len++)
        assert_true(ebb_part_decode(p->codec, payload.data, len, &base, out, (size_t)p->raw_bytes,
                                    NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_of_a_step_or_the_nearest_is_found),
        cmocka_unit_test(restart_state_is_refined_against_the_frame_of_its_step),
        cmocka_unit_test(the_nearest_frame_is_taken_when_it_pays),
        cmocka_unit_test(a_trajectory_of_other_atoms_is_left_alone),
        cmocka_unit_test(positions_without_velocities_are_refined_too),
        cmocka_unit_test(damage_over_a_frame_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
