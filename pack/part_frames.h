/* Parts of frames: the coordinates of some frames of one size go through the trajectory codec as a
 * group, and everything else of them is packed together beside it. Unpacking puts the frames
 * together again as the file's format has them. */
#ifndef EBB_PACK_PART_FRAMES_H
#define EBB_PACK_PART_FRAMES_H

#include "formats/recognise.h"
#include "pack/part.h"

enum ebb_frames_type {
    EBB_FRAMES_LATTICE = 0, /* int32, exact (XTC) */
    EBB_FRAMES_F32 = 1,     /* floats and doubles, within quantum / 2 */
    EBB_FRAMES_F64 = 2,
};

/* The frames of a part that is being packed. What is appended for each frame: `rests`,
 * `coordinates` (atoms x 3 of the type), `boxes` (9 floats); a frame that is kept verbatim appends
 * its bytes to `rests` and nothing else. */
struct ebb_part_frames {
    enum ebb_file_kind kind; /* EBB_FILE_RAW: bare little-endian coordinates without a rest */
    enum ebb_frames_type type;
    size_t atoms;
    double quantum;      /* F32, F64; LATTICE: 1 / precision */
    uint32_t multiplier; /* LATTICE: these integers times this are the file's */
    uint32_t count;
    struct ebb_part_frame {
        uint32_t rest_bytes;
        bool is_verbatim;
    } * frames;
    size_t capacity;
    struct ebb_buffer rests;
    struct ebb_buffer coordinates;
    struct ebb_buffer boxes;
};
void ebb_part_frames_reset(struct ebb_part_frames *f); /* no frames, memory kept */
void ebb_part_frames_clean_up(struct ebb_part_frames *f);
/* One frame more; `coordinates` and `box` NULL: verbatim. */
void ebb_part_frames_add(struct ebb_part_frames *f, const void *rest, size_t rest_bytes,
                         const void *coordinates, const float box[9]);

/* Appends the payload (codec EBB_PART_FRAMES). */
int ebb_part_encode_frames(const struct ebb_part_frames *f, enum ebb_pack_level level,
                           struct ebb_buffer *out, struct ebb_error *err);
/* As ebb_part_decode. */
int ebb_part_decode_frames(const uint8_t *payload, size_t len, uint8_t *out, size_t raw_bytes,
                           struct ebb_error *err);
/* Appends at most max_bytes (EBB_ERR_CORRUPT when there are more) to `out`, and tells `seen` (may
 * be NULL) of each frame: what it became in the file, and its coordinates of the part's type (NULL
 * when verbatim; the lattice's are the file's). A result other than 0 ends it. */
int ebb_part_read_frames(const uint8_t *payload, size_t len, size_t max_bytes,
                         struct ebb_buffer *out,
                         int (*seen)(void *ctx, uint32_t number, const uint8_t *bytes, size_t len,
                                     const void *coordinates, struct ebb_error *err),
                         void *ctx, struct ebb_error *err);

#endif
