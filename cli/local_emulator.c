/* The emulated cloud as a local part: started on the port it had before (a scheduler that lives on
 * keeps its endpoint), and the only cloud that this process then knows. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/http_client.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/local.h"
#include "cli/local_parts.h"

#define IDLE_EXIT "120"
#define END_S     30

char *ebb_emulator_file(const char *name)
{
    EBB_AUTO_FREE char *folder = ebb_state_path("emulator");
    EBB_AUTO_FREE char *path = ebb_path_join(folder, name);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    if (ebb_file_read(path, 4096, &b, NULL) < 0)
        return NULL;
    char *text = ebb_strdup(ebb_buffer_text(&b));
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static bool answers(const char *endpoint)
{
    struct ebb_http_client *client = ebb_http_client_new();
    struct ebb_http_request q = {
        .method = "GET", .url = endpoint, .connect_timeout_s = 1, .timeout_s = 2, .no_proxy = 1};
    struct ebb_http_answer a = {0};
    int rc = ebb_http_call(client, &q, &a, NULL);
    ebb_http_answer_clean_up(&a);
    ebb_http_client_destroy(client);
    return rc == 0; /* refusing an unsigned request is an answer, too */
}

static bool emulator_answers(void *ctx)
{
    (void)ctx;
    EBB_AUTO_FREE char *endpoint = ebb_emulator_file("endpoint");
    return endpoint != NULL && endpoint[0] != '\0' && answers(endpoint);
}

bool ebb_emulator_is_running(void)
{
    return emulator_answers(NULL);
}

/* Nothing of the user's own settings may reach, or be reached by, the emulated cloud. */
static int use_emulator(struct ebb_error *err)
{
    static const char *const unset[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_PROFILE",
                                        "AWS_DEFAULT_PROFILE",
                                        "AWS_ENDPOINT_URL_S3",
                                        "AWS_ENDPOINT_URL_EC2",
                                        "AWS_ENDPOINT_URL_PRICING",
                                        "AWS_ENDPOINT_URL_STS",
                                        "AWS_ROLE_ARN",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
    EBB_AUTO_FREE char *endpoint = ebb_emulator_file("endpoint");
    EBB_AUTO_FREE char *region = ebb_emulator_file("region");
    EBB_AUTO_FREE char *folder = ebb_state_path("emulator");
    EBB_AUTO_FREE char *credentials = ebb_path_join(folder, "credentials");
    if (endpoint == NULL || !ebb_file_exists(credentials))
        return ebb_error_set(err, EBB_ERR_UNAVAILABLE,
                             "the emulated cloud left no endpoint and credentials in %s", folder);
    for (size_t i = 0; i < EBB_ARRAY_LEN(unset); i++)
        (void)unsetenv(unset[i]);
    const char *where = region != NULL ? region : "us-east-1";
    if (setenv("AWS_ENDPOINT_URL", endpoint, 1) != 0 ||
        setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1) != 0 ||
        setenv("AWS_CONFIG_FILE", "/dev/null", 1) != 0 || setenv("AWS_REGION", where, 1) != 0 ||
        setenv("AWS_DEFAULT_REGION", where, 1) != 0)
        return ebb_error_set_errno(err, EBB_ERR_INTERNAL, errno, "cannot set the environment");
    return 0;
}

static char *port_of(const char *endpoint)
{
    const char *colon = endpoint == NULL ? NULL : strrchr(endpoint, ':');
    size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
    return digits > 0 && digits < 6 ? ebb_strndup(colon + 1, digits) : NULL;
}

static size_t count_zones(void)
{
    EBB_AUTO_FREE char *zones = ebb_emulator_file("zones");
    size_t n = zones != NULL && zones[0] != '\0' ? 1 : 0;
    for (const char *p = zones; p != NULL && *p != '\0'; p++)
        n += *p == ' ';
    return n;
}

static void say_started(const char *fleet)
{
    EBB_AUTO_FREE char *endpoint = ebb_emulator_file("endpoint");
    size_t zones = count_zones();
    (void)fprintf(stderr, "started the emulated cloud");
    if (zones > 0)
        (void)fprintf(stderr, " (%zu zones)", zones);
    (void)fprintf(stderr, " at %s%s%s\n", endpoint, fleet != NULL ? ", fleet " : "",
                  fleet != NULL ? fleet : "");
}

static int write_pid(const char *folder, pid_t pid, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "pid");
    EBB_AUTO_FREE char *text = ebb_sprintf("%d\n", (int)pid);
    return ebb_file_write_atomic(path, text, strlen(text), 0644, err);
}

static int start_emulator(const struct ebb_local_choice *c, const char *port, struct ebb_error *err)
{
    EBB_AUTO_FREE char *program = ebb_local_own_program();
    EBB_AUTO_FREE char *folder = ebb_state_path("emulator");
    EBB_AUTO_FREE char *endpoint = ebb_path_join(folder, "endpoint");
    int rc = ebb_mkdir_p(folder, 0700, err);
    if (rc < 0)
        return rc;
    (void)unlink(endpoint); /* there again: ready */
    const char *argv[32] = {program, "emulate", "--state", folder, "--idle-exit", IDLE_EXIT};
    size_t n = 6;
    if (port != NULL) {
        argv[n++] = "--port";
        argv[n++] = port;
    }
    if (c->fleet != NULL)
        argv[n++] = c->fleet;
    EBB_AUTO_FREE char *words = NULL;
    ebb_local_add_options("EBB_EMULATOR_OPTIONS", argv, n, EBB_ARRAY_LEN(argv), &words);
    EBB_AUTO(ebb_local_part_clean_up) struct ebb_local_part part = {0};
    rc = ebb_local_spawn(argv, "emulator.log", &part, err);
    if (rc == 0)
        rc = ebb_local_await(&part, "the emulated cloud", emulator_answers, NULL, err);
    if (rc == 0)
        rc = write_pid(folder, part.pid, err);
    if (rc == 0)
        say_started(c->fleet);
    return rc;
}

/* The fleet of the emulated cloud that runs, as it was chosen when it was started. */
static int check_fleet(const struct ebb_local_choice *c, struct ebb_error *err)
{
    EBB_AUTO(ebb_local_choice_clean_up) struct ebb_local_choice before;
    ebb_local_choice_read(&before);
    bool same = before.fleet != NULL && c->fleet != NULL && strcmp(before.fleet, c->fleet) == 0;
    if (same)
        return 0;
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "the emulated cloud that runs here has another fleet (%s): 'ebb stop' "
                         "ends it, or set EBB_STATE_DIR to another folder for a second one",
                         before.fleet != NULL ? before.fleet : "the default one");
}

int ebb_emulator_ensure(const struct ebb_local_choice *c, bool fleet_given, struct ebb_error *err)
{
    EBB_AUTO_FREE char *folder = ebb_state_path("emulator");
    EBB_AUTO_FREE char *lock = ebb_path_join(folder, "lock");
    if (ebb_local_answers(lock, emulator_answers)) {
        int rc = fleet_given ? check_fleet(c, err) : 0;
        return rc < 0 ? rc : use_emulator(err);
    }
    if (ebb_local_is_locked(lock))
        return ebb_error_set(
            err, EBB_ERR_TIMEOUT,
            "the emulated cloud of %s runs and does not answer: 'ebb stop' ends it", folder);
    if (c->fleet != NULL && !ebb_file_exists(c->fleet))
        return ebb_error_set(err, EBB_ERR_INPUT, "no fleet file %s", c->fleet);
    EBB_AUTO_FREE char *endpoint = ebb_emulator_file("endpoint");
    EBB_AUTO_FREE char *port = port_of(endpoint);
    int rc = start_emulator(c, port, err);
    if (rc < 0 && port != NULL) /* somebody else has the port by now */
        rc = start_emulator(c, NULL, err);
    return rc < 0 ? rc : use_emulator(err);
}

/* A pid in a file may by now be anybody's: its command line must be an emulator's. */
static bool is_emulator(long pid)
{
    EBB_AUTO_FREE char *path = ebb_sprintf("/proc/%ld/cmdline", pid);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    if (ebb_file_read(path, 65536, &b, NULL) < 0)
        return false;
    const char *program = ebb_buffer_text(&b);
    size_t first = strlen(program) + 1;
    return b.len > first && strcmp(program + first, "emulate") == 0;
}

bool ebb_local_stop_emulator(void)
{
    EBB_AUTO_FREE char *text = ebb_emulator_file("pid");
    int64_t pid = 0;
    if (text == NULL || ebb_parse_int(text, 2, INT32_MAX, &pid, NULL) < 0 || !is_emulator(pid))
        return false;
    if (kill((pid_t)pid, SIGTERM) != 0)
        return false;
    /* It ends its VMs and writes the bill first; what starts next must not meet it. */
    int64_t end_ns = ebb_now_ns(NULL) + END_S * EBB_NS_PER_S;
    while (is_emulator((long)pid) && ebb_now_ns(NULL) < end_ns)
        (void)poll(NULL, 0, 20);
    return true;
}
