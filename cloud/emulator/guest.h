/* A VM of the emulated cloud: a process tree in a folder of its own, with a metadata service.
 *
 *   launch accepted     running (billing starts)    user data starts        end
 *   |---- pending ------|---------- boot -----------|----- running ... -----| shutting-down, then
 *                                                                           | terminated
 */
#ifndef EBB_CLOUD_EMULATOR_GUEST_H
#define EBB_CLOUD_EMULATOR_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/map.h"
#include "cloud/emulator/fleet.h"
#include "cloud/emulator/params.h"

struct ebb_emulator;
struct ebb_gateway;
struct ebb_metadata_service;

enum ebb_guest_state {
    EBB_GUEST_PENDING,
    EBB_GUEST_RUNNING,
    EBB_GUEST_SHUTTING_DOWN,
    EBB_GUEST_TERMINATED,
};

enum ebb_guest_end {
    EBB_GUEST_END_USER,     /* TerminateInstances */
    EBB_GUEST_END_SHUTDOWN, /* shutdown inside the VM */
    EBB_GUEST_END_SPOT,     /* the cloud took it */
    EBB_GUEST_END_HOST,     /* the emulator itself went away under it */
};

struct ebb_guest {
    struct ebb_emulator *emulator;
    int64_t ordinal; /* n-th launch since the emulator's start, from 1; 0: of an earlier start */
    char id[24];
    char reservation[24];
    char spot_request[24];
    int zone;
    int type;
    char zone_name[EBB_FLEET_NAME_SIZE];
    char type_name[EBB_FLEET_NAME_SIZE];
    bool spot;
    enum ebb_guest_state state;
    struct ebb_params tags;
    char client_token[72];
    char request_hash[65];
    char image[40];
    char role[72];
    char address[16];
    int64_t launch_wall_ns; /* request accepted */
    int64_t running_wall_ns;
    int64_t end_wall_ns;
    int64_t phase_ns[3]; /* monotonic, by enum ebb_fleet_phase; 0: not reached */
    enum ebb_guest_end end;
    uint8_t *user_data;
    size_t user_data_len;
    char *directory;
    char role_key[24]; /* access key of its current temporary credentials */

    pid_t supervisor; /* 0: none */
    pid_t unreaped;   /* the same, until its exit status has been taken */
    int life_fd;      /* the supervisor ends when this closes; -1: none */
    int power_fd;     /* written by `shutdown` inside */
    struct ebb_watch *power_watch;
    struct ebb_timer *timer; /* next step of its life */
    struct ebb_metadata_service *metadata;
    struct ebb_gateway *gateway; /* NULL: the fleet knows no partition */

    bool revoked; /* decided; the steps below follow */
    struct ebb_timer *revoke_timer;
    int revoke_step;
    struct ebb_fleet_notice notice;
    double rebalance_lead_s;
    int64_t rebalance_wall_ns; /* 0: none shown */
    bool notice_shown;
    int64_t deadline_wall_ns;
    struct ebb_timer *lifetime_timer;
    struct ebb_timer *cap_timer;
};

struct ebb_guest_request {
    int zone;
    int type;
    bool spot;
    const struct ebb_params *tags;
    const char *client_token;
    const char *request_hash;
    const char *reservation;
    const char *image;
    const char *role;
    const uint8_t *user_data;
    size_t user_data_len;
};

/* Starts a VM's life. The emulator owns it for good (ended VMs are remembered). */
int ebb_guest_launch(struct ebb_emulator *e, const struct ebb_guest_request *q,
                     struct ebb_guest **ret, struct ebb_error *err);
/* Kills everything in it at once; nothing when it has ended. */
void ebb_guest_end(struct ebb_guest *vm, enum ebb_guest_end how);
/* The cloud takes it, with the given notice; nothing for on-demand VMs or when it is already
 * decided. */
void ebb_guest_revoke(struct ebb_guest *vm, const struct ebb_fleet_notice *notice,
                      double rebalance_lead_s);
bool ebb_guest_is_live(const struct ebb_guest *vm); /* pending or running */
void ebb_guest_destroy(struct ebb_guest *vm);

/* Former VMs of the state folder, as terminated ones. */
int ebb_guest_load_all(struct ebb_emulator *e, struct ebb_error *err);
void ebb_guest_save(struct ebb_guest *vm);
/* The charge of a VM until its end or `now_wall_ns`. */
struct ebb_bill_line;
void ebb_guest_charge(const struct ebb_guest *vm, int64_t now_wall_ns, struct ebb_bill_line *ret);

const char *ebb_guest_state_name(enum ebb_guest_state state);
const char *ebb_guest_reason_code(const struct ebb_guest *vm); /* "" while it lives */
const char *ebb_guest_reason_text(const struct ebb_guest *vm);
/* "User initiated (2026-11-21 11:05:00 GMT)"; out of 64 bytes; returns out. */
char *ebb_guest_transition(const struct ebb_guest *vm, char out[64]);

/* guest_boot.c: the folder and the processes. */
int ebb_guest_prepare(struct ebb_guest *vm, struct ebb_error *err);
int ebb_guest_boot(struct ebb_guest *vm, struct ebb_error *err);
void ebb_guest_kill(struct ebb_guest *vm);
/* Kills what a supervisor left behind that was itself killed from outside: such processes fall to
 * the emulator, which is a child subreaper. */
void ebb_guest_kill_strays(struct ebb_emulator *e);

/* metadata_service.c: IMDSv2 on a port of its own. Its loopback address is not that of anything
 * else, so that a proxy variable can exempt it alone. */
#define EBB_METADATA_ADDRESS "127.169.254.169"
int ebb_metadata_service_new(struct ebb_guest *vm, struct ebb_metadata_service **ret,
                             struct ebb_error *err);
int ebb_metadata_service_port(const struct ebb_metadata_service *m);
void ebb_metadata_service_destroy(struct ebb_metadata_service *m);

/* gateway.c: the VM's way out, where a partition is made. */
int ebb_gateway_new(struct ebb_guest *vm, struct ebb_gateway **ret, struct ebb_error *err);
int ebb_gateway_port(const struct ebb_gateway *g);
void ebb_gateway_destroy(struct ebb_gateway *g);

#endif
