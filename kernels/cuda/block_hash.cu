/* XXH3-128 of each block (kernels/block_hash.h is the reference: the library itself).
 *
 * A warp takes a block. Within 1,024 bytes the sixteen stripes only add to the eight accumulators,
 * so two lanes take a stripe each time, four accumulators a lane, and the sums meet by shuffles;
 * the scramble between keeps the order. Loads are 32 bytes a lane. Blocks of 240 bytes and less
 * follow other rules, and one lane does them. */
#include "kernels/arguments.h"
#include "kernels/cuda/launch.h"
#include "kernels/ebb_kernels.h"

namespace
{
enum { THREADS = 256, STRIPE = 64, ROUND = 1024, FULL = 0xffffffffu };
typedef unsigned long long u64;

constexpr u64 P32_1 = 0x9e3779b1u, P32_2 = 0x85ebca77u, P32_3 = 0xc2b2ae3du;
constexpr u64 P64_1 = 0x9e3779b185ebca87ull, P64_2 = 0xc2b2ae3d27d4eb4full,
              P64_3 = 0x165667b19e3779f9ull, P64_4 = 0x85ebca77c2b2ae63ull,
              P64_5 = 0x27d4eb2f165667c5ull;

/* The default secret of XXH3, as little-endian words. */
#ifdef EBB_CUDA_ON_CPU
const u64 secret_words[24] = {
#else
__constant__ u64 secret_words[24] = {
#endif
    0xbe4ba423396cfeb8ull, 0x1cad21f72c81017cull, 0xdb979083e96dd4deull, 0x1f67b3b7a4a44072ull,
    0x78e5c0cc4ee679cbull, 0x2172ffcc7dd05a82ull, 0x8e2443f7744608b8ull, 0x4c263a81e69035e0ull,
    0xcb00c391bb52283cull, 0xa32e531b8b65d088ull, 0x4ef90da297486471ull, 0xd8acdea946ef1938ull,
    0x3f349ce33f76faa8ull, 0x1d4f0bc7c7bbdcf9ull, 0x3159b4cd4be0518aull, 0x647378d9c97e9fc8ull,
    0xc3ebd33483acc5eaull, 0xeb6313faffa081c5ull, 0x49daf0b751dd0d17ull, 0x9e68d429265516d3ull,
    0xfca1477d58be162bull, 0xce31d07ad1b8f88full, 0x280416958f3acb45ull, 0x7e404bbbcafbd7afull,
};

__device__ u64 read_bytes(const uint8_t *at, int count)
{
    u64 v = 0;
    for (int i = 0; i < count; i++)
        v |= (u64)at[i] << (8 * i);
    return v;
}

/* The eight bytes of the secret from any byte on. */
__device__ __forceinline__ u64 secret(uint32_t at)
{
    uint32_t shift = 8 * (at % 8);
    u64 w = secret_words[at / 8];
    return shift == 0 ? w : w >> shift | secret_words[at / 8 + 1] << (64 - shift);
}

__device__ __forceinline__ u64 fold(u64 a, u64 b)
{
    return (a * b) ^ __umul64hi(a, b);
}

__device__ __forceinline__ u64 avalanche(u64 h)
{
    h ^= h >> 37;
    h *= 0x165667919e3779f9ull;
    return h ^ h >> 32;
}

__device__ u64 avalanche_64(u64 h)
{
    h = (h ^ h >> 33) * P64_2;
    h = (h ^ h >> 29) * P64_3;
    return h ^ h >> 32;
}

__device__ u64 swapped(u64 v)
{
    u64 out = 0;
    for (int i = 0; i < 8; i++)
        out = out << 8 | (v >> (8 * i) & 255);
    return out;
}

struct hash {
    u64 low, high;
};

__device__ u64 mix_16(const uint8_t *at, uint32_t key)
{
    return fold(read_bytes(at, 8) ^ secret(key), read_bytes(at + 8, 8) ^ secret(key + 8));
}

__device__ void mix_32(struct hash *h, const uint8_t *a, const uint8_t *b, uint32_t key)
{
    h->low += mix_16(a, key);
    h->low ^= read_bytes(b, 8) + read_bytes(b + 8, 8);
    h->high += mix_16(b, key + 16);
    h->high ^= read_bytes(a, 8) + read_bytes(a + 8, 8);
}

__device__ struct hash finish_mixed(struct hash h, u64 len)
{
    struct hash out = {avalanche(h.low + h.high),
                       0 - avalanche(h.low * P64_1 + h.high * P64_4 + len * P64_2)};
    return out;
}

__device__ struct hash of_16(const uint8_t *at, uint32_t len)
{
    struct hash h;
    if (len == 0) {
        h.low = avalanche_64(secret(64) ^ secret(72));
        h.high = avalanche_64(secret(80) ^ secret(88));
    } else if (len < 4) {
        uint32_t low =
            (uint32_t)at[0] << 16 | (uint32_t)at[len >> 1] << 24 | at[len - 1] | len << 8;
        uint32_t turned = (uint32_t)(swapped(low) >> 32), high = turned << 13 | turned >> 19;
        h.low = avalanche_64(low ^ (secret(0) & 0xffffffffu) ^ (secret(4) & 0xffffffffu));
        h.high = avalanche_64(high ^ (secret(8) & 0xffffffffu) ^ (secret(12) & 0xffffffffu));
    } else if (len <= 8) {
        u64 both = read_bytes(at, 4) | read_bytes(at + len - 4, 4) << 32;
        u64 keyed = both ^ secret(16) ^ secret(24), times = P64_1 + (len << 2);
        u64 low = keyed * times, high = __umul64hi(keyed, times);
        high += low << 1;
        low ^= high >> 3;
        low = (low ^ low >> 35) * 0x9fb21c651e98df25ull;
        h.low = low ^ low >> 28;
        h.high = avalanche(high);
    } else {
        u64 first = read_bytes(at, 8), last = read_bytes(at + len - 8, 8);
        u64 keyed = first ^ last ^ secret(32) ^ secret(40);
        u64 low = keyed * P64_1 + ((u64)(len - 1) << 54), high = __umul64hi(keyed, P64_1);
        last ^= secret(48) ^ secret(56);
        high += last + (last & 0xffffffffu) * (P32_2 - 1);
        low ^= swapped(high);
        h.low = avalanche(low * P64_2);
        h.high = avalanche(__umul64hi(low, P64_2) + high * P64_2);
    }
    return h;
}

__device__ struct hash of_240(const uint8_t *at, uint32_t len)
{
    struct hash h = {len * P64_1, 0};
    if (len <= 16)
        return of_16(at, len);
    if (len <= 128) {
        for (int i = (int)(len - 1) / 32; i >= 0; i--)
            mix_32(&h, at + 16 * i, at + len - 16 * (i + 1), (uint32_t)(32 * i));
        return finish_mixed(h, len);
    }
    for (uint32_t i = 0; i < len / 32; i++) {
        if (i == 4) {
            h.low = avalanche(h.low);
            h.high = avalanche(h.high);
        }
        mix_32(&h, at + 32 * i, at + 32 * i + 16, i < 4 ? 32 * i : 3 + 32 * (i - 4));
    }
    if (len / 32 == 4) {
        h.low = avalanche(h.low);
        h.high = avalanche(h.high);
    }
    mix_32(&h, at + len - 16, at + len - 32, 136 - 17 - 16);
    return finish_mixed(h, len);
}

/* Four accumulators of one stripe half: lane's `half` 0 has accumulators 0 to 3. */
__device__ __forceinline__ void add_half(u64 sums[4], const u64 data[4], uint32_t key)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        u64 keyed = data[i] ^ secret(key + 8 * (uint32_t)i);
        sums[i ^ 1] += data[i];
        sums[i] += (keyed & 0xffffffffu) * (keyed >> 32);
    }
}

/* Sums of all lanes with the same half, in each of them. */
__device__ __forceinline__ void meet(u64 sums[4])
{
#pragma unroll
    for (int with = 2; with < 32; with *= 2) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[i] += __shfl_xor_sync(FULL, sums[i], with);
    }
}

__device__ u64 merge(const u64 acc[8], uint32_t key, u64 start)
{
    for (uint32_t i = 0; i < 4; i++)
        start += fold(acc[2 * i] ^ secret(key + 16 * i), acc[2 * i + 1] ^ secret(key + 16 * i + 8));
    return avalanche(start);
}

/* More than 240 bytes, by a warp; every lane has the hash. `at` is aligned to 16. */
__device__ struct hash of_long(const uint8_t *at, size_t len)
{
    uint32_t lane = threadIdx.x % 32, half = lane % 2, stripe = lane / 2;
    u64 acc[4];
    acc[0] = half ? P64_4 : P32_3;
    acc[1] = half ? P32_2 : P64_1;
    acc[2] = half ? P64_5 : P64_2;
    acc[3] = half ? P32_1 : P64_3;
    size_t rounds = (len - 1) / ROUND, stripes = (len - 1 - rounds * ROUND) / STRIPE;
    for (size_t r = 0; r <= rounds; r++) {
        u64 sums[4] = {0, 0, 0, 0};
        if (r < rounds || stripe < stripes) {
            const ulonglong2 *from =
                (const ulonglong2 *)(const void *)(at + r * ROUND + stripe * STRIPE + 32 * half);
            ulonglong2 a = from[0], b = from[1];
            u64 data[4] = {a.x, a.y, b.x, b.y};
            add_half(sums, data, 8 * stripe + 32 * half);
        }
        meet(sums);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            acc[i] += sums[i];
            if (r < rounds)
                acc[i] =
                    (acc[i] ^ acc[i] >> 47 ^ secret(128 + 32 * half + 8 * (uint32_t)i)) * P32_1;
        }
    }
    u64 data[4], sums[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++)
        data[i] = read_bytes(at + len - STRIPE + 32 * half + 8 * i, 8);
    add_half(sums, data, 121 + 32 * half);
    u64 all[8];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        acc[i] += sums[i];
        u64 other = __shfl_xor_sync(FULL, acc[i], 1);
        all[i] = half ? other : acc[i];
        all[4 + i] = half ? acc[i] : other;
    }
    struct hash h = {merge(all, 11, len * P64_1), merge(all, 192 - 64 - 11, ~(len * P64_2))};
    return h;
}

__global__ void __launch_bounds__(THREADS)
    hash_blocks(const uint8_t *data, size_t len, size_t block_bytes, size_t blocks, uint8_t *hashes)
{
    size_t block = (size_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    if (block >= blocks) /* a whole warp */
        return;
    const uint8_t *at = data + block * block_bytes;
    size_t left = len - block * block_bytes, count = left < block_bytes ? left : block_bytes;
    struct hash h = {0, 0};
    EBB_USUAL(count > 240);
    if (count > 240)
        h = of_long(at, count);
    else if (threadIdx.x % 32 == 0)
        h = of_240(at, (uint32_t)count);
    if (threadIdx.x % 32 == 0) {
        for (int i = 0; i < 8; i++) { /* the canonical form is big-endian */
            hashes[16 * block + (size_t)i] = (uint8_t)(h.high >> (56 - 8 * i));
            hashes[16 * block + 8 + (size_t)i] = (uint8_t)(h.low >> (56 - 8 * i));
        }
    }
}
} // namespace

int ebb_kernels_block_hash(const void *data, size_t len, size_t block_bytes, void *hashes,
                           void *stream)
{
    if (!ebb_arguments_block_hash(data, len, block_bytes, hashes))
        return EBB_KERNELS_MISUSE;
    size_t blocks = len / block_bytes + (len % block_bytes != 0);
    if (blocks == 0)
        return 0;
    EBB_LAUNCH(hash_blocks, ebb_grid(blocks, THREADS / 32), THREADS, stream, (const uint8_t *)data,
               len, block_bytes, blocks, (uint8_t *)hashes);
    return ebb_launched();
}
