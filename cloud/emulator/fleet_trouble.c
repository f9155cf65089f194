/* Reads the parts of a fleet file that make trouble: revocations, lifetimes, traces, faults.
 * Traces and models need nothing but the seed to repeat; exact revocations may be tied to the n-th
 * launch, so that they hit a VM in a known phase however fast the machine is. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/yaml.h"
#include "cloud/emulator/fleet.h"

#define MAX_LIST        10000
#define MAX_TRACE_BYTES (64u << 20)

struct reader {
    struct ebb_fleet *fleet;
    struct ebb_yaml *y;
    const char *directory;
    struct ebb_fleet_notice notice; /* of the section `notices`, else two minutes */
    double lost_rate, late_rate, none_rate;
    double rebalance_lead_s;
};

static bool get_duration(struct ebb_yaml *y, const struct ebb_yaml_node *map, const char *key,
                         double *ret)
{
    const struct ebb_yaml_node *n = ebb_yaml_get(map, key);

    return n == NULL || ebb_yaml_read_duration(y, n, key, ret);
}

static bool get_rate(struct ebb_yaml *y, const struct ebb_yaml_node *map, const char *key,
                     double *ret)
{
    const struct ebb_yaml_node *n = ebb_yaml_get(map, key);

    return n == NULL || ebb_yaml_read_double(y, n, key, 0, 1, ret);
}

static bool get_place(struct reader *r, const struct ebb_yaml_node *map, int *ret_zone,
                      int *ret_type)
{
    const struct ebb_yaml_node *zone = ebb_yaml_get(map, "zone");
    const struct ebb_yaml_node *type = ebb_yaml_get(map, "type");

    *ret_zone = *ret_type = -1;
    return (zone == NULL || ebb_fleet_read_zone(r->fleet, r->y, zone, ret_zone)) &&
           (type == NULL || ebb_fleet_read_type(r->fleet, r->y, type, ret_type));
}

/* notice: 120s | none | late | lost. */
static bool get_notice(struct reader *r, const struct ebb_yaml_node *map,
                       struct ebb_fleet_notice *ret)
{
    const struct ebb_yaml_node *n = ebb_yaml_get(map, "notice");
    const char *word = n != NULL ? ebb_yaml_scalar(n) : NULL;

    *ret = r->notice;
    if (n == NULL)
        return true;
    if (word != NULL && strcmp(word, "none") == 0) {
        ret->kind = EBB_FLEET_NOTICE_NONE;
        return true;
    }
    if (word != NULL && (strcmp(word, "late") == 0 || strcmp(word, "lost") == 0)) {
        ret->kind = word[1] == 'a' ? EBB_FLEET_NOTICE_LATE : EBB_FLEET_NOTICE_LOST;
        return true;
    }
    ret->kind = EBB_FLEET_NOTICE_GIVEN;
    if (word == NULL || ebb_parse_duration(word, &ret->length_s, NULL) < 0) {
        ebb_yaml_fault(r->y, n, "notice '%.60s': a duration (120s), none, late or lost",
                       word != NULL ? word : "(no scalar)");
        return false;
    }
    if (ret->length_s == 0)
        ret->kind = EBB_FLEET_NOTICE_NONE;
    return true;
}

/* at: 30s, or vm: 3 with after: 8s and phase: launch | boot | running. */
static bool get_when(struct reader *r, const struct ebb_yaml_node *map, struct ebb_fleet_when *ret)
{
    static const char *const phases[] = {"launch", "boot", "running"};
    const struct ebb_yaml_node *vm = ebb_yaml_get(map, "vm");
    const struct ebb_yaml_node *phase = ebb_yaml_get(map, "phase");
    size_t index = EBB_FLEET_PHASE_LAUNCH;

    memset(ret, 0, sizeof(*ret));
    if (vm != NULL && ebb_yaml_get(map, "at") != NULL) {
        ebb_yaml_fault(r->y, map, "'at' counts from the emulator's start; with 'vm' use 'after'");
        return false;
    }
    if (vm == NULL && (phase != NULL || ebb_yaml_get(map, "after") != NULL)) {
        ebb_yaml_fault(r->y, map, "'after' and 'phase' need 'vm' (which launch)");
        return false;
    }
    if (vm == NULL)
        return get_duration(r->y, map, "at", &ret->at_s);
    if (!ebb_yaml_read_int(r->y, vm, "vm", 1, 1000000, &ret->vm))
        return false;
    if (phase != NULL && !ebb_yaml_read_choice(r->y, phase, "phase", phases, 3, &index))
        return false;
    ret->phase = (enum ebb_fleet_phase)index;
    return get_duration(r->y, map, "after", &ret->at_s);
}

static void read_notices(struct reader *r, const struct ebb_yaml_node *n)
{
    static const char *const keys[] = {"length", "late_by", "late", "lost", "none", "rebalance"};

    if (n == NULL || !ebb_yaml_check_keys(r->y, n, keys, EBB_ARRAY_LEN(keys)))
        return;
    get_duration(r->y, n, "length", &r->notice.length_s);
    r->notice.late_by_s = r->notice.length_s * 0.9;
    get_duration(r->y, n, "late_by", &r->notice.late_by_s);
    get_rate(r->y, n, "late", &r->late_rate);
    get_rate(r->y, n, "lost", &r->lost_rate);
    get_rate(r->y, n, "none", &r->none_rate);
    get_duration(r->y, n, "rebalance", &r->rebalance_lead_s);
}

static bool read_revocation(struct reader *r, const struct ebb_yaml_node *n,
                            struct ebb_fleet_revocation *ret)
{
    static const char *const keys[] = {"at",   "vm",    "after",  "phase",     "zone",
                                       "type", "scope", "notice", "rebalance", "unavailable"};
    static const char *const scopes[] = {"vm", "zone"};
    const struct ebb_yaml_node *scope;
    size_t index = 0;

    if (!ebb_yaml_check_keys(r->y, n, keys, EBB_ARRAY_LEN(keys)))
        return false;
    ret->rebalance_lead_s = r->rebalance_lead_s;
    scope = ebb_yaml_get(n, "scope");
    if (!get_when(r, n, &ret->when) || !get_place(r, n, &ret->zone, &ret->type) ||
        !get_notice(r, n, &ret->notice) ||
        !get_duration(r->y, n, "rebalance", &ret->rebalance_lead_s) ||
        !get_duration(r->y, n, "unavailable", &ret->unavailable_s) ||
        (scope != NULL && !ebb_yaml_read_choice(r->y, scope, "scope", scopes, 2, &index)))
        return false;
    ret->whole_zone = index == 1;
    if (ret->when.vm == 0 && ebb_yaml_get(n, "at") == NULL) {
        ebb_yaml_fault(r->y, n, "revocation: 'at' or 'vm' is needed");
        return false;
    }
    return true;
}

static bool need_positive(struct reader *r, const struct ebb_yaml_node *n, const char *key,
                          double *ret)
{
    if (!get_duration(r->y, n, key, ret))
        return false;
    if (*ret > 0)
        return true;
    ebb_yaml_fault(r->y, n, "lifetime: '%s' must be given and more than 0", key);
    return false;
}

static bool read_model(struct reader *r, const struct ebb_yaml_node *n,
                       struct ebb_fleet_lifetime *l)
{
    const struct ebb_yaml_node *shape = ebb_yaml_get(n, "shape");
    const struct ebb_yaml_node *a = ebb_yaml_get(n, "a");

    switch (l->model) {
    case EBB_FLEET_MODEL_EXPONENTIAL:
        return need_positive(r, n, "mean", &l->mean_s);
    case EBB_FLEET_MODEL_WEIBULL:
        l->shape = 1;
        return need_positive(r, n, "scale", &l->scale_s) &&
               (shape == NULL || ebb_yaml_read_double(r->y, shape, "shape", 0.05, 100, &l->shape));
    case EBB_FLEET_MODEL_BATHTUB:
        l->a = 0.5;
        return need_positive(r, n, "tau1", &l->tau1_s) && need_positive(r, n, "tau2", &l->tau2_s) &&
               need_positive(r, n, "deadline", &l->deadline_s) &&
               (a == NULL || ebb_yaml_read_double(r->y, a, "a", 0.01, 1, &l->a));
    case EBB_FLEET_MODEL_UNIFORM:
        if (!get_duration(r->y, n, "from", &l->from_s) || !need_positive(r, n, "to", &l->to_s))
            return false;
        if (l->to_s >= l->from_s)
            return true;
        ebb_yaml_fault(r->y, n, "lifetime: 'to' is less than 'from'");
        return false;
    }
    return false;
}

static bool read_lifetime(struct reader *r, const struct ebb_yaml_node *n,
                          struct ebb_fleet_lifetime *ret)
{
    static const char *const keys[] = {"model",  "zone", "type", "mean",     "scale",    "shape",
                                       "a",      "tau1", "tau2", "deadline", "from",     "to",
                                       "notice", "late", "lost", "none",     "rebalance"};
    static const char *const models[] = {"exponential", "weibull", "bathtub", "uniform"};
    size_t index;

    if (!ebb_yaml_check_keys(r->y, n, keys, EBB_ARRAY_LEN(keys)))
        return false;
    if (ebb_yaml_get(n, "model") == NULL) {
        ebb_yaml_fault(r->y, n, "lifetime: 'model' is missing");
        return false;
    }
    ret->rebalance_lead_s = r->rebalance_lead_s;
    ret->late_rate = r->late_rate;
    ret->lost_rate = r->lost_rate;
    ret->none_rate = r->none_rate;
    if (!ebb_yaml_read_choice(r->y, ebb_yaml_get(n, "model"), "model", models, 4, &index) ||
        !get_place(r, n, &ret->zone, &ret->type) || !get_notice(r, n, &ret->notice) ||
        !get_rate(r->y, n, "late", &ret->late_rate) ||
        !get_rate(r->y, n, "lost", &ret->lost_rate) ||
        !get_rate(r->y, n, "none", &ret->none_rate) ||
        !get_duration(r->y, n, "rebalance", &ret->rebalance_lead_s))
        return false;
    ret->model = (enum ebb_fleet_model)index;
    if (ret->late_rate + ret->lost_rate + ret->none_rate > 1) {
        ebb_yaml_fault(r->y, n, "lifetime: late, lost and none add up to more than 1");
        return false;
    }
    return read_model(r, n, ret);
}

static bool load_trace(struct reader *r, const struct ebb_yaml_node *at, const char *path,
                       double speed, struct ebb_fleet_trace *ret)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    struct ebb_error err = {0};
    json_error_t jerr;
    json_t *root, *data;
    double gap;
    bool good = true;

    if (ebb_file_read(path, MAX_TRACE_BYTES, &text, &err) < 0) {
        ebb_yaml_fault(r->y, at, "trace: %s", err.text);
        return false;
    }
    root = json_loadb(ebb_buffer_text(&text), text.len, 0, &jerr);
    if (root == NULL) {
        ebb_yaml_fault(r->y, at, "trace %s:%d:%d: %s", path, jerr.line, jerr.column, jerr.text);
        return false;
    }
    gap = json_number_value(json_object_get(json_object_get(root, "metadata"), "gap_seconds"));
    data = json_object_get(root, "data");
    ret->count = json_array_size(data);
    ret->gap_s = gap / speed;
    if (!(ret->gap_s > 1e-6) || ret->count == 0)
        good = false;
    else
        ret->data = ebb_alloc_array(ret->count, 1);
    for (size_t i = 0; good && i < ret->count; i++) {
        const json_t *v = json_array_get(data, i);

        /* Some published traces hold numbers of VMs: anything above 0 is available. */
        if (!json_is_number(v) || json_number_value(v) < 0)
            good = false;
        else
            ret->data[i] = json_number_value(v) > 0;
    }
    json_decref(root);
    if (!good)
        ebb_yaml_fault(r->y, at,
                       "trace %s: wanted {\"metadata\": {\"gap_seconds\": N}, \"data\": [0, 1]}",
                       path);
    return good;
}

static bool read_trace(struct reader *r, const struct ebb_yaml_node *n, struct ebb_fleet_trace *ret)
{
    static const char *const keys[] = {"zone", "type", "file", "speed", "start", "notice"};
    const char *file = NULL;
    double speed = 1, start_s = 0;

    if (!ebb_yaml_check_keys(r->y, n, keys, EBB_ARRAY_LEN(keys)))
        return false;
    if (ebb_yaml_get(n, "file") == NULL) {
        ebb_yaml_fault(r->y, n, "trace: 'file' is missing");
        return false;
    }
    if (!get_place(r, n, &ret->zone, &ret->type) || !get_notice(r, n, &ret->notice) ||
        !ebb_yaml_read_text(r->y, ebb_yaml_get(n, "file"), "file", &file) ||
        (ebb_yaml_get(n, "speed") != NULL &&
         !ebb_yaml_read_double(r->y, ebb_yaml_get(n, "speed"), "speed", 1e-6, 1e9, &speed)) ||
        !get_duration(r->y, n, "start", &start_s))
        return false;
    ret->start_s = start_s / speed;
    EBB_AUTO_FREE char *path =
        file[0] == '/' ? ebb_strdup(file) : ebb_path_join(r->directory, file);
    return load_trace(r, n, path, speed, ret);
}

static bool read_fault(struct reader *r, const struct ebb_yaml_node *n, struct ebb_fleet_fault *ret)
{
    static const char *const keys[] = {"kind", "at",      "vm",     "after",    "phase",
                                       "for",  "rate",    "zone",   "type",     "service",
                                       "lag",  "latency", "action", "bandwidth"};
    static const char *const kinds[] = {"throttle",       "error", "no-capacity", "quota",
                                        "stale-describe", "slow",  "lost-answer", "partition"};
    static const char *const services[] = {"any", "ec2", "s3"};
    const struct ebb_yaml_node *service, *action;
    const char *text = NULL;
    size_t kind = 0, which = 0;

    if (!ebb_yaml_check_keys(r->y, n, keys, EBB_ARRAY_LEN(keys)))
        return false;
    if (ebb_yaml_get(n, "kind") == NULL) {
        ebb_yaml_fault(r->y, n, "fault: 'kind' is missing");
        return false;
    }
    ret->rate = 1;
    ret->window.for_s = INFINITY;
    service = ebb_yaml_get(n, "service");
    action = ebb_yaml_get(n, "action");
    if (!ebb_yaml_read_choice(r->y, ebb_yaml_get(n, "kind"), "kind", kinds, EBB_ARRAY_LEN(kinds),
                              &kind) ||
        !get_when(r, n, &ret->window.when) || !get_duration(r->y, n, "for", &ret->window.for_s) ||
        !get_rate(r->y, n, "rate", &ret->rate) || !get_place(r, n, &ret->zone, &ret->type) ||
        (service != NULL && !ebb_yaml_read_choice(r->y, service, "service", services, 3, &which)) ||
        (action != NULL && !ebb_yaml_read_text(r->y, action, "action", &text)) ||
        !get_duration(r->y, n, "lag", &ret->lag_s) ||
        !get_duration(r->y, n, "latency", &ret->latency_s))
        return false;
    if (ebb_yaml_get(n, "bandwidth") != NULL &&
        !ebb_yaml_read_size(r->y, ebb_yaml_get(n, "bandwidth"), "bandwidth",
                            &ret->bandwidth_bytes_per_s))
        return false;
    ret->kind = (enum ebb_fleet_fault_kind)kind;
    ret->service = (enum ebb_fleet_service)which;
    ret->vm = ret->window.when.vm;
    if (text != NULL)
        snprintf(ret->action, sizeof(ret->action), "%s", text);
    if (ret->kind == EBB_FLEET_FAULT_STALE_DESCRIBE && ret->lag_s <= 0) {
        ebb_yaml_fault(r->y, n, "stale-describe: 'lag' is missing");
        return false;
    }
    return true;
}

/* Items of the list `key`, each read by `read` into an element of `size` bytes. */
#define READ_LIST(r, root, key, read, array, count)                                                \
    do {                                                                                           \
        const struct ebb_yaml_node *list_ = ebb_yaml_get(root, key);                               \
        if (list_ == NULL || ebb_yaml_is_null(list_))                                              \
            break;                                                                                 \
        if (ebb_yaml_kind(list_) != EBB_YAML_SEQUENCE || ebb_yaml_count(list_) > MAX_LIST) {       \
            ebb_yaml_fault((r)->y, list_, key ": a list of at most %d is wanted", MAX_LIST);       \
            break;                                                                                 \
        }                                                                                          \
        (array) = ebb_alloc_array(ebb_yaml_count(list_) + 1, sizeof(*(array)));                    \
        for (size_t i_ = 0; i_ < ebb_yaml_count(list_); i_++) {                                    \
            read(r, ebb_yaml_item(list_, i_), &(array)[i_]);                                       \
            (count) = i_ + 1;                                                                      \
        }                                                                                          \
    } while (0)

void ebb_fleet_parse_trouble(struct ebb_fleet *f, struct ebb_yaml *y,
                             const struct ebb_yaml_node *root, const char *directory)
{
    struct reader r = {
        .fleet = f,
        .y = y,
        .directory = directory,
        .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 120, .late_by_s = 110},
        .rebalance_lead_s = -1,
    };

    read_notices(&r, ebb_yaml_get(root, "notices"));
    f->notice = r.notice;
    READ_LIST(&r, root, "revocations", read_revocation, f->revocations, f->revocation_count);
    READ_LIST(&r, root, "lifetimes", read_lifetime, f->lifetimes, f->lifetime_count);
    READ_LIST(&r, root, "traces", read_trace, f->traces, f->trace_count);
    READ_LIST(&r, root, "faults", read_fault, f->faults, f->fault_count);
}
