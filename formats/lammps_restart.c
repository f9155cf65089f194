/* LAMMPS restart files: where the atoms lie. The header is a list of flagged values whose types
 * depend on the flags and the version, but the file ends with one section for each processor,
 *
 *     flag i32 | count i32 | numbers f64 * count
 *
 * all with the same flag, then, in newer versions, the 16 bytes that begin the file again. So the
 * chain of sections that ends there is looked for. Within a section each atom is a record that
 * begins with its length in numbers; where all have the same length, the section is a table with a
 * row for each atom. */
#include "base/memory.h"
#include "formats/bytes.h"
#include "formats/scanners.h"

static const char magic[16] = "LammpS RestartT";

enum { MAX_HEADER = 1 << 22, MAX_FLAG = 256, MAX_SECTIONS = 1 << 20, MAX_ROW = 4096 };

/* The source without the closing magic. */
static int without_end(const struct ebb_random_source *source, struct ebb_random_source *ret,
                       struct ebb_error *err)
{
    *ret = *source;
    char end[sizeof magic];
    if (source->size < 2 * sizeof magic)
        return 0;
    int rc = source->read_at(source->ctx, source->size - sizeof end, end, sizeof end, err);
    if (rc == 0 && memcmp(end, magic, sizeof magic) == 0)
        ret->size -= sizeof magic;
    return rc;
}

/* Whether sections with `flag` follow each other from `at` to the end of the file: 1, 0 or the
 * source's failure. */
static int is_chain(const struct ebb_random_source *s, uint64_t at, uint32_t flag,
                    struct ebb_error *err)
{
    for (int sections = 0; sections < MAX_SECTIONS && s->size - at >= 8; sections++) {
        uint8_t head[8];
        int rc = s->read_at(s->ctx, at, head, sizeof head, err);
        if (rc < 0)
            return rc;
        uint32_t count = ebb_load32(head + 4, false);
        if (ebb_load32(head, false) != flag || count > INT32_MAX || count > (s->size - at - 8) / 8)
            return 0;
        at += 8 + 8 * (uint64_t)count;
        if (at == s->size)
            return 1;
    }
    return 0;
}

/* The first byte of the chain in *ret: 1, or 0 when there is none. */
static int find_chain(const struct ebb_random_source *s, uint64_t *ret, struct ebb_error *err)
{
    size_t len = s->size < MAX_HEADER ? (size_t)s->size : MAX_HEADER;
    EBB_AUTO_FREE uint8_t *head = malloc(len + 1);
    if (head == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu bytes", len);
    int rc = s->read_at(s->ctx, 0, head, len, err);
    if (rc < 0)
        return rc;
    /* Tried in turn: a place with a likely flag, whose section ends the file or is followed by one
     * with the same flag. */
    unsigned tries = 0;
    for (size_t at = 16; at + 8 <= len && tries < 10000; at++) {
        uint32_t flag = ebb_load32(head + at, false), count = ebb_load32(head + at + 4, false);
        if (flag > MAX_FLAG || flag == 0 || count == 0 || count > INT32_MAX ||
            count > (s->size - at - 8) / 8)
            continue;
        uint64_t end = at + 8 + 8 * (uint64_t)count;
        if (end != s->size && end + 8 <= len && ebb_load32(head + end, false) != flag)
            continue;
        tries++;
        rc = is_chain(s, at, flag, err);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            *ret = at;
            return 1;
        }
    }
    return 0;
}

/* The length of the records of a section, if all begin with the same and fill it; else 1. */
static int row_length(const struct ebb_random_source *s, uint64_t at, uint64_t count, uint64_t *ret,
                      struct ebb_error *err)
{
    enum { PIECE = 8192 };
    uint8_t bytes[8];
    *ret = 1;
    int rc = s->read_at(s->ctx, at, bytes, sizeof bytes, err);
    if (rc < 0)
        return rc;
    double first = ebb_load_f64(bytes, false);
    if (!(first >= 4 && first <= MAX_ROW) || first != (double)(uint64_t)first ||
        count % (uint64_t)first != 0)
        return 0;
    uint64_t row = (uint64_t)first, step = PIECE / (8 * row) == 0 ? 1 : PIECE / (8 * row);
    EBB_AUTO_FREE uint8_t *rows = ebb_alloc((size_t)(step * row) * 8);
    for (uint64_t i = 0; i < count / row; i += step) {
        uint64_t n = count / row - i < step ? count / row - i : step;
        rc = s->read_at(s->ctx, at + 8 * row * i, rows, (size_t)(8 * row * n), err);
        if (rc < 0)
            return rc;
        for (uint64_t k = 0; k < n; k++)
            if (ebb_load_f64(rows + 8 * row * k, false) != first)
                return 0;
    }
    *ret = row;
    return 0;
}

int ebb_lammps_restart_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                            struct ebb_error *err)
{
    struct ebb_random_source s;
    uint64_t at = 0;
    int rc = without_end(source, &s, err);
    if (rc < 0 || (rc = find_chain(&s, &at, err)) <= 0)
        return rc;
    while (s.size - at >= 8) {
        uint8_t head[8];
        rc = s.read_at(s.ctx, at, head, sizeof head, err);
        if (rc < 0)
            return rc;
        uint64_t count = ebb_load32(head + 4, false), row = 1;
        at += 8;
        if (count > (s.size - at) / 8)
            return 0;
        if (count > 0) {
            rc = row_length(&s, at, count, &row, err);
            if (rc < 0)
                return rc;
            struct ebb_range range = {.offset = at,
                                      .len = 8 * count,
                                      .dtype = EBB_DTYPE_F64,
                                      .rows = count / row,
                                      .columns = row,
                                      .role = EBB_ROLE_TENSOR,
                                      .name = "atoms"};
            rc = found(ctx, &range, err);
            if (rc != 0)
                return rc;
        }
        at += 8 * count;
    }
    return 0;
}
