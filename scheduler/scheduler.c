/* `ebb scheduler`: options to daemon. */
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cloud/credentials.h"
#include "cloud/object_store.h"
#include "scheduler/daemon.h"

extern const struct ebb_command ebb_command_scheduler;

static const char *state_dir, *cloud, *store, *listen_at, *advertise, *agent_proxy;
static double bill_time_scale, idle_exit_s, heartbeat_s, lease_ttl_s, orphan_timeout_s,
    boot_timeout_s, drain_s;
static int64_t max_vms;
static const char *scale_text;

static const char *const clouds[] = {"aws", NULL};

static const struct ebb_option options[] = {
    {.name = "state",
     .kind = EBB_OPTION_TEXT,
     .target = &state_dir,
     .value = "DIR",
     .help = "Folder of the event log, the sockets and the certificate authority. Default: "
             "$EBB_STATE_DIR, else ~/.local/state/ebb."},
    {.name = "cloud",
     .kind = EBB_OPTION_CHOICE,
     .target = &cloud,
     .choices = clouds,
     .value = "CLOUD",
     .help = "Where VMs come from. The emulated cloud is aws with AWS_ENDPOINT_URL set."},
    {.name = "store",
     .kind = EBB_OPTION_TEXT,
     .target = &store,
     .value = "URL",
     .help = "The object store of bags that name none: s3://BUCKET/PREFIX or file:///FOLDER."},
    {.name = "listen",
     .kind = EBB_OPTION_TEXT,
     .target = &listen_at,
     .value = "HOST:PORT",
     .help = "Where agents connect (TLS). Default: 127.0.0.1, the port used before."},
    {.name = "advertise",
     .kind = EBB_OPTION_TEXT,
     .target = &advertise,
     .value = "HOST:PORT",
     .help = "The address that VMs are told. Default: where it listens."},
    {.name = "agent-proxy",
     .kind = EBB_OPTION_TEXT,
     .target = &agent_proxy,
     .value = "URL",
     .help = "HTTP proxy through which agents reach the scheduler."},
    {.name = "bill-time-scale",
     .kind = EBB_OPTION_TEXT,
     .target = &scale_text,
     .value = "N",
     .help = "Billed seconds per second, as an emulated cloud bills. Default: 1."},
    {.name = "max-vms",
     .kind = EBB_OPTION_INT,
     .target = &max_vms,
     .least = 1,
     .most = EBB_MOST_VMS,
     .value = "N",
     .help = "VMs living at once at most."},
    {.name = "heartbeat",
     .kind = EBB_OPTION_DURATION,
     .target = &heartbeat_s,
     .least = 1,
     .value = "TIME",
     .help = "How often agents report. Default: 2s, or $EBB_HEARTBEAT."},
    {.name = "lease-ttl",
     .kind = EBB_OPTION_DURATION,
     .target = &lease_ttl_s,
     .least = 1,
     .value = "TIME",
     .help = "A VM that was silent for so long is lost and its jobs go elsewhere. Default: 20s, or "
             "$EBB_LEASE_TTL."},
    {.name = "orphan-timeout",
     .kind = EBB_OPTION_DURATION,
     .target = &orphan_timeout_s,
     .least = 1,
     .value = "TIME",
     .help = "An agent that hears neither scheduler nor store for so long ends its VM. Default: "
             "10m, or $EBB_ORPHAN_TIMEOUT."},
    {.name = "boot-timeout",
     .kind = EBB_OPTION_DURATION,
     .target = &boot_timeout_s,
     .least = 1,
     .value = "TIME",
     .help =
         "A VM whose agent has not come by then is given up. Default: 10m, or $EBB_BOOT_TIMEOUT."},
    {.name = "drain",
     .kind = EBB_OPTION_DURATION,
     .target = &drain_s,
     .least = 1,
     .value = "TIME",
     .help =
         "Time a VM gets to hand its jobs back before it is ended. Default: 60s, or $EBB_DRAIN."},
    {.name = "idle-exit",
     .kind = EBB_OPTION_DURATION,
     .target = &idle_exit_s,
     .least = 1,
     .value = "TIME",
     .help = "End when there was nothing to do for so long. Default: never."},
    {0}};

static char *default_state_dir(void)
{
    const char *dir = getenv("EBB_STATE_DIR");
    if (dir != NULL && dir[0] != '\0')
        return ebb_strdup(dir);
    const char *state_home = getenv("XDG_STATE_HOME");
    if (state_home != NULL && state_home[0] != '\0')
        return ebb_sprintf("%s/ebb", state_home);
    const char *home = getenv("HOME");
    return ebb_sprintf("%s/.local/state/ebb", home != NULL ? home : "/root");
}

/* A duration from the option, else the environment, else the default. */
static int choose_duration(double *value, const char *variable, double otherwise,
                           struct ebb_error *err)
{
    const char *text = variable != NULL ? getenv(variable) : NULL;
    if (*value > 0)
        return 0;
    *value = otherwise;
    if (text == NULL || text[0] == '\0')
        return 0;
    int rc = ebb_parse_duration(text, value, err);
    if (rc == 0 && !(*value > 0))
        rc = ebb_error_set(err, EBB_ERR_INPUT, "'%s' is not more than nothing", text);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", variable) : 0;
}

static int choose(struct ebb_error *err)
{
    const struct {
        double *value;
        const char *variable;
        double otherwise;
    } durations[] = {
        {&heartbeat_s, "EBB_HEARTBEAT", EBB_TIMING_HEARTBEAT_S},
        {&lease_ttl_s, "EBB_LEASE_TTL", EBB_TIMING_LEASE_S},
        {&orphan_timeout_s, "EBB_ORPHAN_TIMEOUT", 600},
        {&boot_timeout_s, "EBB_BOOT_TIMEOUT", EBB_TIMING_BOOT_S},
        {&drain_s, "EBB_DRAIN", EBB_TIMING_DRAIN_S},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(durations); i++) {
        int rc =
            choose_duration(durations[i].value, durations[i].variable, durations[i].otherwise, err);
        if (rc < 0)
            return rc;
    }
    bill_time_scale = 1;
    if (scale_text != NULL &&
        (ebb_parse_double(scale_text, &bill_time_scale, err) < 0 || bill_time_scale <= 0))
        return ebb_error_set(err, EBB_ERR_INPUT, "--bill-time-scale %s: a number over 0 is needed",
                             scale_text);
    if (lease_ttl_s < 2 * heartbeat_s)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "the lease (%.1f s) must last at least two heartbeats (%.1f s)",
                             lease_ttl_s, heartbeat_s);
    return 0;
}

/* What would otherwise be found out when the first VM boots, or the first bag ends. */
static int check_places(struct ebb_error *err)
{
    struct ebb_address where;
    struct ebb_object_store *opened = NULL;
    int rc = 0;
    if (advertise != NULL) {
        EBB_AUTO_FREE char *full =
            ebb_sprintf("%s%s", advertise, strchr(advertise, ':') == NULL ? ":1" : "");
        rc = ebb_address_parse(full, &where, err);
        if (rc < 0)
            return ebb_error_wrap(err, rc, "--advertise");
    }
    if (store != NULL)
        rc = ebb_object_store_open(store, NULL, &opened, err);
    ebb_object_store_destroy(opened);
    return rc == EBB_ERR_INPUT ? ebb_error_wrap(err, rc, "--store") : 0;
}

static bool is_emulated(void)
{
    EBB_AUTO_FREE char *endpoint = ebb_aws_endpoint("EC2");
    return endpoint != NULL;
}

static void fill_options(struct ebb_daemon_options *o, const char *dir,
                         struct ebb_provider *provider)
{
    bool emulated = is_emulated();
    *o = (struct ebb_daemon_options){.state_dir = dir,
                                     .provider = provider,
                                     .emulated = emulated,
                                     .bill_time_scale = bill_time_scale,
                                     .store_url = store,
                                     .listen = listen_at,
                                     .advertise = advertise,
                                     .agent_proxy = agent_proxy,
                                     .heartbeat_s = heartbeat_s,
                                     .lease_ttl_s = lease_ttl_s,
                                     .orphan_timeout_s = orphan_timeout_s,
                                     .boot_timeout_s = boot_timeout_s,
                                     .drain_s = drain_s,
                                     .list_interval_s =
                                         emulated ? EBB_TIMING_LOOK_EMULATED_S : EBB_TIMING_LOOK_S,
                                     .offers_interval_s = emulated ? 20 : 300,
                                     .idle_exit_s = idle_exit_s,
                                     .upload_program = true};
    ebb_policy_default(&o->policy);
    if (max_vms > 0)
        o->policy.max_vms = (uint32_t)max_vms;
    ebb_random_secret(&o->seed, sizeof o->seed);
}

EBB_DEFINE_AUTO_PTR(auto_provider, struct ebb_provider, ebb_provider_destroy)

static int run_scheduler(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct ebb_error err = {0};
    EBB_AUTO(auto_provider) struct ebb_provider *provider = NULL;
    EBB_AUTO_FREE char *dir = state_dir != NULL ? ebb_strdup(state_dir) : default_state_dir();
    struct ebb_daemon_options o;
    struct ebb_daemon *d = NULL;
    ebb_log_init("scheduler", EBB_LOG_INFO, NULL);
    if (choose(&err) < 0 || check_places(&err) < 0 ||
        ebb_provider_open(cloud != NULL ? cloud : "aws", &provider, &err) < 0)
        return ebb_command_fail(&err);
    fill_options(&o, dir, provider);
    int rc = ebb_daemon_new(&o, &d, &err);
    if (rc == 0) {
        ebb_log_info("agents connect to port %d", ebb_daemon_agent_port(d));
        rc = ebb_daemon_run(d, &err);
    }
    ebb_daemon_destroy(d);
    return rc < 0 ? ebb_command_fail(&err) : 0;
}

const struct ebb_command ebb_command_scheduler = {
    .name = "scheduler",
    .arguments = "",
    .summary = "Run the scheduler",
    .details = "Keeps bags, VMs and leases in an event log, launches and ends VMs, and hands jobs "
               "to their agents. `ebb submit` starts one by itself for local use. It may be killed "
               "at any time: the next one goes on from the log.",
    .options = options,
    .run = run_scheduler,
};
