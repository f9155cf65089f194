/* Messages as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/json_out.h"
#include "proto/wire.pb-c.h"

static void check(json_t *v, const char *want)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    assert_string_equal(text, want);
    free(text);
    json_decref(v);
}

static void every_value_has_a_schema(void **state)
{
    (void)state;
    check(ebb_json_new("status"), "{\"schema\":\"ebb.status.v1\"}");
}

static void field_names_lose_their_storage_unit(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"submitted_wall_ns", "submitted_at"},
                                           {"cost_usd_micros", "cost_usd"},
                                           {"usd_micros_per_hour", "usd_per_hour"},
                                           {"usd_micros", "usd"},
                                           {"wall_ns", "at"},
                                           {"boot_s", "boot_s"}};
    for (size_t i = 0; i < 6; i++) {
        char *name = ebb_json_field_name(names[i][0]);
        assert_string_equal(name, names[i][1]);
        free(name);
    }
}

static void times_dollars_enums_and_bytes_have_their_forms(void **state)
{
    (void)state;
    Ebb__Offer offer = EBB__OFFER__INIT;
    offer.provider = (char *)"aws";
    offer.type = (char *)"c5.large";
    offer.zone = (char *)"us-east-1a";
    offer.market = EBB__MARKET__ON_DEMAND;
    offer.cpus = 2;
    offer.usd_micros_per_hour = 31900;
    check(ebb_json_of_message(&offer.base),
          "{\"provider\":\"aws\",\"region\":\"\",\"zone\":\"us-east-1a\",\"type\":\"c5.large\","
          "\"market\":\"on_demand\",\"cpus\":2.0,\"memory_bytes\":0,\"gpus\":0,\"gpu_model\":\"\","
          "\"usd_per_hour\":0.0319,\"on_demand_usd_per_hour\":0.0,\"cap_s\":0.0}");
    Ebb__OutputFile file = EBB__OUTPUT_FILE__INIT;
    uint8_t sha[2] = {0xab, 1};
    file.path = (char *)"x\xff";
    file.sha256.data = sha;
    file.sha256.len = 2;
    check(ebb_json_of_message(&file.base),
          "{\"path\":\"x?\",\"size_bytes\":0,\"sha256\":\"ab01\",\"source_bytes\":0,"
          "\"stored_bytes\":0}");
    check(ebb_json_time(0), "null");
    check(ebb_json_time(INT64_C(1795255445123000000)), "\"2026-11-21T10:04:05.123Z\"");
}

static void only_the_member_that_is_set_shows(void **state)
{
    (void)state;
    Ebb__VmLost lost = EBB__VM_LOST__INIT;
    Ebb__Event e = EBB__EVENT__INIT;
    lost.vm = (char *)"vm-000001";
    lost.reason = (char *)"silent";
    e.sequence = 7;
    e.kind_case = EBB__EVENT__KIND_VM_LOST;
    e.vm_lost = &lost;
    check(ebb_json_of_message(&e.base),
          "{\"sequence\":7,\"at\":null,\"vm_lost\":{\"vm\":\"vm-000001\",\"reason\":\"silent\"}}");
}

static void counts_and_maps_are_objects_and_lists_are_lists(void **state)
{
    (void)state;
    Ebb__StateCount done = EBB__STATE_COUNT__INIT, failed = EBB__STATE_COUNT__INIT;
    Ebb__StateCount *counts[] = {&done, &failed};
    done.state = (char *)"done";
    done.count = 3;
    failed.state = (char *)"failed";
    Ebb__BagStatus b = EBB__BAG_STATUS__INIT;
    b.counts = counts;
    b.n_counts = 2;
    json_t *v = ebb_json_of_message(&b.base);
    check(json_incref(json_object_get(v, "counts")), "{\"done\":3,\"failed\":0}");
    assert_null(json_object_get(v, "estimate"));
    json_decref(v);
    Ebb__JobsRequest q = EBB__JOBS_REQUEST__INIT;
    char *states[] = {(char *)"done", (char *)"failed"};
    q.states = states;
    q.n_states = 2;
    v = ebb_json_of_message(&q.base);
    check(json_incref(json_object_get(v, "states")), "[\"done\",\"failed\"]");
    json_decref(v);
    Ebb__JobGroup__EnvironmentEntry entry = EBB__JOB_GROUP__ENVIRONMENT_ENTRY__INIT;
    Ebb__JobGroup__EnvironmentEntry *entries[] = {&entry};
    entry.key = (char *)"OMP_NUM_THREADS";
    entry.value = (char *)"1";
    Ebb__JobGroup g = EBB__JOB_GROUP__INIT;
    g.environment = entries;
    g.n_environment = 1;
    v = ebb_json_of_message(&g.base);
    check(json_incref(json_object_get(v, "environment")), "{\"OMP_NUM_THREADS\":\"1\"}");
    json_decref(v);
}

static void numbers_that_json_lacks_are_null(void **state)
{
    (void)state;
    Ebb__Estimate e = EBB__ESTIMATE__INIT;
    e.finish_s = __builtin_nan("");
    json_t *v = ebb_json_of_message(&e.base);
    assert_true(json_is_null(json_object_get(v, "finish_s")));
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_a_schema),
        cmocka_unit_test(field_names_lose_their_storage_unit),
        cmocka_unit_test(times_dollars_enums_and_bytes_have_their_forms),
        cmocka_unit_test(only_the_member_that_is_set_shows),
        cmocka_unit_test(counts_and_maps_are_objects_and_lists_are_lists),
        cmocka_unit_test(numbers_that_json_lacks_are_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
