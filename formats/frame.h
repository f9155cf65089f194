/* Trajectories frame by frame: each frame is split into its coordinates and everything else, so
 * that the coordinates can be packed by themselves and the frame put together again.
 *
 *     file = header, frame, frame, ..., (torn bytes of a frame that was not finished)
 *     frame = rest + coordinates
 *
 * Kinds: XTC, TRR, DCD, LAMMPS dumps (text and binary). A reader holds one frame at a time, and no
 * more memory than the bytes that have really come. */
#ifndef EBB_FORMATS_FRAME_H
#define EBB_FORMATS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "formats/recognise.h"
#include "formats/source.h"

/* No frame of a file is longer than this. */
#define EBB_FRAME_MAX_BYTES ((uint64_t)1 << 36)

struct ebb_frame {
    /* Atoms that have coordinates in this frame: 0 in a TRR frame of velocities alone; in a DCD
     * with fixed atoms the first frame has all and the others the free ones. May differ by frame.
     */
    size_t atoms;
    int64_t step; /* DCD: from the header's first step and stride */
    double time;  /* in the file's unit; NAN where the file has none */
    bool has_box;
    float box[9]; /* box vectors as rows, file's length unit; zeros without a box */
    /* Exactly one is set when atoms > 0, none otherwise. Shape (atoms, 3), host byte order, owned
     * by the frame. Text dumps and binary dumps with an id column: in ascending order of the id. */
    float *x32;       /* TRR, DCD, XTC of at most 9 atoms */
    double *x64;      /* TRR in double precision, LAMMPS dumps */
    int32_t *xq;      /* XTC's integers: coordinate = integer / precision */
    double precision; /* as the file has it: may be 0, negative or no number */
    /* A coordinate changed by d moves the atom by at most d * length_scale in the file's length
     * unit: 1, but for LAMMPS coordinates that are fractions of the box. Positive and finite. */
    double length_scale;
    struct ebb_buffer raw;  /* the frame's bytes as they are in the file */
    struct ebb_buffer rest; /* all of them but the coordinates; opaque, host independent */
    void *memory;           /* what x32, x64 or xq points to; the reader's own */
    size_t memory_bytes;
};

/* A zeroed struct is an empty frame; it is used again from frame to frame. */
void ebb_frame_clean_up(struct ebb_frame *f);

struct ebb_frame_reader;

/* Opens a stream of the given kind. A kind without frames is EBB_ERR_UNSUPPORTED. */
int ebb_frame_reader_open(enum ebb_file_kind kind, struct ebb_source source,
                          struct ebb_frame_reader **ret, struct ebb_error *err);
void ebb_frame_reader_destroy(struct ebb_frame_reader *r);
EBB_DEFINE_AUTO_PTR(ebb_auto_frame_reader, struct ebb_frame_reader, ebb_frame_reader_destroy)

/* The bytes before the first frame (DCD's three header records; empty for the others), there from
 * the open on. */
const struct ebb_buffer *ebb_frame_reader_header(const struct ebb_frame_reader *r);
/* One nanometre is so many of the file's length unit: 1 for XTC and TRR, 10 for DCD and for LAMMPS
 * dumps that name units real or metal; 0 where the file does not say. Known once a frame was read.
 */
double ebb_frame_reader_units_per_nm(const struct ebb_frame_reader *r);
/* Reads the next frame: 1, or 0 at the end of the file. Bytes that are no frame, or end within one:
 * EBB_ERR_CORRUPT (EBB_ERR_UNSUPPORTED for a variant not known), the text says at which byte
 * offset; after that every call fails alike, the frame is empty, and what the reader took from the
 * source and gave out in no frame is in ebb_frame_reader_pending. */
int ebb_frame_reader_next(struct ebb_frame_reader *r, struct ebb_frame *f, struct ebb_error *err);
/* Offset in the file of the first byte that is in no frame yet. */
uint64_t ebb_frame_reader_offset(const struct ebb_frame_reader *r);
/* The bytes from that offset on that were already taken from the source: with what the source still
 * has they are the rest of the file. Valid until the next call. */
void ebb_frame_reader_pending(const struct ebb_frame_reader *r, const uint8_t **ret_bytes,
                              size_t *ret_len);

/* The coordinates for ebb_frame_write: exactly one pointer is set (none: a frame without any). */
struct ebb_coordinates {
    size_t atoms; /* as in the frame that `rest` came from */
    const float *x32;
    const double *x64;
    const int32_t *xq;
};

/* Appends the frame that `rest` and the coordinates make to `out`. With the coordinates that came
 * with `rest` these are the bytes of the file, if their writer was the usual one: compare, and
 * store frames that differ by themselves.
 *  - XTC of more than 9 atoms takes xq, or x32 (rounded to the file's precision as GROMACS rounds).
 *  - Binary formats take x32 or x64, whichever precision the file has (the other is converted).
 *  - Text takes both. A coordinate is written in the file's own format where that text reads back
 * as the same x32 or x64, and else in the fewest digits that do: the text adds no error.
 * EBB_ERR_CORRUPT for a `rest` that is not of this kind or number of atoms, EBB_ERR_INPUT for
 * coordinates the format cannot hold; `out` is as before then. */
int ebb_frame_write(enum ebb_file_kind kind, const void *rest, size_t rest_len,
                    const struct ebb_coordinates *x, struct ebb_buffer *out, struct ebb_error *err);

/* XTC's integers as GROMACS's readers turn them into floats: x[i] = (float)q[i] * (1.0f /
 * precision), `count` = 3 * atoms. */
void ebb_frame_lattice_to_float(const int32_t *q, size_t count, double precision, float *x);

#endif
