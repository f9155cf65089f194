/* Streams of numbers: what the models leave to be stored, one stream for each kind of number of
 * each part. A number v >= 0 of a frame becomes a token v >> k (255 and more: 255, with the rest
 * among the escapes) and k raw bits; k is chosen for each frame. Tokens are coded by rANS with one
 * table for the group's stream. The bit-packed form has no tokens, but tiles (tiles.h). */
#ifndef EBB_KERNELS_TRAJECTORY_STREAM_H
#define EBB_KERNELS_TRAJECTORY_STREAM_H

#include "base/buffer.h"
#include "base/error.h"
#include "kernels/trajectory/group.h"
#include "kernels/trajectory/rans_contexts.h"

#define EBB_TRAJ_ESCAPE  255
#define EBB_TRAJ_RAW_MAX 25

struct ebb_traj_writer {
    uint8_t *tokens;
    uint8_t *contexts;      /* of the tokens, where there are any */
    unsigned context_count; /* 1: there are none */
    size_t count, capacity;
    struct ebb_buffer low;     /* raw bits, as planes; bit-packed: everything */
    struct ebb_buffer escapes; /* varints */
    uint32_t pending[32];      /* raw values that do not fill a block yet */
    unsigned pending_count, raw_bits;
};

void ebb_traj_writer_clean_up(struct ebb_traj_writer *w);
void ebb_traj_writer_reset(struct ebb_traj_writer *w);
/* Room for the tokens of so many numbers: memory that is not written to costs nothing. */
void ebb_traj_writer_expect(struct ebb_traj_writer *w, size_t numbers);
/* The n numbers of one frame. Returns the raw bits chosen (0 for small `joined` numbers). `values`
 * has room for 31 more, which are overwritten. */
unsigned ebb_traj_writer_put(struct ebb_traj_writer *w, uint32_t *values, size_t n, bool joined);
/* Zigzag numbers with the sign above the raw bits instead of below them: among the tokens, where it
 * may tell something; and back. */
void ebb_traj_raise_signs(uint32_t *values, size_t n, unsigned raw_bits);
void ebb_traj_lower_signs(uint32_t *values, size_t n, unsigned raw_bits);
/* The same with a context below `count` for each; all of a group's frames that come to this writer
 * have as many. Numbers that are not joined are stored with their signs raised. */
unsigned ebb_traj_writer_put_in_contexts(struct ebb_traj_writer *w, uint32_t *values, size_t n,
                                         bool joined, const uint32_t *contexts, unsigned count);
/* Bit-packed: the n numbers of one frame, in runs of equal length, as tiles (tiles.h): the heads of
 * all of them, two bytes each, then their words. */
void ebb_traj_writer_put_tiles(struct ebb_traj_writer *w, const uint32_t *values, size_t n,
                               unsigned runs);
/* The same of numbers that are tiles already. */
void ebb_traj_writer_put_packed(struct ebb_traj_writer *w, const uint8_t *heads, size_t head_bytes,
                                const uint8_t *words, size_t word_bytes);
/* The group's stream: what is needed to read it goes to `side`, the bytes to `out`. */
void ebb_traj_writer_finish(struct ebb_traj_writer *w, enum ebb_traj_form form,
                            struct ebb_buffer *side, struct ebb_buffer *out);

struct ebb_traj_reader {
    struct ebb_rans_decoder *rans; /* one table; or: */
    struct ebb_rans_contexts_decoder *by_context;
    uint8_t constant; /* with neither: every token is this */
    uint64_t left;    /* tokens not yet decoded */
    const uint8_t *low, *low_end;
    const uint8_t *escapes, *escapes_end;
    uint8_t *ring; /* decoded tokens ahead: whole turns */
    size_t ring_capacity, ring_count;
    uint32_t pending[32];
    unsigned pending_count, raw_bits; /* the last pending_count of `pending` are unread */
};

void ebb_traj_reader_clean_up(struct ebb_traj_reader *r);
/* Reads from side[*at..] what writer_finish wrote there, and takes the stream's bytes from
 * body[*body_at..]. `contexts`: how many the numbers may have. */
int ebb_traj_reader_open(struct ebb_traj_reader *r, enum ebb_traj_form form, unsigned contexts,
                         const uint8_t *side, size_t side_len, size_t *at, const uint8_t *body,
                         size_t body_len, size_t *body_at, struct ebb_error *err);
/* n numbers; `values` has room for 31 more. `raw_bits` as ebb_traj_writer_put returned it; their
 * contexts, each below what reader_open was told: NULL where none are. */
int ebb_traj_reader_get(struct ebb_traj_reader *r, unsigned raw_bits, const uint32_t *contexts,
                        uint32_t *values, size_t n, struct ebb_error *err);
/* n numbers, in runs of equal length, that are tiles. */
int ebb_traj_reader_get_tiles(struct ebb_traj_reader *r, uint32_t *values, size_t n, unsigned runs,
                              struct ebb_error *err);
/* Their heads and words as they are. */
int ebb_traj_reader_get_packed(struct ebb_traj_reader *r, size_t n, unsigned runs,
                               const uint8_t **ret_heads, size_t *ret_head_bytes,
                               const uint8_t **ret_words, size_t *ret_word_bytes,
                               struct ebb_error *err);
/* n numbers as they were packed before there were tiles: for each block of 32 a byte, its width,
 * and then the planes of all blocks. `values` has room for 31 more. */
int ebb_traj_reader_get_blocks(struct ebb_traj_reader *r, uint32_t *values, size_t n,
                               struct ebb_error *err);
/* After the last frame: nothing is left over. */
bool ebb_traj_reader_done(const struct ebb_traj_reader *r);

#endif
