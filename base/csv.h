/* Comma-separated text (RFC 4180) read row by row, with the line of each row for messages. Cells
 * may be quoted; lines end with LF or CRLF; blank lines are skipped; a byte order mark is ignored.
 */
#ifndef EBB_BASE_CSV_H
#define EBB_BASE_CSV_H

#include <stddef.h>

#include "base/buffer.h"

#define EBB_CSV_MAX_COLUMNS 256

struct ebb_csv {
    const char *path; /* for messages; not opened */
    const char *at, *end;
    unsigned long next_line;
    unsigned long line; /* where the present row begins, from 1 */
    size_t columns;     /* of the header, 0 before it */
    size_t count;       /* cells of the present row */
    struct ebb_buffer cells, names;
    size_t cell_at[EBB_CSV_MAX_COLUMNS], name_at[EBB_CSV_MAX_COLUMNS];
};

/* `text` and `path` must outlive the reader. Reads the header: the names of the columns.
 * EBB_ERR_INPUT: no header, a column without name, or twice the same name. */
int ebb_csv_open(struct ebb_csv *c, const char *path, const char *text, size_t len,
                 struct ebb_error *err);
void ebb_csv_clean_up(struct ebb_csv *c);
/* The column's index, or -1. */
int ebb_csv_column(const struct ebb_csv *c, const char *name);
/* The next row: 1, or 0 at the end. EBB_ERR_INPUT names path and line: a row with more or fewer
 * cells than the header, a quote without end, a NUL byte. */
int ebb_csv_next(struct ebb_csv *c, struct ebb_error *err);
/* The cell, spaces around it taken off; "" for column -1. Valid until the next row. */
const char *ebb_csv_cell(const struct ebb_csv *c, int column);
/* EBB_ERR_INPUT with "path:line: " of the present row before the message. */
int ebb_csv_fault(const struct ebb_csv *c, struct ebb_error *err, const char *fmt, ...)
    EBB_PRINTF(3, 4);
/* Appends `text` as one cell, quoted where it must be. */
void ebb_csv_quote(struct ebb_buffer *out, const char *text);

#endif
