/* Every fleet that ships in examples/ is one that the emulator takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cloud/emulator/fleet.h"

static struct ebb_fleet *load(const char *path)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    struct ebb_error err = {0};
    struct ebb_fleet *f = NULL;
    if (ebb_fleet_load(path, &f, &faults, &err) < 0)
        fail_msg("%s\n%s", err.text, ebb_buffer_text(&faults));
    return f;
}

static void the_demo_revokes_in_every_way(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = load(EBB_SOURCE_DIR "/examples/demo/fleet.yaml");
    bool none = false, lost = false, given = false, brief = false, boot = false, zone = false;
    for (size_t i = 0; i < f->revocation_count; i++) {
        const struct ebb_fleet_revocation *r = &f->revocations[i];
        bool is_given = r->notice.kind == EBB_FLEET_NOTICE_GIVEN;
        none |= r->notice.kind == EBB_FLEET_NOTICE_NONE;
        lost |= r->notice.kind == EBB_FLEET_NOTICE_LOST;
        given |= is_given && r->notice.length_s == 120;
        brief |= is_given && r->notice.length_s < 10;
        boot |= r->when.phase == EBB_FLEET_PHASE_BOOT;
        zone |= r->whole_zone;
    }
    assert_true(f->revocation_count >= 6 && f->zone_count >= 3);
    assert_true(none && lost && given && brief && boot && zone);
    ebb_fleet_destroy(f);
}

static void the_reference_fleet_is_calm(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = load(EBB_SOURCE_DIR "/examples/demo/calm.yaml");
    assert_int_equal(f->revocation_count + f->lifetime_count + f->trace_count + f->fault_count, 0);
    ebb_fleet_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_revokes_in_every_way),
        cmocka_unit_test(the_reference_fleet_is_calm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
