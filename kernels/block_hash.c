/* XXH3 over blocks. Where the library has it, through its dispatch, which takes the widest vectors
 * of the machine; else with those that it was compiled for. */
#include "kernels/block_hash.h"

#include <string.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

void ebb_block_hash(const void *data, size_t len, uint8_t out[EBB_BLOCK_HASH_SIZE])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(len > 0 ? data : "", len));
    memcpy(out, canonical.digest, EBB_BLOCK_HASH_SIZE);
}

size_t ebb_block_count(size_t len, size_t block_bytes)
{
    return len / block_bytes + (len % block_bytes != 0);
}

void ebb_block_hashes(const void *data, size_t len, size_t block_bytes,
                      uint8_t (*hashes)[EBB_BLOCK_HASH_SIZE])
{
    const uint8_t *bytes = data;
    for (size_t i = 0; len > 0; i++) {
        size_t n = len < block_bytes ? len : block_bytes;
        ebb_block_hash(bytes, n, hashes[i]);
        bytes += n;
        len -= n;
    }
}

uint64_t ebb_block_checksum(const void *data, size_t len)
{
    return XXH3_64bits(len > 0 ? data : "", len);
}
