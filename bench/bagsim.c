/* Bags in simulated time: how fast. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bags.h"
#include "bench/measure.h"
#include "simulator/outcomes.h"

static void measure_speed(int jobs)
{
    Ebb__BagSpec *spec = bag_of(jobs, "1h", NULL);
    struct ebb_fleet *fleet = fleet_of(
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
