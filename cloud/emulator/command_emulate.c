/* `ebb emulate`: the emulated cloud as a program. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cloud/emulator/emulator.h"

static const char *state_dir;
static const char *region;
static int64_t port;
static double idle_exit_s;

static const struct ebb_option options[] = {
    {.name = "state",
     .kind = EBB_OPTION_TEXT,
     .target = &state_dir,
     .value = "DIR",
     .help = "Folder for objects, VMs, keys and the bill. Default: emulator/ in the state folder "
             "of ebb."},
    {.name = "port",
     .kind = EBB_OPTION_INT,
     .target = &port,
     .least = 0,
     .most = 65535,
     .value = "N",
     .help = "Port on 127.0.0.1. Default: any free one; the file `endpoint` in the state folder "
             "tells which."},
    {.name = "idle-exit",
     .kind = EBB_OPTION_DURATION,
     .target = &idle_exit_s,
     .least = 1,
     .value = "TIME",
     .help = "End when there has been no VM and no request for so long. Default: never."},
    {.name = "region",
     .kind = EBB_OPTION_TEXT,
     .target = &region,
     .value = "NAME",
     .help = "Region, in place of the one in the fleet file."},
    {0},
};

static void on_signal(void *ctx)
{
    ebb_loop_stop(ctx);
}

static char *default_state_dir(void)
{
    const char *ebb = getenv("EBB_STATE_DIR"), *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (ebb != NULL && ebb[0] != '\0')
        return ebb_path_join(ebb, "emulator");
    if (xdg != NULL && xdg[0] != '\0')
        return ebb_path_join(xdg, "ebb/emulator");
    return ebb_path_join(home != NULL ? home : ".", ".local/state/ebb/emulator");
}

static int serve(struct ebb_loop *loop, const struct ebb_emulator_options *o, struct ebb_error *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct ebb_watch *watches[EBB_ARRAY_LEN(signals)];
    struct ebb_emulator *e = NULL;
    int code;

    if (ebb_emulator_new(loop, o, &e, err) < 0)
        return err->code;
    for (size_t i = 0; i < EBB_ARRAY_LEN(signals); i++)
        watches[i] = ebb_watch_signal(loop, signals[i], on_signal, loop);
    printf("Emulated cloud %s at %s. For the AWS tools: export AWS_ENDPOINT_URL=%s "
           "AWS_SHARED_CREDENTIALS_FILE=%s/credentials AWS_REGION=%s\n",
           e->fleet->region, e->endpoint, e->endpoint, e->state_dir, e->fleet->region);
    fflush(stdout);
    code = ebb_loop_run(loop, err);
    for (size_t i = 0; i < EBB_ARRAY_LEN(signals); i++)
        ebb_watch_destroy(watches[i]);
    ebb_emulator_destroy(e);
    return code;
}

static int run(int argc, char **argv)
{
    EBB_AUTO_FREE char *standard = default_state_dir();
    struct ebb_emulator_options o = {.fleet_path = argc > 0 ? argv[0] : NULL,
                                     .state_dir = state_dir != NULL ? state_dir : standard,
                                     .region = region,
                                     .port = (int)port,
                                     .idle_exit_s = idle_exit_s};
    struct ebb_error err = {0};
    struct ebb_loop *loop;
    int code;

    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ebb_log_init("emulator", EBB_LOG_INFO, NULL);
    loop = ebb_loop_new();
    code = serve(loop, &o, &err);
    ebb_loop_destroy(loop);
    return code < 0 ? ebb_command_fail(&err) : 0;
}

extern const struct ebb_command ebb_command_emulate;
const struct ebb_command ebb_command_emulate = {
    .name = "emulate",
    .arguments = "[FLEET.yaml]",
    .summary = "Run an emulated AWS: EC2, S3, metadata services, on loopback",
    .details =
        "Serves EC2 (Query), S3, STS, the price list and a metadata service for each VM in AWS's "
        "own wire formats. A VM is a tree of processes with a folder of its own, which runs its "
        "user data as a boot script. The fleet file says what there is to rent, at which price, "
        "and what goes wrong: see docs/emulator.md. Without one, a calm fleet that ships inside "
        "is used.\n\n"
        "GET /_ebb/bill and /_ebb/vms show the bill and the VMs; POST /_ebb/revoke and "
        "/_ebb/fault make trouble by hand.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
