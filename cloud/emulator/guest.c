/* The life of a VM: each step sets the timer of the next. What is billed starts when it runs and
 * ends at the moment its end is decided, before the processes are killed. A record in the VM's
 * folder lets a later emulator tell what became of it. */
#include "cloud/emulator/guest.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cloud/emulator/bill.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/lifetime.h"
#include "cloud/emulator/revoke.h"

#define SHUTDOWN_NS     (200 * EBB_NS_PER_MS)
#define MAX_RECORD_SIZE (1u << 20)

bool ebb_guest_is_live(const struct ebb_guest *vm)
{
    return vm->state == EBB_GUEST_PENDING || vm->state == EBB_GUEST_RUNNING;
}

const char *ebb_guest_state_name(enum ebb_guest_state state)
{
    static const char *const names[] = {"pending", "running", "shutting-down", "terminated"};

    return names[state];
}

const char *ebb_guest_reason_code(const struct ebb_guest *vm)
{
    if (ebb_guest_is_live(vm))
        return "";
    switch (vm->end) {
    case EBB_GUEST_END_USER:
        return "Client.UserInitiatedShutdown";
    case EBB_GUEST_END_SHUTDOWN:
        return "Client.InstanceInitiatedShutdown";
    case EBB_GUEST_END_SPOT:
        return "Server.SpotInstanceTermination";
    case EBB_GUEST_END_HOST:
        return "Server.InternalError";
    }
    return "";
}

const char *ebb_guest_reason_text(const struct ebb_guest *vm)
{
    if (ebb_guest_is_live(vm))
        return "";
    switch (vm->end) {
    case EBB_GUEST_END_USER:
        return "Client.UserInitiatedShutdown: User initiated shutdown";
    case EBB_GUEST_END_SHUTDOWN:
        return "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    case EBB_GUEST_END_SPOT:
        return "Server.SpotInstanceTermination: Spot instance termination";
    case EBB_GUEST_END_HOST:
        return "Server.InternalError: Internal error on launch or while running";
    }
    return "";
}

char *ebb_guest_transition(const struct ebb_guest *vm, char out[64])
{
    time_t s = (time_t)(vm->end_wall_ns / EBB_NS_PER_S);
    struct tm tm;
    char when[32];

    out[0] = '\0';
    if (ebb_guest_is_live(vm))
        return out;
    gmtime_r(&s, &tm);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S GMT", &tm);
    snprintf(out, 64, "%s initiated (%s)",
             vm->end == EBB_GUEST_END_USER || vm->end == EBB_GUEST_END_SHUTDOWN ? "User"
                                                                                : "Service",
             when);
    return out;
}

/* ---- the record ---- */

void ebb_guest_save(struct ebb_guest *vm)
{
    EBB_AUTO_FREE char *path = ebb_path_join(vm->directory, "record.json");
    json_t *tags = json_array(), *record;
    struct ebb_error err = {0};
    char *text;

    for (size_t i = 0; i < vm->tags.count; i++)
        json_array_append_new(tags,
                              json_pack("[s, s]", vm->tags.items[i].name, vm->tags.items[i].value));
    record = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:I, s:o}", "id",
        vm->id, "reservation", vm->reservation, "spot_request", vm->spot_request, "zone",
        vm->zone_name, "type", vm->type_name, "spot", vm->spot, "client_token", vm->client_token,
        "request_hash", vm->request_hash, "image", vm->image, "address", vm->address,
        "launch_wall_ns", (json_int_t)vm->launch_wall_ns, "running_wall_ns",
        (json_int_t)vm->running_wall_ns, "end_wall_ns", (json_int_t)vm->end_wall_ns, "end",
        (int)vm->end, "origin_wall_ns", (json_int_t)vm->emulator->origin_wall_ns, "tags", tags);
    text = json_dumps(record, JSON_INDENT(1));
    json_decref(record);
    if (text == NULL || ebb_file_write_atomic(path, text, strlen(text), 0600, &err) < 0)
        ebb_log_error("%s: its record cannot be written: %s", vm->id, err.text);
    free(text);
}

static bool copy_text(char *out, size_t size, const json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));

    return text != NULL && (size_t)snprintf(out, size, "%s", text) < size;
}

static bool read_record(struct ebb_guest *vm, const json_t *r)
{
    const json_t *tags = json_object_get(r, "tags");

    if (!copy_text(vm->id, sizeof(vm->id), r, "id") ||
        !copy_text(vm->reservation, sizeof(vm->reservation), r, "reservation") ||
        !copy_text(vm->spot_request, sizeof(vm->spot_request), r, "spot_request") ||
        !copy_text(vm->zone_name, sizeof(vm->zone_name), r, "zone") ||
        !copy_text(vm->type_name, sizeof(vm->type_name), r, "type") ||
        !copy_text(vm->client_token, sizeof(vm->client_token), r, "client_token") ||
        !copy_text(vm->request_hash, sizeof(vm->request_hash), r, "request_hash") ||
        !copy_text(vm->image, sizeof(vm->image), r, "image") ||
        !copy_text(vm->address, sizeof(vm->address), r, "address"))
        return false;
    vm->spot = json_is_true(json_object_get(r, "spot"));
    vm->launch_wall_ns = json_integer_value(json_object_get(r, "launch_wall_ns"));
    vm->running_wall_ns = json_integer_value(json_object_get(r, "running_wall_ns"));
    vm->end_wall_ns = json_integer_value(json_object_get(r, "end_wall_ns"));
    vm->end = (enum ebb_guest_end)(json_integer_value(json_object_get(r, "end")) & 3);
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const char *key = json_string_value(json_array_get(json_array_get(tags, i), 0));
        const char *value = json_string_value(json_array_get(json_array_get(tags, i), 1));

        if (key != NULL && value != NULL)
            ebb_params_add(&vm->tags, key, value);
    }
    return true;
}

static void adopt(struct ebb_emulator *e, struct ebb_guest *vm)
{
    e->vms = ebb_realloc_array(e->vms, e->vm_count + 1, sizeof(*e->vms));
    e->vms[e->vm_count++] = vm;
    ebb_map_set(e->vm_by_id, vm->id, vm);
}

static struct ebb_guest *new_vm(struct ebb_emulator *e)
{
    struct ebb_guest *vm = ebb_alloc(sizeof(*vm));

    vm->emulator = e;
    vm->life_fd = vm->power_fd = -1;
    vm->zone = vm->type = -1;
    return vm;
}

static bool is_billed(const struct ebb_emulator *e, const char *id)
{
    for (size_t i = 0; i < e->bill.line_count; i++)
        if (strcmp(e->bill.lines[i].instance, id) == 0)
            return true;
    return false;
}

/* A VM of an emulator that went away: it ended when that was last seen alive. */
static void close_former(struct ebb_emulator *e, struct ebb_guest *vm, int64_t origin_wall_ns)
{
    EBB_AUTO_FREE char *alive = ebb_path_join(e->state_dir, "alive");
    struct stat st;
    struct ebb_bill_line line;
    int64_t now_origin = e->origin_wall_ns;

    if (vm->end_wall_ns == 0) {
        vm->end = EBB_GUEST_END_HOST;
        vm->end_wall_ns = vm->launch_wall_ns;
        if (stat(alive, &st) == 0)
            vm->end_wall_ns = (int64_t)st.st_mtim.tv_sec * EBB_NS_PER_S + st.st_mtim.tv_nsec;
        if (vm->end_wall_ns < vm->running_wall_ns)
            vm->end_wall_ns = vm->running_wall_ns;
    }
    vm->state = EBB_GUEST_TERMINATED;
    if (!is_billed(e, vm->id) && vm->running_wall_ns != 0 && vm->zone >= 0 && vm->type >= 0) {
        e->origin_wall_ns = origin_wall_ns; /* the prices it ran at began then */
        ebb_guest_charge(vm, vm->end_wall_ns, &line);
        ebb_bill_add_line(&e->bill, &line);
        ebb_guest_save(vm);
        e->origin_wall_ns = now_origin;
        e->bill_changed = true;
    }
}

static int load_one(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    struct ebb_emulator *e = ctx;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    const char *slash = strchr(relative, '/');
    struct ebb_guest *vm;
    json_t *record;

    if (slash == NULL || strcmp(slash, "/record.json") != 0)
        return 0;
    int code = ebb_file_read(path, MAX_RECORD_SIZE, &text, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "record of a VM");
    record = json_loadb(ebb_buffer_text(&text), text.len, 0, NULL);
    vm = new_vm(e);
    if (record == NULL || !read_record(vm, record) ||
        strncmp(vm->id, relative, (size_t)(slash - relative)) != 0) {
        ebb_log_warn("%s: malformed; this former VM is forgotten", path);
        ebb_guest_destroy(vm);
    } else {
        vm->directory = ebb_strndup(path, strlen(path) - strlen("/record.json"));
        vm->zone = ebb_fleet_zone_index(e->fleet, vm->zone_name);
        vm->type = ebb_fleet_type_index(e->fleet, vm->type_name);
        close_former(e, vm, json_integer_value(json_object_get(record, "origin_wall_ns")));
        adopt(e, vm);
    }
    json_decref(record);
    return 0;
}

int ebb_guest_load_all(struct ebb_emulator *e, struct ebb_error *err)
{
    EBB_AUTO_FREE char *root = ebb_path_join(e->state_dir, "vms");

    int code = ebb_mkdir_p(root, 0700, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "folder of the VMs");
    return ebb_walk(root, load_one, e, err);
}

/* ---- life ---- */

static int64_t draw_ns(struct ebb_emulator *e, const struct ebb_fleet_range *r)
{
    return (int64_t)((r->from_s + ebb_random_uniform(&e->random) * (r->to_s - r->from_s)) * 1e9);
}

static void reach(struct ebb_guest *vm, enum ebb_fleet_phase phase)
{
    vm->phase_ns[phase] = ebb_now_ns(NULL);
    ebb_revoke_on_phase(vm, phase);
}

static void start_user_data(void *ctx)
{
    struct ebb_guest *vm = ctx;
    struct ebb_error err = {0};

    if (!ebb_guest_is_live(vm))
        return;
    if (ebb_guest_boot(vm, &err) < 0) {
        ebb_log_error("%s does not boot: %s", vm->id, err.text);
        ebb_guest_end(vm, EBB_GUEST_END_HOST);
        return;
    }
    ebb_log_info("%s boots", vm->id);
    reach(vm, EBB_FLEET_PHASE_RUNNING);
}

static void start_running(void *ctx)
{
    struct ebb_guest *vm = ctx;

    if (vm->state != EBB_GUEST_PENDING)
        return;
    vm->state = EBB_GUEST_RUNNING;
    vm->running_wall_ns = ebb_wall_ns(NULL);
    ebb_guest_save(vm);
    ebb_timer_destroy(vm->timer);
    vm->timer = ebb_timer_new(vm->emulator->loop, start_user_data, vm);
    ebb_timer_set(vm->timer, draw_ns(vm->emulator, &vm->emulator->fleet->boot));
    ebb_revoke_start_lifetime(vm);
    reach(vm, EBB_FLEET_PHASE_BOOT);
}

static void make_ids(struct ebb_emulator *e, struct ebb_guest *vm)
{
    char hex[18];

    ebb_random_hex(hex, 8);
    snprintf(vm->id, sizeof(vm->id), "i-0%s", hex);
    ebb_random_hex(hex, 4);
    if (vm->spot)
        snprintf(vm->spot_request, sizeof(vm->spot_request), "sir-%s", hex);
    snprintf(vm->address, sizeof(vm->address), "10.0.%u.%u", (unsigned)(e->vm_count / 250 % 250),
             (unsigned)(e->vm_count % 250 + 4));
}

int ebb_guest_launch(struct ebb_emulator *e, const struct ebb_guest_request *q,
                     struct ebb_guest **ret, struct ebb_error *err)
{
    struct ebb_guest *vm = new_vm(e);

    vm->zone = q->zone;
    vm->type = q->type;
    vm->spot = q->spot;
    snprintf(vm->zone_name, sizeof(vm->zone_name), "%s", e->fleet->zones[q->zone].name);
    snprintf(vm->type_name, sizeof(vm->type_name), "%s", e->fleet->types[q->type].name);
    snprintf(vm->client_token, sizeof(vm->client_token), "%s", q->client_token);
    snprintf(vm->request_hash, sizeof(vm->request_hash), "%s", q->request_hash);
    snprintf(vm->reservation, sizeof(vm->reservation), "%s", q->reservation);
    snprintf(vm->image, sizeof(vm->image), "%s", q->image);
    snprintf(vm->role, sizeof(vm->role), "%s", q->role);
    for (size_t i = 0; i < q->tags->count; i++)
        ebb_params_add(&vm->tags, q->tags->items[i].name, q->tags->items[i].value);
    vm->user_data = ebb_memdup(q->user_data, q->user_data_len + 1);
    vm->user_data_len = q->user_data_len;
    make_ids(e, vm);
    vm->launch_wall_ns = ebb_wall_ns(NULL);
    int code = ebb_guest_prepare(vm, err);
    if (code == 0)
        code = ebb_metadata_service_new(vm, &vm->metadata, err);
    if (code == 0 && ebb_fleet_has_fault(e->fleet, EBB_FLEET_FAULT_PARTITION))
        code = ebb_gateway_new(vm, &vm->gateway, err);
    if (code < 0) {
        ebb_guest_destroy(vm);
        return ebb_error_wrap(err, code, "new VM");
    }
    vm->ordinal = ++e->launches;
    adopt(e, vm);
    ebb_guest_save(vm);
    ebb_log_info("%s: %s %s in %s is launched (number %lld)", vm->id,
                 vm->spot ? "spot" : "on-demand", vm->type_name, vm->zone_name,
                 (long long)vm->ordinal);
    vm->timer = ebb_timer_new(e->loop, start_running, vm);
    ebb_timer_set(vm->timer, draw_ns(e, &e->fleet->pending));
    reach(vm, EBB_FLEET_PHASE_LAUNCH);
    *ret = vm;
    return 0;
}

static void finish(void *ctx)
{
    struct ebb_guest *vm = ctx;

    vm->state = EBB_GUEST_TERMINATED;
    ebb_metadata_service_destroy(EBB_TAKE(vm->metadata));
    ebb_gateway_destroy(EBB_TAKE(vm->gateway));
}

void ebb_guest_charge(const struct ebb_guest *vm, int64_t now_wall_ns, struct ebb_bill_line *ret)
{
    const struct ebb_emulator *e = vm->emulator;
    int64_t end_ns = vm->end_wall_ns != 0 ? vm->end_wall_ns : now_wall_ns;
    struct ebb_bill_price *prices = NULL;
    size_t count = 1;

    memset(ret, 0, sizeof(*ret));
    snprintf(ret->instance, sizeof(ret->instance), "%s", vm->id);
    snprintf(ret->type, sizeof(ret->type), "%s", vm->type_name);
    snprintf(ret->zone, sizeof(ret->zone), "%s", vm->zone_name);
    ret->spot = vm->spot;
    ret->start_s = vm->running_wall_ns / EBB_NS_PER_S;
    ret->end_s = end_ns / EBB_NS_PER_S;
    if (vm->spot) {
        prices =
            ebb_bill_prices(&e->fleet->types[vm->type].spot[vm->zone], e->origin_wall_ns, &count);
    } else {
        prices = ebb_alloc(sizeof(*prices));
        prices->usd_micros_per_hour = e->fleet->types[vm->type].on_demand_usd_micros_per_hour;
    }
    ebb_bill_charge(ret, e->fleet->time_scale,
                    !ebb_guest_is_live(vm) && vm->end == EBB_GUEST_END_SPOT, prices, count);
    free(prices);
    if (ebb_guest_is_live(vm))
        ret->end_s = 0;
}

void ebb_guest_end(struct ebb_guest *vm, enum ebb_guest_end how)
{
    struct ebb_emulator *e = vm->emulator;
    struct ebb_bill_line line;
    struct ebb_error err = {0};

    if (!ebb_guest_is_live(vm))
        return;
    vm->state = EBB_GUEST_SHUTTING_DOWN;
    vm->end = how;
    vm->end_wall_ns = ebb_wall_ns(NULL);
    ebb_guest_kill(vm);
    ebb_log_info("%s ends: %s", vm->id, ebb_guest_reason_code(vm));
    ebb_guest_charge(vm, vm->end_wall_ns, &line);
    ebb_bill_add_line(&e->bill, &line);
    e->bill_changed = true;
    if (ebb_emulator_write_bill(e, &err) < 0)
        ebb_log_error("%s", err.text);
    ebb_guest_save(vm);
    ebb_timer_destroy(EBB_TAKE(vm->revoke_timer));
    ebb_timer_destroy(EBB_TAKE(vm->lifetime_timer));
    ebb_timer_destroy(EBB_TAKE(vm->cap_timer));
    ebb_timer_destroy(vm->timer);
    vm->timer = ebb_timer_new(e->loop, finish, vm);
    ebb_timer_set(vm->timer, SHUTDOWN_NS);
}

void ebb_guest_destroy(struct ebb_guest *vm)
{
    if (vm == NULL)
        return;
    ebb_guest_kill(vm);
    ebb_timer_destroy(vm->timer);
    ebb_timer_destroy(vm->revoke_timer);
    ebb_timer_destroy(vm->lifetime_timer);
    ebb_timer_destroy(vm->cap_timer);
    ebb_metadata_service_destroy(vm->metadata);
    ebb_gateway_destroy(vm->gateway);
    ebb_params_clean_up(&vm->tags);
    free(vm->user_data);
    free(vm->directory);
    free(vm);
}
