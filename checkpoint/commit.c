/* A commit: scan, upload, manifest, head, in this order, so that what the head reaches is always
 * there. Until the head's put is taken nothing that a reader sees has changed, and a crash leaves
 * only garbage that nothing reaches. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "checkpoint/file_scan.h"
#include "checkpoint/lineage_state.h"
#include "checkpoint/packed_output.h"
#include "checkpoint/upload.h"

enum { DEFAULT_THREADS = 4, SCANS_MAX = 4 };

struct commit {
    struct ebb_lineage *l;
    const struct ebb_commit_request *q;
    struct ebb_commit_stats stats;
    struct ebb_source *sources;
    struct ebb_upload upload;
    bool is_part;          /* of a member: no head */
    Ebb__Manifest **parts; /* of other ranks, as q->parts names them */
    Ebb__Manifest *manifest;
    struct ebb_generation generation;
};

static void clean_up(struct commit *c)
{
    ebb_upload_clean_up(&c->upload);
    for (size_t i = 0; c->sources != NULL && i < c->q->file_count; i++)
        ebb_source_clean_up(&c->sources[i]);
    free(c->sources);
    for (size_t i = 0; c->parts != NULL && i < c->q->part_count; i++)
        ebb_manifest_free(c->parts[i]);
    free(c->parts);
    ebb_manifest_free(c->manifest);
}

static int check_deadline(const struct commit *c, const char *next, struct ebb_error *err)
{
    if (c->q->deadline_ns == 0 || ebb_now_ns(NULL) <= c->q->deadline_ns)
        return 0;
    return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: no time left for the %s", c->l->root, next);
}

static int scan(struct commit *c, struct ebb_error *err)
{
    struct ebb_map *entries = ebb_map_new(NULL);
    const Ebb__Manifest *base = c->l->base;
    for (size_t i = 0; base != NULL && i < base->n_files; i++)
        ebb_map_set(entries, base->files[i]->path, base->files[i]);
    c->sources = ebb_alloc_array(c->q->file_count + 1, sizeof *c->sources);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->q->file_count; i++) {
        if (i % 64 == 0)
            rc = check_deadline(c, "files", err);
        if (rc == 0)
            rc = ebb_source_scan(c->l, c->q->directory, &c->q->files[i], entries, &c->sources[i],
                                 &c->stats.read_bytes, err);
        c->stats.raw_bytes += c->sources[i].length_bytes;
    }
    ebb_map_destroy(entries);
    return rc;
}

static int upload(struct commit *c, struct ebb_error *err)
{
    struct ebb_chunk_index *index = ebb_chunk_index_new(c->l->base);
    c->upload = (struct ebb_upload){
        .lineage = c->l,
        .sources = c->sources,
        .source_count = c->q->file_count,
        .index = index,
        .threads = c->q->threads != 0 ? c->q->threads : DEFAULT_THREADS,
        .verify_sample = c->q->verify_sample,
        .deltas = c->q->deltas,
        .deadline_ns = c->q->deadline_ns,
    };
    int rc = ebb_upload_run(&c->upload, err);
    ebb_chunk_index_destroy(index);
    c->stats.read_bytes += c->upload.read_bytes;
    c->stats.sent_bytes += c->upload.sent_bytes;
    return rc;
}

/* ---- the manifest; allocated so that ebb__manifest__free_unpacked frees it ---- */

static void set_bytes(ProtobufCBinaryData *to, const uint8_t *bytes, size_t len)
{
    to->data = ebb_memdup(bytes, len);
    to->len = len;
}

/* Numbers of packs in the new manifest; packs of the base and new ones get one when first used. */
struct pack_numbers {
    int64_t *of_base; /* what is taken over is of this one, */
    const Ebb__Manifest *base;
    int64_t *of_new;
    struct ebb_map *by_hash; /* hex -> number + 1 */
};

static uint32_t number_pack(Ebb__Manifest *m, struct pack_numbers *n, int64_t *number,
                            const uint8_t *sha256, uint64_t size_bytes)
{
    if (*number >= 0)
        return (uint32_t)*number;
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_hex(sha256, EBB_SHA256_SIZE, hex);
    uintptr_t known = (uintptr_t)ebb_map_get(n->by_hash, hex);
    if (known == 0) {
        if ((m->n_packs & (m->n_packs - 1)) == 0)
            m->packs =
                ebb_realloc_array(m->packs, m->n_packs == 0 ? 1 : 2 * m->n_packs, sizeof *m->packs);
        Ebb__Pack *p = ebb_alloc(sizeof *p);
        ebb__pack__init(p);
        set_bytes(&p->sha256, sha256, EBB_SHA256_SIZE);
        p->size_bytes = size_bytes;
        m->packs[m->n_packs++] = p;
        known = m->n_packs;
        ebb_map_set(n->by_hash, hex, (void *)known);
    }
    *number = (int64_t)known - 1;
    return (uint32_t)*number;
}

static Ebb__Chunk *take_over(struct commit *c, struct pack_numbers *n, const Ebb__Chunk *old)
{
    const Ebb__Pack *p = n->base->packs[old->pack];
    Ebb__Chunk *chunk = ebb_alloc(sizeof *chunk);
    *chunk = *old;
    chunk->base.n_unknown_fields = 0;
    chunk->base.unknown_fields = NULL;
    set_bytes(&chunk->sha256, old->sha256.data, old->sha256.len);
    chunk->pack =
        number_pack(c->manifest, n, &n->of_base[old->pack], p->sha256.data, p->size_bytes);
    chunk->base_chunk = old->base_chunk != NULL ? take_over(c, n, old->base_chunk) : NULL;
    return chunk;
}

static Ebb__Chunk *chunk_of(struct commit *c, struct pack_numbers *n,
                            const struct ebb_new_chunks *from, size_t k);

/* What a new chunk is packed against: of the base manifest, or new too. */
static Ebb__Chunk *base_of(struct commit *c, struct pack_numbers *n, const struct ebb_new_base *b)
{
    return b->known != NULL ? take_over(c, n, b->known)
           : b->is_new      ? chunk_of(c, n, &c->upload.new_chunks[b->source], b->number)
                            : NULL;
}

static Ebb__Chunk *new_chunk(struct commit *c, struct pack_numbers *n,
                             const struct ebb_chunk_record *r, const struct ebb_new_base *base)
{
    const struct ebb_new_pack *p = &c->upload.packs[r->pack];
    Ebb__Chunk *chunk = ebb_alloc(sizeof *chunk);
    ebb__chunk__init(chunk);
    chunk->pack = number_pack(c->manifest, n, &n->of_new[r->pack], p->sha256, p->size_bytes);
    chunk->offset = r->offset;
    chunk->stored_bytes = r->stored_bytes;
    chunk->raw_bytes = r->raw_bytes;
    chunk->codec = r->codec;
    set_bytes(&chunk->sha256, r->sha256, EBB_SHA256_SIZE);
    chunk->base_chunk = base_of(c, n, base);
    return chunk;
}

static Ebb__Chunk *chunk_of(struct commit *c, struct pack_numbers *n,
                            const struct ebb_new_chunks *from, size_t k)
{
    return from->known[k] != NULL ? take_over(c, n, from->known[k])
                                  : new_chunk(c, n, &from->chunks[k], &from->base[k]);
}

/* The chunks are a packed file: the entry speaks of what it unpacks to. */
static void set_packed(Ebb__FileEntry *f, const struct ebb_packed_output *o)
{
    Ebb__Packed *p = ebb_alloc(sizeof *p);
    ebb__packed__init(p);
    p->size_bytes = f->size_bytes;
    p->sha256 = f->sha256;
    p->error = o->error;
    p->unit = ebb_strdup(o->unit);
    p->source_bytes = o->source_bytes;
    set_bytes(&p->source_sha256, o->source_sha256, EBB_SHA256_SIZE);
    f->packed = p;
    f->size_bytes = o->size_bytes;
    set_bytes(&f->sha256, o->sha256, EBB_SHA256_SIZE);
    f->mode = o->mode;
    f->mtime_ns = o->mtime_ns;
}

static Ebb__FileEntry *build_entry(struct commit *c, struct pack_numbers *n, size_t i)
{
    const struct ebb_source *s = &c->sources[i];
    const struct ebb_new_chunks *new = &c->upload.new_chunks[i];
    Ebb__FileEntry *f = ebb_alloc(sizeof *f);
    ebb__file_entry__init(f);
    f->path = ebb_strdup(s->want->path);
    f->kind = s->want->kind;
    f->mode = s->mode;
    f->mtime_ns = s->stamp.mtime_ns;
    if (f->kind == EBB__FILE_ENTRY__KIND__SYMLINK) {
        f->link_target = ebb_strdup(s->link_target);
        return f;
    }
    f->size_bytes = s->length_bytes;
    uint8_t sha[EBB_SHA256_SIZE];
    if (s->is_unchanged)
        memcpy(sha, s->base->sha256.data, sizeof sha);
    else
        ebb_prefix_digest(s->prefix, sha);
    set_bytes(&f->sha256, sha, sizeof sha);
    if (s->want->packed != NULL)
        set_packed(f, s->want->packed);
    f->chunks = ebb_alloc_array(s->keep_chunks + new->count + 1, sizeof *f->chunks);
    for (size_t k = 0; k < s->keep_chunks; k++)
        f->chunks[f->n_chunks++] = take_over(c, n, s->base->chunks[k]);
    for (size_t k = 0; k < new->count; k++)
        f->chunks[f->n_chunks++] = chunk_of(c, n, new, k);
    return f;
}

/* The chunk, and what it is a delta against, in the new manifest's packs. */
static void renumber(struct commit *c, struct pack_numbers *n, Ebb__Chunk *chunk)
{
    for (; chunk != NULL; chunk = chunk->base_chunk) {
        const Ebb__Pack *p = n->base->packs[chunk->pack];
        chunk->pack =
            number_pack(c->manifest, n, &n->of_base[chunk->pack], p->sha256.data, p->size_bytes);
    }
}

/* The files of another rank, below its folder; their chunks stand where that rank has put them.
 * The entries are moved out of the part. */
static void add_part(struct commit *c, struct pack_numbers *n, size_t i)
{
    Ebb__Manifest *part = c->parts[i], *m = c->manifest;
    struct pack_numbers of_part = {.base = part, .by_hash = n->by_hash};
    of_part.of_base = ebb_alloc_array(part->n_packs + 1, sizeof *of_part.of_base);
    memset(of_part.of_base, 0xff, (part->n_packs + 1) * sizeof *of_part.of_base);
    for (size_t k = 0; k < part->n_files; k++) {
        Ebb__FileEntry *f = part->files[k];
        char *own = f->path;
        f->path = ebb_sprintf(EBB_RANKS_FOLDER "%u/%s", c->q->parts[i].rank, own);
        free(own);
        for (size_t x = 0; x < f->n_chunks; x++)
            renumber(c, &of_part, f->chunks[x]);
        m->files[m->n_files++] = f;
    }
    part->n_files = 0;
    if (m->last_rank < c->q->parts[i].rank)
        m->last_rank = c->q->parts[i].rank;
    free(of_part.of_base);
}

static int load_parts(struct commit *c, struct ebb_error *err)
{
    const struct ebb_commit_request *q = c->q;
    for (size_t i = 0; q->part_count > 0 && i < q->file_count; i++)
        if (strncmp(q->files[i].path, EBB_RANKS_FOLDER, sizeof EBB_RANKS_FOLDER - 1) == 0)
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "%s: the name is kept for the files of other ranks",
                                 q->files[i].path);
    c->parts = ebb_alloc_array(q->part_count + 1, sizeof(*c->parts));
    for (size_t i = 0; i < q->part_count; i++) {
        int rc = ebb_lineage_load_manifest(c->l, &q->parts[i].manifest, &c->parts[i], err);
        if (rc < 0)
            return ebb_error_wrap(err, rc, "rank %u", q->parts[i].rank);
    }
    return 0;
}

static void build_portability(Ebb__Manifest *m, const char *const *pairs)
{
    size_t count = 0;
    while (pairs != NULL && pairs[2 * count] != NULL)
        count++;
    m->portability = ebb_alloc_array(count + 1, sizeof(Ebb__Manifest__PortabilityEntry *));
    for (; m->n_portability < count; m->n_portability++) {
        Ebb__Manifest__PortabilityEntry *e = ebb_alloc(sizeof *e);
        ebb__manifest__portability_entry__init(e);
        e->key = ebb_strdup(pairs[2 * m->n_portability]);
        e->value = ebb_strdup(pairs[2 * m->n_portability + 1]);
        m->portability[m->n_portability] = e;
    }
}

/* An older program must refuse what it would misread, and may read the rest. */
static uint64_t needed_features(const Ebb__Manifest *m)
{
    /* Outputs are read by names alone. */
    uint64_t features = m->last_rank > 0 && !m->final ? EBB_FEATURE_RANKS : 0;
    for (size_t i = 0; i < m->n_files; i++)
        features |= m->files[i]->packed != NULL ? EBB_FEATURE_PACKED : 0;
    for (size_t i = 0; i < m->n_files; i++)
        for (size_t k = 0; k < m->files[i]->n_chunks; k++)
            for (const Ebb__Chunk *c = m->files[i]->chunks[k]; c != NULL; c = c->base_chunk) {
                if (c->codec == EBB_CODEC_PART)
                    features |= EBB_FEATURE_PARTS;
                if (c->base_chunk != NULL && c->base_chunk->raw_bytes != c->raw_bytes)
                    features |= EBB_FEATURE_BASES;
            }
    return features;
}

static void build_manifest(struct commit *c)
{
    const struct ebb_commit_request *q = c->q;
    Ebb__Manifest *m = ebb_alloc(sizeof *m);
    ebb__manifest__init(m);
    c->manifest = m;
    m->format = EBB_FORMAT_VERSION;
    m->epoch = c->l->epoch;
    m->sequence = (c->l->head != NULL ? c->l->head->sequence : 0) + 1;
    m->step = q->step;
    m->total_steps = q->total_steps;
    m->engine_version = ebb_strdup(q->engine_version != NULL ? q->engine_version : "");
    m->final = q->final;
    m->run_s = q->run_s;
    m->wall_ns = ebb_wall_ns(NULL);
    m->attempt = q->attempt;
    build_portability(m, q->portability);
    size_t of_base = c->l->base != NULL ? c->l->base->n_packs : 0;
    struct pack_numbers n = {
        .of_base = ebb_alloc_array(of_base + 1, sizeof *n.of_base),
        .base = c->l->base,
        .of_new = ebb_alloc_array(c->upload.pack_count + 1, sizeof *n.of_new),
        .by_hash = ebb_map_new(NULL),
    };
    memset(n.of_base, 0xff, (of_base + 1) * sizeof *n.of_base);
    memset(n.of_new, 0xff, (c->upload.pack_count + 1) * sizeof *n.of_new);
    size_t count = q->file_count;
    for (size_t i = 0; i < q->part_count; i++)
        count += c->parts[i]->n_files;
    m->files = ebb_alloc_array(count + 1, sizeof *m->files);
    for (size_t i = 0; i < q->file_count; i++)
        m->files[m->n_files++] = build_entry(c, &n, i);
    for (size_t i = 0; i < q->part_count; i++)
        add_part(c, &n, i);
    m->required_features = needed_features(m);
    ebb_map_destroy(n.by_hash);
    free(n.of_base);
    free(n.of_new);
}

static int put_manifest(struct commit *c, struct ebb_error *err)
{
    struct ebb_lineage *l = c->l;
    build_manifest(c);
    /* What this program would not restore it must not commit (a path named twice, say). */
    struct ebb_error why = {0};
    int rc = ebb_manifest_check(c->manifest, &why);
    if (rc < 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: this set of files cannot be committed: %s",
                             l->root, why.text);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    ebb_manifest_encode(c->manifest, &bytes);
    if (bytes.len > EBB_MANIFEST_MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: too many files for one manifest", l->root);
    c->generation.epoch = c->manifest->epoch;
    c->generation.sequence = c->manifest->sequence;
    ebb_sha256(bytes.data, bytes.len, c->generation.sha256);
    EBB_AUTO_FREE char *key = ebb_manifest_key(l->root, &c->generation);
    ebb_fault_point("manifest-before");
    rc = ebb_object_put(l->store, key, bytes.data, bytes.len, EBB_PUT_IF_ABSENT, NULL, NULL, err);
    if (rc == EBB_ERR_TIMEOUT || rc == EBB_ERR_CONFLICT || rc == EBB_ERR_EXISTS)
        /* The name holds the hash: only these bytes belong there. */
        rc = ebb_object_put(l->store, key, bytes.data, bytes.len, EBB_PUT_ALWAYS, NULL, NULL, err);
    if (rc < 0)
        return rc;
    ebb_fault_point("manifest-after");
    c->stats.sent_bytes += bytes.len;
    return 0;
}

static int put_head(struct commit *c, struct ebb_error *err)
{
    struct ebb_lineage *l = c->l;
    EBB_AUTO(ebb_auto_head) Ebb__Head *next = ebb_head_copy(l->head);
    /* The generation before is the one this commit was built on: after a restore that fell back
     * that is the whole one, not the damaged one. */
    struct ebb_generation before =
        l->base != NULL ? l->base_generation : ebb_head_generation(l->head, false);
    next->format = EBB_FORMAT_VERSION;
    next->sequence = c->generation.sequence;
    next->manifest_epoch = c->generation.epoch;
    next->final = c->q->final;
    next->wall_ns = ebb_wall_ns(NULL);
    next->previous_sequence = before.sequence;
    next->previous_epoch = before.epoch;
    free(next->manifest_sha256.data);
    set_bytes(&next->manifest_sha256, c->generation.sha256, EBB_SHA256_SIZE);
    if (next->previous_manifest_sha256.len > 0)
        free(next->previous_manifest_sha256.data);
    next->previous_manifest_sha256 = (ProtobufCBinaryData){0};
    if (before.sequence > 0)
        set_bytes(&next->previous_manifest_sha256, before.sha256, EBB_SHA256_SIZE);
    ebb_fault_point("head-before");
    int rc = ebb_lineage_swap_head(l, next, c->q->deadline_ns, err);
    if (rc == 0)
        ebb_fault_point("head-after");
    return rc;
}

/* Where the tensors of the file are: as was found out now, or before when it did not change. */
static struct ebb_cutter *layout_of(struct commit *c, size_t i)
{
    struct ebb_cutter **layout = &c->upload.layouts[i];
    struct ebb_seen_file *before =
        c->l->seen != NULL ? ebb_map_get(c->l->seen, c->sources[i].want->path) : NULL;
    if (*layout == NULL && c->sources[i].is_unchanged && before != NULL)
        layout = &before->layout;
    return EBB_TAKE(*layout);
}

/* What is on disk is now as the new manifest says. */
static void remember(struct commit *c)
{
    struct ebb_map *seen = ebb_seen_new();
    for (size_t i = 0; i < c->q->file_count; i++) {
        struct ebb_source *s = &c->sources[i];
        if (s->want->kind == EBB__FILE_ENTRY__KIND__SYMLINK)
            continue;
        bool grows = s->want->kind == EBB__FILE_ENTRY__KIND__APPEND;
        ebb_seen_set(seen, s->want->path, &s->stamp, s->stat_wall_ns, i,
                     grows ? EBB_TAKE(s->prefix) : NULL, layout_of(c, i));
    }
    ebb_lineage_set_base(c->l, EBB_TAKE(c->manifest), &c->generation, seen);
}

static int commit_once(struct commit *c, struct ebb_error *err)
{
    ebb_fault_point("commit-begin");
    int rc = load_parts(c, err);
    if (rc == 0)
        rc = scan(c, err);
    if (rc == 0)
        rc = upload(c, err);
    if (rc == 0)
        rc = check_deadline(c, "manifest", err);
    if (rc == 0)
        rc = put_manifest(c, err);
    if (rc == 0 && !c->is_part)
        rc = check_deadline(c, "head", err);
    if (rc == 0 && !c->is_part)
        rc = put_head(c, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->upload.pack_count; i++)
        c->stats.packs += c->upload.packs[i].size_bytes > 0;
    c->stats.sequence = c->generation.sequence;
    remember(c);
    return 0;
}

static int prepare(struct ebb_lineage *l, const struct ebb_commit_request *q, struct ebb_error *err)
{
    if (!l->is_owner)
        return ebb_error_set(err, EBB_ERR_FENCED, "%s: not claimed", l->root);
    if (l->unsettled.bytes.len > 0) {
        int rc = ebb_lineage_settle(l, q->deadline_ns, err);
        if (rc < 0)
            return rc;
        ebb_lineage_forget_base(l);
    }
    if (l->head->final)
        return ebb_error_set(err, EBB_ERR_EXISTS, "%s: the outputs are committed", l->root);
    return ebb_lineage_load_base(l, err);
}

/* Files that change under our hands are looked at again. */
static int commit_or_part(struct ebb_lineage *l, const struct ebb_commit_request *q, bool is_part,
                          struct ebb_generation *ret_generation, struct ebb_commit_stats *ret,
                          struct ebb_error *err)
{
    int64_t begin_ns = ebb_now_ns(NULL);
    int rc = 0;
    for (unsigned round = 0; round < SCANS_MAX; round++) {
        struct commit c = {.l = l, .q = q, .is_part = is_part};
        struct ebb_error why = {0};
        rc = commit_once(&c, &why);
        clean_up(&c);
        if (rc == 0) {
            c.stats.seconds = (double)(ebb_now_ns(NULL) - begin_ns) / (double)EBB_NS_PER_S;
            if (ret != NULL)
                *ret = c.stats;
            if (ret_generation != NULL)
                *ret_generation = c.generation;
            return 0;
        }
        if (err != NULL)
            ebb_error_copy(err, &why);
        if (rc != EBB_ERR_CONFLICT || why.sys_errno != ESTALE)
            break;
    }
    return rc;
}

int ebb_lineage_commit(struct ebb_lineage *l, const struct ebb_commit_request *q,
                       struct ebb_commit_stats *ret, struct ebb_error *err)
{
    int rc = prepare(l, q, err);
    return rc < 0 ? rc : commit_or_part(l, q, false, NULL, ret, err);
}

int ebb_lineage_put_part(struct ebb_lineage *l, uint64_t epoch, const struct ebb_commit_request *q,
                         struct ebb_generation *ret, struct ebb_commit_stats *ret_stats,
                         struct ebb_error *err)
{
    static const uint8_t none[EBB_NONCE_SIZE];
    if (l->is_owner || epoch == 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: an owner commits, it makes no part", l->root);
    l->epoch = epoch;
    if (memcmp(l->claim_nonce, none, sizeof none) == 0)
        ebb_random_secret(l->claim_nonce, sizeof l->claim_nonce);
    return commit_or_part(l, q, true, ret, ret_stats, err);
}
