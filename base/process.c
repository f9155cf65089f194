/* Starting child processes, and reaping them on the loop.
 *
 *   parent: pipe(CLOEXEC), signals blocked, fork ----+
 *                                                    v
 *   child:  session/group, signals to default, fds 0-2, the rest close-on-exec, chdir, exec
 *             exec works: the pipe closes, the parent reads end of file
 *             a step fails: {step, errno} goes through the pipe, the parent reports it
 *
 * Between fork and exec only async-signal-safe calls are made: the program has threads. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

enum step { STEP_GROUP, STEP_PARENT, STEP_FDS, STEP_DIRECTORY, STEP_EXEC };

struct failure {
    int step;
    int sys_errno;
};

static _Noreturn void child_fail(int fd, enum step step)
{
    struct failure f = {.step = step, .sys_errno = errno};
    if (write(fd, &f, sizeof f) < 0) {
        /* The parent is gone; the exit status is all that is left to say. */
    }
    _exit(127);
}

static void child_reset_signals(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = SIG_DFL;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &sa, NULL); /* fails for SIGKILL, SIGSTOP and libc's own: as it should */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A copy at 3 or above, so that putting 0 to 2 in place cannot overwrite a source. */
static int child_lift(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool child_set_fds(const struct ebb_process_options *o)
{
    int in = o->stdin_fd < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : o->stdin_fd;
    int source[3] = {child_lift(in), child_lift(o->stdout_fd), child_lift(o->stderr_fd)};
    bool wanted[3] = {true, o->stdout_fd >= 0, o->stderr_fd >= 0};
    for (int i = 0; i < 3; i++) {
        if (wanted[i] && (source[i] < 0 || dup2(source[i], i) < 0))
            return false;
    }
    return true;
}

static void child_close_others_at_exec(void)
{
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    struct rlimit limit;
    rlim_t end =
        getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
    for (int fd = 3; fd < (int)end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static _Noreturn void child_run(const struct ebb_process_options *o, int report_fd, pid_t parent)
{
    int lifted = child_lift(report_fd);
    if (lifted >= 0)
        report_fd = lifted;
    if (o->new_session ? setsid() < 0 : setpgid(0, 0) < 0)
        child_fail(report_fd, STEP_GROUP);
    if (o->subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        child_fail(report_fd, STEP_GROUP);
    if (o->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
            child_fail(report_fd, STEP_PARENT);
        if (getppid() != parent) /* it died before the request was in place */
            _exit(127);
    }
    child_reset_signals();
    if (!child_set_fds(o))
        child_fail(report_fd, STEP_FDS);
    child_close_others_at_exec();
    if (o->directory != NULL && chdir(o->directory) < 0)
        child_fail(report_fd, STEP_DIRECTORY);
    if (o->env != NULL)
        environ = (char **)(uintptr_t)o->env; /* so that PATH is the child's own */
    execvp(o->argv[0], (char *const *)(uintptr_t)o->argv);
    child_fail(report_fd, STEP_EXEC);
}

static int report_failure(const struct ebb_process_options *o, const struct failure *f,
                          struct ebb_error *err)
{
    switch ((enum step)f->step) {
    case STEP_DIRECTORY:
        return ebb_error_set_errno(err, EBB_ERR_IO, f->sys_errno, "cannot run %s in %s", o->argv[0],
                                   o->directory);
    case STEP_EXEC:
        return ebb_error_set_errno(err, EBB_ERR_IO, f->sys_errno, "cannot run %s", o->argv[0]);
    case STEP_GROUP:
    case STEP_PARENT:
    case STEP_FDS:
        break;
    }
    return ebb_error_set_errno(err, EBB_ERR_IO, f->sys_errno, "cannot set up a process for %s",
                               o->argv[0]);
}

int ebb_process_start(const struct ebb_process_options *o, pid_t *ret_pid, struct ebb_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot start %s", o->argv[0]);
    pid_t parent = getpid();
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0)
        child_run(o, report[1], parent);
    int fork_errno = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return ebb_error_set_errno(err, EBB_ERR_IO, fork_errno, "cannot start %s", o->argv[0]);
    }
    struct failure f;
    ssize_t n;
    do
        n = read(report[0], &f, sizeof f);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == (ssize_t)sizeof f) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return report_failure(o, &f, err);
    }
    *ret_pid = pid;
    return 0;
}

/* ---- reaping ---- */

struct child {
    struct child *next;
    struct ebb_reaper *owner;
    pid_t pid;
    int pidfd; /* -1: no pidfd, found by SIGCHLD */
    struct ebb_watch *watch;
    void (*on_exit)(void *ctx, pid_t pid, int status);
    void *ctx;
};

struct ebb_reaper {
    struct ebb_loop *loop;
    struct child *children;
    struct ebb_watch *sigchld; /* made when the first child without a pidfd comes */
    struct ebb_timer *scan;
};

static void child_free(struct child *c)
{
    ebb_watch_destroy(c->watch);
    if (c->pidfd >= 0)
        close(c->pidfd);
    free(c);
}

/* True when the child was over and its callback has run; the reaper may be gone then. */
static bool reap(struct child *c)
{
    int status = 0;
    pid_t rc;
    do
        rc = waitpid(c->pid, &status, WNOHANG);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return false;
    if (rc < 0) {
        ebb_log_warn("process %d was reaped elsewhere; its exit status is lost", (int)c->pid);
        status = 0xff00; /* as exit status 255 */
    }
    struct child **at = &c->owner->children;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pid_t pid = c->pid;
    void (*on_exit_fn)(void *, pid_t, int) = c->on_exit;
    void *ctx = c->ctx;
    child_free(c);
    on_exit_fn(ctx, pid, status);
    return true;
}

static void on_pidfd(void *ctx, int fd, bool readable, bool writable)
{
    (void)fd;
    (void)readable;
    (void)writable;
    reap(ctx);
}

/* One child a call: its callback may change the list or destroy the reaper. The timer, set before,
 * comes back for the next one. */
static void scan_children(void *ctx)
{
    struct ebb_reaper *r = ctx;
    ebb_timer_set(r->scan, 0);
    for (struct child *c = r->children; c != NULL; c = c->next) {
        if (c->pidfd < 0 && reap(c))
            return;
    }
    ebb_timer_unset(r->scan);
}

struct ebb_reaper *ebb_reaper_new(struct ebb_loop *l)
{
    struct ebb_reaper *r = ebb_alloc(sizeof *r);
    r->loop = l;
    return r;
}

void ebb_reaper_watch(struct ebb_reaper *r, pid_t pid,
                      void (*on_exit_fn)(void *ctx, pid_t pid, int status), void *ctx)
{
    struct child *c = ebb_alloc(sizeof *c);
    c->owner = r;
    c->pid = pid;
    c->on_exit = on_exit_fn;
    c->ctx = ctx;
    c->pidfd = pidfd_open(pid, 0); /* close-on-exec by itself */
    c->next = r->children;
    r->children = c;
    if (c->pidfd >= 0) {
        c->watch = ebb_watch_new(r->loop, c->pidfd, true, false, on_pidfd, c);
        return;
    }
    if (r->sigchld == NULL) {
        r->scan = ebb_timer_new(r->loop, scan_children, r);
        r->sigchld = ebb_watch_signal(r->loop, SIGCHLD, scan_children, r);
    }
    ebb_timer_set(r->scan, 0); /* it may be over already */
}

void ebb_reaper_destroy(struct ebb_reaper *r)
{
    if (r == NULL)
        return;
    while (r->children != NULL) {
        struct child *c = r->children;
        r->children = c->next;
        child_free(c);
    }
    ebb_watch_destroy(r->sigchld);
    ebb_timer_destroy(r->scan);
    free(r);
}
