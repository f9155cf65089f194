/* Who we are to AWS, and where: credentials, region and endpoint as the AWS tools find them.
 *
 * Credentials, the first that is there: environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN); the profile (AWS_PROFILE, else "default") of the shared files
 * (AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials; AWS_CONFIG_FILE, else ~/.aws/config); the
 * instance role by IMDSv2. Those that expire are renewed in time. */
#ifndef EBB_CLOUD_CREDENTIALS_H
#define EBB_CLOUD_CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"

struct ebb_aws_credentials {
    char access_key[129];
    char secret_key[129];
    char session_token[4097]; /* "" when none */
    int64_t expires_wall_ns;  /* 0: never */
};

struct ebb_credentials; /* the chain, with what it last found; any thread */

struct ebb_credentials *ebb_credentials_new(const struct ebb_clock *clock); /* NULL: system */
void ebb_credentials_destroy(struct ebb_credentials *c);
/* May block for some seconds on the metadata service. EBB_ERR_DENIED when there are none; the text
 * says where was looked. */
int ebb_credentials_get(struct ebb_credentials *c, struct ebb_aws_credentials *ret,
                        struct ebb_error *err);
/* The service has refused them as expired: look again at the next call. */
void ebb_credentials_invalidate(struct ebb_credentials *c);

/* AWS_REGION, AWS_DEFAULT_REGION, the profile, then IMDS (us-east-1 instead when an endpoint is
 * set and no metadata service named). EBB_ERR_INPUT when none says. */
int ebb_aws_region(char *out, size_t size, struct ebb_error *err);
/* AWS_ENDPOINT_URL_<service> ("S3", "EC2", "PRICING"), AWS_ENDPOINT_URL, the profile's
 * endpoint_url; without a trailing slash, malloc'ed. NULL: the real one. */
char *ebb_aws_endpoint(const char *service);

#endif
