/* The metadata service as a VM sees it (IMDSv2): who am I, am I about to be revoked. Calls block
 * for at most 2 s each. The endpoint is AWS_EC2_METADATA_SERVICE_ENDPOINT or
 * http://169.254.169.254. */
#ifndef EBB_CLOUD_METADATA_H
#define EBB_CLOUD_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct ebb_metadata;

struct ebb_identity {
    char instance[32];
    char type[32];
    char zone[32];
    char region[32];
};

struct ebb_notice {
    bool revocation;          /* spot/instance-action is there */
    int64_t deadline_wall_ns; /* when the VM goes */
    bool rebalance;           /* a recommendation alone: raised risk, no date */
};

/* EBB_ERR_NOT_FOUND when AWS_EC2_METADATA_DISABLED is true. Makes no request. */
int ebb_metadata_open(struct ebb_metadata **ret, struct ebb_error *err);
void ebb_metadata_destroy(struct ebb_metadata *m);
int ebb_metadata_identity(struct ebb_metadata *m, struct ebb_identity *ret, struct ebb_error *err);
/* Nothing announced is success with *ret all zero. The token is renewed before it ends and after a
 * 401. */
int ebb_metadata_notice(struct ebb_metadata *m, struct ebb_notice *ret, struct ebb_error *err);
/* Appends what stands at `path` ("/latest/user-data") to `out`, at most 1 MiB; EBB_ERR_NOT_FOUND
 * when nothing does. */
int ebb_metadata_read(struct ebb_metadata *m, const char *path, struct ebb_buffer *out,
                      struct ebb_error *err);

#endif
