/* Files and folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    static struct folder f;
    (void)snprintf(f.path, sizeof(f.path), "/tmp/ebb-file-XXXXXX");
    assert_non_null(mkdtemp(f.path));
    *state = &f;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    struct ebb_error err;
    assert_int_equal(ebb_remove_tree(f->path, &err), 0);
    assert_false(ebb_file_exists(f->path));
    return 0;
}

static char *in(void **state, const char *name)
{
    return ebb_path_join(((struct folder *)*state)->path, name);
}

static void put(void **state, const char *name, const char *text)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *path = in(state, name);
    assert_int_equal(ebb_file_write_atomic(path, text, strlen(text), 0644, &err), 0);
}

static void what_is_written_is_read(void **state)
{
    EBB_AUTO_FREE char *path = in(state, "f");
    struct ebb_error err;
    put(state, "f", "one");
    put(state, "f", "second");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "+");
    assert_int_equal(ebb_file_read(path, 6, &b, &err), 0);
    assert_string_equal(ebb_buffer_text(&b), "+second");
}

static void a_write_leaves_no_temporary_file_and_keeps_the_mode(void **state)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *path = in(state, "secret");
    assert_int_equal(ebb_file_write_atomic(path, "k", 1, 0600, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    EBB_AUTO_FREE char *folder = in(state, "folder");
    assert_int_equal(ebb_mkdir_p(folder, 0755, &err), 0);
    assert_true(ebb_file_write_atomic(folder, "k", 1, 0600, &err) < 0);
    EBB_AUTO_FREE char *deep = in(state, "no/such/f");
    assert_int_equal(ebb_file_write_atomic(deep, "k", 1, 0600, &err), EBB_ERR_NOT_FOUND);
    EBB_AUTO_FREE char *command =
        ebb_sprintf("ls -A %s | tr '\\n' ' '", ((struct folder *)*state)->path);
    FILE *p = popen(command, "r");
    char line[256] = {0};
    assert_non_null(fgets(line, sizeof(line), p));
    assert_int_equal(pclose(p), 0);
    assert_string_equal(line, "folder secret ");
}

static void a_file_over_the_limit_is_refused_and_the_buffer_untouched(void **state)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *path = in(state, "big");
    put(state, "big", "0123456789");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "x");
    assert_int_equal(ebb_file_read(path, 9, &b, &err), EBB_ERR_INPUT);
    assert_string_equal(ebb_buffer_text(&b), "x");
    assert_int_equal(ebb_file_read("/dev/zero", 100000, &b, &err), EBB_ERR_INPUT);
    EBB_AUTO_FREE char *absent = in(state, "absent");
    assert_int_equal(ebb_file_read(absent, 9, &b, &err), EBB_ERR_NOT_FOUND);
    assert_int_equal(ebb_file_read("/tmp", 9, &b, &err), EBB_ERR_IO);
    assert_string_equal(ebb_buffer_text(&b), "x");
}

static void a_full_device_is_no_space(void **state)
{
    (void)state;
    struct ebb_error err;
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ebb_write_all(fd, "x", 1, &err), EBB_ERR_NO_SPACE);
    (void)close(fd);
}

static void folders_are_made_to_any_depth(void **state)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *path = in(state, "a//b/c/");
    assert_int_equal(ebb_mkdir_p(path, 0755, &err), 0);
    assert_int_equal(ebb_mkdir_p(path, 0755, &err), 0);
    assert_true(ebb_file_exists(path));
    put(state, "file", "");
    EBB_AUTO_FREE char *below = in(state, "file/x");
    assert_int_equal(ebb_mkdir_p(below, 0755, &err), EBB_ERR_IO);
}

static int collect(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)err;
    assert_true(ebb_path_is_contained(relative));
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    ebb_buffer_printf(ctx, "%s ", relative);
    return strcmp(relative, "stop") == 0 ? 7 : 0;
}

static void a_walk_is_in_byte_order_of_whole_paths(void **state)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *folder = in(state, "a/sub");
    assert_int_equal(ebb_mkdir_p(folder, 0755, &err), 0);
    put(state, "a/x", "");
    put(state, "a/sub/y", "");
    put(state, "a-b", "");
    put(state, "b", "");
    EBB_AUTO_FREE char *link = in(state, "a/loop"), *fifo = in(state, "fifo");
    assert_int_equal(symlink("..", link), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const char *root = ((struct folder *)*state)->path;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer seen = {0};
    assert_int_equal(ebb_walk(root, collect, &seen, &err), 0);
    assert_string_equal(ebb_buffer_text(&seen), "a-b a/loop a/sub/y a/x b ");
    put(state, "stop", "");
    put(state, "zzz", "");
    ebb_buffer_reset(&seen);
    assert_int_equal(ebb_walk(root, collect, &seen, &err), 7);
    assert_string_equal(ebb_buffer_text(&seen), "a-b a/loop a/sub/y a/x b stop ");
    assert_int_equal(ebb_walk("/no/such", collect, &seen, &err), EBB_ERR_NOT_FOUND);
}

static void removing_a_tree_leaves_what_links_point_to(void **state)
{
    struct ebb_error err;
    EBB_AUTO_FREE char *kept = in(state, "kept"), *tree = in(state, "tree/sub");
    assert_int_equal(ebb_mkdir_p(kept, 0755, &err), 0);
    assert_int_equal(ebb_mkdir_p(tree, 0755, &err), 0);
    put(state, "kept/f", "precious");
    EBB_AUTO_FREE char *link = in(state, "tree/sub/link"), *top = in(state, "tree");
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(ebb_remove_tree(top, &err), 0);
    assert_int_equal(ebb_remove_tree(top, &err), 0);
    EBB_AUTO_FREE char *file = in(state, "kept/f");
    assert_true(ebb_file_exists(file));
    assert_false(ebb_file_exists(top));
}

static void contained_paths_have_no_way_out(void **state)
{
    (void)state;
    assert_true(ebb_path_is_contained("a/b"));
    assert_true(ebb_path_is_contained("..a/b.."));
    assert_true(ebb_path_is_contained("./a"));
    assert_false(ebb_path_is_contained(""));
    assert_false(ebb_path_is_contained("/a"));
    assert_false(ebb_path_is_contained(".."));
    assert_false(ebb_path_is_contained("a/../b"));
    assert_false(ebb_path_is_contained("a/.."));
    assert_false(ebb_path_is_contained("a//../b"));
}

static void paths_join_with_one_slash(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *a = ebb_path_join("x", "y"), *b = ebb_path_join("x/", "y");
    EBB_AUTO_FREE char *c = ebb_path_join("", "y"), *d = ebb_path_join("x", "/y");
    assert_string_equal(a, "x/y");
    assert_string_equal(b, "x/y");
    assert_string_equal(c, "y");
    assert_string_equal(d, "/y");
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(what_is_written_is_read),
        FILE_TEST(a_write_leaves_no_temporary_file_and_keeps_the_mode),
        FILE_TEST(a_file_over_the_limit_is_refused_and_the_buffer_untouched),
        FILE_TEST(a_full_device_is_no_space),
        FILE_TEST(folders_are_made_to_any_depth),
        FILE_TEST(a_walk_is_in_byte_order_of_whole_paths),
        FILE_TEST(removing_a_tree_leaves_what_links_point_to),
        FILE_TEST(contained_paths_have_no_way_out),
        FILE_TEST(paths_join_with_one_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
