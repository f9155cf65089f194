/* What rank 0 concludes from what the others tell, and when it tells them what. */
#include "tests/unit/agent/scratch.h"

#include "agent/gang_state.h"
#include "base/clock.h"

enum { SIZE = 3 };

struct fixture {
    struct ebb_attempt attempt;
    struct ebb_task task;
    Ebb__JobGroup group;
    Ebb__Profile profile;
    char *hosts[SIZE];
    unsigned sent[SIZE];
    Ebb__GangOrder__Will will[SIZE];
    uint64_t version[SIZE];
};

static void on_gang(void *ctx, struct ebb_attempt *a, const Ebb__GangMessage *m)
{
    struct fixture *f = ctx;
    (void)a;
    assert_int_equal(m->from, 0);
    f->sent[m->to]++;
    f->will[m->to] = m->order->will;
    f->version[m->to] = m->order->version;
}

/* It runs, and so do the others. */
static void begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    ebb__job_group__init(&f->group);
    ebb__profile__init(&f->profile);
    for (int i = 0; i < SIZE; i++)
        f->hosts[i] = (char *)"127.0.0.1";
    f->task.gang_hosts = f->hosts;
    f->task.gang_size = SIZE;
    f->task.group = &f->group;
    f->task.profile = &f->profile;
    f->task.spec.id = (char *)"b-1";
    f->task.job_name = (char *)"g";
    f->attempt.task = &f->task;
    f->attempt.host.ctx = f;
    f->attempt.host.gang = on_gang;
    f->attempt.phase = EBB_PHASE_RUNNING;
    f->attempt.gang = ebb_gang_new(&f->attempt);
    f->attempt.gang->order.round = 1;
    f->attempt.gang->order.version = 1;
    f->attempt.gang->order.will = EBB__GANG_ORDER__WILL__RUN;
}

static void end(struct fixture *f)
{
    ebb_gang_destroy(f->attempt.gang);
}

static Ebb__GangStatus running(void)
{
    Ebb__GangStatus s = EBB__GANG_STATUS__INIT;
    s.seen = 1;
    s.round = 1;
    s.phase = EBB__GANG_STATUS__PHASE__RUNNING;
    return s;
}

static void tell(struct fixture *f, uint32_t rank, Ebb__GangStatus s)
{
    Ebb__GangMessage m = EBB__GANG_MESSAGE__INIT;
    m.from = rank;
    m.status = &s;
    ebb_gang_take(&f->attempt, &m);
}

static Ebb__GangStatus failed(double ago_s, const char *reason)
{
    Ebb__GangStatus s = running();
    s.phase = EBB__GANG_STATUS__PHASE__STOPPED;
    s.failed = true;
    s.failed_s = ago_s;
    s.outcome = EBB__ATTEMPT_ENDED__OUTCOME__FAILED;
    s.reason = (char *)reason;
    return s;
}

/* Time passes until everybody is asked, and answers. */
static void settle(struct fixture *f)
{
    f->attempt.gang->failing_ns -= 10 * EBB_NS_PER_S;
    f->attempt.gang->own_failed_ns -= f->attempt.gang->own_failed_ns > 0 ? 10 * EBB_NS_PER_S : 0;
    assert_int_equal(ebb_gang_judge(&f->attempt, false), EBB_GANG_WAIT); /* asks */
    ebb_gang_poll(&f->attempt);
}

static void a_job_is_done_when_every_rank_is(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    Ebb__GangStatus s = running();
    tell(&f, 1, s);
    assert_int_equal(ebb_gang_judge(&f.attempt, true), EBB_GANG_WAIT);
    s.done = true;
    s.phase = EBB__GANG_STATUS__PHASE__STOPPED;
    tell(&f, 1, s);
    assert_int_equal(ebb_gang_judge(&f.attempt, true), EBB_GANG_WAIT);
    tell(&f, 2, s);
    assert_int_equal(ebb_gang_judge(&f.attempt, true), EBB_GANG_OWN);
    assert_true(ebb_gang_is_done(&f.attempt));
    s.round = 0; /* of an earlier start */
    tell(&f, 2, s);
    assert_false(ebb_gang_is_done(&f.attempt));
    end(&f);
}

static void a_failure_counts_only_when_every_rank_was_heard_after_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    tell(&f, 1, running());
    tell(&f, 2, running());
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_WAIT);
    assert_int_equal(f.will[1], EBB__GANG_ORDER__WILL__STOP);
    assert_int_equal(f.will[2], EBB__GANG_ORDER__WILL__STOP);
    settle(&f);
    Ebb__GangStatus s = running();
    s.phase = EBB__GANG_STATUS__PHASE__STOPPED;
    s.seen = f.version[1];
    tell(&f, 1, s);
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_WAIT); /* rank 2's VM is gone */
    s.seen = f.version[2];
    tell(&f, 2, s);
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_OWN);
    end(&f);
}

static void the_rank_that_failed_first_is_the_one_that_counts(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    tell(&f, 1, running());
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_WAIT); /* ours, and then ... */
    Ebb__GangStatus first = failed(5, "exit status 3"), later = failed(1, "a peer is gone");
    tell(&f, 2, first);
    tell(&f, 1, later);
    f.attempt.gang->failing_ns -= 10 * EBB_NS_PER_S;
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_WAIT);
    ebb_gang_poll(&f.attempt);
    first.seen = later.seen = f.version[1];
    tell(&f, 2, first);
    tell(&f, 1, later);
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_FAILED);
    end(&f);
}

static void whoever_is_asked_to_stop_has_not_failed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.attempt.was_asked_to_stop = true;
    tell(&f, 1, failed(0, "a peer is gone"));
    assert_int_equal(ebb_gang_judge(&f.attempt, false), EBB_GANG_OWN);
    end(&f);
}

static void an_order_is_told_again_until_it_was_seen(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    ebb_gang_poll(&f.attempt);
    assert_int_equal(f.sent[1], 1);
    ebb_gang_poll(&f.attempt); /* not at once */
    assert_int_equal(f.sent[1], 1);
    f.attempt.gang->peers[1].sent_ns -= 5 * EBB_NS_PER_S;
    f.attempt.gang->peers[2].sent_ns -= 5 * EBB_NS_PER_S;
    tell(&f, 2, running()); /* it has seen version 1 */
    ebb_gang_poll(&f.attempt);
    assert_int_equal(f.sent[1], 2);
    assert_int_equal(f.sent[2], 1);
    tell(&f, 1, running());
    tell(&f, 1, running());
    ebb_gang_poll(&f.attempt);
    assert_int_equal(f.sent[1], 2);
    end(&f);
}

static void a_failure_elsewhere_stops_all(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    tell(&f, 1, running());
    tell(&f, 2, failed(0, "exit status 3"));
    assert_int_equal(f.will[1], EBB__GANG_ORDER__WILL__STOP);
    assert_true(f.attempt.gang->order.kill);
    Ebb__GangStatus old = failed(0, "of the round before");
    end(&f);
    begin(&f);
    f.attempt.gang->order.round = 2;
    tell(&f, 1, old);
    assert_int_equal(f.attempt.gang->order.will, EBB__GANG_ORDER__WILL__RUN);
    end(&f);
}

static void strange_messages_change_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    Ebb__GangMessage m = EBB__GANG_MESSAGE__INIT;
    Ebb__GangStatus s = failed(-1e300, "");
    Ebb__GangOrder o = EBB__GANG_ORDER__INIT;
    m.status = &s;
    m.from = 7; /* no rank of it */
    ebb_gang_take(&f.attempt, &m);
    m.from = 1;
    m.to = 2; /* not for us */
    ebb_gang_take(&f.attempt, &m);
    m.to = 0;
    m.status = NULL;
    m.order = &o; /* rank 0 takes none */
    ebb_gang_take(&f.attempt, &m);
    assert_int_equal(f.attempt.gang->order.will, EBB__GANG_ORDER__WILL__RUN);
    s.failed_s = 1e300;
    tell(&f, 1, s);
    assert_true(f.attempt.gang->peers[1].failed_ns < ebb_now_ns(NULL));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_when_every_rank_is),
        cmocka_unit_test(a_failure_counts_only_when_every_rank_was_heard_after_it),
        cmocka_unit_test(the_rank_that_failed_first_is_the_one_that_counts),
        cmocka_unit_test(whoever_is_asked_to_stop_has_not_failed),
        cmocka_unit_test(an_order_is_told_again_until_it_was_seen),
        cmocka_unit_test(a_failure_elsewhere_stops_all),
        cmocka_unit_test(strange_messages_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
