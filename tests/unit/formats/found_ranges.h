/* For tests of scanners: the ranges of bytes in memory as lines of text,
 * "offset+len dtype rowsxcolumns role name". Include after cmocka.h. */
#ifndef EBB_TEST_FOUND_RANGES_H
#define EBB_TEST_FOUND_RANGES_H

#include <inttypes.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/file.h"
#include "formats/ranges.h"

static int found_range(void *ctx, const struct ebb_range *r, struct ebb_error *err)
{
    (void)err;
    ebb_buffer_printf(ctx, "%" PRIu64 "+%" PRIu64 " %s%s %" PRIu64 "x%" PRIu64 " %s %s\n",
                      r->offset, r->len, ebb_dtype_name(r->dtype), r->big_endian ? "(big)" : "",
                      r->rows, r->columns, ebb_range_role_name(r->role), r->name);
    return 0;
}

/* Of the kind that the bytes themselves say; each byte is looked at from a copy of its own size, so
 * that reading past the end is found. */
static inline char *ranges_of(const void *bytes, size_t len, enum ebb_file_kind kind)
{
    struct ebb_buffer lines = {0};
    struct ebb_error err = {0};
    struct ebb_memory_source memory = {.data = bytes, .len = len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    assert_int_equal(ebb_ranges_scan(kind, &source, found_range, &lines, &err), 0);
    if (lines.data == NULL)
        return ebb_strdup("");
    return ebb_buffer_take_text(&lines);
}

/* Every cut and every byte changed in turn: nothing but some ranges may come of it. */
static inline void survive_damage(const void *bytes, size_t len, enum ebb_file_kind kind)
{
    for (size_t i = 0; i < len; i++) {
        EBB_AUTO_FREE uint8_t *copy = ebb_memdup(bytes, len);
        copy[i] ^= (uint8_t)(1U << i % 8);
        free(ranges_of(copy, len, kind));
        copy[i] = 0xff;
        free(ranges_of(copy, len, kind));
        EBB_AUTO_FREE uint8_t *cut = ebb_memdup(bytes, i + 1);
        free(ranges_of(cut, i, kind));
    }
}

#endif
