/* A base is advice: what is packed against it is decoded again and compared, and what helps too
 * little is packed by itself. */
#include "checkpoint/chunk_base.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "pack/trajectory.h"

/* A chunk shorter than this costs more in the manifest than a better base saves. */
#define CUT_BYTES_MIN (64u << 10)

/* ---- tensors of the checkpoint before ---- */

static const struct ebb_cutter *layout_of(const struct ebb_lineage *l, const Ebb__FileEntry *f)
{
    const struct ebb_seen_file *seen = l->seen != NULL ? ebb_map_get(l->seen, f->path) : NULL;
    return seen != NULL ? seen->layout : NULL;
}

/* True when some tensor of the file is one of the other's. */
static bool is_related(const struct ebb_cutter *cutter, const struct ebb_cutter *old)
{
    uint64_t run = 0, at = 0;
    for (unsigned tries = 0; old != NULL && tries < 16 && run != UINT64_MAX; tries++) {
        if (ebb_cutter_place_in(cutter, old, at, &run) != UINT64_MAX)
            return true;
        at += run == UINT64_MAX ? 0 : run;
    }
    return false;
}

static void set_begins(struct ebb_like *k)
{
    size_t count = k->entry != NULL ? k->entry->n_chunks : 0;
    k->begins = ebb_alloc_array(count + 1, sizeof *k->begins);
    for (size_t i = 0; i < count; i++)
        k->begins[i + 1] = k->begins[i] + k->entry->chunks[i]->raw_bytes;
}

struct ebb_like ebb_like_of(const struct ebb_lineage *l, const struct ebb_source *s,
                            const struct ebb_cutter *cutter)
{
    struct ebb_like best = {0};
    int best_rank = 0;
    for (size_t i = 0; cutter != NULL && l->base != NULL && i < l->base->n_files; i++) {
        const Ebb__FileEntry *f = l->base->files[i];
        if (f->kind != s->want->kind)
            continue;
        const struct ebb_cutter *layout = ebb_cutter_has_names(cutter) ? layout_of(l, f) : NULL;
        bool is_as_long = f->size_bytes == s->length_bytes;
        int rank = !is_as_long && layout == NULL         ? 0
                   : strcmp(f->path, s->want->path) == 0 ? 3
                   : is_as_long                          ? 2
                   : is_related(cutter, layout)          ? 1
                                                         : 0;
        if (rank > best_rank) {
            best = (struct ebb_like){.entry = f, .layout = layout};
            best_rank = rank;
        }
    }
    set_begins(&best);
    return best;
}

void ebb_like_clean_up(struct ebb_like *k)
{
    free(k->begins);
    *k = (struct ebb_like){0};
}

/* The number of the chunk that holds `offset`; that of chunks when none does. */
static size_t chunk_at(const struct ebb_like *k, uint64_t offset)
{
    size_t low = 0, high = k->entry->n_chunks;
    if (offset >= k->begins[high])
        return high;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (k->begins[mid] <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static unsigned chain_of(const Ebb__Chunk *c)
{
    unsigned length = 0;
    for (; c != NULL; c = c->base_chunk)
        length++;
    return length;
}

/* `whole`: the new chunk is like all of `c`, byte for byte in the same place. */
static bool use_chunk(const Ebb__Chunk *c, uint64_t begin, bool whole, struct ebb_like_chunk *ret)
{
    if (whole && c->base_chunk != NULL && c->base_chunk->raw_bytes == c->raw_bytes)
        c = c->base_chunk;
    if (chain_of(c) >= EBB_CHUNK_CHAIN_MAX)
        return false;
    *ret = (struct ebb_like_chunk){.chunk = c, .offset = begin};
    return true;
}

/* Runs of the file from `offset` on and what chunk they are like: number, or SIZE_MAX. */
struct runs {
    const struct ebb_like *like;
    const struct ebb_cutter *cutter;
    uint64_t at, end;
    /* The run found last: */
    size_t chunk;
    uint64_t there, chunk_begin;
    uint64_t len;
};

static bool next_run(struct runs *r)
{
    r->at += r->len;
    if (r->at >= r->end)
        return false;
    uint64_t left = r->end - r->at, run = 0;
    r->there = ebb_cutter_place_in(r->cutter, r->like->layout, r->at, &run);
    r->len = run < left ? run : left;
    r->chunk = SIZE_MAX;
    if (r->there == UINT64_MAX)
        return true;
    size_t k = chunk_at(r->like, r->there);
    if (k == r->like->entry->n_chunks)
        return true;
    r->chunk_begin = r->like->begins[k];
    uint64_t room = r->like->begins[k + 1] - r->there;
    r->len = r->len < room ? r->len : room;
    r->chunk = k;
    return true;
}

static bool find_by_place(const struct ebb_like *k, uint64_t offset, size_t len,
                          struct ebb_like_chunk *ret)
{
    size_t i = chunk_at(k, offset);
    return i < k->entry->n_chunks && k->begins[i] == offset &&
           k->entry->chunks[i]->raw_bytes == len &&
           use_chunk(k->entry->chunks[i], offset, true, ret);
}

bool ebb_like_find(const struct ebb_like *k, const struct ebb_cutter *cutter, uint64_t offset,
                   size_t len, struct ebb_like_chunk *ret)
{
    if (k->entry == NULL)
        return false;
    if (k->layout == NULL)
        return find_by_place(k, offset, len, ret);
    struct runs r = {.like = k, .cutter = cutter, .at = offset, .end = offset + len};
    size_t best = SIZE_MAX;
    uint64_t best_bytes = 0, best_begin = 0, bytes = 0;
    size_t chunk = SIZE_MAX;
    bool in_place = true;
    while (next_run(&r)) {
        if (r.chunk == SIZE_MAX)
            continue;
        bytes = (r.chunk == chunk ? bytes : 0) + r.len;
        chunk = r.chunk;
        if (bytes > best_bytes) {
            best = r.chunk;
            best_bytes = bytes;
            best_begin = r.chunk_begin;
        }
        in_place = in_place && r.there - r.chunk_begin == r.at - offset;
    }
    if (best == SIZE_MAX)
        return false;
    const Ebb__Chunk *c = k->entry->chunks[best];
    return use_chunk(c, best_begin, in_place && c->raw_bytes == len, ret);
}

size_t ebb_like_cut(const struct ebb_like *k, const struct ebb_cutter *cutter, uint64_t offset,
                    size_t len, size_t usual_bytes)
{
    uint64_t most = len < usual_bytes ? len : usual_bytes;
    struct runs r = {.like = k, .cutter = cutter, .at = offset, .end = offset + most};
    size_t chunk = SIZE_MAX;
    while (next_run(&r)) {
        if (r.chunk == SIZE_MAX)
            continue;
        if (chunk != SIZE_MAX && r.chunk != chunk && r.at - offset >= CUT_BYTES_MIN)
            return (size_t)(r.at - offset);
        chunk = r.chunk;
    }
    return (size_t)most;
}

/* ---- a trajectory beside restart state ---- */

struct opened {
    int fd;
    const char *path;
};

static int read_opened(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct opened *o = ctx;
    return ebb_read_at(o->fd, o->path, out, len, offset, err);
}

bool ebb_source_has_frames(const struct ebb_source *s, uint64_t atoms)
{
    struct opened o = {.path = s->path};
    if (s->length_bytes == 0 || ebb_source_open(s, &o.fd, NULL) < 0)
        return false;
    struct ebb_bytes bytes = {.read_at = read_opened, .ctx = &o, .size_bytes = s->length_bytes};
    struct ebb_frame_head head;
    bool has = ebb_trajectory_head(&bytes, 0, &head) && head.atoms == atoms;
    (void)close(o.fd);
    return has;
}

static bool read_chunk(struct opened *o, const struct ebb_chunk_place *p, struct ebb_buffer *raw)
{
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_buffer_reset(raw);
    ebb_buffer_reserve(raw, (size_t)p->len);
    if (ebb_read_at(o->fd, o->path, raw->data, (size_t)p->len, p->offset, NULL) < 0)
        return false;
    raw->len = (size_t)p->len;
    ebb_sha256(raw->data, raw->len, sha);
    return memcmp(sha, p->sha256, sizeof sha) == 0;
}

bool ebb_chunk_with_frame(const struct ebb_source *s, const struct ebb_chunk_place *places,
                          size_t count, uint64_t atoms, int64_t step, struct ebb_buffer *raw,
                          size_t *ret_number)
{
    struct opened o = {.path = s->path};
    if (ebb_source_open(s, &o.fd, NULL) < 0)
        return false;
    struct ebb_bytes bytes = {.read_at = read_opened, .ctx = &o, .size_bytes = s->length_bytes};
    bool found = false;
    for (size_t i = count; i > 0 && !found; i--) {
        struct ebb_frame_head head;
        /* A chunk that begins inside a frame is of no use. */
        if (!ebb_trajectory_head(&bytes, places[i - 1].offset, &head) || head.atoms != atoms ||
            head.step > step)
            continue;
        *ret_number = i - 1;
        found = read_chunk(&o, &places[i - 1], raw);
        break;
    }
    (void)close(o.fd);
    return found;
}
