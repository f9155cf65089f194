/* Ranges of PyTorch's archives: files that torch.save wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "found_ranges.h"

#define SEEDS EBB_SOURCE_DIR "/tests/fuzz/corpus/tensor_files/"

static void read_seed(const char *name, struct ebb_buffer *out)
{
    EBB_AUTO_FREE char *path = ebb_sprintf("%s%s", SEEDS, name);
    assert_int_equal(ebb_file_read(path, 1 << 20, out, NULL), 0);
}

static void has_line(const char *found, const char *line)
{
    if (strstr(found, line) == NULL)
        fail_msg("\"%s\" is not among\n%s", line, found);
}

static void tensors_have_names_types_shapes_and_roles(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("adam.pt", &file);
    assert_int_equal(ebb_file_recognise(file.data, file.len), EBB_FILE_TORCH);
    EBB_AUTO_FREE char *found = ranges_of(file.data, file.len, EBB_FILE_TORCH);
    has_line(found, "1920+8 i64 1x1 tensor step\n");
    has_line(found, "2048+432 f32 9x12 tensor model.0.weight\n");
    has_line(found, "5952+432 f32 9x12 second-moment optimizer.state.0.exp_avg_sq\n");
    has_line(found, "5440+432 f32 9x12 first-moment optimizer.state.0.exp_avg\n");
    has_line(found, "4864+216 f32 2x27 tensor model.1.weight\n"); /* a kernel of 3 */
    has_line(found, "3840+320 bf16 10x16 tensor half\n");
    has_line(found, "4224+40 i64 5x1 tensor list.0\n");
    has_line(found, "4352+6 f16 3x1 tensor list.1\n");
    has_line(found, "4608+160 f32 40x1 tensor part\n"); /* the tensor is a part of its storage */
    assert_int_equal(file.data[1920], 7);
}

static void the_parameters_of_a_pickled_module_are_found(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("module.pt", &file);
    EBB_AUTO_FREE char *found = ranges_of(file.data, file.len, EBB_FILE_TORCH);
    has_line(found, "1600+432 f32 9x12 tensor _modules.0._parameters.weight\n");
    has_line(found, "2560+8 f32 2x1 tensor _modules.1._parameters.bias\n");
}

static void the_byte_order_of_the_archive_is_respected(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("big.pt", &file);
    EBB_AUTO_FREE char *found = ranges_of(file.data, file.len, EBB_FILE_TORCH);
    assert_string_equal(found, "1841+8 i64(big) 1x1 tensor step\n");
}

static void damage_gives_ranges_at_most(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("module.pt", &file);
    survive_damage(file.data, file.len, EBB_FILE_TORCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_have_names_types_shapes_and_roles),
        cmocka_unit_test(the_parameters_of_a_pickled_module_are_found),
        cmocka_unit_test(the_byte_order_of_the_archive_is_respected),
        cmocka_unit_test(damage_gives_ranges_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
