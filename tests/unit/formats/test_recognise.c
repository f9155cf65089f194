/* The kind of a file by its first bytes; every kind's own test recognises its own files. */
#include "frame_check.h"

static enum ebb_file_kind kind_of(const char *bytes, size_t len)
{
    uint8_t head[256] = {0};
    memcpy(head, bytes, len);
    return ebb_file_recognise(head, sizeof head);
}

static void put_zip(struct ebb_buffer *b, const char *member)
{
    uint8_t head[30] = "PK\3\4";
    head[26] = (uint8_t)strlen(member);
    ebb_buffer_append(b, head, sizeof head);
    ebb_buffer_append_text(b, member);
}

static void archives_of_arrays_are_told_by_their_first_member(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        enum ebb_file_kind kind;
    } cases[] = {{"archive/data.pkl", EBB_FILE_TORCH},
                 {"model/.format_version", EBB_FILE_TORCH},
                 {"arr_0.npy", EBB_FILE_NPZ},
                 {"mimetype", EBB_FILE_RAW},
                 {"data.pkl", EBB_FILE_RAW}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_zip(&b, cases[i].member);
        assert_int_equal(ebb_file_recognise(b.data, b.len), cases[i].kind);
        assert_int_equal(ebb_file_recognise(b.data, b.len - 1), EBB_FILE_RAW);
    }
}

static void tensors_and_arrays_are_told_by_their_start(void **state)
{
    (void)state;
    assert_int_equal(kind_of("\x40\0\0\0\0\0\0\0{\"a\"", 12), EBB_FILE_SAFETENSORS);
    assert_int_equal(kind_of("\x40\0\0\0\0\0\0\x01{\"a\"", 12), EBB_FILE_RAW);
    assert_int_equal(kind_of("\x93NUMPY\1\0", 8), EBB_FILE_NPY);
}

static void anything_else_is_raw(void **state)
{
    (void)state;
    assert_int_equal(ebb_file_recognise("", 0), EBB_FILE_RAW);
    assert_int_equal(kind_of("ITEM: ", 6), EBB_FILE_RAW);
    assert_int_equal(kind_of("", 0), EBB_FILE_RAW);
    uint64_t random = 3;
    uint8_t head[512];
    for (int i = 0; i < 20000; i++) {
        for (size_t k = 0; k < sizeof head; k++)
            head[k] = (uint8_t)(i % 2 == 0 ? next_random(&random) : next_random(&random) % 3);
        assert_int_equal(ebb_file_recognise(head, next_random(&random) % sizeof head),
                         EBB_FILE_RAW);
    }
}

static void names_and_abilities_are_there_for_every_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < EBB_FILE_KINDS; kind++)
        assert_true(strlen(ebb_file_kind_name((enum ebb_file_kind)kind)) > 2);
    assert_string_equal(ebb_file_kind_name((enum ebb_file_kind)99), "unknown");
    assert_true(ebb_file_kind_has_frames(EBB_FILE_XTC));
    assert_false(ebb_file_kind_has_frames(EBB_FILE_CPT));
    assert_true(ebb_file_kind_has_ranges(EBB_FILE_CPT));
    assert_false(ebb_file_kind_has_ranges(EBB_FILE_XTC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_of_arrays_are_told_by_their_first_member),
        cmocka_unit_test(tensors_and_arrays_are_told_by_their_start),
        cmocka_unit_test(anything_else_is_raw),
        cmocka_unit_test(names_and_abilities_are_there_for_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
