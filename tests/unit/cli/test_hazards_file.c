/* Files of hazards: written, read again, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/hazards.h"
#include "scheduler/core/hazards.h"

/* Written by `ebb hazards export` of the first release of the format, after a bag of six jobs in
 * the emulated cloud at 60 billed seconds a second. */
#define GOLDEN EBB_SOURCE_DIR "/tests/golden/hazards-v1/exported.ebbhaz"
/* When `ebb hazards --json` of that release gave the figures below. */
#define THEN INT64_C(1795284898628000000)

static const struct ebb_place zone_a = {"aws", "us-east-1", "us-east-1a", "c5.large"};
static const struct ebb_place zone_c = {"aws", "us-east-1", "us-east-1c", "c5.large"};

static void assert_close(double x, double expected)
{
    if (!(fabs(x - expected) <= 1e-6 * fabs(expected)))
        fail_msg("%.15g is not %.15g", x, expected);
}

static struct ebb_hazards *load(const Ebb__HazardState *m)
{
    struct ebb_error err = {0};
    struct ebb_hazards *h = ebb_hazards_new(m->half_life_s);
    ebb_hazards_set_time_scale(h, 60);
    if (ebb_hazards_load(h, m, &err) < 0)
        fail_msg("%s", err.text);
    return h;
}

static void assert_seen(const struct ebb_hazards *h, const struct ebb_place *p, double hours,
                        double events)
{
    double got_hours, got_events;
    uint32_t resets;
    assert_true(
        ebb_hazards_seen(h, EBB_RATE_REVOCATION, p, THEN, &got_hours, &got_events, &resets));
    assert_close(got_hours, hours);
    assert_close(got_events, events);
    assert_int_equal(resets, 0);
}

static void a_file_of_version_1_is_read_as_it_was_written(void **state)
{
    (void)state;
    Ebb__HazardState *m = NULL;
    struct ebb_error err = {0};
    if (ebb_hazards_file_read(GOLDEN, &m, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(m->version, 1);
    assert_int_equal(m->n_cells, 11);
    struct ebb_hazards *h = load(m);
    /* 0.0220 and 0.0114 hours, weighted by the priors of that day, and one revocation each; aged
     * since, as the events of that release were */
    assert_seen(h, &zone_a, 0.0220010755606032 * 0.995650590900369, 0.995650590900369);
    assert_seen(h, &zone_c, 0.01142668162618448 * 0.995024612192017, 0.995024612192017);
    ebb_hazards_destroy(h);
    ebb__hazard_state__free_unpacked(m, NULL);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    char path[] = "/tmp/ebb-hazards-XXXXXX";
    struct ebb_error err = {0};
    Ebb__HazardState *m = NULL, *again = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(ebb_hazards_file_read(GOLDEN, &m, &err), 0);
    struct ebb_hazards *h = load(m), *read;
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &zone_a, 0, 40, true, THEN);
    ebb_hazards_observe(h, EBB_RATE_REVOCATION, &zone_a, 0, 40, true, THEN + 1);
    Ebb__HazardState *out = ebb_hazards_save(h);
    assert_int_equal(ebb_hazards_file_write(path, out, &err), 0);
    assert_int_equal(ebb_hazards_file_read(path, &again, &err), 0);
    read = load(again);
    assert_true(ebb_hazards_digest(h, 0) == ebb_hazards_digest(read, 0));
    assert_close(ebb_hazards_in_bulk(read, &zone_a, THEN), ebb_hazards_in_bulk(h, &zone_a, THEN));
    assert_true(ebb_hazards_in_bulk(read, &zone_a, THEN) >= 1);
    (void)unlink(path);
    ebb_hazards_destroy(h);
    ebb_hazards_destroy(read);
    ebb__hazard_state__free_unpacked(m, NULL);
    ebb__hazard_state__free_unpacked(out, NULL);
    ebb__hazard_state__free_unpacked(again, NULL);
}

static void assert_refused(const void *bytes, size_t len, const char *words)
{
    char path[] = "/tmp/ebb-hazards-XXXXXX";
    struct ebb_error err = {0};
    Ebb__HazardState *m = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(ebb_file_write_atomic(path, bytes, len, 0600, &err), 0);
    assert_true(ebb_hazards_file_read(path, &m, &err) < 0);
    assert_null(m);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, words));
    (void)unlink(path);
}

static void a_file_of_another_kind_or_a_damaged_one_is_refused_by_its_name(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_error err = {0};
    assert_refused("", 0, "does not begin with EBBHAZ1");
    assert_refused("EBBHAZ2\nxx", 10, "does not begin with EBBHAZ1");
    assert_int_equal(ebb_file_read(GOLDEN, 1u << 20, &b, &err), 0);
    assert_refused(b.data, b.len - 3, "damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_version_1_is_read_as_it_was_written),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_file_of_another_kind_or_a_damaged_one_is_refused_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
