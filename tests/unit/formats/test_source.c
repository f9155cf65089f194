/* Bytes in memory as sources. */
#include "frame_check.h"

static void memory_reads_as_a_stream_and_at_any_place(void **state)
{
    (void)state;
    struct ebb_memory_source memory = {.data = (const uint8_t *)"abcdef", .len = 6};
    struct ebb_source stream = ebb_memory_source(&memory);
    char buf[8];
    size_t got = 0;
    assert_int_equal(stream.read(stream.ctx, buf, 4, &got, NULL), 0);
    assert_int_equal(got, 4);
    assert_int_equal(stream.read(stream.ctx, buf + 4, 4, &got, NULL), 0);
    assert_int_equal(got, 2);
    assert_memory_equal(buf, "abcdef", 6);
    assert_int_equal(stream.read(stream.ctx, buf, 4, &got, NULL), 0);
    assert_int_equal(got, 0);
    struct ebb_random_source random = ebb_memory_random_source(&memory);
    assert_int_equal(random.size, 6);
    assert_int_equal(random.read_at(random.ctx, 3, buf, 3, NULL), 0);
    assert_memory_equal(buf, "def", 3);
    assert_int_equal(random.read_at(random.ctx, 4, buf, 3, NULL), EBB_ERR_INTERNAL);
    assert_int_equal(random.read_at(random.ctx, UINT64_MAX, buf, 3, NULL), EBB_ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_reads_as_a_stream_and_at_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
