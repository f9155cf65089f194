/* Codecs not written here that the bench measures ours against: each packs a block of bytes, or of
 * floats, and unpacks it again. */
#ifndef EBB_BENCH_CODECS_PEERS_H
#define EBB_BENCH_CODECS_PEERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* A block: `len` bytes of elements of `element` bytes each; coordinates also as frames x atoms x 3
 * floats, kept to `error`. */
struct bench_block {
    const uint8_t *data;
    size_t len;
    unsigned element;
    size_t frames, atoms; /* 0: no coordinates */
    double error;
};

struct bench_peer {
    const char *name;
    bool is_lossy; /* by block.error */
    /* Appends to `out`; false: not for this block. */
    bool (*pack)(const struct bench_block *b, struct ebb_buffer *out);
    void (*unpack)(const struct bench_block *b, const struct ebb_buffer *packed, uint8_t *out);
};

/* Ends with name == NULL. Those whose library was not there at build time are left out. */
extern const struct bench_peer bench_peers[];
/* "zfp, fpzip": what was not there at build time; "" when nothing. */
extern const char bench_peers_absent[];

#endif
