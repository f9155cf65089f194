/* SHA-256 (OpenSSL EVP), HMAC-SHA-256, hex and base64. */
#ifndef EBB_BASE_HASH_H
#define EBB_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_SHA256_SIZE     32
#define EBB_SHA256_HEX_SIZE 65

struct ebb_sha256; /* streaming */
struct ebb_sha256 *ebb_sha256_new(void);
void ebb_sha256_update(struct ebb_sha256 *h, const void *data, size_t len);
void ebb_sha256_final(struct ebb_sha256 *h, uint8_t out[EBB_SHA256_SIZE]); /* may be reused after */
/* A second hash that has seen the same bytes; both go on by themselves. */
struct ebb_sha256 *ebb_sha256_copy(const struct ebb_sha256 *h);
void ebb_sha256_destroy(struct ebb_sha256 *h);

void ebb_sha256(const void *data, size_t len, uint8_t out[EBB_SHA256_SIZE]);
/* Of a regular file's content; blocks. ret_bytes (may be NULL): how many there were. */
int ebb_sha256_file(const char *path, uint8_t out[EBB_SHA256_SIZE], uint64_t *ret_bytes,
                    struct ebb_error *err);
void ebb_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                     uint8_t out[EBB_SHA256_SIZE]);
void ebb_md5(const void *data, size_t len, uint8_t out[16]); /* S3 ETags only */

char *ebb_hex(const void *data, size_t len, char *out); /* out holds 2 * len + 1; returns out */
bool ebb_unhex(const char *hex, void *out, size_t len); /* exactly 2 * len digits */
/* malloc'ed; the caller frees. */
char *ebb_base64_encode(const void *data, size_t len);
uint8_t *ebb_base64_decode(const char *text, size_t *ret_len); /* NULL when malformed */
/* Constant time. */
bool ebb_secret_equal(const void *a, const void *b, size_t len);

#endif
