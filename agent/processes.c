/* Finding and ending what an engine leaves behind. The agent is a subreaper, so a daemon that an
 * engine starts becomes its child instead of init's; the mark in the environment tells whose it
 * was. All matches are stopped before any is killed, so that none forks away meanwhile. */
#include "agent/processes.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#define SWEEP_LIMIT_S 10

struct process {
    pid_t pid, parent, session;
    char state;
    bool matched;
};

struct table {
    struct process *rows;
    size_t count;
};

static void table_clean_up(struct table *t)
{
    free(t->rows);
}

static bool read_process(pid_t pid, struct process *ret)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[len] = '\0';
    const char *rest = strrchr(text, ')'); /* the name may hold anything */
    int parent, group, session;
    if (rest == NULL ||
        sscanf(rest + 1, " %c %d %d %d", &ret->state, &parent, &group, &session) != 4)
        return false;
    ret->pid = pid;
    ret->parent = parent;
    ret->session = session;
    ret->matched = false;
    return true;
}

static void table_read(struct table *t)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        struct process p;
        if (*end != '\0' || pid <= 0 || !read_process((pid_t)pid, &p))
            continue;
        t->rows = ebb_realloc_array(t->rows, t->count + 1, sizeof *t->rows);
        t->rows[t->count++] = p;
    }
    if (d != NULL)
        closedir(d);
}

static bool carries_mark(pid_t pid, const char *mark)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    EBB_AUTO_FREE char *wanted = ebb_sprintf("%s=%s", EBB_MARK_VARIABLE, mark);
    char *entry = NULL;
    size_t size = 0;
    bool found = false;
    while (!found && getdelim(&entry, &size, '\0', f) > 0)
        found = strcmp(entry, wanted) == 0;
    free(entry);
    fclose(f);
    return found;
}

/* Marks the attempt's rows; descendants of a match match. Returns how many are alive. */
static size_t table_match(struct table *t, pid_t session, const char *mark)
{
    pid_t self = getpid();
    size_t alive = 0;
    for (size_t i = 0; i < t->count; i++) {
        struct process *p = &t->rows[i];
        if (p->pid != self)
            p->matched = p->session == session || (mark != NULL && carries_mark(p->pid, mark));
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < t->count; i++) {
            for (size_t k = 0; k < t->count && !t->rows[i].matched; k++)
                if (t->rows[k].matched && t->rows[k].pid == t->rows[i].parent &&
                    t->rows[i].pid != self)
                    again = t->rows[i].matched = true;
        }
    }
    for (size_t i = 0; i < t->count; i++)
        alive += t->rows[i].matched && t->rows[i].state != 'Z' && t->rows[i].state != 'X';
    return alive;
}

bool ebb_session_is_alive(pid_t session)
{
    EBB_AUTO(table_clean_up) struct table t = {0};
    table_read(&t);
    for (size_t i = 0; i < t.count; i++)
        if (t.rows[i].session == session && t.rows[i].state != 'Z' && t.rows[i].state != 'X')
            return true;
    return false;
}

void ebb_session_signal(pid_t session, int signo)
{
    EBB_AUTO(table_clean_up) struct table t = {0};
    table_read(&t);
    for (size_t i = 0; i < t.count; i++)
        if (t.rows[i].session == session)
            kill(t.rows[i].pid, signo);
}

static void signal_matched(const struct table *t, int signo)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].matched)
            kill(t->rows[i].pid, signo);
}

/* Zombies have no environment any more, so what was killed is remembered by number. */
struct killed {
    pid_t *pids;
    size_t count;
};

static void killed_clean_up(struct killed *k)
{
    free(k->pids);
}

static void remember_matched(struct killed *k, const struct table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        bool known = !t->rows[i].matched;
        for (size_t n = 0; n < k->count && !known; n++)
            known = k->pids[n] == t->rows[i].pid;
        if (known)
            continue;
        k->pids = ebb_realloc_array(k->pids, k->count + 1, sizeof *k->pids);
        k->pids[k->count++] = t->rows[i].pid;
    }
}

/* True when none of them is our child any more, dead or alive. */
static bool reap(struct killed *k)
{
    bool gone = true;
    for (size_t i = 0; i < k->count; i++)
        gone &= waitpid(k->pids[i], NULL, WNOHANG) != 0;
    return gone;
}

int ebb_processes_sweep(pid_t session, const char *mark)
{
    int64_t end_ns = ebb_now_ns(NULL) + SWEEP_LIMIT_S * EBB_NS_PER_S;
    EBB_AUTO(killed_clean_up) struct killed killed = {0};
    int most = 0;
    for (;;) {
        EBB_AUTO(table_clean_up) struct table t = {0};
        table_read(&t);
        size_t alive = table_match(&t, session, mark);
        remember_matched(&killed, &t);
        bool gone = reap(&killed);
        if ((alive == 0 && gone) || ebb_now_ns(NULL) > end_ns)
            return most;
        most = (int)alive > most ? (int)alive : most;
        signal_matched(&t, SIGSTOP);
        signal_matched(&t, SIGKILL);
        poll(NULL, 0, 5);
    }
}
