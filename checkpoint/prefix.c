/* See prefix.h. The tail keeps bytes, not a hash: it must move with every update. */
#include "checkpoint/prefix.h"

#include <string.h>

struct ebb_prefix *ebb_prefix_new(void)
{
    struct ebb_prefix *p = ebb_alloc(sizeof *p);
    p->hash = ebb_sha256_new();
    return p;
}

struct ebb_prefix *ebb_prefix_copy(const struct ebb_prefix *p)
{
    struct ebb_prefix *copy = ebb_alloc(sizeof *copy);
    *copy = *p;
    copy->hash = ebb_sha256_copy(p->hash);
    copy->tail = NULL;
    if (p->tail != NULL) {
        copy->tail = ebb_alloc(EBB_PREFIX_TAIL_BYTES);
        memcpy(copy->tail, p->tail, p->tail_len);
    }
    return copy;
}

void ebb_prefix_destroy(struct ebb_prefix *p)
{
    if (p == NULL)
        return;
    ebb_sha256_destroy(p->hash);
    free(p->tail);
    free(p);
}

void ebb_prefix_update(struct ebb_prefix *p, const void *data, size_t len)
{
    if (len == 0)
        return;
    ebb_sha256_update(p->hash, data, len);
    p->bytes += len;
    if (p->tail == NULL)
        p->tail = ebb_alloc(EBB_PREFIX_TAIL_BYTES);
    const uint8_t *bytes = data;
    if (len >= EBB_PREFIX_TAIL_BYTES) {
        memcpy(p->tail, bytes + len - EBB_PREFIX_TAIL_BYTES, EBB_PREFIX_TAIL_BYTES);
        p->tail_len = EBB_PREFIX_TAIL_BYTES;
        return;
    }
    size_t room = EBB_PREFIX_TAIL_BYTES - len;
    size_t keep = p->tail_len < room ? p->tail_len : room;
    memmove(p->tail, p->tail + p->tail_len - keep, keep);
    memcpy(p->tail + keep, bytes, len);
    p->tail_len = keep + len;
}

void ebb_prefix_digest(const struct ebb_prefix *p, uint8_t out[EBB_SHA256_SIZE])
{
    struct ebb_sha256 *copy = ebb_sha256_copy(p->hash);
    ebb_sha256_final(copy, out);
    ebb_sha256_destroy(copy);
}
