/* Range asymmetric numeral systems (Duda, arXiv:1311.2540) over bytes, with a table of frequencies
 * for each symbol chosen by its context, which both sides know: what is likely changes from one
 * symbol to the next at no cost. 32 states take turns, symbol i belongs to state i mod 32; states
 * are 32-bit in [2^16, 2^32), renewed by 16-bit words, probabilities 12-bit.
 *
 *     bytes   32 states, little-endian, then words in the order in which the decoder wants them
 *
 * Reference, AVX2 and AVX-512 give the same bytes. Inside kernels/tensor/ only. */
#ifndef EBB_KERNELS_TENSOR_MIXED_H
#define EBB_KERNELS_TENSOR_MIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EBB_MIXED_BITS  12
#define EBB_MIXED_TOTAL (1u << EBB_MIXED_BITS)
#define EBB_MIXED_LANES 32
#define EBB_MIXED_LOW   (1u << 16)

/* Frequencies that add up to 2^12: at least two symbols have one, each that occurs does. */
void ebb_mixed_frequencies(const uint32_t counts[256], uint16_t ret[256]);

/* What the encoder looks up: frequency | start << 16 of each symbol. */
void ebb_mixed_steps(const uint16_t frequency[256], uint32_t ret[256]);
size_t ebb_mixed_bound(size_t n);
/* Writes to the end of out[0..bound) and returns where the bytes begin. Symbol i is coded by
 * steps[256 * tables[i] ...]. */
uint8_t *ebb_mixed_encode(const uint8_t *symbols, const uint8_t *tables, size_t n,
                          const uint32_t *steps, uint8_t *out, size_t bound);

/* What the decoder looks up: symbol | frequency << 8 | offset in the symbol << 20. False when the
 * frequencies do not add up, or one is 2^12. */
bool ebb_mixed_slots(const uint16_t frequency[256], uint32_t ret[EBB_MIXED_TOTAL]);
struct ebb_mixed_decoder {
    uint32_t state[EBB_MIXED_LANES];
    const uint8_t *at, *end;
};

/* False when the bytes are too few for the states. */
bool ebb_mixed_decoder_init(struct ebb_mixed_decoder *d, const uint8_t *bytes, size_t len);
/* n symbols more; n is a multiple of 32 except in the last call. Symbol i is read by
 * slots[4096 * tables[i] ...]. False: the words ran out. */
bool ebb_mixed_decode(struct ebb_mixed_decoder *d, const uint32_t *slots, const uint8_t *tables,
                      size_t n, uint8_t *symbols);
/* After the last symbol: all words were read and the states are back where the encoder began. */
bool ebb_mixed_decoder_done(const struct ebb_mixed_decoder *d);

/* Whole turns of 32, by vectors (mixed_simd.c). Encoding: the last turn first, words down from *at,
 * of which 64 bytes more than are written may be overwritten; false, with nothing done, where the
 * machine has no such instructions. Decoding: as many as is safe; returns how many symbols. */
bool ebb_mixed_encode_turns(const uint32_t *steps, uint32_t state[EBB_MIXED_LANES],
                            const uint8_t *symbols, const uint8_t *tables, size_t n, uint8_t **at);
size_t ebb_mixed_decode_turns(struct ebb_mixed_decoder *d, const uint32_t *slots,
                              const uint8_t *tables, size_t n, uint8_t *symbols);

#endif
