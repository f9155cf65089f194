/* Frames are walked by their heads, from the last anchor at or before the step that is looked for.
 * Steps that do not rise find a frame that is not the nearest, which costs space, never truth. */
#include "pack/trajectory.h"

#include <string.h>

#include "formats/frame.h"
#include "formats/frame_length.h"
#include "formats/ranges.h"
#include "pack/little_endian.h"

void ebb_frame_ref_put(uint8_t out[EBB_FRAME_REF_BYTES], const struct ebb_frame_ref *r)
{
    ebb_put_u64(out, r->offset);
    ebb_put_u32(out + 8, r->bytes);
    ebb_put_u32(out + 12, r->kind);
}

struct ebb_frame_ref ebb_frame_ref_get(const uint8_t in[EBB_FRAME_REF_BYTES])
{
    return (struct ebb_frame_ref){
        .offset = ebb_get_u64(in), .bytes = ebb_get_u32(in + 8), .kind = ebb_get_u32(in + 12)};
}

static int floats_of(const struct ebb_frame *f, size_t atoms, float **ret, struct ebb_error *err)
{
    if (f->atoms != atoms || (f->xq == NULL && f->x32 == NULL && f->x64 == NULL))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a frame of %zu atoms in place of %zu", f->atoms,
                             atoms);
    float *x = malloc((3 * atoms + 1) * sizeof *x);
    if (x == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for a frame of %zu atoms",
                             atoms);
    if (f->xq != NULL)
        ebb_frame_lattice_to_float(f->xq, 3 * atoms, f->precision, x);
    else if (f->x32 != NULL)
        memcpy(x, f->x32, 3 * atoms * sizeof *x);
    for (size_t i = 0; f->x64 != NULL && i < 3 * atoms; i++)
        x[i] = (float)f->x64[i];
    *ret = x;
    return 0;
}

int ebb_frame_ref_read(const struct ebb_bytes *bytes, const struct ebb_frame_ref *r, size_t atoms,
                       float **ret, struct ebb_error *err)
{
    if (!ebb_frame_places_known((enum ebb_file_kind)r->kind) || r->offset > bytes->size_bytes ||
        r->bytes > bytes->size_bytes - r->offset)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a frame that the trajectory does not have");
    EBB_AUTO_FREE uint8_t *raw = malloc((size_t)r->bytes + 1);
    if (raw == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for a frame");
    int rc = ebb_bytes_read(bytes, r->offset, raw, r->bytes, err);
    if (rc < 0)
        return rc;
    struct ebb_memory_source m = {.data = raw, .len = r->bytes};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *reader = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    rc = ebb_frame_reader_open((enum ebb_file_kind)r->kind, ebb_memory_source(&m), &reader, err);
    if (rc == 0)
        rc = ebb_frame_reader_next(reader, &f, err);
    if (rc == 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a frame of no bytes");
    return rc < 0 ? rc : floats_of(&f, atoms, ret, err);
}

/* ---- finding ---- */

static enum ebb_file_kind kind_of(const struct ebb_bytes *bytes)
{
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(EBB_RECOGNISE_BYTES);
    size_t len =
        bytes->size_bytes < EBB_RECOGNISE_BYTES ? (size_t)bytes->size_bytes : EBB_RECOGNISE_BYTES;
    return ebb_bytes_read(bytes, 0, head, len, NULL) < 0 ? EBB_FILE_RAW
                                                         : ebb_file_recognise(head, len);
}

int ebb_trajectory_order(const void *head, size_t len)
{
    enum ebb_file_kind kind = ebb_file_recognise(head, len);
    return kind == EBB_FILE_CPT ? 2 : kind == EBB_FILE_TRR ? 1 : 0;
}

struct wanted {
    uint64_t atoms;
    int64_t step;
};

static int first_positions(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    struct wanted *w = ctx;
    (void)err;
    if (range->role != EBB_ROLE_X)
        return 0;
    *w = (struct wanted){.atoms = range->rows, .step = range->step};
    return 1;
}

bool ebb_trajectory_is_wanted(const struct ebb_bytes *file, uint64_t *ret_atoms, int64_t *ret_step)
{
    enum ebb_file_kind kind = kind_of(file);
    struct ebb_random_source source = {
        .read_at = file->read_at, .ctx = file->ctx, .size = file->size_bytes};
    struct wanted w = {0};
    if ((kind != EBB_FILE_CPT && kind != EBB_FILE_TRR) ||
        ebb_ranges_scan(kind, &source, first_positions, &w, NULL) != 1)
        return false;
    *ret_atoms = w.atoms;
    *ret_step = w.step;
    return true;
}

struct ebb_trajectory {
    enum ebb_file_kind kind;
    struct ebb_bytes bytes;
    uint64_t *anchors; /* the first is 0 */
    size_t anchor_count;
    uint64_t at; /* a frame begins here whose step was not above the last one looked for */
    int64_t at_step;
    bool has_at;
};

static struct ebb_random_source source_of(const struct ebb_trajectory *t)
{
    return (struct ebb_random_source){
        .read_at = t->bytes.read_at, .ctx = t->bytes.ctx, .size = t->bytes.size_bytes};
}

bool ebb_trajectory_head(const struct ebb_bytes *file, uint64_t offset, struct ebb_frame_head *ret)
{
    struct ebb_random_source source = {
        .read_at = file->read_at, .ctx = file->ctx, .size = file->size_bytes};
    struct ebb_frame_place p;
    if (ebb_frame_place(EBB_FILE_XTC, &source, offset, &p, NULL) != 1 &&
        ebb_frame_place(EBB_FILE_TRR, &source, offset, &p, NULL) != 1)
        return false;
    *ret = (struct ebb_frame_head){.atoms = p.atoms, .step = p.step};
    return true;
}

struct ebb_trajectory *ebb_trajectory_new(const struct ebb_bytes *bytes, const uint64_t *anchors,
                                          size_t anchor_count)
{
    enum ebb_file_kind kind = kind_of(bytes);
    if (!ebb_frame_places_known(kind))
        return NULL;
    struct ebb_trajectory *t = ebb_alloc(sizeof *t);
    t->kind = kind;
    t->bytes = *bytes;
    t->anchors = ebb_alloc_array(anchor_count + 1, sizeof *t->anchors);
    t->anchor_count = 1;
    for (size_t i = 0; i < anchor_count; i++)
        if (anchors[i] > t->anchors[t->anchor_count - 1])
            t->anchors[t->anchor_count++] = anchors[i];
    return t;
}

void ebb_trajectory_destroy(struct ebb_trajectory *t)
{
    if (t == NULL)
        return;
    free(t->anchors);
    free(t);
}

/* The last anchor with a frame whose step is not above `step`, else the first. */
static int seek(const struct ebb_trajectory *t, int64_t step, uint64_t *ret, struct ebb_error *err)
{
    struct ebb_random_source source = source_of(t);
    size_t low = 0, high = t->anchor_count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        struct ebb_frame_place p;
        int rc = ebb_frame_place(t->kind, &source, t->anchors[mid], &p, err);
        if (rc < 0)
            return rc;
        if (rc > 0 && p.step <= step)
            low = mid;
        else
            high = mid;
    }
    *ret = t->anchors[low];
    return 0;
}

static uint64_t distance(int64_t a, int64_t b)
{
    return a < b ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
}

int ebb_trajectory_find(struct ebb_trajectory *t, uint64_t atoms, int64_t step,
                        struct ebb_frame_ref *ret, bool *ret_is_same, struct ebb_error *err)
{
    struct ebb_random_source source = source_of(t);
    struct ebb_frame_place p, best = {0};
    bool found = false;
    uint64_t at = t->at;
    int rc = t->has_at && t->at_step <= step ? 0 : seek(t, step, &at, err);
    while (rc == 0 && (rc = ebb_frame_place(t->kind, &source, at, &p, err)) > 0) {
        bool fits = p.atoms == atoms && p.bytes <= UINT32_MAX;
        if (fits && (!found || distance(p.step, step) < distance(best.step, step))) {
            best = p;
            found = true;
        }
        if (p.step <= step) {
            t->at = at;
            t->at_step = p.step;
            t->has_at = true;
        }
        if ((p.step >= step && found) || (p.atoms != atoms && p.atoms != 0))
            break;
        at += p.bytes;
        rc = 0;
    }
    if (rc < 0 || !found)
        return rc < 0 ? rc : 0;
    *ret = (struct ebb_frame_ref){
        .offset = best.offset, .bytes = (uint32_t)best.bytes, .kind = (uint32_t)t->kind};
    *ret_is_same = best.step == step;
    return 1;
}
