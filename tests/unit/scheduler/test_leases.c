/* Gangs: every agent has its rank, messages pass between ranks alone, and what ends one ends all.
 */
#include "world.h"

#define GANG                                                                                       \
    "  - {name: g, engine: command, command: 'true', resources: {cpus: 2, time: 10m, memory: 64 "  \
    "MiB, vms: 3}}\n"

#define EVENTS(kind) world_events(w, EBB__EVENT__KIND_##kind)

static int leases_of_all(const struct world *w)
{
    int count = 0;
    for (size_t i = 0; i < w->agent_count; i++)
        count += w->agents[i].leases > 0;
    return count;
}

/* Agents by rank. */
static void leased_gang(struct world *w, struct fake_agent *ret[3])
{
    world_submit(w, GANG, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 3);
    for (size_t i = 0; i < 3; i++)
        (void)world_agent(w, w->cloud.vms[i].instance.vm);
    world_wait(w, leases_of_all(w) == 3);
    for (size_t i = 0; i < 3; i++)
        ret[w->agents[i].rank] = &w->agents[i];
}

static void every_vm_of_a_gang_is_granted_its_rank(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3] = {NULL};
    leased_gang(w, a);
    for (uint32_t i = 0; i < 3; i++) {
        assert_non_null(a[i]);
        assert_int_equal(a[i]->gang_size, 3);
        assert_int_equal(a[i]->leases, 1);
        assert_int_equal(a[i]->member_leases, i > 0);
    }
    assert_int_equal(EVENTS(ATTEMPT_LEASED), 1);
}

static void a_member_that_comes_back_is_granted_its_rank_again(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    agent_drop(a[2]);
    agent_hello(a[2]);
    world_wait(w, a[2]->member_leases == 2);
    assert_int_equal(a[2]->rank, 2);
    assert_int_equal(a[2]->cancels, 0);
}

static void say(struct fake_agent *a, uint32_t from, uint32_t to, uint32_t attempt)
{
    Ebb__GangMessage m = EBB__GANG_MESSAGE__INIT;
    Ebb__GangStatus s = EBB__GANG_STATUS__INIT;
    m.bag = a->bag;
    m.job = a->job;
    m.attempt = attempt;
    m.from = from;
    m.to = to;
    m.status = &s;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_GANG, &m);
}

static void messages_pass_between_rank_0_and_the_others_and_nowhere_else(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    say(a[1], 2, 0, 1); /* another's rank */
    say(a[1], 1, 2, 1); /* not by rank 0 */
    say(a[1], 1, 0, 9); /* no such attempt */
    say(a[1], 1, 77, 1);
    say(a[0], 0, 0, 1);
    say(a[1], 1, 0, 1);
    world_wait(w, a[0]->messages > 0);
    assert_int_equal(a[0]->message_from, 1);
    say(a[0], 0, 2, 1);
    world_wait(w, a[2]->messages > 0);
    world_run(w, 50);
    assert_int_equal(a[0]->messages, 1);
    assert_int_equal(a[1]->messages, 0);
    assert_int_equal(a[2]->messages, 1);
}

static void rank_0_alone_reports_and_its_end_is_that_of_all(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    agent_end(a[1], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    say(a[1], 1, 0, 1);
    world_wait(w, a[0]->messages > 0); /* so the end has come, too */
    assert_int_equal(EVENTS(ATTEMPT_ENDED), 0);
    agent_end(a[0], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    world_wait(w, a[1]->cancels > 0 && a[2]->cancels > 0);
    assert_int_equal(EVENTS(ATTEMPT_ENDED), 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(w->daemon->state->vms[i]->lease_count, 0);
}

/* An agent whose ends are acknowledged leaves, and a rank that leaves takes the attempt with it. */
static void the_end_of_a_rank_is_acknowledged_when_the_attempt_has_ended(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    agent_end(a[1], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    say(a[1], 1, 0, 1);
    world_wait(w, a[0]->messages > 0);
    world_run(w, 50);
    assert_int_equal(a[1]->acks, 0);
    agent_end(a[0], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED);
    world_wait(w, a[0]->acks == 1 && a[1]->acks == 1);
    agent_end(a[2], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED); /* late: at once */
    world_wait(w, a[2]->acks >= 1);
    assert_int_equal(EVENTS(ATTEMPT_ENDED), 1);
}

static void a_notice_to_a_member_asks_rank_0_to_hand_back_in_time(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    Ebb__VmNoticed m = EBB__VM_NOTICED__INIT;
    m.vm = a[2]->vm;
    m.deadline_wall_ns = ebb_wall_ns(NULL) + 100 * EBB_NS_PER_S;
    agent_send(a[2], EBB__AGENT_MESSAGE__KIND_NOTICE, &m);
    world_wait(w, a[0]->cancels == 1);
    assert_true(a[0]->was_released);
    assert_true(a[0]->within_s > 90 && a[0]->within_s <= 100);
    assert_int_equal(a[1]->cancels, 0); /* rank 0 tells it */
    agent_end(a[0], 0, 1, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED);
    world_wait(w, a[1]->cancels == 1);
    assert_int_equal(w->daemon->state->bags[0]->revocations, 1);
}

static void a_member_that_leaves_takes_the_attempt_with_it(void **state)
{
    struct world *w = *state;
    struct fake_agent *a[3];
    leased_gang(w, a);
    Ebb__Goodbye m = EBB__GOODBYE__INIT;
    m.reason = (char *)"shut down";
    agent_send(a[1], EBB__AGENT_MESSAGE__KIND_GOODBYE, &m);
    world_wait(w, EVENTS(ATTEMPT_ENDED) == 1);
    world_wait(w, a[0]->cancels > 0 && a[2]->cancels > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_vm_of_a_gang_is_granted_its_rank, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_member_that_comes_back_is_granted_its_rank_again,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(
            messages_pass_between_rank_0_and_the_others_and_nowhere_else, world_set_up,
            world_tear_down),
        cmocka_unit_test_setup_teardown(rank_0_alone_reports_and_its_end_is_that_of_all,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(
            the_end_of_a_rank_is_acknowledged_when_the_attempt_has_ended, world_set_up,
            world_tear_down),
        cmocka_unit_test_setup_teardown(a_notice_to_a_member_asks_rank_0_to_hand_back_in_time,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_member_that_leaves_takes_the_attempt_with_it,
                                        world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
