/* Waters of float32, LANES at a time: what state_walk.c does with one, in loops over molecules that
 * a compiler turns into vector instructions. The same operations in the same order, so that each
 * number comes out the same to the last bit; a choice that depends on the molecule is a selection
 * here. Which raw bits are whose follows from the tokens alone, so that reading takes all of them
 * first. Included once, by state_walk.c. */
#ifndef EBB_KERNELS_TENSOR_STATE_LANES_H
#define EBB_KERNELS_TENSOR_STATE_LANES_H

enum { LANES = 16 };

/* Numbers that are near an expected one, in the order of a water's raw bits. H1: its two numbers
 * beside the axis and the one along it; H2: number m and the two after it. */
enum lane_slot {
    SLOT_OXYGEN, /* 3 */
    SLOT_ARM_A = 3,
    SLOT_ARM_B,
    SLOT_ARM_C,
    SLOT_M,
    SLOT_I,
    SLOT_J,
    SLOT_V_ARM,
    SLOT_V_I,
    SLOT_V_J,
    SLOTS,
};
/* Plain velocities of a water's hydrogens. */
enum { SPEED_A, SPEED_B, SPEED_M, SPEEDS };

#define LANE_BITS_MAX (SLOTS * 64 + 2) /* of a water, whatever the tokens say */

typedef union {
    float f[LANES];
    int32_t i[LANES];
} lane_words __attribute__((aligned(64)));

typedef double lane_values[LANES] __attribute__((aligned(64)));

struct lanes {
    lane_values x[9], v[9];  /* writing: all numbers; reading: oxygens and what is known so far */
    lane_values frame[9];    /* the frame's */
    lane_values at[2][3];    /* the oxygen, in the hydrogens' images of the box */
    lane_values shift[2][3]; /* by so many boxes */
    lane_values r1[3], r2[3], about[2][3];
    lane_values axis, m, v_axis, v_m, up, side;
    lane_values speed[SPEEDS];
    int32_t image[2][LANES]; /* as a token */
    lane_values expected, value;
    int32_t steps[SLOTS][LANES];
    int32_t word[SLOTS][LANES];
    int32_t speed_word[SPEEDS][LANES];
};

#define EACH_LANE for (int l = 0; l < LANES; l++)

/* a or b by masks: a compiler that sees a choice may make a branch of it, and no vectors. */
INLINE double choose(bool first, double a, double b)
{
    uint64_t x, y, mask = 0 - (uint64_t)first;
    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    x = (x & mask) | (y & ~mask);
    memcpy(&a, &x, 8);
    return a;
}

/* One of three. */
INLINE double pick(double at, double zero, double one, double two)
{
    return choose(at == 0, zero, choose(at == 1, one, two));
}

/* The numbers of p beside the axis, in order, and along it; number m, and the two after it. */
#define PICK(at, p, zero, one, two) pick(at, (p)[zero][l], (p)[one][l], (p)[two][l])
#define BESIDE_A(p)                 PICK(axis, p, 1, 0, 0)
#define BESIDE_B(p)                 PICK(axis, p, 2, 2, 1)
#define ALONG(p)                    PICK(axis, p, 0, 1, 2)
#define AT_M(p)                     PICK(m, p, 0, 1, 2)
#define AT_I(p)                     PICK(m, p, 1, 2, 0)
#define AT_J(p)                     PICK(m, p, 2, 0, 1)

INLINE int32_t lane_ordered(int32_t w)
{
    return w ^ (w >> 31 & INT32_MAX);
}

/* The slot's number from L->expected: how far it is, or where. L->value is the number, given when
 * writing. */
INLINE void settle(struct lanes *L, bool writing, enum lane_slot slot)
{
    lane_words e, w;
    EACH_LANE
    {
        double expected = L->expected[l];
        e.f[l] = (float)choose(expected == expected, expected, 0);
    }
    if (writing) {
        EACH_LANE w.f[l] = (float)L->value[l];
        EACH_LANE L->steps[slot][l] =
            (int32_t)((uint32_t)lane_ordered(w.i[l]) - (uint32_t)lane_ordered(e.i[l]));
        return;
    }
    EACH_LANE w.i[l] =
        lane_ordered((int32_t)((uint32_t)lane_ordered(e.i[l]) + (uint32_t)L->steps[slot][l]));
    EACH_LANE L->word[slot][l] = w.i[l];
    EACH_LANE L->value[l] = (double)w.f[l];
}

INLINE double lane_largest(double x, double y, double z)
{
    x = fabs(x);
    y = fabs(y);
    z = fabs(z);
    return choose(z > choose(y > x, y, x), 2, choose(y > x, 1, 0));
}

INLINE double lane_smallest(double x, double y, double z)
{
    x = fabs(x);
    y = fabs(y);
    z = fabs(z);
    return choose(z < choose(y < x, y, x), 2, choose(y < x, 1, 0));
}

INLINE double lane_root(double square)
{
    return choose(square > 0, sqrt(square), 0);
}

INLINE void lanes_oxygens(struct lanes *L, bool writing)
{
    for (int k = 0; k < 3; k++) {
        EACH_LANE L->expected[l] = L->frame[k][l];
        EACH_LANE L->value[l] = L->x[k][l];
        settle(L, writing, (enum lane_slot)(SLOT_OXYGEN + k));
        EACH_LANE L->x[k][l] = L->value[l];
    }
}

/* Which image each hydrogen is: of the numbers when writing. */
INLINE void lanes_images(struct lanes *L, bool writing, bool frame, const double box[3])
{
    for (int h = 0; h < 2; h++)
        for (int k = 0; k < 3; k++) {
            double side = box[k], half = box[k] > 0 ? box[k] / 2 : INFINITY;
            if (writing)
                EACH_LANE
                {
                    double d = L->x[3 + 3 * h + k][l] - L->x[k][l];
                    L->shift[h][k][l] = choose(d > half, 1, choose(d < -half, -1, 0));
                }
            EACH_LANE L->at[h][k][l] = L->x[k][l] + L->shift[h][k][l] * side;
            if (frame)
                EACH_LANE L->about[h][k][l] =
                    L->frame[3 + 3 * h + k][l] - (L->frame[k][l] + (L->at[h][k][l] - L->x[k][l]));
        }
}

INLINE void lanes_image_tokens(struct lanes *L)
{
    for (int h = 0; h < 2; h++)
        EACH_LANE L->image[h][l] =
            (int32_t)(L->shift[h][0][l] + 3 * L->shift[h][1][l] + 9 * L->shift[h][2][l] + 13);
}

INLINE void lanes_arm(struct lanes *L, bool writing, bool frame, double arm)
{
    lane_values a, b, left, along, way;
    lane_values *near = frame ? L->frame + 3 : L->at[0], *h = L->x + 3;
    EACH_LANE L->axis[l] =
        frame ? lane_largest(L->about[0][0][l], L->about[0][1][l], L->about[0][2][l]) : 2;
    EACH_LANE
    {
        double axis = L->axis[l];
        L->expected[l] = BESIDE_A(near);
        L->value[l] = BESIDE_A(h);
    }
    settle(L, writing, SLOT_ARM_A);
    EACH_LANE
    {
        double axis = L->axis[l];
        a[l] = L->value[l] - BESIDE_A(L->at[0]);
        L->expected[l] = BESIDE_B(near);
        L->value[l] = BESIDE_B(h);
    }
    settle(L, writing, SLOT_ARM_B);
    EACH_LANE
    {
        double axis = L->axis[l];
        b[l] = L->value[l] - BESIDE_B(L->at[0]);
        left[l] = arm * arm - a[l] * a[l];
        left[l] = left[l] - b[l] * b[l];
    }
    /* Loops by themselves: a choice that several share would become a branch. */
    EACH_LANE
    {
        double axis = L->axis[l];
        along[l] = ALONG(L->at[0]);
    }
    EACH_LANE
    {
        double axis = L->axis[l];
        L->value[l] = ALONG(h);
    }
    EACH_LANE
    {
        double axis = L->axis[l];
        way[l] = frame ? ALONG(L->about[0]) : writing ? L->value[l] - along[l] : L->up[l];
    }
    EACH_LANE
    {
        double root = lane_root(left[l]);
        L->up[l] = choose(way[l] > 0, 1, 0);
        L->expected[l] = along[l] + choose(way[l] > 0, root, -root);
    }
    settle(L, writing, SLOT_ARM_C);
    EACH_LANE
    {
        double axis = L->axis[l], c = L->value[l] - ALONG(L->at[0]);
        L->r1[0][l] = choose(axis == 0, c, a[l]);
        L->r1[1][l] = pick(axis, a[l], c, b[l]);
        L->r1[2][l] = choose(axis == 2, c, b[l]);
    }
}

/* As meet() of one molecule: numbers i and j of q. */
#define LANE_MEET(r, c, square, side, q_m, q_i, q_j)                                               \
    do {                                                                                           \
        double r_i = AT_I(r), r_j = AT_J(r);                                                       \
        double hh = r_i * r_i + r_j * r_j, e = (c)-AT_M(r) * (q_m);                                \
        double g = (square) - (q_m) * (q_m);                                                       \
        double root = lane_root(g * hh - e * e);                                                   \
        double s = choose(side, root, -root);                                                      \
        double share = 1 / hh;                                                                     \
        (q_i) = (e * r_i - r_j * s) * share;                                                       \
        (q_j) = (e * r_j + r_i * s) * share;                                                       \
    } while (0)

#define LANE_CROSS(a, b, to)                                                                       \
    do {                                                                                           \
        (to)[0] = (a)[1][l] * (b)[2][l] - (a)[2][l] * (b)[1][l];                                   \
        (to)[1] = (a)[2][l] * (b)[0][l] - (a)[0][l] * (b)[2][l];                                   \
        (to)[2] = (a)[0][l] * (b)[1][l] - (a)[1][l] * (b)[0][l];                                   \
    } while (0)

INLINE void lanes_third(struct lanes *L, bool writing, bool frame, double arm, double base)
{
    lane_values q_m, q_i, q_j, expected_j;
    lane_values *near = frame ? L->frame + 6 : L->at[1], *h = L->x + 6;
    lane_values *second = frame ? L->about[1] : L->r1;
    double c = arm * arm - base * base / 2, square = arm * arm;
    EACH_LANE
    {
        double turn[3];
        LANE_CROSS(L->r1, second, turn);
        double m = frame ? lane_largest(turn[0], turn[1], turn[2])
                         : lane_smallest(L->r1[0][l], L->r1[1][l], L->r1[2][l]);
        L->m[l] = m;
        L->expected[l] = AT_M(near);
        L->value[l] = AT_M(h);
    }
    settle(L, writing, SLOT_M);
    EACH_LANE
    {
        double m = L->m[l], i = 0, j = 0;
        q_m[l] = L->value[l] - AT_M(L->at[1]);
        double way = L->side[l];
        if (frame)
            way = AT_I(L->r1) * AT_J(L->about[1]) - AT_J(L->r1) * AT_I(L->about[1]);
        else if (writing)
            way =
                AT_I(L->r1) * (AT_J(h) - AT_J(L->at[1])) - AT_J(L->r1) * (AT_I(h) - AT_I(L->at[1]));
        L->side[l] = choose(way > 0, 1, 0);
        LANE_MEET(L->r1, c, square, way > 0, q_m[l], i, j);
        L->expected[l] = AT_I(L->at[1]) + i;
        expected_j[l] = AT_J(L->at[1]) + j;
        L->value[l] = AT_I(h);
    }
    settle(L, writing, SLOT_I);
    EACH_LANE
    {
        double m = L->m[l];
        q_i[l] = L->value[l] - AT_I(L->at[1]);
        L->expected[l] = expected_j[l];
        L->value[l] = AT_J(h);
    }
    settle(L, writing, SLOT_J);
    EACH_LANE
    {
        double m = L->m[l];
        q_j[l] = L->value[l] - AT_J(L->at[1]);
        L->r2[0][l] = pick(m, q_m[l], q_j[l], q_i[l]);
        L->r2[1][l] = pick(m, q_i[l], q_m[l], q_j[l]);
        L->r2[2][l] = pick(m, q_j[l], q_i[l], q_m[l]);
    }
}

INLINE void lanes_move(struct lanes *L, bool writing, double arm, double base, double step)
{
    lane_values p1[3], along, v_i, v_j;
    lane_values *o = L->v, *h1 = L->v + 3, *h2 = L->v + 6;
    double rate = 1 / step, c = arm * arm - base * base / 2, square = arm * arm;
    EACH_LANE
    {
        double axis = lane_largest(L->r1[0][l], L->r1[1][l], L->r1[2][l]);
        double turn[3];
        L->v_axis[l] = axis;
        LANE_CROSS(L->r1, L->r2, turn);
        double m = lane_largest(turn[0], turn[1], turn[2]);
        L->v_m[l] = m;
        if (writing) {
            L->speed[SPEED_A][l] = BESIDE_A(h1);
            L->speed[SPEED_B][l] = BESIDE_B(h1);
            L->speed[SPEED_M][l] = AT_M(h2);
        }
    }
    EACH_LANE
    {
        double axis = L->v_axis[l], r = ALONG(L->r1);
        double a = BESIDE_A(L->r1) - (L->speed[SPEED_A][l] - BESIDE_A(o)) * step;
        double b = BESIDE_B(L->r1) - (L->speed[SPEED_B][l] - BESIDE_B(o)) * step;
        double left = arm * arm - a * a;
        left = left - b * b;
        double root = lane_root(left), before = choose(r > 0, root, -root);
        p1[0][l] = a;
        p1[1][l] = b;
        L->expected[l] = ALONG(o) + (r - before) * rate;
        L->value[l] = ALONG(h1);
    }
    settle(L, writing, SLOT_V_ARM);
    EACH_LANE
    {
        double axis = L->v_axis[l];
        along[l] = ALONG(L->r1) - (L->value[l] - ALONG(o)) * step;
    }
    EACH_LANE p1[2][l] = choose(L->v_axis[l] == 2, along[l], p1[1][l]);
    EACH_LANE p1[1][l] = pick(L->v_axis[l], p1[0][l], along[l], p1[1][l]);
    EACH_LANE p1[0][l] = choose(L->v_axis[l] == 0, along[l], p1[0][l]);
    EACH_LANE
    {
        double m = L->v_m[l], i = 0, j = 0;
        double p_m = AT_M(L->r2) - (L->speed[SPEED_M][l] - AT_M(o)) * step;
        double side = AT_I(L->r1) * AT_J(L->r2) - AT_J(L->r1) * AT_I(L->r2);
        LANE_MEET(p1, c, square, side > 0, p_m, i, j);
        v_i[l] = AT_I(o) + (AT_I(L->r2) - i) * rate;
        v_j[l] = AT_J(o) + (AT_J(L->r2) - j) * rate;
    }
    EACH_LANE
    {
        double m = L->v_m[l];
        L->expected[l] = v_i[l];
        L->value[l] = AT_I(h2);
    }
    settle(L, writing, SLOT_V_I);
    EACH_LANE
    {
        double m = L->v_m[l];
        L->expected[l] = v_j[l];
        L->value[l] = AT_J(h2);
    }
    settle(L, writing, SLOT_V_J);
}

INLINE void lanes_all(struct lanes *L, const struct ebb_state_walk *s, bool writing, bool frame)
{
    const struct ebb_waters *w = &s->waters;
    if (frame)
        lanes_oxygens(L, writing);
    lanes_images(L, writing, frame, s->box);
    if (writing)
        lanes_image_tokens(L);
    lanes_arm(L, writing, frame, w->arm);
    lanes_third(L, writing, frame, w->arm, w->base);
    if (s->has_v && s->moves)
        lanes_move(L, writing, w->arm, w->base, w->step);
}

/* ---- numbers in and out ---- */

INLINE double lane_value(uint64_t word)
{
    float f;
    uint32_t narrow = (uint32_t)word;
    memcpy(&f, &narrow, 4);
    return (double)f;
}

INLINE void take_frame(struct lanes *L, const struct ebb_state_walk *s, size_t atom)
{
    const float *frame = s->frame + 3 * (s->first + atom);
    for (int k = 0; k < 9; k++)
        EACH_LANE L->frame[k][l] = (double)frame[9 * l + k];
}

/* False when a number is not finite: arithmetic would not keep its bits. */
INLINE bool take_numbers(struct lanes *L, const struct ebb_state_walk *s, size_t atom)
{
    const uint64_t *x = s->x + 3 * atom, *v = s->v + 3 * atom;
    uint64_t odd = 0;
    for (int k = 0; k < 9; k++)
        EACH_LANE
        {
            uint64_t word = x[9 * l + k], speed = s->has_v ? v[9 * l + k] : 0;
            odd |= (word & 0x7f800000) == 0x7f800000 || (speed & 0x7f800000) == 0x7f800000;
            L->x[k][l] = lane_value(word);
            L->v[k][l] = lane_value(speed);
        }
    return odd == 0;
}

/* Raw bits that go out together, at most 56 of them. */
struct lane_bits {
    uint64_t value;
    unsigned count;
};

INLINE struct lane_bits bits_of(uint8_t *token, int32_t steps)
{
    uint64_t a = steps < 0 ? 0 - (uint64_t)(int64_t)steps : (uint64_t)steps;
    unsigned raw = 61 - (unsigned)__builtin_clzll(a | 7);
    *token = (uint8_t)((a >> raw) + 4 * raw);
    return (struct lane_bits){ebb_bits_low(a, raw) | (uint64_t)(steps < 0) << raw, raw + (a != 0)};
}

/* First a, then b: at once where there is room. */
INLINE void put_two(struct ebb_bit_writer *bits, struct lane_bits a, struct lane_bits b)
{
    if (__builtin_expect(a.count + b.count > 56, 0)) {
        ebb_bits_put(bits, a.value, a.count);
        a = (struct lane_bits){0, 0};
    }
    ebb_bits_put(bits, a.value | b.value << a.count, a.count + b.count);
}

/* A bit before the others. */
INLINE struct lane_bits after(double bit, struct lane_bits b)
{
    return (struct lane_bits){(uint64_t)(bit != 0) | b.value << 1, b.count + 1};
}

INLINE int32_t get_steps(const uint8_t *raw_bits, uint64_t *at, unsigned token)
{
    unsigned raw = token < 8 ? 0 : (token >> 2) - 1;
    uint64_t value = ebb_bits_peek(raw_bits, *at);
    uint64_t top = token < 8 ? token : (4 | (token & 3U));
    uint64_t a = top << raw | ebb_bits_low(value, raw);
    *at += raw + (token != 0);
    uint64_t negative = token != 0 ? 0 - (value >> raw & 1) : 0;
    return (int32_t)(uint32_t)((a ^ negative) - negative);
}

/* The streams of LANES waters are behind. */
INLINE void pass_streams(struct ebb_state_walk *s, bool frame)
{
    s->tokens[EBB_TOKENS_OXYGEN].at += frame ? 3 * LANES : 0;
    s->tokens[EBB_TOKENS_ARM].at += 2 * LANES;
    s->tokens[EBB_TOKENS_ARM_DERIVED].at += LANES;
    s->tokens[EBB_TOKENS_THIRD].at += LANES;
    s->tokens[EBB_TOKENS_THIRD_DERIVED].at += 2 * LANES;
    s->tokens[EBB_TOKENS_WRAPS].at += 2 * LANES;
    s->tokens[EBB_TOKENS_V_ARM].at += s->has_v && s->moves ? LANES : 0;
    s->tokens[EBB_TOKENS_V_THIRD].at += s->has_v && s->moves ? 2 * LANES : 0;
}

INLINE void write_lanes(struct ebb_state_walk *s, const struct lanes *L, size_t atom, bool frame)
{
    struct ebb_bit_writer bits = s->writer;
    uint8_t *oxygen = s->tokens[EBB_TOKENS_OXYGEN].at, *arm = s->tokens[EBB_TOKENS_ARM].at;
    uint8_t *arm_derived = s->tokens[EBB_TOKENS_ARM_DERIVED].at;
    uint8_t *third = s->tokens[EBB_TOKENS_THIRD].at;
    uint8_t *third_derived = s->tokens[EBB_TOKENS_THIRD_DERIVED].at;
    uint8_t *v_arm = s->tokens[EBB_TOKENS_V_ARM].at, *v_third = s->tokens[EBB_TOKENS_V_THIRD].at;
    uint8_t *wraps = s->tokens[EBB_TOKENS_WRAPS].at;
    bool moves = s->has_v && s->moves;
    EACH_LANE
    {
        struct lane_bits a, b;
        if (frame) {
            a = bits_of(oxygen + 3 * l, L->steps[SLOT_OXYGEN][l]);
            b = bits_of(oxygen + 3 * l + 1, L->steps[SLOT_OXYGEN + 1][l]);
            put_two(&bits, a, b);
            a = bits_of(oxygen + 3 * l + 2, L->steps[SLOT_OXYGEN + 2][l]);
            ebb_bits_put(&bits, a.value, a.count);
        }
        a = bits_of(arm + 2 * l, L->steps[SLOT_ARM_A][l]);
        b = bits_of(arm + 2 * l + 1, L->steps[SLOT_ARM_B][l]);
        put_two(&bits, a, b);
        a = bits_of(arm_derived + l, L->steps[SLOT_ARM_C][l]);
        b = bits_of(third + l, L->steps[SLOT_M][l]);
        put_two(&bits, frame ? a : after(L->up[l], a), b);
        a = bits_of(third_derived + 2 * l, L->steps[SLOT_I][l]);
        b = bits_of(third_derived + 2 * l + 1, L->steps[SLOT_J][l]);
        put_two(&bits, frame ? a : after(L->side[l], a), b);
        if (moves) {
            a = bits_of(v_arm + l, L->steps[SLOT_V_ARM][l]);
            b = bits_of(v_third + 2 * l, L->steps[SLOT_V_I][l]);
            put_two(&bits, a, b);
            a = bits_of(v_third + 2 * l + 1, L->steps[SLOT_V_J][l]);
            ebb_bits_put(&bits, a.value, a.count);
        }
        wraps[2 * l] = (uint8_t)L->image[0][l];
        wraps[2 * l + 1] = (uint8_t)L->image[1][l];
    }
    s->writer = bits;
    const uint64_t *x = s->x + 3 * atom, *v = s->v + 3 * atom;
    EACH_LANE for (int k = 0; !frame && k < 3; k++) * s->plain[EBB_PLAIN_OXYGEN].at++ =
        x[9 * l + k];
    for (int l = 0; s->has_v && l < LANES; l++)
        for (int k = 0; k < 3; k++)
            *s->plain[EBB_PLAIN_V_OXYGEN].at++ = v[9 * l + k];
    uint64_t *speed = s->plain[EBB_PLAIN_V_HYDROGEN].at;
    for (int l = 0; s->has_v && l < LANES; l++) {
        const uint64_t *h = v + 9 * l + 3;
        int axis = (int)L->v_axis[l];
        if (s->moves) {
            *speed++ = h[axis == 0];
            *speed++ = h[axis == 2 ? 1 : 2];
            *speed++ = h[3 + (int)L->v_m[l]];
        } else {
            memcpy(speed, h, 6 * sizeof *h);
            speed += 6;
        }
    }
    s->plain[EBB_PLAIN_V_HYDROGEN].at = speed;
    pass_streams(s, frame);
}

INLINE void read_lanes(struct ebb_state_walk *s, struct lanes *L, size_t atom, bool frame)
{
    const uint8_t *oxygen = s->tokens[EBB_TOKENS_OXYGEN].at, *arm = s->tokens[EBB_TOKENS_ARM].at;
    const uint8_t *arm_derived = s->tokens[EBB_TOKENS_ARM_DERIVED].at;
    const uint8_t *third = s->tokens[EBB_TOKENS_THIRD].at;
    const uint8_t *third_derived = s->tokens[EBB_TOKENS_THIRD_DERIVED].at;
    const uint8_t *v_arm = s->tokens[EBB_TOKENS_V_ARM].at;
    const uint8_t *v_third = s->tokens[EBB_TOKENS_V_THIRD].at;
    const uint8_t *wraps = s->tokens[EBB_TOKENS_WRAPS].at, *raw = s->raw;
    uint64_t at = s->bit;
    bool moves = s->has_v && s->moves;
    EACH_LANE
    {
        for (int k = 0; frame && k < 3; k++)
            L->steps[SLOT_OXYGEN + k][l] = get_steps(raw, &at, oxygen[3 * l + k]);
        L->steps[SLOT_ARM_A][l] = get_steps(raw, &at, arm[2 * l]);
        L->steps[SLOT_ARM_B][l] = get_steps(raw, &at, arm[2 * l + 1]);
        if (!frame)
            L->up[l] = (double)(ebb_bits_peek(raw, at++) & 1);
        L->steps[SLOT_ARM_C][l] = get_steps(raw, &at, arm_derived[l]);
        L->steps[SLOT_M][l] = get_steps(raw, &at, third[l]);
        if (!frame)
            L->side[l] = (double)(ebb_bits_peek(raw, at++) & 1);
        L->steps[SLOT_I][l] = get_steps(raw, &at, third_derived[2 * l]);
        L->steps[SLOT_J][l] = get_steps(raw, &at, third_derived[2 * l + 1]);
        if (moves) {
            L->steps[SLOT_V_ARM][l] = get_steps(raw, &at, v_arm[l]);
            L->steps[SLOT_V_I][l] = get_steps(raw, &at, v_third[2 * l]);
            L->steps[SLOT_V_J][l] = get_steps(raw, &at, v_third[2 * l + 1]);
        }
    }
    for (int h = 0; h < 2; h++)
        EACH_LANE
        {
            unsigned code = wraps[2 * l + h] % 27;
            L->shift[h][0][l] = (int)(code % 3) - 1;
            L->shift[h][1][l] = (int)(code / 3 % 3) - 1;
            L->shift[h][2][l] = (int)(code / 9) - 1;
        }
    s->bit = at;
    uint64_t *x = s->x + 3 * atom, *v = s->v + 3 * atom;
    for (int l = 0; !frame && l < LANES; l++)
        for (int k = 0; k < 3; k++) {
            x[9 * l + k] = *s->plain[EBB_PLAIN_OXYGEN].at++;
            L->x[k][l] = lane_value(x[9 * l + k]);
        }
    for (int l = 0; s->has_v && l < LANES; l++)
        for (int k = 0; k < 3; k++) {
            v[9 * l + k] = *s->plain[EBB_PLAIN_V_OXYGEN].at++;
            L->v[k][l] = lane_value(v[9 * l + k]);
        }
    for (int l = 0; s->has_v && s->moves && l < LANES; l++)
        for (int k = 0; k < SPEEDS; k++) {
            uint64_t word = *s->plain[EBB_PLAIN_V_HYDROGEN].at++;
            L->speed_word[k][l] = (int32_t)(uint32_t)word;
            L->speed[k][l] = lane_value(word);
        }
    pass_streams(s, frame);
}

/* What was read, to the file's order. */
INLINE void give_numbers(struct ebb_state_walk *s, const struct lanes *L, size_t atom, bool frame)
{
    EACH_LANE
    {
        uint64_t *x = s->x + 3 * atom + 9 * l;
        int axis = (int)L->axis[l], m = (int)L->m[l];
        for (int k = 0; frame && k < 3; k++)
            x[k] = (uint32_t)L->word[SLOT_OXYGEN + k][l];
        x[3 + (axis == 0)] = (uint32_t)L->word[SLOT_ARM_A][l];
        x[3 + (axis == 2 ? 1 : 2)] = (uint32_t)L->word[SLOT_ARM_B][l];
        x[3 + axis] = (uint32_t)L->word[SLOT_ARM_C][l];
        x[6 + m] = (uint32_t)L->word[SLOT_M][l];
        x[6 + (m == 2 ? 0 : m + 1)] = (uint32_t)L->word[SLOT_I][l];
        x[6 + (m == 0 ? 2 : m - 1)] = (uint32_t)L->word[SLOT_J][l];
    }
    for (int l = 0; s->has_v && l < LANES; l++) {
        uint64_t *v = s->v + 3 * atom + 9 * l;
        if (!s->moves) {
            memcpy(v + 3, s->plain[EBB_PLAIN_V_HYDROGEN].at, 6 * sizeof *v);
            s->plain[EBB_PLAIN_V_HYDROGEN].at += 6;
            continue;
        }
        int axis = (int)L->v_axis[l], m = (int)L->v_m[l];
        v[3 + (axis == 0)] = (uint32_t)L->speed_word[SPEED_A][l];
        v[3 + (axis == 2 ? 1 : 2)] = (uint32_t)L->speed_word[SPEED_B][l];
        v[3 + axis] = (uint32_t)L->word[SLOT_V_ARM][l];
        v[6 + m] = (uint32_t)L->speed_word[SPEED_M][l];
        v[6 + (m == 2 ? 0 : m + 1)] = (uint32_t)L->word[SLOT_V_I][l];
        v[6 + (m == 0 ? 2 : m - 1)] = (uint32_t)L->word[SLOT_V_J][l];
    }
}

/* LANES waters from `atom` on; false: they are for the way of one by one. */
INLINE bool pass_lanes(struct ebb_state_walk *s, bool writing, size_t atom, bool frame)
{
    struct lanes L;
    if (s->has_v && s->moves && s->waters.step == 0)
        return false;
    if (writing ? !take_numbers(&L, s, atom) : s->bits_end - s->bit < LANES * LANE_BITS_MAX)
        return false;
    if (frame)
        take_frame(&L, s, atom);
    if (!writing)
        read_lanes(s, &L, atom, frame);
    lanes_all(&L, s, writing, frame);
    if (writing)
        write_lanes(s, &L, atom, frame);
    else
        give_numbers(s, &L, atom, frame);
    return true;
}

#endif
