/* The engine runtime. A command is a shell's, because users write shell; the shell leads a session
 * of its own, so that everything it starts can be found again (processes.h). Credentials of the
 * store stay with the agent: nothing named AWS_* or EBB_* is inherited. */
#include "agent/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/processes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "scheduler/core/sweep.h"

#define VERSION_LIMIT_S      20
#define DEFAULT_INTERVAL_S   300.0
#define DEFAULT_STOP_GRACE_S 10.0

extern char **environ;

static void close_auto(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static double cpus_of(const struct ebb_task *t)
{
    const Ebb__Resources *r = t->group->resources;
    return r != NULL && r->cpus > 0 ? r->cpus : 1;
}

static int whole_cpus(const struct ebb_task *t)
{
    return cpus_of(t) < 1 ? 1 : (int)cpus_of(t);
}

struct template_values {
    const struct ebb_task *task;
    const char *command;
    const char *state;
};

static bool template_value(void *ctx, const char *name, struct ebb_buffer *out)
{
    const struct template_values *v = ctx;
    double interval_s =
        v->task->checkpoint_interval_s > 0 ? v->task->checkpoint_interval_s : DEFAULT_INTERVAL_S;
    if (strcmp(name, "command") == 0)
        ebb_buffer_append_text(out, v->command);
    else if (strcmp(name, "state") == 0)
        ebb_shell_quote(out, v->state != NULL ? v->state : "");
    else if (strcmp(name, "checkpoint_minutes") == 0)
        ebb_buffer_printf(out, "%.6g", interval_s / 60);
    else if (strcmp(name, "checkpoint_seconds") == 0)
        ebb_buffer_printf(out, "%.6g", interval_s);
    else if (strcmp(name, "cpus") == 0)
        ebb_buffer_printf(out, "%d", whole_cpus(v->task));
    else
        return false;
    return true;
}

static int fill(const struct template_values *v, const char *text, struct ebb_buffer *out,
                struct ebb_error *err)
{
    return ebb_job_fill(v->task->group, v->task->index, text, false, template_value, (void *)v, out,
                        err);
}

int ebb_engine_command(const struct ebb_task *t, const char *state, struct ebb_buffer *out,
                       struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer command = {0};
    struct template_values v = {.task = t, .command = "", .state = state};
    int r = fill(&v, t->group->command, &command, err);
    if (r < 0)
        return ebb_error_wrap(err, r, "command");
    v.command = ebb_buffer_text(&command);
    const char *text = t->profile->start;
    if (state != NULL)
        text = t->group->resume_command[0] != '\0' ? t->group->resume_command : t->profile->resume;
    if (text[0] == '\0')
        text = "${command}";
    return fill(&v, text, out, err);
}

int ebb_engine_setup_command(const struct ebb_task *t, struct ebb_buffer *out,
                             struct ebb_error *err)
{
    struct template_values v = {.task = t, .command = ""};
    return fill(&v, t->group->setup, out, err);
}

struct environment {
    char **entries;
    size_t count;
};

static bool same_name(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool has_variable(const struct environment *e, const char *name)
{
    for (size_t i = 0; i < e->count; i++)
        if (same_name(e->entries[i], name))
            return true;
    return false;
}

static void set_variable(struct environment *e, const char *name, const char *value)
{
    char *entry = ebb_sprintf("%s=%s", name, value);
    for (size_t i = 0; i < e->count; i++)
        if (same_name(e->entries[i], name)) {
            free(e->entries[i]);
            e->entries[i] = entry;
            return;
        }
    e->entries = ebb_realloc_array(e->entries, e->count + 2, sizeof *e->entries);
    e->entries[e->count++] = entry;
    e->entries[e->count] = NULL;
}

static void unset_variable(struct environment *e, const char *name)
{
    for (size_t i = 0; i < e->count; i++) {
        if (!same_name(e->entries[i], name))
            continue;
        free(e->entries[i]);
        e->entries[i] = e->entries[--e->count];
        e->entries[e->count] = NULL;
        return;
    }
}

/* An empty value takes the variable out: some engines refuse one that is set but empty. */
static void put_variable(struct environment *e, const char *name, const char *value)
{
    if (value[0] == '\0')
        unset_variable(e, name);
    else
        set_variable(e, name, value);
}

static bool is_private(const char *entry)
{
    return ebb_starts_with(entry, "AWS_") || ebb_starts_with(entry, "EBB_");
}

static void set_parameters(const struct ebb_task *t, struct environment *e)
{
    const Ebb__Sweep *sweep = t->group->sweep;
    for (size_t i = 0; sweep != NULL && i < sweep->n_axes; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer value = {0};
        ebb_axis_value(sweep->axes[i], ebb_sweep_index(sweep, i, t->index), &value);
        EBB_AUTO_FREE char *name = ebb_sprintf("EBB_PARAM_%s", sweep->axes[i]->name);
        set_variable(e, name, ebb_buffer_text(&value));
    }
}

/* Jobs of one VM must not meet on a GPU; one that asked for none sees none. */
static void set_gpus(const struct ebb_task *t, struct environment *e)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer list = {0};
    for (unsigned i = 0; i < 64; i++)
        if ((t->gpus >> i & 1) != 0)
            ebb_buffer_printf(&list, "%s%u", list.len > 0 ? "," : "", i);
    set_variable(e, "CUDA_VISIBLE_DEVICES", ebb_buffer_text(&list));
}

static char *hostfile_of(const struct ebb_task *t)
{
    return ebb_path_join(t->directory, "hostfile");
}

/* Ours, and what torch.distributed (init_method "env://") and its like read. */
static void set_gang(const struct ebb_task *t, struct environment *e)
{
    static const char *const sizes[] = {"EBB_GANG_SIZE", "WORLD_SIZE", NULL};
    static const char *const ranks[] = {"EBB_GANG_RANK", "RANK", "NODE_RANK", NULL};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer hosts = {0};
    char number[32];
    for (size_t i = 0; i < t->gang_size; i++)
        ebb_buffer_printf(&hosts, "%s%s", i > 0 ? "," : "", t->gang_hosts[i]);
    set_variable(e, "EBB_GANG_HOSTS", ebb_buffer_text(&hosts));
    snprintf(number, sizeof number, "%zu", t->gang_size);
    for (const char *const *p = sizes; *p != NULL; p++)
        set_variable(e, *p, number);
    snprintf(number, sizeof number, "%u", t->rank);
    for (const char *const *p = ranks; *p != NULL; p++)
        set_variable(e, *p, number);
    bool v6 = strchr(t->gang_hosts[0], ':') != NULL;
    EBB_AUTO_FREE char *rendezvous = ebb_sprintf("%s%s%s:%u", v6 ? "[" : "", t->gang_hosts[0],
                                                 v6 ? "]" : "", (unsigned)t->gang_port);
    set_variable(e, "EBB_GANG_RENDEZVOUS", rendezvous);
    set_variable(e, "MASTER_ADDR", t->gang_hosts[0]);
    snprintf(number, sizeof number, "%u", (unsigned)t->gang_port);
    set_variable(e, "MASTER_PORT", number);
    EBB_AUTO_FREE char *hostfile = hostfile_of(t);
    set_variable(e, "EBB_GANG_HOSTFILE", hostfile);
}

/* A line a CPU: so both Open MPI and MPICH read it, also where VMs share an address. */
static int write_hostfile(const struct ebb_task *t, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = hostfile_of(t);
    for (size_t i = 0; i < t->gang_size; i++)
        for (int k = 0; k < whole_cpus(t); k++)
            ebb_buffer_printf(&text, "%s\n", t->gang_hosts[i]);
    return ebb_file_write_atomic(path, text.data, text.len, 0644, err);
}

char **ebb_engine_environment(const struct ebb_task *t)
{
    struct environment e = {0};
    char number[32];
    for (char **p = environ; *p != NULL; p++) {
        const char *equals = strchr(*p, '=');
        if (equals == NULL || is_private(*p))
            continue;
        EBB_AUTO_FREE char *name = ebb_strndup(*p, (size_t)(equals - *p));
        set_variable(&e, name, equals + 1);
    }
    snprintf(number, sizeof number, "%d", whole_cpus(t));
    set_variable(&e, "OMP_NUM_THREADS", number);
    if (t->machine.gpus > 0)
        set_gpus(t, &e);
    for (size_t i = 0; i < t->profile->n_environment; i++)
        put_variable(&e, t->profile->environment[i]->key, t->profile->environment[i]->value);
    for (size_t i = 0; i < t->group->n_environment; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer value = {0};
        struct template_values v = {.task = t, .command = ""};
        if (fill(&v, t->group->environment[i]->value, &value, NULL) == 0)
            put_variable(&e, t->group->environment[i]->key, ebb_buffer_text(&value));
    }
    snprintf(number, sizeof number, "%g", cpus_of(t));
    set_variable(&e, "EBB_CPUS", number);
    snprintf(number, sizeof number, "%u", t->attempt);
    set_variable(&e, "EBB_ATTEMPT", number);
    set_variable(&e, "EBB_JOB", t->job_name);
    if (t->gang_size > 1)
        set_gang(t, &e);
    set_variable(&e, EBB_MARK_VARIABLE, t->marker);
    set_parameters(t, &e);
    if (!has_variable(&e, "PATH"))
        set_variable(&e, "PATH", "/usr/local/bin:/usr/bin:/bin");
    return e.entries;
}

void ebb_engine_environment_free(char **environment)
{
    for (char **p = environment; p != NULL && *p != NULL; p++)
        free(*p);
    free(environment);
}

static int start_shell(const struct ebb_task *t, const char *directory, const char *command,
                       int out_fd, int err_fd, bool die_with_parent, pid_t *ret_pid,
                       struct ebb_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    char **environment = ebb_engine_environment(t);
    struct ebb_process_options o = {
        .argv = argv,
        .env = (const char *const *)environment,
        .directory = directory,
        .stdin_fd = -1,
        .stdout_fd = out_fd,
        .stderr_fd = err_fd,
        .new_session = true,
        .die_with_parent = die_with_parent,
    };
    int r = ebb_process_start(&o, ret_pid, err);
    ebb_engine_environment_free(environment);
    return r;
}

int ebb_engine_start(const struct ebb_task *t, const char *command, pid_t *ret_pid,
                     struct ebb_error *err)
{
    EBB_AUTO(close_auto)
    int log = open(t->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "%s", t->log_path);
    int r = t->gang_size > 1 ? write_hostfile(t, err) : 0;
    return r < 0 ? r : start_shell(t, t->work, command, log, log, true, ret_pid, err);
}

int ebb_engine_stop_signal(const Ebb__Profile *profile)
{
    static const struct {
        const char *name;
        int signo;
    } signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
                   {"HUP", SIGHUP},   {"QUIT", SIGQUIT}, {"none", 0}};
    for (size_t i = 0; profile->stop != NULL && i < EBB_ARRAY_LEN(signals); i++)
        if (strcmp(profile->stop->signal, signals[i].name) == 0)
            return signals[i].signo;
    return SIGTERM;
}

double ebb_engine_grace_s(const Ebb__Profile *profile)
{
    return profile->stop != NULL && profile->stop->grace_s > 0 ? profile->stop->grace_s
                                                               : DEFAULT_STOP_GRACE_S;
}

/* Reads the child's output until it closes it or time is up. */
static void read_until(int fd, int64_t end_ns, struct ebb_buffer *out)
{
    char piece[512];
    for (;;) {
        int64_t left_ns = end_ns - ebb_now_ns(NULL);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ns <= 0 || poll(&p, 1, (int)(left_ns / EBB_NS_PER_MS) + 1) <= 0)
            return;
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (out->len < 4096)
            ebb_buffer_append(out, piece, (size_t)n);
    }
}

void ebb_engine_version(const struct ebb_task *t, const char *directory, char *out, size_t size)
{
    int ends[2];
    pid_t pid;
    out[0] = '\0';
    if (t->profile->version_command[0] == '\0' || pipe2(ends, O_CLOEXEC) < 0)
        return;
    EBB_AUTO(close_auto) int from = ends[0];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int r =
        start_shell(t, directory, t->profile->version_command, ends[1], null, false, &pid, NULL);
    close(ends[1]);
    if (null >= 0)
        close(null);
    if (r < 0)
        return;
    read_until(from, ebb_now_ns(NULL) + VERSION_LIMIT_S * EBB_NS_PER_S, &text);
    ebb_session_signal(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    size_t len = strcspn(ebb_buffer_text(&text), "\r\n");
    snprintf(out, size, "%.*s", (int)(len < 200 ? len : 200), ebb_buffer_text(&text));
}
