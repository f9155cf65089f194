/* New files: whole or absent, whatever ends the process that writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/file_bytes.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/ebb-new-file-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    return ebb_remove_tree(folder, NULL);
}

typedef int create_fn(const char *path, bool replace, struct ebb_new_file *ret,
                      struct ebb_error *err);
static create_fn *const creates[] = {ebb_new_file_create, ebb_new_file_create_named};

static size_t files_in_folder(void)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static void write_text(struct ebb_new_file *f, const char *text)
{
    struct ebb_packed_sink sink = ebb_new_file_sink(f);
    assert_int_equal(sink.write(sink.ctx, text, strlen(text), NULL), 0);
}

static void assert_holds(const char *path, const char *text)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_file_read(path, 1000, &b, NULL), 0);
    assert_string_equal((const char *)b.data, text);
}

static void a_file_has_its_name_once_it_is_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(creates); i++) {
        EBB_AUTO_FREE char *path = ebb_path_join(folder, "file");
        EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file f = {0};
        struct ebb_error err = {0};
        assert_int_equal(creates[i](path, false, &f, &err), 0);
        write_text(&f, "one");
        assert_false(ebb_file_exists(path));
        struct ebb_bytes back = ebb_new_file_bytes(&f);
        char text[3];
        assert_int_equal(ebb_bytes_read(&back, 0, text, 3, NULL), 0);
        assert_memory_equal(text, "one", 3);
        assert_int_equal(ebb_new_file_publish(&f, 0600, 0, &err), 0);
        assert_holds(path, "one");
        /* Another needs leave to replace it, also when it came meanwhile. */
        EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file g = {0};
        assert_int_equal(creates[i](path, false, &g, &err), EBB_ERR_INPUT);
        assert_int_equal(creates[i](path, true, &g, &err), 0);
        write_text(&g, "two");
        assert_int_equal(ebb_new_file_publish(&g, 0600, 0, &err), 0);
        assert_holds(path, "two");
        assert_int_equal(unlink(path), 0);
        EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file h = {0};
        assert_int_equal(creates[i](path, false, &h, &err), 0);
        assert_int_equal(ebb_file_write_atomic(path, "mine", 4, 0600, &err), 0);
        assert_int_equal(ebb_new_file_publish(&h, 0600, 0, &err), EBB_ERR_INPUT);
        assert_holds(path, "mine");
        assert_int_equal(unlink(path), 0);
        ebb_new_file_clean_up(&h);
        assert_int_equal(files_in_folder(), 0);
    }
}

/* A child that has begun a file and waits. */
static pid_t begin_in_child(create_fn *create)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        EBB_AUTO_FREE char *path = ebb_path_join(folder, "file");
        struct ebb_new_file f = {0};
        if (create(path, false, &f, NULL) == 0 && write(ready[1], "x", 1) == 1)
            for (;;)
                (void)pause();
        _exit(1);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return child;
}

static void end_child(pid_t child, int number)
{
    int status = 0;
    assert_int_equal(kill(child, number), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == number);
}

static void a_signal_leaves_nothing(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < EBB_ARRAY_LEN(creates); i++)
        for (size_t k = 0; k < EBB_ARRAY_LEN(signals); k++) {
            end_child(begin_in_child(creates[i]), signals[k]);
            assert_int_equal(files_in_folder(), 0);
        }
    end_child(begin_in_child(ebb_new_file_create), SIGKILL);
    assert_int_equal(files_in_folder(), 0);
}

static void what_a_kill_left_is_removed_and_what_is_being_written_is_not(void **state)
{
    (void)state;
    end_child(begin_in_child(ebb_new_file_create_named), SIGKILL);
    assert_int_equal(files_in_folder(), 1);
    pid_t busy = begin_in_child(ebb_new_file_create_named); /* removes it, has its own */
    assert_int_equal(files_in_folder(), 1);
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "other");
    EBB_AUTO_FREE char *alike = ebb_path_join(folder, "a.ebb-tmp-0123");
    assert_int_equal(ebb_file_write_atomic(alike, "", 0, 0600, NULL), 0);
    EBB_AUTO(ebb_new_file_clean_up) struct ebb_new_file f = {0};
    assert_int_equal(ebb_new_file_create(path, false, &f, NULL), 0);
    assert_int_equal(files_in_folder(), 2); /* the busy one and the one that is only alike */
    end_child(busy, SIGTERM);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(unlink(alike), 0);
}

static void a_file_that_grows_past_a_limit_is_an_error(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 1000, .rlim_max = 1000};
        EBB_AUTO_FREE char *path = ebb_path_join(folder, "file");
        struct ebb_new_file f = {0};
        static char bytes[2000];
        struct ebb_error err = {0};
        (void)signal(SIGXFSZ, SIG_IGN); /* as the program does */
        if (ebb_new_file_create(path, false, &f, NULL) < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0)
            _exit(1);
        struct ebb_packed_sink sink = ebb_new_file_sink(&f);
        _exit(sink.write(sink.ctx, bytes, sizeof bytes, &err) < 0 && strstr(err.text, path) ? 0
                                                                                            : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(files_in_folder(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_has_its_name_once_it_is_published, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_signal_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_a_kill_left_is_removed_and_what_is_being_written_is_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_grows_past_a_limit_is_an_error, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
