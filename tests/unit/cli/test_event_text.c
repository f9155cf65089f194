/* Events in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/event_text.h"

static Ebb__BagSpec spec = EBB__BAG_SPEC__INIT;
static Ebb__JobGroup group = EBB__JOB_GROUP__INIT;
static Ebb__JobGroup *groups[] = {&group};

static const Ebb__BagSpec *spec_of(void *ctx, const char *bag)
{
    (void)ctx;
    group.name = (char *)"train";
    group.job_count = 1;
    spec.groups = groups;
    spec.n_groups = 1;
    return strcmp(bag, "demo-1f3a") == 0 ? &spec : NULL;
}

static void learn_vm(struct ebb_event_names *n)
{
    Ebb__Offer offer = EBB__OFFER__INIT;
    Ebb__VmIntended m = EBB__VM_INTENDED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    offer.type = (char *)"c5.large";
    offer.zone = (char *)"us-east-1b";
    offer.usd_micros_per_hour = 34300;
    m.vm = (char *)"vm-000004";
    m.offer = &offer;
    e.kind_case = EBB__EVENT__KIND_VM_INTENDED;
    e.vm_intended = &m;
    ebb_event_names_learn(n, &e);
}

static void check(const Ebb__Event *e, enum ebb_event_tone tone, const char *want)
{
    struct ebb_event_names *n = ebb_event_names_new(spec_of, NULL);
    struct ebb_buffer out = {0};
    learn_vm(n);
    assert_int_equal(ebb_event_text(n, e, &out), tone);
    assert_string_equal(ebb_buffer_text(&out), want);
    ebb_buffer_clean_up(&out);
    ebb_event_names_destroy(n);
}

static void an_attempt_says_where_it_resumed(void **state)
{
    (void)state;
    Ebb__AttemptStarted m = EBB__ATTEMPT_STARTED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_STARTED;
    e.attempt_started = &m;
    m.bag = (char *)"demo-1f3a";
    m.attempt = 2;
    m.resumed_step = 12000;
    m.resumed_sequence = 3;
    m.restore_s = 0.4;
    check(&e, EBB_TONE_GOOD, "train resumed at step 12000, made ready in 0.4s");
    m.resumed_step = -1;
    check(&e, EBB_TONE_GOOD, "train resumed from checkpoint 3, made ready in 0.4s");
    m.resumed_sequence = 0;
    check(&e, EBB_TONE_PLAIN, "train started over, made ready in 0.4s");
    m.attempt = 1;
    m.note = (char *)"why";
    check(&e, EBB_TONE_PLAIN, "train started, made ready in 0.4s (why)");
    m.bag = (char *)"unknown";
    m.job = 7;
    check(&e, EBB_TONE_PLAIN, "job 7 started, made ready in 0.4s (why)");
}

static void an_end_says_what_was_lost(void **state)
{
    (void)state;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    Ebb__AttemptEnded m = EBB__ATTEMPT_ENDED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_ENDED;
    e.attempt_ended = &m;
    m.bag = (char *)"demo-1f3a";
    m.outcome = EBB__ATTEMPT_ENDED__OUTCOME__LOST;
    m.times = &times;
    times.lost_s = 3.2;
    m.reason = (char *)"agent silent";
    check(&e, EBB_TONE_WARN, "train lost its VM, 3.2s of work lost: agent silent");
    m.outcome = EBB__ATTEMPT_ENDED__OUTCOME__DONE;
    times.lost_s = 0;
    m.reason = (char *)"";
    check(&e, EBB_TONE_GOOD, "train done");
    m.outcome = EBB__ATTEMPT_ENDED__OUTCOME__RELEASED;
    check(&e, EBB_TONE_WARN, "train released before it ran");
    times.run_s = 9;
    check(&e, EBB_TONE_WARN, "train checkpointed and released");
    times.lost_s = 2.4;
    m.reason = (char *)"the cloud takes the VM";
    check(&e, EBB_TONE_WARN,
          "train released, 2.4s of work lost for want of time for a checkpoint: the cloud takes "
          "the VM");
}

static void a_notice_says_how_long_is_left(void **state)
{
    (void)state;
    Ebb__VmNoticed m = EBB__VM_NOTICED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_VM_NOTICED;
    e.vm_noticed = &m;
    e.wall_ns = 1000 * EBB_NS_PER_S;
    m.vm = (char *)"vm-000004";
    m.deadline_wall_ns = 1120 * EBB_NS_PER_S;
    check(&e, EBB_TONE_WARN,
          "vm-000004 (c5.large, us-east-1b) will be taken by the cloud in 2m00s");
    m.rebalance = true;
    check(&e, EBB_TONE_WARN,
          "vm-000004 (c5.large, us-east-1b) is at risk (the cloud's rebalance recommendation)");
}

static void a_launch_says_what_and_for_how_much(void **state)
{
    (void)state;
    Ebb__VmLaunched m = EBB__VM_LAUNCHED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_VM_LAUNCHED;
    e.vm_launched = &m;
    m.vm = (char *)"vm-000004";
    m.instance = (char *)"i-0a1b";
    check(&e, EBB_TONE_PLAIN,
          "vm-000004 launched: c5.large spot in us-east-1b at $0.0343 an hour (i-0a1b)");
}

static void a_refused_launch_says_what_is_lacking(void **state)
{
    (void)state;
    Ebb__VmLaunchFailed m = EBB__VM_LAUNCH_FAILED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_VM_LAUNCH_FAILED;
    e.vm_launch_failed = &m;
    m.vm = (char *)"vm-000004";
    m.code = EBB_ERR_NO_CAPACITY;
    m.reason = (char *)"RunInstances: InsufficientInstanceCapacity: a long sentence";
    check(&e, EBB_TONE_WARN, "us-east-1b has no c5.large spot capacity");
    m.code = EBB_ERR_QUOTA;
    check(&e, EBB_TONE_WARN, "the account's limit allows no more c5.large spot");
    m.code = EBB_ERR_DENIED;
    m.reason = (char *)"UnauthorizedOperation";
    check(&e, EBB_TONE_WARN, "no launch of c5.large spot in us-east-1b: UnauthorizedOperation");
}

static void the_clouds_codes_are_not_repeated_when_a_vm_ends(void **state)
{
    (void)state;
    Ebb__VmTerminated m = EBB__VM_TERMINATED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_VM_TERMINATED;
    e.vm_terminated = &m;
    m.vm = (char *)"vm-000004";
    m.launched_wall_ns = 1000 * EBB_NS_PER_S;
    m.ended_wall_ns = 1060 * EBB_NS_PER_S;
    m.interrupted = true;
    m.reason = (char *)"Server.SpotInstanceTermination";
    check(&e, EBB_TONE_WARN, "vm-000004 (c5.large, us-east-1b) was taken by the cloud after 1m00s");
    m.interrupted = false;
    m.reason = (char *)"Server.InternalError";
    check(&e, EBB_TONE_PLAIN,
          "vm-000004 (c5.large, us-east-1b) ended after 1m00s: Server.InternalError");
}

static void an_attempt_says_on_which_vm_it_runs(void **state)
{
    (void)state;
    struct ebb_event_names *n = ebb_event_names_new(spec_of, NULL);
    struct ebb_buffer out = {0};
    Ebb__AttemptLeased leased = EBB__ATTEMPT_LEASED__INIT;
    Ebb__AttemptStarted started = EBB__ATTEMPT_STARTED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    learn_vm(n);
    leased.bag = started.bag = (char *)"demo-1f3a";
    leased.vm = (char *)"vm-000004";
    started.attempt = 1;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_LEASED;
    e.attempt_leased = &leased;
    ebb_event_names_learn(n, &e);
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_STARTED;
    e.attempt_started = &started;
    (void)ebb_event_text(n, &e, &out);
    assert_string_equal(ebb_buffer_text(&out), "train started on vm-000004 (c5.large, us-east-1b)");
    ebb_buffer_clean_up(&out);
    ebb_event_names_destroy(n);
}

/* Every kind of event that the log can hold, with every field empty. */
static void every_kind_has_words_and_survives_empty_fields(void **state)
{
    (void)state;
    struct ebb_event_names *n = ebb_event_names_new(NULL, NULL);
    unsigned kinds = 0;
    for (unsigned i = 0; i < ebb__event__descriptor.n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &ebb__event__descriptor.fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        /* field number, length 0 */
        uint8_t bytes[4] = {(uint8_t)((f->id << 3 & 0x7f) | 2), 0, 0, 0};
        size_t len = 2;
        if (f->id >= 16) {
            bytes[0] |= 0x80;
            bytes[1] = (uint8_t)(f->id >> 4);
            len = 3;
        }
        Ebb__Event *e = ebb__event__unpack(NULL, len, bytes);
        assert_non_null(e);
        assert_int_equal(e->kind_case, f->id);
        struct ebb_buffer out = {0};
        (void)ebb_event_text(n, e, &out);
        assert_true(out.len > 0);
        assert_string_equal(ebb_event_kind(e), f->name);
        assert_null(ebb_event_bag(e));
        ebb_buffer_clean_up(&out);
        ebb__event__free_unpacked(e, NULL);
        kinds++;
    }
    assert_true(kinds >= 23);
    ebb_event_names_destroy(n);
    ebb_event_names_destroy(NULL);
}

static void an_event_knows_its_bag(void **state)
{
    (void)state;
    Ebb__BagFinished m = EBB__BAG_FINISHED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    m.bag = (char *)"demo-1f3a";
    m.done = 12;
    m.failed = 1;
    e.kind_case = EBB__EVENT__KIND_BAG_FINISHED;
    e.bag_finished = &m;
    assert_string_equal(ebb_event_bag(&e), "demo-1f3a");
    check(&e, EBB_TONE_BAD, "bag demo-1f3a finished: 12 done, 1 failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_says_where_it_resumed),
        cmocka_unit_test(an_attempt_says_on_which_vm_it_runs),
        cmocka_unit_test(an_end_says_what_was_lost),
        cmocka_unit_test(a_launch_says_what_and_for_how_much),
        cmocka_unit_test(a_refused_launch_says_what_is_lacking),
        cmocka_unit_test(the_clouds_codes_are_not_repeated_when_a_vm_ends),
        cmocka_unit_test(a_notice_says_how_long_is_left),
        cmocka_unit_test(every_kind_has_words_and_survives_empty_fields),
        cmocka_unit_test(an_event_knows_its_bag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
