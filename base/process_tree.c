/* Killing a whole process tree.
 *
 * Killing top-down loses what a dying parent's children fork; so all are stopped first:
 *
 *   scan /proc -> members found -> SIGSTOP each -> scan again ... until a scan finds nobody new
 *   and everyone stands still -> SIGKILL all -> wait -> scan again, until none is left
 *
 * A member is the root, a child of a member, or a process of the root's session or process group
 * (which catches what the root's death has orphaned). Signals go through pidfds that are opened
 * and then checked against the scan (start time and membership), so that a reused pid outside the
 * tree is never hit. The caller must not have reaped the root. */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

#define MAX_SECONDS_TO_STOP 2
#define MAX_SECONDS_TO_DIE  10

struct entry {
    pid_t pid, parent, group, session;
    char state;
    bool member;
    unsigned long long start_ticks; /* with the pid, the identity of a process */
};

struct table {
    struct entry *entries;
    size_t count, capacity;
};

struct member {
    pid_t pid;
    unsigned long long start_ticks;
    int pidfd; /* -1: the kernel has none; signalled by pid right after a check */
    bool killed;
};

struct tree {
    pid_t root;
    struct member *members;
    size_t count, capacity;
};

static bool read_entry(pid_t pid, struct entry *ret)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* The name may hold anything, also ')': the fields start after the last one. */
    const char *p = strrchr(text, ')');
    struct entry e = {.pid = pid};
    int parent, group, session;
    if (p == NULL ||
        sscanf(p + 1,
               " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &e.state, &parent, &group, &session, &e.start_ticks) != 5)
        return false;
    e.parent = parent;
    e.group = group;
    e.session = session;
    *ret = e;
    return true;
}

static void scan_processes(struct table *t)
{
    t->count = 0;
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return;
    struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
        struct entry e;
        if (pid <= 0 || !read_entry(pid, &e))
            continue;
        if (t->count == t->capacity) {
            t->capacity = t->capacity ? 2 * t->capacity : 256;
            t->entries = ebb_realloc_array(t->entries, t->capacity, sizeof t->entries[0]);
        }
        t->entries[t->count++] = e;
    }
    closedir(dir);
}

static struct member *find_member(const struct tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->members[i].pid == pid)
            return &tree->members[i];
    }
    return NULL;
}

static bool in_root_group(const struct tree *tree, const struct entry *e)
{
    /* The ids stay the root's own as long as it or a member of the group lives. The caller's own
     * group is never meant: then the root does not lead one. */
    return (e->session == tree->root && getsid(0) != tree->root) ||
           (e->group == tree->root && getpgrp() != tree->root);
}

/* Known from a scan before; its parent may have died since, so it keeps its place by identity. */
static bool is_known(const struct tree *tree, const struct entry *e)
{
    const struct member *m = find_member(tree, e->pid);
    return m != NULL && m->start_ticks == e->start_ticks;
}

/* Only a parent that this scan saw counts: a dead member's pid may be somebody else's now. */
static bool has_member_parent(const struct table *t, const struct entry *e)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->entries[i].member && t->entries[i].pid == e->parent)
            return true;
    }
    return false;
}

static bool never_kill(pid_t pid)
{
    return pid <= 1 || pid == getpid();
}

/* Marks the tree's processes in the table. */
static void mark_members(struct table *t, const struct tree *tree)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < t->count; i++) {
            struct entry *e = &t->entries[i];
            if (e->member || never_kill(e->pid))
                continue;
            if (e->pid == tree->root || is_known(tree, e) || in_root_group(tree, e) ||
                has_member_parent(t, e)) {
                e->member = true;
                changed = true;
            }
        }
    }
}

static bool is_dead(char state)
{
    return state == 'Z' || state == 'X' || state == 'x';
}

/* The process of the scan still has this pid: checked after its pidfd was opened. */
static bool is_same_process(const struct entry *e)
{
    struct entry now;
    return read_entry(e->pid, &now) && now.start_ticks == e->start_ticks && !is_dead(now.state);
}

static bool member_signal(const struct member *m, int signo)
{
    if (m->pidfd >= 0)
        return pidfd_send_signal(m->pidfd, signo, NULL, 0) == 0;
    struct entry e = {.pid = m->pid, .start_ticks = m->start_ticks};
    return is_same_process(&e) && kill(m->pid, signo) == 0;
}

/* Takes a process of the scan into the tree and stops it. */
static bool adopt(struct tree *tree, const struct entry *e)
{
    struct member *known = find_member(tree, e->pid);
    if (is_known(tree, e))
        return false;
    int pidfd = pidfd_open(e->pid, 0);
    if ((pidfd < 0 && errno == ESRCH) || !is_same_process(e)) {
        if (pidfd >= 0)
            close(pidfd);
        return false;
    }
    struct member m = {.pid = e->pid, .start_ticks = e->start_ticks, .pidfd = pidfd};
    member_signal(&m, SIGSTOP);
    if (known != NULL) { /* the pid was reused inside the tree */
        if (known->pidfd >= 0)
            close(known->pidfd);
        *known = m;
        return true;
    }
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity ? 2 * tree->capacity : 32;
        tree->members = ebb_realloc_array(tree->members, tree->capacity, sizeof m);
    }
    tree->members[tree->count++] = m;
    return true;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Stops everything below the root. D counts as still: a parent inside vfork waits there, and its
 * child is found by itself. Returns the number of processes alive. */
static size_t stop_all(struct tree *tree, struct table *t)
{
    int64_t end_ns = ebb_now_ns(NULL) + MAX_SECONDS_TO_STOP * EBB_NS_PER_S;
    for (;;) {
        bool found = false, moving = false;
        size_t alive = 0;
        scan_processes(t);
        mark_members(t, tree);
        for (size_t i = 0; i < t->count; i++) {
            const struct entry *e = &t->entries[i];
            if (!e->member || is_dead(e->state))
                continue;
            alive++;
            found |= adopt(tree, e);
            moving |= strchr("TtD", e->state) == NULL;
        }
        if ((!found && !moving) || ebb_now_ns(NULL) > end_ns)
            return alive;
        if (!found)
            pause_ms(1);
    }
}

static void wait_until_dead(const struct tree *tree)
{
    int64_t end_ns = ebb_now_ns(NULL) + MAX_SECONDS_TO_DIE * EBB_NS_PER_S;
    for (size_t i = 0; i < tree->count; i++) {
        const struct member *m = &tree->members[i];
        if (m->pidfd < 0) {
            pause_ms(1);
            continue;
        }
        struct pollfd p = {.fd = m->pidfd, .events = POLLIN};
        int64_t left_ms = (end_ns - ebb_now_ns(NULL)) / EBB_NS_PER_MS;
        while (poll(&p, 1, left_ms > 0 ? (int)left_ms : 0) < 0 && errno == EINTR)
            ;
    }
}

int ebb_process_kill_tree(pid_t root)
{
    if (never_kill(root))
        return 0;
    struct tree tree = {.root = root};
    struct table table = {0};
    int killed = 0;
    /* A second round finds nobody unless something could still fork in the first; the bound keeps
     * an unkillable process (kernel I/O) from holding the caller for ever. */
    for (int round = 0; round < 5 && stop_all(&tree, &table) > 0; round++) {
        for (size_t i = 0; i < tree.count; i++) {
            struct member *m = &tree.members[i];
            if (member_signal(m, SIGKILL) && !m->killed) {
                m->killed = true;
                killed++;
            }
        }
        wait_until_dead(&tree);
    }
    for (size_t i = 0; i < tree.count; i++) {
        if (tree.members[i].pidfd >= 0)
            close(tree.members[i].pidfd);
    }
    free(tree.members);
    free(table.entries);
    return killed;
}
