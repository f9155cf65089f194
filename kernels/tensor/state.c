/* Blobs of restart state.
 *
 *     version    1 byte
 *     checksum   8 bytes   XXH3-64 of all that follows
 *     flags      1 byte    see FLAG_*
 *     content    8 bytes   XXH3-64 of x, then of v seeded by it, as in the file
 *     atoms      varint
 *     shape      6 doubles: |O-H|, |H-H|, step, box; then the runs (state_waters.h): their number,
 *                and free atoms and waters of each, as varints
 *     blocks     of EBB_STATE_BLOCK atoms, up to two more to end with a whole water:
 *                  how (1 byte): 1 velocities are derived, 2 free atoms are near the one before
 *                  the tokens of each kind, the wraps, each an entropy block; the raw bits, stored
 *                  the numbers that nothing is known of, by kind, as byte planes
 *
 * Writer and reader go through the atoms by one and the same code (state_walk.c), so that they
 * cannot disagree. It computes in double precision with operations that IEEE 754 rounds in one way
 * only. */
#include "kernels/tensor/state.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/block_hash.h"
#include "kernels/tensor/method.h"
#include "kernels/tensor/state_walk.h"
#include "kernels/varint.h"

#define STATE_VERSION 1
#define CHECKED_FROM  9
#define FIXED         (CHECKED_FROM + 9)
enum {
    FLAG_F64 = 1,
    FLAG_BIG_ENDIAN = 2,
    FLAG_V = 4,
    FLAG_FRAME = 8,
    FLAGS = 15,
};
enum { HOW_MOVES = 1, HOW_CHAIN = 2, HOWS = 3 };

static uint64_t load_le64(const uint8_t *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

static void store_le64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t content_of(const void *x, const void *v, size_t bytes)
{
    uint64_t sum = ebb_block_checksum(x, bytes);
    return v != NULL ? sum * UINT64_C(0x9E3779B97F4A7C15) + ebb_block_checksum(v, bytes) : sum;
}

static inline uint32_t load32(const uint8_t *in, bool big_endian)
{
    uint32_t word;
    memcpy(&word, in, 4);
    return big_endian ? __builtin_bswap32(word) : word;
}

static inline uint64_t load64(const uint8_t *in, bool big_endian)
{
    uint64_t word;
    memcpy(&word, in, 8);
    return big_endian ? __builtin_bswap64(word) : word;
}

/* File order and width to words and back: a loop for each width, that vector instructions can do.
 */
static void to_words(const void *from, size_t n, const struct ebb_state_walk *s, uint64_t *to)
{
    const uint8_t *in = from;
    bool big_endian = s->big_endian;
    for (size_t i = 0; s->wide && i < n; i++)
        to[i] = load64(in + 8 * i, big_endian);
    for (size_t i = 0; !s->wide && i < n; i++)
        to[i] = load32(in + 4 * i, big_endian);
}

static void from_words(const uint64_t *from, size_t n, const struct ebb_state_walk *s, void *to)
{
    uint8_t *out = to;
    bool big_endian = s->big_endian, wide = s->wide;
    for (size_t i = 0; wide && i < n; i++) {
        uint64_t word = big_endian ? __builtin_bswap64(from[i]) : from[i];
        memcpy(out + 8 * i, &word, 8);
    }
    for (size_t i = 0; !wide && i < n; i++) {
        uint32_t word = big_endian ? __builtin_bswap32((uint32_t)from[i]) : (uint32_t)from[i];
        memcpy(out + 4 * i, &word, 4);
    }
}

/* How many of each kind the block asks for. */
static void set_counts(struct ebb_state_walk *s)
{
    size_t w = s->molecules, f = s->free_atoms;
    bool frame = s->frame != NULL;
    s->tokens[EBB_TOKENS_OXYGEN].count = frame ? 3 * w : 0;
    s->tokens[EBB_TOKENS_ARM].count = 2 * w;
    s->tokens[EBB_TOKENS_ARM_DERIVED].count = w;
    s->tokens[EBB_TOKENS_THIRD].count = w;
    s->tokens[EBB_TOKENS_THIRD_DERIVED].count = 2 * w;
    s->tokens[EBB_TOKENS_FREE].count = frame || s->chain ? 3 * f : 0;
    s->tokens[EBB_TOKENS_V_ARM].count = s->has_v && s->moves ? w : 0;
    s->tokens[EBB_TOKENS_V_THIRD].count = s->has_v && s->moves ? 2 * w : 0;
    s->tokens[EBB_TOKENS_WRAPS].count = 2 * w;
    s->plain[EBB_PLAIN_OXYGEN].count = frame ? 0 : 3 * w;
    s->plain[EBB_PLAIN_FREE].count = frame || s->chain ? 0 : 3 * f;
    s->plain[EBB_PLAIN_V_OXYGEN].count = s->has_v ? 3 * w : 0;
    s->plain[EBB_PLAIN_V_HYDROGEN].count = s->has_v ? (s->moves ? 3 * w : 6 * w) : 0;
    s->plain[EBB_PLAIN_V_FREE].count = s->has_v ? 3 * f : 0;
}

/* Room for a block's numbers, tokens, words, and raw bits at their longest; once. */
static bool take_room(struct ebb_state_walk *s)
{
    size_t atoms = s->atoms < EBB_STATE_BLOCK ? s->atoms : EBB_STATE_BLOCK;
    size_t numbers = 3 * (atoms + 2); /* a block may end with a water begun before its end */
    s->raw_room = 2 * numbers * (s->wide ? 8 : 4) + 64;
    s->all = malloc(4 * numbers * sizeof *s->x + 3 * numbers + s->raw_room);
    if (s->all == NULL)
        return false;
    s->x = (uint64_t *)s->all;
    s->v = s->x + numbers;
    s->words = s->v + numbers;
    s->raw = (uint8_t *)(s->words + 2 * numbers);
    s->token_bytes = s->raw + s->raw_room;
    return true;
}

static void place_streams(struct ebb_state_walk *s)
{
    uint8_t *token = s->token_bytes;
    uint64_t *word = s->words;
    for (int k = 0; k < EBB_TOKENS_KINDS; k++) {
        s->tokens[k].start = s->tokens[k].at = token;
        token += s->tokens[k].count;
    }
    for (int k = 0; k < EBB_PLAIN_KINDS; k++) {
        s->plain[k].start = s->plain[k].at = word;
        word += s->plain[k].count;
    }
    s->writer = (struct ebb_bit_writer){.out = s->raw};
    s->bit = 0;
}

static void clean_walk(struct ebb_state_walk *s)
{
    free(s->all);
    ebb_waters_clean_up(&s->waters);
}

/* Means of token classes: about the bits of a number below its top. */
static double mean_token(const struct ebb_tokens *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->count; i++)
        sum += t->start[i];
    return t->count > 0 ? sum / (double)t->count : 0;
}

/* What is no nearer than a plain number is: a token of 4r + 4..7 stands for r + 5 bits or so, a
 * plain float32 costs some 27. */
#define TOKEN_NOT_WORTH (4.0 * 21)

static double not_worth(const struct ebb_state_walk *s)
{
    return s->wide ? TOKEN_NOT_WORTH + 4.0 * 29 : TOKEN_NOT_WORTH;
}

static bool velocities_pay(const struct ebb_state_walk *s)
{
    return mean_token(&s->tokens[EBB_TOKENS_V_ARM]) <= not_worth(s) &&
           mean_token(&s->tokens[EBB_TOKENS_V_THIRD]) <= not_worth(s);
}

/* Is each atom near the one before? Asked of some of them; waters are so anyway. */
static bool chain_pays(const struct ebb_state_walk *s)
{
    double bits = 0;
    size_t n = 0;
    if (s->frame != NULL || s->free_atoms == 0)
        return false;
    for (size_t i = 3; i < 3 * s->count; i += 1 + s->count / 512, n++)
        bits += 64 - __builtin_clzll(ebb_state_distance(s->x[i - 3], s->x[i], s->wide) | 1);
    return n > 0 && bits / (double)n * 4 <= not_worth(s) + 4;
}

/* A frame that is not near the positions is no help. */
static bool frame_is_near(const struct ebb_state_input *in, const struct ebb_state_walk *s)
{
    size_t step = 3 * s->atoms / 1000 + 1, far = 0, n = 0, each = s->wide ? 8 : 4;
    for (size_t i = 0; i < 3 * s->atoms; i += step, n++) {
        uint64_t word;
        to_words((const uint8_t *)in->x + i * each, 1, s, &word);
        far += ebb_state_distance(ebb_state_word(in->frame[i], s->wide), word, s->wide) >>
                   (s->wide ? 48 : 19) !=
               0;
    }
    return far * 4 < n;
}

static void write_walk(struct ebb_state_walk *s)
{
    s->chain = chain_pays(s);
    for (;;) {
        set_counts(s);
        place_streams(s);
        ebb_state_walk_write(s);
        if (!s->moves || velocities_pay(s))
            return;
        s->moves = false;
    }
}

static void append_varint(struct ebb_buffer *out, uint64_t value)
{
    uint8_t bytes[EBB_VARINT_MAX];
    ebb_buffer_append(out, bytes, ebb_varint_put(bytes, value));
}

static void append_head(const struct ebb_state_walk *s, uint64_t content, struct ebb_buffer *out)
{
    uint8_t head[FIXED] = {STATE_VERSION};
    head[CHECKED_FROM] =
        (uint8_t)((s->wide ? FLAG_F64 : 0) | (s->big_endian ? FLAG_BIG_ENDIAN : 0) |
                  (s->has_v ? FLAG_V : 0) | (s->frame != NULL ? FLAG_FRAME : 0));
    store_le64(head + CHECKED_FROM + 1, content);
    ebb_buffer_append(out, head, sizeof head);
    append_varint(out, s->atoms);
    const double shape[6] = {s->waters.arm, s->waters.base, s->waters.step,
                             s->box[0],     s->box[1],      s->box[2]};
    for (int k = 0; k < 6; k++) {
        uint8_t bytes[8];
        store_le64(bytes, ebb_state_word(shape[k], true));
        ebb_buffer_append(out, bytes, 8);
    }
    append_varint(out, s->waters.run_count);
    for (size_t r = 0; r < s->waters.run_count; r++) {
        append_varint(out, s->waters.runs[r].free);
        append_varint(out, s->waters.runs[r].waters);
    }
}

/* Plain numbers by the method of planes of the tensor codec. */
static int append_plain(const struct ebb_state_walk *s, const struct ebb_plain *p,
                        struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO_FREE uint32_t *narrow = NULL;
    struct ebb_tensor_array a = {.data = (const uint8_t *)p->start,
                                 .elements = p->count,
                                 .columns = 1,
                                 .stride = s->wide ? 8 : 4,
                                 .dtype = s->wide ? EBB_DTYPE_F64 : EBB_DTYPE_F32};
    if (!s->wide) {
        narrow = malloc((p->count + 1) * sizeof *narrow);
        if (narrow == NULL)
            return ebb_tensor_no_memory(err, 4 * p->count);
        for (size_t i = 0; i < p->count; i++)
            narrow[i] = (uint32_t)p->start[i];
        a.data = (const uint8_t *)narrow;
    }
    return ebb_tensor_planes_encode(&a, out, err);
}

static int append_streams(struct ebb_state_walk *s, struct ebb_buffer *out, struct ebb_error *err)
{
    uint8_t how = (uint8_t)((s->moves ? HOW_MOVES : 0) | (s->chain ? HOW_CHAIN : 0));
    ebb_buffer_append(out, &how, 1);
    for (int k = 0; k < EBB_TOKENS_KINDS; k++)
        ebb_entropy_encode(s->tokens[k].start, s->tokens[k].count,
                           k == EBB_TOKENS_WRAPS ? EBB_ENTROPY_SMALL : EBB_ENTROPY_FAST, out);
    uint8_t *end = ebb_bits_end(&s->writer);
    ebb_entropy_store(s->raw, (size_t)(end - s->raw), out);
    int rc = 0;
    for (int k = 0; k < EBB_PLAIN_KINDS && rc == 0; k++)
        if (s->plain[k].count > 0)
            rc = append_plain(s, &s->plain[k], out, err);
    return rc;
}

/* All positions as doubles, to find the waters by. */
static double *doubles_of(const uint8_t *from, const struct ebb_state_walk *s)
{
    size_t n = 3 * s->atoms;
    double *out = malloc((n + 1) * sizeof *out);
    for (size_t i = 0; out != NULL && s->wide && i < n; i++)
        out[i] = ebb_state_value(load64(from + 8 * i, s->big_endian), true);
    for (size_t i = 0; out != NULL && !s->wide && i < n; i++)
        out[i] = ebb_state_value(load32(from + 4 * i, s->big_endian), false);
    return out;
}

struct speeds {
    const struct ebb_state_walk *s;
    const uint8_t *v;
};

static double speed_at(const void *ctx, size_t i)
{
    const struct speeds *k = ctx;
    uint64_t word;
    to_words(k->v + i * (k->s->wide ? 8 : 4), 1, k->s, &word);
    return ebb_state_value(word, k->s->wide);
}

static bool set_waters(struct ebb_state_walk *s, const struct ebb_state_input *in)
{
    EBB_AUTO_FREE double *x = doubles_of(in->x, s);
    struct speeds k = {s, in->v};
    struct ebb_speeds v = {speed_at, &k};
    return x != NULL && ebb_waters_find(x, s->has_v ? &v : NULL, s->atoms, s->box, &s->waters);
}

static int encode_blocks(struct ebb_state_walk *s, const struct ebb_state_input *in,
                         struct ebb_buffer *out, struct ebb_error *err)
{
    size_t each = 3 * (s->wide ? 8 : 4);
    int rc = 0;
    s->moves = s->waters.moves;
    for (; rc == 0 && s->first < s->atoms; ebb_state_block_pass(s)) {
        ebb_state_block_plan(s);
        to_words((const uint8_t *)in->x + s->first * each, 3 * s->count, s, s->x);
        if (s->has_v)
            to_words((const uint8_t *)in->v + s->first * each, 3 * s->count, s, s->v);
        write_walk(s);
        rc = append_streams(s, out, err);
    }
    return rc;
}

int ebb_state_encode(const struct ebb_state_input *in, struct ebb_buffer *out,
                     struct ebb_error *err)
{
    EBB_AUTO(clean_walk)
    struct ebb_state_walk s = {.atoms = in->atoms,
                               .wide = in->dtype == EBB_DTYPE_F64,
                               .big_endian = in->big_endian,
                               .has_v = in->v != NULL};
    if ((in->dtype != EBB_DTYPE_F32 && in->dtype != EBB_DTYPE_F64) || in->atoms > SIZE_MAX / 256)
        return ebb_error_set(err, EBB_ERR_INPUT, "restart state: element type %s, %zu atoms",
                             ebb_dtype_name(in->dtype), in->atoms);
    for (int k = 0; k < 3; k++)
        s.box[k] = in->box[k] > 0 && in->box[k] < 1e30 ? in->box[k] : 0;
    if (in->frame != NULL && frame_is_near(in, &s))
        s.frame = in->frame;
    if (!set_waters(&s, in) || !take_room(&s))
        return ebb_tensor_no_memory(err, 48 * in->atoms);
    size_t start = out->len;
    append_head(&s, content_of(in->x, in->v, 3 * s.atoms * (s.wide ? 8 : 4)), out);
    int rc = encode_blocks(&s, in, out, err);
    if (rc < 0) {
        out->len = start;
        return rc;
    }
    uint8_t *blob = out->data + start;
    store_le64(blob + 1, ebb_block_checksum(blob + CHECKED_FROM, out->len - start - CHECKED_FROM));
    return 0;
}

static int damaged(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "packed state: its head is damaged");
}

/* The runs; they must add up to the atoms. */
static int read_runs(struct ebb_state_walk *s, struct ebb_tensor_body *body, struct ebb_error *err)
{
    uint64_t count, free_atoms, waters;
    int rc = ebb_tensor_body_varint(body, &count, err);
    if (rc < 0)
        return rc;
    if (count > body->len / 2)
        return damaged(err);
    s->waters.runs = ebb_alloc_array((size_t)count + 1, sizeof *s->waters.runs);
    size_t left = s->atoms;
    for (; s->waters.run_count < count; s->waters.run_count++) {
        rc = ebb_tensor_body_varint(body, &free_atoms, err);
        if (rc == 0)
            rc = ebb_tensor_body_varint(body, &waters, err);
        if (rc < 0)
            return rc;
        if (free_atoms > left || waters > (left - free_atoms) / 3)
            return damaged(err);
        left -= (size_t)(free_atoms + 3 * waters);
        s->waters.runs[s->waters.run_count] =
            (struct ebb_state_run){(size_t)free_atoms, (size_t)waters};
        s->waters.free += (size_t)free_atoms;
        s->waters.waters += (size_t)waters;
    }
    return left == 0 ? 0 : damaged(err);
}

static int read_head(const uint8_t *blob, size_t len, struct ebb_state_walk *s, bool *ret_frame,
                     uint64_t *ret_content, struct ebb_tensor_body *body, struct ebb_error *err)
{
    uint64_t atoms;
    if (len > 0 && blob[0] != STATE_VERSION)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "packed state: version %u", blob[0]);
    if (len < FIXED || blob[CHECKED_FROM] > FLAGS)
        return damaged(err);
    unsigned flags = blob[CHECKED_FROM];
    *body = (struct ebb_tensor_body){blob + FIXED, len - FIXED};
    int rc = ebb_tensor_body_varint(body, &atoms, err);
    if (rc < 0)
        return rc;
    uint8_t shape[48];
    rc = ebb_tensor_body_bytes(body, shape, sizeof shape, err);
    if (rc < 0)
        return rc;
    if (atoms > SIZE_MAX / 256)
        return damaged(err);
    s->atoms = (size_t)atoms;
    s->wide = flags & FLAG_F64;
    s->big_endian = flags & FLAG_BIG_ENDIAN;
    s->has_v = flags & FLAG_V;
    double *const numbers[6] = {&s->waters.arm, &s->waters.base, &s->waters.step,
                                &s->box[0],     &s->box[1],      &s->box[2]};
    for (int k = 0; k < 6; k++)
        *numbers[k] = ebb_state_value(load_le64(shape + 8 * k), true);
    *ret_frame = flags & FLAG_FRAME;
    *ret_content = load_le64(blob + CHECKED_FROM + 1);
    return read_runs(s, body, err);
}

int ebb_state_read_info(const void *blob, size_t len, struct ebb_state_info *ret,
                        struct ebb_error *err)
{
    EBB_AUTO(clean_walk) struct ebb_state_walk s = {0};
    struct ebb_tensor_body body = {0};
    uint64_t content = 0;
    bool frame = false;
    int rc = read_head(blob, len, &s, &frame, &content, &body, err);
    if (rc < 0)
        return rc;
    *ret = (struct ebb_state_info){.atoms = s.atoms,
                                   .waters = s.waters.waters,
                                   .dtype = s.wide ? EBB_DTYPE_F64 : EBB_DTYPE_F32,
                                   .big_endian = s.big_endian,
                                   .has_v = s.has_v,
                                   .needs_frame = frame,
                                   .step = s.waters.step};
    return 0;
}

static int read_plain(const struct ebb_state_walk *s, struct ebb_plain *p,
                      struct ebb_tensor_body *body, struct ebb_error *err)
{
    EBB_AUTO_FREE uint32_t *narrow = NULL;
    struct ebb_tensor_array a = {.elements = p->count,
                                 .columns = 1,
                                 .stride = s->wide ? 8 : 4,
                                 .dtype = s->wide ? EBB_DTYPE_F64 : EBB_DTYPE_F32};
    uint8_t *out = (uint8_t *)p->start;
    if (!s->wide) {
        narrow = malloc((p->count + 1) * sizeof *narrow);
        if (narrow == NULL)
            return ebb_tensor_no_memory(err, 4 * p->count);
        out = (uint8_t *)narrow;
    }
    int rc = ebb_tensor_planes_decode(&a, body, out, err);
    for (size_t i = 0; rc == 0 && !s->wide && i < p->count; i++)
        p->start[i] = narrow[i];
    return rc;
}

static int read_streams(struct ebb_state_walk *s, struct ebb_tensor_body *body,
                        struct ebb_error *err)
{
    uint8_t how = 0;
    int rc = ebb_tensor_body_bytes(body, &how, 1, err);
    if (rc == 0 && how > HOWS)
        rc = damaged(err);
    s->moves = how & HOW_MOVES;
    s->chain = how & HOW_CHAIN;
    set_counts(s);
    place_streams(s);
    for (int k = 0; k < EBB_TOKENS_KINDS && rc == 0; k++) {
        const uint8_t *bytes = NULL;
        rc = ebb_tensor_body_view(body, s->tokens[k].count, s->tokens[k].start, &bytes, err);
        if (rc == 0 && bytes != s->tokens[k].start && s->tokens[k].count > 0)
            memcpy(s->tokens[k].start, bytes, s->tokens[k].count);
    }
    const uint8_t *raw = NULL;
    size_t len = 0;
    if (rc == 0)
        rc = ebb_tensor_body_stored(body, &raw, &len, err);
    if (rc < 0)
        return rc;
    if (len + 32 > s->raw_room)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed state: more bits than it can have");
    memcpy(s->raw, raw, len);
    memset(s->raw + len, 0, 32);
    s->bits_end = 8 * (uint64_t)len;
    for (int k = 0; k < EBB_PLAIN_KINDS && rc == 0; k++)
        if (s->plain[k].count > 0)
            rc = read_plain(s, &s->plain[k], body, err);
    return rc;
}

int ebb_state_decode(const void *blob, size_t len, const float *frame, size_t atoms, void *x,
                     void *v, struct ebb_error *err)
{
    EBB_AUTO(clean_walk) struct ebb_state_walk s = {0};
    struct ebb_tensor_body body = {0};
    const uint8_t *bytes = blob;
    uint64_t content = 0;
    bool needs_frame = false;
    if (len < FIXED)
        return damaged(err);
    if (bytes[0] == STATE_VERSION &&
        ebb_block_checksum(bytes + CHECKED_FROM, len - CHECKED_FROM) != load_le64(bytes + 1))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed state: its checksum does not match");
    int rc = read_head(bytes, len, &s, &needs_frame, &content, &body, err);
    if (rc < 0)
        return rc;
    if (s.atoms != atoms || s.has_v != (v != NULL))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed state: %zu atoms%s, not %zu", s.atoms,
                             s.has_v ? " with velocities" : "", atoms);
    if (needs_frame && frame == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "packed state: it was packed over a frame, which is not there");
    s.frame = needs_frame ? frame : NULL;
    if (!take_room(&s))
        return ebb_tensor_no_memory(err, 48 * atoms);
    size_t each = 3 * (s.wide ? 8 : 4);
    for (; s.first < atoms; ebb_state_block_pass(&s)) {
        ebb_state_block_plan(&s);
        rc = read_streams(&s, &body, err);
        if (rc < 0)
            return rc;
        ebb_state_walk_read(&s);
        from_words(s.x, 3 * s.count, &s, (uint8_t *)x + s.first * each);
        if (s.has_v)
            from_words(s.v, 3 * s.count, &s, (uint8_t *)v + s.first * each);
    }
    if (s.failed || body.len != 0 || content_of(x, v, each * atoms) != content)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             needs_frame ? "packed state: it was packed over another frame"
                                         : "packed state: what it holds does not match");
    return 0;
}
