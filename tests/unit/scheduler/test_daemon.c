/* The scheduler as a whole, with scripted agents and a scripted cloud. */
#include "world.h"

#include <unistd.h>

#define ONE_JOB                                                                                    \
    "  - {name: j, engine: command, command: 'true', resources: {cpus: 1, time: 10m, memory: 64 "  \
    "MiB}}\n"
#define FOUR_JOBS                                                                                  \
    "  - {name: j, engine: command, command: 'true', sweep: {i: {from: 1, to: 4}},"                \
    " resources: {cpus: 1, time: 10m, memory: 64 MiB}}\n"

#define EVENTS(kind) world_events(w, EBB__EVENT__KIND_##kind)

static const struct ebb_bag *bag_of(struct world *w)
{
    return ebb_state_find_bag(w->daemon->state, "last");
}

/* A bag, its VM, the VM's agent with a lease. */
static struct fake_agent *one_lease(struct world *w)
{
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    struct fake_agent *a = world_agent(w, "vm-000001");
    world_wait(w, a->leases == 1);
    return a;
}

static void bag_runs_to_its_end_and_the_vm_is_ended(void **state)
{
    struct world *w = *state;
    w->agents_answer = true;
    world_submit(w, FOUR_JOBS, "");
    world_wait(w, EVENTS(VM_LAUNCHED) >= 1);
    for (size_t i = 0; i < w->cloud.count; i++)
        world_agent(w, w->cloud.vms[i].instance.vm);
    world_wait(w, ebb_bag_is_finished(bag_of(w)));
    assert_int_equal(bag_of(w)->counts[EBB_JOB_DONE], 4);
    assert_int_equal(EVENTS(ATTEMPT_LEASED), 4);
    assert_int_equal(EVENTS(ATTEMPT_STARTED), 4);
    assert_int_equal(EVENTS(ATTEMPT_ENDED), 4);
    world_wait(w, EVENTS(VM_TERMINATED) == EVENTS(VM_LAUNCHED));
    assert_true(ebb_state_is_idle(w->daemon->state));
    for (size_t i = 0; i < w->cloud.count; i++)
        assert_int_equal(w->cloud.vms[i].instance.state, EBB_INSTANCE_TERMINATED);
}

static void replay_gives_the_same_state(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    world_wait(w, EVENTS(ATTEMPT_STARTED) == 1);
    world_run(w, 50);
    uint64_t digest = ebb_state_digest(w->daemon->state);
    uint64_t last = w->daemon->state->last_sequence;
    world_stop(w);
    world_start(w);
    if (w->daemon->state->last_sequence == last)
        assert_true(ebb_state_digest(w->daemon->state) == digest);
    assert_int_equal(w->daemon->state->live_count, 1);
}

static void lost_launch_answer_is_asked_for_with_the_same_token(void **state)
{
    struct world *w = *state;
    w->cloud.lose_answers = 2;
    w->cloud.hide = true; /* reconciling must not find it first */
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    assert_int_equal(w->cloud.launch_calls, 3);
    assert_int_equal(w->cloud.count, 1); /* the token made all three one VM */
}

static void launch_is_taken_up_after_a_restart_with_the_same_script(void **state)
{
    struct world *w = *state;
    w->cloud.lose_answers = 1;
    w->cloud.hide = true;
    world_submit(w, ONE_JOB, "");
    world_wait(w, w->cloud.launch_calls == 1);
    world_stop(w);
    world_start(w);
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    assert_int_equal(EVENTS(VM_INTENDED), 1);
    assert_int_equal(w->cloud.count, 1);
    struct fake_agent *a = world_agent(w, "vm-000001"); /* its old token is good */
    world_wait(w, a->leases == 1);
}

static void launch_whose_answer_is_lost_is_found_in_the_list(void **state)
{
    struct world *w = *state;
    w->cloud.lose_answers = 1000;
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    assert_int_equal(w->cloud.count, 1);
}

static void full_zone_sends_the_launch_elsewhere(void **state)
{
    struct world *w = *state;
    w->cloud.full_zone = "z-1a"; /* the cheapest */
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    assert_int_equal(EVENTS(VM_LAUNCH_FAILED), 1);
    const struct ebb_vm *vm = ebb_state_vm(w->daemon->state, "vm-000002");
    assert_string_equal(vm->offer->zone, "z-1b");
    assert_string_not_equal(w->cloud.vms[0].token, "");
}

static void vm_that_nobody_owns_is_terminated(void **state)
{
    struct world *w = *state;
    pthread_mutex_lock(&w->cloud.lock);
    w->cloud.count = 1;
    w->cloud.vms[0].instance = (struct ebb_instance){
        .id = "i-stray", .vm = "vm-000077", .state = EBB_INSTANCE_RUNNING, .launched_wall_ns = 1};
    pthread_mutex_unlock(&w->cloud.lock);
    world_wait(w, w->cloud.vms[0].instance.state == EBB_INSTANCE_TERMINATED);
    assert_int_equal(EVENTS(VM_INTENDED), 0);
}

static void lagging_list_loses_no_vm(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    w->cloud.hide = true;
    world_run(w, 1500);
    assert_int_equal(EVENTS(VM_TERMINATED), 0);
    agent_start(a, a->job, a->attempt);
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    world_wait(w, ebb_bag_is_finished(bag_of(w)));
}

/* The first VM, as after a notice. */
static void end_in_cloud(struct world *w)
{
    pthread_mutex_lock(&w->cloud.lock);
    struct ebb_instance *i = &w->cloud.vms[0].instance;
    i->state = EBB_INSTANCE_TERMINATED;
    i->interrupted = true;
    i->ended_wall_ns = ebb_wall_ns(NULL);
    snprintf(i->reason, sizeof i->reason, "Server.SpotInstanceTermination");
    pthread_mutex_unlock(&w->cloud.lock);
}

static void vm_ended_by_the_cloud_gives_its_job_back_at_once(void **state)
{
    struct world *w = *state;
    one_lease(w);
    end_in_cloud(w);
    world_wait(w, EVENTS(VM_TERMINATED) == 1);
    assert_int_equal(bag_of(w)->revocations, 1);
    assert_true(ebb_state_vm(w->daemon->state, "vm-000001")->interrupted);
    world_wait(w, EVENTS(VM_INTENDED) == 2); /* another VM is on its way */
    world_wait(w, EVENTS(VM_LAUNCHED) == 2);
    struct fake_agent *b = world_agent(w, "vm-000002");
    world_wait(w, b->leases == 1);
    assert_int_equal(b->attempt, 2);
}

static void vm_that_the_cloud_is_ending_gives_its_job_back_before_it_has_ended(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    w->daemon->options.list_interval_s = 60; /* what follows does not wait for it */
    world_run(w, 600);
    agent_drop(a);
    world_run(w, 1200); /* two looks: a lost connection alone is no reason */
    assert_int_equal(EVENTS(VM_LOST), 0);
    pthread_mutex_lock(&w->cloud.lock);
    struct ebb_instance *i = &w->cloud.vms[0].instance;
    i->state = EBB_INSTANCE_STOPPING;
    pthread_mutex_unlock(&w->cloud.lock);
    world_wait(w, EVENTS(VM_LOST) == 1);
    assert_int_equal(EVENTS(VM_TERMINATED), 0);
    world_run(w, 50);
    assert_int_equal(w->cloud.terminate_calls, 0);
    world_wait(w, EVENTS(VM_LAUNCHED) == 2);
    end_in_cloud(w);
    world_wait(w, EVENTS(VM_TERMINATED) == 1);
    assert_int_equal(bag_of(w)->revocations, 1);
    assert_true(ebb_state_vm(w->daemon->state, "vm-000001")->interrupted);
}

static void report_told_twice_counts_once_and_is_acknowledged_twice(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    agent_start(a, a->job, a->attempt);
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    agent_end(a, a->job, 7, EBB__ATTEMPT_ENDED__OUTCOME__DONE); /* never was */
    world_wait(w, a->acks == 3);
    assert_int_equal(EVENTS(ATTEMPT_STARTED), 1);
    assert_int_equal(EVENTS(ATTEMPT_ENDED), 1);
    assert_int_equal(bag_of(w)->counts[EBB_JOB_DONE], 1);
}

static void end_reported_to_the_next_scheduler_is_taken(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    world_wait(w, EVENTS(ATTEMPT_STARTED) == 1);
    world_stop(w);
    world_start(w);
    a->connector = NULL;
    a->tells_end = true;
    agent_hello(a);
    world_wait(w, a->acks == 1 && a->beats_acked == a->beats);
    assert_true(ebb_bag_is_settled(bag_of(w)));
    assert_int_equal(a->leases, 1); /* nothing was handed out again */
}

/* The list of the cloud is read by a worker, the agent's line by the loop: either may come first.
 */
static void end_told_before_the_vm_ended_counts_though_the_cloud_is_heard_first(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    world_wait(w, EVENTS(ATTEMPT_STARTED) == 1);
    end_in_cloud(w);
    world_wait(w, w->daemon->runs[0].ended_ns != 0); /* the daemon has seen it */
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    world_wait(w, a->acks == 1);
    agent_drop(a);
    world_wait(w, EVENTS(VM_TERMINATED) == 1);
    assert_int_equal(bag_of(w)->counts[EBB_JOB_DONE], 1);
    assert_int_equal(bag_of(w)->revocations, 0);
}

static void agents_are_not_silent_while_the_scheduler_stands_still(void **state)
{
    struct world *w = *state;
    one_lease(w);
    w->daemon->options.lease_ttl_s = 1.5;
    world_run(w, 250);
    usleep(1600 * 1000); /* the whole process, as by a slow disk */
    world_run(w, 250);
    assert_int_equal(EVENTS(VM_LOST), 0);
    world_wait(w, EVENTS(VM_LOST) == 1); /* of this it is silent */
}

static void grant_that_never_arrived_is_sent_again(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_drop(a);
    world_run(w, 50);
    agent_hello(a); /* names nothing as running */
    world_wait(w, a->leases == 2);
    assert_int_equal(a->attempt, 1);
    assert_int_equal(EVENTS(ATTEMPT_LEASED), 1);
}

static void attempt_that_is_not_leased_is_cancelled(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    Ebb__AttemptState s = EBB__ATTEMPT_STATE__INIT;
    s.bag = a->bag;
    s.job = a->job;
    s.attempt = 9;
    ebb_buffer_reserve(&a->running, 256);
    a->running.len = ebb__attempt_state__pack(&s, a->running.data);
    agent_hello(a);
    world_wait(w, a->cancels == 1);
}

static void cancelled_bag_stops_its_running_job(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    world_wait(w, EVENTS(ATTEMPT_STARTED) == 1);
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__CancelRequest cancel = EBB__CANCEL_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_CANCEL;
    q.cancel = &cancel;
    world_ask(w, &q);
    assert_int_equal(w->answer->code, 0);
    world_wait(w, a->cancels == 1);
    assert_false(ebb_bag_is_finished(bag_of(w)));
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    world_wait(w, ebb_bag_is_finished(bag_of(w)));
    assert_int_equal(bag_of(w)->counts[EBB_JOB_CANCELLED], 1);
    world_ask(w, &q);
    assert_int_equal(w->answer->code, EBB_ERR_INPUT); /* it has ended already */
}

static void job_is_cancelled_by_its_name_alone(void **state)
{
    struct world *w = *state;
    world_submit(w, FOUR_JOBS, "");
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__CancelRequest cancel = EBB__CANCEL_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_CANCEL;
    q.cancel = &cancel;
    cancel.bag = (char *)"j,i=2";
    world_ask(w, &q);
    assert_int_equal(w->answer->code, 0);
    assert_int_equal(bag_of(w)->jobs[1].state, EBB_JOB_CANCELLED);
    assert_int_equal(bag_of(w)->counts[EBB_JOB_CANCELLED], 1);
    cancel.bag = (char *)"j,i=9";
    world_ask(w, &q);
    assert_int_equal(w->answer->code, EBB_ERR_NOT_FOUND);
}

static void bag_cancelled_before_its_vm_came_launches_no_second(void **state)
{
    struct world *w = *state;
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LAUNCHED) == 1);
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__CancelRequest cancel = EBB__CANCEL_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_CANCEL;
    q.cancel = &cancel;
    world_ask(w, &q);
    world_wait(w, ebb_bag_is_finished(bag_of(w)));
    world_wait(w, EVENTS(VM_TERMINATED) == 1);
    assert_int_equal(w->cloud.count, 1);
}

static void silent_vm_is_lost_terminated_and_refused_when_it_wakes(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    world_wait(w, EVENTS(ATTEMPT_STARTED) == 1);
    w->daemon->options.lease_ttl_s = 1;
    w->cloud.fail_terminates = 2;
    world_wait(w, EVENTS(VM_LOST) == 1);
    assert_int_equal(bag_of(w)->revocations, 1);
    agent_hello(a); /* the zombie wakes */
    world_wait(w, a->refused);
    world_wait(w, EVENTS(VM_TERMINATED) == 1); /* though the first two calls failed */
    assert_true(w->cloud.terminate_calls >= 3);
}

static void silent_boot_is_given_up(void **state)
{
    struct world *w = *state;
    w->daemon->options.boot_timeout_s = 0.5;
    world_submit(w, ONE_JOB, "");
    world_wait(w, EVENTS(VM_LOST) >= 1);
    world_wait(w, w->cloud.vms[0].instance.state == EBB_INSTANCE_TERMINATED);
}

static void token_is_good_once_and_a_wrong_one_never(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    struct fake_agent *again = world_agent(w, "vm-000001"); /* the same token */
    world_wait(w, again->refused);
    assert_false(again->joined);
    assert_true(a->joined);
    struct fake_agent *wrong = world_agent(w, "vm-000001");
    strcpy(wrong->token, "0000");
    world_wait(w, wrong->refused);
}

static void certificate_of_one_vm_does_not_speak_for_another(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    strcpy(a->vm, "vm-000002");
    agent_hello(a);
    world_wait(w, a->refused);
}

static void same_key_submits_once(void **state)
{
    struct world *w = *state;
    char first[64];
    strcpy(first, world_submit(w, ONE_JOB, "key-1"));
    assert_string_equal(world_submit(w, ONE_JOB, "key-1"), first);
    assert_string_not_equal(world_submit(w, ONE_JOB, "key-2"), first);
    assert_int_equal(EVENTS(BAG_SUBMITTED), 2);
}

static void failed_job_is_retried_on_request_alone(void **state)
{
    struct world *w = *state;
    struct fake_agent *a = one_lease(w);
    agent_start(a, a->job, a->attempt);
    agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    world_wait(w, ebb_bag_is_finished(bag_of(w)));
    assert_int_equal(bag_of(w)->counts[EBB_JOB_FAILED], 1);
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__RetryRequest retry = EBB__RETRY_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_RETRY;
    q.retry = &retry;
    world_ask(w, &q);
    assert_int_equal(w->answer->retry->jobs, 1);
    assert_false(ebb_bag_is_finished(bag_of(w)));
}

static void events_of_no_bag_are_refused(void **state)
{
    struct world *w = *state;
    world_submit(w, FOUR_JOBS, "");
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__EventsRequest events = EBB__EVENTS_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_EVENTS;
    q.events = &events;
    events.bag = (char *)"nosuch";
    world_ask(w, &q);
    assert_int_equal(w->answer->code, EBB_ERR_NOT_FOUND);
    events.bag = bag_of(w)->spec->id;
    world_ask(w, &q);
    assert_int_equal(w->answer->code, 0);
}

static void events_are_waited_for(void **state)
{
    struct world *w = *state;
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__EventsRequest events = EBB__EVENTS_REQUEST__INIT;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_EVENTS;
    q.events = &events;
    world_wait(w, EVENTS(PRICES_OBSERVED) == 1); /* the last event of itself */
    world_ask(w, &q);
    assert_true(w->answer->events->n_events >= 1);
    assert_int_equal(w->answer->events->events[0]->kind_case, EBB__EVENT__KIND_CLOUD_CONFIGURED);
    events.after = w->answer->events->last;
    events.wait_s = 0.3;
    int64_t start_ns = ebb_now_ns(NULL);
    world_ask(w, &q); /* nothing happens: an empty answer, in time */
    assert_int_equal(w->answer->events->n_events, 0);
    assert_true(ebb_now_ns(NULL) - start_ns >= 250 * EBB_NS_PER_MS);
}

static void boot_script_survives_odd_urls(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *script =
        ebb_user_data_new(&(struct ebb_user_data){.program_url = "https://x/y?a=1&b='; reboot; '",
                                                  .vm = "vm-000001",
                                                  .token = "abc",
                                                  .scheduler = "10.0.0.1:7443",
                                                  .authority_pem = "-----BEGIN\nline\n-----END\n",
                                                  .cpus = 2.5,
                                                  .memory_bytes = 1024});
    assert_memory_equal(script, "#!/bin/bash\n", 12);
    assert_non_null(strstr(script, "\n  -----BEGIN\n  line\n  -----END\nEND\n"));
    assert_non_null(strstr(script, "url='https://x/y?a=1&b='\\''; reboot; '\\'''\n"));
    assert_non_null(strstr(script, "cpus: 2.5\nmemory: 1024\n"));
    assert_null(strstr(script, "started:"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bag_runs_to_its_end_and_the_vm_is_ended),
        TEST(replay_gives_the_same_state),
        TEST(lost_launch_answer_is_asked_for_with_the_same_token),
        TEST(launch_is_taken_up_after_a_restart_with_the_same_script),
        TEST(launch_whose_answer_is_lost_is_found_in_the_list),
        TEST(full_zone_sends_the_launch_elsewhere),
        TEST(vm_that_nobody_owns_is_terminated),
        TEST(lagging_list_loses_no_vm),
        TEST(vm_ended_by_the_cloud_gives_its_job_back_at_once),
        TEST(vm_that_the_cloud_is_ending_gives_its_job_back_before_it_has_ended),
        TEST(report_told_twice_counts_once_and_is_acknowledged_twice),
        TEST(end_reported_to_the_next_scheduler_is_taken),
        TEST(end_told_before_the_vm_ended_counts_though_the_cloud_is_heard_first),
        TEST(agents_are_not_silent_while_the_scheduler_stands_still),
        TEST(grant_that_never_arrived_is_sent_again),
        TEST(attempt_that_is_not_leased_is_cancelled),
        TEST(cancelled_bag_stops_its_running_job),
        TEST(job_is_cancelled_by_its_name_alone),
        TEST(bag_cancelled_before_its_vm_came_launches_no_second),
        TEST(silent_vm_is_lost_terminated_and_refused_when_it_wakes),
        TEST(silent_boot_is_given_up),
        TEST(token_is_good_once_and_a_wrong_one_never),
        TEST(certificate_of_one_vm_does_not_speak_for_another),
        TEST(same_key_submits_once),
        TEST(failed_job_is_retried_on_request_alone),
        TEST(events_are_waited_for),
        TEST(events_of_no_bag_are_refused),
        cmocka_unit_test(boot_script_survives_odd_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
