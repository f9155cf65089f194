/* A group's bytes: header, side information, streams. Shared by encoder and decoder. */
#ifndef EBB_KERNELS_TRAJECTORY_GROUP_H
#define EBB_KERNELS_TRAJECTORY_GROUP_H

#include "kernels/trajectory/trajectory.h"

#define EBB_TRAJ_HEADER_BYTES 48
#define EBB_TRAJ_VERSION      1
/* A group of n atoms has at least n / 65536 bytes, so that what a reader must allocate is bounded
 * by what it was given. */
#define EBB_TRAJ_ATOMS_PER_BYTE 65536

/* Bits of a frame's first byte. */
#define EBB_TRAJ_FRAME_WRAPPED 1 /* coordinates are kept inside the box */
#define EBB_TRAJ_FRAME_BOX     2 /* the box follows; else that of the frame before */
#define EBB_TRAJ_FRAME_MISSES  4
#define EBB_TRAJ_FRAME_ODD     8 /* coordinates off the lattice follow */

/* First byte of a miss: 0..26: box vectors to add, (x + 1) + 3 (y + 1) + 9 (z + 1); else three
 * differences follow. */
#define EBB_TRAJ_MISS_EXPLICIT 255

/* How numbers stand in the streams: byte 6 of the header. */
enum ebb_traj_form {
    EBB_TRAJ_FORM_CODED = 0,
    EBB_TRAJ_FORM_BLOCKS = 1,   /* bit-packed, blocks of 32 with a width each; no longer written */
    EBB_TRAJ_FORM_TILES = 2,    /* bit-packed, tiles.h */
    EBB_TRAJ_FORM_CONTEXTS = 3, /* coded, with a table for each context */
};

struct ebb_traj_header {
    struct ebb_traj_group_info info;
    enum ebb_traj_form form;
    uint32_t side_len, side_packed; /* the same: stored as it is */
    uint64_t hash;
};

/* Puts header and hash over out[start..], where the header's room is. */
void ebb_traj_header_write(const struct ebb_traj_header *h, uint8_t *group);
int ebb_traj_header_read(const uint8_t *bytes, size_t len, struct ebb_traj_header *ret,
                         struct ebb_error *err);
/* Of all bytes but the hash itself. */
uint64_t ebb_traj_header_hash(const uint8_t *group, size_t len);

#endif
