/* The coder in plain C; rans_simd.c has 32 lanes at once. Encoding divides by
 * multiplying with a reciprocal that is exact for all 32-bit states (Granlund and Montgomery 1994).
 */
#include "kernels/trajectory/rans.h"

#include <float.h>
#include <string.h>

#include "kernels/trajectory/rans_simd.h"
#include "kernels/trajectory/rans_step.h"

/* Four tables, so that runs of a symbol do not wait for their own count. */
void ebb_rans_count(const uint8_t *symbols, size_t n, uint32_t ret_counts[256])
{
    uint32_t part[4][256] = {{0}};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight;
        memcpy(&eight, symbols + i, sizeof eight);
        for (unsigned k = 0; k < 8; k++)
            part[k % 4][eight >> (8 * k) & 0xff]++;
    }
    for (; i < n; i++)
        part[0][symbols[i]]++;
    for (int s = 0; s < 256; s++)
        ret_counts[s] = part[0][s] + part[1][s] + part[2][s] + part[3][s];
}

/* What changing the frequency of a symbol by one costs or gains is count / frequency, roughly: the
 * surplus or lack is settled where that is least harmful. */
static double cost_of(const uint32_t counts[256], const struct ebb_rans_table *t, unsigned s,
                      bool more)
{
    const unsigned f = t->frequency[s];
    if (more)
        return -(double)counts[s] / (f + 0.5);
    return f == 1 ? DBL_MAX : (double)counts[s] / (f - 0.5);
}

static void settle(const uint32_t counts[256], struct ebb_rans_table *t, int lack)
{
    double costs[256];
    uint8_t used[256];
    unsigned n = 0;
    for (unsigned s = 0; s < 256; s++) {
        if (t->frequency[s] == 0)
            continue;
        costs[n] = cost_of(counts, t, s, lack > 0);
        used[n++] = (uint8_t)s;
    }
    for (int left = lack < 0 ? -lack : lack; left > 0; left--) {
        unsigned best = 0;
        for (unsigned i = 1; i < n; i++)
            best = costs[i] < costs[best] ? i : best;
        const unsigned s = used[best];
        t->frequency[s] = (uint16_t)(t->frequency[s] + (lack > 0 ? 1 : -1));
        costs[best] = cost_of(counts, t, s, lack > 0);
    }
}

void ebb_rans_table_make(const uint32_t counts[256], struct ebb_rans_table *ret)
{
    uint64_t total = 0;
    for (int s = 0; s < 256; s++)
        total += counts[s];
    int sum = 0;
    for (int s = 0; s < 256; s++) {
        uint64_t f = ((uint64_t)counts[s] * EBB_RANS_TOTAL + total / 2) / total;
        if (f == 0 && counts[s] != 0)
            f = 1;
        ret->frequency[s] = (uint16_t)f;
        sum += (int)f;
    }
    settle(counts, ret, (int)EBB_RANS_TOTAL - sum);
}

unsigned ebb_rans_lanes(size_t n)
{
    return n >= 8192 ? EBB_RANS_LANES : (n >= 512 ? 4 : 1);
}

size_t ebb_rans_bound(size_t n)
{
    return 2 * n + 4 * EBB_RANS_LANES + 64;
}

/* A state is at least 16 f when a symbol of frequency f is put in, so it grows by a factor of at
 * most (2^12 / f) (1 + 1 / 16): log2 of that, upwards in 256ths of a bit, without a logarithm. */
size_t ebb_rans_bound_of(const uint32_t counts[256], const struct ebb_rans_table *t)
{
    uint64_t bits = 0, n = 0;
    for (int s = 0; s < 256; s++) {
        const unsigned f = t->frequency[s];
        if (f == 0)
            continue;
        const unsigned whole = 31 - (unsigned)__builtin_clz(f);
        const unsigned share = ((f << 8) >> whole) - 256; /* log2(1 + y) >= y on 0..1 */
        bits += (uint64_t)counts[s] * ((EBB_RANS_BITS << 8) - (whole << 8) - share + 24);
        n += counts[s];
    }
    const size_t tight = (size_t)(bits / 2048) + 4 * EBB_RANS_LANES + 64;
    return tight < ebb_rans_bound((size_t)n) ? tight : ebb_rans_bound((size_t)n);
}

void ebb_rans_steps(const struct ebb_rans_table *t, struct ebb_rans_step steps[256])
{
    uint32_t start = 0;
    for (int s = 0; s < 256; s++) {
        uint32_t f = t->frequency[s];
        if (f == 0)
            continue;
        unsigned log = f == 1 ? 0 : 32 - (unsigned)__builtin_clz(f - 1); /* ceil(log2 f) */
        steps[s] = (struct ebb_rans_step){
            .reciprocal = ((1ull << (32 + log)) + f - 1) / f,
            .limit = f == EBB_RANS_TOTAL ? UINT32_MAX : f << 20,
            .bias = start,
            .complement = EBB_RANS_TOTAL - f,
            .shift = 32 + log,
        };
        start += f;
    }
}

/* Whole turns of 32 by vector instructions, where there are any. */
static bool encode_turns(const struct ebb_rans_table *t, uint32_t *state, const uint8_t *symbols,
                         size_t n, uint8_t **at)
{
    uint32_t steps[256], start = 0;
    for (int s = 0; s < 256; s++) {
        if (t->frequency[s] == EBB_RANS_TOTAL)
            return false;
        steps[s] = t->frequency[s] | start << 16;
        start += t->frequency[s];
    }
    return ebb_rans_encode_simd(steps, state, symbols, n, at);
}

uint8_t *ebb_rans_encode(const uint8_t *symbols, size_t n, const struct ebb_rans_table *t,
                         uint8_t *out, size_t bound)
{
    struct ebb_rans_step steps[256];
    ebb_rans_steps(t, steps);
    const unsigned lanes = ebb_rans_lanes(n);
    uint32_t state[EBB_RANS_LANES];
    for (unsigned l = 0; l < lanes; l++)
        state[l] = EBB_RANS_LOW;
    uint8_t *at = out + bound;
    size_t i = n;
    for (; i % lanes != 0; i--)
        state[(i - 1) % lanes] = ebb_rans_push(state[(i - 1) % lanes], &steps[symbols[i - 1]], &at);
    if (lanes == EBB_RANS_LANES && encode_turns(t, state, symbols, i, &at))
        i = 0;
    for (; i > 0; i -= lanes) {
        for (unsigned l = lanes; l > 0; l--)
            state[l - 1] = ebb_rans_push(state[l - 1], &steps[symbols[i - lanes + l - 1]], &at);
    }
    return ebb_rans_put_states(state, lanes, at);
}

uint8_t *ebb_rans_put_states(const uint32_t *state, unsigned lanes, uint8_t *at)
{
    at -= 4 * lanes;
    for (unsigned l = 0; l < lanes; l++) {
        for (unsigned b = 0; b < 4; b++)
            at[4 * l + b] = (uint8_t)(state[l] >> (8 * b));
    }
    return at;
}

bool ebb_rans_get_states(const uint8_t **at, const uint8_t *end, unsigned lanes, uint32_t *state)
{
    if ((size_t)(end - *at) < 4 * (size_t)lanes)
        return false;
    for (unsigned l = 0; l < lanes; l++, *at += 4) {
        const uint8_t *b = *at;
        state[l] =
            (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        if (state[l] < EBB_RANS_LOW)
            return false;
    }
    return true;
}

bool ebb_rans_slots(const struct ebb_rans_table *t, uint32_t slots[EBB_RANS_TOTAL])
{
    uint32_t at = 0;
    for (uint32_t s = 0; s < 256; s++) {
        uint32_t f = t->frequency[s];
        if (f > EBB_RANS_TOTAL - at)
            return false;
        for (uint32_t i = 0; i < f; i++)
            slots[at++] = s | (f - 1) << 8 | i << 20;
    }
    return at == EBB_RANS_TOTAL;
}

bool ebb_rans_decoder_init(struct ebb_rans_decoder *d, const struct ebb_rans_table *t,
                           const uint8_t *bytes, size_t len, size_t n)
{
    d->lanes = ebb_rans_lanes(n);
    d->at = bytes;
    d->end = bytes + len;
    return ebb_rans_slots(t, d->slots) && ebb_rans_get_states(&d->at, d->end, d->lanes, d->state);
}

/* With words enough for every lane the end need not be looked at each time. */
static bool decode_turns(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    size_t i = 0;
    const unsigned lanes = d->lanes;
    for (; i + lanes <= n && (size_t)(d->end - d->at) >= 2 * (size_t)lanes; i += lanes) {
        const uint8_t *at = d->at;
        for (unsigned l = 0; l < lanes; l++) {
            uint32_t x = ebb_rans_pull(d->slots, d->state[l], &symbols[i + l]);
            uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8;
            bool take = x < EBB_RANS_LOW;
            d->state[l] = take ? x << 16 | word : x;
            at += take ? 2 : 0;
        }
        d->at = at;
    }
    for (; i < n; i++) {
        unsigned l = (unsigned)(i % lanes);
        uint32_t x = ebb_rans_pull(d->slots, d->state[l], &symbols[i]);
        if (x < EBB_RANS_LOW) {
            if (d->end - d->at < 2)
                return false;
            x = x << 16 | (uint32_t)d->at[0] | (uint32_t)d->at[1] << 8;
            d->at += 2;
        }
        d->state[l] = x;
    }
    return true;
}

bool ebb_rans_decode(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    size_t done = d->lanes == EBB_RANS_LANES ? ebb_rans_decode_simd(d, symbols, n) : 0;
    return decode_turns(d, symbols + done, n - done);
}

bool ebb_rans_decoder_done(const struct ebb_rans_decoder *d)
{
    if (d->at != d->end)
        return false;
    for (unsigned l = 0; l < d->lanes; l++) {
        if (d->state[l] != EBB_RANS_LOW)
            return false;
    }
    return true;
}
