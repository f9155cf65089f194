/* What EC2 answers: errors to codes, elements to values. Pure, bounded; nothing is taken that is
 * too long or out of range. */
#ifndef EBB_CLOUD_EC2_ANSWER_H
#define EBB_CLOUD_EC2_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cloud/provider.h"
#include "cloud/xml.h"

/* The code that an EC2 error name means; capacity (another pool may have some) and quota (the
 * account's limit) are told apart. By the HTTP status when the name is not known. */
int ebb_ec2_code(int status, const char *name);
/* Sets `err` from an answer that is no success; returns the code. The error's text holds EC2's own
 * message. */
int ebb_ec2_read_error(const char *action, int status, const void *body, size_t len,
                       struct ebb_error *err);

/* An element of an instancesSet. EBB_ERR_CORRUPT when id or state cannot be read. */
int ebb_ec2_read_instance(const struct ebb_xml_node *item, struct ebb_instance *ret,
                          struct ebb_error *err);

struct ebb_ec2_type {
    char name[32];
    double cpus;
    uint64_t memory_bytes;
    uint32_t gpus;
    char gpu_model[32]; /* "a10g"; "" when none */
    bool spot;
    bool on_demand;
    double spot_cap_s; /* no spot VM lives longer (the emulated cloud's alone); 0: no cap */
    bool usable;       /* our processor architecture, not bare metal */
};
/* An element of an instanceTypeSet; `architecture` is "x86_64" or "arm64". */
int ebb_ec2_read_type(const struct ebb_xml_node *item, const char *architecture,
                      struct ebb_ec2_type *ret, struct ebb_error *err);

struct ebb_ec2_spot_price {
    char type[32];
    char zone[32];
    int64_t usd_micros_per_hour;
    int64_t from_wall_ns;
};
/* An element of a spotPriceHistorySet. */
int ebb_ec2_read_spot_price(const struct ebb_xml_node *item, struct ebb_ec2_spot_price *ret,
                            struct ebb_error *err);

/* "0.0416000000" dollars -> 41600 millionths, rounded half up. False for anything else. */
bool ebb_ec2_parse_price(const char *text, int64_t *ret_usd_micros);

#endif
