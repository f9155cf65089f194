/* The emulated EC2: actions of the Query protocol. Each writes its answer's elements to q->body, or
 * returns an error code of EC2 with q->message set. */
#ifndef EBB_CLOUD_EMULATOR_EC2_H
#define EBB_CLOUD_EMULATOR_EC2_H

#include <stdint.h>

#include "base/buffer.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"
#include "cloud/emulator/params.h"

struct ebb_ec2_request {
    struct ebb_emulator *emulator;
    struct ebb_exchange *x;
    const struct ebb_params *params;
    const char *action;
    struct ebb_buffer body;
    char message[512];
};

typedef const char *(*ebb_ec2_action)(struct ebb_ec2_request *q);

/* Sets the message and returns `code`. */
const char *ebb_ec2_refuse(struct ebb_ec2_request *q, const char *code, const char *fmt, ...)
    EBB_PRINTF(3, 4);
const char *ebb_ec2_param(const struct ebb_ec2_request *q, const char *name); /* NULL: absent */

/* Filter.N.Name, Filter.N.Value.M: value(ctx, name, buffer) gives what an item has for a filter, or
 * NULL when there is no such filter. Items match when every filter has a value that fits (* and ?
 * as in a shell). */
typedef const char *(*ebb_ec2_property)(const void *item, const char *name);
const char *ebb_ec2_check_filters(struct ebb_ec2_request *q, const char *const *known,
                                  size_t count);
bool ebb_ec2_matches(const struct ebb_ec2_request *q, const void *item, ebb_ec2_property property);
/* MaxResults and NextToken over a sequence of items: first index, and how many at most. */
const char *ebb_ec2_page(struct ebb_ec2_request *q, size_t limit, size_t *ret_first,
                         size_t *ret_max);
void ebb_ec2_put_next_token(struct ebb_ec2_request *q, size_t next);
/* True when the list parameter Name.1, Name.2, ... is absent or holds the value. */
bool ebb_ec2_listed(const struct ebb_ec2_request *q, const char *name, const char *value);

const char *ebb_ec2_run_instances(struct ebb_ec2_request *q);
const char *ebb_ec2_create_fleet(struct ebb_ec2_request *q);
const char *ebb_ec2_create_launch_template(struct ebb_ec2_request *q);
const char *ebb_ec2_delete_launch_template(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_instances(struct ebb_ec2_request *q);
const char *ebb_ec2_terminate_instances(struct ebb_ec2_request *q);
const char *ebb_ec2_create_tags(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_tags(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_spot_price_history(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_instance_types(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_instance_type_offerings(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_availability_zones(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_regions(struct ebb_ec2_request *q);
const char *ebb_ec2_describe_images(struct ebb_ec2_request *q);

/* The instances of one reservation, in the form of RunInstances and DescribeInstances. */
void ebb_ec2_put_reservation(struct ebb_ec2_request *q, struct ebb_guest *const *vms, size_t count);
/* Price in force now, micro-USD an hour. */
int64_t ebb_ec2_spot_price(const struct ebb_emulator *e, int type, int zone);

void ebb_ec2_free_template(void *template);

#define EBB_EC2_IMAGE "ami-0ebb0000000000001"

#endif
