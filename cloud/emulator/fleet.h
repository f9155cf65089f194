/* FLEET.yaml: what the emulated cloud offers and what it does to those who rent there. Parsed once,
 * then read-only. docs/emulator.md describes the file. */
#ifndef EBB_CLOUD_EMULATOR_FLEET_H
#define EBB_CLOUD_EMULATOR_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define EBB_FLEET_NAME_SIZE 40
#define EBB_FLEET_MAX_ZONES 32
#define EBB_FLEET_MAX_TYPES 128

/* A price from `at_s` seconds after the emulator's start on. */
struct ebb_fleet_price_step {
    double at_s;
    int64_t usd_micros_per_hour;
};

/* Ascending in at_s; the first holds also before its time. */
struct ebb_fleet_prices {
    struct ebb_fleet_price_step *steps;
    size_t count;
};

struct ebb_fleet_range {
    double from_s;
    double to_s;
};

struct ebb_fleet_zone {
    char name[EBB_FLEET_NAME_SIZE];
    int64_t capacity; /* VMs of one type, where `type_capacity` says nothing */
    int64_t type_capacity[EBB_FLEET_MAX_TYPES]; /* by type index; -1: `capacity` */
};

struct ebb_fleet_type {
    char name[EBB_FLEET_NAME_SIZE];
    int64_t vcpus;
    uint64_t memory_bytes;
    int64_t gpus;
    char gpu_model[EBB_FLEET_NAME_SIZE]; /* "a10g"; empty without GPUs */
    int64_t on_demand_usd_micros_per_hour;
    double cap_s; /* no spot VM lives longer, from running on; 0: no cap */
    struct ebb_fleet_prices spot[EBB_FLEET_MAX_ZONES]; /* by zone index; count 0: not offered */
};

enum ebb_fleet_phase {
    EBB_FLEET_PHASE_LAUNCH,  /* the request was accepted */
    EBB_FLEET_PHASE_BOOT,    /* running, user data not started yet */
    EBB_FLEET_PHASE_RUNNING, /* user data started */
};

/* A moment: at_s seconds after the emulator's start (vm == 0), or after the vm-th launch has
 * reached `phase` (vm counts from 1). */
struct ebb_fleet_when {
    double at_s;
    int64_t vm;
    enum ebb_fleet_phase phase;
};

/* A window: from `when` on for for_s seconds; infinite by default. */
struct ebb_fleet_window {
    struct ebb_fleet_when when;
    double for_s;
};

enum ebb_fleet_notice_kind {
    EBB_FLEET_NOTICE_GIVEN,
    EBB_FLEET_NOTICE_NONE, /* the VM ends at once */
    EBB_FLEET_NOTICE_LATE, /* shown only `late_by_s` after the cloud decided */
    EBB_FLEET_NOTICE_LOST, /* never shown; the VM ends when a notice would have run out */
};

struct ebb_fleet_notice {
    enum ebb_fleet_notice_kind kind;
    double length_s;
    double late_by_s;
};

struct ebb_fleet_revocation {
    struct ebb_fleet_when when;
    int zone;             /* index; -1: any */
    int type;             /* index; -1: any */
    bool whole_zone;      /* with when.vm: everything in that VM's zone */
    double unavailable_s; /* the zone refuses launches for so long afterwards */
    struct ebb_fleet_notice notice;
    double rebalance_lead_s; /* a recommendation so long before; < 0: none */
};

enum ebb_fleet_model {
    EBB_FLEET_MODEL_EXPONENTIAL,
    EBB_FLEET_MODEL_WEIBULL,
    EBB_FLEET_MODEL_BATHTUB,
    EBB_FLEET_MODEL_UNIFORM,
};

/* How long a spot VM lives before the cloud takes it. The first entry that fits a VM counts. */
struct ebb_fleet_lifetime {
    enum ebb_fleet_model model;
    int zone; /* -1: any */
    int type; /* -1: any */
    double mean_s, scale_s, shape;
    /* F(t) = a (1 - exp(-t / tau1) + exp((t - deadline) / tau2)), clipped to [0, 1]: Kadupitige,
     * Jadhao, Sharma, "Modeling the temporally constrained preemptions of transient cloud VMs",
     * HPDC 2020, equation 1. */
    double a, tau1_s, tau2_s, deadline_s;
    double from_s, to_s;
    struct ebb_fleet_notice notice;
    double lost_rate, late_rate, none_rate;
    double rebalance_lead_s;
};

/* Availability over time: 1 or 0 per gap. 0 refuses launches and revokes what runs. */
struct ebb_fleet_trace {
    int zone;
    int type;
    double gap_s;   /* after the speed-up */
    double start_s; /* position in the trace at the emulator's start, after the speed-up */
    uint8_t *data;
    size_t count;
    struct ebb_fleet_notice notice;
};

enum ebb_fleet_fault_kind {
    EBB_FLEET_FAULT_THROTTLE,       /* RequestLimitExceeded, or SlowDown from S3 */
    EBB_FLEET_FAULT_ERROR,          /* 500 InternalError */
    EBB_FLEET_FAULT_NO_CAPACITY,    /* InsufficientInstanceCapacity */
    EBB_FLEET_FAULT_QUOTA,          /* MaxSpotInstanceCountExceeded */
    EBB_FLEET_FAULT_STALE_DESCRIBE, /* a VM is unknown for lag_s after its launch */
    EBB_FLEET_FAULT_SLOW,           /* latency and bandwidth */
    EBB_FLEET_FAULT_LOST_ANSWER,    /* done, but the connection breaks before the answer */
    EBB_FLEET_FAULT_PARTITION,      /* a VM reaches nothing but its metadata service */
    EBB_FLEET_FAULT_KIND_COUNT,
};

enum ebb_fleet_service { EBB_FLEET_SERVICE_ANY, EBB_FLEET_SERVICE_EC2, EBB_FLEET_SERVICE_S3 };

struct ebb_fleet_fault {
    enum ebb_fleet_fault_kind kind;
    struct ebb_fleet_window window;
    double rate; /* share of requests, 0 to 1 */
    enum ebb_fleet_service service;
    char action[64]; /* "RunInstances", "PUT"; empty: all */
    int zone;
    int type;
    int64_t vm; /* partition: which launch; 0: all */
    double lag_s;
    double latency_s;
    uint64_t bandwidth_bytes_per_s; /* 0: not limited */
};

struct ebb_fleet {
    char region[EBB_FLEET_NAME_SIZE];
    uint64_t seed;
    int64_t time_scale; /* billed seconds per real second */
    struct ebb_fleet_range boot;
    struct ebb_fleet_range pending;
    struct ebb_fleet_zone *zones;
    size_t zone_count;
    struct ebb_fleet_type *types;
    size_t type_count;
    struct ebb_fleet_revocation *revocations;
    size_t revocation_count;
    struct ebb_fleet_lifetime *lifetimes;
    size_t lifetime_count;
    struct ebb_fleet_trace *traces;
    size_t trace_count;
    struct ebb_fleet_fault *faults;
    size_t fault_count;
    struct ebb_fleet_notice notice; /* where nothing else is said, and of caps */
};

/* Parses; `name` stands in messages, files that it refers to are relative to `directory`. On
 * EBB_ERR_INPUT all faults, a line each, go to `faults` (may be NULL). */
int ebb_fleet_parse(const char *name, const char *directory, const char *text, size_t len,
                    struct ebb_fleet **ret, struct ebb_buffer *faults, struct ebb_error *err);
int ebb_fleet_load(const char *path, struct ebb_fleet **ret, struct ebb_buffer *faults,
                   struct ebb_error *err);
/* The file that ships inside the program. */
int ebb_fleet_load_default(struct ebb_fleet **ret, struct ebb_error *err);
void ebb_fleet_destroy(struct ebb_fleet *f);

int ebb_fleet_zone_index(const struct ebb_fleet *f, const char *name); /* -1: none */
int ebb_fleet_type_index(const struct ebb_fleet *f, const char *name);
int64_t ebb_fleet_capacity(const struct ebb_fleet *f, int zone, int type);
bool ebb_fleet_has_fault(const struct ebb_fleet *f, enum ebb_fleet_fault_kind kind);

/* From running on until a VM that ends at its cap is given notice; `length_s` of it is 0 for none.
 */
double ebb_fleet_cap_decided_s(double cap_s, const struct ebb_fleet_notice *notice);

/* The parts of the file that tell of trouble (fleet_trouble.c); `y` collects the faults. */
struct ebb_yaml;
struct ebb_yaml_node;
void ebb_fleet_parse_trouble(struct ebb_fleet *f, struct ebb_yaml *y,
                             const struct ebb_yaml_node *root, const char *directory);
bool ebb_fleet_read_zone(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                         int *ret);
bool ebb_fleet_read_type(struct ebb_fleet *f, struct ebb_yaml *y, const struct ebb_yaml_node *n,
                         int *ret);

#endif
