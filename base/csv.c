/* A row's cells lie one behind the other in one buffer, each ended by NUL, so that a file is read
 * with two allocations. Limits hold before anything is stored: a row has at most
 * EBB_CSV_MAX_COLUMNS. */
#include "base/csv.h"

#include <stdio.h>
#include <string.h>

int ebb_csv_fault(const struct ebb_csv *c, struct ebb_error *err, const char *fmt, ...)
{
    char text[360];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return ebb_error_set(err, EBB_ERR_INPUT, "%s:%lu: %s", c->path, c->line, text);
}

static int quoted(struct ebb_csv *c, struct ebb_error *err)
{
    for (c->at++; c->at < c->end; c->at++) {
        char ch = *c->at;
        if (ch == '"' && (c->at + 1 == c->end || c->at[1] != '"')) {
            c->at++;
            return 0;
        }
        c->at += ch == '"';
        c->next_line += ch == '\n';
        if (ch == '\0')
            return ebb_csv_fault(c, err, "the row holds a NUL byte: this is no text");
        ebb_buffer_append(&c->cells, &ch, 1);
    }
    return ebb_csv_fault(c, err, "the quoted value has no closing quote");
}

/* Spaces around a cell that is not quoted do not belong to it. */
static void trim(struct ebb_buffer *b, size_t from)
{
    while (b->len > from && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '\t'))
        b->len--;
}

/* Reads one cell to the end of c->cells and past what ends it: ',' or '\n' or the end ('\n'). */
static int next_cell(struct ebb_csv *c, char *ret_by, struct ebb_error *err)
{
    size_t from = c->cells.len;
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
    bool in_quotes = c->at < c->end && *c->at == '"';
    int rc = in_quotes ? quoted(c, err) : 0;
    if (rc < 0)
        return rc;
    for (; c->at < c->end && *c->at != ',' && *c->at != '\n'; c->at++) {
        if (*c->at == '\0')
            return ebb_csv_fault(c, err, "the row holds a NUL byte: this is no text");
        if (*c->at == '\r' && (c->at + 1 == c->end || c->at[1] == '\n'))
            continue;
        if (in_quotes && *c->at != ' ' && *c->at != '\t')
            return ebb_csv_fault(c, err, "text after the closing quote");
        if (!in_quotes)
            ebb_buffer_append(&c->cells, c->at, 1);
    }
    if (!in_quotes)
        trim(&c->cells, from);
    ebb_buffer_append(&c->cells, "", 1);
    *ret_by = c->at < c->end ? *c->at++ : '\n';
    c->next_line += *ret_by == '\n';
    return 0;
}

static bool skip_blank_line(struct ebb_csv *c)
{
    const char *p = c->at;
    if (c->columns == 0 && *p == '#') {
        const char *lf = memchr(p, '\n', (size_t)(c->end - p));
        p = lf != NULL ? lf : c->end;
    }
    while (p < c->end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    if (p < c->end && *p != '\n')
        return false;
    c->at = p < c->end ? p + 1 : p;
    c->next_line++;
    return true;
}

static int read_row(struct ebb_csv *c, struct ebb_error *err)
{
    while (c->at < c->end && skip_blank_line(c)) {
    }
    if (c->at >= c->end)
        return 0;
    ebb_buffer_reset(&c->cells);
    c->count = 0;
    c->line = c->next_line;
    char by = ',';
    while (by == ',') {
        if (c->count == EBB_CSV_MAX_COLUMNS)
            return ebb_csv_fault(c, err, "more than %d columns", EBB_CSV_MAX_COLUMNS);
        c->cell_at[c->count] = c->cells.len;
        int rc = next_cell(c, &by, err);
        if (rc < 0)
            return rc;
        c->count++;
    }
    return 1;
}

static const char *name_of(const struct ebb_csv *c, size_t i)
{
    return (const char *)c->names.data + c->name_at[i];
}

static int take_header(struct ebb_csv *c, struct ebb_error *err)
{
    c->columns = c->count;
    memcpy(c->name_at, c->cell_at, sizeof c->name_at);
    c->names = c->cells;
    c->cells = (struct ebb_buffer){0};
    for (size_t i = 0; i < c->columns; i++) {
        if (*name_of(c, i) == '\0')
            return ebb_csv_fault(c, err, "column %zu has no name", i + 1);
        if (ebb_csv_column(c, name_of(c, i)) != (int)i)
            return ebb_csv_fault(c, err, "two columns are named '%s'", name_of(c, i));
    }
    return 0;
}

int ebb_csv_open(struct ebb_csv *c, const char *path, const char *text, size_t len,
                 struct ebb_error *err)
{
    *c = (struct ebb_csv){.path = path, .at = text, .end = text + len, .next_line = 1, .line = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        c->at += 3;
    int rc = read_row(c, err);
    if (rc == 0)
        rc = ebb_csv_fault(c, err, "empty: the first line names the columns");
    if (rc > 0)
        rc = take_header(c, err);
    if (rc < 0)
        ebb_csv_clean_up(c);
    return rc;
}

void ebb_csv_clean_up(struct ebb_csv *c)
{
    ebb_buffer_clean_up(&c->cells);
    ebb_buffer_clean_up(&c->names);
}

int ebb_csv_column(const struct ebb_csv *c, const char *name)
{
    for (size_t i = 0; i < c->columns; i++) {
        if (strcmp(name_of(c, i), name) == 0)
            return (int)i;
    }
    return -1;
}

int ebb_csv_next(struct ebb_csv *c, struct ebb_error *err)
{
    int rc = read_row(c, err);
    if (rc > 0 && c->count != c->columns)
        return ebb_csv_fault(c, err, "%zu values in a table of %zu columns", c->count, c->columns);
    return rc;
}

const char *ebb_csv_cell(const struct ebb_csv *c, int column)
{
    return column < 0 || (size_t)column >= c->count
               ? ""
               : (const char *)c->cells.data + c->cell_at[column];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void ebb_csv_quote(struct ebb_buffer *out, const char *text)
{
    size_t len = strlen(text);
    bool trimmed = len > 0 && (is_blank(text[0]) || is_blank(text[len - 1]));
    if (text[strcspn(text, ",\"\r\n")] == '\0' && !trimmed) {
        ebb_buffer_append_text(out, text);
        return;
    }
    ebb_buffer_append_text(out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            ebb_buffer_append_text(out, "\"");
        ebb_buffer_append(out, p, 1);
    }
    ebb_buffer_append_text(out, "\"");
}
