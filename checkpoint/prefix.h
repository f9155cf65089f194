/* What is known of the first bytes of a growing file: the streaming hash over them and their last
 * 64 KiB, so that growth alone has to be read and a rewritten prefix is noticed. */
#ifndef EBB_CHECKPOINT_PREFIX_H
#define EBB_CHECKPOINT_PREFIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/memory.h"

#define EBB_PREFIX_TAIL_BYTES (64u << 10)

struct ebb_prefix {
    struct ebb_sha256 *hash;
    uint64_t bytes;
    uint8_t *tail; /* of the prefix; tail_len = min(bytes, EBB_PREFIX_TAIL_BYTES) */
    size_t tail_len;
};

struct ebb_prefix *ebb_prefix_new(void);
struct ebb_prefix *ebb_prefix_copy(const struct ebb_prefix *p);
void ebb_prefix_destroy(struct ebb_prefix *p);
void ebb_prefix_update(struct ebb_prefix *p, const void *data, size_t len);
/* The hash of the prefix as it is now; it may grow on. */
void ebb_prefix_digest(const struct ebb_prefix *p, uint8_t out[EBB_SHA256_SIZE]);

EBB_DEFINE_AUTO_PTR(ebb_auto_prefix, struct ebb_prefix, ebb_prefix_destroy)

#endif
