/* What `ebb explain` says of jobs that wait, are ready, run or have ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/status.h"
#include "tests/unit/core/world.h"

static const char yaml[] = "name: b\njobs:\n"
                           " - {name: g, engine: gromacs, command: x, resources: {cpus: 2}}\n"
                           " - {name: h, command: x, needs: [g]}\n";

struct setting {
    struct world w;
    Ebb__Offer offer;
    struct ebb_policy policy;
};

static struct setting start(void)
{
    struct setting t = {.w = world_new(), .offer = world_offer("m5", "zone-a", true, 2, 36000)};
    ebb_policy_default(&t.policy);
    world_submit(&t.w, "b-1", yaml);
    return t;
}

static Ebb__ExplainAnswer *explain(const struct setting *t, uint64_t job)
{
    const Ebb__Offer *offers[] = {&t->offer};
    struct ebb_plan_input in = {.state = t->w.s,
                                .offers = offers,
                                .offer_count = 1,
                                .policy = &t->policy,
                                .now_wall_ns = t->w.now};
    struct ebb_job_history *h = ebb_job_history_new("b-1", job);
    for (size_t i = 0; i < t->w.count; i++) {
        Ebb__Event *e = ebb__event__unpack(NULL, t->w.sizes[i], t->w.log[i]);
        ebb_job_history_add(h, e);
        ebb__event__free_unpacked(e, NULL);
    }
    struct ebb_plan plan;
    ebb_plan(&in, &plan);
    Ebb__ExplainAnswer *r = ebb_explain_new(&in, t->w.s->bags[0], job, h, &plan);
    ebb_plan_clean_up(&plan);
    ebb_job_history_destroy(h);
    return r;
}

static void expect_line(const struct setting *t, uint64_t job, const char *text)
{
    Ebb__ExplainAnswer *r = explain(t, job);
    bool found = false;
    for (size_t i = 0; i < r->n_lines; i++)
        found |= strstr(r->lines[i], text) != NULL;
    if (!found)
        fail_msg("no line has '%s'; the first is '%s'", text, r->n_lines > 0 ? r->lines[0] : "");
    ebb__explain_answer__free_unpacked(r, NULL);
}

static void a_waiting_job_names_what_it_needs(void **state)
{
    (void)state;
    struct setting t = start();
    expect_line(&t, 1, "needs 'g': 0 of 1 jobs are done");
    world_destroy(&t.w);
}

static void a_ready_job_tells_vms_offers_and_refusals(void **state)
{
    (void)state;
    struct setting t = start();
    world_intend(&t.w, "v0", &t.offer);
    world_launch_failed(&t.w, "v0", EBB_ERR_NO_CAPACITY);
    t.w.now += 3 * S;
    expect_line(&t, 0, "0 jobs of its group ahead");
    expect_line(&t, 0, "offer m5 zone-a spot:");
    expect_line(&t, 0, "refused a launch and is left alone for now");
    expect_line(&t, 0, "refused by zone-a/m5/spot: 1 times in a row, last 3 s ago (no-capacity)");
    expect_line(&t, 0, "planner: 'g': the 1 offers that fit have just refused a launch");
    world_destroy(&t.w);
}

static void a_running_job_tells_its_vm_and_interval(void **state)
{
    (void)state;
    struct setting t = start();
    world_vm(&t.w, "v0", &t.offer);
    world_lease(&t.w, "b-1", 0, "v0");
    world_start(&t.w, "b-1", 0);
    expect_line(&t, 0, "attempt 1 on v0 (m5 in zone-a), running since 0 s");
    expect_line(&t, 0, "the VM is 0 s old:");
    expect_line(&t, 0, "a checkpoint every");
    expect_line(&t, 0, "a new VM of its kind:");
    world_notice(&t.w, "v0");
    expect_line(&t, 0, "the VM ends in 120 s");
    world_destroy(&t.w);
}

static void the_attempts_tell_their_history(void **state)
{
    (void)state;
    struct setting t = start();
    world_vm(&t.w, "v0", &t.offer);
    world_lease(&t.w, "b-1", 0, "v0");
    world_start(&t.w, "b-1", 0);
    world_commit(&t.w, "b-1", 0, 5);
    world_commit(&t.w, "b-1", 0, 9);
    world_end(&t.w, "b-1", 0, FAILED, NULL);
    Ebb__ExplainAnswer *r = explain(&t, 0);
    assert_string_equal(r->job->state, "failed");
    assert_int_equal(r->n_attempts, 1);
    assert_string_equal(r->attempts[0]->zone, "zone-a");
    assert_string_equal(r->attempts[0]->type, "m5");
    assert_string_equal(r->attempts[0]->outcome, "failed");
    assert_string_equal(r->attempts[0]->reason, "because");
    assert_int_equal(r->attempts[0]->checkpoints, 2);
    assert_int_equal(r->attempts[0]->last_step, 200);
    ebb__explain_answer__free_unpacked(r, NULL);
    expect_line(&t, 0, "failed 1 times; 0 retries are allowed");
    expect_line(&t, 1, "cancelled: a job that it needs was not done");
    world_destroy(&t.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_job_names_what_it_needs),
        cmocka_unit_test(a_ready_job_tells_vms_offers_and_refusals),
        cmocka_unit_test(a_running_job_tells_its_vm_and_interval),
        cmocka_unit_test(the_attempts_tell_their_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
