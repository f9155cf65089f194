/* The body of an S3 upload: taken out of its aws-chunked framing, and checked against every digest
 * that the request gives for it. */
#ifndef EBB_CLOUD_EMULATOR_S3_BODY_H
#define EBB_CLOUD_EMULATOR_S3_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cloud/emulator/exchange.h"

#define EBB_S3_MAX_BODY_BYTES (256u << 20)

struct ebb_s3_body {
    const uint8_t *data;
    size_t len;
    struct ebb_buffer decoded; /* backs data when it came in chunks */
    uint8_t md5[16];
    char checksum_name[16]; /* "crc32c"; empty: none given */
    char checksum[96];      /* base64, as given and found right */
};

/* NULL, or the S3 error code that says what is wrong, with *ret_message. */
const char *ebb_s3_body_read(struct ebb_exchange *x, struct ebb_s3_body *ret,
                             const char **ret_message);
void ebb_s3_body_clean_up(struct ebb_s3_body *b);
/* Takes the body out of aws-chunked framing; false when malformed. Trailers of the form
 * "name:value" go to `trailer`, a line each. */
bool ebb_s3_unchunk(const uint8_t *data, size_t len, struct ebb_buffer *out,
                    struct ebb_buffer *trailer);
uint32_t ebb_s3_crc32(const void *data, size_t len);
uint32_t ebb_s3_crc32c(const void *data, size_t len);

#endif
