/* Bags in simulated time: how fast. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/profile.h"
#include "simulator/outcomes.h"

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *profile(void *ctx, const char *name, size_t *ret_len)
{
    (void)ctx;
    const char *text = ebb_profile_builtin(name, ret_len);
    return text == NULL ? NULL : ebb_strndup(text, *ret_len);
}

static Ebb__BagSpec *parse_bag(int jobs, const char *time)
{
    EBB_AUTO_FREE char *text =
        ebb_sprintf("name: bench\njobs:\n  - name: md\n    engine: gromacs\n"
                    "    sweep: {seed: {from: 1, to: %d}}\n"
                    "    resources: {cpus: 1, memory: 1 GiB, time: %s}\n"
                    "    command: gmx mdrun -deffnm x\n    outputs: [x.xtc]\n",
                    jobs, time);
    const struct ebb_bag_sources sources = {.profile = profile,
                                            .profile_names = ebb_profile_builtin_names()};
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (ebb_bag_parse("bag.yaml", text, strlen(text), &sources, &spec, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return spec;
}

static struct ebb_fleet *parse_fleet(const char *text)
{
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};
    if (ebb_fleet_parse("fleet.yaml", ".", text, strlen(text), &f, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return f;
}

static void measure_speed(int jobs)
{
    Ebb__BagSpec *spec = parse_bag(jobs, "1h");
    struct ebb_fleet *fleet = parse_fleet(
        "region: us-east-1\nboot: {from: 20s, to: 40s}\npending: {from: 1s, to: 3s}\n"
        "zones: [us-east-1a, us-east-1b, us-east-1c, us-east-1d]\n"
        "types: [{name: c5.large, vcpus: 1, memory: 4 GiB, on_demand: 0.085, spot: 0.03}]\n"
        "lifetimes: [{model: exponential, mean: 100h}]\n"); /* 1,000 VMs: ten an hour */
    struct ebb_simulation_options o;
    struct ebb_simulation s;
    struct ebb_error err = {0};
    ebb_simulation_defaults(false, &o);
    o.fleet = fleet;
    o.spec = spec;
    o.policy.max_vms = 1000;
    o.jobs.spread = 0.2;
    double began = cpu_s();
    if (ebb_simulation_run(&o, &s, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    double took = cpu_s() - began;
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    printf("%d jobs on 1,000 VMs: %.1f s CPU (aim: under 30); %llu events, %llu plans, %llu "
           "revocations in %.1f h simulated\n",
           jobs, took, (unsigned long long)s.events, (unsigned long long)s.plans,
           (unsigned long long)x.revocations, x.finish_s / 3600);
    printf("{\"schema\":\"ebb.bench.bagsim_speed.v1\",\"jobs\":%d,\"cpu_s\":%.2f,\"events\":%llu,"
           "\"plans\":%llu}\n",
           jobs, took, (unsigned long long)s.events, (unsigned long long)s.plans);
    ebb_simulation_clean_up(&s);
    ebb_fleet_destroy(fleet);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

int main(void)
{
    measure_speed(100000);
    return 0;
}
