/* What the emulator tells of itself, and faults by hand, below /_ebb/. Unsigned: it listens on
 * loopback alone, and shows no secret. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/guest.h"

static void reply(struct ebb_exchange *x, int status, json_t *value)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer body = {0};
    EBB_AUTO_FREE char *text = json_dumps(value, JSON_INDENT(1));

    json_decref(value);
    ebb_buffer_printf(&body, "%s\n", text != NULL ? text : "{}");
    ebb_exchange_set_header(x, "Content-Type", "application/json");
    ebb_exchange_write(x, &body);
    ebb_exchange_send(x, status);
}

static void fail(struct ebb_exchange *x, int status, const char *fmt, const char *value)
{
    EBB_AUTO_FREE char *quoted = ebb_strndup(value, 100);
    char text[256];

    snprintf(text, sizeof(text), "%s%s", fmt, quoted);
    reply(x, status, json_pack("{s:s}", "error", text));
}

static json_t *time_json(int64_t wall_ns)
{
    char text[EBB_TIME_TEXT_SIZE];

    return wall_ns == 0 ? json_null() : json_string(ebb_time_format(wall_ns, text));
}

static json_t *vm_json(const struct ebb_guest *vm)
{
    static const char *const notices[] = {"given", "none", "late", "lost"};
    json_t *v = json_pack("{s:s, s:I, s:s, s:s, s:b, s:s, s:s, s:i, s:s}", "instance", vm->id,
                          "number", (json_int_t)vm->ordinal, "type", vm->type_name, "zone",
                          vm->zone_name, "spot", vm->spot, "state", ebb_guest_state_name(vm->state),
                          "reason", ebb_guest_reason_code(vm), "supervisor", (int)vm->supervisor,
                          "directory", vm->directory);

    json_object_set_new(v, "launched", time_json(vm->launch_wall_ns));
    json_object_set_new(v, "running", time_json(vm->running_wall_ns));
    json_object_set_new(v, "ended", time_json(vm->end_wall_ns));
    json_object_set_new(v, "booted", json_boolean(vm->phase_ns[EBB_FLEET_PHASE_RUNNING] != 0));
    json_object_set_new(v, "revocation",
                        vm->revoked ? json_string(notices[vm->notice.kind]) : json_null());
    json_object_set_new(v, "notice_shown", json_boolean(vm->notice_shown));
    json_object_set_new(v, "metadata_port",
                        vm->metadata != NULL ? json_integer(ebb_metadata_service_port(vm->metadata))
                                             : json_null());
    return v;
}

static void give_vms(struct ebb_exchange *x)
{
    struct ebb_emulator *e = x->emulator;
    json_t *list = json_array();

    for (size_t i = 0; i < e->vm_count; i++)
        json_array_append_new(list, vm_json(e->vms[i]));
    reply(x, 200,
          json_pack("{s:s, s:f, s:o}", "schema", "ebb.emulator.vms.v1", "now_s",
                    ebb_emulator_now_s(e), "vms", list));
}

static bool get_seconds(struct ebb_exchange *x, const char *name, double *ret)
{
    const char *text = ebb_params_get(&x->params, name);

    return text == NULL || ebb_parse_duration(text, ret, NULL) == 0;
}

/* ?instance=i-... or ?zone=..., &notice=120s|none|late|lost. */
static void revoke(struct ebb_exchange *x)
{
    struct ebb_emulator *e = x->emulator;
    const char *instance = ebb_params_get(&x->params, "instance");
    const char *zone = ebb_params_get(&x->params, "zone");
    const char *word = ebb_params_get(&x->params, "notice");
    struct ebb_fleet_notice notice = {
        .kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 120, .late_by_s = 110};
    double rebalance_s = -1;
    int count = 0;

    if (word != NULL && strcmp(word, "none") == 0)
        notice.kind = EBB_FLEET_NOTICE_NONE;
    else if (word != NULL && strcmp(word, "late") == 0)
        notice.kind = EBB_FLEET_NOTICE_LATE;
    else if (word != NULL && strcmp(word, "lost") == 0)
        notice.kind = EBB_FLEET_NOTICE_LOST;
    else if (!get_seconds(x, "notice", &notice.length_s)) {
        fail(x, 400, "notice is a duration, none, late or lost, not ", word);
        return;
    }
    if (!get_seconds(x, "length", &notice.length_s) ||
        !get_seconds(x, "late_by", &notice.late_by_s) ||
        !get_seconds(x, "rebalance", &rebalance_s)) {
        fail(x, 400, "length, late_by and rebalance are durations", "");
        return;
    }
    for (size_t i = 0; i < e->vm_count; i++)
        if (((instance != NULL && strcmp(instance, e->vms[i]->id) == 0) ||
             (zone != NULL && strcmp(zone, e->vms[i]->zone_name) == 0)) &&
            ebb_guest_is_live(e->vms[i]) && e->vms[i]->spot && !e->vms[i]->revoked) {
            ebb_guest_revoke(e->vms[i], &notice, rebalance_s);
            count++;
        }
    if (count == 0 && instance != NULL)
        fail(x, 404, "no live spot VM that is not revoked yet: ", instance);
    else
        reply(x, 200, json_pack("{s:i}", "revoked", count));
}

/* ?kind=throttle&service=s3&for=5s&rate=0.5&action=PUT&latency=..&bandwidth=..&lag=..&vm=N */
static void add_fault(struct ebb_exchange *x)
{
    static const char *const kinds[] = {"throttle",       "error", "no-capacity", "quota",
                                        "stale-describe", "slow",  "lost-answer", "partition"};
    static const char *const services[] = {"any", "ec2", "s3"};
    const struct ebb_params *p = &x->params;
    struct ebb_fleet *fleet = x->emulator->fleet;
    struct ebb_fleet_fault f = {.kind = EBB_FLEET_FAULT_KIND_COUNT,
                                .rate = 1,
                                .zone = -1,
                                .type = -1,
                                .window = {.for_s = INFINITY}};
    const char *kind = ebb_params_get(p, "kind"), *service = ebb_params_get(p, "service");
    const char *rate = ebb_params_get(p, "rate"), *action = ebb_params_get(p, "action");
    const char *bandwidth = ebb_params_get(p, "bandwidth"), *vm = ebb_params_get(p, "vm");
    const char *zone = ebb_params_get(p, "zone"), *type = ebb_params_get(p, "type");

    for (size_t i = 0; kind != NULL && i < EBB_ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i], kind) == 0)
            f.kind = (enum ebb_fleet_fault_kind)i;
    for (size_t i = 0; service != NULL && i < EBB_ARRAY_LEN(services); i++)
        if (strcmp(services[i], service) == 0)
            f.service = (enum ebb_fleet_service)i;
    f.window.when.at_s = ebb_emulator_now_s(x->emulator);
    if (action != NULL)
        snprintf(f.action, sizeof(f.action), "%s", action);
    if (f.kind == EBB_FLEET_FAULT_KIND_COUNT || !get_seconds(x, "for", &f.window.for_s) ||
        !get_seconds(x, "lag", &f.lag_s) || !get_seconds(x, "latency", &f.latency_s) ||
        (rate != NULL && (ebb_parse_double(rate, &f.rate, NULL) < 0 || f.rate < 0)) ||
        (bandwidth != NULL && ebb_parse_size(bandwidth, &f.bandwidth_bytes_per_s, NULL) < 0) ||
        (vm != NULL && ebb_parse_int(vm, 0, 1000000, &f.vm, NULL) < 0) ||
        (zone != NULL && (f.zone = ebb_fleet_zone_index(fleet, zone)) < 0) ||
        (type != NULL && (f.type = ebb_fleet_type_index(fleet, type)) < 0)) {
        fail(x, 400,
             "a fault needs kind (throttle, error, no-capacity, quota, stale-describe, "
             "slow, lost-answer, partition) and well-formed for, rate, service, ...",
             "");
        return;
    }
    ebb_faults_add(x->emulator, &f);
    reply(x, 200, json_pack("{s:s}", "fault", kind));
}

void ebb_console_handle(struct ebb_exchange *x)
{
    const char *what = x->path + strlen("/_ebb/");
    bool get = strcmp(x->method, "GET") == 0, post = strcmp(x->method, "POST") == 0;

    if (get && strcmp(what, "bill") == 0)
        reply(x, 200, ebb_emulator_bill_json(x->emulator));
    else if (get && strcmp(what, "vms") == 0)
        give_vms(x);
    else if (post && strcmp(what, "revoke") == 0)
        revoke(x);
    else if (post && strcmp(what, "fault") == 0)
        add_fault(x);
    else
        fail(x, 404, "there are GET bill, GET vms, POST revoke and POST fault, not ", what);
}
