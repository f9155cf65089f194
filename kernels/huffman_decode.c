/* Frames of Huffman literals, read: any zstd frame of the expected size, through the library. */
#include "kernels/huffman.h"

#include <zstd.h>

int ebb_huffman_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len,
                       struct ebb_error *err)
{
    uint8_t none;
    size_t n = ZSTD_decompress(out_len > 0 ? out : &none, out_len, in, len);
    if (ZSTD_isError(n))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed bytes: %s", ZSTD_getErrorName(n));
    if (n != out_len)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed bytes: %zu instead of %zu", n, out_len);
    return 0;
}
