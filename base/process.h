/* Child processes: started in a process group (and session) of their own, reaped by pid. */
#ifndef EBB_BASE_PROCESS_H
#define EBB_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/loop.h"

struct ebb_process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL: inherit */
    const char *directory;   /* NULL: inherit */
    int stdin_fd;            /* -1: /dev/null; all descriptors are borrowed */
    int stdout_fd;           /* -1: inherit */
    int stderr_fd;           /* -1: inherit */
    bool new_session;        /* setsid: own session and process group; else own group only */
    bool die_with_parent;    /* PR_SET_PDEATHSIG = SIGKILL: when the starting *thread* ends */
    bool subreaper;          /* PR_SET_CHILD_SUBREAPER */
};

/* Starts the child; an exec failure is reported here, not as an exit status. */
int ebb_process_start(const struct ebb_process_options *o, pid_t *ret_pid, struct ebb_error *err);

/* Reaping on the loop (pidfd where the kernel has it): on_exit(ctx, pid, wait_status). */
struct ebb_reaper;
struct ebb_reaper *ebb_reaper_new(struct ebb_loop *l);
void ebb_reaper_watch(struct ebb_reaper *r, pid_t pid,
                      void (*on_exit)(void *ctx, pid_t pid, int status), void *ctx);
void ebb_reaper_destroy(struct ebb_reaper *r);

/* SIGKILLs `root` and everything below it in the process tree, also what has left its process
 * group: stops all first, so that nothing forks away, and repeats until none is left. Returns the
 * number killed. */
int ebb_process_kill_tree(pid_t root);

#endif
