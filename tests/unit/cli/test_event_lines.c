/* Which lines a reader of the event log is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/event_lines.h"

struct reader {
    struct ebb_event_names *names;
    struct ebb_event_lines *lines;
    struct ebb_buffer text;
    uint64_t sequence;
    int64_t wall_ns;
};

static void read_line(void *ctx, const struct ebb_event_line *l)
{
    struct reader *r = ctx;
    ebb_buffer_printf(&r->text, "%llu %s\n", (unsigned long long)l->sequence, l->text);
}

static int reader_new(void **state)
{
    struct reader *r = ebb_alloc(sizeof(*r));
    r->names = ebb_event_names_new(NULL, NULL);
    r->lines = ebb_event_lines_new(r->names, read_line, r);
    *state = r;
    return 0;
}

static int reader_end(void **state)
{
    struct reader *r = *state;
    ebb_event_lines_destroy(r->lines);
    ebb_event_names_destroy(r->names);
    ebb_buffer_clean_up(&r->text);
    free(r);
    return 0;
}

static void add(struct reader *r, Ebb__Event *e)
{
    e->sequence = ++r->sequence;
    e->wall_ns = r->wall_ns;
    ebb_event_names_learn(r->names, e);
    ebb_event_lines_add(r->lines, e);
}

static void refuse(struct reader *r, const char *zone)
{
    Ebb__Offer offer = EBB__OFFER__INIT;
    Ebb__VmIntended intended = EBB__VM_INTENDED__INIT;
    Ebb__VmLaunchFailed failed = EBB__VM_LAUNCH_FAILED__INIT;
    Ebb__Event e = EBB__EVENT__INIT, f = EBB__EVENT__INIT;
    offer.type = (char *)"t2.small";
    offer.zone = (char *)zone;
    intended.vm = failed.vm = (char *)"vm-000001";
    intended.offer = &offer;
    e.kind_case = EBB__EVENT__KIND_VM_INTENDED;
    e.vm_intended = &intended;
    add(r, &e);
    failed.code = EBB_ERR_NO_CAPACITY;
    f.kind_case = EBB__EVENT__KIND_VM_LAUNCH_FAILED;
    f.vm_launch_failed = &failed;
    add(r, &f);
}

static void equal_refusals_of_a_moment_are_one_line(void **state)
{
    struct reader *r = *state;
    refuse(r, "us-east-1a");
    refuse(r, "us-east-1b");
    refuse(r, "us-east-1a");
    assert_int_equal(r->text.len, 0);
    Ebb__VmJoined joined = EBB__VM_JOINED__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    joined.vm = (char *)"vm-000009";
    joined.boot_s = 2;
    e.kind_case = EBB__EVENT__KIND_VM_JOINED;
    e.vm_joined = &joined;
    add(r, &e);
    assert_string_equal(ebb_buffer_text(&r->text), "2 us-east-1a has no t2.small spot capacity (2 "
                                                   "launches)\n"
                                                   "4 us-east-1b has no t2.small spot capacity\n"
                                                   "7 vm-000009 ready, booted in 2.0s\n");
}

static void a_refusal_a_second_later_is_a_line_of_its_own(void **state)
{
    struct reader *r = *state;
    refuse(r, "us-east-1a");
    r->wall_ns += EBB_NS_PER_S;
    refuse(r, "us-east-1a");
    ebb_event_lines_flush(r->lines);
    ebb_event_lines_flush(r->lines);
    assert_string_equal(ebb_buffer_text(&r->text), "2 us-east-1a has no t2.small spot capacity\n"
                                                   "4 us-east-1a has no t2.small spot capacity\n");
}

static void many_different_refusals_are_all_shown(void **state)
{
    struct reader *r = *state;
    char zone[16];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(zone, sizeof(zone), "zone-%d", i);
        refuse(r, zone);
    }
    ebb_event_lines_flush(r->lines);
    size_t lines = 0;
    for (const char *p = ebb_buffer_text(&r->text); *p != '\0'; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_refusals_of_a_moment_are_one_line, reader_new,
                                        reader_end),
        cmocka_unit_test_setup_teardown(a_refusal_a_second_later_is_a_line_of_its_own, reader_new,
                                        reader_end),
        cmocka_unit_test_setup_teardown(many_different_refusals_are_all_shown, reader_new,
                                        reader_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
