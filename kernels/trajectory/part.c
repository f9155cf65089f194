/* Parts: memory, and their description in a group: runs of first atoms with a stride. */
#include "kernels/trajectory/part.h"

#include <string.h>

#include "kernels/trajectory/put.h"

/* Vector loops may write past the last number, up to a block. */
#define SLACK 64

void ebb_traj_part_clean_up(struct ebb_traj_part *p)
{
    free(p->first);
    free(p->last);
    free(p->behind);
    free(p->bonds);
    free(p->order);
    free(p->batch_end);
    free(p->links);
    ebb_traj_near_destroy(p->near);
    ebb_traj_crystal_destroy(p->crystal);
    for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++)
        free(p->past[k]);
    free(p->a);
    free(p->b);
    memset(p, 0, sizeof *p);
}

static int32_t *vectors(uint32_t n)
{
    return calloc(3 * (size_t)n + SLACK, sizeof(int32_t));
}

bool ebb_traj_part_allocate(struct ebb_traj_part *p)
{
    p->first = calloc((size_t)p->n + SLACK, sizeof *p->first);
    bool ok = p->first != NULL;
    p->last = vectors(p->n);
    if (p->type == EBB_TRAJ_PART_CHAIN) {
        p->bonds = calloc((size_t)p->n, sizeof *p->bonds);
        return ok && p->bonds != NULL && p->last != NULL;
    }
    p->behind = vectors(p->n);
    ok = ok && p->last != NULL && p->behind != NULL;
    if (p->type == EBB_TRAJ_PART_WATER) {
        p->a = vectors(p->n);
        p->b = vectors(p->n);
        ok = ok && p->a != NULL && p->b != NULL;
    }
    return ok;
}

static size_t chain_numbers(const struct ebb_traj_part *p, int kind)
{
    switch (kind) {
    case EBB_TRAJ_STREAM_SPHERE:
        return 2 * (size_t)(p->n - p->with_angle);
    case EBB_TRAJ_STREAM_FACE:
        return p->n - p->with_angle;
    case EBB_TRAJ_STREAM_CIRCLE:
    case EBB_TRAJ_STREAM_ARC:
    case EBB_TRAJ_STREAM_VIRTUAL:
        return p->with_angle;
    default:
        return 0;
    }
}

size_t ebb_traj_part_numbers(const struct ebb_traj_part *p, int kind)
{
    if (p->type == EBB_TRAJ_PART_CHAIN)
        return chain_numbers(p, kind);
    if (p->type == EBB_TRAJ_PART_CRYSTAL && p->near != NULL)
        return 3 * (size_t)(p->near->level_at[kind + 1] - p->near->level_at[kind]);
    const bool water = p->type == EBB_TRAJ_PART_WATER;
    switch (kind) {
    case EBB_TRAJ_STREAM_SITE:
        return 3 * (size_t)p->n;
    case EBB_TRAJ_STREAM_SPHERE:
        return water ? 2 * (size_t)p->n : 0;
    case EBB_TRAJ_STREAM_FACE:
    case EBB_TRAJ_STREAM_CIRCLE:
    case EBB_TRAJ_STREAM_ARC:
        return water ? p->n : 0;
    case EBB_TRAJ_STREAM_VIRTUAL:
        return water && p->atoms_each == 4 ? p->n : 0;
    default:
        return 0;
    }
}

bool ebb_traj_part_has_stream(const struct ebb_traj_part *p, int kind)
{
    if (p->type == EBB_TRAJ_PART_CRYSTAL)
        return (unsigned)kind < p->crystal->levels;
    return ebb_traj_part_numbers(p, kind) > 0;
}

/* Sites from i on that follow each other with one stride. */
static uint32_t run_length(const struct ebb_traj_part *p, const uint32_t *first, uint32_t i,
                           uint32_t *ret_stride)
{
    *ret_stride = i + 1 < p->n ? first[i + 1] - first[i] : p->atoms_each;
    uint32_t count = 1;
    while (i + count < p->n && first[i + count] - first[i + count - 1] == *ret_stride)
        count++;
    return count;
}

static void put_runs(const struct ebb_traj_part *p, struct ebb_buffer *out)
{
    const uint32_t *first =
        p->near != NULL && p->crystal != NULL ? p->crystal->file_order : p->first;
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->n;) {
        uint32_t stride;
        uint32_t count = run_length(p, first, i, &stride);
        ebb_traj_put_varint(out, first[i] - next);
        ebb_traj_put_varint(out, count);
        ebb_traj_put_varint(out, stride);
        next = first[i + count - 1] + p->atoms_each;
        i += count;
    }
}

/* The distinct squared lengths of a chain, in the order in which the atoms first have them; where
 * one was last found, by a hash of it. */
#define LENGTH_SLOTS 1024
struct lengths {
    float *values;
    size_t count, capacity;
    size_t slot[LENGTH_SLOTS];
};

static size_t place_of(struct lengths *l, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t *slot = &l->slot[bits * 2654435761u >> 22];
    if (*slot < l->count && l->values[*slot] == value)
        return *slot;
    for (*slot = 0; *slot < l->count; ++*slot) {
        if (l->values[*slot] == value)
            return *slot;
    }
    if (l->count == l->capacity) {
        l->capacity = 2 * l->capacity + 64;
        l->values = ebb_realloc_array(l->values, l->capacity, sizeof *l->values);
    }
    l->values[l->count] = value;
    return l->count++;
}

/* Column by column, which zstd likes best: parents, references, lengths. */
static void put_bonds(const struct ebb_traj_part *p, struct ebb_buffer *out)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer places = {0};
    struct lengths lengths = {0};
    for (uint32_t i = 0; i < p->n; i++)
        ebb_traj_put_varint(out, p->first[i] - p->bonds[i].parent);
    for (uint32_t i = 0; i < p->n; i++)
        ebb_traj_put_varint(out, p->bonds[i].reference);
    for (uint32_t i = 0; i < p->n; i++)
        ebb_traj_put_varint(&places, place_of(&lengths, p->bonds[i].b2));
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->bonds[i].reference != 0)
            ebb_traj_put_varint(&places, place_of(&lengths, p->bonds[i].c2));
    }
    ebb_traj_put_varint(out, lengths.count);
    for (size_t i = 0; i < lengths.count; i++)
        ebb_traj_put_float(out, lengths.values[i]);
    ebb_buffer_append(out, places.data, places.len);
    free(lengths.values);
}

void ebb_traj_part_write(const struct ebb_traj_part *p, struct ebb_buffer *out)
{
    ebb_traj_put_varint(out, p->type);
    ebb_traj_put_varint(out, p->n);
    ebb_traj_put_varint(out, p->atoms_each);
    put_runs(p, out);
    if (p->type == EBB_TRAJ_PART_CHAIN)
        put_bonds(p, out);
    if (p->type == EBB_TRAJ_PART_LATTICE)
        ebb_traj_put_varint(out, p->reach);
    if (p->type == EBB_TRAJ_PART_CRYSTAL)
        ebb_traj_crystal_write(p, out);
    if (p->type == EBB_TRAJ_PART_WATER) {
        ebb_traj_put_float(out, p->rigid.a2);
        ebb_traj_put_float(out, p->rigid.b2);
        ebb_traj_put_float(out, p->rigid.ab);
        ebb_traj_put_float(out, p->rigid.virtual_a);
        ebb_traj_put_float(out, p->rigid.virtual_b);
    }
}

static int corrupt(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "trajectory group: %s", what);
}

/* First atoms rise, so the parts' atoms are told apart by counting them alone: see
 * ebb_traj_decoder_open for atoms that two parts claim. */
static int get_runs(struct ebb_traj_part *p, size_t atoms, const uint8_t *bytes, size_t len,
                    size_t *at, struct ebb_error *err)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < p->n;) {
        uint64_t gap, count, stride;
        if (!ebb_varint_get(bytes, len, at, &gap) || !ebb_varint_get(bytes, len, at, &count) ||
            !ebb_varint_get(bytes, len, at, &stride))
            return corrupt(err, "a part's runs are cut short");
        if (count == 0 || count > p->n - i || stride < p->atoms_each || stride > atoms ||
            gap > atoms || next + gap + (count - 1) * stride + p->atoms_each > atoms)
            return corrupt(err, "a part's runs leave the atoms");
        next += gap;
        for (uint64_t j = 0; j < count; j++, next += stride)
            p->first[i++] = (uint32_t)next;
        next += p->atoms_each - stride;
    }
    return 0;
}

static bool get_float(const uint8_t *bytes, size_t len, size_t *at, float limit, float *ret)
{
    if (len - *at < 4)
        return false;
    uint32_t bits = (uint32_t)bytes[*at] | (uint32_t)bytes[*at + 1] << 8 |
                    (uint32_t)bytes[*at + 2] << 16 | (uint32_t)bytes[*at + 3] << 24;
    *at += 4;
    memcpy(ret, &bits, sizeof *ret);
    return *ret >= -limit && *ret <= limit;
}

static int get_rigid(struct ebb_traj_rigid *r, const uint8_t *bytes, size_t len, size_t *at,
                     struct ebb_error *err)
{
    const float limit = 4294967296.0f;
    if (!get_float(bytes, len, at, limit, &r->a2) || !get_float(bytes, len, at, limit, &r->b2) ||
        !get_float(bytes, len, at, limit, &r->ab) ||
        !get_float(bytes, len, at, 1024, &r->virtual_a) ||
        !get_float(bytes, len, at, 1024, &r->virtual_b) || !(r->a2 >= 1) || !(r->b2 >= 1))
        return corrupt(err, "the geometry of a molecule is damaged");
    return 0;
}

/* Parents and third atoms stand before their atom. Whether they really are bonded need not be
 * checked: a wrong one gives a wrong prediction, the same each time. */
static int get_tree(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at,
                    struct ebb_error *err)
{
    for (uint32_t i = 0; i < p->n; i++) {
        uint64_t back;
        if (!ebb_varint_get(bytes, len, at, &back) || back == 0 || back > p->first[i])
            return corrupt(err, "a bond leads nowhere");
        p->bonds[i].parent = p->first[i] - (uint32_t)back;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        struct ebb_traj_bond *b = &p->bonds[i];
        uint64_t reference;
        if (!ebb_varint_get(bytes, len, at, &reference) || reference > (uint64_t)p->first[i] + 1)
            return corrupt(err, "an angle leads nowhere");
        b->reference = (uint32_t)reference;
        p->with_angle += reference != 0;
    }
    return 0;
}

static int get_lengths(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at,
                       struct ebb_error *err)
{
    uint64_t count, place;
    if (!ebb_varint_get(bytes, len, at, &count) || count > (len - *at) / 4)
        return corrupt(err, "a chain's lengths are cut short");
    const size_t values = *at;
    *at += 4 * (size_t)count;
    for (uint32_t k = 0; k < 2 * p->n; k++) {
        struct ebb_traj_bond *b = &p->bonds[k < p->n ? k : k - p->n];
        if (k >= p->n && b->reference == 0)
            continue;
        if (!ebb_varint_get(bytes, len, at, &place) || place >= count)
            return corrupt(err, "a chain's lengths are damaged");
        size_t from = values + 4 * (size_t)place;
        if (!get_float(bytes, len, &from, 4294967296.0f, k < p->n ? &b->b2 : &b->c2))
            return corrupt(err, "a chain's lengths are damaged");
    }
    return 0;
}

static int get_details(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at,
                       struct ebb_error *err)
{
    if (p->type == EBB_TRAJ_PART_LATTICE) {
        uint64_t reach;
        if (!ebb_varint_get(bytes, len, at, &reach) || reach < 4 || reach > EBB_TRAJ_NEAR_REACH)
            return corrupt(err, "a lattice's reach is damaged");
        p->reach = (uint32_t)reach;
        return 0;
    }
    if (p->type == EBB_TRAJ_PART_CRYSTAL)
        return ebb_traj_crystal_read(p, bytes, len, at, err);
    if (p->type == EBB_TRAJ_PART_WATER)
        return get_rigid(&p->rigid, bytes, len, at, err);
    if (p->type != EBB_TRAJ_PART_CHAIN)
        return 0;
    int rc = get_tree(p, bytes, len, at, err);
    if (rc < 0 || (rc = get_lengths(p, bytes, len, at, err)) < 0)
        return rc;
    return ebb_traj_chain_order(p)
               ? 0
               : ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for a chain");
}

int ebb_traj_part_read(struct ebb_traj_part *p, size_t atoms, size_t near_sites, size_t *left,
                       const uint8_t *bytes, size_t len, size_t *at, struct ebb_error *err)
{
    uint64_t type, n, each;
    if (!ebb_varint_get(bytes, len, at, &type) || !ebb_varint_get(bytes, len, at, &n) ||
        !ebb_varint_get(bytes, len, at, &each))
        return corrupt(err, "a part is cut short");
    if (type > EBB_TRAJ_PART_CRYSTAL)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "trajectory group: a part of a kind that this version does not know");
    bool fits = type == EBB_TRAJ_PART_WATER ? each == 3 || each == 4 : each == 1;
    if (!fits || n == 0 || n > *left / each)
        return corrupt(err, "a part has more atoms than the group");
    if (type >= EBB_TRAJ_PART_LATTICE && n > near_sites)
        return corrupt(err, "a lattice has more sites than the group has room for");
    *left -= (size_t)(n * each);
    p->type = (enum ebb_traj_part_type)type;
    p->n = (uint32_t)n;
    p->atoms_each = (uint32_t)each;
    if (!ebb_traj_part_allocate(p))
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for %llu atoms",
                             (unsigned long long)(n * each));
    int rc = get_runs(p, atoms, bytes, len, at, err);
    if (rc < 0)
        return rc;
    return get_details(p, bytes, len, at, err);
}
