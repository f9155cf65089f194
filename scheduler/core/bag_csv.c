/* A sweep from a CSV file (RFC 4180): the header names the parameters, each row is a job. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/spec_read.h"

struct csv {
    struct ebb_bag_parser *p;
    ebb_bag_node *at; /* the bag's mention of the file */
    const char *path;
    const char *s, *end;
    unsigned line;
    struct ebb_buffer cell;
};

/* Reads a quoted cell, the first quote already taken. false: it has no end. */
static bool quoted(struct csv *c)
{
    while (c->s < c->end) {
        char ch = *c->s++;
        if (ch == '"' && (c->s == c->end || *c->s != '"'))
            return true;
        c->s += ch == '"';
        c->line += ch == '\n';
        ebb_buffer_append(&c->cell, &ch, 1);
    }
    return false;
}

/* Reads one cell into c->cell and says what ended it: ',', '\n' or 0 at the end. -1: a fault. */
static int next_cell(struct csv *c)
{
    unsigned line = c->line;
    ebb_buffer_reset(&c->cell);
    if (c->s < c->end && *c->s == '"') {
        c->s++;
        if (!quoted(c)) {
            ebb_yaml_fault(c->p->y, c->at, "%s:%u: the quoted value has no closing quote", c->path,
                           line);
            return -1;
        }
    }
    const char *start = c->s;
    while (c->s < c->end && *c->s != ',' && *c->s != '\n' && *c->s != '\0')
        c->s++;
    size_t n = (size_t)(c->s - start);
    if (n > 0 && c->s < c->end && *c->s == '\n' && start[n - 1] == '\r')
        n--;
    ebb_buffer_append(&c->cell, start, n);
    if (c->s == c->end)
        return 0;
    if (*c->s == '\0') {
        ebb_yaml_fault(c->p->y, c->at, "%s:%u: the file holds a NUL byte", c->path, c->line);
        return -1;
    }
    int by = *c->s++;
    c->line += by == '\n';
    return by;
}

static bool read_header(struct csv *c, Ebb__Sweep *s)
{
    int by;
    do {
        by = next_cell(c);
        if (by < 0)
            return false;
        const char *name = ebb_buffer_text(&c->cell), *why = ebb_bag_parameter_fault(name);
        for (size_t a = 0; why == NULL && a < s->n_axes; a++) {
            if (strcmp(s->axes[a]->name, name) == 0)
                why = "is named twice";
        }
        if (why != NULL) {
            ebb_yaml_fault(c->p->y, c->at, "%s:1: column %zu: parameter '%s' %s", c->path,
                           s->n_axes + 1, name, why);
            return false;
        }
        ebb_bag_add_axis(s, name);
    } while (by == ',');
    return true;
}

/* Capacity is the power of two above the count. */
static void add_value(Ebb__Axis *axis, size_t row, const char *text)
{
    if ((row & (row + 1)) == 0)
        axis->values = ebb_realloc_array(axis->values, 2 * row + 2, sizeof *axis->values);
    axis->values[row] = ebb_strdup(text);
    axis->n_values = row + 1;
}

static bool read_row(struct csv *c, Ebb__Sweep *s, size_t row)
{
    unsigned line = c->line;
    size_t column = 0;
    int by;
    do {
        by = next_cell(c);
        if (by < 0)
            return false;
        if (column < s->n_axes)
            add_value(s->axes[column], row, ebb_buffer_text(&c->cell));
        column++;
    } while (by == ',');
    if (column != s->n_axes)
        ebb_yaml_fault(c->p->y, c->at, "%s:%u: %zu values in a table of %zu columns", c->path, line,
                       column, s->n_axes);
    return column == s->n_axes;
}

static bool at_blank_line(struct csv *c)
{
    if (*c->s == '\n' || (*c->s == '\r' && c->end - c->s > 1 && c->s[1] == '\n')) {
        c->s += *c->s == '\n' ? 1 : 2;
        c->line++;
        return true;
    }
    return false;
}

void ebb_bag_read_csv(struct ebb_bag_parser *p, ebb_bag_node *n, const char *path, Ebb__Sweep *s)
{
    struct ebb_error err = {0};
    size_t len = 0, rows = 0;
    EBB_AUTO_FREE char *text = ebb_bag_file_text(p, path, &len, &err);
    if (text == NULL) {
        ebb_yaml_fault(p->y, n, "csv: %s", err.text);
        return;
    }
    struct csv c = {.p = p, .at = n, .path = path, .s = text, .end = text + len, .line = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        c.s += 3;
    bool good = c.s < c.end && read_header(&c, s);
    if (c.s >= c.end && s->n_axes == 0)
        ebb_yaml_fault(p->y, n, "csv: %s is empty; its first line names the parameters", path);
    while (good && c.s < c.end) {
        if (!at_blank_line(&c))
            good = read_row(&c, s, rows++);
    }
    if (good && rows == 0)
        ebb_yaml_fault(p->y, n, "csv: %s has no row below its header", path);
    ebb_buffer_clean_up(&c.cell);
}
