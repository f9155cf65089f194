/* The loops of the delta method for elements of WIDTH bits; included once for each width by
 * delta.c. No guard: that is the point.
 *
 * ordered(w): a float's bits as an integer that grows with the float: magnitude, or -magnitude - 1
 * when the sign is set, so that -0 stands just below +0. The difference of two is taken modulo
 * 2^WIDTH, so that nothing is lost. */
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define NAME(stem)  JOIN(stem, WIDTH)
#define WORD        JOIN(JOIN(uint, WIDTH), _t)

INLINE WORD NAME(load_)(const uint8_t *at)
{
    WORD w;
    memcpy(&w, at, sizeof w);
    return w;
}

INLINE WORD NAME(ordered_)(WORD w)
{
    WORD negative = (WORD)(0 - (w >> (WIDTH - 1)));
    return (WORD)((w & (WORD)(((WORD)1 << (WIDTH - 1)) - 1)) ^ negative);
}

INLINE WORD NAME(unordered_)(WORD v)
{
    WORD negative = (WORD)(0 - (v >> (WIDTH - 1)));
    return (WORD)((v ^ negative) | (negative & (WORD)((WORD)1 << (WIDTH - 1))));
}

/* Contexts of the base's elements. */
INLINE void NAME(contexts_)(const uint8_t *restrict base, size_t n, const struct delta_shape *shape,
                            uint8_t *restrict context)
{
    unsigned shift = shape->shift;
    WORD mask = (WORD)(((WORD)1 << (WIDTH - 1)) - 1);
    int32_t top = shape->top;
    int32_t last = (int32_t)shape->contexts - 1;
    for (size_t i = 0; i < n; i++) {
        int32_t e = (int32_t)((NAME(load_)(base + i * sizeof(WORD)) & mask) >> shift);
        int32_t c = top - e;
        c = c < 0 ? 0 : c;
        context[i] = (uint8_t)(c > last ? last : c);
    }
}

/* size[i] = |difference|, sign[i] = 1 when negative. */
INLINE void NAME(differences_)(const uint8_t *restrict data, const uint8_t *restrict base, size_t n,
                               bool is_float, WORD *restrict size, uint8_t *restrict sign)
{
    for (size_t i = 0; i < n; i++) {
        WORD a = NAME(load_)(data + i * sizeof(WORD)), b = NAME(load_)(base + i * sizeof(WORD));
        WORD d = is_float ? (WORD)(NAME(ordered_)(a) - NAME(ordered_)(b)) : (WORD)(a - b);
        WORD negative = (WORD)(0 - (d >> (WIDTH - 1)));
        size[i] = (WORD)((d ^ negative) - negative);
        sign[i] = (uint8_t)(negative & 1);
    }
}

/* Differences to elements. `out` may be `base`. */
INLINE void NAME(add_)(const WORD *restrict difference, const uint8_t *base, size_t n,
                       bool is_float, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        WORD b = NAME(load_)(base + i * sizeof(WORD));
        WORD w = is_float ? NAME(unordered_)((WORD)(NAME(ordered_)(b) + difference[i]))
                          : (WORD)(b + difference[i]);
        memcpy(out + i * sizeof(WORD), &w, sizeof w);
    }
}

/* Tokens to their context's place, raw bits to the string. */
INLINE void NAME(put_)(const WORD *restrict size, const uint8_t *restrict sign,
                       const uint8_t *restrict context, size_t n, uint8_t *place[],
                       struct ebb_bit_writer *bits)
{
    struct ebb_bit_writer w = *bits;
    for (size_t i = 0; i < n; i++) {
        uint64_t a = size[i];
        unsigned raw = 61 - (unsigned)__builtin_clzll(a | 7);
        *place[context[i]]++ = (uint8_t)((a >> raw) + 4 * raw);
        uint64_t value = ebb_bits_low(a, raw) | (uint64_t)sign[i] << raw;
        if (WIDTH > 32)
            ebb_bits_put_long(&w, value, raw + (a != 0));
        else
            ebb_bits_put(&w, value, raw + (a != 0));
    }
    *bits = w;
}

/* The reverse, from the tokens in the elements' order; bit `at` on. Returns the bit after the last,
 * or more than `end` when they ran out. */
INLINE uint64_t NAME(get_)(const uint8_t *in, uint64_t at, uint64_t end,
                           const uint8_t *restrict tokens, size_t n, WORD *restrict difference)
{
    for (size_t i = 0; i < n; i++) {
        unsigned token = tokens[i];
        unsigned raw = token < 8 ? 0 : (token >> 2) - 1;
        unsigned count = raw + (token != 0);
        if (at > end)
            return at;
        uint64_t value = WIDTH > 32 ? ebb_bits_get_long(in, at, count)
                                    : ebb_bits_low(ebb_bits_peek(in, at), count);
        at += count;
        uint64_t top = token < 8 ? token : (4 | (token & 3U));
        uint64_t a = top << raw | ebb_bits_low(value, raw);
        uint64_t negative = 0 - (value >> raw & 1);
        difference[i] = (WORD)((a ^ negative) - negative);
    }
    return at;
}

#undef JOIN_
#undef JOIN
#undef NAME
#undef WORD
