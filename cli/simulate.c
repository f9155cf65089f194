/* `ebb simulate`: the options, and which mode is meant. */
#include "cli/simulate_bag.h"

#include <stddef.h>

#include "base/options.h"

extern const struct ebb_command ebb_command_simulate;

static struct ebb_simulate_bag_options bag = {.seed = 1, .runs = 1};

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
     .value = "N",
     .help = "So many runs, each with a seed of its own, and the spread of cost and finish. "
             "Default: 1."},
    {.name = "seed",
     .kind = EBB_OPTION_INT,
     .target = &bag.seed,
     .value = "N",
     .help = "The first run's. The same seed gives the same run. Default: 1."},
    {.name = "job-time",
     .kind = EBB_OPTION_DURATION,
     .target = &bag.job_time_s,
     .value = "TIME",
     .help = "Run time of jobs whose group gives none (resources.time). Default: 10m."},
    {.name = "job-spread",
     .kind = EBB_OPTION_TEXT,
     .target = &bag.job_spread,
     .value = "FRACTION",
     .help = "Run times within a group are log-normal with this standard deviation over mean. "
             "Default: 0, all alike."},
    {.name = "max-vms",
     .kind = EBB_OPTION_INT,
     .target = &bag.max_vms,
     .value = "N",
     .help = "VMs living at once at most, as in `ebb scheduler`."},
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
    {.name = "json", .target = &bag.as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    if (argc == 0) {
        ebb_error_set(&err, EBB_ERR_INPUT,
                      "what is to be simulated? `ebb simulate BAG.yaml --fleet FLEET.yaml`");
        return ebb_command_fail(&err);
    }
    return ebb_simulate_bag(&bag, argv[0]);
}

const struct ebb_command ebb_command_simulate = {
    .name = "simulate",
    .arguments = "BAG.yaml",
    .summary = "Run a bag in simulated time",
    .details =
        "The whole scheduler in simulated time: the same event log, decisions, ledger and report\n"
        "as a real run, against the emulated cloud of a fleet file. Jobs take their\n"
        "`resources.time`. Nothing is launched, sent or spent.\n"
        "\n"
        "  ebb simulate bag.yaml --fleet fleet.yaml --runs 100\n"
        "  ebb simulate bag.yaml --fleet fleet.yaml --events - | jq -c .",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
