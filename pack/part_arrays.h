/* Parts of arrays: what is known to be numbers goes through the tensor codec, an array at a time,
 * and what lies between is packed together as plain bytes. */
#ifndef EBB_PACK_PART_ARRAYS_H
#define EBB_PACK_PART_ARRAYS_H

#include "base/dtype.h"
#include "kernels/tensor/tensor.h"
#include "pack/part.h"
#include "pack/trajectory.h"

/* One run of the part's bytes; in order they make it up. */
struct ebb_part_section {
    size_t len; /* bytes */
    bool is_array;
    /* Arrays: len is a multiple of the element's size. */
    enum ebb_dtype dtype;
    bool big_endian;
    size_t columns; /* 0: flat */
    enum ebb_tensor_role role;
    bool has_base; /* the base has as many bytes of the same type here: */
    uint64_t base_offset;
    /* Positions, and velocities of the same atoms further on, are packed together. */
    enum ebb_part_motion { EBB_PART_OTHER, EBB_PART_POSITIONS, EBB_PART_VELOCITIES } motion;
    double box[3]; /* of positions: rectangular; zeros: unknown */
    bool recurs;   /* a file of frames has the like of it in each: one may be told from the last */
    /* Positions: a frame of the same atoms in the base, which is a trajectory then. */
    bool has_frame;
    struct ebb_frame_ref frame;
};

/* The motion of an array by its role, and the box, which stands before the positions: of each array
 * of a file in turn; `box` is what was seen last. */
struct ebb_range;
enum ebb_part_motion ebb_part_motion_of(const struct ebb_range *range);
bool ebb_part_recurs(const struct ebb_range *range);
void ebb_part_see_box(const struct ebb_range *range, const struct ebb_bytes *file, double box[3]);

/* Appends the payload; *ret_codec is EBB_PART_SECTIONS, or EBB_PART_OVER_FRAMES when positions are
 * refined against frames. `base` is read where sections say so; whether reading the part needs it
 * is in *ret_needs_base. */
int ebb_part_encode_arrays(const uint8_t *raw, const struct ebb_part_section *sections,
                           size_t count, const struct ebb_bytes *base, enum ebb_pack_level level,
                           struct ebb_buffer *out, uint32_t *ret_codec, bool *ret_needs_base,
                           struct ebb_error *err);
/* As ebb_part_decode, of both codecs. */
int ebb_part_decode_arrays(const uint8_t *payload, size_t len, const struct ebb_bytes *base,
                           uint8_t *out, size_t raw_bytes, struct ebb_error *err);

#endif
