/* The folder of a VM and its processes.
 *
 *   emulator --pipe--> supervisor (own session, child subreaper) --> boot script --> anything
 *
 * The supervisor adopts whatever leaves its parent, so everything that ever started in the VM is
 * below it in the process tree, and killing that tree is pulling the plug. It holds the reading end
 * of a pipe: when the emulator dies, however, the pipe closes and the supervisor pulls the plug
 * itself. It is a plain fork of the emulator, which has one thread. `shutdown` inside the VM writes
 * to a FIFO that the emulator reads. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/guest.h"

#define MAX_ENVIRONMENT 32

/* ---- the folder ---- */

static int make_shutdown(struct ebb_guest *vm, struct ebb_error *err)
{
    static const char *const names[] = {"shutdown", "poweroff", "halt"};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer script = {0}, fifo = {0};
    EBB_AUTO_FREE char *power = ebb_path_join(vm->directory, "power");

    ebb_shell_quote(&fifo, power);
    ebb_buffer_printf(&script,
                      "#!/bin/sh\n"
                      "# Ends this VM, as on a machine of its own.\n"
                      "[ \"$1\" = -c ] && exit 0\n"
                      "echo off > %s\n",
                      ebb_buffer_text(&fifo));
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
        char relative[32];

        snprintf(relative, sizeof(relative), "bin/%s", names[i]);
        EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, relative);
        int code = ebb_file_write_atomic(path, script.data, script.len, 0700, err);
        if (code < 0)
            return ebb_error_wrap(err, code, "shutdown of a VM");
    }
    return 0;
}

static void on_power(void *ctx, int fd, bool readable, bool writable)
{
    struct ebb_guest *vm = ctx;
    char text[64];

    (void)writable;
    if (readable && read(fd, text, sizeof(text)) > 0)
        ebb_guest_end(vm, EBB_GUEST_END_SHUTDOWN);
}

static int open_power(struct ebb_guest *vm, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, "power");

    if (mkfifo(path, 0600) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot make %s", path);
    /* Open for both, so that it never reads as closed. */
    vm->power_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (vm->power_fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    vm->power_watch = ebb_watch_new(vm->emulator->loop, vm->power_fd, true, false, on_power, vm);
    return 0;
}

int ebb_guest_prepare(struct ebb_guest *vm, struct ebb_error *err)
{
    static const char *const folders[] = {"root", "tmp", "bin"};
    EBB_AUTO_FREE char *vms = ebb_path_join(vm->emulator->state_dir, "vms");

    vm->directory = ebb_path_join(vms, vm->id);
    for (size_t i = 0; i < EBB_ARRAY_LEN(folders); i++) {
        EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, folders[i]);

        int code = ebb_mkdir_p(path, 0700, err);
        if (code < 0)
            return ebb_error_wrap(err, code, "folder of a VM");
    }
    int code = make_shutdown(vm, err);
    return code < 0 ? code : open_power(vm, err);
}

/* ---- the environment ---- */

struct environment {
    char *lines[MAX_ENVIRONMENT];
    size_t count;
};

static void put(struct environment *env, const char *name, const char *value)
{
    if (env->count + 1 < MAX_ENVIRONMENT)
        env->lines[env->count++] = ebb_sprintf("%s=%s", name, value);
}

static void environment_clean_up(struct environment *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->lines[i]);
}

/* Nothing of the user's environment goes in, least of all credentials; options of sanitizers are
 * the exception. */
static void make_environment(const struct ebb_guest *vm, struct environment *env)
{
    static const char *const kept[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                       "TSAN_OPTIONS"};
    const struct ebb_emulator *e = vm->emulator;
    char text[256];

    EBB_AUTO_FREE char *home = ebb_path_join(vm->directory, "root");
    EBB_AUTO_FREE char *tmp = ebb_path_join(vm->directory, "tmp");
    EBB_AUTO_FREE char *path = ebb_sprintf(
        "%s/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", vm->directory);
    put(env, "PATH", path);
    put(env, "HOME", home);
    put(env, "TMPDIR", tmp);
    put(env, "USER", "root");
    put(env, "LOGNAME", "root");
    put(env, "SHELL", "/bin/bash");
    put(env, "LANG", "C.UTF-8");
    put(env, "AWS_ENDPOINT_URL", e->endpoint);
    put(env, "AWS_REGION", e->fleet->region);
    put(env, "AWS_DEFAULT_REGION", e->fleet->region);
    snprintf(text, sizeof(text), "http://" EBB_METADATA_ADDRESS ":%d",
             ebb_metadata_service_port(vm->metadata));
    put(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", text);
    if (vm->gateway != NULL) {
        static const char *const names[] = {"ALL_PROXY", "all_proxy", "http_proxy", "https_proxy",
                                            "HTTPS_PROXY"};

        snprintf(text, sizeof(text), "http://127.0.0.1:%d", ebb_gateway_port(vm->gateway));
        for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++)
            put(env, names[i], text);
        put(env, "NO_PROXY", EBB_METADATA_ADDRESS);
        put(env, "no_proxy", EBB_METADATA_ADDRESS);
    }
    for (size_t i = 0; i < EBB_ARRAY_LEN(kept); i++)
        if (getenv(kept[i]) != NULL)
            put(env, kept[i], getenv(kept[i]));
    env->lines[env->count] = NULL;
}

/* ---- the supervisor ---- */

/* Children of this process, at most `size`. */
static size_t list_children(pid_t *out, size_t size)
{
    char path[64];
    size_t count = 0;
    long pid;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (count < size && fscanf(f, "%ld", &pid) == 1)
        out[count++] = (pid_t)pid;
    fclose(f);
    return count;
}

static void pull_the_plug(void)
{
    pid_t child;

    for (int round = 0; round < 1000 && list_children(&child, 1) > 0; round++) {
        ebb_process_kill_tree(child);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

void ebb_guest_kill_strays(struct ebb_emulator *e)
{
    pid_t children[256];
    size_t count = list_children(children, EBB_ARRAY_LEN(children));

    for (size_t i = 0; i < count; i++) {
        bool known = false;

        for (size_t v = 0; v < e->vm_count && !known; v++)
            known = e->vms[v]->unreaped == children[i];
        if (known || waitpid(children[i], NULL, WNOHANG) != 0)
            continue;
        ebb_process_kill_tree(children[i]);
        waitpid(children[i], NULL, WNOHANG);
    }
}

static void reap_all(pid_t boot)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == boot)
            dprintf(STDOUT_FILENO, "[boot script %s %d]\n",
                    WIFEXITED(status) ? "exited with status" : "was killed by signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void take_descriptors(int console, int life)
{
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0);
    dup2(console, 1);
    dup2(console, 2);
    dup2(life, 3);
    if (close_range(4, ~0U, 0) < 0)
        for (int fd = 4; fd < 4096; fd++)
            close(fd);
    fcntl(3, F_SETFD, FD_CLOEXEC);
}

static _Noreturn void supervise(struct ebb_guest *vm, const char *script, int console, int life,
                                char *const *environment)
{
    const char *argv[] = {script, NULL};
    EBB_AUTO_FREE char *home = ebb_path_join(vm->directory, "root");
    struct ebb_process_options options = {.argv = argv,
                                          .env = (const char *const *)environment,
                                          .directory = home,
                                          .stdin_fd = -1,
                                          .stdout_fd = -1,
                                          .stderr_fd = -1,
                                          .new_session = true,
                                          .die_with_parent = true};
    struct ebb_error err = {0};
    sigset_t chld;
    pid_t boot = 0;

    take_descriptors(console, life);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    prctl(PR_SET_NAME, vm->id, 0, 0, 0);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (chdir(home) < 0)
        _exit(1);
    if (script != NULL && ebb_process_start(&options, &boot, &err) < 0)
        dprintf(STDOUT_FILENO, "[the boot script does not start: %s]\n", err.text);
    for (;;) {
        struct pollfd fds[] = {{.fd = 3, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo info;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        while (read(signals, &info, sizeof(info)) > 0)
            ;
        reap_all(boot);
        if (fds[0].revents != 0)
            break;
    }
    pull_the_plug();
    _exit(0);
}

static void on_supervisor_exit(void *ctx, pid_t pid, int status)
{
    struct ebb_guest *vm = ctx;

    (void)status;
    vm->unreaped = 0;
    if (vm->supervisor != pid)
        return;
    vm->supervisor = 0; /* somebody killed it: the machine is gone */
    ebb_guest_kill_strays(vm->emulator);
    ebb_guest_end(vm, EBB_GUEST_END_HOST);
}

/* User data that begins with "#!" is a script; its path, or NULL when there is none to run. */
static int write_script(struct ebb_guest *vm, int console, char **ret, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, "boot");

    *ret = NULL;
    if (vm->user_data_len < 2 || memcmp(vm->user_data, "#!", 2) != 0) {
        if (vm->user_data_len > 0)
            dprintf(console, "[user data does not begin with #! and is not run]\n");
        return 0;
    }
    int code = ebb_file_write_atomic(path, vm->user_data, vm->user_data_len, 0700, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "boot script of a VM");
    *ret = EBB_TAKE(path);
    return 0;
}

int ebb_guest_boot(struct ebb_guest *vm, struct ebb_error *err)
{
    EBB_AUTO_FREE char *log_path = ebb_path_join(vm->directory, "console.log");
    EBB_AUTO_FREE char *script = NULL;
    EBB_AUTO(environment_clean_up) struct environment env = {0};
    int life[2], code = 0;
    int console = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (console < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", log_path);
    if (write_script(vm, console, &script, err) < 0 || pipe2(life, O_CLOEXEC) < 0) {
        code = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot boot %s", vm->id);
        close(console);
        return code;
    }
    make_environment(vm, &env);
    vm->supervisor = fork();
    if (vm->supervisor == 0)
        supervise(vm, script, console, life[0], env.lines);
    close(life[0]);
    close(console);
    if (vm->supervisor < 0) {
        vm->supervisor = 0;
        close(life[1]);
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot fork for %s", vm->id);
    }
    vm->life_fd = life[1];
    vm->unreaped = vm->supervisor;
    ebb_reaper_watch(vm->emulator->reaper, vm->supervisor, on_supervisor_exit, vm);
    return 0;
}

/* The disk of an ended VM is gone but for its console; user data may hold secrets of its owner. */
static void remove_disk(struct ebb_guest *vm)
{
    static const char *const parts[] = {"root", "tmp", "bin", "boot", "power"};
    struct ebb_error err = {0};

    for (size_t i = 0; i < EBB_ARRAY_LEN(parts); i++) {
        EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, parts[i]);

        if (ebb_remove_tree(path, &err) < 0)
            ebb_log_warn("%s: %s", vm->id, err.text);
    }
}

void ebb_guest_kill(struct ebb_guest *vm)
{
    pid_t supervisor = vm->supervisor;
    bool had_disk = vm->power_fd >= 0;

    vm->supervisor = 0;
    if (supervisor > 0)
        ebb_process_kill_tree(supervisor);
    if (vm->life_fd >= 0)
        close(vm->life_fd);
    ebb_watch_destroy(EBB_TAKE(vm->power_watch));
    if (vm->power_fd >= 0)
        close(vm->power_fd);
    vm->life_fd = vm->power_fd = -1;
    if (had_disk)
        remove_disk(vm);
}
