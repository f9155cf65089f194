/* A packed block: its head, the frame in it, and what is made of the same bytes as input. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/entropy.h"
#include "kernels/huffman.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_entropy_block block;
    if (ebb_entropy_read(data, size, &block, NULL) == 0 && block.raw_len <= MOST) {
        EBB_AUTO_FREE uint8_t *out = malloc(block.raw_len + 1);
        (void)ebb_entropy_unpack(&block, out, NULL);
    }
    EBB_AUTO_FREE uint8_t *frame = malloc(EBB_HUFFMAN_BOUND(size)), *back = malloc(size + 1);
    size_t n = ebb_huffman_encode(data, size, frame);
    int rc = ebb_huffman_decode(frame, n, back, size, NULL);
    assert(rc == 0 && memcmp(back, data, size) == 0);
    return 0;
}
