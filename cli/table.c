/* Text tables. Rows are kept as they came; widths are found at the end. */
#include "cli/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"

#define MAX_COLUMNS 16
#define MIN_CUT     12 /* a column that is cut keeps this many characters */

struct row {
    char *text; /* cells, each ended by a NUL */
    const char *cells[MAX_COLUMNS];
};

struct ebb_table {
    size_t columns;
    bool right[MAX_COLUMNS];
    bool elastic[MAX_COLUMNS];
    struct row *rows; /* the first is the header */
    size_t rows_count;
    size_t rows_capacity;
};

unsigned ebb_terminal_width(int fd)
{
    struct winsize w;
    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

unsigned ebb_terminal_height(int fd)
{
    struct winsize w;
    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_row : 0;
}

size_t ebb_text_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Takes over `text`. */
static void add_row(struct ebb_table *t, char *text)
{
    if (t->rows_count == t->rows_capacity) {
        t->rows_capacity = t->rows_capacity == 0 ? 16 : t->rows_capacity * 2;
        t->rows = ebb_realloc_array(t->rows, t->rows_capacity, sizeof(*t->rows));
    }
    struct row *r = &t->rows[t->rows_count++];
    *r = (struct row){.text = text};
    size_t n = 0;
    for (char *p = text; p != NULL && n < MAX_COLUMNS; n++) {
        r->cells[n] = p;
        p = strchr(p, '\t');
        if (p != NULL)
            *p++ = '\0';
    }
    for (; n < MAX_COLUMNS; n++)
        r->cells[n] = "";
}

struct ebb_table *ebb_table_new(const char *header)
{
    struct ebb_table *t = ebb_alloc(sizeof(*t));
    add_row(t, ebb_strdup(header));
    struct row *r = &t->rows[0];
    for (size_t i = 0; i < MAX_COLUMNS && r->cells[i][0] != '\0'; i++) {
        t->columns = i + 1;
        t->right[i] = r->cells[i][0] == '>';
        t->elastic[i] = r->cells[i][0] == '*';
        if (t->right[i] || t->elastic[i])
            r->cells[i]++;
    }
    return t;
}

void ebb_table_destroy(struct ebb_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->rows_count; i++)
        free(t->rows[i].text);
    free(t->rows);
    free(t);
}

void ebb_table_row(struct ebb_table *t, const char *fmt, ...)
{
    struct ebb_buffer b = {0};
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    va_end(ap);
    ebb_buffer_append_text(&b, text);
    free(text);
    /* Text from outside must not break the table or reach the terminal as an escape sequence. */
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] != '\t' && (b.data[i] < 0x20 || b.data[i] == 0x7f))
            b.data[i] = ' ';
    add_row(t, ebb_buffer_take_text(&b));
}

size_t ebb_table_row_count(const struct ebb_table *t)
{
    return t->rows_count - 1;
}

static size_t total_width(const struct ebb_table *t, const size_t *widths)
{
    size_t total = t->columns > 0 ? 2 * (t->columns - 1) : 0;
    for (size_t c = 0; c < t->columns; c++)
        total += widths[c];
    return total;
}

static void find_widths(const struct ebb_table *t, unsigned limit, size_t *widths)
{
    for (size_t c = 0; c < t->columns; c++) {
        widths[c] = 0;
        for (size_t r = 0; r < t->rows_count; r++) {
            size_t w = ebb_text_width(t->rows[r].cells[c]);
            widths[c] = w > widths[c] ? w : widths[c];
        }
    }
    size_t total = total_width(t, widths);
    for (size_t c = t->columns; limit > 0 && total > limit && c-- > 0;) {
        if (!t->elastic[c] || widths[c] <= MIN_CUT)
            continue;
        size_t over = total - limit, spare = widths[c] - MIN_CUT;
        widths[c] -= over < spare ? over : spare;
        total = total_width(t, widths);
    }
}

/* At most `width` characters; what is cut ends in "...". */
static void append_cut(struct ebb_buffer *out, const char *cell, size_t width)
{
    size_t have = ebb_text_width(cell);
    size_t keep = have > width ? (width > 3 ? width - 3 : width) : have;
    const char *p = cell;
    for (size_t n = 0; *p != '\0'; p++) {
        if (((unsigned char)*p & 0xc0) != 0x80 && n++ == keep)
            break;
    }
    ebb_buffer_append(out, cell, (size_t)(p - cell));
    if (have > width && width > 3)
        ebb_buffer_append_text(out, "...");
}

static void pad(struct ebb_buffer *out, size_t n)
{
    ebb_buffer_printf(out, "%*s", (int)n, "");
}

static void render_row(const struct ebb_table *t, const struct row *r, const size_t *widths,
                       struct ebb_buffer *out)
{
    for (size_t c = 0; c < t->columns; c++) {
        size_t w = ebb_text_width(r->cells[c]);
        size_t space = w < widths[c] ? widths[c] - w : 0;
        if (t->right[c])
            pad(out, space);
        append_cut(out, r->cells[c], widths[c]);
        if (c + 1 < t->columns)
            pad(out, 2 + (t->right[c] ? 0 : space));
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    ebb_buffer_append_text(out, "\n");
}

void ebb_table_render(const struct ebb_table *t, unsigned width, const char *indent,
                      struct ebb_buffer *out)
{
    size_t widths[MAX_COLUMNS];
    size_t margin = strlen(indent);
    find_widths(t, width > margin ? width - (unsigned)margin : 0, widths);
    for (size_t r = 0; r < t->rows_count; r++) {
        ebb_buffer_append_text(out, indent);
        render_row(t, &t->rows[r], widths, out);
    }
}

void ebb_table_print(const struct ebb_table *t)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_table_render(t, ebb_terminal_width(STDOUT_FILENO), "", &out);
    (void)fputs(ebb_buffer_text(&out), stdout);
}
