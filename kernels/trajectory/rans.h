/* Range asymmetric numeral systems over bytes (Duda, arXiv:1311.2540), with up to 32 states taking
 * turns: symbol i belongs to state i mod lanes. States are 32-bit in [2^16, 2^32), renewed by
 * 16-bit words, probabilities 12-bit. The words of all states form one sequence, in the order in
 * which the decoder wants them, after the initial states. */
#ifndef EBB_KERNELS_TRAJECTORY_RANS_H
#define EBB_KERNELS_TRAJECTORY_RANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EBB_RANS_BITS  12
#define EBB_RANS_TOTAL (1u << EBB_RANS_BITS)
#define EBB_RANS_LANES 32

struct ebb_rans_table {
    uint16_t frequency[256]; /* they add up to EBB_RANS_TOTAL */
};

void ebb_rans_count(const uint8_t *symbols, size_t n, uint32_t ret_counts[256]);
/* Frequencies that add up to 2^12, each symbol that occurs at least 1. Some count is not 0. */
void ebb_rans_table_make(const uint32_t counts[256], struct ebb_rans_table *ret);
/* Lanes that n symbols are coded with: 1, 4 or 32. */
unsigned ebb_rans_lanes(size_t n);
/* Bytes that always suffice. */
size_t ebb_rans_bound(size_t n);
/* The same for symbols of which the counts are known. */
size_t ebb_rans_bound_of(const uint32_t counts[256], const struct ebb_rans_table *t);
/* Writes to the end of out[0..bound) and returns where the bytes begin. Every symbol must have a
 * frequency. */
uint8_t *ebb_rans_encode(const uint8_t *symbols, size_t n, const struct ebb_rans_table *t,
                         uint8_t *out, size_t bound);

struct ebb_rans_decoder {
    uint32_t slots[EBB_RANS_TOTAL]; /* symbol | frequency - 1 << 8 | offset in the symbol << 20 */
    uint32_t state[EBB_RANS_LANES];
    const uint8_t *at, *end;
    unsigned lanes;
};

/* False when the table does not add up or the bytes are too few for the states. */
bool ebb_rans_decoder_init(struct ebb_rans_decoder *d, const struct ebb_rans_table *t,
                           const uint8_t *bytes, size_t len, size_t n);
/* n symbols more; n is a multiple of the lanes except in the last call. False: the words ran out.
 */
bool ebb_rans_decode(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n);
/* After the last symbol: all words were read and the states are back where the encoder began. */
bool ebb_rans_decoder_done(const struct ebb_rans_decoder *d);

#endif
