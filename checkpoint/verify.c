/* Verification without a disk: every pack's hash, every chunk's, every file's, both generations.
 *
 * Packs and their chunks first, each pack read once; then the files' hashes, for which the chunks
 * are fetched again in the file's order. A fault does not stop it: all faults are told. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/fetch.h"
#include "checkpoint/lineage_state.h"
#include "checkpoint/pack.h"

struct verify {
    struct ebb_lineage *l;
    void (*fn)(void *ctx, const char *fault);
    void *ctx;
    uint64_t bytes;
    uint64_t faults;
    struct ebb_map *packs; /* hex of those read -> "good" or "bad" */
};

static char good[] = "good", bad[] = "bad";

static void tell(struct verify *v, const char *fmt, ...) EBB_PRINTF(2, 3);
static void tell(struct verify *v, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    v->faults++;
    if (v->fn != NULL)
        v->fn(v->ctx, text);
}

/* 0 also when a fault was told; negative: the store failed. */
static int get(struct verify *v, const char *key, uint64_t offset, uint64_t len,
               struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_error why = {0};
    int rc = ebb_object_get(v->l->store, key, offset, len, (size_t)len, out, NULL, &why);
    if (rc == EBB_ERR_NOT_FOUND || rc == EBB_ERR_CORRUPT) {
        tell(v, "%s: %s", key, why.text);
        ebb_buffer_reset(out);
        return 0;
    }
    if (rc < 0 && err != NULL)
        ebb_error_copy(err, &why);
    v->bytes += out->len;
    return rc;
}

static int verify_pack(struct verify *v, const Ebb__Manifest *m, uint32_t index,
                       struct ebb_buffer *bytes, struct ebb_error *err)
{
    const Ebb__Pack *p = m->packs[index];
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_hex(p->sha256.data, EBB_SHA256_SIZE, hex);
    if (ebb_map_get(v->packs, hex) != NULL)
        return 0;
    EBB_AUTO_FREE char *key = ebb_pack_key(v->l->root, p->sha256.data);
    ebb_buffer_reset(bytes);
    int rc = get(v, key, 0, p->size_bytes, bytes, err);
    if (rc < 0)
        return rc;
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(bytes->data, bytes->len, sha);
    bool whole = bytes->len == p->size_bytes && memcmp(sha, p->sha256.data, sizeof sha) == 0;
    if (!whole && bytes->len > 0)
        tell(v, "%s: its bytes do not match its hash", key);
    ebb_map_set(v->packs, hex, whole ? good : bad);
    return 0;
}

static bool pack_is_good(struct verify *v, const Ebb__Manifest *m, uint32_t index)
{
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_hex(m->packs[index]->sha256.data, EBB_SHA256_SIZE, hex);
    return ebb_map_get(v->packs, hex) == good;
}

static bool packs_are_good(struct verify *v, const Ebb__Manifest *m, const Ebb__Chunk *c)
{
    bool are_good = true;
    for (; c != NULL; c = c->base_chunk)
        are_good = are_good && pack_is_good(v, m, c->pack);
    return are_good;
}

static int verify_file(struct verify *v, const Ebb__Manifest *m, const Ebb__FileEntry *f,
                       struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_sha256) struct ebb_sha256 *hash = ebb_sha256_new();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer raw = {0};
    for (size_t i = 0; i < f->n_chunks; i++) {
        const Ebb__Chunk *c = f->chunks[i];
        if (!packs_are_good(v, m, c)) {
            tell(v, "checkpoint %" PRIu64 ": %s: lost with its pack", m->sequence, f->path);
            return 0;
        }
        ebb_buffer_reset(&raw);
        struct ebb_error why = {0};
        int rc = ebb_fetch_chunk(v->l, m, c, &raw, &why);
        if (rc == EBB_ERR_NOT_FOUND || rc == EBB_ERR_CORRUPT || rc == EBB_ERR_UNSUPPORTED) {
            tell(v, "checkpoint %" PRIu64 ": %s: chunk %zu: %s", m->sequence, f->path, i, why.text);
            return 0;
        }
        if (rc < 0) {
            if (err != NULL)
                ebb_error_copy(err, &why);
            return rc;
        }
        v->bytes += c->stored_bytes;
        ebb_sha256_update(hash, raw.data, (size_t)c->raw_bytes);
    }
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256_final(hash, sha);
    const ProtobufCBinaryData *want = f->packed != NULL ? &f->packed->sha256 : &f->sha256;
    if (memcmp(sha, want->data, sizeof sha) != 0)
        tell(v, "checkpoint %" PRIu64 ": %s: the file does not match its hash", m->sequence,
             f->path);
    return 0;
}

static int verify_generation(struct verify *v, bool previous, struct ebb_error *err)
{
    struct ebb_generation g = ebb_head_generation(v->l->head, previous);
    if (g.sequence == 0)
        return 0;
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL;
    struct ebb_error why = {0};
    int rc = ebb_lineage_load_manifest(v->l, &g, &m, &why);
    if (rc == EBB_ERR_CORRUPT || rc == EBB_ERR_NOT_FOUND || rc == EBB_ERR_UNSUPPORTED) {
        tell(v, "checkpoint %" PRIu64 ": %s", g.sequence, why.text);
        return 0;
    }
    if (rc < 0 && err != NULL)
        ebb_error_copy(err, &why);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    for (uint32_t i = 0; rc == 0 && i < m->n_packs; i++)
        rc = verify_pack(v, m, i, &bytes, err);
    for (size_t i = 0; rc == 0 && i < m->n_files; i++)
        if (m->files[i]->kind != EBB__FILE_ENTRY__KIND__SYMLINK)
            rc = verify_file(v, m, m->files[i], err);
    return rc;
}

int ebb_lineage_verify(struct ebb_lineage *l, void (*fn)(void *ctx, const char *fault), void *ctx,
                       uint64_t *ret_bytes, struct ebb_error *err)
{
    struct verify v = {.l = l, .fn = fn, .ctx = ctx, .packs = ebb_map_new(NULL)};
    int rc = verify_generation(&v, false, err);
    if (rc == 0)
        rc = verify_generation(&v, true, err);
    ebb_map_destroy(v.packs);
    if (ret_bytes != NULL)
        *ret_bytes = v.bytes;
    if (rc == 0 && v.faults > 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: %" PRIu64 " faults", l->root, v.faults);
    return rc;
}
