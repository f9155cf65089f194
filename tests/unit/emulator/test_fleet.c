/* The fleet file: what it tells, and its faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/fleet.h"

#define HEAD                                                                                       \
    "zones: [a, {name: b, capacity: {default: 3, big: 1}}]\n"                                      \
    "types:\n"                                                                                     \
    "  - {name: small, vcpus: 1, memory: 1 GiB, on_demand: 0.1, spot: 0.03}\n"                     \
    "  - {name: big, vcpus: 4, memory: 8 GiB, gpus: 2, gpu: a10g, on_demand: 1.5,\n"               \
    "     spot: {b: [{at: 0s, usd: 0.5}, {at: 60s, usd: 0.75}]}}\n"

static struct ebb_fleet *parse(const char *text)
{
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};

    if (ebb_fleet_parse("fleet.yaml", "/nowhere", text, strlen(text), &f, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return f;
}

static void zones_types_and_prices_are_read(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = parse("region: eu-west-3\nseed: 9\ntime_scale: 60\n"
                                "boot: {from: 1s, to: 2s}\npending: 500ms\n" HEAD);

    assert_string_equal(f->region, "eu-west-3");
    assert_int_equal(f->seed, 9);
    assert_int_equal(f->time_scale, 60);
    assert_true(f->boot.from_s == 1 && f->boot.to_s == 2);
    assert_true(f->pending.from_s == 0.5 && f->pending.to_s == 0.5);
    assert_int_equal(f->zone_count, 2);
    assert_int_equal(ebb_fleet_capacity(f, 0, 1), 1000);
    assert_int_equal(ebb_fleet_capacity(f, 1, 0), 3);
    assert_int_equal(ebb_fleet_capacity(f, 1, 1), 1);
    assert_int_equal(f->types[0].on_demand_usd_micros_per_hour, 100000);
    assert_int_equal(f->types[0].spot[0].steps[0].usd_micros_per_hour, 30000);
    assert_int_equal(f->types[0].spot[1].steps[0].usd_micros_per_hour, 30000);
    assert_int_equal(f->types[1].gpus, 2);
    assert_int_equal(f->types[1].spot[0].count, 0); /* not offered there */
    assert_int_equal(f->types[1].spot[1].count, 2);
    assert_true(f->types[1].spot[1].steps[1].at_s == 60);
    ebb_fleet_destroy(f);
}

static void revocations_say_when_where_and_with_what_notice(void **unused)
{
    (void)unused;
    struct ebb_fleet *f =
        parse(HEAD "notices: {length: 60s, late_by: 50s}\n"
                   "revocations:\n"
                   "  - {at: 30s, zone: b, notice: 5s, unavailable: 10s}\n"
                   "  - {vm: 3, after: 8s, notice: none}\n"
                   "  - {vm: 2, phase: boot, notice: late}\n"
                   "  - {vm: 4, phase: running, after: 1s, scope: zone, notice: lost, "
                   "rebalance: 3s}\n");
    const struct ebb_fleet_revocation *r = f->revocations;

    assert_int_equal(f->revocation_count, 4);
    assert_true(r[0].when.vm == 0 && r[0].when.at_s == 30 && r[0].zone == 1);
    assert_true(r[0].notice.kind == EBB_FLEET_NOTICE_GIVEN && r[0].notice.length_s == 5);
    assert_true(r[0].unavailable_s == 10 && r[0].rebalance_lead_s < 0);
    assert_true(r[1].when.vm == 3 && r[1].when.at_s == 8 && !r[1].whole_zone);
    assert_int_equal(r[1].notice.kind, EBB_FLEET_NOTICE_NONE);
    assert_int_equal(r[2].when.phase, EBB_FLEET_PHASE_BOOT);
    assert_true(r[2].notice.kind == EBB_FLEET_NOTICE_LATE && r[2].notice.late_by_s == 50);
    assert_true(r[3].whole_zone && r[3].rebalance_lead_s == 3);
    assert_int_equal(r[3].notice.kind, EBB_FLEET_NOTICE_LOST);
    ebb_fleet_destroy(f);
}

static void lifetimes_and_faults_are_read(void **unused)
{
    (void)unused;
    struct ebb_fleet *f =
        parse(HEAD "lifetimes:\n"
                   "  - {model: exponential, mean: 2m, zone: a, lost: 0.25}\n"
                   "  - {model: weibull, scale: 10m, shape: 0.8}\n"
                   "  - {model: bathtub, tau1: 60s, tau2: 30s, deadline: 10m, a: 0.45}\n"
                   "  - {model: uniform, from: 10s, to: 20s}\n"
                   "faults:\n"
                   "  - {kind: throttle, service: s3, at: 5s, for: 30s}\n"
                   "  - {kind: error, rate: 0.5, action: RunInstances}\n"
                   "  - {kind: slow, service: s3, latency: 50ms, bandwidth: 10 MiB}\n"
                   "  - {kind: partition, vm: 2, after: 5s, for: 20s}\n");

    assert_int_equal(f->lifetime_count, 4);
    assert_true(f->lifetimes[0].mean_s == 120 && f->lifetimes[0].zone == 0);
    assert_true(f->lifetimes[0].lost_rate == 0.25 && f->lifetimes[1].shape == 0.8);
    assert_int_equal(f->fault_count, 4);
    assert_true(f->faults[0].window.for_s == 30 && f->faults[0].rate == 1);
    assert_int_equal(f->faults[0].service, EBB_FLEET_SERVICE_S3);
    assert_string_equal(f->faults[1].action, "RunInstances");
    assert_true(isinf(f->faults[1].window.for_s));
    assert_int_equal(f->faults[2].bandwidth_bytes_per_s, 10 << 20);
    assert_true(f->faults[3].vm == 2 && ebb_fleet_has_fault(f, EBB_FLEET_FAULT_PARTITION));
    ebb_fleet_destroy(f);
}

static char *write_file(const char *folder, const char *name, const char *text)
{
    char *path = ebb_path_join(folder, name);

    assert_int_equal(ebb_file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    return path;
}

static void price_files_and_traces_come_from_beside_the_fleet_file(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/ebb-fleet-XXXXXX";
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};

    assert_non_null(mkdtemp(folder));
    free(write_file(folder, "p.csv", "seconds,usd\n0,0.1\n3600,0.25\n"));
    free(write_file(folder, "t.json",
                    "{\"metadata\": {\"gap_seconds\": 600}, \"data\": [1, 1, 0, 1]}"));
    EBB_AUTO_FREE char *path =
        write_file(folder, "fleet.yaml",
                   "zones: [a]\ntypes:\n  - {name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, "
                   "spot: {file: p.csv, speed: 60}}\n"
                   "traces: [{zone: a, file: t.json, speed: 60, start: 600s, notice: 2s}]\n");
    if (ebb_fleet_load(path, &f, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(f->types[0].spot[0].count, 2);
    assert_true(f->types[0].spot[0].steps[1].at_s == 60);
    assert_int_equal(f->types[0].spot[0].steps[1].usd_micros_per_hour, 250000);
    assert_true(f->traces[0].gap_s == 10 && f->traces[0].start_s == 10);
    assert_int_equal(f->traces[0].count, 4);
    ebb_fleet_destroy(f);
    ebb_remove_tree(folder, NULL);
}

static void the_fleet_that_ships_is_good(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};

    if (ebb_fleet_load_default(&f, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(f->zone_count >= 3);
    ebb_fleet_destroy(f);
}

static void a_cap_ends_vms_after_their_notice(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = parse("zones: [a]\nnotices: {length: 30s}\ntypes: [{name: t, vcpus: 1, "
                                "memory: 1 GiB, on_demand: 1, spot: 0.3, cap: 24h}]\n");
    struct ebb_fleet_notice none = {.kind = EBB_FLEET_NOTICE_NONE, .length_s = 30};

    assert_true(f->types[0].cap_s == 86400);
    assert_true(ebb_fleet_cap_decided_s(f->types[0].cap_s, &f->notice) == 86370);
    assert_true(ebb_fleet_cap_decided_s(10, &f->notice) == 0);
    assert_true(ebb_fleet_cap_decided_s(10, &none) == 10);
    ebb_fleet_destroy(f);
}

/* Each mistake, with what its message must say. */
static const struct {
    const char *text;
    const char *says;
} mistakes[] = {
    {"", "empty"},
    {"zones: [a]\n", "types"},
    {"zones: []\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1}]\n", "fleet.yaml:1:8"},
    {HEAD "sed: 5\n", "seed"},
    {HEAD "seed: many\n", "fleet.yaml:6:7"},
    {HEAD "time_scale: 0\n", "time_scale"},
    {HEAD "boot: {from: 3s, to: 1s}\n", "less than"},
    {HEAD "boot: {from: 3s}\n", "both from and to"},
    {"zones: [a, a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1}]\n", "already"},
    {"zones: [a/b]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1}]\n", "letters"},
    {"zones: [a]\ntypes: [{name: t, memory: 1 GiB, on_demand: 1}]\n", "'vcpus' is missing"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: lots, on_demand: 1}]\n", "lots"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, gpus: 1, on_demand: 1}]\n", "gpu"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, spot: {c: 1}}]\n",
     "'c'"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, "
     "spot: [{at: 5s, usd: 1}, {at: 5s, usd: 2}]}]\n",
     "later"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, "
     "spot: {file: no.csv}}]\n",
     "no.csv"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, cap: 0s}]\n", "cap"},
    {"zones: [a]\ntypes: [{name: t, vcpus: 1, memory: 1 GiB, on_demand: 1, cap: day}]\n", "day"},
    {HEAD "revocations: [{zone: a}]\n", "'at' or 'vm'"},
    {HEAD "revocations: [{at: 3s, vm: 2}]\n", "'after'"},
    {HEAD "revocations: [{at: 3s, phase: boot}]\n", "'vm'"},
    {HEAD "revocations: [{vm: 2, phase: botting}]\n", "boot"},
    {HEAD "revocations: [{at: 3s, notice: soon}]\n", "soon"},
    {HEAD "revocations: [{at: 3s, zone: c}]\n", "'c'"},
    {HEAD "lifetimes: [{mean: 3s}]\n", "'model' is missing"},
    {HEAD "lifetimes: [{model: weibul, scale: 3s}]\n", "weibull"},
    {HEAD "lifetimes: [{model: exponential}]\n", "'mean'"},
    {HEAD "lifetimes: [{model: exponential, mean: 1s, late: 0.7, lost: 0.7}]\n", "more than 1"},
    {HEAD "traces: [{zone: a}]\n", "'file' is missing"},
    {HEAD "traces: [{zone: a, file: /nowhere/t.json}]\n", "t.json"},
    {HEAD "faults: [{rate: 1}]\n", "'kind' is missing"},
    {HEAD "faults: [{kind: error, rate: 1.5}]\n", "rate"},
    {HEAD "faults: [{kind: stale-describe}]\n", "'lag' is missing"},
    {HEAD "faults: {kind: error}\n", "list"},
};

static void each_mistake_is_told_with_its_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < EBB_ARRAY_LEN(mistakes); i++) {
        struct ebb_fleet *f = NULL;
        struct ebb_error err = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
        int code = ebb_fleet_parse("fleet.yaml", "/nowhere", mistakes[i].text,
                                   strlen(mistakes[i].text), &f, &all, &err);

        if (code != EBB_ERR_INPUT)
            fail_msg("taken as good: %s", mistakes[i].text);
        if (strstr(err.text, mistakes[i].says) == NULL || !ebb_starts_with(err.text, "fleet.yaml"))
            fail_msg("for %s\nit says: %s\nand not: %s", mistakes[i].text, err.text,
                     mistakes[i].says);
        assert_null(f);
    }
}

static void all_mistakes_of_a_file_are_told_at_once(void **unused)
{
    (void)unused;
    struct ebb_fleet *f = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    static const char text[] = HEAD "seed: x\nlifetimes: [{mean: 3s}]\nfaults: [{rate: 1}]\n";

    assert_int_equal(ebb_fleet_parse("fleet.yaml", ".", text, sizeof(text) - 1, &f, &all, NULL),
                     EBB_ERR_INPUT);
    assert_non_null(strstr(ebb_buffer_text(&all), "fleet.yaml:6:"));
    assert_non_null(strstr(ebb_buffer_text(&all), "fleet.yaml:7:"));
    assert_non_null(strstr(ebb_buffer_text(&all), "fleet.yaml:8:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zones_types_and_prices_are_read),
        cmocka_unit_test(revocations_say_when_where_and_with_what_notice),
        cmocka_unit_test(lifetimes_and_faults_are_read),
        cmocka_unit_test(price_files_and_traces_come_from_beside_the_fleet_file),
        cmocka_unit_test(the_fleet_that_ships_is_good),
        cmocka_unit_test(a_cap_ends_vms_after_their_notice),
        cmocka_unit_test(each_mistake_is_told_with_its_place),
        cmocka_unit_test(all_mistakes_of_a_file_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
