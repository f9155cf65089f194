/* LAMMPS's text dump. A frame is a few "ITEM: <what>" lines, each followed by its values, the last
 * of them "ITEM: ATOMS <columns>" with a line for each atom.
 *
 * `rest` is a head of REST_HEAD bytes and the frame's text in which every coordinate is replaced by
 * one byte, 1, 2 or 3 for x, y, z:
 *
 *     flags | id column u32 | x, y, z: style, digits | bytes before the atoms u64 | text
 *
 * With FLAG_BY_ID the coordinates stand in ascending order of the id, which the text still has. */
#include <math.h>

#include "formats/bytes.h"
#include "formats/decimal.h"
#include "formats/lammps.h"
#include "formats/reader.h"

enum { FLAG_X = 1, FLAG_BY_ID = 2, FLAGS = 3, REST_HEAD = 19, MAX_LINE = 1 << 20 };

/* ---- lines ---- */

/* The frame's text, line by line; `at` is relative to the input's window. */
struct lines {
    struct ebb_frame_reader *r;
    uint64_t at;
};

/* The next line without its newline; valid until the next call. At the end of the file: 0 when
 * nothing is left, otherwise an error. */
static int next_line(struct lines *l, const char **ret, size_t *ret_len, struct ebb_error *err)
{
    struct ebb_input *in = &l->r->in;
    uint64_t seen = l->at;
    for (;;) {
        const uint8_t *p = ebb_input_bytes(in);
        const uint8_t *end = in->len > seen ? memchr(p + seen, '\n', in->len - (size_t)seen) : NULL;
        if (end != NULL) {
            *ret = (const char *)p + l->at;
            *ret_len = (size_t)(end - p) - (size_t)l->at;
            l->at += *ret_len + 1;
            return 1;
        }
        seen = in->len;
        if (seen - l->at > MAX_LINE)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a line longer than %d bytes", MAX_LINE);
        int rc = ebb_input_need(in, seen + 1, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "the file ends at byte %llu, within it",
                                 (unsigned long long)(in->offset + in->len));
    }
}

static bool line_starts(const char *line, size_t len, const char *text)
{
    size_t n = strlen(text);
    return len >= n && memcmp(line, text, n) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next token of a line, from *at on; false at its end. */
static bool next_token(const char *line, size_t len, size_t *at, const char **ret, size_t *ret_len)
{
    size_t i = *at;
    while (i < len && is_space(line[i]))
        i++;
    size_t start = i;
    while (i < len && !is_space(line[i]))
        i++;
    *at = i;
    *ret = line + start;
    *ret_len = i - start;
    return i > start;
}

/* Up to `most` numbers of a line; how many there are, or -1 when a token is none. */
static int line_numbers(const char *line, size_t len, double *ret, int most)
{
    size_t at = 0, token_len;
    const char *token;
    int n = 0;
    while (n < most && next_token(line, len, &at, &token, &token_len)) {
        if (!ebb_decimal_parse(token, token_len, &ret[n]))
            return -1;
        n++;
    }
    return n;
}

/* ---- the header of a frame ---- */

struct text_header {
    uint64_t atoms;
    bool has_atoms, has_bounds;
    double bounds[6], tilt[3];
    struct ebb_lammps_columns columns;
};

static int read_integer(struct lines *l, const char *what, int64_t *ret, struct ebb_error *err)
{
    const char *line;
    size_t len;
    int rc = next_line(l, &line, &len, err);
    if (rc < 0)
        return rc;
    double v;
    if (line_numbers(line, len, &v, 1) != 1 || !ebb_lammps_id(v, ret))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s \"%.*s\" is no integer", what,
                             len < 40 ? (int)len : 40, line);
    return 0;
}

/* Three lines of two bounds, and a tilt factor where the box is triclinic. Boxes of general
 * orientation (four numbers a line) are kept as they stand, and give no box. */
static int read_bounds(struct lines *l, struct text_header *h, struct ebb_error *err)
{
    h->has_bounds = true;
    for (int k = 0; k < 3; k++) {
        const char *line;
        size_t len;
        int rc = next_line(l, &line, &len, err);
        if (rc < 0)
            return rc;
        double v[4];
        int n = line_numbers(line, len, v, 4);
        if (n < 2)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "box bounds \"%.*s\" are none",
                                 len < 40 ? (int)len : 40, line);
        h->has_bounds &= n < 4;
        h->bounds[2 * k] = v[0];
        h->bounds[2 * k + 1] = v[1];
        h->tilt[k] = n == 3 ? v[2] : 0;
    }
    return 0;
}

static int read_item(struct lines *l, const char *line, size_t len, struct ebb_frame *f,
                     struct text_header *h, struct ebb_error *err)
{
    if (line_starts(line, len, "ITEM: TIMESTEP"))
        return read_integer(l, "step", &f->step, err);
    if (line_starts(line, len, "ITEM: NUMBER OF ATOMS")) {
        int64_t atoms = 0;
        int rc = read_integer(l, "number of atoms", &atoms, err);
        if (rc == 0 && atoms < 0)
            rc = ebb_error_set(err, EBB_ERR_CORRUPT, "a negative number of atoms");
        h->atoms = (uint64_t)atoms;
        h->has_atoms = true;
        return rc;
    }
    if (line_starts(line, len, "ITEM: BOX BOUNDS"))
        return read_bounds(l, h, err);
    bool units = line_starts(line, len, "ITEM: UNITS"), time = line_starts(line, len, "ITEM: TIME");
    if (!units && !time)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "\"%.*s\" where an ITEM was expected",
                             len < 40 ? (int)len : 40, line);
    int rc = next_line(l, &line, &len, err);
    if (rc < 0)
        return rc;
    while (len > 0 && is_space(line[len - 1]))
        len--;
    if (units)
        l->r->units_per_nm = ebb_lammps_units_per_nm(line, len);
    else if (line_numbers(line, len, &f->time, 1) != 1)
        f->time = NAN;
    return 0;
}

static int read_text_header(struct lines *l, struct ebb_frame *f, struct text_header *h,
                            struct ebb_error *err)
{
    static const char atoms_item[] = "ITEM: ATOMS";
    for (;;) {
        const char *line;
        size_t len;
        int rc = next_line(l, &line, &len, err);
        if (rc < 0)
            return rc;
        if (line_starts(line, len, atoms_item)) {
            while (len > 0 && is_space(line[len - 1]))
                len--;
            if (!h->has_atoms)
                return ebb_error_set(err, EBB_ERR_CORRUPT, "ITEM: ATOMS without their number");
            ebb_lammps_find_columns(line + sizeof atoms_item - 1, len - (sizeof atoms_item - 1),
                                    &h->columns);
            break;
        }
        rc = read_item(l, line, len, f, h, err);
        if (rc < 0)
            return rc;
    }
    if (h->has_bounds)
        ebb_lammps_set_box(f, h->bounds, h->tilt, h->columns.scaled);
    return 0;
}

/* ---- atoms ---- */

/* What is gathered from the atoms' lines. */
struct gather {
    const struct ebb_lammps_columns *columns;
    struct ebb_decimal_survey survey[3];
    double *x;    /* as the lines stand */
    int64_t *ids; /* NULL: no such column, or not all are integers */
    struct ebb_buffer *text;
};

static int column_axis(const struct ebb_lammps_columns *c, uint32_t column)
{
    for (int axis = 0; axis < 3; axis++)
        if (column == c->x[axis])
            return axis;
    return -1;
}

/* One atom's line: its coordinates into x, a byte in their place in the text. False when it has too
 * few columns or other than numbers among the coordinates. */
static bool take_atom(struct gather *g, size_t index, const char *line, size_t len)
{
    size_t at = 0, copied = 0, token_len;
    const char *token;
    unsigned found = 0;
    bool has_id = false;
    for (uint32_t column = 0; next_token(line, len, &at, &token, &token_len); column++) {
        if (g->ids != NULL && column == g->columns->id) {
            double v;
            has_id = ebb_decimal_parse(token, token_len, &v) && ebb_lammps_id(v, &g->ids[index]);
        }
        int axis = column_axis(g->columns, column);
        if (axis < 0)
            continue;
        if (!ebb_decimal_parse(token, token_len, &g->x[3 * index + (size_t)axis]))
            return false;
        ebb_decimal_survey_add(&g->survey[axis], token, token_len);
        size_t start = (size_t)(token - line);
        const char place = (char)(1 + axis);
        ebb_buffer_append(g->text, line + copied, start - copied);
        ebb_buffer_append(g->text, &place, 1);
        copied = start + token_len;
        found |= 1u << axis;
    }
    ebb_buffer_append(g->text, line + copied, len + 1 - copied);
    if (!has_id && g->ids != NULL) {
        free(g->ids);
        g->ids = NULL;
    }
    return found == 7;
}

/* Puts x in the order of the ids; true when that is not the order they have. */
static bool order_by_id(const int64_t *ids, size_t atoms, const double *x, double *ordered)
{
    EBB_AUTO_FREE uint32_t *rank = malloc((atoms + 1) * sizeof *rank);
    bool sorted;
    if (rank == NULL || !ebb_lammps_rank(ids, atoms, rank, &sorted) || sorted)
        return false;
    for (size_t i = 0; i < atoms; i++)
        memcpy(&ordered[3 * (size_t)rank[i]], &x[3 * i], 3 * sizeof *x);
    return true;
}

static void store_rest_head(struct ebb_frame *f, unsigned flags, const struct gather *g,
                            uint64_t before_atoms)
{
    uint8_t *p = f->rest.data;
    p[0] = (uint8_t)flags;
    ebb_store32(p + 1, g->columns->id, false);
    for (int axis = 0; axis < 3; axis++) {
        struct ebb_decimal_format format = ebb_decimal_survey_format(&g->survey[axis]);
        p[5 + 2 * axis] = (uint8_t)format.style;
        p[6 + 2 * axis] = format.digits;
    }
    ebb_store64(p + 11, before_atoms, false);
}

/* Bytes that stand for coordinates in `rest` must not be in the text. */
static bool has_place_bytes(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] >= 1 && p[i] <= 3)
            return true;
    return false;
}

static void split_plainly(struct ebb_frame *f, const uint8_t *p, size_t len)
{
    static const uint8_t head[REST_HEAD] = {0};
    ebb_buffer_reset(&f->rest);
    ebb_buffer_append(&f->rest, head, sizeof head);
    ebb_buffer_append(&f->rest, p, len);
}

/* Splits the frame's text into coordinates and rest. Without coordinates all is rest. */
static int split_text(struct ebb_frame *f, const uint8_t *p, size_t len, size_t before_atoms,
                      size_t atoms, const struct ebb_lammps_columns *columns, struct ebb_error *err)
{
    static const uint8_t head[REST_HEAD] = {0};
    if (!columns->has_x || has_place_bytes(p, len)) {
        split_plainly(f, p, len);
        return 0;
    }
    int rc = ebb_frame_hold(f, atoms, sizeof(double), err);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE double *x = malloc((3 * atoms + 1) * sizeof *x);
    EBB_AUTO_FREE int64_t *ids = columns->has_id ? malloc((atoms + 1) * sizeof *ids) : NULL;
    if (x == NULL || (columns->has_id && ids == NULL))
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", atoms);
    struct gather g = {.columns = columns, .x = x, .ids = EBB_TAKE(ids), .text = &f->rest};
    ebb_buffer_append(&f->rest, head, sizeof head);
    ebb_buffer_append(&f->rest, p, before_atoms);
    bool ok = true;
    size_t at = before_atoms;
    for (size_t i = 0; i < atoms && ok; i++) {
        const uint8_t *end = memchr(p + at, '\n', len - at);
        size_t line = end == NULL ? len - at - 1 : (size_t)(end - p) - at;
        ok = take_atom(&g, i, (const char *)p + at, line);
        at += line + 1;
    }
    ids = g.ids;
    if (!ok) {
        split_plainly(f, p, len);
        return 0;
    }
    bool reordered = ids != NULL && atoms > 0 && order_by_id(ids, atoms, x, f->memory);
    if (!reordered && atoms > 0)
        memcpy(f->memory, x, 3 * atoms * sizeof *x);
    store_rest_head(f, FLAG_X | (reordered ? FLAG_BY_ID : 0), &g, before_atoms);
    f->atoms = atoms;
    f->x64 = atoms > 0 ? f->memory : NULL;
    return 0;
}

static int lammps_text_next(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                            struct ebb_error *err)
{
    struct lines l = {.r = r};
    struct text_header h = {0};
    int rc = read_text_header(&l, f, &h, err);
    if (rc < 0)
        return rc;
    uint64_t before_atoms = l.at;
    for (uint64_t i = 0; i < h.atoms; i++) {
        const char *line;
        size_t len;
        rc = next_line(&l, &line, &len, err);
        if (rc < 0)
            return rc;
        if (line_starts(line, len, "ITEM:"))
            return ebb_error_set(err, EBB_ERR_CORRUPT, "%llu lines for %llu atoms",
                                 (unsigned long long)i, (unsigned long long)h.atoms);
        if (l.at > EBB_FRAME_MAX_BYTES)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a frame of more than %llu bytes",
                                 (unsigned long long)EBB_FRAME_MAX_BYTES);
    }
    *ret_bytes = l.at;
    rc = split_text(f, ebb_input_bytes(&r->in), (size_t)l.at, (size_t)before_atoms, (size_t)h.atoms,
                    &h.columns, err);
    return rc < 0 ? rc : 1;
}

/* ---- writing ---- */

struct text_rest {
    unsigned flags;
    uint32_t id_column;
    struct ebb_decimal_format format[3];
    const char *text;
    size_t len, before_atoms;
};

static bool read_rest(const uint8_t *rest, size_t rest_len, struct text_rest *t)
{
    if (rest_len < REST_HEAD || rest[0] > FLAGS)
        return false;
    t->flags = rest[0];
    t->id_column = ebb_load32(rest + 1, false);
    for (int axis = 0; axis < 3; axis++) {
        t->format[axis] = (struct ebb_decimal_format){(char)rest[5 + 2 * axis], rest[6 + 2 * axis]};
        char style = t->format[axis].style;
        if ((t->flags & FLAG_X) != 0 && ((style != 'e' && style != 'f' && style != 'g') ||
                                         t->format[axis].digits > EBB_DECIMAL_MAX_DIGITS))
            return false;
    }
    uint64_t before = ebb_load64(rest + 11, false);
    t->text = (const char *)rest + REST_HEAD;
    t->len = rest_len - REST_HEAD;
    t->before_atoms = (size_t)before;
    return before <= t->len;
}

/* The ranks of the atoms from the ids in their lines; NULL when they do not fit. */
static uint32_t *ranks_of(const struct text_rest *t, size_t atoms)
{
    EBB_AUTO_FREE int64_t *ids = malloc((atoms + 1) * sizeof *ids);
    EBB_AUTO_FREE uint32_t *rank = malloc((atoms + 1) * sizeof *rank);
    if (ids == NULL || rank == NULL)
        return NULL;
    size_t from = t->before_atoms;
    for (size_t i = 0; i < atoms; i++) {
        const char *line = t->text + from, *end = memchr(line, '\n', t->len - from);
        if (end == NULL)
            return NULL;
        size_t len = (size_t)(end - line), at = 0, token_len;
        const char *token;
        double v = NAN;
        for (uint32_t column = 0; next_token(line, len, &at, &token, &token_len); column++)
            if (column == t->id_column) {
                if (!ebb_decimal_parse(token, token_len, &v))
                    return NULL;
                break;
            }
        if (!ebb_lammps_id(v, &ids[i]))
            return NULL;
        from += len + 1;
    }
    bool sorted;
    return ebb_lammps_rank(ids, atoms, rank, &sorted) ? EBB_TAKE(rank) : NULL;
}

static size_t put_coordinate(const struct text_rest *t, const struct ebb_coordinates *x,
                             size_t index, int axis, char *out)
{
    size_t k = 3 * index + (size_t)axis;
    return x->x32 != NULL ? ebb_decimal_format(t->format[axis], (double)x->x32[k], true, out)
                          : ebb_decimal_format(t->format[axis], x->x64[k], false, out);
}

/* Fills the places in the text; false when they are not three for each atom. */
static bool fill_places(const struct text_rest *t, const struct ebb_coordinates *x,
                        const uint32_t *rank, struct ebb_buffer *out)
{
    size_t atom = 0, copied = 0;
    unsigned found = 0;
    for (size_t i = 0; i < t->len; i++) {
        unsigned char c = (unsigned char)t->text[i];
        if (c < 1 || c > 3)
            continue;
        int axis = c - 1;
        if (atom >= x->atoms || (found >> axis & 1) != 0)
            return false;
        ebb_buffer_append(out, t->text + copied, i - copied);
        copied = i + 1;
        char text[EBB_DECIMAL_MAX_CHARS];
        size_t n = put_coordinate(t, x, rank == NULL ? atom : rank[atom], axis, text);
        ebb_buffer_append(out, text, n);
        found |= 1u << axis;
        if (found == 7) {
            found = 0;
            atom++;
        }
    }
    ebb_buffer_append(out, t->text + copied, t->len - copied);
    return atom == x->atoms && found == 0;
}

static int lammps_text_write(const uint8_t *rest, size_t rest_len, const struct ebb_coordinates *x,
                             struct ebb_buffer *out, struct ebb_error *err)
{
    static const char name[] = "LAMMPS dump";
    struct text_rest t = {0};
    if (!read_rest(rest, rest_len, &t) || x->atoms > t.len)
        return ebb_frame_bad_rest(name, err);
    if ((t.flags & FLAG_X) == 0) {
        if (x->atoms > 0)
            return ebb_frame_bad_rest(name, err);
        ebb_buffer_append(out, t.text, t.len);
        return 0;
    }
    if (x->atoms > 0 && x->x32 == NULL && x->x64 == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "a LAMMPS dump is written from floats");
    EBB_AUTO_FREE uint32_t *rank = NULL;
    if ((t.flags & FLAG_BY_ID) != 0 && (rank = ranks_of(&t, x->atoms)) == NULL)
        return ebb_frame_bad_rest(name, err);
    if (!fill_places(&t, x, rank, out))
        return ebb_frame_bad_rest(name, err);
    return 0;
}

const struct ebb_frame_format ebb_lammps_text_format = {
    .kind = EBB_FILE_LAMMPS_DUMP_TEXT,
    .name = "LAMMPS dump",
    .next = lammps_text_next,
    .write = lammps_text_write,
};
