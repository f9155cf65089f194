/* NumPy's array files: a magic number, a Python dictionary as text with type, order and shape, then
 * the numbers (numpy.lib.format). The dictionary is read as far as NumPy itself writes it:
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * Anything else (records, objects) has no range. */
#include "formats/npy.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "formats/bytes.h"
#include "formats/scanners.h"
#include "formats/tensor_range.h"

struct text {
    const char *at, *end;
};

static void skip_spaces(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n'))
        t->at++;
}

static bool take(struct text *t, const char *word)
{
    size_t n = strlen(word);
    skip_spaces(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

/* A string in single or double quotes, without escapes. */
static bool take_string(struct text *t, char *out, size_t room)
{
    skip_spaces(t);
    if (t->at >= t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    char quote = *t->at++;
    const char *close = memchr(t->at, quote, (size_t)(t->end - t->at));
    if (close == NULL || (size_t)(close - t->at) >= room)
        return false;
    memcpy(out, t->at, (size_t)(close - t->at));
    out[close - t->at] = 0;
    t->at = close + 1;
    return true;
}

static bool take_number(struct text *t, uint64_t *ret)
{
    uint64_t value = 0;
    skip_spaces(t);
    const char *start = t->at;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*t->at - '0'), &value))
            return false;
    (void)take(t, "L"); /* Python 2 wrote 3L */
    *ret = value;
    return t->at > start;
}

/* "<f4" and the like. ml_dtypes writes its bfloat16 as two bytes of no type. */
static bool read_type(const char *descr, struct ebb_range *range)
{
    static const struct {
        const char *code;
        enum ebb_dtype dtype;
    } types[] = {
        {"f8", EBB_DTYPE_F64},  {"f4", EBB_DTYPE_F32}, {"f2", EBB_DTYPE_F16},
        {"V2", EBB_DTYPE_BF16}, {"i1", EBB_DTYPE_I8},  {"u1", EBB_DTYPE_U8},
        {"i2", EBB_DTYPE_I16},  {"u2", EBB_DTYPE_U16}, {"i4", EBB_DTYPE_I32},
        {"u4", EBB_DTYPE_U32},  {"i8", EBB_DTYPE_I64}, {"u8", EBB_DTYPE_U64},
        {"b1", EBB_DTYPE_BOOL},
    };
    if (strchr("<>|=", descr[0]) == NULL || descr[0] == 0)
        return false;
    for (size_t i = 0; i < EBB_ARRAY_LEN(types); i++)
        if (strcmp(descr + 1, types[i].code) == 0) {
            range->dtype = types[i].dtype;
            range->big_endian = descr[0] == '>';
            return true;
        }
    return false;
}

static bool take_shape(struct text *t, uint64_t shape[EBB_MAX_DIMENSIONS], size_t *ret)
{
    size_t n = 0;
    if (!take(t, "("))
        return false;
    while (!take(t, ")")) {
        if (n == EBB_MAX_DIMENSIONS || !take_number(t, &shape[n++]))
            return false;
        if (!take(t, ",")) {
            if (!take(t, ")"))
                return false;
            break;
        }
    }
    *ret = n;
    return true;
}

struct array {
    char descr[16];
    bool fortran;
    uint64_t shape[EBB_MAX_DIMENSIONS];
    size_t dimensions;
};

static bool read_dictionary(struct text t, struct array *a)
{
    unsigned seen = 0;
    if (!take(&t, "{"))
        return false;
    while (!take(&t, "}")) {
        char key[16];
        if (!take_string(&t, key, sizeof key) || !take(&t, ":"))
            return false;
        if (strcmp(key, "descr") == 0) {
            if (!take_string(&t, a->descr, sizeof a->descr))
                return false;
            seen |= 1;
        } else if (strcmp(key, "fortran_order") == 0) {
            a->fortran = take(&t, "True");
            if (!a->fortran && !take(&t, "False"))
                return false;
            seen |= 2;
        } else if (strcmp(key, "shape") == 0) {
            if (!take_shape(&t, a->shape, &a->dimensions))
                return false;
            seen |= 4;
        } else {
            return false;
        }
        (void)take(&t, ",");
    }
    return seen == 7;
}

bool ebb_npy_read_header(const uint8_t *head, size_t len, uint64_t size, struct ebb_range *ret)
{
    if (len < 12 || memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return false;
    size_t start = head[6] == 1 ? 10 : 12;
    uint64_t text = head[6] == 1 ? ebb_load16(head + 8, false) : ebb_load32(head + 8, false);
    if (text > len - start || size < start + text)
        return false;
    struct array a = {.fortran = false};
    struct ebb_range range = {.name = "", .role = EBB_ROLE_TENSOR};
    struct text t = {(const char *)head + start, (const char *)head + start + text};
    if (!read_dictionary(t, &a) || !read_type(a.descr, &range))
        return false;
    for (size_t i = 0; a.fortran && i < a.dimensions / 2; i++) {
        uint64_t axis = a.shape[i];
        a.shape[i] = a.shape[a.dimensions - 1 - i];
        a.shape[a.dimensions - 1 - i] = axis;
    }
    if (!ebb_tensor_extents(a.shape, a.dimensions, &range))
        return false;
    uint64_t elements = range.rows * range.columns;
    if (elements == 0 || elements > (size - start - text) / ebb_dtype_size(range.dtype))
        return false;
    range.offset = start + text;
    range.len = elements * ebb_dtype_size(range.dtype);
    *ret = range;
    return true;
}

int ebb_npy_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                 struct ebb_error *err)
{
    size_t len = source->size < EBB_NPY_HEADER_MAX ? (size_t)source->size : EBB_NPY_HEADER_MAX;
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(len + 1);
    int rc = source->read_at(source->ctx, 0, head, len, err);
    if (rc < 0)
        return rc;
    struct ebb_range range;
    if (!ebb_npy_read_header(head, len, source->size, &range))
        return 0;
    return found(ctx, &range, err);
}
