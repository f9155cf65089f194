/* How long a frame is, from its head alone: to cut a trajectory between frames without decoding. */
#ifndef EBB_FORMATS_FRAME_LENGTH_H
#define EBB_FORMATS_FRAME_LENGTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/recognise.h"
#include "formats/source.h"

/* Bytes of the XTC frame that begins at `bytes`, of which `len` are there; 0 when no frame begins
 * there or too few bytes are there to tell. The answer may exceed `len`. */
uint64_t ebb_xtc_frame_bytes(const uint8_t *bytes, size_t len);

/* Where a frame is, and of what, as its head has it. */
struct ebb_frame_place {
    uint64_t offset, bytes;
    uint64_t atoms; /* with positions */
    int64_t step;
};

/* True for the kinds whose frames tell their length and step in their head: XTC and TRR. */
bool ebb_frame_places_known(enum ebb_file_kind kind);
/* The frame that begins at `offset`: 1, or 0 when none does that the file holds whole. Fails when
 * the source does. */
int ebb_frame_place(enum ebb_file_kind kind, const struct ebb_random_source *source,
                    uint64_t offset, struct ebb_frame_place *ret, struct ebb_error *err);

/* formats/trr.c: the same of a head that was read; ret->offset is left. */
bool ebb_trr_frame_place(const uint8_t *head, size_t len, struct ebb_frame_place *ret);

#endif
