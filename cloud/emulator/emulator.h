/* The emulated cloud as a whole: what its parts (S3, EC2, metadata services, VMs, bill) share. One
 * process, one thread, one event loop. */
#ifndef EBB_CLOUD_EMULATOR_EMULATOR_H
#define EBB_CLOUD_EMULATOR_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/process.h"
#include "base/random.h"
#include "cloud/emulator/bill.h"
#include "cloud/emulator/fleet.h"
#include "cloud/emulator/keyring.h"

struct ebb_guest;
struct ebb_exchange;
struct ebb_objects;
struct ebb_multipart;
struct evhttp;

struct ebb_emulator_options {
    const char *fleet_path; /* NULL: the default fleet */
    const char *state_dir;
    const char *region; /* NULL: the fleet's */
    int port;           /* 0: any */
    double idle_exit_s; /* 0: never */
};

struct ebb_emulator {
    struct ebb_loop *loop;
    struct ebb_fleet *fleet;
    char *state_dir; /* absolute */
    struct evhttp *http;
    int port;
    char endpoint[64]; /* "http://127.0.0.1:PORT" */
    int64_t origin_ns; /* monotonic: the zero of every `at` of the fleet file */
    int64_t origin_wall_ns;
    struct ebb_random random; /* faults; lifetimes have their own, by launch */
    struct ebb_reaper *reaper;
    struct ebb_keyring keyring;
    struct ebb_bill bill;
    bool bill_changed;
    int64_t stored_at_ns; /* storage is billed up to here */
    struct ebb_objects *objects;
    struct ebb_map *uploads;   /* upload id -> struct ebb_multipart */
    struct ebb_map *templates; /* id -> launch template */
    struct ebb_guest **vms;    /* in order of launch, ended ones too */
    size_t vm_count;
    int64_t launches; /* since this start: the n of `vm: n` */
    struct ebb_map *vm_by_id;
    struct ebb_fleet_fault *faults;
    size_t fault_count;
    double zone_unavailable_until_s[EBB_FLEET_MAX_ZONES];
    struct ebb_timer *tick;
    double idle_exit_s;
    struct ebb_exchange *waiting; /* requests whose answer is put off */
    int64_t last_request_ns;
    int lock_fd; /* held for as long as the emulator runs */
    void **owned;
    size_t owned_count;
    struct ebb_timer **timers; /* of revocations and traces: live as long as the emulator */
    size_t timer_count;
};

/* Loads the state, starts to listen, writes `endpoint` and `credentials` to the state folder. The
 * loop is the caller's. */
int ebb_emulator_new(struct ebb_loop *loop, const struct ebb_emulator_options *o,
                     struct ebb_emulator **ret, struct ebb_error *err);
/* Ends every VM (as the user would), writes the bill. */
void ebb_emulator_destroy(struct ebb_emulator *e);

double ebb_emulator_now_s(const struct ebb_emulator *e); /* since its start */
int ebb_emulator_write_bill(struct ebb_emulator *e, struct ebb_error *err);
json_t *ebb_emulator_bill_json(struct ebb_emulator *e);
/* Memory that lives as long as the emulator. */
void ebb_emulator_own(struct ebb_emulator *e, void *memory);
struct ebb_timer *ebb_emulator_timer(struct ebb_emulator *e, void (*fn)(void *ctx), void *ctx);

/* The services; each ends in a reply. */
void ebb_router_handle(void *ctx, struct ebb_exchange *x);
void ebb_ec2_handle(struct ebb_exchange *x);
void ebb_sts_handle(struct ebb_exchange *x);
void ebb_pricing_handle(struct ebb_exchange *x);
void ebb_s3_handle(struct ebb_exchange *x);
void ebb_console_handle(struct ebb_exchange *x); /* /_ebb/... */

#endif
