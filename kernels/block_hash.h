/* The fast hash of blocks: "unchanged since the last checkpoint", and the checksum of packed bytes.
 * XXH3 of xxHash 0.8, unkeyed, canonical (big-endian) bytes. It finds damage, not attackers:
 * identity is SHA-256 (base/hash.h). */
#ifndef EBB_KERNELS_BLOCK_HASH_H
#define EBB_KERNELS_BLOCK_HASH_H

#include <stddef.h>
#include <stdint.h>

#define EBB_BLOCK_HASH_SIZE 16

void ebb_block_hash(const void *data, size_t len, uint8_t out[EBB_BLOCK_HASH_SIZE]);
/* Of each block of `block_bytes` (> 0; the last may be shorter): hashes[i], as many as
 * ebb_block_count says. */
void ebb_block_hashes(const void *data, size_t len, size_t block_bytes,
                      uint8_t (*hashes)[EBB_BLOCK_HASH_SIZE]);
size_t ebb_block_count(size_t len, size_t block_bytes);
/* XXH3-64. */
uint64_t ebb_block_checksum(const void *data, size_t len);

#endif
