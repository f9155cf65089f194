/* A bag's files: hashed, faults at their place, uploaded once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/submit_inputs.h"

static char folder[64];

static const char bag_text[] = "name: demo\n"
                               "jobs:\n"
                               "  - name: a\n"
                               "    engine: command\n"
                               "    inputs: [one.txt, two.txt]\n"
                               "    command: cat one.txt\n"
                               "    outputs: [out]\n"
                               "  - name: b\n"
                               "    engine: command\n"
                               "    needs: [a]\n"
                               "    inputs: [one.txt, {from: a, files: [out]}]\n"
                               "    command: cat one.txt\n"
                               "    outputs: [out]\n";

static void put(const char *name, const char *text)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, name);
    if (ebb_file_write_atomic(path, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/ebb-inputs-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put("bag.yaml", bag_text);
    put("one.txt", "one");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return ebb_remove_tree(folder, NULL);
}

static void read_bag(struct ebb_bag_file *f)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "bag.yaml");
    if (ebb_bag_file_read(path, f, &faults, &err) < 0)
        fail_msg("%s\n%s", err.text, ebb_buffer_text(&faults));
}

static void a_missing_input_is_a_fault_at_its_place(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    read_bag(&f);
    assert_int_equal(ebb_inputs_hash(&f, &faults, &err), EBB_ERR_INPUT);
    EBB_AUTO_FREE char *want =
        ebb_sprintf("%s/bag.yaml:5:23: input 'two.txt': cannot open %s/two.txt: No such file or "
                    "directory\n",
                    folder, folder);
    assert_string_equal(ebb_buffer_text(&faults), want);
}

static void a_folder_is_no_input(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *two = ebb_path_join(folder, "two.txt");
    assert_int_equal(mkdir(two, 0755), 0);
    read_bag(&f);
    assert_int_equal(ebb_inputs_hash(&f, &faults, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(ebb_buffer_text(&faults), "is no file: name the files in it\n"));
}

static void inputs_know_size_mode_and_hash(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    put("two.txt", "second");
    read_bag(&f);
    assert_int_equal(ebb_inputs_hash(&f, &faults, &err), 0);
    uint8_t sha256[EBB_SHA256_SIZE];
    ebb_sha256("second", 6, sha256);
    const Ebb__Input *in = f.spec->groups[0]->inputs[1];
    assert_int_equal(in->size_bytes, 6);
    assert_int_equal(in->sha256.len, sizeof(sha256));
    assert_memory_equal(in->sha256.data, sha256, sizeof(sha256));
    assert_int_equal(in->mode & 0600, 0600);
    assert_int_equal(f.spec->groups[1]->inputs[1]->sha256.len, 0);
}

static void what_the_store_has_is_not_sent_again(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    struct ebb_object_store *store = NULL;
    struct ebb_upload_totals totals;
    put("two.txt", "second");
    read_bag(&f);
    EBB_AUTO_FREE char *place = ebb_path_join(folder, "store");
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", place);
    assert_int_equal(ebb_mkdir_p(place, 0755, &err), 0);
    if (ebb_inputs_hash(&f, &faults, &err) < 0 ||
        ebb_object_store_open(url, NULL, &store, &err) < 0 ||
        ebb_inputs_upload(&f, store, &totals, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(totals.files, 3); /* two files and the program */
    assert_int_equal(totals.sent_files, 3);
    struct ebb_object_info info;
    assert_int_equal(
        ebb_object_head(store,
                        "inputs/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
                        &info, &err),
        0);
    assert_int_equal(info.size_bytes, 3);
    assert_int_equal(ebb_inputs_upload(&f, store, &totals, &err), 0);
    assert_int_equal(totals.sent_files, 0);
    ebb_object_store_destroy(store);
}

static void a_file_that_changes_on_the_way_is_noticed(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    struct ebb_object_store *store = NULL;
    struct ebb_upload_totals totals;
    put("two.txt", "second");
    read_bag(&f);
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", folder);
    assert_int_equal(ebb_inputs_hash(&f, &faults, &err), 0);
    put("two.txt", "SECOND");
    assert_int_equal(ebb_object_store_open(url, NULL, &store, &err), 0);
    assert_int_equal(ebb_inputs_upload(&f, store, &totals, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "two.txt changed while it was submitted"));
    ebb_object_store_destroy(store);
}

static void an_own_profile_beside_the_bag_goes_first(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO_FREE char *profiles = ebb_path_join(folder, "profiles");
    assert_int_equal(ebb_mkdir_p(profiles, 0755, NULL), 0);
    put("profiles/command.yaml", "not a profile\n");
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "bag.yaml");
    assert_int_equal(ebb_bag_file_read(path, &f, &faults, &err), EBB_ERR_INPUT);
    assert_true(faults.len > 0);
}

static void an_own_profile_that_cannot_be_read_is_not_passed_over(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    EBB_AUTO_FREE char *no_file = ebb_path_join(folder, "profiles/command.yaml");
    assert_int_equal(ebb_mkdir_p(no_file, 0755, NULL), 0);
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "bag.yaml");
    assert_int_equal(ebb_bag_file_read(path, &f, &faults, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(ebb_buffer_text(&faults), "profiles/command.yaml"));
}

static void a_file_called_profiles_is_no_profile(void **state)
{
    (void)state;
    EBB_AUTO(ebb_bag_file_clean_up) struct ebb_bag_file f = {0};
    put("profiles", "some file of the user's\n");
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "bag.yaml");
    assert_int_equal(ebb_bag_file_read(path, &f, &faults, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_missing_input_is_a_fault_at_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_no_input, setup, teardown),
        cmocka_unit_test_setup_teardown(inputs_know_size_mode_and_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_store_has_is_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_changes_on_the_way_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_own_profile_beside_the_bag_goes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(an_own_profile_that_cannot_be_read_is_not_passed_over,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_called_profiles_is_no_profile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
