/* A bag on a fleet, both as text, in simulated time. */
#ifndef EBB_TESTS_SIMULATOR_FIXTURE_H
#define EBB_TESTS_SIMULATOR_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "scheduler/core/ledger.h"
#include "simulator/outcomes.h"
#include "simulator/run.h"
#include "tests/unit/core/sources.h"

struct fixture {
    struct ebb_fleet *fleet;
    Ebb__BagSpec *spec;
    struct ebb_simulation_options o;
};

static inline struct fixture *fixture_new(const char *bag, const char *fleet)
{
    struct fixture *f = ebb_alloc(sizeof *f);
    struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    if (test_parse(bag, NULL, &f->spec, &faults, &err) < 0 ||
        ebb_fleet_parse("fleet.yaml", ".", fleet, strlen(fleet), &f->fleet, &faults, &err) < 0)
        fail_msg("%s: %s", err.text, ebb_buffer_text(&faults));
    ebb_buffer_clean_up(&faults);
    ebb_simulation_defaults(true, &f->o);
    f->o.fleet = f->fleet;
    f->o.spec = f->spec;
    return f;
}

static inline void fixture_destroy(struct fixture *f)
{
    ebb__bag_spec__free_unpacked(f->spec, NULL);
    ebb_fleet_destroy(f->fleet);
    free(f);
}

static inline struct ebb_simulation fixture_run(struct fixture *f)
{
    struct ebb_simulation s;
    struct ebb_error err = {0};
    if (ebb_simulation_run(&f->o, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static inline struct ebb_outcome fixture_outcome(struct fixture *f)
{
    struct ebb_simulation s = fixture_run(f);
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    ebb_simulation_clean_up(&s);
    return x;
}

static inline struct ebb_ledger_totals fixture_totals(const struct ebb_simulation *s)
{
    struct ebb_ledger_totals t;
    ebb_ledger_totals(s->state, s->end_wall_ns, &t);
    return t;
}

#endif
