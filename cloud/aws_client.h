/* One signed HTTP request to an AWS service: credentials, signature, clock skew, renewal of expired
 * credentials. Which answers are errors, and what is tried again, is the service's own business. */
#ifndef EBB_CLOUD_AWS_CLIENT_H
#define EBB_CLOUD_AWS_CLIENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "cloud/sigv4.h"

struct ebb_aws_client; /* any thread */

#define EBB_AWS_MAX_HEADERS 12

struct ebb_aws_request {
    const char *service; /* "s3", "ec2", "pricing": scope of the signature */
    const char *region;  /* NULL: the client's */
    const char *method;
    const char *origin; /* "https://host:port" */
    const char *target; /* encoded path and query */
    struct ebb_sigv4_header headers[EBB_AWS_MAX_HEADERS];
    size_t header_count;
    const void *body;
    size_t body_len;
    const uint8_t *body_sha256; /* NULL: computed */
    double timeout_s;
    size_t max_answer_bytes;
    const atomic_int *cancel;
};

int ebb_aws_client_new(struct ebb_aws_client **ret, struct ebb_error *err);
void ebb_aws_client_destroy(struct ebb_aws_client *c);
const char *ebb_aws_client_region(const struct ebb_aws_client *c);

/* Any HTTP status is success, as in ebb_http_call. An answer that blames our clock or expired
 * credentials is mended and sent once more. */
int ebb_aws_call(struct ebb_aws_client *c, const struct ebb_aws_request *q,
                 struct ebb_http_answer *ret, struct ebb_error *err);
/* ebb_sigv4_presign with the client's credentials; NULL and `err` when there are none. */
char *ebb_aws_presign(struct ebb_aws_client *c, const char *service, const char *method,
                      const char *origin, const char *path, unsigned valid_s,
                      struct ebb_error *err);

#endif
