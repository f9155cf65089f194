/* Through the atoms, once for writing and once for reading, by the same functions: `writing` is a
 * constant to the compiler. A number is either coded as it stands (plain), or near one that is
 * expected.
 *
 * A water is O, H1, H2, with r1 = H1 - O and r2 = H2 - O (nearest images), |r1| = |r2| = arm and
 * |r2 - r1| = base, so that r1.r2 = (2 arm^2 - base^2) / 2.
 *     H1: two numbers; the third from |r1|. Its sign and the axis: from the frame, or a bit and z.
 *     H2: one number; the others where the circle of the two conditions has it. The side: from the
 *         frame, or a bit.
 *     velocities: the same of the bonds one step before, p = r - step * (v_H - v_O), whose axis and
 *         side are those of r; or, for velocities of the same time, two linear conditions.
 * What numbers do that are no such water (NaN, a root of a negative) does not matter: something
 * is expected, the same in both directions, and the difference is coded. */
#include "kernels/tensor/state_walk.h"

#include <math.h>

#include "kernels/cpu.h"

#define INLINE static inline __attribute__((always_inline))

struct way {
    struct ebb_state_walk *s;
    bool writing, wide;
};

INLINE void put_raw(struct way w, uint64_t value, unsigned bits)
{
    if (w.wide)
        ebb_bits_put_long(&w.s->writer, value, bits);
    else
        ebb_bits_put(&w.s->writer, value, bits);
}

INLINE uint64_t get_raw(struct way w, unsigned bits)
{
    struct ebb_state_walk *s = w.s;
    if (bits > s->bits_end - s->bit) {
        s->failed = true;
        return 0;
    }
    uint64_t value = w.wide ? ebb_bits_get_long(s->raw, s->bit, bits)
                            : ebb_bits_low(ebb_bits_peek(s->raw, s->bit), bits);
    s->bit += bits;
    return value;
}

INLINE void bit(struct way w, bool *value)
{
    if (w.writing)
        put_raw(w, *value, 1);
    else
        *value = get_raw(w, 1);
}

INLINE void plain(struct way w, enum ebb_plain_kind kind, uint64_t *word)
{
    struct ebb_plain *p = &w.s->plain[kind];
    if (w.writing)
        *p->at++ = *word;
    else
        *word = *p->at++;
}

INLINE void near_word(struct way w, enum ebb_tokens_kind kind, uint64_t expected, uint64_t *word)
{
    struct ebb_tokens *t = &w.s->tokens[kind];
    if (w.writing) {
        bool down;
        uint64_t a = ebb_state_steps(expected, *word, w.wide, &down);
        unsigned raw = 61 - (unsigned)__builtin_clzll(a | 7);
        *t->at++ = (uint8_t)((a >> raw) + 4 * raw);
        put_raw(w, ebb_bits_low(a, raw) | (uint64_t)down << raw, raw + (a != 0));
        return;
    }
    unsigned token = *t->at++;
    unsigned raw = token < 8 ? 0 : (token >> 2) - 1;
    uint64_t value = get_raw(w, raw + (token != 0));
    uint64_t top = token < 8 ? token : (4 | (token & 3U));
    uint64_t a = top << raw | ebb_bits_low(value, raw);
    uint64_t steps = value >> raw & 1 ? 0 - a : a;
    *word = ebb_state_unordered((int64_t)((uint64_t)ebb_state_ordered(expected, w.wide) + steps),
                                w.wide);
}

/* Which NaN a calculation gives differs between machines: none is ever expected. */
INLINE void near_value(struct way w, enum ebb_tokens_kind kind, double expected, uint64_t *word)
{
    expected = expected == expected ? expected : 0;
    near_word(w, kind, ebb_state_word(expected, w.wide), word);
}

INLINE double value_of(struct way w, uint64_t word)
{
    return ebb_state_value(word, w.wide);
}

INLINE double root(double square)
{
    return square > 0 ? sqrt(square) : 0;
}

INLINE int largest(const double r[3])
{
    double x = fabs(r[0]), y = fabs(r[1]), z = fabs(r[2]);
    int axis = y > x ? 1 : 0;
    return z > (axis ? y : x) ? 2 : axis;
}

INLINE int smallest(const double r[3])
{
    double x = fabs(r[0]), y = fabs(r[1]), z = fabs(r[2]);
    int axis = y < x ? 1 : 0;
    return z < (axis ? y : x) ? 2 : axis;
}

INLINE void cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* The two numbers of q besides q[m], from q.r = c and |q|^2 = square; side: the sign of
 * r_i q_j - r_j q_i, with i, j the axes after m. */
INLINE void meet(const double r[3], int m, double c, double square, bool side, double q[3])
{
    int i = (m + 1) % 3, j = (m + 2) % 3;
    double h = r[i] * r[i] + r[j] * r[j], e = c - r[m] * q[m], g = square - q[m] * q[m];
    double s = root(g * h - e * e);
    if (!side)
        s = -s;
    double share = 1 / h;
    q[i] = (e * r[i] - r[j] * s) * share;
    q[j] = (e * r[j] + r[i] * s) * share;
}

INLINE bool side_of(const double r[3], int m, const double q[3])
{
    int i = (m + 1) % 3, j = (m + 2) % 3;
    return r[i] * q[j] - r[j] * q[i] > 0;
}

/* How many boxes the hydrogen is off: of the number itself when writing. */
INLINE void wrap(struct way w, const double o[3], const uint64_t *hydrogen, double offset[3])
{
    struct ebb_tokens *t = &w.s->tokens[EBB_TOKENS_WRAPS];
    int shift[3] = {0, 0, 0};
    if (w.writing) {
        double h[3], bond[3];
        for (int k = 0; k < 3; k++)
            h[k] = value_of(w, hydrogen[k]);
        ebb_waters_bond(o, h, w.s->box, bond, shift);
        *t->at++ = (uint8_t)(shift[0] + 3 * shift[1] + 9 * shift[2] + 13);
    } else {
        unsigned code = *t->at++ % 27;
        shift[0] = (int)(code % 3) - 1;
        shift[1] = (int)(code / 3 % 3) - 1;
        shift[2] = (int)(code / 9) - 1;
    }
    for (int k = 0; k < 3; k++)
        offset[k] = o[k] + shift[k] * w.s->box[k];
}

/* r1 = H1 - O; `about`: the frame's, or NULL. */
INLINE void place_arm(struct way w, uint64_t *h, const double at[3], const float *frame,
                      const double *about, double r[3])
{
    double arm = w.s->waters.arm, left = arm * arm;
    int axis = about != NULL ? largest(about) : 2;
    for (int k = 0; k < 3; k++)
        if (k != axis) {
            near_value(w, EBB_TOKENS_ARM, frame != NULL ? (double)frame[k] : at[k], &h[k]);
            r[k] = value_of(w, h[k]) - at[k];
            left -= r[k] * r[k];
        }
    bool up = about != NULL ? about[axis] > 0 : value_of(w, h[axis]) > at[axis];
    if (about == NULL)
        bit(w, &up);
    near_value(w, EBB_TOKENS_ARM_DERIVED, at[axis] + (up ? root(left) : -root(left)), &h[axis]);
    r[axis] = value_of(w, h[axis]) - at[axis];
}

INLINE void place_third(struct way w, uint64_t *h, const double at[3], const float *frame,
                        const double *about, const double r1[3], double r2[3])
{
    double arm = w.s->waters.arm, base = w.s->waters.base;
    double turn[3], c = arm * arm - base * base / 2;
    if (about != NULL)
        cross(r1, about, turn);
    int m = about != NULL ? largest(turn) : smallest(r1), i = (m + 1) % 3, j = (m + 2) % 3;
    near_value(w, EBB_TOKENS_THIRD, frame != NULL ? (double)frame[m] : at[m], &h[m]);
    r2[m] = value_of(w, h[m]) - at[m];
    bool side = false;
    if (about != NULL) {
        side = side_of(r1, m, about);
    } else {
        if (w.writing) {
            r2[i] = value_of(w, h[i]) - at[i];
            r2[j] = value_of(w, h[j]) - at[j];
            side = side_of(r1, m, r2);
        }
        bit(w, &side);
    }
    meet(r1, m, c, arm * arm, side, r2);
    near_value(w, EBB_TOKENS_THIRD_DERIVED, at[i] + r2[i], &h[i]);
    near_value(w, EBB_TOKENS_THIRD_DERIVED, at[j] + r2[j], &h[j]);
    for (int k = 0; k < 3; k++)
        r2[k] = value_of(w, h[k]) - at[k];
}

/* Velocities of the hydrogens for |r - v step| = |r|. */
INLINE void move_by_step(struct way w, uint64_t *v, const double r1[3], const double r2[3])
{
    double arm = w.s->waters.arm, base = w.s->waters.base, step = w.s->waters.step;
    double rate = 1 / step;
    double o[3], p1[3], p2[3], turn[3], left = arm * arm;
    for (int k = 0; k < 3; k++)
        o[k] = value_of(w, v[k]);
    int axis = largest(r1);
    for (int k = 0; k < 3; k++)
        if (k != axis) {
            plain(w, EBB_PLAIN_V_HYDROGEN, &v[3 + k]);
            p1[k] = r1[k] - (value_of(w, v[3 + k]) - o[k]) * step;
            left -= p1[k] * p1[k];
        }
    double before = r1[axis] > 0 ? root(left) : -root(left);
    near_value(w, EBB_TOKENS_V_ARM, o[axis] + (r1[axis] - before) * rate, &v[3 + axis]);
    p1[axis] = r1[axis] - (value_of(w, v[3 + axis]) - o[axis]) * step;
    cross(r1, r2, turn);
    int m = largest(turn), i = (m + 1) % 3, j = (m + 2) % 3;
    plain(w, EBB_PLAIN_V_HYDROGEN, &v[6 + m]);
    p2[m] = r2[m] - (value_of(w, v[6 + m]) - o[m]) * step;
    meet(p1, m, arm * arm - base * base / 2, arm * arm, side_of(r1, m, r2), p2);
    near_value(w, EBB_TOKENS_V_THIRD, o[i] + (r2[i] - p2[i]) * rate, &v[6 + i]);
    near_value(w, EBB_TOKENS_V_THIRD, o[j] + (r2[j] - p2[j]) * rate, &v[6 + j]);
}

/* Velocities of the same time: u1.r1 = 0, u2.r2 = 0, (u2 - u1).(r2 - r1) = 0. */
INLINE void move_across(struct way w, uint64_t *v, const double r1[3], const double r2[3])
{
    double o[3], u1[3], s[3], turn[3], dot = 0;
    for (int k = 0; k < 3; k++) {
        o[k] = value_of(w, v[k]);
        s[k] = r2[k] - r1[k];
    }
    int axis = largest(r1);
    for (int k = 0; k < 3; k++)
        if (k != axis) {
            plain(w, EBB_PLAIN_V_HYDROGEN, &v[3 + k]);
            u1[k] = value_of(w, v[3 + k]) - o[k];
            dot += u1[k] * r1[k];
        }
    near_value(w, EBB_TOKENS_V_ARM, o[axis] - dot / r1[axis], &v[3 + axis]);
    u1[axis] = value_of(w, v[3 + axis]) - o[axis];
    cross(r1, r2, turn);
    int m = largest(turn), i = (m + 1) % 3, j = (m + 2) % 3;
    plain(w, EBB_PLAIN_V_HYDROGEN, &v[6 + m]);
    double um = value_of(w, v[6 + m]) - o[m];
    double a = -r2[m] * um, b = u1[0] * s[0] + u1[1] * s[1] + u1[2] * s[2] - s[m] * um;
    double det = r2[i] * s[j] - r2[j] * s[i];
    near_value(w, EBB_TOKENS_V_THIRD, o[i] + (a * s[j] - b * r2[j]) / det, &v[6 + i]);
    near_value(w, EBB_TOKENS_V_THIRD, o[j] + (b * r2[i] - a * s[i]) / det, &v[6 + j]);
}

INLINE void pass_water(struct way w, size_t atom)
{
    struct ebb_state_walk *s = w.s;
    uint64_t *x = s->x + 3 * atom;
    const float *frame = s->frame != NULL ? s->frame + 3 * (s->first + atom) : NULL;
    double o[3], at[3], r1[3], r2[3], about[2][3];
    for (int k = 0; k < 3; k++) {
        if (frame != NULL)
            near_value(w, EBB_TOKENS_OXYGEN, (double)frame[k], &x[k]);
        else
            plain(w, EBB_PLAIN_OXYGEN, &x[k]);
        o[k] = value_of(w, x[k]);
    }
    for (int h = 0; h < 2; h++) {
        double *r = h == 0 ? r1 : r2;
        const float *near = frame != NULL ? frame + 3 + 3 * h : NULL;
        wrap(w, o, x + 3 + 3 * h, at);
        for (int k = 0; frame != NULL && k < 3; k++)
            about[h][k] = (double)near[k] - ((double)frame[k] + (at[k] - o[k]));
        if (h == 0)
            place_arm(w, x + 3, at, near, frame != NULL ? about[0] : NULL, r);
        else
            place_third(w, x + 6, at, near, frame != NULL ? about[1] : NULL, r1, r);
    }
    if (!s->has_v)
        return;
    uint64_t *v = s->v + 3 * atom;
    for (int k = 0; k < 3; k++)
        plain(w, EBB_PLAIN_V_OXYGEN, &v[k]);
    if (!s->moves)
        for (int k = 3; k < 9; k++)
            plain(w, EBB_PLAIN_V_HYDROGEN, &v[k]);
    else if (s->waters.step != 0)
        move_by_step(w, v, r1, r2);
    else
        move_across(w, v, r1, r2);
}

INLINE void pass_free(struct way w, size_t atom)
{
    struct ebb_state_walk *s = w.s;
    uint64_t *x = s->x + 3 * atom;
    for (size_t k = 0; k < 3; k++) {
        if (s->frame != NULL)
            near_value(w, EBB_TOKENS_FREE, (double)s->frame[3 * (s->first + atom) + k], &x[k]);
        else if (s->chain)
            near_word(w, EBB_TOKENS_FREE, atom > 0 ? s->x[3 * atom - 3 + k] : 0, &x[k]);
        else
            plain(w, EBB_PLAIN_FREE, &x[k]);
    }
    for (size_t k = 0; s->has_v && k < 3; k++)
        plain(w, EBB_PLAIN_V_FREE, &s->v[3 * atom + k]);
}

#include "kernels/tensor/state_lanes.h"

/* The runs' parts that lie in a block, one after the other: false at the block's end. */
struct part {
    size_t run, done, left, free_atoms, waters;
};

static bool next_part(const struct ebb_state_walk *s, struct part *p)
{
    while (p->left > 0 && p->run < s->waters.run_count) {
        const struct ebb_state_run *r = &s->waters.runs[p->run];
        size_t free_left = p->done < r->free ? r->free - p->done : 0;
        size_t waters_left = r->waters - (p->done > r->free ? p->done - r->free : 0);
        p->free_atoms = free_left < p->left ? free_left : p->left;
        p->left -= p->free_atoms;
        size_t whole = (p->left + 2) / 3;
        p->waters = waters_left < whole ? waters_left : whole;
        p->left -= 3 * p->waters < p->left ? 3 * p->waters : p->left;
        p->done += p->free_atoms + p->waters;
        if (p->done == r->free + r->waters) {
            p->run++;
            p->done = 0;
        }
        if (p->free_atoms + p->waters > 0)
            return true;
    }
    return false;
}

void ebb_state_block_plan(struct ebb_state_walk *s)
{
    struct part p = {.run = s->run, .done = s->run_done, .left = EBB_STATE_BLOCK};
    s->free_atoms = s->molecules = 0;
    while (next_part(s, &p)) {
        s->free_atoms += p.free_atoms;
        s->molecules += p.waters;
    }
    s->count = s->free_atoms + 3 * s->molecules;
}

void ebb_state_block_pass(struct ebb_state_walk *s)
{
    struct part p = {.run = s->run, .done = s->run_done, .left = EBB_STATE_BLOCK};
    while (next_part(s, &p))
        continue;
    s->run = p.run;
    s->run_done = p.done;
    s->first += s->count;
}

/* `lanes`: many waters at a time where that can be. */
INLINE void pass_all(struct way w, bool lanes)
{
    struct part p = {.run = w.s->run, .done = w.s->run_done, .left = EBB_STATE_BLOCK};
    for (size_t atom = 0; next_part(w.s, &p);) {
        for (size_t k = 0; k < p.free_atoms; k++)
            pass_free(w, atom++);
        for (size_t k = 0; k < p.waters;) {
            bool many = lanes && !w.wide && p.waters - k >= LANES &&
                        (w.s->frame != NULL ? pass_lanes(w.s, w.writing, atom, true)
                                            : pass_lanes(w.s, w.writing, atom, false));
            if (!many)
                pass_water(w, atom);
            k += many ? LANES : 1;
            atom += many ? 3 * LANES : 3;
        }
    }
}

/* Once for each width and instruction set; none of them contracts multiplications and additions.
 * The reference goes molecule by molecule. */
#define DEFINE_TARGET(suffix, target, lanes)                                                       \
    target static void write_##suffix(struct ebb_state_walk *s)                                    \
    {                                                                                              \
        if (s->wide)                                                                               \
            pass_all((struct way){s, true, true}, lanes);                                          \
        else                                                                                       \
            pass_all((struct way){s, true, false}, lanes);                                         \
    }                                                                                              \
    target static void read_##suffix(struct ebb_state_walk *s)                                     \
    {                                                                                              \
        if (s->wide)                                                                               \
            pass_all((struct way){s, false, true}, lanes);                                         \
        else                                                                                       \
            pass_all((struct way){s, false, false}, lanes);                                        \
    }

DEFINE_TARGET(reference, , false)
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2, true)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512, true)
#endif

void ebb_state_walk_write(struct ebb_state_walk *s)
{
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX512) {
        write_avx512(s);
        return;
    }
    if (ebb_cpu_level() >= EBB_CPU_AVX2) {
        write_avx2(s);
        return;
    }
#endif
    write_reference(s);
}

void ebb_state_walk_read(struct ebb_state_walk *s)
{
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX512) {
        read_avx512(s);
        return;
    }
    if (ebb_cpu_level() >= EBB_CPU_AVX2) {
        read_avx2(s);
        return;
    }
#endif
    read_reference(s);
}
