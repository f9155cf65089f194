/* Calls of the EC2 Query API: a form goes out, XML comes back. */
#ifndef EBB_CLOUD_EC2_CALL_H
#define EBB_CLOUD_EC2_CALL_H

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/aws_client.h"
#include "cloud/xml.h"

struct ebb_ec2 {
    struct ebb_aws_client *client;
    char *origin;
};

void ebb_ec2_init(struct ebb_ec2 *e, struct ebb_aws_client *client);
void ebb_ec2_clean_up(struct ebb_ec2 *e);

/* "Action=X&Version=..." and more parameters after it. */
void ebb_ec2_form_begin(struct ebb_buffer *form, const char *action);
void ebb_ec2_form_add(struct ebb_buffer *form, const char *name, const char *value);
/* "Filter.1.Name" and "Filter.1.Value.1" for index 1. */
void ebb_ec2_form_add_filter(struct ebb_buffer *form, int index, const char *name,
                             const char *value);

/* Sends the form and parses the answer; transient failures are tried again for `retry_for_s`
 * (0: one try). `ret_status` may be NULL; 0 there means that no answer came. */
int ebb_ec2_call(struct ebb_ec2 *e, const struct ebb_buffer *form, double retry_for_s,
                 struct ebb_xml **ret, int *ret_status, struct ebb_error *err);
/* As above, page after page: page(ctx, root) for each, until no nextToken. */
int ebb_ec2_call_pages(struct ebb_ec2 *e, const struct ebb_buffer *form, double retry_for_s,
                       int (*page)(void *ctx, const struct ebb_xml_node *root,
                                   struct ebb_error *err),
                       void *ctx, struct ebb_error *err);

#endif
