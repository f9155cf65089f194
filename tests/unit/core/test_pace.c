/* What a job's own pace says of its end and of its siblings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "scheduler/core/deadline.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/score.h"
#include "scheduler/core/status.h"
#include "tests/unit/core/world.h"

#define BAG                                                                                        \
    "name: b\ndeadline: 2h\njobs: [{name: g, engine: gromacs, command: x, resources: {time: "      \
    "1000s}, sweep: {i: {from: 1, to: 4}}}]\n"

static void assert_close(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%g is not %g", x, expected);
}

/* Jobs 0 and 1 run. */
static struct world start(void)
{
    struct world w = world_new();
    world_submit(&w, "b-1", BAG);
    Ebb__Offer o = world_offer("m", "zone-a", true, 2, 36000);
    world_vm(&w, "v0", &o);
    for (uint64_t job = 0; job < 2; job++) {
        world_lease(&w, "b-1", job, "v0");
        world_start(&w, "b-1", job);
    }
    return w;
}

static void progress(struct world *w, uint64_t job, int64_t steps, double s)
{
    EVENT(e, m, progress_seen, PROGRESS_SEEN, Ebb__ProgressSeen);
    ebb__progress_seen__init(&m);
    m.bag = lit("b-1");
    m.job = job;
    m.attempt = ebb_state_bag(w->s, "b-1")->jobs[job].attempts;
    m.total_steps = 1000;
    m.paced_steps = steps;
    m.paced_s = s;
    world_apply(w, &e);
}

static void demand(const struct world *w, const struct ebb_policy *p, struct ebb_demand *ret)
{
    const struct ebb_plan_input in = {.state = w->s, .policy = p, .now_wall_ns = w->now};
    ebb_demand_of_group(&in, &w->s->bags[0]->groups[0], ret);
}

static double left_s(const struct world *w, uint64_t job)
{
    struct ebb_policy p;
    struct ebb_demand d;
    ebb_policy_default(&p);
    demand(w, &p, &d);
    return ebb_demand_job_s(&d, &w->s->bags[0]->jobs[job]);
}

static void without_progress_all_is_as_it_was_told(void **state)
{
    (void)state;
    struct world w = start();
    assert_true(left_s(&w, 0) == 1000);
    progress(&w, 0, 0, 100);
    progress(&w, 0, 100, 0);
    progress(&w, 0, -5, 100);
    assert_true(left_s(&w, 0) == 1000);
    assert_true(left_s(&w, 3) == 1000);
    world_destroy(&w);
}

static void a_job_at_half_its_pace_is_seen_long_before_its_end(void **state)
{
    (void)state;
    struct world w = start();
    double before = left_s(&w, 0);
    for (int64_t steps = 20; steps <= 640; steps *= 2) {
        progress(&w, 0, steps, 2 * (double)steps);
        assert_true(left_s(&w, 0) > before);
        before = left_s(&w, 0);
        if (steps == 80) /* 8 % of it */
            assert_close(before, 1700, 100);
    }
    assert_close(before, 2000, 50);
    world_destroy(&w);
}

/* ... and what has not begun will take as long. */
static void siblings_are_expected_to_take_as_long(void **state)
{
    (void)state;
    struct world w = start();
    progress(&w, 0, 100, 200);
    double one = left_s(&w, 3);
    progress(&w, 1, 100, 200);
    double two = left_s(&w, 3);
    assert_true(1000 < one && one < two && two < 2000);
    progress(&w, 1, 100, 100); /* of two that differ they take the mean, about */
    assert_close(left_s(&w, 3), 1250, 100);
    world_destroy(&w);
}

/* A job of 100 s ends first; that the others take longer is known by then. */
static void jobs_done_first_are_not_all_there_are(void **state)
{
    (void)state;
    struct world w = start();
    progress(&w, 1, 500, 5000);
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    times.run_s = 100;
    world_end(&w, "b-1", 0, DONE, &times);
    assert_close(left_s(&w, 3), (100 + 10000 * 0.909) / 1.909, 50);
    times.run_s = 10000;
    world_end(&w, "b-1", 1, DONE, &times);
    assert_true(w.s->bags[0]->groups[0].paced_jobs < 1e-9);
    assert_close(left_s(&w, 3), 5050, 1);
    world_destroy(&w);
}

/* Agents that tell no pace: from the first commit to the last one. */
static void commits_tell_it_too_and_start_up_is_none_of_it(void **state)
{
    (void)state;
    struct world w = start();
    w.now += 400 * S;
    world_commit(&w, "b-1", 0, 400); /* 100 steps of 1000, in 300 s of start-up and 100 s */
    assert_close(left_s(&w, 0), 900, 1e-6);
    for (int i = 2; i <= 5; i++) {
        w.now += 100 * S;
        world_commit(&w, "b-1", 0, 300 + 100 * i);
    }
    assert_close(left_s(&w, 0), 500, 1e-3);
    world_commit(&w, "b-1", 0, 1300); /* 500 s for the next 100 */
    assert_true(left_s(&w, 0) > 1.5 * 400);
    world_destroy(&w);
}

static void what_an_attempt_showed_stays_and_a_later_word_of_it_replaces_the_earlier(void **state)
{
    (void)state;
    struct world w = start();
    progress(&w, 0, 100, 200);
    progress(&w, 0, 200, 400);
    const struct ebb_job *j = &w.s->bags[0]->jobs[0];
    assert_close((double)j->paced, 0.2, 1e-6);
    world_end(&w, "b-1", 0, LOST, NULL);
    assert_close((double)j->paced, 0.2, 1e-6);
    world_lease(&w, "b-1", 0, "v0");
    world_start(&w, "b-1", 0);
    progress(&w, 0, 100, 300);
    assert_close((double)j->paced, 0.3, 1e-6);
    assert_close((double)j->paced_s, 700, 1e-3);
    struct ebb_state *again = world_replay(&w);
    assert_true(ebb_state_digest(again) == ebb_state_digest(w.s));
    ebb_state_destroy(again);
    world_destroy(&w);
}

static void a_steps_count_that_means_nothing_moves_it_by_a_bounded_factor(void **state)
{
    (void)state;
    struct world w = start();
    progress(&w, 0, 1000, 0.001);
    assert_true(left_s(&w, 0) >= 40);
    progress(&w, 0, 1, 1e9);
    assert_true(left_s(&w, 1) <= 1e9 && isfinite(left_s(&w, 0)));
    world_destroy(&w);
}

static void only_what_changes_the_forecast_is_news(void **state)
{
    (void)state;
    struct world w = start();
    assert_false(ebb_pace_is_news(w.s, "b-1", 0, 1, 100, 1000, 100)); /* as foretold */
    assert_false(ebb_pace_is_news(w.s, "b-1", 0, 1, 1, 1000, 2));     /* too little to tell */
    assert_true(ebb_pace_is_news(w.s, "b-1", 0, 1, 20, 1000, 40));
    assert_false(ebb_pace_is_news(w.s, "b-1", 0, 2, 20, 1000, 40)); /* not its live attempt */
    assert_false(ebb_pace_is_news(w.s, "b-1", 3, 0, 20, 1000, 40));
    assert_false(ebb_pace_is_news(w.s, "b-2", 0, 1, 20, 1000, 40));
    progress(&w, 0, 20, 40);
    assert_false(ebb_pace_is_news(w.s, "b-1", 0, 1, 21, 1000, 42));
    int records = 0;
    for (int64_t steps = 20; steps < 1000; steps++) {
        if (!ebb_pace_is_news(w.s, "b-1", 0, 1, steps, 1000, 2 * (double)steps))
            continue;
        progress(&w, 0, steps, 2 * (double)steps);
        records++;
    }
    assert_in_range(records, 2, 8);
    world_destroy(&w);
}

static void a_deadline_and_the_forecasts_follow_the_pace(void **state)
{
    (void)state;
    struct world w = start();
    struct ebb_policy p;
    struct ebb_deadline before, after;
    ebb_policy_default(&p);
    const struct ebb_plan_input in = {.state = w.s, .policy = &p, .now_wall_ns = w.now};
    ebb_deadline_of(&in, &w.s->bags[0]->groups[0], &before);
    progress(&w, 0, 300, 1800);
    ebb_deadline_of(&in, &w.s->bags[0]->groups[0], &after);
    assert_close(before.need_s, 1001, 10);
    assert_true(after.need_s > 5000);
    Ebb__JobStatus *j = ebb_job_status_new(w.s, w.s->bags[0], 0, w.now);
    Ebb__BagStatus *b = ebb_bag_status_new(w.s, w.s->bags[0], w.now);
    assert_true(j->expected_left_s > 5000);
    assert_true(b->expected_finish_s >= j->expected_left_s);
    ebb__job_status__free_unpacked(j, NULL);
    ebb__bag_status__free_unpacked(b, NULL);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_progress_all_is_as_it_was_told),
        cmocka_unit_test(a_job_at_half_its_pace_is_seen_long_before_its_end),
        cmocka_unit_test(siblings_are_expected_to_take_as_long),
        cmocka_unit_test(jobs_done_first_are_not_all_there_are),
        cmocka_unit_test(commits_tell_it_too_and_start_up_is_none_of_it),
        cmocka_unit_test(what_an_attempt_showed_stays_and_a_later_word_of_it_replaces_the_earlier),
        cmocka_unit_test(a_steps_count_that_means_nothing_moves_it_by_a_bounded_factor),
        cmocka_unit_test(only_what_changes_the_forecast_is_news),
        cmocka_unit_test(a_deadline_and_the_forecasts_follow_the_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
