/* Instances as EC2 tells of them, their end, and their tags. Ended instances stay known as long as
 * the state folder does. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/ec2.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/markup.h"

#define MAX_PAGE 1000

static const int state_codes[] = {0, 16, 32, 48};

static void put_state(struct ebb_ec2_request *q, const char *tag, enum ebb_guest_state state)
{
    ebb_markup_open(&q->body, tag);
    ebb_markup_format(&q->body, "code", "%d", state_codes[state]);
    ebb_markup_text(&q->body, "name", ebb_guest_state_name(state));
    ebb_markup_close(&q->body, tag);
}

static void put_time(struct ebb_ec2_request *q, const char *tag, int64_t wall_ns)
{
    char text[EBB_TIME_TEXT_SIZE];

    ebb_time_format(wall_ns / EBB_NS_PER_S * EBB_NS_PER_S, text);
    ebb_markup_text(&q->body, tag, text);
}

static void put_instance(struct ebb_ec2_request *q, const struct ebb_guest *vm)
{
    struct ebb_buffer *b = &q->body;
    char transition[64];

    ebb_markup_open(b, "item");
    ebb_markup_text(b, "instanceId", vm->id);
    ebb_markup_text(b, "imageId", vm->image);
    put_state(q, "instanceState", vm->state);
    ebb_markup_text(b, "privateDnsName", "");
    ebb_markup_text(b, "reason", ebb_guest_transition(vm, transition));
    ebb_markup_text(b, "amiLaunchIndex", "0");
    ebb_markup_text(b, "instanceType", vm->type_name);
    put_time(q, "launchTime", vm->running_wall_ns != 0 ? vm->running_wall_ns : vm->launch_wall_ns);
    ebb_markup_open(b, "placement");
    ebb_markup_text(b, "availabilityZone", vm->zone_name);
    ebb_markup_text(b, "tenancy", "default");
    ebb_markup_close(b, "placement");
    ebb_markup_text(b, "architecture", "x86_64");
    if (ebb_guest_is_live(vm)) {
        ebb_markup_text(b, "privateIpAddress", vm->address);
    } else {
        ebb_markup_open(b, "stateReason");
        ebb_markup_text(b, "code", ebb_guest_reason_code(vm));
        ebb_markup_text(b, "message", ebb_guest_reason_text(vm));
        ebb_markup_close(b, "stateReason");
    }
    if (vm->spot) {
        ebb_markup_text(b, "instanceLifecycle", "spot");
        ebb_markup_text(b, "spotInstanceRequestId", vm->spot_request);
    }
    ebb_markup_text(b, "clientToken", vm->client_token);
    if (vm->tags.count > 0) {
        ebb_markup_open(b, "tagSet");
        for (size_t i = 0; i < vm->tags.count; i++) {
            ebb_markup_open(b, "item");
            ebb_markup_text(b, "key", vm->tags.items[i].name);
            ebb_markup_text(b, "value", vm->tags.items[i].value);
            ebb_markup_close(b, "item");
        }
        ebb_markup_close(b, "tagSet");
    }
    ebb_markup_close(b, "item");
}

void ebb_ec2_put_reservation(struct ebb_ec2_request *q, struct ebb_guest *const *vms, size_t count)
{
    ebb_markup_text(&q->body, "reservationId", vms[0]->reservation);
    ebb_markup_text(&q->body, "ownerId", q->emulator->keyring.account);
    ebb_markup_open(&q->body, "instancesSet");
    for (size_t i = 0; i < count; i++)
        put_instance(q, vms[i]);
    ebb_markup_close(&q->body, "instancesSet");
}

static const char *tag_of(const struct ebb_guest *vm, const char *key)
{
    return ebb_params_get(&vm->tags, key);
}

static const char *const instance_filters[] = {
    "instance-id",        "instance-type", "instance-state-name",      "instance-lifecycle",
    "availability-zone",  "client-token",  "spot-instance-request-id", "tag-key",
    "instance-state-code"};

static const char *instance_property(const void *item, const char *name)
{
    const struct ebb_guest *vm = item;
    static const char *const codes[] = {"0", "16", "32", "48"};

    if (ebb_starts_with(name, "tag:"))
        return tag_of(vm, name + 4);
    if (strcmp(name, "instance-id") == 0)
        return vm->id;
    if (strcmp(name, "instance-type") == 0)
        return vm->type_name;
    if (strcmp(name, "instance-state-name") == 0)
        return ebb_guest_state_name(vm->state);
    if (strcmp(name, "instance-state-code") == 0)
        return codes[vm->state];
    if (strcmp(name, "instance-lifecycle") == 0)
        return vm->spot ? "spot" : NULL;
    if (strcmp(name, "availability-zone") == 0)
        return vm->zone_name;
    if (strcmp(name, "client-token") == 0)
        return vm->client_token;
    if (strcmp(name, "spot-instance-request-id") == 0)
        return vm->spot_request;
    return NULL;
}

/* A filter on tag-key fits when any key of the instance does: each tag is one view of it. */
struct view {
    const struct ebb_guest *vm;
    size_t tag;
};

static const char *view_property(const void *item, const char *name)
{
    const struct view *v = item;

    if (strcmp(name, "tag-key") == 0)
        return v->tag < v->vm->tags.count ? v->vm->tags.items[v->tag].name : NULL;
    return instance_property(v->vm, name);
}

static bool instance_matches(const struct ebb_ec2_request *q, const struct ebb_guest *vm)
{
    struct view view = {.vm = vm};

    do {
        if (ebb_ec2_matches(q, &view, view_property))
            return true;
    } while (++view.tag < vm->tags.count);
    return false;
}

static const char *check_ids(struct ebb_ec2_request *q, size_t *ret_count)
{
    *ret_count = 0;
    for (size_t n = 1; n <= MAX_PAGE; n++) {
        const char *id = ebb_params_getf(q->params, "InstanceId.%zu", n);
        const struct ebb_guest *vm;

        if (id == NULL)
            break;
        if (!ebb_starts_with(id, "i-") || strspn(id + 2, "0123456789abcdef") != strlen(id + 2) ||
            strlen(id) < 10)
            return ebb_ec2_refuse(q, "InvalidInstanceID.Malformed", "Invalid id: \"%.60s\"", id);
        vm = ebb_map_get(q->emulator->vm_by_id, id);
        if (vm == NULL || ebb_faults_vm_is_hidden(q->emulator, vm))
            return ebb_ec2_refuse(q, "InvalidInstanceID.NotFound",
                                  "The instance ID '%s' does not exist", id);
        (*ret_count)++;
    }
    return NULL;
}

const char *ebb_ec2_describe_instances(struct ebb_ec2_request *q)
{
    struct ebb_emulator *e = q->emulator;
    size_t first, max, shown = 0, ids = 0, i;
    const char *code = ebb_ec2_check_filters(q, instance_filters, EBB_ARRAY_LEN(instance_filters));

    if (code == NULL)
        code = check_ids(q, &ids);
    if (code == NULL && ids > 0 && ebb_ec2_param(q, "MaxResults") != NULL)
        code = ebb_ec2_refuse(q, "InvalidParameterCombination",
                              "The parameter instancesSet cannot be used with the parameter "
                              "maxResults");
    if (code == NULL)
        code = ebb_ec2_page(q, MAX_PAGE, &first, &max);
    if (code != NULL)
        return code;
    ebb_markup_open(&q->body, "reservationSet");
    for (i = first; i < e->vm_count && shown < max; i++) {
        struct ebb_guest *vm = e->vms[i];

        if (!ebb_ec2_listed(q, "InstanceId", vm->id) || ebb_faults_vm_is_hidden(e, vm) ||
            !instance_matches(q, vm))
            continue;
        ebb_markup_open(&q->body, "item");
        ebb_ec2_put_reservation(q, &vm, 1);
        ebb_markup_close(&q->body, "item");
        shown++;
    }
    ebb_markup_close(&q->body, "reservationSet");
    if (i < e->vm_count)
        ebb_ec2_put_next_token(q, i);
    return NULL;
}

const char *ebb_ec2_terminate_instances(struct ebb_ec2_request *q)
{
    size_t count;
    const char *code = check_ids(q, &count);

    if (code != NULL)
        return code;
    if (count == 0)
        return ebb_ec2_refuse(q, "MissingParameter",
                              "The request must contain the parameter InstanceId");
    ebb_markup_open(&q->body, "instancesSet");
    for (size_t n = 1; n <= count; n++) {
        const char *id = ebb_params_getf(q->params, "InstanceId.%zu", n);
        struct ebb_guest *vm = ebb_map_get(q->emulator->vm_by_id, id);
        enum ebb_guest_state before = vm->state;

        ebb_guest_end(vm, EBB_GUEST_END_USER);
        ebb_markup_open(&q->body, "item");
        ebb_markup_text(&q->body, "instanceId", vm->id);
        put_state(q, "currentState", vm->state);
        put_state(q, "previousState", before);
        ebb_markup_close(&q->body, "item");
    }
    ebb_markup_close(&q->body, "instancesSet");
    return NULL;
}

/* ---- tags ---- */

static void set_tag(struct ebb_guest *vm, const char *key, const char *value)
{
    for (size_t i = 0; i < vm->tags.count; i++)
        if (strcmp(vm->tags.items[i].name, key) == 0) {
            free(vm->tags.items[i].value);
            vm->tags.items[i].value = ebb_strdup(value);
            return;
        }
    ebb_params_add(&vm->tags, key, value);
}

const char *ebb_ec2_create_tags(struct ebb_ec2_request *q)
{
    if (ebb_ec2_param(q, "ResourceId.1") == NULL || ebb_ec2_param(q, "Tag.1.Key") == NULL)
        return ebb_ec2_refuse(q, "MissingParameter",
                              "The request must contain the parameters resources and tags");
    for (size_t n = 1; n <= MAX_PAGE; n++) {
        const char *id = ebb_params_getf(q->params, "ResourceId.%zu", n);
        struct ebb_guest *vm = id != NULL ? ebb_map_get(q->emulator->vm_by_id, id) : NULL;

        if (id == NULL)
            break;
        if (vm == NULL || ebb_faults_vm_is_hidden(q->emulator, vm))
            return ebb_ec2_refuse(q, "InvalidID", "The ID '%.60s' is not valid", id);
        for (size_t m = 1; m <= 50; m++) {
            const char *key = ebb_params_getf(q->params, "Tag.%zu.Key", m);
            const char *value = ebb_params_getf(q->params, "Tag.%zu.Value", m);

            if (key == NULL)
                break;
            if (vm->tags.count >= 50 && tag_of(vm, key) == NULL)
                return ebb_ec2_refuse(q, "TagLimitExceeded", "The maximum number of tags is 50");
            set_tag(vm, key, value != NULL ? value : "");
        }
        ebb_guest_save(vm);
    }
    ebb_markup_text(&q->body, "return", "true");
    return NULL;
}

struct tag_view {
    const struct ebb_guest *vm;
    const struct ebb_param *tag;
};

static const char *tag_property(const void *item, const char *name)
{
    const struct tag_view *v = item;

    if (strcmp(name, "resource-id") == 0)
        return v->vm->id;
    if (strcmp(name, "resource-type") == 0)
        return "instance";
    if (strcmp(name, "key") == 0)
        return v->tag->name;
    return strcmp(name, "value") == 0 ? v->tag->value : NULL;
}

const char *ebb_ec2_describe_tags(struct ebb_ec2_request *q)
{
    static const char *const known[] = {"resource-id", "resource-type", "key", "value"};
    const char *code = ebb_ec2_check_filters(q, known, EBB_ARRAY_LEN(known));
    size_t first, max, index = 0;
    bool more = false;

    if (code == NULL)
        code = ebb_ec2_page(q, MAX_PAGE, &first, &max);
    if (code != NULL)
        return code;
    ebb_markup_open(&q->body, "tagSet");
    for (size_t i = 0; i < q->emulator->vm_count; i++)
        for (size_t t = 0; t < q->emulator->vms[i]->tags.count; t++) {
            struct tag_view view = {.vm = q->emulator->vms[i],
                                    .tag = &q->emulator->vms[i]->tags.items[t]};

            if (!ebb_ec2_matches(q, &view, tag_property))
                continue;
            if (index >= first + max)
                more = true;
            if (index++ < first || more)
                continue;
            ebb_markup_open(&q->body, "item");
            ebb_markup_text(&q->body, "resourceId", view.vm->id);
            ebb_markup_text(&q->body, "resourceType", "instance");
            ebb_markup_text(&q->body, "key", view.tag->name);
            ebb_markup_text(&q->body, "value", view.tag->value);
            ebb_markup_close(&q->body, "item");
        }
    ebb_markup_close(&q->body, "tagSet");
    if (more)
        ebb_ec2_put_next_token(q, first + max);
    return NULL;
}
