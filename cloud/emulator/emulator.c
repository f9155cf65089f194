/* Puts the parts together. The state folder outlives the process: objects, keys, the bill and what
 * became of each VM. VMs do not: they die with the emulator. */
#include "cloud/emulator/emulator.h"

#include <errno.h>
#include <event2/http.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cloud/emulator/ec2.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"
#include "cloud/emulator/objects.h"
#include "cloud/emulator/revoke.h"
#include "cloud/emulator/s3.h"

#define MAX_REQUEST_BYTES (1u << 30) /* larger ones are cut off; S3 itself refuses 256 MiB */
#define MAX_BILL_BYTES    (256u << 20)
#define TICK_NS           (500 * EBB_NS_PER_MS)
#define DEFAULT_BUCKET    "ebb"

double ebb_emulator_now_s(const struct ebb_emulator *e)
{
    return (double)(ebb_now_ns(NULL) - e->origin_ns) / 1e9;
}

void ebb_emulator_own(struct ebb_emulator *e, void *memory)
{
    e->owned = ebb_realloc_array(e->owned, e->owned_count + 1, sizeof(void *));
    e->owned[e->owned_count++] = memory;
}

struct ebb_timer *ebb_emulator_timer(struct ebb_emulator *e, void (*fn)(void *ctx), void *ctx)
{
    e->timers = ebb_realloc_array(e->timers, e->timer_count + 1, sizeof(struct ebb_timer *));
    e->timers[e->timer_count] = ebb_timer_new(e->loop, fn, ctx);
    return e->timers[e->timer_count++];
}

/* ---- the bill ---- */

static void bill_storage(struct ebb_emulator *e)
{
    int64_t now_ns = ebb_now_ns(NULL);

    ebb_bill_store(&e->bill, ebb_objects_total_bytes(e->objects),
                   (double)(now_ns - e->stored_at_ns) / 1e9);
    e->stored_at_ns = now_ns;
}

static json_t *bill_json(struct ebb_emulator *e, bool with_open)
{
    struct ebb_bill_line *open = ebb_alloc_array(e->vm_count + 1, sizeof(*open));
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    size_t count = 0;
    json_t *json;

    bill_storage(e);
    for (size_t i = 0; with_open && i < e->vm_count; i++)
        if (e->vms[i]->state == EBB_GUEST_RUNNING)
            ebb_guest_charge(e->vms[i], now_wall_ns, &open[count++]);
    json = ebb_bill_json(&e->bill, open, count);
    free(open);
    return json;
}

json_t *ebb_emulator_bill_json(struct ebb_emulator *e)
{
    return bill_json(e, true);
}

int ebb_emulator_write_bill(struct ebb_emulator *e, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(e->state_dir, "bill.json");
    json_t *json = bill_json(e, false);
    EBB_AUTO_FREE char *text = json_dumps(json, JSON_INDENT(1));

    json_decref(json);
    int code = text == NULL ? ebb_error_set(err, EBB_ERR_INTERNAL, "it is not UTF-8")
                            : ebb_file_write_atomic(path, text, strlen(text), 0600, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "bill of the emulated cloud");
    e->bill_changed = false;
    return 0;
}

static int load_bill(struct ebb_emulator *e, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(e->state_dir, "bill.json");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    json_error_t jerr;
    json_t *json;
    int code;

    if (!ebb_file_exists(path))
        return 0;
    code = ebb_file_read(path, MAX_BILL_BYTES, &text, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "bill");
    json = json_loadb(ebb_buffer_text(&text), text.len, 0, &jerr);
    if (json == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "%s:%d:%d: %s; move the file away to start a "
                             "new bill",
                             path, jerr.line, jerr.column, jerr.text);
    code = ebb_bill_restore(&e->bill, json, err);
    json_decref(json);
    return code;
}

/* ---- the clockwork ---- */

static bool is_idle(const struct ebb_emulator *e)
{
    for (size_t i = 0; i < e->vm_count; i++)
        if (e->vms[i]->state != EBB_GUEST_TERMINATED)
            return false;
    return (double)(ebb_now_ns(NULL) - e->last_request_ns) / 1e9 >= e->idle_exit_s;
}

/* Its time of change tells a later emulator until when the VMs of this one lived. */
static void touch_alive(const struct ebb_emulator *e)
{
    EBB_AUTO_FREE char *path = ebb_path_join(e->state_dir, "alive");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (futimens(fd, NULL) < 0)
        ebb_log_warn("%s: its time cannot be set", path);
    close(fd);
}

static void on_tick(void *ctx)
{
    struct ebb_emulator *e = ctx;
    struct ebb_error err = {0};

    touch_alive(e);
    ebb_guest_kill_strays(e);
    if (e->bill_changed && ebb_emulator_write_bill(e, &err) < 0)
        ebb_log_error("%s", err.text);
    if (e->idle_exit_s > 0 && is_idle(e)) {
        ebb_log_info("nothing to do for %.0f s: ends", e->idle_exit_s);
        ebb_loop_stop(e->loop);
    }
    ebb_timer_set(e->tick, TICK_NS);
}

/* ---- start ---- */

static int write_text(const struct ebb_emulator *e, const char *name, const char *text,
                      struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(e->state_dir, name);
    EBB_AUTO_FREE char *line = ebb_sprintf("%s\n", text);

    return ebb_file_write_atomic(path, line, strlen(line), 0644, err);
}

static int open_state(struct ebb_emulator *e, const char *state_dir, struct ebb_error *err)
{
    EBB_AUTO_FREE char *lock = NULL, *uploads = NULL;
    char *absolute;
    int fd;

    int code = ebb_mkdir_p(state_dir, 0700, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "state of the emulated cloud");
    absolute = realpath(state_dir, NULL);
    if (absolute == NULL)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot find %s", state_dir);
    e->state_dir = absolute;
    lock = ebb_path_join(e->state_dir, "lock");
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", lock);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return ebb_error_set(err, EBB_ERR_EXISTS,
                             "an emulated cloud runs already on %s; stop it, "
                             "or give another --state",
                             e->state_dir);
    }
    e->lock_fd = fd;
    uploads = ebb_path_join(e->state_dir, "uploads");
    code = ebb_remove_tree(uploads, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "unfinished uploads");
    return 0;
}

static int load_fleet(struct ebb_emulator *e, const struct ebb_emulator_options *o,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    int code = o->fleet_path != NULL ? ebb_fleet_load(o->fleet_path, &e->fleet, &faults, err)
                                     : ebb_fleet_load_default(&e->fleet, err);

    if (code < 0) {
        if (faults.len > 0)
            fprintf(stderr, "%s", ebb_buffer_text(&faults));
        return code;
    }
    if (o->region != NULL)
        snprintf(e->fleet->region, sizeof(e->fleet->region), "%s", o->region);
    ebb_random_seed(&e->random, e->fleet->seed);
    for (size_t i = 0; i < e->fleet->fault_count; i++) {
        e->faults = ebb_realloc_array(e->faults, e->fault_count + 1, sizeof(*e->faults));
        e->faults[e->fault_count++] = e->fleet->faults[i];
    }
    e->bill.time_scale = e->fleet->time_scale;
    return 0;
}

static int load_state(struct ebb_emulator *e, struct ebb_error *err)
{
    if (ebb_keyring_init(&e->keyring, e->state_dir, err) < 0 ||
        ebb_objects_open(e->state_dir, &e->objects, err) < 0 || load_bill(e, err) < 0 ||
        ebb_guest_load_all(e, err) < 0)
        return err->code;
    if (ebb_objects_bucket(e->objects, DEFAULT_BUCKET) == NULL)
        return ebb_objects_create_bucket(e->objects, DEFAULT_BUCKET, err);
    return 0;
}

static int publish(struct ebb_emulator *e, struct ebb_error *err)
{
    char scale[24];

    snprintf(scale, sizeof(scale), "%lld", (long long)e->fleet->time_scale);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer zones = {0};
    for (size_t i = 0; i < e->fleet->zone_count; i++)
        ebb_buffer_printf(&zones, "%s%s", i == 0 ? "" : " ", e->fleet->zones[i].name);
    int code = write_text(e, "zones", ebb_buffer_text(&zones), err);
    if (code == 0)
        code = write_text(e, "bill_time_scale", scale, err);
    if (code == 0)
        code = write_text(e, "region", e->fleet->region, err);
    if (code == 0)
        code = write_text(e, "endpoint", e->endpoint, err);
    if (code < 0)
        return ebb_error_wrap(err, code, "state of the emulated cloud");
    return 0;
}

static int start(struct ebb_emulator *e, const struct ebb_emulator_options *o,
                 struct ebb_error *err)
{
    if (load_fleet(e, o, err) < 0 || open_state(e, o->state_dir, err) < 0 ||
        load_state(e, err) < 0 ||
        ebb_exchange_listen(e, "127.0.0.1", o->port, MAX_REQUEST_BYTES, ebb_router_handle, e,
                            &e->http, &e->port, err) < 0)
        return err->code;
    snprintf(e->endpoint, sizeof(e->endpoint), "http://127.0.0.1:%d", e->port);
    ebb_revoke_start(e);
    e->tick = ebb_timer_new(e->loop, on_tick, e);
    ebb_timer_set(e->tick, TICK_NS);
    return publish(e, err);
}

int ebb_emulator_new(struct ebb_loop *loop, const struct ebb_emulator_options *o,
                     struct ebb_emulator **ret, struct ebb_error *err)
{
    struct ebb_emulator *e = ebb_alloc(sizeof(*e));
    struct ebb_error local = {0};

    e->loop = loop;
    e->lock_fd = -1;
    e->idle_exit_s = o->idle_exit_s;
    e->origin_ns = e->last_request_ns = e->stored_at_ns = ebb_now_ns(NULL);
    e->origin_wall_ns = ebb_wall_ns(NULL);
    e->reaper = ebb_reaper_new(loop);
    e->vm_by_id = ebb_map_new(NULL);
    e->uploads = ebb_map_new(ebb_s3_multipart_free);
    e->templates = ebb_map_new(ebb_ec2_free_template);
    if (start(e, o, &local) < 0) {
        ebb_emulator_destroy(e);
        ebb_error_copy(err, &local);
        return local.code;
    }
    *ret = e;
    return 0;
}

static void end_vms(struct ebb_emulator *e)
{
    struct ebb_error err = {0};

    for (size_t i = 0; i < e->vm_count; i++)
        ebb_guest_end(e->vms[i], EBB_GUEST_END_USER);
    if (e->objects != NULL && e->tick != NULL && ebb_emulator_write_bill(e, &err) < 0)
        ebb_log_error("%s", err.text);
}

void ebb_emulator_destroy(struct ebb_emulator *e)
{
    if (e == NULL)
        return;
    end_vms(e);
    ebb_exchange_forget_all(e);
    if (e->http != NULL)
        evhttp_free(e->http);
    for (size_t i = 0; i < e->vm_count; i++)
        ebb_guest_destroy(e->vms[i]);
    for (size_t i = 0; i < e->timer_count; i++)
        ebb_timer_destroy(e->timers[i]);
    ebb_timer_destroy(e->tick);
    ebb_reaper_destroy(e->reaper);
    ebb_map_destroy(e->vm_by_id);
    ebb_map_destroy(e->uploads);
    ebb_map_destroy(e->templates);
    ebb_keyring_clean_up(&e->keyring);
    ebb_bill_clean_up(&e->bill);
    ebb_objects_destroy(e->objects);
    ebb_fleet_destroy(e->fleet);
    for (size_t i = 0; i < e->owned_count; i++)
        free(e->owned[i]);
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    free(e->owned);
    free(e->timers);
    free(e->vms);
    free(e->faults);
    free(e->state_dir);
    free(e);
}
