/* Manifests: encode, decode, and the check that stands between stored bytes and a restore.
 *
 * A manifest is named by the hash of its bytes, so what this check refuses was either written by
 * another program or is an attack; either way nothing outside the restore's directory may be
 * touched and no arithmetic may wrap. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/format.h"
#include "proto/decode.h"

void ebb_manifest_free(Ebb__Manifest *m)
{
    if (m != NULL)
        ebb__manifest__free_unpacked(m, NULL);
}

void ebb_manifest_encode(const Ebb__Manifest *m, struct ebb_buffer *out)
{
    size_t len = ebb__manifest__get_packed_size(m);
    ebb_buffer_reserve(out, len);
    out->len += ebb__manifest__pack(m, out->data + out->len);
}

static int damaged(struct ebb_error *err, const char *path, const char *fault)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "manifest is damaged: %.200s: %s", path, fault);
}

static bool is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != '\0') {
        unsigned extra = *s < 0x80                 ? 0
                         : *s >= 0xc2 && *s < 0xe0 ? 1
                         : *s >= 0xe0 && *s < 0xf0 ? 2
                                                   : 3;
        if (*s >= 0x80 && (*s < 0xc2 || *s > 0xf4))
            return false;
        if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
            (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
            return false;
        for (s++; extra > 0; extra--, s++)
            if ((*s & 0xc0) != 0x80)
                return false;
    }
    return true;
}

int ebb_manifest_check_path(const char *path, struct ebb_error *err)
{
    size_t len = strlen(path);
    const char *fault = NULL;
    if (len == 0 || len > EBB_PATH_MAX_BYTES)
        fault = "the path is empty or too long";
    else if (!ebb_path_is_contained(path))
        fault = "the path leaves its directory";
    else if (!is_utf8(path))
        fault = "the path is not UTF-8";
    for (const char *p = path; fault == NULL && p != NULL;) {
        size_t part = strcspn(p, "/");
        if (part == 0 || part > 255 || (part == 1 && p[0] == '.'))
            fault = "the path has an empty, a \".\" or an overlong part";
        p = p[part] == '/' ? p + part + 1 : NULL;
    }
    if (fault != NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "%.200s: %s", path, fault);
    return 0;
}

bool ebb_link_is_contained(const char *path, const char *target)
{
    size_t len = strlen(target);
    if (len == 0 || len > EBB_PATH_MAX_BYTES || target[0] == '/' || !is_utf8(target))
        return false;
    size_t depth = 0;
    for (const char *p = path; (p = strchr(p, '/')) != NULL; p++)
        depth++;
    /* ".." counts only where real folders are sure to be: after a name, which may be another link,
     * it could lead anywhere. */
    bool may_climb = true;
    for (const char *p = target; p != NULL;) {
        size_t part = strcspn(p, "/");
        bool is_here = part == 0 || (part == 1 && p[0] == '.');
        bool climbs = part == 2 && p[0] == '.' && p[1] == '.';
        if (climbs && (!may_climb || depth-- == 0))
            return false;
        may_climb = may_climb && (is_here || climbs);
        p = p[part] == '/' ? p + part + 1 : NULL;
    }
    return true;
}

static int check_chunk(const Ebb__Manifest *m, const Ebb__FileEntry *f, const Ebb__Chunk *c,
                       struct ebb_error *err)
{
    if (c->pack >= m->n_packs)
        return damaged(err, f->path, "a chunk in a pack that is not listed");
    uint64_t pack_bytes = m->packs[c->pack]->size_bytes;
    if (c->raw_bytes == 0 || c->raw_bytes > EBB_CHUNK_MAX_BYTES || c->stored_bytes == 0 ||
        c->sha256.len != EBB_SHA256_SIZE)
        return damaged(err, f->path, "a chunk of an impossible size");
    if (c->offset < EBB_PACK_HEADER_BYTES || c->offset > pack_bytes ||
        c->stored_bytes > pack_bytes - c->offset)
        return damaged(err, f->path, "a chunk outside its pack");
    if (c->codec == EBB_CODEC_PART && (m->required_features & EBB_FEATURE_PARTS) == 0)
        return damaged(err, f->path, "a chunk by a codec that its features leave out");
    if (c->codec > EBB_CODEC_PART)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "manifest: %.200s: a chunk with codec %u: use a later ebb", f->path,
                             c->codec);
    if (c->codec == EBB_CODEC_STORED && c->stored_bytes != c->raw_bytes)
        return damaged(err, f->path, "a stored chunk whose sizes differ");
    return 0;
}

static int check_packed(const Ebb__Manifest *m, const Ebb__FileEntry *f, struct ebb_error *err)
{
    const Ebb__Packed *p = f->packed;
    if (p == NULL)
        return 0;
    if ((m->required_features & EBB_FEATURE_PACKED) == 0)
        return damaged(err, f->path, "a packed file that its features leave out");
    if (p->sha256.len != EBB_SHA256_SIZE || p->source_sha256.len != EBB_SHA256_SIZE ||
        !isfinite(p->error) || p->error <= 0 || strlen(p->unit) > 3)
        return damaged(err, f->path, "a packed file without hashes or bound");
    return 0;
}

static int check_chunks(const Ebb__Manifest *m, const Ebb__FileEntry *f, struct ebb_error *err)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        unsigned length = 0;
        for (const Ebb__Chunk *c = f->chunks[i]; c != NULL; c = c->base_chunk) {
            int rc = check_chunk(m, f, c, err);
            if (rc < 0)
                return rc;
            bool any_length = (m->required_features & EBB_FEATURE_BASES) != 0;
            if (c->base_chunk != NULL &&
                (c->codec != EBB_CODEC_PART ||
                 (!any_length && c->base_chunk->raw_bytes != c->raw_bytes)))
                return damaged(err, f->path, "a chunk with a base that is not its own");
            if (++length > EBB_CHUNK_CHAIN_MAX)
                return damaged(err, f->path, "a chain of bases that is too long");
        }
        sum += f->chunks[i]->raw_bytes; /* no wrap: counts and sizes are bounded */
    }
    if (sum != (f->packed != NULL ? f->packed->size_bytes : f->size_bytes))
        return damaged(err, f->path, "chunks that do not add up to the file's size");
    return 0;
}

static int check_file(const Ebb__Manifest *m, const Ebb__FileEntry *f, struct ebb_error *err)
{
    struct ebb_error why;
    if (ebb_manifest_check_path(f->path, &why) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "manifest is damaged: %s", why.text);
    if ((f->mode & ~07777u) != 0)
        return damaged(err, f->path, "an impossible mode");
    switch (f->kind) {
    case EBB__FILE_ENTRY__KIND__SYMLINK:
        if (f->n_chunks != 0 || f->size_bytes != 0 || f->sha256.len != 0)
            return damaged(err, f->path, "a link with content");
        if (f->packed != NULL)
            return damaged(err, f->path, "a link that is packed");
        if (!ebb_link_is_contained(f->path, f->link_target))
            return damaged(err, f->path, "a link that leaves its directory");
        return 0;
    case EBB__FILE_ENTRY__KIND__STATIC:
    case EBB__FILE_ENTRY__KIND__STATE:
    case EBB__FILE_ENTRY__KIND__APPEND:
    case EBB__FILE_ENTRY__KIND__OUTPUT:
        if (f->link_target[0] != '\0' || f->sha256.len != EBB_SHA256_SIZE)
            return damaged(err, f->path, "a file without its hash, or with a link's target");
        return check_packed(m, f, err) < 0 ? EBB_ERR_CORRUPT : check_chunks(m, f, err);
    default:
        return damaged(err, f->path, "a kind that does not exist");
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In byte order "a" < "a-b" < "a/b": a parent need not be its child's neighbour, so each proper
 * prefix that ends at a '/' is looked up. */
static int check_paths_distinct(const Ebb__Manifest *m, struct ebb_error *err)
{
    EBB_AUTO_FREE const char **paths = ebb_alloc_array(m->n_files + 1, sizeof *paths);
    for (size_t i = 0; i < m->n_files; i++)
        paths[i] = m->files[i]->path;
    qsort(paths, m->n_files, sizeof *paths, by_path);
    for (size_t i = 0; i < m->n_files; i++) {
        if (i > 0 && strcmp(paths[i - 1], paths[i]) == 0)
            return damaged(err, paths[i], "the path is there twice");
        char parent[EBB_PATH_MAX_BYTES + 1];
        for (const char *p = paths[i]; (p = strchr(p, '/')) != NULL; p++) {
            memcpy(parent, paths[i], (size_t)(p - paths[i]));
            parent[p - paths[i]] = '\0';
            const char *key = parent;
            if (bsearch(&key, paths, m->n_files, sizeof *paths, by_path) != NULL)
                return damaged(err, paths[i], "another entry is its directory");
        }
    }
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    const Ebb__Pack *const *x = a, *const *y = b;
    return memcmp((*x)->sha256.data, (*y)->sha256.data, EBB_SHA256_SIZE);
}

static int check_packs(const Ebb__Manifest *m, struct ebb_error *err)
{
    EBB_AUTO_FREE const Ebb__Pack **packs = ebb_alloc_array(m->n_packs + 1, sizeof *packs);
    for (size_t i = 0; i < m->n_packs; i++) {
        packs[i] = m->packs[i];
        if (packs[i]->sha256.len != EBB_SHA256_SIZE || packs[i]->size_bytes > EBB_PACK_MAX_BYTES ||
            packs[i]->size_bytes <= EBB_PACK_HEADER_BYTES)
            return damaged(err, "a pack", "its hash or size is impossible");
    }
    qsort(packs, m->n_packs, sizeof *packs, by_hash);
    for (size_t i = 1; i < m->n_packs; i++)
        if (by_hash(&packs[i - 1], &packs[i]) == 0)
            return damaged(err, "a pack", "it is there twice");
    return 0;
}

int ebb_manifest_check(const Ebb__Manifest *m, struct ebb_error *err)
{
    if (m->format != EBB_FORMAT_VERSION)
        return ebb_error_set(
            err, EBB_ERR_UNSUPPORTED,
            "manifest has format %u; this program reads format %u: use a later ebb", m->format,
            EBB_FORMAT_VERSION);
    if ((m->required_features & ~EBB_FORMAT_FEATURES) != 0)
        return ebb_error_set(
            err, EBB_ERR_UNSUPPORTED,
            "manifest needs features 0x%llx that this program lacks: use a later ebb",
            (unsigned long long)(m->required_features & ~EBB_FORMAT_FEATURES));
    if (m->epoch == 0 || m->sequence == 0 || !isfinite(m->run_s) || m->run_s < 0)
        return damaged(err, "header", "no epoch, no sequence, or an impossible run time");
    int rc = check_packs(m, err);
    for (size_t i = 0; rc == 0 && i < m->n_files; i++)
        rc = check_file(m, m->files[i], err);
    return rc < 0 ? rc : check_paths_distinct(m, err);
}

int ebb_manifest_decode(const void *data, size_t len, Ebb__Manifest **ret, struct ebb_error *err)
{
    if (len > EBB_MANIFEST_MAX_BYTES)
        return damaged(err, "header", "it is too large");
    EBB_AUTO(ebb_auto_manifest)
    Ebb__Manifest *m = ebb_message_decode(&ebb__manifest__descriptor, data, len);
    if (m == NULL)
        return damaged(err, "header", "no protobuf message");
    int rc = ebb_manifest_check(m, err);
    if (rc < 0)
        return rc;
    *ret = EBB_TAKE(m);
    return 0;
}
