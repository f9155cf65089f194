/* Growing files: where a restore cuts them, by each rule. */
#include "tests/unit/agent/scratch.h"

#include "agent/append.h"

#define MARKER "ITEM: TIMESTEP\n${step}\n"

static char *frames(unsigned first, unsigned last, unsigned every, size_t body)
{
    struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *filler = ebb_alloc(body + 1);
    memset(filler, 'x', body);
    for (unsigned step = first; step <= last; step += every)
        ebb_buffer_printf(&text, "ITEM: TIMESTEP\n%u\n%s\n", step, filler);
    return ebb_buffer_take_text(&text);
}

static uint64_t cut_at(const char *directory, const char *text, const char *marker, int64_t step)
{
    struct ebb_error err = {0};
    uint64_t cut = 0;
    EBB_AUTO_FREE char *path = scratch_write(directory, "a.dump", text, strlen(text));
    if (ebb_append_cut_offset(path, marker, step, &cut, &err) < 0)
        fail_msg("%s", err.text);
    return cut;
}

static void frames_from_the_restored_step_on_go(void **state)
{
    EBB_AUTO_FREE char *all = frames(0, 1000, 100, 10);
    EBB_AUTO_FREE char *kept = frames(0, 600, 100, 10);
    assert_int_equal(cut_at(*state, all, MARKER, 700), strlen(kept));
    assert_int_equal(cut_at(*state, all, MARKER, 650), strlen(kept));
    assert_int_equal(cut_at(*state, all, MARKER, 0), 0);
    assert_int_equal(cut_at(*state, all, MARKER, 1001), strlen(all));
}

static void frames_larger_and_smaller_than_a_block_are_found(void **state)
{
    static const size_t bodies[] = {0, 1, 1000, 100000, 262144 - 20, 262144, 262144 + 1, 700000};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bodies); i++) {
        EBB_AUTO_FREE char *all = frames(10, 80, 10, bodies[i]);
        EBB_AUTO_FREE char *kept = frames(10, 40, 10, bodies[i]);
        assert_int_equal(cut_at(*state, all, MARKER, 50), strlen(kept));
    }
}

/* The marker at every place relative to the blocks that are read from the end. */
static void a_marker_across_the_edge_of_a_block_is_found(void **state)
{
    for (size_t shift = 0; shift < 64; shift++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        EBB_AUTO_FREE char *head = frames(1, 1, 1, 5);
        EBB_AUTO_FREE char *filler = ebb_alloc(262144);
        ebb_buffer_append_text(&text, head);
        size_t wanted = text.len;
        ebb_buffer_append_text(&text, "ITEM: TIMESTEP\n2\n");
        memset(filler, 'y', 262144 - 1 - shift);
        ebb_buffer_append(&text, filler, 262144 - 1 - shift);
        ebb_buffer_append_text(&text, "\n");
        assert_int_equal(cut_at(*state, ebb_buffer_text(&text), MARKER, 2), wanted);
    }
}

static void a_marker_inside_a_line_is_text(void **state)
{
    const char *text = "ITEM: TIMESTEP\n1\nbody\nsay ITEM: TIMESTEP\n9\nmore\n";
    assert_int_equal(cut_at(*state, text, MARKER, 5), strlen(text));
}

static void a_torn_marker_at_the_end_stays(void **state)
{
    const char *text = "ITEM: TIMESTEP\n1\nbody\nITEM: TIMESTEP\n12";
    assert_int_equal(cut_at(*state, text, MARKER, 5), strlen(text));
}

static void steps_are_compared_as_numbers(void **state)
{
    EBB_AUTO_FREE char *all = frames(900, 1100, 100, 3);
    EBB_AUTO_FREE char *kept = frames(900, 900, 100, 3);
    assert_int_equal(cut_at(*state, all, MARKER, 1000), strlen(kept));
}

static void an_empty_file_is_left_alone(void **state)
{
    assert_int_equal(cut_at(*state, "", MARKER, 5), 0);
}

static void a_marker_without_a_step_is_refused(void **state)
{
    struct ebb_error err = {0};
    uint64_t cut;
    EBB_AUTO_FREE char *path = scratch_write(*state, "a.dump", "x", 1);
    assert_int_equal(ebb_append_cut_offset(path, "TIMESTEP", 5, &cut, &err), EBB_ERR_INPUT);
    assert_int_equal(ebb_append_cut_offset(path, "${step}", 5, &cut, &err), EBB_ERR_INPUT);
}

static void rules_apply_to_the_files_they_name(void **state)
{
    Ebb__ProfileAppend dump = EBB__PROFILE_APPEND__INIT, log = EBB__PROFILE_APPEND__INIT;
    Ebb__ProfileAppend *rules[] = {&log, &dump};
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *all = frames(0, 50, 10, 4);
    EBB_AUTO_FREE char *kept = frames(0, 20, 10, 4);
    dump.glob = (char *)"*.dump";
    dump.cut = (char *)"marker";
    dump.marker = (char *)MARKER;
    log.glob = (char *)"*.log";
    log.cut = (char *)"engine";
    scratch_put(*state, "a.dump", all);
    scratch_put(*state, "b.log", all);
    assert_int_equal(ebb_append_cut_all(*state, rules, 2, 30, &err), 0);
    EBB_AUTO_FREE char *a = scratch_read(*state, "a.dump");
    EBB_AUTO_FREE char *b = scratch_read(*state, "b.log");
    assert_string_equal(a, kept);
    assert_string_equal(b, all);
    assert_int_equal(ebb_append_cut_all(*state, rules, 2, -1, &err), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(frames_from_the_restored_step_on_go),
        scratch_test(frames_larger_and_smaller_than_a_block_are_found),
        scratch_test(a_marker_across_the_edge_of_a_block_is_found),
        scratch_test(a_marker_inside_a_line_is_text),
        scratch_test(a_torn_marker_at_the_end_stays),
        scratch_test(steps_are_compared_as_numbers),
        scratch_test(an_empty_file_is_left_alone),
        scratch_test(a_marker_without_a_step_is_refused),
        scratch_test(rules_apply_to_the_files_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
