/* Trajectories made small: frames of coordinates on a lattice, in groups.
 *
 * A group holds up to 100 frames of the same atoms and is self-contained: its first frame (the key
 * frame) needs nothing before it. Coordinates are whole numbers of a lattice spacing, the quantum;
 * floats are rounded to it (so the error is at most quantum / 2, plus one unit in the last place of
 * the float), whole numbers are kept as they are. Which atoms are rigid water, bonded or free is
 * found from the first frames of each group, or told. docs/format-trajectory.md states the bytes.
 *
 * Unit-agnostic: coordinates, box and quantum share the file's length unit. Nothing here blocks or
 * reads anything but its arguments. An encoder or decoder belongs to one thread at a time. */
#ifndef EBB_KERNELS_TRAJECTORY_TRAJECTORY_H
#define EBB_KERNELS_TRAJECTORY_TRAJECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define EBB_TRAJ_GROUP_FRAMES_MAX 100
/* Frames beyond which a group is cut, in atoms x frames: bounds the encoder's memory. */
#define EBB_TRAJ_GROUP_SITES_MAX (1u << 25)
#define EBB_TRAJ_ATOMS_MAX       (UINT32_MAX / 16)

/* Small: predictions are fitted anew in every frame, not every eighth; numbers have contexts, and
 * atoms of a solid are predicted from their neighbours (the latter bit-packed too). Atoms of a
 * crystal are, at the level fast, from the group's 13th frame on. */
enum ebb_traj_level { EBB_TRAJ_FAST = 0, EBB_TRAJ_SMALL = 1 };

struct ebb_traj_options {
    double quantum;        /* lattice spacing, > 0; with add_lattice alone: any (1 / precision) */
    uint32_t group_frames; /* a key frame every so many frames, 1..100; 0: 100 */
    int level;             /* enum ebb_traj_level */
    bool bit_packed;       /* without entropy coder, as a GPU writes and reads */
    bool rigid_only;       /* of the models only those that a GPU has: no bonded atoms */
    const uint32_t *molecule; /* molecule by atom (any numbering), or NULL: found from geometry;
                                 only read during ebb_traj_encoder_new */
};

/* What a group's coordinates were given as: add (float), add_f64 (double), add_lattice. */
enum ebb_traj_kind { EBB_TRAJ_F32 = 0, EBB_TRAJ_LATTICE = 1, EBB_TRAJ_F64 = 2 };

struct ebb_traj_group_info {
    size_t bytes; /* of this group, header included */
    size_t atoms;
    uint32_t frames;
    enum ebb_traj_kind kind;
    bool bit_packed;
    double quantum;
};

struct ebb_traj_encoder;
struct ebb_traj_decoder;

/* NULL with `err` filled when an option is out of range or there are too many atoms. */
struct ebb_traj_encoder *ebb_traj_encoder_new(size_t atoms, const struct ebb_traj_options *o,
                                              struct ebb_error *err);
void ebb_traj_encoder_destroy(struct ebb_traj_encoder *enc);
/* One frame more. Whenever a group is full its bytes are appended to `out`: each call appends
 * nothing or one or more whole groups. `box` is 3 rows; zeros, or NULL, when there is none. One
 * encoder takes frames of one kind between two groups: a frame of another kind begins a group. */
int ebb_traj_encoder_add(struct ebb_traj_encoder *enc, const float *xyz, const float box[9],
                         struct ebb_buffer *out, struct ebb_error *err);
int ebb_traj_encoder_add_f64(struct ebb_traj_encoder *enc, const double *xyz, const float box[9],
                             struct ebb_buffer *out, struct ebb_error *err);
int ebb_traj_encoder_add_lattice(struct ebb_traj_encoder *enc, const int32_t *q, const float box[9],
                                 struct ebb_buffer *out, struct ebb_error *err);
/* The frames so far as a (shorter) group; more frames may follow, from a new key frame. */
int ebb_traj_encoder_flush(struct ebb_traj_encoder *enc, struct ebb_buffer *out,
                           struct ebb_error *err);

/* Reads a group's header and checks it against `len`, not the checksum: `bytes` may hold more than
 * the group. */
int ebb_traj_group_info(const uint8_t *bytes, size_t len, struct ebb_traj_group_info *ret,
                        struct ebb_error *err);
/* Checks the whole group (its checksum, its tables); `group` must outlive the decoder. */
int ebb_traj_decoder_open(const uint8_t *group, size_t len, struct ebb_traj_decoder **ret,
                          struct ebb_error *err);
void ebb_traj_decoder_destroy(struct ebb_traj_decoder *dec);
/* The next frame: 1, or 0 after the last. `box` (may be NULL) as it was given. Any of the three may
 * read any kind; coordinates that are no lattice points (NaN, overflow) come back exactly from the
 * kind they were given as, and next_lattice refuses the frame that has them. */
int ebb_traj_decoder_next(struct ebb_traj_decoder *dec, float *xyz, float box[9],
                          struct ebb_error *err);
int ebb_traj_decoder_next_f64(struct ebb_traj_decoder *dec, double *xyz, float box[9],
                              struct ebb_error *err);
int ebb_traj_decoder_next_lattice(struct ebb_traj_decoder *dec, int32_t *q, float box[9],
                                  struct ebb_error *err);

EBB_DEFINE_AUTO_PTR(ebb_traj_encoder_destroy_ptr, struct ebb_traj_encoder, ebb_traj_encoder_destroy)
EBB_DEFINE_AUTO_PTR(ebb_traj_decoder_destroy_ptr, struct ebb_traj_decoder, ebb_traj_decoder_destroy)

#endif
