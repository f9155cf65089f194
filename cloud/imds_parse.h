/* Readers of the metadata service's JSON answers. Every one checks presence, kind and length and
 * returns EBB_ERR_CORRUPT for anything else. */
#ifndef EBB_CLOUD_IMDS_PARSE_H
#define EBB_CLOUD_IMDS_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cloud/credentials.h"
#include "cloud/metadata.h"

/* dynamic/instance-identity/document */
int ebb_imds_parse_identity(const void *data, size_t len, struct ebb_identity *ret,
                            struct ebb_error *err);
/* meta-data/spot/instance-action: {"action":"terminate","time":"2026-11-21T10:04:05Z"} */
int ebb_imds_parse_action(const void *data, size_t len, int64_t *ret_deadline_wall_ns,
                          struct ebb_error *err);
/* meta-data/iam/security-credentials/ROLE */
int ebb_imds_parse_credentials(const void *data, size_t len, struct ebb_aws_credentials *ret,
                               struct ebb_error *err);

#endif
