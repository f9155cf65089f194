/* The window on a stream. */
#include "frame_check.h"

#include "formats/input.h"

enum { BYTES = 300000 };

static uint8_t *make_bytes(void)
{
    uint64_t random = 11;
    uint8_t *bytes = ebb_alloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)next_random(&random);
    return bytes;
}

static void the_window_moves_over_every_byte_once(void **state)
{
    (void)state;
    EBB_AUTO_FREE uint8_t *bytes = make_bytes();
    for (size_t piece = 1000; piece < 100000; piece *= 3) {
        struct slow_source slow = {.data = bytes, .len = BYTES, .piece = piece};
        EBB_AUTO(ebb_input_clean_up)
        struct ebb_input in = {.source = {.read = read_slowly, .ctx = &slow}};
        uint64_t random = piece;
        size_t at = 0;
        for (;;) {
            size_t want = 1 + next_random(&random) % 50000;
            int rc = ebb_input_need(&in, want, NULL);
            assert_int_equal(in.offset, at);
            assert_memory_equal(ebb_input_bytes(&in), bytes + at, in.len);
            if (rc == 0) {
                assert_true(in.len < want);
                assert_int_equal(at + in.len, BYTES);
                break;
            }
            assert_int_equal(rc, 1);
            assert_true(in.len >= want);
            size_t skip = next_random(&random) % (want + 1);
            ebb_input_skip(&in, skip);
            at += skip;
        }
    }
}

static void a_need_beyond_the_end_takes_memory_for_what_is_there_alone(void **state)
{
    (void)state;
    EBB_AUTO_FREE uint8_t *bytes = make_bytes();
    struct slow_source slow = {.data = bytes, .len = BYTES, .piece = BYTES};
    EBB_AUTO(ebb_input_clean_up)
    struct ebb_input in = {.source = {.read = read_slowly, .ctx = &slow}};
    assert_int_equal(ebb_input_need(&in, UINT64_MAX, NULL), 0);
    assert_int_equal(in.len, BYTES);
    assert_true(in.capacity < 2 * BYTES);
    assert_memory_equal(ebb_input_bytes(&in), bytes, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_moves_over_every_byte_once),
        cmocka_unit_test(a_need_beyond_the_end_takes_memory_for_what_is_there_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
