/* XTC's integer coding, against a decoder written bit by bit from the description of the stream. */
#include "frame_check.h"

#include "formats/xtc_coding.h"

/* ---- a slow decoder ---- */

typedef unsigned __int128 uint128;

struct slow_bits {
    const uint8_t *bytes;
    size_t pos, end; /* in bits */
};

static unsigned slow_bit(struct slow_bits *b)
{
    assert_true(b->pos < b->end);
    unsigned bit = (unsigned)(b->bytes[b->pos / 8] >> (7 - b->pos % 8)) & 1;
    b->pos++;
    return bit;
}

static uint64_t slow_take(struct slow_bits *b, unsigned bits)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bits; i++)
        v = v << 1 | slow_bit(b);
    return v;
}

static void slow_triplet(struct slow_bits *b, const uint64_t size[3], unsigned bits, int64_t v[3])
{
    uint128 n = 0;
    for (unsigned done = 0; done < bits; done += 8)
        n |= (uint128)slow_take(b, bits - done < 8 ? bits - done : 8) << done;
    v[2] = (int64_t)(n % size[2]);
    n /= size[2];
    v[1] = (int64_t)(n % size[1]);
    v[0] = (int64_t)(n / size[1]);
}

static unsigned slow_length(uint128 v)
{
    unsigned n = 0;
    for (; v != 0; v >>= 1)
        n++;
    return n;
}

static void slow_decode(const struct ebb_xtc_block *block, const int32_t sizes[73], size_t atoms,
                        int32_t *q)
{
    struct slow_bits b = {.bytes = block->stream, .end = block->stream_bytes * 8};
    uint64_t size[3], most = 0;
    uint128 product = 1;
    for (int k = 0; k < 3; k++) {
        size[k] = (uint64_t)((int64_t)block->max[k] - block->min[k] + 1);
        product *= size[k];
        most |= size[k];
    }
    int index = block->small_index;
    unsigned run = 0;
    for (size_t i = 0; i < atoms;) {
        int64_t v[3], small[3];
        if (most > 0xffffff) {
            for (int k = 0; k < 3; k++)
                v[k] = (int64_t)slow_take(&b, slow_length(size[k]));
        } else {
            slow_triplet(&b, size, slow_length(product), v);
        }
        for (int k = 0; k < 3; k++)
            v[k] += block->min[k];
        int change = 0;
        if (slow_bit(&b) == 1) {
            unsigned code = (unsigned)slow_take(&b, 5);
            run = code / 3;
            change = (int)(code % 3) - 1;
        }
        const uint64_t cube[3] = {(uint64_t)sizes[index], (uint64_t)sizes[index],
                                  (uint64_t)sizes[index]};
        size_t first = i;
        for (unsigned j = 0; j <= run; j++, i++) {
            if (j > 0) {
                slow_triplet(&b, cube, (unsigned)index, small);
                for (int k = 0; k < 3; k++)
                    v[k] += small[k] - sizes[index] / 2;
            }
            /* The first two of a run are swapped. */
            size_t at = run > 0 && j == 0 ? first + 1 : run > 0 && j == 1 ? first : i;
            for (int k = 0; k < 3; k++)
                q[3 * at + (size_t)k] = (int32_t)v[k];
        }
        index += change;
    }
    assert_true(b.end - b.pos < 8);
    while (b.pos < b.end)
        assert_int_equal(slow_bit(&b), 0);
}

/* The sizes of small differences: 2^(index/3) without its fraction, but for three that the format's
 * table has otherwise. */
static void fill_sizes(int32_t sizes[73])
{
    for (int i = 9; i < 73; i++)
        sizes[i] = (int32_t)floor(exp2(i / 3.0) + 1e-6);
    sizes[37] = 5060;
    sizes[57] = 524287;
    sizes[69] = 8388607;
}

/* ---- tests ---- */

static void check_atoms(const int32_t *q, size_t atoms)
{
    int32_t sizes[73];
    fill_sizes(sizes);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct ebb_xtc_block block = {0};
    struct ebb_error err = {0};
    if (ebb_xtc_encode(q, atoms, &block, &out, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(block.stream_bytes, out.len);
    EBB_AUTO_FREE int32_t *back = ebb_alloc_array(3 * atoms, sizeof *back);
    ebb_buffer_reserve(&out, 128);
    block.stream = out.data;
    slow_decode(&block, sizes, atoms, back);
    assert_memory_equal(back, q, 12 * atoms);
    memset(back, 0x55, 12 * atoms);
    if (ebb_xtc_decode(&block, atoms, back, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(back, q, 12 * atoms);
}

/* A walk whose steps are up to `step`, from somewhere in +-`range`. */
static void make_walk(uint64_t *random, int32_t *q, size_t atoms, int64_t range, int64_t step)
{
    int64_t at[3];
    for (int k = 0; k < 3; k++)
        at[k] = (int64_t)((next_unit(random) - 0.5) * 2 * (double)range);
    for (size_t i = 0; i < atoms; i++)
        for (int k = 0; k < 3; k++) {
            at[k] += (int64_t)((next_unit(random) - 0.5) * 2 * (double)step);
            at[k] = at[k] > range ? range : at[k] < -range ? -range : at[k];
            q[3 * i + (size_t)k] = (int32_t)at[k];
        }
}

static void every_number_of_atoms_and_size_of_steps_comes_back(void **state)
{
    (void)state;
    uint64_t random = 1;
    int32_t q[3 * 64];
    for (size_t atoms = 1; atoms <= 64; atoms++)
        for (int64_t step = 1; step < (int64_t)1 << 28; step *= 3)
            for (int64_t range = step; range <= (int64_t)1 << 29; range *= 37) {
                make_walk(&random, q, atoms, range, step);
                check_atoms(q, atoms);
            }
}

static void water_with_its_swapped_pairs_comes_back(void **state)
{
    (void)state;
    uint64_t random = 2;
    enum { WATERS = 1000 };
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(9 * WATERS, sizeof *q);
    for (size_t i = 0; i < WATERS; i++)
        for (size_t k = 0; k < 3; k++) {
            q[9 * i + k] = (int32_t)(next_random(&random) % 7000);
            q[9 * i + 3 + k] = q[9 * i + k] + (int32_t)(next_random(&random) % 120) - 60;
            q[9 * i + 6 + k] = q[9 * i + k] + (int32_t)(next_random(&random) % 120) - 60;
        }
    check_atoms(q, 3 * WATERS);
}

static void steps_that_change_along_the_list_change_the_small_size(void **state)
{
    (void)state;
    uint64_t random = 3;
    enum { ATOMS = 4000 };
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * ATOMS, sizeof *q);
    for (int shift = 4; shift < 26; shift++) {
        for (size_t i = 0; i < ATOMS; i += 20)
            make_walk(&random, q + 3 * i, 20, 1 << 27,
                      (int64_t)1 << (next_random(&random) % (unsigned)shift));
        check_atoms(q, ATOMS);
    }
}

static void planes_lines_and_points_come_back(void **state)
{
    (void)state;
    int32_t q[3 * 30] = {0};
    check_atoms(q, 30);
    for (size_t i = 0; i < 30; i++)
        q[3 * i + 1] = (int32_t)i * 1000 - 7;
    check_atoms(q, 30);
    for (size_t i = 0; i < 30; i++)
        q[3 * i + 2] = (int32_t)(i % 3) * 16777216;
    check_atoms(q, 30);
}

static void triplets_of_57_to_72_bits_come_back(void **state)
{
    (void)state;
    uint64_t random = 4;
    int32_t q[3 * 40];
    for (int bits = 15; bits <= 24; bits++)
        for (int more = 0; more < 3; more++) {
            for (size_t i = 0; i < 40; i++)
                for (size_t k = 0; k < 3; k++)
                    q[3 * i + k] =
                        (int32_t)(next_random(&random) % ((1u << bits) - (k < (size_t)more)));
            check_atoms(q, 40);
        }
}

static void a_span_beyond_31_bits_is_refused(void **state)
{
    (void)state;
    int32_t q[30] = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct ebb_xtc_block block;
    struct ebb_error err = {0};
    q[5] = INT32_MAX;
    q[8] = -1;
    assert_int_equal(ebb_xtc_encode(q, 10, &block, &out, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "too far apart"));
    q[8] = INT32_MIN;
    assert_int_equal(ebb_xtc_encode(q, 10, &block, &out, &err), EBB_ERR_INPUT);
    q[5] = INT32_MAX - 1024;
    q[8] = 0;
    check_atoms(q, 10);
    for (size_t i = 0; i < 30; i++)
        q[i] = i % 2 == 0 ? INT32_MIN : INT32_MIN + 2000000000;
    check_atoms(q, 10);
}

static void streams_that_no_writer_writes_are_refused(void **state)
{
    (void)state;
    uint8_t stream[256];
    int32_t q[300];
    struct ebb_error err = {0};
    struct ebb_xtc_block block = {
        .max = {1000, 1000, 1000}, .small_index = 20, .stream = stream, .stream_bytes = 100};
    memset(stream, 0, sizeof stream);
    assert_int_equal(ebb_xtc_decode(&block, 24, q, &err), 0);
    assert_int_equal(ebb_xtc_decode(&block, 100, q, &err), EBB_ERR_CORRUPT);
    assert_non_null(strstr(err.text, "end within atom"));
    assert_int_equal(ebb_xtc_decode(&block, 100000, q, &err), EBB_ERR_CORRUPT);
    memset(stream, 0xff, sizeof stream);
    assert_int_equal(ebb_xtc_decode(&block, 24, q, &err), EBB_ERR_CORRUPT);
    assert_non_null(strstr(err.text, "run"));
    block.small_index = 8;
    assert_int_equal(ebb_xtc_decode(&block, 24, q, &err), EBB_ERR_CORRUPT);
    block.small_index = 73;
    assert_int_equal(ebb_xtc_decode(&block, 24, q, &err), EBB_ERR_CORRUPT);
    block.small_index = 20;
    block.min[1] = 1001;
    assert_int_equal(ebb_xtc_decode(&block, 24, q, &err), EBB_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_atoms_and_size_of_steps_comes_back),
        cmocka_unit_test(water_with_its_swapped_pairs_comes_back),
        cmocka_unit_test(steps_that_change_along_the_list_change_the_small_size),
        cmocka_unit_test(planes_lines_and_points_come_back),
        cmocka_unit_test(triplets_of_57_to_72_bits_come_back),
        cmocka_unit_test(a_span_beyond_31_bits_is_refused),
        cmocka_unit_test(streams_that_no_writer_writes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
