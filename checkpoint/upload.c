/* A commit's bytes, from files to packs.
 *
 * The work is cut into packs of at most 8 MiB of raw data, and each is one task: read its pieces,
 * feed the files' hashes, hash and compress the chunks, put. Tasks start in order, so a file's
 * whole-file hash passes from task to task (each waits its turn; the one before has begun earlier
 * and never waits for a later one) while compression and puts overlap freely. Chunk hashes and
 * file hash come from the same bytes in memory: a file that changes under our hands cannot make
 * them differ.
 *
 *     task 0   read | hash file | chunks, zstd | put .............
 *     task 1   read . . . . . . | hash file | chunks, zstd | put ....
 */
#include "checkpoint/upload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/workers.h"
#include "checkpoint/chunk_base.h"
#include "checkpoint/fetch.h"

enum { PIECES_PER_PACK = 4096 };
/* Long-lived content (append, static) and content that the next commit replaces go into packs of
 * their own once there is this much of the latter: else one live kilobyte keeps megabytes. */
#define SEPARATE_BYTES (1u << 20)
/* A delta that is more than this of its base's size is not worth keeping the base for. */
enum { DELTA_PERCENT_MAX = 85 };
/* So many trajectories are looked at for a state's frame. */
enum { TRAJECTORIES_MAX = 8 };

/* A run of a source that one task reads, and the chunks it was cut into. */
struct piece {
    size_t source;
    uint64_t offset;
    size_t len;
    struct ebb_new_chunks cut;
    size_t capacity; /* of cut */
};

struct task {
    size_t first_piece;
    size_t piece_count;
    size_t raw_bytes;
};

struct reading {
    int fd;        /* -1: not open */
    uint64_t next; /* the offset whose turn it is to be hashed */
    struct ebb_sha256 *overlap;
    struct ebb_cutter *cutter; /* NULL: plain chunks */
    struct ebb_like like; /* the file of the checkpoint before that it may be a delta against */
    size_t pieces_left;   /* that are not packed yet */
};

/* The memory of one task at a time, reused by the next: what bounds a commit. */
struct slot {
    uint8_t *raw;
    struct ebb_pack_builder *builder;
    bool is_taken;
};

struct run {
    struct ebb_upload *u;
    struct piece *pieces;
    size_t piece_count;
    struct task *tasks;
    size_t task_count;
    struct reading *readings; /* a source each */
    struct slot *slots;
    size_t slot_count;
    size_t slot_bytes; /* raw bytes of the largest task */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    struct ebb_error failure; /* the first; code 0: none */
    atomic_bool failed;
};

/* ---- known chunks ---- */

struct ebb_chunk_index {
    const Ebb__Chunk **slots;
    size_t mask;
};

static size_t slot_of(const uint8_t *sha256)
{
    size_t h;
    memcpy(&h, sha256, sizeof h);
    return h;
}

struct ebb_chunk_index *ebb_chunk_index_new(const Ebb__Manifest *base)
{
    size_t count = 0;
    for (size_t i = 0; base != NULL && i < base->n_files; i++)
        count += base->files[i]->n_chunks;
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    struct ebb_chunk_index *x = ebb_alloc(sizeof *x);
    x->slots = ebb_alloc_array(size, sizeof *x->slots);
    x->mask = size - 1;
    for (size_t i = 0; base != NULL && i < base->n_files; i++)
        for (size_t j = 0; j < base->files[i]->n_chunks; j++) {
            const Ebb__Chunk *c = base->files[i]->chunks[j];
            size_t s = slot_of(c->sha256.data) & x->mask;
            while (x->slots[s] != NULL)
                s = (s + 1) & x->mask;
            x->slots[s] = c;
        }
    return x;
}

void ebb_chunk_index_destroy(struct ebb_chunk_index *x)
{
    if (x == NULL)
        return;
    free(x->slots);
    free(x);
}

const Ebb__Chunk *ebb_chunk_index_find(const struct ebb_chunk_index *x,
                                       const uint8_t sha256[EBB_SHA256_SIZE], uint64_t raw_bytes)
{
    for (size_t s = slot_of(sha256) & x->mask; x->slots[s] != NULL; s = (s + 1) & x->mask)
        if (x->slots[s]->raw_bytes == raw_bytes &&
            memcmp(x->slots[s]->sha256.data, sha256, EBB_SHA256_SIZE) == 0)
            return x->slots[s];
    return NULL;
}

/* ---- cutting the work into tasks ---- */

static bool is_short_lived(const struct ebb_source *s)
{
    return s->want->kind == EBB__FILE_ENTRY__KIND__STATE ||
           s->want->kind == EBB__FILE_ENTRY__KIND__OUTPUT;
}

static bool has_content_to_read(const struct ebb_source *s)
{
    return s->want->kind != EBB__FILE_ENTRY__KIND__SYMLINK && !s->is_unchanged &&
           s->length_bytes > s->keep_bytes;
}

static void close_task(struct run *r)
{
    struct task *t = &r->tasks[r->task_count];
    if (t->piece_count == 0)
        return;
    r->tasks = ebb_realloc_array(r->tasks, r->task_count + 2, sizeof *r->tasks);
    r->task_count++;
    r->tasks[r->task_count] = (struct task){.first_piece = r->piece_count};
}

static void add_pieces(struct run *r, size_t source)
{
    const struct ebb_source *s = &r->u->sources[source];
    for (uint64_t at = s->keep_bytes; at < s->length_bytes;) {
        struct task *t = &r->tasks[r->task_count];
        /* Whole chunks only: a piece ends at a chunk's end or at the file's. */
        size_t room = (EBB_PACK_RAW_BYTES - t->raw_bytes) / EBB_CHUNK_BYTES * EBB_CHUNK_BYTES;
        uint64_t left = s->length_bytes - at;
        bool fits = left <= EBB_PACK_RAW_BYTES - t->raw_bytes;
        /* A state that one pack can hold stays in one: its arrays belong together. */
        bool stays = at == s->keep_bytes && left <= EBB_PACK_RAW_BYTES && is_short_lived(s);
        size_t len = fits ? (size_t)left : stays ? 0 : room;
        if (len == 0 || t->piece_count == PIECES_PER_PACK) {
            close_task(r);
            continue;
        }
        if ((r->piece_count & (r->piece_count - 1)) == 0)
            r->pieces = ebb_realloc_array(r->pieces, r->piece_count == 0 ? 1 : 2 * r->piece_count,
                                          sizeof *r->pieces);
        r->pieces[r->piece_count++] = (struct piece){.source = source, .offset = at, .len = len};
        r->readings[source].pieces_left++;
        t->piece_count++;
        t->raw_bytes += len;
        at += len;
    }
}

static void cut(struct run *r)
{
    struct ebb_upload *u = r->u;
    uint64_t short_lived = 0;
    r->tasks = ebb_alloc(sizeof *r->tasks);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < u->source_count; i++)
            if (has_content_to_read(&u->sources[i]) &&
                is_short_lived(&u->sources[i]) == (pass == 1))
                add_pieces(r, i);
            else if (pass == 0 && has_content_to_read(&u->sources[i]))
                short_lived += u->sources[i].length_bytes - u->sources[i].keep_bytes;
        if (pass == 0 && short_lived > SEPARATE_BYTES)
            close_task(r);
    }
    close_task(r);
}

/* ---- one task ---- */

static void fail(struct run *r, const struct ebb_error *err)
{
    pthread_mutex_lock(&r->lock);
    if (r->failure.code == 0)
        ebb_error_copy(&r->failure, err);
    atomic_store(&r->failed, true);
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

/* What the file is decides how it is cut and packed. */
static void look_at(struct run *r, size_t source)
{
    const struct ebb_source *s = &r->u->sources[source];
    struct reading *g = &r->readings[source];
    if (s->want->plain || s->want->packed != NULL)
        return;
    g->cutter = ebb_cutter_of_file(g->fd, s->path, s->length_bytes);
    g->like = ebb_like_of(r->u->lineage, s, g->cutter);
}

static int shared_fd(struct run *r, size_t source, int *ret_fd, struct ebb_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&r->lock);
    if (r->readings[source].fd < 0) {
        rc = ebb_source_open(&r->u->sources[source], &r->readings[source].fd, err);
        if (rc == 0)
            look_at(r, source);
    }
    *ret_fd = r->readings[source].fd;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int finish_source(struct run *r, size_t source, struct ebb_error *err)
{
    struct ebb_source *s = &r->u->sources[source];
    struct reading *g = &r->readings[source];
    int rc = ebb_source_check_unchanged(s, g->fd, err);
    (void)close(g->fd);
    g->fd = -1;
    uint8_t sha[EBB_SHA256_SIZE];
    if (rc == 0 && g->overlap != NULL) {
        ebb_sha256_final(g->overlap, sha);
        if (memcmp(sha, s->overlap_sha256, sizeof sha) != 0)
            rc =
                ebb_error_set(err, EBB_ERR_CONFLICT,
                              "%s: its committed part was changed while it was committed", s->path);
    }
    return rc;
}

static void feed_hashes(struct ebb_source *s, struct reading *g, uint64_t offset,
                        const uint8_t *data, size_t len)
{
    size_t before = 0; /* bytes that the prefix has seen in an earlier commit */
    if (offset < s->hashed_bytes) {
        before = s->hashed_bytes - offset < len ? (size_t)(s->hashed_bytes - offset) : len;
        if (g->overlap == NULL)
            g->overlap = ebb_sha256_new();
        ebb_sha256_update(g->overlap, data, before);
    }
    ebb_prefix_update(s->prefix, data + before, len - before);
}

static int hash_in_turn(struct run *r, const struct piece *p, const uint8_t *data,
                        struct ebb_error *err)
{
    struct ebb_source *s = &r->u->sources[p->source];
    struct reading *g = &r->readings[p->source];
    pthread_mutex_lock(&r->lock);
    while (g->next != p->offset && !atomic_load(&r->failed))
        pthread_cond_wait(&r->turn, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (atomic_load(&r->failed))
        return ebb_error_set(err, EBB_ERR_CANCELLED, "another part failed");
    feed_hashes(s, g, p->offset, data, p->len);
    int rc = p->offset + p->len == s->length_bytes ? finish_source(r, p->source, err) : 0;
    pthread_mutex_lock(&r->lock);
    g->next = p->offset + p->len;
    r->u->read_bytes += p->len;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static int read_pieces(struct run *r, const struct task *t, uint8_t *raw, struct ebb_error *err)
{
    for (size_t i = 0; i < t->piece_count; i++) {
        const struct piece *p = &r->pieces[t->first_piece + i];
        int fd = -1;
        int rc = shared_fd(r, p->source, &fd, err);
        if (rc == 0)
            rc = ebb_read_at(fd, r->u->sources[p->source].path, raw, p->len, p->offset, err);
        if (rc == 0)
            rc = hash_in_turn(r, p, raw, err);
        if (rc < 0)
            return rc;
        raw += p->len;
    }
    return 0;
}

static void add_chunk(struct piece *p)
{
    if (p->cut.count == p->capacity) {
        p->capacity = p->capacity == 0 ? 8 : 2 * p->capacity;
        p->cut.chunks = ebb_realloc_array(p->cut.chunks, p->capacity, sizeof *p->cut.chunks);
        p->cut.known = ebb_realloc_array(p->cut.known, p->capacity, sizeof *p->cut.known);
        p->cut.base = ebb_realloc_array(p->cut.base, p->capacity, sizeof *p->cut.base);
    }
    p->cut.chunks[p->cut.count] = (struct ebb_chunk_record){0};
    p->cut.base[p->cut.count] = (struct ebb_new_base){0};
    p->cut.known[p->cut.count++] = NULL;
}

static bool may_be_delta(const struct run *r, const struct ebb_source *s)
{
    return r->u->deltas && r->u->deadline_ns == 0 && is_short_lived(s);
}

/* A delta that saves too little of what the chunk would be whole, which the base at the end of the
 * chain tells, is not worth keeping bases for. */
static bool is_worth_it(const struct ebb_chunk_record *c, const Ebb__Chunk *base)
{
    while (base->base_chunk != NULL)
        base = base->base_chunk;
    return c->stored_bytes * base->raw_bytes <
           base->stored_bytes * c->raw_bytes * DELTA_PERCENT_MAX / 100;
}

/* Against tensors of the checkpoint before: 1 when it is a delta now, 0 when nothing was added. */
static int add_delta(struct run *r, const struct piece *p, uint64_t offset, const uint8_t *raw,
                     size_t len, struct ebb_pack_builder *b, struct ebb_chunk_record *c,
                     struct ebb_new_base *ret, struct ebb_error *err)
{
    const struct reading *g = &r->readings[p->source];
    struct ebb_like_chunk like;
    if (!ebb_like_find(&g->like, g->cutter, offset, len, &like))
        return 0;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer before = {0};
    /* What cannot be had now (the store may be slow, the base damaged) is done without. */
    if (ebb_fetch_chunk(r->u->lineage, r->u->lineage->base, like.chunk, &before, NULL) < 0)
        return 0;
    struct ebb_memory m = {.data = before.data, .len = before.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    struct ebb_cutter_base base = {.bytes = &bytes, .old = g->like.layout, .offset = like.offset};
    uint64_t begin = ebb_pack_bytes(b);
    bool is_delta = false;
    int rc = ebb_pack_add_chunk(b, g->cutter, offset, raw, len, &base, true, c, &is_delta, err);
    if (rc < 0)
        return rc;
    if (is_delta && is_worth_it(c, like.chunk)) {
        ret->known = like.chunk;
        return 1;
    }
    ebb_pack_cut(b, begin);
    return 0;
}

/* ---- over the frames of a trajectory of the same commit ---- */

/* The trajectory's chunks, kept and new, once all of them are packed. Their tasks have begun before
 * this one (trajectories grow, and what grows comes first), so that waiting ends. */
static size_t chunks_of(struct run *r, size_t source, struct ebb_chunk_place **ret)
{
    const struct ebb_source *s = &r->u->sources[source];
    pthread_mutex_lock(&r->lock);
    while (r->readings[source].pieces_left > 0 && !atomic_load(&r->failed))
        pthread_cond_wait(&r->turn, &r->lock);
    pthread_mutex_unlock(&r->lock);
    size_t count = s->keep_chunks, number = 0;
    for (size_t i = 0; i < r->piece_count; i++)
        count += r->pieces[i].source == source ? r->pieces[i].cut.count : 0;
    struct ebb_chunk_place *list = ebb_alloc_array(count + 1, sizeof *list);
    uint64_t offset = 0;
    count = 0;
    for (size_t k = 0; k < s->keep_chunks; k++) {
        const Ebb__Chunk *c = s->base->chunks[k];
        list[count++] = (struct ebb_chunk_place){
            .offset = offset, .len = c->raw_bytes, .sha256 = c->sha256.data, .base.known = c};
        offset += c->raw_bytes;
    }
    for (size_t i = 0; i < r->piece_count && !atomic_load(&r->failed); i++)
        for (size_t k = 0; r->pieces[i].source == source && k < r->pieces[i].cut.count; k++) {
            const struct ebb_new_chunks *cut = &r->pieces[i].cut;
            const Ebb__Chunk *known = cut->known[k];
            uint64_t len = known != NULL ? known->raw_bytes : cut->chunks[k].raw_bytes;
            list[count++] = (struct ebb_chunk_place){
                .offset = offset,
                .len = len,
                .sha256 = known != NULL ? known->sha256.data : cut->chunks[k].sha256,
                .base = {.known = known, .is_new = true, .source = source, .number = number++}};
            offset += len;
        }
    *ret = list;
    return count;
}

static int add_over(struct run *r, const struct piece *p, uint64_t offset, const uint8_t *raw,
                    size_t len, int64_t step, uint64_t atoms, size_t trajectory,
                    struct ebb_pack_builder *b, struct ebb_chunk_record *c,
                    struct ebb_new_base *ret, struct ebb_error *err)
{
    EBB_AUTO_FREE struct ebb_chunk_place *places = NULL;
    size_t count = chunks_of(r, trajectory, &places), number = 0;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer frames = {0};
    if (!ebb_chunk_with_frame(&r->u->sources[trajectory], places, count, atoms, step, &frames,
                              &number))
        return 0;
    struct ebb_memory m = {.data = frames.data, .len = frames.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    struct ebb_cutter_base base = {.bytes = &bytes};
    uint64_t begin = ebb_pack_bytes(b);
    bool is_over = false;
    int rc = ebb_pack_add_chunk(b, r->readings[p->source].cutter, offset, raw, len, &base, true, c,
                                &is_over, err);
    if (rc == 0 && is_over) {
        *ret = places[number].base;
        return 1;
    }
    ebb_pack_cut(b, begin);
    return rc;
}

/* Over the frame of its step in one of the commit's trajectories: 1, or 0 when nothing was added.
 */
static int add_over_frame(struct run *r, const struct piece *p, uint64_t offset, const uint8_t *raw,
                          size_t len, struct ebb_pack_builder *b, struct ebb_chunk_record *c,
                          struct ebb_new_base *ret, struct ebb_error *err)
{
    uint64_t atoms = 0;
    int64_t step = 0;
    /* Past a notice there is no time to wait for the trajectory. */
    if (r->u->deadline_ns != 0 || !is_short_lived(&r->u->sources[p->source]) ||
        !ebb_cutter_has_positions(r->readings[p->source].cutter, offset, len, &atoms, &step))
        return 0;
    unsigned looks = 0;
    for (size_t t = 0; t < r->u->source_count && looks < TRAJECTORIES_MAX; t++) {
        const struct ebb_source *s = &r->u->sources[t];
        if (s->want->kind != EBB__FILE_ENTRY__KIND__APPEND || !ebb_source_has_frames(s, atoms))
            continue;
        looks++;
        int rc = add_over(r, p, offset, raw, len, step, atoms, t, b, c, ret, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int add_new_chunk(struct run *r, struct piece *p, uint64_t offset, const uint8_t *raw,
                         size_t len, struct ebb_pack_builder *b, struct ebb_error *err)
{
    const struct ebb_cutter *cutter = r->readings[p->source].cutter;
    struct ebb_chunk_record *c = &p->cut.chunks[p->cut.count - 1];
    struct ebb_new_base *base = &p->cut.base[p->cut.count - 1];
    unsigned sample = r->u->verify_sample;
    int rc = 0;
    if (cutter != NULL)
        rc = add_over_frame(r, p, offset, raw, len, b, c, base, err);
    if (cutter != NULL && rc == 0 && may_be_delta(r, &r->u->sources[p->source]))
        rc = add_delta(r, p, offset, raw, len, b, c, base, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    bool unused = false;
    return ebb_pack_add_chunk(b, cutter, offset, raw, len, NULL,
                              sample <= 1 || p->cut.count % sample == 1, c, &unused, err);
}

/* Where the next chunk ends: with what it may be a delta against, where that is known. */
static size_t next_len(const struct run *r, const struct piece *p, size_t at, const uint8_t *raw)
{
    const struct reading *g = &r->readings[p->source];
    if (may_be_delta(r, &r->u->sources[p->source]) && g->like.layout != NULL)
        return ebb_like_cut(&g->like, g->cutter, p->offset + at, p->len - at, EBB_CHUNK_BYTES);
    return ebb_cutter_next(g->cutter, raw + at, p->len - at, EBB_CHUNK_BYTES, EBB_PACK_RAW_BYTES);
}

static int pack_piece(struct run *r, size_t task, struct piece *p, const uint8_t *raw,
                      struct ebb_pack_builder *b, struct ebb_error *err)
{
    for (size_t at = 0; at < p->len;) {
        size_t len = next_len(r, p, at, raw);
        add_chunk(p);
        struct ebb_chunk_record *c = &p->cut.chunks[p->cut.count - 1];
        ebb_sha256(raw + at, len, c->sha256);
        c->pack = (uint32_t)task;
        const Ebb__Chunk *known = ebb_chunk_index_find(r->u->index, c->sha256, len);
        p->cut.known[p->cut.count - 1] = known;
        int rc = known != NULL ? 0 : add_new_chunk(r, p, p->offset + at, raw + at, len, b, err);
        if (rc < 0)
            return rc;
        at += len;
    }
    pthread_mutex_lock(&r->lock);
    r->readings[p->source].pieces_left--;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

static int pack_pieces(struct run *r, size_t index, const uint8_t *raw, struct ebb_pack_builder *b,
                       struct ebb_error *err)
{
    const struct task *t = &r->tasks[index];
    for (size_t i = 0; i < t->piece_count; i++) {
        struct piece *p = &r->pieces[t->first_piece + i];
        int rc = pack_piece(r, index, p, raw, b, err);
        if (rc < 0)
            return rc;
        raw += p->len;
    }
    return 0;
}

/* The sources' chunks, from those of their pieces. */
static void collect_chunks(struct run *r)
{
    for (size_t i = 0; i < r->piece_count; i++)
        r->u->new_chunks[r->pieces[i].source].count += r->pieces[i].cut.count;
    for (size_t i = 0; i < r->u->source_count; i++) {
        struct ebb_new_chunks *n = &r->u->new_chunks[i];
        n->chunks = ebb_alloc_array(n->count, sizeof *n->chunks);
        n->known = ebb_alloc_array(n->count, sizeof *n->known);
        n->base = ebb_alloc_array(n->count, sizeof *n->base);
        n->count = 0;
    }
    for (size_t i = 0; i < r->piece_count; i++) {
        const struct ebb_new_chunks *from = &r->pieces[i].cut;
        struct ebb_new_chunks *n = &r->u->new_chunks[r->pieces[i].source];
        for (size_t k = 0; k < from->count; k++, n->count++) {
            n->chunks[n->count] = from->chunks[k];
            n->known[n->count] = from->known[k];
            n->base[n->count] = from->base[k];
        }
    }
}

static int put_pack(struct run *r, size_t index, struct ebb_pack_builder *b, struct ebb_error *err)
{
    struct ebb_upload *u = r->u;
    if (ebb_pack_bytes(b) == EBB_PACK_HEADER_BYTES)
        return 0;
    if (u->deadline_ns != 0 && ebb_now_ns(NULL) > u->deadline_ns)
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "no time left to upload");
    ebb_fault_point("pack-before");
    int rc = ebb_pack_put(b, u->lineage->store, u->lineage->root, u->packs[index].sha256, err);
    if (rc < 0)
        return rc;
    ebb_fault_point("pack-after");
    u->packs[index].size_bytes = ebb_pack_bytes(b);
    pthread_mutex_lock(&r->lock);
    u->sent_bytes += ebb_pack_bytes(b);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* There are as many slots as threads, so one is free. */
static struct slot *take_slot(struct run *r)
{
    struct slot *s = r->slots;
    pthread_mutex_lock(&r->lock);
    while (s->is_taken)
        s++;
    s->is_taken = true;
    pthread_mutex_unlock(&r->lock);
    if (s->raw == NULL)
        s->raw = malloc(r->slot_bytes);
    if (s->builder == NULL)
        s->builder = ebb_pack_builder_new(r->u->lineage->claim_nonce, r->slot_bytes);
    ebb_pack_builder_reset(s->builder);
    return s;
}

static void release_slot(struct run *r, struct slot *s)
{
    pthread_mutex_lock(&r->lock);
    s->is_taken = false;
    pthread_mutex_unlock(&r->lock);
}

static void run_task(void *ctx, size_t index)
{
    struct run *r = ctx;
    if (atomic_load(&r->failed))
        return;
    struct ebb_error err = {0};
    struct slot *s = take_slot(r);
    int rc = s->raw == NULL ? ebb_error_set(&err, EBB_ERR_INTERNAL, "out of memory for a pack") : 0;
    if (rc == 0)
        rc = read_pieces(r, &r->tasks[index], s->raw, &err);
    if (rc == 0)
        rc = pack_pieces(r, index, s->raw, s->builder, &err);
    if (rc == 0)
        rc = put_pack(r, index, s->builder, &err);
    if (rc < 0)
        fail(r, &err);
    release_slot(r, s);
}

static void clean_up(struct run *r)
{
    for (size_t i = 0; i < r->u->source_count; i++) {
        if (r->readings[i].fd >= 0)
            (void)close(r->readings[i].fd);
        ebb_sha256_destroy(r->readings[i].overlap);
        ebb_like_clean_up(&r->readings[i].like);
        if (ebb_cutter_has_names(r->readings[i].cutter))
            r->u->layouts[i] = EBB_TAKE(r->readings[i].cutter);
        ebb_cutter_destroy(r->readings[i].cutter);
    }
    for (size_t i = 0; i < r->piece_count; i++) {
        free(r->pieces[i].cut.chunks);
        free(r->pieces[i].cut.known);
        free(r->pieces[i].cut.base);
    }
    for (size_t i = 0; i < r->slot_count; i++) {
        free(r->slots[i].raw);
        ebb_pack_builder_destroy(r->slots[i].builder);
    }
    free(r->slots);
    free(r->readings);
    free(r->pieces);
    free(r->tasks);
    pthread_cond_destroy(&r->turn);
    pthread_mutex_destroy(&r->lock);
}

static void prepare(struct run *r)
{
    struct ebb_upload *u = r->u;
    u->new_chunks = ebb_alloc_array(u->source_count + 1, sizeof *u->new_chunks);
    u->layouts = ebb_alloc_array(u->source_count + 1, sizeof(struct ebb_cutter *));
    r->readings = ebb_alloc_array(u->source_count + 1, sizeof *r->readings);
    for (size_t i = 0; i < u->source_count; i++) {
        r->readings[i] = (struct reading){.fd = -1, .next = u->sources[i].keep_bytes};
    }
    cut(r);
    u->packs = ebb_alloc_array(r->task_count + 1, sizeof *u->packs);
    u->pack_count = r->task_count;
    r->slot_count = u->threads < r->task_count ? u->threads : r->task_count;
    r->slots = ebb_alloc_array(r->slot_count + 1, sizeof *r->slots);
    for (size_t i = 0; i < r->task_count; i++)
        if (r->tasks[i].raw_bytes > r->slot_bytes)
            r->slot_bytes = r->tasks[i].raw_bytes;
}

int ebb_upload_run(struct ebb_upload *u, struct ebb_error *err)
{
    struct run r = {.u = u};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.turn, NULL);
    prepare(&r);
    ebb_parallel_for(u->threads, r.task_count, run_task, &r);
    collect_chunks(&r);
    clean_up(&r);
    if (r.failure.code != 0) {
        if (err != NULL)
            ebb_error_copy(err, &r.failure);
        return r.failure.code;
    }
    return 0;
}

void ebb_upload_clean_up(struct ebb_upload *u)
{
    for (size_t i = 0; u->new_chunks != NULL && i < u->source_count; i++) {
        free(u->new_chunks[i].chunks);
        free(u->new_chunks[i].known);
        free(u->new_chunks[i].base);
    }
    for (size_t i = 0; u->layouts != NULL && i < u->source_count; i++)
        ebb_cutter_destroy(u->layouts[i]);
    free(u->layouts);
    u->layouts = NULL;
    free(u->new_chunks);
    free(u->packs);
    u->new_chunks = NULL;
    u->packs = NULL;
}
