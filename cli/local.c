/* Starting the scheduler and the emulated cloud.
 *
 * Two commands may find nothing running at once: a lock file lets one of them start what is
 * missing, and the other find it running. A part is ready when it says so (the emulated cloud
 * writes its endpoint, the scheduler answers on its socket), and one that ends before is reported
 * with the end of its log. The environment that points to the emulated cloud is made from nothing:
 * none of the user's own AWS settings or credentials are in it. */
#include "cli/local.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/local_parts.h"

#define IDLE_EXIT "60"
#define START_S   60

static int write_choice(const struct ebb_local_choice *c, struct ebb_error *err)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "cloud", json_string(c->cloud));
    if (c->fleet != NULL)
        (void)json_object_set_new(o, "fleet", json_string(c->fleet));
    EBB_AUTO_FREE char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    EBB_AUTO_FREE char *path = ebb_state_path("local.json");
    return ebb_file_write_atomic(path, text, strlen(text), 0644, err);
}

static char *text_member(const json_t *o, const char *key)
{
    return ebb_strdup(json_string_value(json_object_get(o, key)));
}

void ebb_local_choice_read(struct ebb_local_choice *ret)
{
    EBB_AUTO_FREE char *path = ebb_state_path("local.json");
    json_t *o = json_load_file(path, 0, NULL);
    *ret = (struct ebb_local_choice){text_member(o, "cloud"), text_member(o, "fleet")};
    json_decref(o);
}

void ebb_local_choice_clean_up(struct ebb_local_choice *c)
{
    free(c->cloud);
    free(c->fleet);
}

bool ebb_local_is_emulated(void)
{
    EBB_AUTO(ebb_local_choice_clean_up) struct ebb_local_choice c;
    ebb_local_choice_read(&c);
    return c.cloud == NULL || strcmp(c.cloud, "emulated") == 0;
}

/* ---- starting one part ---- */

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Held until the descriptor is closed. */
static int lock_state(int *ret_fd, struct ebb_error *err)
{
    EBB_AUTO_FREE char *folder = ebb_state_dir();
    int rc = ebb_mkdir_p(folder, 0700, err);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE char *path = ebb_state_path("start.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    while (flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        rc = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot lock %s", path);
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

char *ebb_local_own_program(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
    return n > 0 && n < (ssize_t)sizeof(path) ? ebb_strndup(path, (size_t)n) : ebb_strdup("ebb");
}

/* The last lines that a part wrote, for the message when it would not start. */
static void log_end(const struct ebb_local_part *part, struct ebb_buffer *out)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer log = {0};
    if (ebb_file_read(part->log, 64U << 20, &log, NULL) < 0 || log.len <= part->log_from)
        return;
    const char *text = ebb_buffer_text(&log) + part->log_from;
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    const char *p = text + len;
    for (int lines = 0; p > text; p--)
        if (p[-1] == '\n' && ++lines == 3)
            break;
    ebb_buffer_append(out, p, (size_t)(text + len - p));
}

int ebb_local_spawn(const char *const *argv, const char *log_name, struct ebb_local_part *ret,
                    struct ebb_error *err)
{
    ret->log = ebb_state_path(log_name);
    EBB_AUTO(close_fd)
    int fd = open(ret->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", ret->log);
    struct stat st;
    ret->log_from = fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
    struct ebb_process_options o = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = fd, .stderr_fd = fd, .new_session = true};
    return ebb_process_start(&o, &ret->pid, err);
}

int ebb_local_await(struct ebb_local_part *part, const char *name, bool (*ready)(void *ctx),
                    void *ctx, struct ebb_error *err)
{
    int64_t end_ns = ebb_now_ns(NULL) + START_S * EBB_NS_PER_S;
    while (!ready(ctx)) {
        int status;
        if (waitpid(part->pid, &status, WNOHANG) == part->pid) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer end = {0};
            log_end(part, &end);
            if (end.len == 0) /* a full disk, say */
                return ebb_error_set(
                    err, EBB_ERR_UNAVAILABLE,
                    "%s did not start and wrote nothing into %s: `ebb doctor` may say why", name,
                    part->log);
            return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "%s did not start, %s says: %s", name,
                                 part->log, ebb_buffer_text(&end));
        }
        if (ebb_now_ns(NULL) > end_ns)
            return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s is not ready after %d s, see %s", name,
                                 START_S, part->log);
        (void)poll(NULL, 0, 20);
    }
    return 0;
}

void ebb_local_part_clean_up(struct ebb_local_part *part)
{
    free(part->log);
}

bool ebb_local_is_locked(const char *path)
{
    EBB_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool ebb_local_answers(const char *lock, bool (*answers)(void *ctx))
{
    int64_t end_ns = ebb_now_ns(NULL) + START_S * EBB_NS_PER_S;
    while (!answers(NULL)) {
        if (!ebb_local_is_locked(lock) || ebb_now_ns(NULL) > end_ns)
            return false;
        (void)poll(NULL, 0, 50);
    }
    return true;
}

size_t ebb_local_add_options(const char *variable, const char **argv, size_t n, size_t size,
                             char **ret_words)
{
    const char *value = getenv(variable);
    char *rest = NULL;
    *ret_words = ebb_strdup(value != NULL ? value : "");
    for (char *w = strtok_r(*ret_words, " \t\n", &rest); w != NULL && n + 1 < size;
         w = strtok_r(NULL, " \t\n", &rest))
        argv[n++] = w;
    argv[n] = NULL;
    return n;
}

/* ---- the scheduler ---- */

static bool scheduler_answers(void *ctx)
{
    (void)ctx;
    struct ebb_client *c = NULL;
    Ebb__ClientAnswer *a = NULL;
    bool ok = ebb_client_connect(&c, NULL) == 0 && ebb_ask_ping(c, &a, NULL) == 0;
    ebb_answer_destroy(a);
    ebb_client_destroy(c);
    return ok;
}

static int start_scheduler(struct ebb_error *err)
{
    EBB_AUTO_FREE char *program = ebb_local_own_program();
    EBB_AUTO_FREE char *state = ebb_state_dir();
    EBB_AUTO_FREE char *scale = ebb_emulator_file("bill_time_scale");
    const char *argv[40] = {program, "scheduler", "--state",       state,         "--cloud",
                            "aws",   "--store",   EBB_LOCAL_STORE, "--idle-exit", IDLE_EXIT};
    size_t n = 10;
    if (scale != NULL) {
        argv[n++] = "--bill-time-scale";
        argv[n++] = scale;
    }
    EBB_AUTO_FREE char *words = NULL;
    ebb_local_add_options("EBB_SCHEDULER_OPTIONS", argv, n, EBB_ARRAY_LEN(argv), &words);
    EBB_AUTO(ebb_local_part_clean_up) struct ebb_local_part part = {0};
    int rc = ebb_local_spawn(argv, "scheduler.log", &part, err);
    if (rc == 0)
        rc = ebb_local_await(&part, "the scheduler", scheduler_answers, NULL, err);
    if (rc == 0)
        (void)fprintf(stderr, "started the scheduler (pid %d)\n", (int)part.pid);
    return rc;
}

/* VMs in a real cloud must reach the scheduler: only the user knows at which address they can. */
static int ask_for_scheduler(const char *cloud, struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                         "no scheduler is running here. Start one where VMs can reach it: ebb "
                         "scheduler --cloud %s --store s3://BUCKET/PREFIX --listen 0.0.0.0:7443 "
                         "--advertise HOST:7443",
                         cloud);
}

/* What runs must be what is asked for: one scheduler has one cloud. */
static int check_running(const struct ebb_local_options *o, struct ebb_error *err)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *c = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_client_connect(&c, err);
    if (rc == 0)
        rc = ebb_ask_ping(c, &a, err);
    if (rc < 0 || o->cloud == NULL)
        return rc;
    bool emulated = a->ping->emulated != 0;
    if (emulated == (strcmp(o->cloud, "emulated") == 0))
        return 0;
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "the scheduler that runs here uses %s: 'ebb stop' ends it, or set "
                         "EBB_STATE_DIR to another folder for a second one",
                         emulated ? "the emulated cloud" : a->ping->cloud);
}

static char *absolute(const char *path)
{
    if (path == NULL)
        return NULL;
    char *real = realpath(path, NULL);
    return real != NULL ? real : ebb_strdup(path);
}

static void choose(const struct ebb_local_options *o, struct ebb_local_choice *c)
{
    ebb_local_choice_read(c);
    if (o->cloud != NULL && (c->cloud == NULL || strcmp(o->cloud, c->cloud) != 0)) {
        ebb_local_choice_clean_up(c);
        *c = (struct ebb_local_choice){.cloud = ebb_strdup(o->cloud)};
    }
    if (c->cloud == NULL)
        c->cloud = ebb_strdup("emulated");
    if (o->fleet != NULL) {
        free(c->fleet);
        c->fleet = absolute(o->fleet);
    }
}

int ebb_local_start(const struct ebb_local_options *o, struct ebb_error *err)
{
    EBB_AUTO(close_fd) int lock = -1;
    int rc = lock_state(&lock, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(ebb_local_choice_clean_up) struct ebb_local_choice c;
    choose(o, &c);
    EBB_AUTO_FREE char *log_lock = ebb_state_path("events.lock");
    bool running = ebb_local_answers(log_lock, scheduler_answers);
    if (running)
        rc = check_running(o, err);
    bool emulated = strcmp(c.cloud, "emulated") == 0;
    if (rc == 0 && emulated)
        rc = ebb_emulator_ensure(&c, o->fleet != NULL, err);
    /* Before the scheduler: should it not start, the cloud that runs is known all the same. */
    if (rc == 0)
        rc = write_choice(&c, err);
    if (rc == 0 && !running)
        rc = emulated ? start_scheduler(err) : ask_for_scheduler(c.cloud, err);
    return rc;
}

int ebb_local_restart(struct ebb_error *err)
{
    const struct ebb_local_options as_before = {0};
    return ebb_local_start(&as_before, err);
}

int ebb_local_use_cloud(struct ebb_error *err)
{
    if (!ebb_local_is_emulated())
        return 0;
    EBB_AUTO(close_fd) int lock = -1;
    int rc = lock_state(&lock, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(ebb_local_choice_clean_up) struct ebb_local_choice c;
    ebb_local_choice_read(&c);
    return ebb_emulator_ensure(&c, false, err);
}
