/* Jobs of several VMs: all or none, in one zone; what ends one part ends all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "scheduler/core/acts.h"
#include "scheduler/core/estimate.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/status.h"
#include "tests/unit/core/world.h"

#define GANG                                                                                       \
    "name: b\njobs:\n - {name: g, engine: gromacs, command: x, priority: 1, "                      \
    "resources: {cpus: 2, time: 2h, vms: 3}, sweep: {i: {from: 1, to: 2}}}\n"

static struct ebb_policy policy(void)
{
    struct ebb_policy p;
    ebb_policy_default(&p);
    return p;
}

static void plan(const struct world *w, const struct ebb_policy *p, const Ebb__Offer *const *offers,
                 size_t count, struct ebb_plan *ret)
{
    struct ebb_plan_input in = {.state = w->s,
                                .offers = offers,
                                .offer_count = count,
                                .policy = p,
                                .now_wall_ns = w->now,
                                .random = 0.5};
    ebb_plan(&in, ret);
}

static void a_gang_is_launched_whole_in_one_zone(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_policy p = policy();
    struct ebb_plan r;
    world_submit(&w, "b-1", GANG);
    Ebb__Offer a = world_offer("m", "a", true, 2, 40000), b = world_offer("m", "b", true, 2, 41000);
    const Ebb__Offer *offers[] = {&a, &b};
    plan(&w, &p, offers, 2, &r);
    assert_int_equal(r.launch_count, 1);
    assert_int_equal(r.launches[0].offer, 0);
    assert_int_equal(r.launches[0].count, 6);
    ebb_plan_clean_up(&r);
    p.max_vms = 5; /* room for one of the two jobs, and not for a part of the other */
    plan(&w, &p, offers, 2, &r);
    assert_int_equal(r.launches[0].count, 3);
    assert_non_null(strstr(r.notes, "a part of them would be of no use"));
    ebb_plan_clean_up(&r);
    p.max_vms = 2;
    plan(&w, &p, offers, 2, &r);
    assert_int_equal(r.launch_count, 0);
    ebb_plan_clean_up(&r);
    world_destroy(&w);
}

static void what_is_missing_is_launched_beside_what_is_there(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_policy p = policy();
    struct ebb_plan r;
    world_submit(&w, "b-1",
                 "name: b\njobs: [{name: g, command: x, resources: {cpus: 2, vms: 3}}]\n");
    Ebb__Offer a = world_offer("m", "a", true, 2, 42000), b = world_offer("m", "b", true, 2, 40000);
    const Ebb__Offer *offers[] = {&a};
    world_vm(&w, "v0", &a);
    world_vm(&w, "v1", &b);
    plan(&w, &p, offers, 1, &r);
    assert_int_equal(r.launch_count, 1);
    assert_int_equal(r.launches[0].count, 2);
    ebb_plan_clean_up(&r);
    world_intend(&w, "v2", &a);
    world_intend(&w, "v3", &a);
    plan(&w, &p, offers, 1, &r);
    assert_int_equal(r.launch_count, 0);
    ebb_plan_clean_up(&r);
    world_destroy(&w);
}

static int emit(void *ctx, Ebb__Event *e)
{
    struct ebb_error err = {0};
    struct world *w = ctx;
    if (world_try(w, e, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

/* Three VMs in one zone, one elsewhere; the gang's lease by the planner's own word. */
static struct world leased(struct ebb_placement *ret)
{
    static Ebb__Offer a, b;
    struct world w = world_new();
    struct ebb_policy p = policy();
    world_submit(&w, "b-1", GANG " - {name: one, command: x, sweep: {i: {from: 1, to: 9}}}\n");
    a = world_offer("m", "a", true, 2, 42000);
    b = world_offer("m", "b", true, 2, 40000);
    world_vm(&w, "v0", &a);
    world_vm(&w, "v1", &b);
    world_vm(&w, "v2", &a);
    struct ebb_placement early[8];
    assert_int_equal(ebb_place(w.s, &p, w.now, early, 8), 0); /* they wait for the third */
    world_vm(&w, "v3", &a);
    assert_true(ebb_place(w.s, &p, w.now, ret, 1) == 1);
    return w;
}

static void a_gang_is_leased_at_once_and_freed_at_once(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    struct ebb_actor actor = {.state = w.s, .emit = emit, .ctx = &w};
    assert_int_equal(p.gang, 3);
    assert_int_equal(p.vm, 0);
    assert_int_equal(p.members[0], 2);
    assert_int_equal(p.members[1], 3);
    ebb_act_lease(&actor, &p, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(w.s->vms[i]->lease_count, i == 1 ? 0 : 1);
    assert_int_equal(w.s->vms[2]->free_millicpus, 0);
    assert_int_equal(w.s->vms[2]->leases[0].rank, 1);
    world_start(&w, "b-1", p.job);
    w.now += 600 * S;
    world_commit(&w, "b-1", p.job, 500);
    w.now += 100 * S;
    world_end(&w, "b-1", p.job, DONE, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(w.s->vms[i]->lease_count, 0);
        assert_int_equal(w.s->vms[i]->free_millicpus, 2000);
    }
    struct ebb_state *again = world_replay(&w);
    assert_true(ebb_state_digest(again) == ebb_state_digest(w.s));
    ebb_state_destroy(again);
    world_destroy(&w);
}

static void the_loss_of_one_vm_ends_the_attempt_and_frees_the_others(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    struct ebb_actor actor = {.state = w.s, .emit = emit, .ctx = &w};
    ebb_act_lease(&actor, &p, 0);
    world_start(&w, "b-1", p.job);
    w.now += 300 * S;
    ebb_act_give_up(&actor, w.s->vms[3], "silent");
    assert_int_equal(w.s->bags[0]->jobs[p.job].state, EBB_JOB_READY);
    assert_int_equal(w.s->bags[0]->revocations, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(w.s->vms[i]->lease_count, 0);
    world_destroy(&w);
}

static void notice(struct world *w, const char *vm)
{
    EVENT(e, m, vm_noticed, VM_NOTICED, Ebb__VmNoticed);
    ebb__vm_noticed__init(&m);
    m.vm = lit(vm);
    m.deadline_wall_ns = w->now + 120 * S;
    emit(w, &e);
}

/* While the gang still holds them, what is left of it counts as the room that it is about to be. */
static void a_gang_that_loses_vms_wants_as_many_and_no_more(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    struct ebb_actor actor = {.state = w.s, .emit = emit, .ctx = &w};
    struct ebb_policy policy_ = policy();
    struct ebb_plan r;
    const Ebb__Offer *offers[] = {w.s->vms[0]->offer};
    ebb_act_lease(&actor, &p, 0);
    world_start(&w, "b-1", p.job);
    policy_.max_vms = 4; /* for the jobs that wait there is none */
    notice(&w, "v2");
    plan(&w, &policy_, offers, 1, &r);
    assert_int_equal(r.launch_count, 1);
    assert_int_equal(r.launches[0].count, 1);
    ebb_plan_clean_up(&r);
    notice(&w, "v3");
    plan(&w, &policy_, offers, 1, &r);
    assert_int_equal(r.launches[0].count, 2);
    ebb_plan_clean_up(&r);
    world_destroy(&w);
}

/* Taking a part of a gang is a revocation, though ebb asks for the rest of it. */
static void a_notice_to_any_vm_of_a_gang_counts_as_one_revocation(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    struct ebb_actor actor = {.state = w.s, .emit = emit, .ctx = &w};
    ebb_act_lease(&actor, &p, 0);
    world_start(&w, "b-1", p.job);
    notice(&w, "v3");
    ebb_act_revoke_lease(&actor, w.s->bags[0], p.job, 1, "a VM of its gang is being taken");
    uint32_t vms[EBB_GANG_MOST];
    assert_int_equal(ebb_gang_vms(w.s, w.s->bags[0], p.job, vms), 3);
    assert_int_equal(vms[0], 0);
    assert_int_equal(vms[1], 2);
    assert_int_equal(vms[2], 3);
    Ebb__JobStatus *j = ebb_job_status_new(w.s, w.s->bags[0], p.job, w.now);
    assert_int_equal(j->n_members, 2);
    assert_string_equal(j->members[1], "v3");
    ebb__job_status__free_unpacked(j, NULL);
    world_end(&w, "b-1", p.job, RELEASED, NULL);
    assert_int_equal(w.s->bags[0]->revocations, 1);
    assert_int_equal(w.s->bags[0]->jobs[p.job].revocations, 1);
    assert_int_equal(ebb_gang_vms(w.s, w.s->bags[0], p.job, vms), 0);
    world_destroy(&w);
}

/* Every second of the members is accounted for, too. */
static void the_ledger_counts_all_vms_of_the_gang(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    struct ebb_actor actor = {.state = w.s, .emit = emit, .ctx = &w};
    ebb_act_lease(&actor, &p, 0);
    world_start(&w, "b-1", p.job);
    w.now += 1000 * S;
    Ebb__AttemptTimes times;
    ebb__attempt_times__init(&times);
    times.run_s = 1000;
    world_end(&w, "b-1", p.job, DONE, &times);
    Ebb__Report *r = ebb_report_new(w.s, w.s->bags[0], w.now, true);
    assert_true(r->split->useful_s > 2999 && r->split->useful_s < 3001);
    ebb__report__free_unpacked(r, NULL);
    world_destroy(&w);
}

static void a_bad_gang_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct ebb_placement p;
    struct world w = leased(&p);
    uint64_t before = ebb_state_digest(w.s);
    struct ebb_error err = {0};
    EVENT(e, m, attempt_leased, ATTEMPT_LEASED, Ebb__AttemptLeased);
    ebb__attempt_leased__init(&m);
    char *twice[] = {lit("v2"), lit("v2")}, *unknown[] = {lit("v2"), lit("v9")};
    m.bag = lit("b-1");
    m.attempt = 1;
    m.vm = lit("v0");
    m.n_members = 2;
    m.members = twice;
    assert_true(world_try(&w, &e, &err) < 0);
    m.members = unknown;
    assert_true(world_try(&w, &e, &err) < 0);
    assert_true(ebb_state_digest(w.s) == before);
    world_destroy(&w);
}

static void a_gang_costs_its_vms_and_is_lost_more_often(void **state)
{
    (void)state;
    Ebb__Offer a = world_offer("m", "a", false, 2, 36000);
    const Ebb__Offer *offers[] = {&a};
    int64_t cost[2];
    for (int i = 0; i < 2; i++) {
        struct world w = world_new();
        struct ebb_policy p = policy();
        Ebb__BagSpec *spec = NULL;
        struct ebb_error err = {0};
        const char *yaml = i == 0 ? "name: b\njobs: [{name: g, command: x, resources: {cpus: 2, "
                                    "time: 1h}}]\n"
                                  : "name: b\njobs: [{name: g, command: x, resources: {cpus: 2, "
                                    "time: 1h, vms: 4}}]\n";
        assert_int_equal(test_parse(yaml, NULL, &spec, NULL, &err), 0);
        struct ebb_plan_input in = {
            .state = w.s, .offers = offers, .offer_count = 1, .policy = &p, .now_wall_ns = w.now};
        Ebb__PlanAnswer *r = ebb_estimate(&in, spec);
        cost[i] = r->estimate->cost_usd_micros;
        assert_int_equal(r->estimate->vms, i == 0 ? 1 : 4);
        ebb__plan_answer__free_unpacked(r, NULL);
        ebb__bag_spec__free_unpacked(spec, NULL);
        world_destroy(&w);
    }
    assert_true(cost[1] >= 4 * cost[0] - 4 && cost[1] <= 4 * cost[0]);
}

static void the_number_of_vms_is_checked(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    assert_true(test_parse("name: b\njobs: [{name: g, command: x, resources: {vms: 33}}]\n", NULL,
                           &spec, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "resources.vms"));
    assert_true(test_parse("name: b\njobs: [{name: g, command: x, resources: {vms: 0}}]\n", NULL,
                           &spec, NULL, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gang_is_launched_whole_in_one_zone),
        cmocka_unit_test(what_is_missing_is_launched_beside_what_is_there),
        cmocka_unit_test(a_gang_is_leased_at_once_and_freed_at_once),
        cmocka_unit_test(the_loss_of_one_vm_ends_the_attempt_and_frees_the_others),
        cmocka_unit_test(a_gang_that_loses_vms_wants_as_many_and_no_more),
        cmocka_unit_test(a_notice_to_any_vm_of_a_gang_counts_as_one_revocation),
        cmocka_unit_test(the_ledger_counts_all_vms_of_the_gang),
        cmocka_unit_test(a_bad_gang_is_refused_and_changes_nothing),
        cmocka_unit_test(a_gang_costs_its_vms_and_is_lost_more_often),
        cmocka_unit_test(the_number_of_vms_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
