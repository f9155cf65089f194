/* `ebb simulate`: the options of both its ways, a bag on a fleet and one job on availability
 * traces, and which of them is meant. */
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "cli/json_out.h"
#include "cli/simulate.h"
#include "cli/simulate_bag.h"

extern const struct ebb_command ebb_command_simulate;

static struct ebb_simulate_bag_options bag = {.seed = 1, .runs = 1};
/* What the help says in brackets. */
#define WORK_S          (48 * 3600.0)
#define DEADLINE_S      (52 * 3600.0)
#define RESTART_S       (12 * 60.0)
#define PROBE_S         60.0
#define SPOT_PRICE      "0.317"
#define ON_DEMAND_PRICE "1"
#define STARTS          200

static struct ebb_simulate_options one = {
    .mode = "each",
    .work_s = WORK_S,
    .deadline_s = DEADLINE_S,
    .restart_s = RESTART_S,
    .probe_s = PROBE_S,
    .probe_cost = "0",
    .spot_price = SPOT_PRICE,
    .on_demand_price = ON_DEMAND_PRICE,
    .policy = "all",
    .starts = STARTS,
    .seed = 1,
};

static const char *const modes[] = {"each", "any", NULL};
static const char *const timings[] = {"emulated", "cloud", NULL};

static const struct ebb_option options[] = {
    {.name = "fleet",
     .kind = EBB_OPTION_TEXT,
     .target = &bag.fleet,
     .value = "FLEET.yaml",
     .help = "The emulated cloud's file (docs/emulator.md): zones, VM types, prices, lifetimes, "
             "revocations, traces, faults. Default: the calm one that ships with ebb."},
    {.name = "runs",
     .kind = EBB_OPTION_INT,
     .target = &bag.runs,
     .least = 1,
     .most = 100000,
     .value = "N",
     .help = "So many runs, each with a seed of its own, and the spread of cost and finish. "
             "Default: 1."},
    {.name = "seed",
     .kind = EBB_OPTION_INT,
     .target = &bag.seed,
     .least = 0,
     .most = EBB_MOST_SEED,
     .value = "N",
     .help = "The first run's. The same seed gives the same run. Default: 1."},
    EBB_SIMULATED_JOBS_OPTIONS(bag.jobs),
    {.name = "job-spread",
     .kind = EBB_OPTION_TEXT,
     .target = &bag.jobs.spread,
     .value = "FRACTION",
     .help = "Run times within a group are log-normal with this standard deviation over mean. "
             "Default: 0, all alike."},
    {.name = "timings",
     .kind = EBB_OPTION_CHOICE,
     .target = &bag.timings,
     .choices = timings,
     .help = "How long calls, joins and looks at the cloud take: as with the emulated cloud on "
             "this machine, or as with a real one. Default: emulated."},
    {.name = "events",
     .kind = EBB_OPTION_TEXT,
     .target = &bag.events,
     .value = "FILE",
     .help = "Write the first run's event log there, a JSON object a line, as `ebb events "
             "--json` prints one."},
    {.name = "jobs", .target = &bag.with_jobs, .help = "Also a row for each job and VM."},
    {.name = "availability",
     .kind = EBB_OPTION_TEXTS,
     .target = &one.availability,
     .value = "FILE",
     .help = "Availability traces, one zone a file: {\"metadata\": {\"gap_seconds\": 600}, "
             "\"data\": [1, 0, ...]}, 1 where a launch would have succeeded."},
    {.name = "history",
     .kind = EBB_OPTION_TEXTS,
     .target = &one.history,
     .value = "FILE",
     .help = "Traces to learn from, matched to the zones by file name. Without: the first half of "
             "each trace is history, and jobs start in the second."},
    {.name = "mode",
     .kind = EBB_OPTION_CHOICE,
     .target = &one.mode,
     .choices = modes,
     .help = "each (default): every zone by itself. any: a job may move between the zones."},
    {.name = "work",
     .kind = EBB_OPTION_DURATION,
     .target = &one.work_s,
     .least = 1,
     .help = "Work of the job (48h)."},
    {.name = "deadline",
     .kind = EBB_OPTION_DURATION,
     .target = &one.deadline_s,
     .least = 1,
     .help = "Time from its start until it must be done (52h)."},
    {.name = "restart",
     .kind = EBB_OPTION_DURATION,
     .target = &one.restart_s,
     .help = "What each launch costs before work goes on, billed (12m)."},
    {.name = "probe",
     .kind = EBB_OPTION_DURATION,
     .target = &one.probe_s,
     .help = "Mode any: time until a failed launch is known (1m, at most a tick of the traces). 0: "
             "every "
             "zone's state is seen at each tick."},
    {.name = "probe-cost",
     .kind = EBB_OPTION_TEXT,
     .target = &one.probe_cost,
     .value = "USD",
     .help = "What a failed launch costs (0)."},
    {.name = "checkpoint",
     .kind = EBB_OPTION_DURATION,
     .target = &one.checkpoint_s,
     .help = "What a checkpoint takes; work since the last is lost at a revocation. 0 (default): "
             "progress is always kept."},
    {.name = "spot-price",
     .kind = EBB_OPTION_TEXT,
     .target = &one.spot_price,
     .value = "USD",
     .help = "Dollars per hour on spot (0.317)."},
    {.name = "on-demand-price",
     .kind = EBB_OPTION_TEXT,
     .target = &one.on_demand_price,
     .value = "USD",
     .help = "Dollars per hour on demand (1)."},
    {.name = "policy",
     .kind = EBB_OPTION_TEXT,
     .target = &one.policy,
     .value = "all|NAME,...",
     .help = "oracle, on-demand, eager, eager-best, young-daly, scispot, uniform-progress, value, "
             "ebb, or all (default)."},
    {.name = "starts",
     .kind = EBB_OPTION_INT,
     .target = &one.starts,
     .least = 1,
     .most = 10000000,
     .help = "Starts drawn from each zone, or from all together in mode any (200)."},
    {.name = "plot",
     .kind = EBB_OPTION_TEXT,
     .target = &one.plot,
     .value = "OUT.svg",
     .help = "Draw what each policy costs over the oracle."},
    {.name = "json", .target = &bag.as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

/* Options of the way that was not taken would be passed over in silence. */
static int check_way(bool of_bag, struct ebb_error *err)
{
    const struct {
        const char *name;
        bool of_bag, given;
    } all[] = {
        {"fleet", true, bag.fleet != NULL},
        {"runs", true, bag.runs != 1},
        {"job-time", true, bag.jobs.time_s > 0},
        {"job-spread", true, bag.jobs.spread != NULL},
        {"start-time", true, bag.jobs.start_s > 0},
        {"checkpoint-time", true, bag.jobs.checkpoint_s > 0},
        {"max-vms", true, bag.jobs.max_vms > 0},
        {"timings", true, bag.timings != NULL},
        {"events", true, bag.events != NULL},
        {"jobs", true, bag.with_jobs},
        {"history", false, one.history.count > 0},
        {"mode", false, strcmp(one.mode, "each") != 0},
        {"work", false, one.work_s != WORK_S},
        {"deadline", false, one.deadline_s != DEADLINE_S},
        {"restart", false, one.restart_s != RESTART_S},
        {"probe", false, one.probe_s != PROBE_S},
        {"probe-cost", false, strcmp(one.probe_cost, "0") != 0},
        {"checkpoint", false, one.checkpoint_s > 0},
        {"spot-price", false, strcmp(one.spot_price, SPOT_PRICE) != 0},
        {"on-demand-price", false, strcmp(one.on_demand_price, ON_DEMAND_PRICE) != 0},
        {"policy", false, strcmp(one.policy, "all") != 0},
        {"starts", false, one.starts != STARTS},
        {"plot", false, one.plot != NULL},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(all); i++) {
        if (all[i].given && all[i].of_bag != of_bag)
            return ebb_error_set(err, EBB_ERR_INPUT, "--%s goes with %s", all[i].name,
                                 of_bag ? "--availability, not with a bag"
                                        : "a bag, not with --availability");
    }
    return 0;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    one.seed = bag.seed;
    one.json = bag.as_json;
    if (one.availability.count > 0 && argc > 0) {
        ebb_error_set(&err, EBB_ERR_INPUT, "a bag (%s) or --availability, not both", argv[0]);
        return ebb_command_fail(&err);
    }
    if (check_way(argc > 0, &err) < 0)
        return ebb_command_fail(&err);
    if (one.availability.count > 0)
        return ebb_simulate_trace(&one, &err) < 0 ? ebb_command_fail(&err) : 0;
    if (argc == 0) {
        ebb_error_set(&err, EBB_ERR_INPUT,
                      "what is to be simulated? `ebb simulate BAG.yaml --fleet FLEET.yaml`, or one "
                      "job: `ebb simulate --availability FILE...`");
        return ebb_command_fail(&err);
    }
    return ebb_simulate_bag(&bag, argv[0]);
}

const struct ebb_command ebb_command_simulate = {
    .name = "simulate",
    .arguments = "[BAG.yaml]",
    .summary = "Run a bag, or one job under many policies, in simulated time",
    .details =
        "The whole scheduler in simulated time: the same event log, decisions, ledger and report\n"
        "as a real run, against the emulated cloud of a fleet file. Jobs take their\n"
        "`resources.time`. Nothing is launched, sent or spent.\n"
        "\n"
        "  ebb simulate bag.yaml --fleet fleet.yaml --runs 100\n"
        "  ebb simulate bag.yaml --fleet fleet.yaml --events - | jq -c .\n"
        "\n"
        "With --availability one job with a deadline runs on traces of what spot capacity there\n"
        "was, under every policy named, from the same starts. The oracle knows the traces: no\n"
        "policy can cost less.\n"
        "\n"
        "  ebb simulate --availability us-east-1a.json us-east-1c.json --mode any",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
