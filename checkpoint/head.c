/* The head object: magic, protobuf message, SHA-256 of both.
 *
 * It is the one object whose name says nothing about its content, so it carries its own hash: a
 * head with a flipped bit is refused, never followed. */
#include <string.h>

#include "base/memory.h"
#include "checkpoint/format.h"
#include "proto/decode.h"

#define HEAD_MAGIC      "EBBHEAD1"
#define HEAD_MAGIC_SIZE 8u

void ebb_head_free(Ebb__Head *head)
{
    if (head != NULL)
        ebb__head__free_unpacked(head, NULL);
}

struct ebb_generation ebb_head_generation(const Ebb__Head *head, bool previous)
{
    struct ebb_generation g = {0};
    if (head == NULL)
        return g;
    const ProtobufCBinaryData *sha =
        previous ? &head->previous_manifest_sha256 : &head->manifest_sha256;
    if (sha->len != EBB_SHA256_SIZE)
        return g;
    g.epoch = previous ? head->previous_epoch : head->manifest_epoch;
    g.sequence = previous ? head->previous_sequence : head->sequence;
    memcpy(g.sha256, sha->data, EBB_SHA256_SIZE);
    return g;
}

char *ebb_head_key(const char *root)
{
    return ebb_sprintf("%s/head", root);
}

char *ebb_manifest_key(const char *root, const struct ebb_generation *g)
{
    char hex[EBB_SHA256_HEX_SIZE];
    return ebb_sprintf("%s/manifests/%08llu-%010llu-%s", root, (unsigned long long)g->epoch,
                       (unsigned long long)g->sequence, ebb_hex(g->sha256, EBB_SHA256_SIZE, hex));
}

char *ebb_pack_key(const char *root, const uint8_t sha256[EBB_SHA256_SIZE])
{
    char hex[EBB_SHA256_HEX_SIZE];
    return ebb_sprintf("%s/packs/%s", root, ebb_hex(sha256, EBB_SHA256_SIZE, hex));
}

void ebb_head_encode(const Ebb__Head *head, struct ebb_buffer *out)
{
    size_t start = out->len;
    size_t len = ebb__head__get_packed_size(head);
    ebb_buffer_append(out, HEAD_MAGIC, HEAD_MAGIC_SIZE);
    ebb_buffer_reserve(out, len + EBB_SHA256_SIZE);
    out->len += ebb__head__pack(head, out->data + out->len);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(out->data + start, out->len - start, sha);
    ebb_buffer_append(out, sha, sizeof sha);
}

static bool is_hash_or_empty(const ProtobufCBinaryData *b, bool present)
{
    return b->len == (present ? EBB_SHA256_SIZE : 0);
}

static int check_head(const Ebb__Head *h, struct ebb_error *err)
{
    if (h->format != EBB_FORMAT_VERSION)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "head has format %u; this program reads format %u: use a later ebb",
                             h->format, EBB_FORMAT_VERSION);
    if ((h->required_features & ~EBB_FORMAT_FEATURES) != 0)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "head needs features 0x%llx that this program lacks: use a later ebb",
                             (unsigned long long)(h->required_features & ~EBB_FORMAT_FEATURES));
    const char *fault = NULL;
    if (h->epoch == 0 || h->nonce.len != EBB_NONCE_SIZE)
        fault = "no epoch or nonce";
    else if (h->previous_head_sha256.len != 0 && h->previous_head_sha256.len != EBB_SHA256_SIZE)
        fault = "a hash of the wrong size";
    else if (!is_hash_or_empty(&h->manifest_sha256, h->sequence > 0) ||
             !is_hash_or_empty(&h->previous_manifest_sha256, h->previous_sequence > 0))
        fault = "a sequence without its manifest";
    else if (h->manifest_epoch > h->epoch || h->previous_epoch > h->epoch ||
             (h->sequence > 0 && h->previous_sequence >= h->sequence))
        fault = "generations out of order";
    else if (h->final && h->sequence == 0)
        fault = "final without a manifest";
    if (fault != NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "head is damaged: %s", fault);
    return 0;
}

int ebb_head_decode(const void *data, size_t len, Ebb__Head **ret, struct ebb_error *err)
{
    if (len < HEAD_MAGIC_SIZE + EBB_SHA256_SIZE || len > EBB_HEAD_MAX_BYTES ||
        memcmp(data, HEAD_MAGIC, HEAD_MAGIC_SIZE) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "head is damaged: it does not begin as one");
    const uint8_t *bytes = data;
    size_t body = len - EBB_SHA256_SIZE;
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(bytes, body, sha);
    if (memcmp(sha, bytes + body, sizeof sha) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "head is damaged: its hash does not match");
    EBB_AUTO(ebb_auto_head)
    Ebb__Head *head =
        ebb_message_decode(&ebb__head__descriptor, bytes + HEAD_MAGIC_SIZE, body - HEAD_MAGIC_SIZE);
    if (head == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "head is damaged: no protobuf message");
    int rc = check_head(head, err);
    if (rc < 0)
        return rc;
    *ret = EBB_TAKE(head);
    return 0;
}

Ebb__Head *ebb_head_copy(const Ebb__Head *head)
{
    size_t len = ebb__head__get_packed_size(head);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(len + 1);
    return ebb__head__unpack(NULL, ebb__head__pack(head, bytes), bytes);
}
