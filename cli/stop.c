/* `ebb stop`: ends the scheduler that runs here, and the emulated cloud. */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"
#include "cli/client.h"
#include "cli/json_out.h"
#include "cli/local.h"

extern const struct ebb_command ebb_command_stop;

#define END_S 60

static bool force;
static bool as_json;

static int call_stop(struct ebb_client *client, struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__StopRequest q = EBB__STOP_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.terminate_vms = true; /* no bag needs them, or --force says so */
    request.kind_case = EBB__CLIENT_REQUEST__KIND_STOP;
    request.stop = &q;
    return ebb_client_call(client, &request, &a, err);
}

static int check_idle(struct ebb_client *client, struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_ask_ping(client, &a, err);
    if (rc < 0 || force || a->ping->active_bags == 0)
        return rc;
    return ebb_error_set(
        err, EBB_ERR_INPUT,
        "%llu bag%s still run%s, on %llu VMs: 'ebb stop --force' ends the VMs; the "
        "bags go on when a scheduler runs again",
        (unsigned long long)a->ping->active_bags, a->ping->active_bags == 1 ? "" : "s",
        a->ping->active_bags == 1 ? "s" : "", (unsigned long long)a->ping->live_vms);
}

static int await_end(struct ebb_error *err)
{
    int64_t end_ns = ebb_now_ns(NULL) + END_S * EBB_NS_PER_S;
    for (;;) {
        struct ebb_client *client = NULL;
        if (ebb_client_connect(&client, NULL) < 0)
            return 0;
        ebb_client_destroy(client);
        if (ebb_now_ns(NULL) > end_ns)
            return ebb_error_set(err, EBB_ERR_TIMEOUT,
                                 "the scheduler is still ending VMs after %d s; it goes on", END_S);
        (void)poll(NULL, 0, 50);
    }
}

static int stop_scheduler(bool *ret_stopped, struct ebb_error *err)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    int rc = ebb_client_connect(&client, err);
    if (rc == EBB_ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = check_idle(client, err);
    if (rc == 0)
        rc = call_stop(client, err);
    if (rc < 0)
        return rc;
    ebb_client_destroy(EBB_TAKE(client));
    *ret_stopped = true;
    return await_end(err);
}

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct ebb_error err = {0};
    bool scheduler = false;
    if (stop_scheduler(&scheduler, &err) < 0)
        return ebb_command_fail(&err);
    bool emulator = ebb_local_stop_emulator();
    if (as_json) {
        json_t *v = ebb_json_new("stop");
        (void)json_object_set_new(v, "scheduler", json_boolean(scheduler));
        (void)json_object_set_new(v, "emulated_cloud", json_boolean(emulator));
        return ebb_json_print(v);
    }
    if (!scheduler && !emulator)
        (void)puts("nothing was running here");
    if (scheduler)
        (void)puts("stopped the scheduler");
    if (emulator)
        (void)puts("stopped the emulated cloud");
    return 0;
}

static const struct ebb_option options[] = {
    {.name = "force",
     .target = &force,
     .help = "Also when bags run: their VMs are ended, their work since the last checkpoint is "
             "lost."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_stop = {
    .name = "stop",
    .summary = "Stop the scheduler and the emulated cloud of this machine",
    .details = "VMs that no bag needs are ended. Nothing is forgotten: the next command that needs "
               "them starts them again.",
    .options = options,
    .run = run,
};
