/* How long a frame is, from its head alone: to cut a trajectory between frames without decoding. */
#ifndef EBB_FORMATS_FRAME_LENGTH_H
#define EBB_FORMATS_FRAME_LENGTH_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the XTC frame that begins at `bytes`, of which `len` are there; 0 when no frame begins
 * there or too few bytes are there to tell. The answer may exceed `len`. */
uint64_t ebb_xtc_frame_bytes(const uint8_t *bytes, size_t len);

#endif
