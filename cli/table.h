/* A table in plain text: columns as wide as their widest cell, two spaces apart, numbers to the
 * right. Cells count characters, not bytes. */
#ifndef EBB_CLI_TABLE_H
#define EBB_CLI_TABLE_H

#include "base/buffer.h"
#include "base/error.h"

struct ebb_table;

/* `header` has a '\t' between the columns' titles; a title that begins with '>' is a column of
 * numbers, one that begins with '*' is cut when the table is wider than `width`. */
struct ebb_table *ebb_table_new(const char *header);
void ebb_table_destroy(struct ebb_table *t);
/* One row, '\t' between the cells; missing cells are empty. */
void ebb_table_row(struct ebb_table *t, const char *fmt, ...) EBB_PRINTF(2, 3);
size_t ebb_table_row_count(const struct ebb_table *t);
/* Appends the table to `out`; width 0 cuts nothing. */
void ebb_table_render(const struct ebb_table *t, unsigned width, const char *indent,
                      struct ebb_buffer *out);
/* As above to stdout, with its width when it is a terminal. */
void ebb_table_print(const struct ebb_table *t);

/* Columns and lines of the terminal behind `fd`, or 0. */
unsigned ebb_terminal_width(int fd);
unsigned ebb_terminal_height(int fd);
/* Characters of UTF-8 text. */
size_t ebb_text_width(const char *s);

#endif
