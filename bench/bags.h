/* Bags and fleets of benches, from text; a fault in one ends the bench. */
#ifndef EBB_BENCH_BAGS_H
#define EBB_BENCH_BAGS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cloud/emulator/fleet.h"
#include "scheduler/core/bag.h"

/* `jobs` jobs of GROMACS that take `time` ("4h") each; `deadline` may be NULL. */
static inline Ebb__BagSpec *bag_of(int jobs, const char *time, const char *deadline)
{
    EBB_AUTO_FREE char *limit =
        deadline != NULL ? ebb_sprintf("deadline: %s\n", deadline) : ebb_strdup("");
    EBB_AUTO_FREE char *text =
        ebb_sprintf("name: bench\n%sjobs:\n  - name: md\n    engine: gromacs\n"
                    "    sweep: {seed: {from: 1, to: %d}}\n"
                    "    resources: {cpus: 1, memory: 1 GiB, time: %s}\n"
                    "    command: gmx mdrun -deffnm x\n    outputs: [x.xtc]\n",
                    limit, jobs, time);
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (ebb_bag_parse("bag.yaml", text, strlen(text), NULL, &spec, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return spec;
}

static inline struct ebb_fleet *fleet_of(const char *text)
{
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};
    if (ebb_fleet_parse("fleet.yaml", ".", text, strlen(text), &f, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return f;
}

#endif
