/* The loops of the scale method for elements of WIDTH bits; included once for each width by
 * scale.c. No guard: that is the point. A magnitude is the element's bits without the sign: it
 * grows with the logarithm of the value, near enough. */
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define NAME(stem)  JOIN(stem, WIDTH)
#define WORD        JOIN(JOIN(uint, WIDTH), _t)
#define SIGNED      JOIN(JOIN(int, WIDTH), _t)
#define SIGN_SHIFT  (WIDTH - 1)

INLINE WORD NAME(magnitude_)(const uint8_t *at)
{
    WORD w;
    memcpy(&w, at, sizeof w);
    return w & (WORD)(((WORD)1 << SIGN_SHIFT) - 1);
}

/* beta / 256 of the base's magnitude, in integers. */
INLINE WORD NAME(share_)(WORD magnitude, uint32_t beta)
{
    return WIDTH == 16 ? (WORD)((uint32_t)magnitude * beta >> 8) : (WORD)((magnitude >> 8) * beta);
}

/* What the base does not explain of n magnitudes of a row; column sums grow by it. Returns its sum.
 */
INLINE int64_t NAME(sum_)(const uint8_t *restrict data, const uint8_t *restrict base, size_t n,
                          const struct scale_shape *s, int64_t *restrict columns)
{
    int64_t sum = 0;
    unsigned unit = s->unit;
    for (size_t j = 0; j < n; j++) {
        WORD w = NAME(magnitude_)(data + j * sizeof w);
        if (base != NULL)
            w = (WORD)(w - NAME(share_)(NAME(magnitude_)(base + j * sizeof w), s->beta));
        int64_t steps = (int64_t)((SIGNED)w >> unit);
        sum += steps;
        if (columns != NULL)
            columns[j] += steps;
    }
    return sum;
}

INLINE WORD NAME(expect_)(int32_t row, int32_t column, const uint8_t *base,
                          const struct scale_shape *s)
{
    int32_t steps = row + column;
    WORD p = (WORD)((WORD)(WIDTH == 64 ? (int64_t)steps : steps) << s->unit);
    return base != NULL ? (WORD)(p + NAME(share_)(NAME(magnitude_)(base), s->beta)) : p;
}

/* symbol[i] = 128 + high part of the distance from what is expected, 0 when that is too far;
 * low[i] = its low bits, the sign above them. */
INLINE void NAME(part_)(const uint8_t *restrict data, const uint8_t *restrict base, size_t n,
                        int32_t row, const int32_t *restrict column, const struct scale_shape *s,
                        uint8_t *restrict symbol, WORD *restrict low)
{
    unsigned shift = s->shift;
    WORD mask = (WORD)(((WORD)1 << shift) - 1);
    for (size_t i = 0; i < n; i++) {
        WORD w;
        memcpy(&w, data + i * sizeof w, sizeof w);
        WORD p = NAME(expect_)(row, column != NULL ? column[i] : 0,
                               base != NULL ? base + i * sizeof w : NULL, s);
        WORD r = (WORD)(NAME(magnitude_)(data + i * sizeof w) - p);
        SIGNED t = (SIGNED)((SIGNED)r >> shift);
        symbol[i] = (uint8_t)(t >= -127 && t <= 127 ? t + 128 : 0);
        low[i] = (WORD)((r & mask) | (WORD)(w >> SIGN_SHIFT) << shift);
    }
}

INLINE void NAME(join_)(const uint8_t *restrict symbol, const WORD *restrict low,
                        const uint8_t *base, size_t n, int32_t row, const int32_t *restrict column,
                        const struct scale_shape *s, uint8_t *out)
{
    unsigned shift = s->shift;
    WORD mask = (WORD)(((WORD)1 << shift) - 1), top = (WORD)(((WORD)1 << SIGN_SHIFT) - 1);
    for (size_t i = 0; i < n; i++) {
        WORD p = NAME(expect_)(row, column != NULL ? column[i] : 0,
                               base != NULL ? base + i * sizeof p : NULL, s);
        WORD t = (WORD)((WORD)symbol[i] - 128);
        WORD magnitude = (WORD)(p + (WORD)((WORD)(t << shift) | (low[i] & mask))) & top;
        WORD w = (WORD)(magnitude | (WORD)(low[i] >> shift) << SIGN_SHIFT);
        memcpy(out + i * sizeof w, &w, sizeof w);
    }
}

INLINE void NAME(put_)(const WORD *restrict low, size_t n, unsigned width,
                       struct ebb_bit_writer *bits)
{
    struct ebb_bit_writer w = *bits;
    for (size_t i = 0; i < n; i++)
        if (WIDTH > 32)
            ebb_bits_put_long(&w, low[i], width);
        else
            ebb_bits_put(&w, low[i], width);
    *bits = w;
}

INLINE void NAME(get_)(const uint8_t *in, size_t n, unsigned width, WORD *restrict low)
{
    for (size_t i = 0; i < n; i++)
        low[i] = (WORD)(WIDTH > 32 ? ebb_bits_get_long(in, (uint64_t)i * width, width)
                                   : ebb_bits_low(ebb_bits_peek(in, (uint64_t)i * width), width));
}

#undef JOIN_
#undef JOIN
#undef NAME
#undef WORD
#undef SIGNED
#undef SIGN_SHIFT
