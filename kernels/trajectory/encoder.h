/* What the files of the encoder share; for them alone. */
#ifndef EBB_KERNELS_TRAJECTORY_ENCODER_H
#define EBB_KERNELS_TRAJECTORY_ENCODER_H

#include "kernels/trajectory/classes.h"
#include "kernels/trajectory/contexts.h"
#include "kernels/trajectory/group.h"
#include "kernels/trajectory/model.h"
#include "kernels/trajectory/stream.h"

#define EBB_TRAJ_LOOK_FRAMES 4

struct held_frame {
    int32_t *q;
    struct ebb_buffer odd; /* atom, then the floats as they came */
    uint32_t odd_count;
    float box[9];
};

/* The streams of a part: of the key frame, and of the frames after it. */
struct part_writers {
    struct ebb_traj_writer of[2][EBB_TRAJ_STREAM_KINDS];
};

struct ebb_traj_encoder {
    size_t atoms;
    double quantum;
    uint32_t group_frames;
    int level;
    bool bit_packed;
    uint32_t *molecule;

    enum ebb_traj_kind kind; /* of the group's frames */
    uint32_t held, encoded;  /* frames waiting for the classes; frames turned into numbers */
    struct held_frame look[EBB_TRAJ_LOOK_FRAMES];
    struct held_frame *previous; /* the last one encoded, one of `look` */
    bool bad_fit;                /* the classes do not hold: close the group */
    bool out_of_memory;          /* while the group's numbers were put */

    struct ebb_traj_part parts[EBB_TRAJ_PARTS_MAX];
    struct part_writers writers[EBB_TRAJ_PARTS_MAX];
    struct ebb_traj_weights weights[EBB_TRAJ_PARTS_MAX]; /* the last that were fitted */
    unsigned part_count;
    enum ebb_traj_form form;         /* of the group */
    struct ebb_traj_numbers numbers; /* scratch */
    struct ebb_traj_numbers contexts;
    int32_t *homes;       /* x, y, z by atom, of crystals: what stands before their key frame */
    int32_t *arms_before; /* water: second and third sites in the frame before, with contexts */
    struct ebb_traj_misses misses;
    int32_t *model, *arms; /* for chains, see ebb_traj_encode_part */
    bool has_chain;
    struct ebb_buffer frames;            /* what the frames say of themselves */
    struct ebb_buffer side, packed_side; /* of the group that is being closed */
    float last_box[9];
    bool rigid_only;
    bool inside;     /* the last frame was kept inside its box */
    bool has_pieces; /* the frames that came last came as pieces: `previous` is not known */
};

/* A frame's own bytes: flags, box, weights and raw bits of each part, misses, coordinates off the
 * lattice. begin returns the place of the flags; before end, enc->misses are the differences to be
 * added. */
size_t ebb_traj_frame_begin(struct ebb_traj_encoder *enc, const float box[9]);
void ebb_traj_frame_put_weights(struct ebb_traj_encoder *enc, unsigned part);
void ebb_traj_frame_end(struct ebb_traj_encoder *enc, size_t flags_at, bool inside,
                        const struct ebb_traj_box *box, const struct ebb_buffer *odd,
                        uint32_t odd_count);
/* An atom's entry in `odd`: its distance from the last one's, its floats' bits. */
void ebb_traj_frame_put_odd(struct ebb_buffer *odd, uint32_t gap, const float x[3]);
/* Closes the group when it has to be. */
int ebb_traj_frame_done(struct ebb_traj_encoder *enc, struct ebb_buffer *out,
                        struct ebb_error *err);

#endif
