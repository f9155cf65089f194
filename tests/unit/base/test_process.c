/* Children: output, status, environment, and what is left of one that cannot start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"

#define DEFAULTS .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1

/* Runs the command, returns what it wrote and its status. */
static char *run(const struct ebb_process_options *options, int *ret_status)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct ebb_process_options o = *options;
    o.stdout_fd = fds[1];
    pid_t pid = -1;
    struct ebb_error err = {0};
    if (ebb_process_start(&o, &pid, &err) < 0)
        fail_msg("%s", err.text);
    close(fds[1]);
    struct ebb_buffer out = {0};
    char chunk[4096];
    ssize_t n;
    while ((n = read(fds[0], chunk, sizeof chunk)) > 0)
        ebb_buffer_append(&out, chunk, (size_t)n);
    close(fds[0]);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return ebb_buffer_take_text(&out);
}

static char *run_shell(const char *script, int *ret_status)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    return run(&(struct ebb_process_options){.argv = argv, DEFAULTS}, ret_status);
}

static void output_and_status_come_back(void **unused)
{
    (void)unused;
    int status;
    EBB_AUTO_FREE char *out = run_shell("echo hello; cat; exit 7", &status);
    assert_string_equal(out, "hello\n"); /* standard input is empty */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void exec_failure_is_an_error_and_leaves_no_child(void **unused)
{
    (void)unused;
    const char *argv[] = {"/no/such/program", NULL};
    struct ebb_error err = {0};
    pid_t pid = -5;
    int rc = ebb_process_start(&(struct ebb_process_options){.argv = argv, DEFAULTS}, &pid, &err);
    assert_int_equal(rc, EBB_ERR_NOT_FOUND);
    assert_int_equal(pid, -5);
    assert_non_null(strstr(err.text, "/no/such/program"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void missing_directory_is_named(void **unused)
{
    (void)unused;
    const char *argv[] = {"true", NULL};
    struct ebb_error err = {0};
    pid_t pid;
    int rc = ebb_process_start(
        &(struct ebb_process_options){.argv = argv, .directory = "/no/such/dir", DEFAULTS}, &pid,
        &err);
    assert_int_equal(rc, EBB_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/no/such/dir"));
}

static void directory_and_environment_are_set(void **unused)
{
    (void)unused;
    const char *argv[] = {"sh", "-c", "pwd; echo $EBB_TEST; env | wc -l", NULL};
    const char *env[] = {"PATH=/usr/bin:/bin", "EBB_TEST=yes", NULL};
    int status;
    EBB_AUTO_FREE char *out =
        run(&(struct ebb_process_options){.argv = argv, .env = env, .directory = "/usr", DEFAULTS},
            &status);
    assert_memory_equal(out, "/usr\nyes\n", 9);
}

static void program_is_looked_up_in_the_childs_path(void **unused)
{
    (void)unused;
    const char *argv[] = {"sh", "-c", "true", NULL};
    const char *env[] = {"PATH=/no/such/place", NULL};
    pid_t pid;
    int rc = ebb_process_start(&(struct ebb_process_options){.argv = argv, .env = env, DEFAULTS},
                               &pid, NULL);
    assert_int_equal(rc, EBB_ERR_NOT_FOUND);
}

static void no_descriptor_leaks_into_the_child(void **unused)
{
    (void)unused;
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    int high = fcntl(leak, F_DUPFD, 200);
    int status;
    EBB_AUTO_FREE char *out = run_shell("ls -1 /proc/self/fd | tr '\\n' ' '", &status);
    /* 3 is the folder that ls itself reads. */
    assert_string_equal(out, "0 1 2 3 ");
    close(leak);
    close(high);
}

static int count_own_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void no_descriptor_leaks_in_the_parent(void **unused)
{
    (void)unused;
    int before = count_own_fds();
    int status;
    for (int i = 0; i < 5; i++) {
        free(run_shell("true", &status));
        const char *argv[] = {"/no/such/program", NULL};
        pid_t pid;
        ebb_process_start(&(struct ebb_process_options){.argv = argv, DEFAULTS}, &pid, NULL);
    }
    assert_int_equal(count_own_fds(), before);
}

static void signals_are_default_and_unblocked_in_the_child(void **unused)
{
    (void)unused;
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, &old);
    signal(SIGPIPE, SIG_IGN);
    int status;
    EBB_AUTO_FREE char *out = run_shell("grep -E 'Sig(Blk|Ign)' /proc/self/status", &status);
    sigset_t now;
    sigprocmask(SIG_SETMASK, &old, &now);
    assert_true(sigismember(&now, SIGTERM)); /* the caller's mask is as it was */
    assert_string_equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void child_leads_a_group_or_a_session(void **unused)
{
    (void)unused;
    const char *argv[] = {"sleep", "30", NULL};
    for (int own_session = 0; own_session <= 1; own_session++) {
        pid_t pid;
        assert_int_equal(ebb_process_start(
                             &(struct ebb_process_options){
                                 .argv = argv, .new_session = own_session == 1, DEFAULTS},
                             &pid, NULL),
                         0);
        assert_int_equal(getpgid(pid), pid);
        assert_int_equal(getsid(pid) == pid, own_session);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

/* ---- reaping ---- */

struct reaping {
    struct ebb_loop *loop;
    struct ebb_reaper *reaper;
    int left;
    int exit_sum;
    bool destroy_in_callback;
};

static void on_exit_sum(void *ctx, pid_t pid, int status)
{
    (void)pid;
    struct reaping *r = ctx;
    r->exit_sum += WEXITSTATUS(status);
    if (--r->left == 0)
        ebb_loop_stop(r->loop);
    if (r->destroy_in_callback) {
        ebb_reaper_destroy(r->reaper);
        r->reaper = NULL;
    }
}

static void start_exiting(struct reaping *r, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    pid_t pid;
    assert_int_equal(
        ebb_process_start(&(struct ebb_process_options){.argv = argv, DEFAULTS}, &pid, NULL), 0);
    ebb_reaper_watch(r->reaper, pid, on_exit_sum, r);
}

static void reaper_reports_each_child_once(void **unused)
{
    (void)unused;
    struct reaping r = {.loop = ebb_loop_new(), .left = 3};
    r.reaper = ebb_reaper_new(r.loop);
    start_exiting(&r, "exit 1");
    start_exiting(&r, "sleep 0.05; exit 2");
    start_exiting(&r, "exit 4");
    assert_int_equal(ebb_loop_run(r.loop, NULL), 0);
    assert_int_equal(r.exit_sum, 7);
    ebb_reaper_destroy(r.reaper);
    ebb_loop_destroy(r.loop);
}

static void ignore_signal(void *ctx)
{
    (void)ctx;
}

/* Without free descriptors pidfd_open fails, so the SIGCHLD way is taken. */
static void reaper_works_without_pidfds(void **unused)
{
    (void)unused;
    struct reaping r = {.loop = ebb_loop_new(), .left = 3};
    r.reaper = ebb_reaper_new(r.loop);
    /* libevent opens its signal descriptors at the first watch: let it do so first. */
    struct ebb_watch *early = ebb_watch_signal(r.loop, SIGUSR2, ignore_signal, NULL);
    pid_t pids[3];
    const char *scripts[3] = {"exit 1", "sleep 0.1; exit 2", "exit 4"};
    for (int i = 0; i < 3; i++) {
        const char *argv[] = {"sh", "-c", scripts[i], NULL};
        assert_int_equal(ebb_process_start(&(struct ebb_process_options){.argv = argv, DEFAULTS},
                                           &pids[i], NULL),
                         0);
    }
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    for (int i = 0; i < 3; i++)
        ebb_reaper_watch(r.reaper, pids[i], on_exit_sum, &r);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(ebb_loop_run(r.loop, NULL), 0);
    assert_int_equal(r.exit_sum, 7);
    ebb_watch_destroy(early);
    ebb_reaper_destroy(r.reaper);
    ebb_loop_destroy(r.loop);
}

static void reaper_may_be_destroyed_in_its_callback(void **unused)
{
    (void)unused;
    struct reaping r = {.loop = ebb_loop_new(), .left = 1, .destroy_in_callback = true};
    r.reaper = ebb_reaper_new(r.loop);
    start_exiting(&r, "exit 1");
    assert_int_equal(ebb_loop_run(r.loop, NULL), 0);
    assert_null(r.reaper);
    ebb_loop_destroy(r.loop);
}

/* ---- trees ---- */

/* Starts a script whose processes all hold the write end of a pipe: end of file on it means that
 * none of them is left. */
static pid_t start_tree(const char *script, bool subreaper, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    const char *argv[] = {"bash", "-c", script, NULL};
    pid_t pid;
    struct ebb_process_options o = {.argv = argv,
                                    .stdin_fd = -1,
                                    .stdout_fd = fds[1],
                                    .stderr_fd = -1,
                                    .new_session = true,
                                    .subreaper = subreaper};
    assert_int_equal(ebb_process_start(&o, &pid, NULL), 0);
    close(fds[1]);
    char ready;
    assert_int_equal(read(fds[0], &ready, 1), 1);
    *ret_fd = fds[0];
    return pid;
}

static void expect_all_gone(pid_t pid, int fd)
{
    char chunk[256];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        assert_int_equal(poll(&p, 1, 60000), 1); /* else somebody is still alive */
        if (read(fd, chunk, sizeof chunk) == 0)
            break;
    }
    close(fd);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void kill_tree_reaches_children_and_grandchildren(void **unused)
{
    (void)unused;
    int fd;
    pid_t pid = start_tree("(sleep 60 & sleep 60 & echo x; wait) & wait", false, &fd);
    assert_true(ebb_process_kill_tree(pid) >= 3);
    expect_all_gone(pid, fd);
}

static void kill_tree_reaches_what_left_session_and_parent(void **unused)
{
    (void)unused;
    int fd;
    /* A daemon: new session, parent dead, adopted by the root as its subreaper. */
    pid_t pid = start_tree("(setsid sh -c 'sleep 61 & echo x; wait' & ) ; sleep 60; :", true, &fd);
    assert_true(ebb_process_kill_tree(pid) >= 3);
    expect_all_gone(pid, fd);
}

static void kill_tree_reaches_orphans_of_a_dead_root(void **unused)
{
    (void)unused;
    int fd;
    pid_t pid = start_tree("sleep 62 & sleep 62 & echo x; kill -9 $$", false, &fd);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(ebb_process_kill_tree(pid), 2);
    expect_all_gone(pid, fd);
}

static void kill_tree_outruns_a_forking_tree(void **unused)
{
    (void)unused;
    int fd;
    /* Each step forks its successor and ends: whoever kills what it sees always comes late. */
    pid_t pid = start_tree(
        "echo x; f() { sleep 0.002; f & }; f & f & f & while :; do sleep 0.01; done", true, &fd);
    ebb_process_kill_tree(pid);
    expect_all_gone(pid, fd);
}

static void kill_tree_spares_others(void **unused)
{
    (void)unused;
    int fd, other_fd;
    pid_t other = start_tree("sleep 60 & echo x; wait", false, &other_fd);
    pid_t pid = start_tree("sleep 60 & echo x; wait", false, &fd);
    assert_int_equal(ebb_process_kill_tree(pid), 2);
    expect_all_gone(pid, fd);
    assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
    assert_int_equal(ebb_process_kill_tree(other), 2);
    expect_all_gone(other, other_fd);
    assert_int_equal(ebb_process_kill_tree(1), 0);
    assert_int_equal(ebb_process_kill_tree(getpid()), 0);
}

static void child_dies_with_its_parent(void **unused)
{
    (void)unused;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t middle = fork();
    if (middle == 0) {
        const char *argv[] = {"sh", "-c", "echo x; exec sleep 60", NULL};
        pid_t pid;
        struct ebb_process_options o = {.argv = argv,
                                        .stdin_fd = -1,
                                        .stdout_fd = fds[1],
                                        .stderr_fd = -1,
                                        .die_with_parent = true};
        ebb_process_start(&o, &pid, NULL);
        pause();
        _exit(0);
    }
    close(fds[1]);
    char c;
    assert_int_equal(read(fds[0], &c, 1), 1);
    int grandchild = 0;
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)middle, (int)middle);
    FILE *f = fopen(path, "re");
    if (f != NULL && fgets(text, sizeof text, f) != NULL)
        grandchild = atoi(text);
    if (f != NULL)
        fclose(f);
    kill(middle, SIGKILL);
    waitpid(middle, NULL, 0);
    if (grandchild > 0) {
        for (int i = 0; i < 6000 && kill(grandchild, 0) == 0; i++) {
            char state[64] = "", line[256];
            snprintf(path, sizeof path, "/proc/%d/stat", grandchild);
            f = fopen(path, "re");
            if (f != NULL && fgets(line, sizeof line, f) != NULL)
                sscanf(line, "%*d %*s %60s", state);
            if (f != NULL)
                fclose(f);
            if (state[0] == 'Z' || state[0] == '\0')
                break;
            usleep(10000);
            assert_true(i < 5999);
        }
    }
    close(fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_come_back),
        cmocka_unit_test(exec_failure_is_an_error_and_leaves_no_child),
        cmocka_unit_test(missing_directory_is_named),
        cmocka_unit_test(directory_and_environment_are_set),
        cmocka_unit_test(program_is_looked_up_in_the_childs_path),
        cmocka_unit_test(no_descriptor_leaks_into_the_child),
        cmocka_unit_test(no_descriptor_leaks_in_the_parent),
        cmocka_unit_test(signals_are_default_and_unblocked_in_the_child),
        cmocka_unit_test(child_leads_a_group_or_a_session),
        cmocka_unit_test(reaper_reports_each_child_once),
        cmocka_unit_test(reaper_works_without_pidfds),
        cmocka_unit_test(reaper_may_be_destroyed_in_its_callback),
        cmocka_unit_test(kill_tree_reaches_children_and_grandchildren),
        cmocka_unit_test(kill_tree_reaches_what_left_session_and_parent),
        cmocka_unit_test(kill_tree_reaches_orphans_of_a_dead_root),
        cmocka_unit_test(kill_tree_outruns_a_forking_tree),
        cmocka_unit_test(kill_tree_spares_others),
        cmocka_unit_test(child_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
