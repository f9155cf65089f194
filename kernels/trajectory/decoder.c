/* Groups to frames. Everything in a group is checked before it is used: lengths against the bytes
 * that are there, atoms against each other, numbers by arithmetic that has no undefined case. */
#include <string.h>
#include <zstd.h>

#include "kernels/trajectory/decoder.h"
#include "kernels/trajectory/tiles.h"
#include "kernels/varint.h"

#define SLACK 64

static int corrupt(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "trajectory group: %s", what);
}

void ebb_traj_decoder_destroy(struct ebb_traj_decoder *dec)
{
    if (dec == NULL)
        return;
    for (unsigned p = 0; p < EBB_TRAJ_PARTS_MAX; p++) {
        ebb_traj_part_clean_up(&dec->parts[p]);
        for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
            ebb_traj_reader_clean_up(&dec->readers[p].of[0][k]);
            ebb_traj_reader_clean_up(&dec->readers[p].of[1][k]);
        }
    }
    for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        free(dec->numbers.of[k]);
        free(dec->contexts.of[k]);
    }
    free(dec->side);
    free(dec->q);
    free(dec->arms);
    free(dec->odd);
    free(dec);
}

static int read_side(struct ebb_traj_decoder *dec, const uint8_t *group, struct ebb_error *err)
{
    const struct ebb_traj_header *h = &dec->header;
    dec->side = malloc((size_t)h->side_len + 1);
    if (dec->side == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE,
                             "trajectory group: no memory for its side "
                             "information of %u bytes",
                             h->side_len);
    const uint8_t *at = group + EBB_TRAJ_HEADER_BYTES;
    if (h->side_packed == h->side_len) {
        memcpy(dec->side, at, h->side_len);
        return 0;
    }
    size_t n = ZSTD_decompress(dec->side, h->side_len, at, h->side_packed);
    if (ZSTD_isError(n) || n != h->side_len)
        return corrupt(err, "its side information does not unpack");
    return 0;
}

/* Every atom belongs to one part. */
static int check_cover(const struct ebb_traj_decoder *dec, struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *seen = calloc(dec->header.info.atoms + 1, 1);
    if (seen == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for %zu atoms",
                             dec->header.info.atoms);
    for (unsigned p = 0; p < dec->part_count; p++) {
        const struct ebb_traj_part *part = &dec->parts[p];
        for (uint32_t i = 0; i < part->n; i++) {
            for (uint32_t k = 0; k < part->atoms_each; k++) {
                if (seen[part->first[i] + k]++ != 0)
                    return corrupt(err, "two parts have the same atom");
            }
        }
    }
    return 0;
}

static int read_parts(struct ebb_traj_decoder *dec, size_t *at, struct ebb_error *err)
{
    const size_t side_len = dec->header.side_len;
    uint64_t count, frames_len;
    size_t left = dec->header.info.atoms;
    const size_t near_sites = (dec->header.info.bytes + 1) * EBB_TRAJ_NEAR_PER_BYTE - 1;
    if (!ebb_varint_get(dec->side, side_len, at, &count) || count > EBB_TRAJ_PARTS_MAX)
        return corrupt(err, "it has too many parts");
    for (; dec->part_count < count; dec->part_count++) {
        int rc = ebb_traj_part_read(&dec->parts[dec->part_count], dec->header.info.atoms,
                                    near_sites, &left, dec->side, side_len, at, err);
        if (rc < 0)
            return rc;
        if (dec->parts[dec->part_count].type == EBB_TRAJ_PART_CRYSTAL &&
            dec->header.info.bit_packed)
            return corrupt(err, "a crystal cannot be bit-packed");
    }
    if (left != 0)
        return corrupt(err, "some atoms are in no part");
    if (!ebb_varint_get(dec->side, side_len, at, &frames_len) || frames_len > side_len - *at)
        return corrupt(err, "its frames are cut short");
    dec->frames = dec->side + *at;
    dec->frames_len = (size_t)frames_len;
    *at += (size_t)frames_len;
    return check_cover(dec, err);
}

static int open_streams(struct ebb_traj_decoder *dec, const uint8_t *group, size_t *at,
                        struct ebb_error *err)
{
    const struct ebb_traj_header *h = &dec->header;
    const uint8_t *body = group + EBB_TRAJ_HEADER_BYTES + h->side_packed;
    const size_t body_len = h->info.bytes - EBB_TRAJ_HEADER_BYTES - h->side_packed;
    size_t body_at = 0;
    for (unsigned set = 0; set < 2; set++) {
        for (unsigned p = 0; p < dec->part_count; p++) {
            for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
                if (!ebb_traj_part_has_stream(&dec->parts[p], k))
                    continue;
                int rc =
                    ebb_traj_reader_open(&dec->readers[p].of[set][k], h->form,
                                         set == 0 ? 1 : ebb_traj_contexts(&dec->parts[p], k),
                                         dec->side, h->side_len, at, body, body_len, &body_at, err);
                if (rc < 0)
                    return rc;
            }
        }
    }
    for (; body_at < body_len; body_at++) {
        if (body[body_at] != 0)
            return corrupt(err, "there is more in it than its streams");
    }
    return *at == h->side_len ? 0 : corrupt(err, "its side information is too long");
}

static int allocate(struct ebb_traj_decoder *dec, struct ebb_error *err)
{
    const size_t atoms = dec->header.info.atoms;
    dec->q = calloc(3 * atoms + SLACK, sizeof *dec->q);
    dec->arms = calloc(3 * atoms + SLACK, sizeof *dec->arms);
    bool ok = dec->q != NULL && dec->arms != NULL;
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        size_t most = 0;
        for (unsigned p = 0; p < dec->part_count; p++) {
            size_t n = ebb_traj_part_numbers(&dec->parts[p], k);
            if (k == EBB_TRAJ_STREAM_SITE && dec->parts[p].type == EBB_TRAJ_PART_CRYSTAL)
                n = 3 * (size_t)dec->parts[p].n;
            most = n > most ? n : most;
        }
        dec->numbers.of[k] = calloc(most + SLACK, sizeof(uint32_t));
        ok = ok && dec->numbers.of[k] != NULL;
        if (dec->header.form == EBB_TRAJ_FORM_CONTEXTS) {
            dec->contexts.of[k] = calloc(most + SLACK, sizeof(uint32_t));
            ok = ok && dec->contexts.of[k] != NULL;
        }
    }
    for (unsigned p = 0; ok && p < dec->part_count; p++) {
        if (dec->parts[p].type == EBB_TRAJ_PART_CRYSTAL)
            ebb_traj_crystal_place(&dec->parts[p], dec->q);
    }
    return ok ? 0
              : ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for %zu atoms",
                              atoms);
}

static int open_group(struct ebb_traj_decoder *dec, const uint8_t *group, size_t len,
                      struct ebb_error *err)
{
    int rc = ebb_traj_header_read(group, len, &dec->header, err);
    if (rc < 0)
        return rc;
    if (ebb_traj_header_hash(group, dec->header.info.bytes) != dec->header.hash)
        return corrupt(err, "its checksum does not match: bytes were changed");
    size_t at = 0;
    if ((rc = read_side(dec, group, err)) < 0 || (rc = read_parts(dec, &at, err)) < 0 ||
        (rc = open_streams(dec, group, &at, err)) < 0)
        return rc;
    return allocate(dec, err);
}

int ebb_traj_decoder_open(const uint8_t *group, size_t len, struct ebb_traj_decoder **ret,
                          struct ebb_error *err)
{
    struct ebb_traj_decoder *dec = ebb_alloc(sizeof *dec);
    int rc = open_group(dec, group, len, err);
    if (rc < 0) {
        ebb_traj_decoder_destroy(dec);
        return rc;
    }
    *ret = dec;
    return 0;
}

static bool get_byte(struct ebb_traj_decoder *dec, uint8_t *ret)
{
    if (dec->frames_at >= dec->frames_len)
        return false;
    *ret = dec->frames[dec->frames_at++];
    return true;
}

static bool get_varint(struct ebb_traj_decoder *dec, uint64_t *ret)
{
    return ebb_varint_get(dec->frames, dec->frames_len, &dec->frames_at, ret);
}

static bool get_bits(struct ebb_traj_decoder *dec, unsigned bytes, uint64_t *ret)
{
    if (dec->frames_len - dec->frames_at < bytes)
        return false;
    *ret = 0;
    for (unsigned i = 0; i < bytes; i++)
        *ret |= (uint64_t)dec->frames[dec->frames_at++] << (8 * i);
    return true;
}

static bool get_box(struct ebb_traj_decoder *dec)
{
    for (unsigned k = 0; k < 9; k++) {
        uint64_t bits;
        if (!get_bits(dec, 4, &bits))
            return false;
        uint32_t word = (uint32_t)bits;
        memcpy(&dec->box[k], &word, sizeof word);
    }
    return true;
}

/* Of a crystal: two for each level but the first that it has. */
static bool get_level_weights(struct ebb_traj_decoder *dec, const struct ebb_traj_part *p,
                              struct ebb_traj_weights *w)
{
    for (unsigned l = 1; l < EBB_TRAJ_NEAR_STREAMS; l++) {
        uint8_t same, along;
        if (ebb_traj_part_numbers(p, (int)l) == 0)
            continue;
        if (!get_byte(dec, &same) || !get_byte(dec, &along))
            return false;
        w->level_same[l] = (int8_t)same;
        w->level_along[l] = (int8_t)along;
    }
    return true;
}

static bool get_weights(struct ebb_traj_decoder *dec, const struct ebb_traj_part *p,
                        struct ebb_traj_weights *w)
{
    uint8_t last = 0, mean = 0;
    if (p->type != EBB_TRAJ_PART_CHAIN && (!get_byte(dec, &last) || !get_byte(dec, &mean)))
        return false;
    w->last = (int8_t)last;
    w->mean = (int8_t)mean;
    if (p->type == EBB_TRAJ_PART_LATTICE) {
        uint8_t same, along;
        if (!get_byte(dec, &same) || !get_byte(dec, &along))
            return false;
        w->same = (int8_t)same;
        w->along = (int8_t)along;
        return true;
    }
    if (p->type == EBB_TRAJ_PART_CRYSTAL)
        return get_level_weights(dec, p, w);
    return p->type == EBB_TRAJ_PART_FREE ||
           (get_byte(dec, &w->sphere) && get_byte(dec, &w->circle));
}

/* Coded numbers; those of chains have contexts that are learned. */
static int get_coded(struct ebb_traj_decoder *dec, struct ebb_traj_part *p,
                     struct ebb_traj_reader *r, int k, unsigned raw_bits, struct ebb_error *err)
{
    const size_t n = ebb_traj_part_numbers(p, k);
    uint32_t *numbers = dec->numbers.of[k];
    const bool contexts =
        dec->header.form == EBB_TRAJ_FORM_CONTEXTS && dec->done > 0 && ebb_traj_contexts(p, k) > 1;
    const bool learned = contexts && p->type == EBB_TRAJ_PART_CHAIN;
    if (learned)
        ebb_traj_contexts_of_past(p, k, dec->contexts.of[k]);
    int rc = ebb_traj_reader_get(r, raw_bits, dec->contexts.of[k], numbers, n, err);
    if (rc < 0)
        return rc;
    if (contexts && !ebb_traj_stream_is_joined(p, k))
        ebb_traj_lower_signs(numbers, n, raw_bits);
    if (learned && !ebb_traj_contexts_learn(p, k, numbers, dec->done == 1))
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for a chain");
    return 0;
}

static int get_stream(struct ebb_traj_decoder *dec, unsigned part, int k, unsigned raw_bits,
                      struct ebb_error *err)
{
    struct ebb_traj_part *p = &dec->parts[part];
    struct ebb_traj_reader *r = &dec->readers[part].of[dec->done == 0 ? 0 : 1][k];
    const size_t n = ebb_traj_part_numbers(p, k);
    switch (dec->header.form) {
    case EBB_TRAJ_FORM_TILES:
        return ebb_traj_reader_get_tiles(r, dec->numbers.of[k], n, ebb_traj_stream_runs(k), err);
    case EBB_TRAJ_FORM_BLOCKS:
        return ebb_traj_reader_get_blocks(r, dec->numbers.of[k], n, err);
    default:
        return get_coded(dec, p, r, k, raw_bits, err);
    }
}

/* Raw bits of each stream of the part. */
static int get_raw_bits(struct ebb_traj_decoder *dec, unsigned part,
                        uint8_t ret[EBB_TRAJ_STREAM_KINDS], struct ebb_error *err)
{
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        ret[k] = 0;
        if (!dec->header.info.bit_packed && ebb_traj_part_numbers(&dec->parts[part], k) > 0 &&
            (!get_byte(dec, &ret[k]) || ret[k] > EBB_TRAJ_RAW_MAX))
            return corrupt(err, "a frame is cut short");
    }
    return 0;
}

static int get_numbers(struct ebb_traj_decoder *dec, unsigned part, struct ebb_error *err)
{
    uint8_t raw_bits[EBB_TRAJ_STREAM_KINDS];
    int rc = get_raw_bits(dec, part, raw_bits, err);
    for (int k = 0; rc == 0 && k < EBB_TRAJ_STREAM_KINDS; k++) {
        if (ebb_traj_part_numbers(&dec->parts[part], k) > 0)
            rc = get_stream(dec, part, k, raw_bits[k], err);
    }
    return rc;
}

/* Water whose numbers have contexts: each stream's are known when those before it are decoded. */
static int decode_in_contexts(struct ebb_traj_decoder *dec, unsigned part,
                              const struct ebb_traj_frame_context *c, struct ebb_error *err)
{
    struct ebb_traj_part *p = &dec->parts[part];
    struct ebb_traj_numbers *numbers = &dec->numbers, *contexts = &dec->contexts;
    uint8_t raw[EBB_TRAJ_STREAM_KINDS] = {0};
    int rc = get_raw_bits(dec, part, raw, err);
    if (rc < 0 ||
        (rc = get_stream(dec, part, EBB_TRAJ_STREAM_SITE, raw[EBB_TRAJ_STREAM_SITE], err)) < 0)
        return rc;
    ebb_traj_decode_part(p, numbers, c, EBB_TRAJ_STAGE_FIRST, dec->q, dec->arms);
    ebb_traj_contexts_face(p, p->a, contexts);
    rc = get_stream(dec, part, EBB_TRAJ_STREAM_FACE, raw[EBB_TRAJ_STREAM_FACE], err);
    if (rc < 0)
        return rc;
    /* The contexts first, then the numbers, then these are turned. */
    ebb_traj_contexts_sphere(p, p->a, numbers, contexts);
    rc = get_stream(dec, part, EBB_TRAJ_STREAM_SPHERE, raw[EBB_TRAJ_STREAM_SPHERE], err);
    if (rc < 0)
        return rc;
    ebb_traj_contexts_sphere(p, p->a, numbers, contexts);
    ebb_traj_decode_part(p, numbers, c, EBB_TRAJ_STAGE_SECOND, dec->q, dec->arms);
    ebb_traj_contexts_arc(p, &c->weights, p->b, contexts);
    rc = get_stream(dec, part, EBB_TRAJ_STREAM_ARC, raw[EBB_TRAJ_STREAM_ARC], err);
    if (rc < 0)
        return rc;
    ebb_traj_contexts_circle(p, &c->weights, p->b, numbers, contexts);
    rc = get_stream(dec, part, EBB_TRAJ_STREAM_CIRCLE, raw[EBB_TRAJ_STREAM_CIRCLE], err);
    if (rc < 0)
        return rc;
    ebb_traj_contexts_circle(p, &c->weights, p->b, numbers, contexts);
    if (p->atoms_each == 4)
        rc = get_stream(dec, part, EBB_TRAJ_STREAM_VIRTUAL, raw[EBB_TRAJ_STREAM_VIRTUAL], err);
    if (rc == 0)
        ebb_traj_decode_part(p, numbers, c, EBB_TRAJ_STAGE_THIRD, dec->q, dec->arms);
    return rc;
}

/* A stream's frame as tiles: as it stands in the group, or made of the blocks of old. */
static int take_stream(struct ebb_traj_decoder *dec, struct ebb_traj_reader *r, int kind, size_t n,
                       struct ebb_traj_raw_frame *raw, struct ebb_error *err)
{
    const unsigned runs = ebb_traj_stream_runs(kind);
    const uint8_t *heads = NULL, *words = NULL;
    size_t head_bytes = 0, word_bytes = 0;
    struct ebb_traj_reader tiles = {0};
    EBB_AUTO(ebb_traj_writer_clean_up) struct ebb_traj_writer made = {0};
    int rc;
    if (dec->header.form == EBB_TRAJ_FORM_BLOCKS) {
        if ((rc = ebb_traj_reader_get_blocks(r, dec->numbers.of[kind], n, err)) < 0)
            return rc;
        ebb_traj_writer_put_tiles(&made, dec->numbers.of[kind], n, runs);
        tiles.low = made.low.data;
        tiles.low_end = made.low.data + made.low.len;
        r = &tiles;
    }
    rc = ebb_traj_reader_get_packed(r, n, runs, &heads, &head_bytes, &words, &word_bytes, err);
    if (rc < 0)
        return rc;
    size_t at = 0;
    for (unsigned k = 0; k < runs; k++) {
        const uint8_t *of_run = heads + k * (head_bytes / runs);
        if (!ebb_tiles_are_whole(of_run, words + at, n / runs))
            return corrupt(err, "a tile's unary code does not end where its numbers do");
        at += ebb_tiles_bytes(of_run, n / runs);
    }
    ebb_buffer_append(&raw->heads, heads, head_bytes);
    ebb_buffer_append(&raw->words, words, word_bytes);
    return 0;
}

static int take_streams(struct ebb_traj_decoder *dec, unsigned part, struct ebb_traj_raw_frame *raw,
                        struct ebb_error *err)
{
    int rc = 0;
    for (int k = 0; rc == 0 && k < EBB_TRAJ_STREAM_KINDS; k++) {
        const size_t n = ebb_traj_part_numbers(&dec->parts[part], k);
        if (n > 0)
            rc = take_stream(dec, &dec->readers[part].of[1][k], k, n, raw, err);
    }
    return rc;
}

/* A lattice's numbers to those of free atoms; its neighbours are found when the key frame is whole.
 */
static int decode_near(struct ebb_traj_decoder *dec, struct ebb_traj_part *p,
                       const struct ebb_traj_weights *w, struct ebb_error *err)
{
    if (dec->done == 1)
        p->near = ebb_traj_near_new(p->first, p->n, dec->q, p->reach, 1);
    if (p->near == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for a lattice");
    ebb_traj_near_decode(p->near, w->same, w->along, dec->numbers.of[EBB_TRAJ_STREAM_SITE]);
    return 0;
}

/* Level by level, each with the tables of its own; in the key frame too. */
static int get_crystal(struct ebb_traj_decoder *dec, unsigned part,
                       const struct ebb_traj_weights *w, struct ebb_error *err)
{
    struct ebb_traj_part *p = &dec->parts[part];
    uint32_t *numbers = dec->numbers.of[EBB_TRAJ_STREAM_SITE];
    uint8_t raw_bits[EBB_TRAJ_STREAM_KINDS];
    int rc = get_raw_bits(dec, part, raw_bits, err);
    for (unsigned k = 0; rc == 0 && k < EBB_TRAJ_NEAR_STREAMS; k++) {
        const size_t n = ebb_traj_part_numbers(p, (int)k);
        if (n == 0)
            continue;
        rc = ebb_traj_reader_get(&dec->readers[part].of[dec->done == 0 ? 0 : 1][k], raw_bits[k],
                                 NULL, p->crystal->level, n, err);
        ebb_traj_crystal_give(p, k, p->crystal->level, numbers);
    }
    if (rc == 0 && p->near != NULL)
        ebb_traj_near_decode_levels(p->near, w->level_same, w->level_along, numbers);
    return rc;
}

static int decode_part(struct ebb_traj_decoder *dec, unsigned part,
                       const struct ebb_traj_frame_context *c, struct ebb_error *err)
{
    struct ebb_traj_part *p = &dec->parts[part];
    if (dec->header.form == EBB_TRAJ_FORM_CONTEXTS && dec->done > 0 &&
        p->type == EBB_TRAJ_PART_WATER)
        return decode_in_contexts(dec, part, c, err);
    int rc = p->type == EBB_TRAJ_PART_CRYSTAL ? get_crystal(dec, part, &c->weights, err)
                                              : get_numbers(dec, part, err);
    if (rc == 0 && dec->done > 0 && p->type == EBB_TRAJ_PART_LATTICE)
        rc = decode_near(dec, p, &c->weights, err);
    if (rc == 0)
        ebb_traj_decode_part(p, &dec->numbers, c, EBB_TRAJ_STAGES, dec->q, dec->arms);
    return rc;
}

/* Of a crystal, before the first frame that uses its neighbours. */
static int arrange_crystal(struct ebb_traj_part *p, struct ebb_error *err)
{
    if (!ebb_traj_crystal_arrange(p))
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for a crystal");
    return ebb_traj_crystal_levels(p) == p->crystal->levels
               ? 0
               : corrupt(err, "a crystal has other levels than it says");
}

static int decode_parts(struct ebb_traj_decoder *dec, const struct ebb_traj_box *box,
                        struct ebb_traj_raw_frame *raw, struct ebb_error *err)
{
    for (unsigned p = 0; p < dec->part_count; p++) {
        const bool crystal = dec->parts[p].type == EBB_TRAJ_PART_CRYSTAL;
        struct ebb_traj_frame_context c = {
            .box = box, .before = dec->done + (crystal ? dec->parts[p].crystal->prior : 0)};
        int rc = 0;
        if (crystal && dec->done == dec->parts[p].crystal->from &&
            (rc = arrange_crystal(&dec->parts[p], err)) < 0)
            return rc;
        if ((dec->done > 0 || crystal) && !get_weights(dec, &dec->parts[p], &c.weights))
            return corrupt(err, "a frame is cut short");
        rc = raw != NULL ? take_streams(dec, p, raw, err) : decode_part(dec, p, &c, err);
        if (rc < 0)
            return rc;
        if (raw != NULL)
            raw->weights[p] = c.weights;
    }
    return 0;
}

static bool get_miss(struct ebb_traj_decoder *dec, const struct ebb_traj_box *box,
                     struct ebb_traj_miss *ret)
{
    uint8_t code;
    if (!get_byte(dec, &code))
        return false;
    if (code == EBB_TRAJ_MISS_EXPLICIT) {
        uint64_t x, y, z;
        if (!get_varint(dec, &x) || !get_varint(dec, &y) || !get_varint(dec, &z) ||
            (x | y | z) > UINT32_MAX)
            return false;
        ret->x = ebb_traj_unzigzag((uint32_t)x);
        ret->y = ebb_traj_unzigzag((uint32_t)y);
        ret->z = ebb_traj_unzigzag((uint32_t)z);
        return true;
    }
    if (code >= 27)
        return false;
    const int32_t a = code % 3 - 1, b = code / 3 % 3 - 1, c = code / 9 - 1;
    ret->x = a * box->xx + b * box->yx + c * box->zx;
    ret->y = b * box->yy + c * box->zy;
    ret->z = c * box->zz;
    return true;
}

static void apply_miss(const struct ebb_traj_miss *m, int32_t *q)
{
    int32_t *at = q + 3 * (size_t)m->atom;
    at[0] = ebb_traj_add(at[0], m->x);
    at[1] = ebb_traj_add(at[1], m->y);
    at[2] = ebb_traj_add(at[2], m->z);
}

static int get_misses(struct ebb_traj_decoder *dec, const struct ebb_traj_box *box,
                      struct ebb_traj_raw_frame *raw, struct ebb_error *err)
{
    uint64_t count, gap, next = 0;
    const size_t atoms = dec->header.info.atoms;
    if (!get_varint(dec, &count) || count > atoms)
        return corrupt(err, "a frame's corrections are damaged");
    for (; count > 0; count--, next++) {
        struct ebb_traj_miss m;
        if (!get_varint(dec, &gap) || gap >= atoms - next || !get_miss(dec, box, &m))
            return corrupt(err, "a frame's corrections are damaged");
        next += gap;
        m.atom = (uint32_t)next;
        if (raw != NULL)
            ebb_buffer_append(&raw->misses, &m, sizeof m);
        else
            apply_miss(&m, dec->q);
    }
    return 0;
}

static bool get_odd_atom(struct ebb_traj_decoder *dec, struct odd_atom *o)
{
    const bool wide = dec->header.info.kind == EBB_TRAJ_F64;
    for (unsigned k = 0; k < 3; k++) {
        uint64_t bits;
        if (!get_bits(dec, wide ? 8 : 4, &bits))
            return false;
        if (wide) {
            memcpy(&o->x[k], &bits, sizeof o->x[k]);
            float narrow = (float)o->x[k];
            memcpy(&o->bits[k], &narrow, sizeof narrow);
        } else {
            float narrow;
            o->bits[k] = (uint32_t)bits;
            memcpy(&narrow, &o->bits[k], sizeof narrow);
            o->x[k] = narrow;
        }
    }
    return true;
}

static int get_odd(struct ebb_traj_decoder *dec, struct ebb_error *err)
{
    uint64_t count, gap, next = 0;
    const size_t atoms = dec->header.info.atoms;
    if (dec->header.info.kind == EBB_TRAJ_LATTICE || !get_varint(dec, &count) || count > atoms ||
        count > dec->frames_len)
        return corrupt(err, "a frame's coordinates off the lattice are damaged");
    if (dec->odd_capacity < count) {
        dec->odd = ebb_realloc_array(dec->odd, (size_t)count, sizeof *dec->odd);
        dec->odd_capacity = (size_t)count;
    }
    for (; dec->odd_count < count; next++) {
        if (!get_varint(dec, &gap) || gap >= atoms - next ||
            !get_odd_atom(dec, &dec->odd[dec->odd_count]))
            return corrupt(err, "a frame's coordinates off the lattice are damaged");
        next += gap;
        dec->odd[dec->odd_count++].atom = (uint32_t)next;
    }
    return 0;
}

/* After the last frame every stream must have been read to its end. */
static int check_end(const struct ebb_traj_decoder *dec, struct ebb_error *err)
{
    bool done = dec->frames_at == dec->frames_len;
    for (unsigned p = 0; p < dec->part_count; p++) {
        for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
            if (ebb_traj_part_has_stream(&dec->parts[p], k))
                done = done && ebb_traj_reader_done(&dec->readers[p].of[0][k]) &&
                       ebb_traj_reader_done(&dec->readers[p].of[1][k]);
        }
    }
    return done ? 0 : corrupt(err, "its streams are longer than its frames");
}

static int read_frame(struct ebb_traj_decoder *dec, struct ebb_traj_raw_frame *raw,
                      struct ebb_error *err)
{
    static const struct ebb_traj_box none;
    uint8_t flags;
    if (!get_byte(dec, &flags) || flags > 15 ||
        ((flags & EBB_TRAJ_FRAME_BOX) != 0 && !get_box(dec)))
        return corrupt(err, "a frame is cut short");
    struct ebb_traj_box box;
    ebb_traj_box_make(dec->box, dec->header.info.quantum, &box);
    dec->odd_count = 0;
    const bool inside = (flags & EBB_TRAJ_FRAME_WRAPPED) != 0;
    if (raw != NULL)
        raw->inside = inside;
    int rc = decode_parts(dec, inside ? &box : &none, raw, err);
    if (rc == 0 && (flags & EBB_TRAJ_FRAME_MISSES) != 0)
        rc = get_misses(dec, &box, raw, err);
    if (rc == 0 && (flags & EBB_TRAJ_FRAME_ODD) != 0)
        rc = get_odd(dec, err);
    if (rc == 0 && ++dec->done == dec->header.info.frames)
        rc = check_end(dec, err);
    return rc;
}

int ebb_traj_frame_read(struct ebb_traj_decoder *dec, struct ebb_traj_raw_frame *raw,
                        struct ebb_error *err)
{
    if (dec->failed.code == 0) {
        if (dec->done == dec->header.info.frames)
            return 0;
        int rc = read_frame(dec, raw, &dec->failed);
        if (rc == 0)
            return 1;
    }
    if (err != NULL)
        ebb_error_copy(err, &dec->failed);
    return dec->failed.code;
}

/* 1: a frame lies in q and box; 0: the group is over. */
static int advance(struct ebb_traj_decoder *dec, float *box, struct ebb_error *err)
{
    if (dec->gives_pieces)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "trajectory group: its frames are being taken as pieces");
    int rc = ebb_traj_frame_read(dec, NULL, err);
    if (rc == 1 && box != NULL)
        memcpy(box, dec->box, sizeof dec->box);
    return rc;
}

int ebb_traj_decoder_next(struct ebb_traj_decoder *dec, float *xyz, float box[9],
                          struct ebb_error *err)
{
    int rc = advance(dec, box, err);
    if (rc != 1)
        return rc;
    ebb_traj_dequantise_f32(dec->q, 3 * dec->header.info.atoms, dec->header.info.quantum, xyz);
    for (size_t i = 0; i < dec->odd_count; i++)
        memcpy(xyz + 3 * (size_t)dec->odd[i].atom, dec->odd[i].bits, sizeof dec->odd[i].bits);
    return 1;
}

int ebb_traj_decoder_next_f64(struct ebb_traj_decoder *dec, double *xyz, float box[9],
                              struct ebb_error *err)
{
    int rc = advance(dec, box, err);
    if (rc != 1)
        return rc;
    ebb_traj_dequantise_f64(dec->q, 3 * dec->header.info.atoms, dec->header.info.quantum, xyz);
    for (size_t i = 0; i < dec->odd_count; i++)
        memcpy(xyz + 3 * (size_t)dec->odd[i].atom, dec->odd[i].x, sizeof dec->odd[i].x);
    return 1;
}

int ebb_traj_decoder_next_lattice(struct ebb_traj_decoder *dec, int32_t *q, float box[9],
                                  struct ebb_error *err)
{
    int rc = advance(dec, box, err);
    if (rc != 1)
        return rc;
    if (dec->odd_count > 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "trajectory group: frame %u has coordinates that are on no lattice",
                             dec->done - 1);
    if (dec->header.info.atoms > 0)
        memcpy(q, dec->q, 3 * dec->header.info.atoms * sizeof *q);
    return 1;
}
