/* What stands in the objects of a checkpoint repository: names, limits, encode, decode, check
 * (docs/format-checkpoint.md). Nothing here touches a store or a file; the decoders take bytes that
 * anybody may have written. */
#ifndef EBB_CHECKPOINT_FORMAT_H
#define EBB_CHECKPOINT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/manifest.pb-c.h"

#define EBB_FORMAT_VERSION 1u
/* required_features bits of a manifest: chunks that are parts of packed files (codec 2); bases of
 * another length than their chunk's; folders that belong to other ranks than 0 (last_rank). */
#define EBB_FEATURE_PARTS UINT64_C(1)
#define EBB_FEATURE_BASES UINT64_C(2)
#define EBB_FEATURE_RANKS UINT64_C(4)
/* Files that are unpacked from packed files. */
#define EBB_FEATURE_PACKED UINT64_C(8)
/* Those this program understands. */
#define EBB_FORMAT_FEATURES                                                                        \
    (EBB_FEATURE_PARTS | EBB_FEATURE_BASES | EBB_FEATURE_RANKS | EBB_FEATURE_PACKED)

#define EBB_HEAD_MAX_BYTES     (64u << 10)
#define EBB_MANIFEST_MAX_BYTES (64u << 20)
#define EBB_PACK_MAX_BYTES     (64u << 20)
#define EBB_CHUNK_MAX_BYTES    (16u << 20)
#define EBB_CHUNK_CHAIN_MAX    8u /* a chunk, its base, that one's base, ... */
#define EBB_PATH_MAX_BYTES     4000u
#define EBB_NONCE_SIZE         16u

/* A pack opens with the magic and the nonce of its writer's claim. */
#define EBB_PACK_MAGIC        "EBBPACK1"
#define EBB_PACK_HEADER_BYTES (8u + EBB_NONCE_SIZE)

/* PART: u32 codec of the part, little-endian, then its payload (docs/format-codecs.md). */
enum ebb_codec { EBB_CODEC_STORED = 0, EBB_CODEC_ZSTD = 1, EBB_CODEC_PART = 2 };

/* A manifest's identity, which makes its key. sequence 0: none. */
struct ebb_generation {
    uint64_t epoch;
    uint64_t sequence;
    uint8_t sha256[EBB_SHA256_SIZE];
};

struct ebb_generation ebb_head_generation(const Ebb__Head *head, bool previous);

/* Keys below the store, malloc'ed. */
char *ebb_head_key(const char *root);
char *ebb_manifest_key(const char *root, const struct ebb_generation *g);
char *ebb_pack_key(const char *root, const uint8_t sha256[EBB_SHA256_SIZE]);

/* Appends the whole object (magic, message, SHA-256). */
void ebb_head_encode(const Ebb__Head *head, struct ebb_buffer *out);
/* EBB_ERR_CORRUPT, or EBB_ERR_UNSUPPORTED for a later format. Freed with
 * ebb__head__free_unpacked. */
int ebb_head_decode(const void *data, size_t len, Ebb__Head **ret, struct ebb_error *err);
Ebb__Head *ebb_head_copy(const Ebb__Head *head);

void ebb_manifest_encode(const Ebb__Manifest *m, struct ebb_buffer *out);
/* Unpacks and checks (ebb_manifest_check). Freed with ebb__manifest__free_unpacked. */
int ebb_manifest_decode(const void *data, size_t len, Ebb__Manifest **ret, struct ebb_error *err);
/* Everything a restore relies on: format, hashes' sizes, paths contained and unique and none below
 * another entry, links contained, chunks inside their packs, sizes that add up. */
int ebb_manifest_check(const Ebb__Manifest *m, struct ebb_error *err);
/* 0 when a restore may create `path`, else EBB_ERR_INPUT that says why not. */
int ebb_manifest_check_path(const char *path, struct ebb_error *err);
/* True when a symbolic link at `path` to `target` stays below the root, whatever other links there
 * are. */
bool ebb_link_is_contained(const char *path, const char *target);

/* What one rank of a gang has of a manifest, under the names that it has there. */
void ebb_manifest_keep_rank(Ebb__Manifest *m, uint32_t rank);
#define EBB_RANKS_FOLDER "ranks/" /* ranks/<k>/... */

void ebb_head_free(Ebb__Head *head);
void ebb_manifest_free(Ebb__Manifest *m);
EBB_DEFINE_AUTO_PTR(ebb_auto_head, Ebb__Head, ebb_head_free)
EBB_DEFINE_AUTO_PTR(ebb_auto_manifest, Ebb__Manifest, ebb_manifest_free)
EBB_DEFINE_AUTO_PTR(ebb_auto_sha256, struct ebb_sha256, ebb_sha256_destroy)

#endif
