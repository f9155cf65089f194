/* Frames of a group as pieces, for whoever unpacks them elsewhere. */
#include <string.h>

#include "kernels/trajectory/decoder.h"
#include "kernels/trajectory/pieces.h"
#include "kernels/trajectory/pieces_layout.h"
#include "kernels/trajectory/pieces_parts.h"

int ebb_traj_decoder_plan(const struct ebb_traj_decoder *dec, struct ebb_kernels_trajectory *ret,
                          struct ebb_error *err)
{
    bool other = false;
    for (unsigned p = 0; p < dec->part_count; p++)
        other |= dec->parts[p].type == EBB_TRAJ_PART_CHAIN ||
                 dec->parts[p].type >= EBB_TRAJ_PART_LATTICE;
    if (other || !dec->header.info.bit_packed || dec->header.info.kind == EBB_TRAJ_F64)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "trajectory group: %s: no device unpacks it",
                             other                         ? "it has bonded atoms or a lattice"
                             : dec->header.info.bit_packed ? "its coordinates are doubles"
                                                           : "it is not bit-packed");
    ebb_traj_plan_of(dec->parts, dec->part_count, dec->header.info.atoms, dec->header.info.quantum,
                     ret);
    return 0;
}

int ebb_traj_decoder_state(const struct ebb_traj_decoder *dec, void *ret, struct ebb_error *err)
{
    struct ebb_kernels_trajectory plan;
    int rc = ebb_traj_decoder_plan(dec, &plan, err);
    if (rc < 0)
        return rc;
    if (dec->done == 0 || dec->gives_pieces || dec->failed.code != 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "trajectory group: no state but after a frame of coordinates");
    ebb_traj_state_of(&plan, dec->parts, dec->q, ret);
    return 0;
}

static void pad(struct ebb_buffer *b, size_t start)
{
    static const uint8_t zeros[16];
    ebb_buffer_append(b, zeros, (16 - (b->len - start) % 16) % 16);
}

/* What are other images goes to `images`, the other misses to `out`. */
static void put_misses(const struct ebb_traj_decoder *dec, const struct ebb_traj_raw_frame *raw,
                       struct ebb_piece_header *h, struct ebb_buffer *out,
                       struct ebb_buffer *images)
{
    struct ebb_traj_box box;
    ebb_traj_box_make(dec->box, dec->header.info.quantum, &box);
    for (size_t at = 0; at < raw->misses.len; at += sizeof(struct ebb_traj_miss)) {
        struct ebb_traj_miss m;
        memcpy(&m, raw->misses.data + at, sizeof m);
        const uint32_t code = ebb_piece_image_code(&box, m.x, m.y, m.z),
                       image = m.atom * EBB_PIECE_IMAGE_CODES + code;
        if (code < EBB_PIECE_IMAGE_CODES)
            ebb_buffer_append(images, &image, sizeof image);
        else
            ebb_buffer_append(out, &m, sizeof m);
        h->images += code < EBB_PIECE_IMAGE_CODES;
        h->misses += code == EBB_PIECE_IMAGE_CODES;
    }
}

static void put_piece(const struct ebb_traj_decoder *dec, const struct ebb_traj_raw_frame *raw,
                      struct ebb_buffer *out)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer images = {0};
    const size_t start = out->len;
    struct ebb_piece_header h = {
        .words = raw->words.len / 4,
        .odd = (uint32_t)dec->odd_count,
        .version = EBB_PIECE_VERSION,
    };
    ebb_buffer_append(out, &h, sizeof h);
    ebb_buffer_append(out, raw->heads.data, raw->heads.len);
    pad(out, start);
    ebb_buffer_append(out, raw->words.data, raw->words.len);
    pad(out, start);
    put_misses(dec, raw, &h, out, &images);
    for (size_t i = 0; i < dec->odd_count; i++) {
        const struct odd_atom *o = &dec->odd[i];
        const struct ebb_piece_odd item = {o->atom, o->bits[0], o->bits[1], o->bits[2]};
        ebb_buffer_append(out, &item, sizeof item);
    }
    ebb_buffer_append(out, images.data, images.len);
    h.bytes = out->len - start;
    memcpy(out->data + start, &h, sizeof h);
}

static void tell_frame(const struct ebb_traj_decoder *dec, const struct ebb_traj_raw_frame *raw,
                       struct ebb_kernels_trajectory_frame *ret)
{
    *ret = (struct ebb_kernels_trajectory_frame){.before = dec->done - 1, .inside = raw->inside};
    memcpy(ret->box, dec->box, sizeof ret->box);
    for (unsigned p = 0; p < dec->part_count; p++) {
        ret->weights[p].last = raw->weights[p].last;
        ret->weights[p].mean = raw->weights[p].mean;
        ret->weights[p].sphere = raw->weights[p].sphere;
        ret->weights[p].circle = raw->weights[p].circle;
    }
}

int ebb_traj_decoder_next_piece(struct ebb_traj_decoder *dec, struct ebb_buffer *piece,
                                struct ebb_kernels_trajectory_frame *frame, struct ebb_error *err)
{
    struct ebb_kernels_trajectory plan;
    int rc = ebb_traj_decoder_plan(dec, &plan, err);
    if (rc < 0)
        return rc;
    if (dec->done == 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "trajectory group: its first frame is to be read as coordinates");
    struct ebb_traj_raw_frame raw = {0};
    dec->gives_pieces = true;
    rc = ebb_traj_frame_read(dec, &raw, err);
    if (rc == 1) {
        put_piece(dec, &raw, piece);
        tell_frame(dec, &raw, frame);
    }
    ebb_buffer_clean_up(&raw.heads);
    ebb_buffer_clean_up(&raw.words);
    ebb_buffer_clean_up(&raw.misses);
    return rc;
}
