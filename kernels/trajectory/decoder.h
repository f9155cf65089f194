/* What the files of the decoder share; for them alone. */
#ifndef EBB_KERNELS_TRAJECTORY_DECODER_H
#define EBB_KERNELS_TRAJECTORY_DECODER_H

#include "kernels/trajectory/classes.h"
#include "kernels/trajectory/contexts.h"
#include "kernels/trajectory/group.h"
#include "kernels/trajectory/model.h"
#include "kernels/trajectory/stream.h"

struct odd_atom {
    uint32_t atom;
    double x[3]; /* floats widen exactly, but for the payload of a signalling NaN: see `bits` */
    uint32_t bits[3];
};

struct part_readers {
    struct ebb_traj_reader of[2][EBB_TRAJ_STREAM_KINDS];
};

struct ebb_traj_decoder {
    struct ebb_traj_header header;
    uint8_t *side;
    struct ebb_traj_part parts[EBB_TRAJ_PARTS_MAX];
    struct part_readers readers[EBB_TRAJ_PARTS_MAX];
    unsigned part_count;
    const uint8_t *frames; /* what the frames say of themselves */
    size_t frames_len, frames_at;
    uint32_t done; /* frames read */
    int32_t *q, *arms;
    struct ebb_traj_numbers numbers, contexts;
    float box[9];
    struct odd_atom *odd; /* of this frame */
    size_t odd_count, odd_capacity;
    struct ebb_error failed; /* a frame that cannot be read ends the group */
    bool gives_pieces;       /* coordinates and state are those of an earlier frame */
};

/* A frame as it stands in the group, for whoever decodes it elsewhere. */
struct ebb_traj_raw_frame {
    bool inside;
    struct ebb_traj_weights weights[EBB_TRAJ_PARTS_MAX];
    struct ebb_buffer heads, words; /* tiles of all streams, one after another */
    struct ebb_buffer misses;       /* struct ebb_traj_miss: what is to be added */
};

/* 1: a frame was read, its coordinates to dec->q, or, unless `raw` is NULL, what it is made of to
 * *raw (its buffers empty); dec->box and dec->odd are its own. 0: the group is over. */
int ebb_traj_frame_read(struct ebb_traj_decoder *dec, struct ebb_traj_raw_frame *raw,
                        struct ebb_error *err);

#endif
