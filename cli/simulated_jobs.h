/* What `ebb plan` and `ebb simulate` are told of jobs and VMs in simulated time: options of both.
 */
#ifndef EBB_CLI_SIMULATED_JOBS_H
#define EBB_CLI_SIMULATED_JOBS_H

#include "base/options.h"
#include "scheduler/core/planner.h"
#include "simulator/run.h"

struct ebb_simulated_jobs {
    const char *spread;                   /* NULL: the command's default */
    double time_s, start_s, checkpoint_s; /* 0: the simulator's default */
    int64_t max_vms;                      /* 0: the policy's */
};

/* Rows of an option table; --job-spread, whose default differs, stands in the commands' own. */
#define EBB_SIMULATED_JOBS_OPTIONS(jobs)                                                           \
    {.name = "job-time",                                                                           \
     .kind = EBB_OPTION_DURATION,                                                                  \
     .target = &(jobs).time_s,                                                                     \
     .least = 1,                                                                                   \
     .value = "TIME",                                                                              \
     .help = "Run time of jobs whose group gives none (resources.time). Default: 10m."},           \
        {.name = "start-time",                                                                     \
         .kind = EBB_OPTION_DURATION,                                                              \
         .target = &(jobs).start_s,                                                                \
         .least = 1,                                                                               \
         .value = "TIME",                                                                          \
         .help = "Staging or restoring, until an attempt's engine runs. Default: 20ms emulated, "  \
                 "5s in the cloud."},                                                              \
        {.name = "checkpoint-time",                                                                \
         .kind = EBB_OPTION_DURATION,                                                              \
         .target = &(jobs).checkpoint_s,                                                           \
         .least = 1,                                                                               \
         .value = "TIME",                                                                          \
         .help = "Making and sending a checkpoint. Default: 5ms emulated, 1s in the cloud."},      \
    {                                                                                              \
        .name = "max-vms", .kind = EBB_OPTION_INT, .target = &(jobs).max_vms, .least = 1,          \
        .most = EBB_MOST_VMS, .value = "N",                                                        \
        .help = "VMs living at once at most, as in `ebb scheduler`."                               \
    }

/* "--NAME TEXT" as a share from 0 to 10; NULL: `otherwise`. */
int ebb_simulated_share(const char *name, const char *text, double otherwise, double *ret,
                        struct ebb_error *err);
int ebb_simulated_jobs_apply(const struct ebb_simulated_jobs *jobs, double spread,
                             struct ebb_simulation_options *to, struct ebb_error *err);

#endif
