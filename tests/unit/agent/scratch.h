/* A scratch directory for a test, and files in it. */
#ifndef EBB_TESTS_UNIT_AGENT_SCRATCH_H
#define EBB_TESTS_UNIT_AGENT_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"

static inline int scratch_set_up(void **state)
{
    char template[] = "/tmp/ebb-agent-unit-XXXXXX";
    *state = ebb_strdup(mkdtemp(template));
    return 0;
}

static inline int scratch_tear_down(void **state)
{
    ebb_remove_tree(*state, NULL);
    free(*state);
    return 0;
}

static inline char *scratch_write(const char *directory, const char *name, const char *text,
                                  size_t len)
{
    char *path = ebb_path_join(directory, name);
    struct ebb_error err = {0};
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(ebb_mkdir_p(path, 0700, &err), 0);
    *slash = '/';
    if (ebb_file_write_atomic(path, text, len, 0644, &err) < 0)
        fail_msg("%s", err.text);
    return path;
}

static inline void scratch_put(const char *directory, const char *name, const char *text)
{
    free(scratch_write(directory, name, text, strlen(text)));
}

/* Sets the modification time, seconds since the epoch. */
static inline void scratch_touch(const char *directory, const char *name, long seconds)
{
    EBB_AUTO_FREE char *path = ebb_path_join(directory, name);
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static inline char *scratch_read(const char *directory, const char *name)
{
    EBB_AUTO_FREE char *path = ebb_path_join(directory, name);
    struct ebb_buffer text = {0};
    if (ebb_file_read(path, 1 << 26, &text, NULL) < 0)
        return NULL;
    return ebb_buffer_take_text(&text);
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_set_up, scratch_tear_down)

#endif
