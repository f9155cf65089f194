/* How fast VM types are for a group, from progress between commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/random.h"
#include "scheduler/core/speed.h"
#include "tests/unit/core/world.h"

#define BAG                                                                                        \
    "name: b\njobs:\n - {name: g, engine: gromacs, command: x}\n"                                  \
    " - {name: h, engine: gromacs, command: x}\n"

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

static void nothing_known_is_as_fast_as_the_others(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", BAG);
    assert_true(ebb_state_speed(w.s, "gromacs", "m") == 1);
    ebb_speed_observe(w.s, &w.s->bags[0]->groups[0], "m", 500, 10);
    assert_true(ebb_state_speed(w.s, "gromacs", "m") == 1); /* nothing to compare with */
    world_destroy(&w);
}

/* Groups of systems that differ a hundredfold in size; type n is twice as fast as m. */
static void the_ratio_of_types_is_found_whatever_the_jobs_sizes(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_random r;
    ebb_random_seed(&r, 2);
    world_submit(&w, "b-1", BAG);
    for (int i = 0; i < 200; i++) {
        struct ebb_group *g = &w.s->bags[0]->groups[ebb_random_below(&r, 2)];
        bool fast = ebb_random_below(&r, 2) == 0;
        double noise = exp(0.1 * (2 * ebb_random_uniform(&r) - 1));
        ebb_speed_observe(w.s, g, fast ? "n" : "m", (g->index == 0 ? 1000 : 10) * noise,
                          fast ? 1 : 2);
    }
    double ratio = ebb_state_speed(w.s, "gromacs", "n") / ebb_state_speed(w.s, "gromacs", "m");
    assert_close(ratio, 2, 0.15);
    assert_true(ebb_state_speed(w.s, "lammps", "n") == 1);
    world_destroy(&w);
}

static void little_is_believed_of_few(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", BAG);
    struct ebb_group *g = &w.s->bags[0]->groups[0];
    for (int i = 0; i < 20; i++)
        ebb_speed_observe(w.s, g, "m", 100, 1);
    ebb_speed_observe(w.s, g, "n", 1000, 1);
    double speed = ebb_state_speed(w.s, "gromacs", "n");
    assert_true(speed > 1 && speed < 2.5); /* 10 was seen, once */
    world_destroy(&w);
}

static void nonsense_is_not_learned(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", BAG);
    struct ebb_group *g = &w.s->bags[0]->groups[0];
    ebb_speed_observe(w.s, g, "m", -5, 1);
    ebb_speed_observe(w.s, g, "m", 5, 0);
    ebb_speed_observe(w.s, g, "m", NAN, 1);
    ebb_speed_observe(w.s, g, "m", 1e300, 1e-300);
    assert_true(g->log_pace.count == 0);
    world_destroy(&w);
}

/* Commits of a running job teach it, and offers are scored by it. */
static void progress_between_commits_is_what_is_learned(void **state)
{
    (void)state;
    struct world w = world_new();
    world_submit(&w, "b-1", BAG);
    Ebb__Offer slow = world_offer("m", "a", true, 1, 1), fast = world_offer("n", "a", true, 1, 1);
    world_vm(&w, "v0", &slow);
    world_vm(&w, "v1", &fast);
    world_lease(&w, "b-1", 0, "v0");
    world_lease(&w, "b-1", 1, "v1");
    world_start(&w, "b-1", 0);
    world_start(&w, "b-1", 1);
    for (int i = 1; i < 6; i++)
        world_commit(&w, "b-1", 0, 100.0 * i); /* 100 steps each */
    assert_close(w.s->bags[0]->groups[0].log_pace.value, log(1), 1e-6);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_is_as_fast_as_the_others),
        cmocka_unit_test(the_ratio_of_types_is_found_whatever_the_jobs_sizes),
        cmocka_unit_test(little_is_believed_of_few),
        cmocka_unit_test(nonsense_is_not_learned),
        cmocka_unit_test(progress_between_commits_is_what_is_learned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
