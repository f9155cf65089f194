/* A YAML document as a tree of nodes with positions, built from libyaml's events.
 *
 * Nodes belong to the document; an alias makes a second parent of the same node. What a file can
 * cost is bounded before it is spent: bytes, nesting, and nodes as a reader sees them, aliases
 * written out (so that a few lines of aliases to aliases cannot stand for millions of nodes). A
 * merge key ("<<") is resolved when its mapping ends; the mapping's own keys win. */
#include "base/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/map.h"
#include "base/memory.h"

#define MAX_BYTES  (16U << 20)
#define MAX_DEPTH  64
#define MAX_NODES  1000000
#define MAX_FAULTS 200

struct ebb_yaml_node {
    enum ebb_yaml_kind kind;
    unsigned line;
    unsigned column;
    bool quoted;
    bool open; /* its end has not been read yet */
    char *scalar;
    struct ebb_yaml_node **items; /* of a mapping: key, value, key, value */
    size_t items_count;
    size_t items_capacity;
    size_t weight; /* nodes below and with it, aliases written out */
    unsigned height;
    struct ebb_yaml_node *next_owned;
};

struct ebb_yaml {
    char *name;
    struct ebb_yaml_node *owned; /* every node, for the end */
    struct ebb_yaml_node *root;
    char **faults;
    size_t faults_count; /* stored: at most MAX_FAULTS */
    size_t faults_total;
};

struct builder {
    struct ebb_yaml *y;
    yaml_parser_t parser;
    const char *text;
    size_t len;
    struct ebb_map *anchors; /* name -> node, borrowed */
    struct ebb_yaml_node *stack[MAX_DEPTH];
    unsigned depth;
    size_t nodes;
    struct ebb_error *err;
};

/* ---- errors with a position ---- */

EBB_PRINTF(4, 5)
static int error_at(struct builder *b, unsigned line, unsigned column, const char *fmt, ...)
{
    char text[sizeof(b->err->text)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return ebb_error_set(b->err, EBB_ERR_INPUT, "%s:%u:%u: %s", b->y->name, line, column, text);
}

static unsigned mark_line(const yaml_mark_t *m)
{
    return (unsigned)m->line + 1;
}

static unsigned mark_column(const yaml_mark_t *m)
{
    return (unsigned)m->column + 1;
}

/* What to do about the faults people make most; libyaml names the symptom only. */
static const char *hint_of(const char *problem, char at)
{
    if (at == '\t')
        return strstr(problem, "tab") != NULL ? ": indent with spaces"
                                              : ": a tab, indent with spaces";
    if (strstr(problem, "cannot start any token") != NULL && (at == '%' || at == '@' || at == '`'))
        return ": put the value in quotes";
    if (strstr(problem, "mapping values are not allowed") != NULL)
        return ": is the indentation right? a value that holds ': ' needs quotes";
    if (strstr(problem, "could not find expected ':'") != NULL)
        return ": a key needs ': ' and a value";
    if (strstr(problem, "did not find expected key") != NULL)
        return ": is the indentation the same as of the keys above?";
    if (strstr(problem, "did not find expected '-' indicator") != NULL)
        return ": is the indentation the same as of the items above?";
    return "";
}

static int encoding_error(struct builder *b)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < b->parser.problem_offset && i < b->len; i++) {
        if (b->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((b->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return error_at(b, line, column, "%s: write the file as UTF-8 text", b->parser.problem);
}

static int syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR || p->problem == NULL)
        return ebb_error_set(b->err, EBB_ERR_INTERNAL, "%s: out of memory", b->y->name);
    if (p->error == YAML_READER_ERROR)
        return encoding_error(b);
    const yaml_mark_t *m = &p->problem_mark;
    /* The mark counts characters, not bytes: the byte is right only while all are ASCII, and then
     * a wrong hint is the worst that can come of it. */
    char at = m->index < b->len ? b->text[m->index] : '\0';
    return error_at(b, mark_line(m), mark_column(m), "%s%s", p->problem, hint_of(p->problem, at));
}

/* ---- building ---- */

static struct ebb_yaml_node *new_node(struct builder *b, enum ebb_yaml_kind kind,
                                      const yaml_mark_t *mark)
{
    struct ebb_yaml_node *n = ebb_alloc(sizeof(*n));
    n->kind = kind;
    n->line = mark_line(mark);
    n->column = mark_column(mark);
    n->weight = 1;
    n->height = 1;
    n->open = kind != EBB_YAML_SCALAR;
    n->next_owned = b->y->owned;
    b->y->owned = n;
    return n;
}

static void append_item(struct ebb_yaml_node *parent, struct ebb_yaml_node *child)
{
    if (parent->items_count == parent->items_capacity) {
        parent->items_capacity = parent->items_capacity == 0 ? 4 : parent->items_capacity * 2;
        parent->items = ebb_realloc_array(parent->items, parent->items_capacity,
                                          sizeof(struct ebb_yaml_node *));
    }
    parent->items[parent->items_count++] = child;
}

static bool expects_key(const struct ebb_yaml_node *n)
{
    return n->kind == EBB_YAML_MAPPING && n->items_count % 2 == 0;
}

/* `mark` is where the node stands, which for an alias is not where it was written. */
static int attach(struct builder *b, struct ebb_yaml_node *n, const yaml_mark_t *mark)
{
    b->nodes += n->weight;
    if (b->nodes > MAX_NODES)
        return error_at(b, mark_line(mark), mark_column(mark), "more than %d values", MAX_NODES);
    if (b->depth + n->height > MAX_DEPTH)
        return error_at(b, mark_line(mark), mark_column(mark), "nested deeper than %d levels",
                        MAX_DEPTH);
    if (b->depth == 0) {
        b->y->root = n;
        return 0;
    }
    struct ebb_yaml_node *parent = b->stack[b->depth - 1];
    if (expects_key(parent) && n->kind != EBB_YAML_SCALAR)
        return error_at(b, mark_line(mark), mark_column(mark), "a key must be plain text");
    append_item(parent, n);
    return 0;
}

static int check_no_tag(struct builder *b, const yaml_char_t *tag, const yaml_mark_t *mark)
{
    if (tag == NULL)
        return 0;
    return error_at(b, mark_line(mark), mark_column(mark), "tag '%s': tags have no meaning here",
                    (const char *)tag);
}

static void remember_anchor(struct builder *b, const yaml_char_t *anchor, struct ebb_yaml_node *n)
{
    if (anchor != NULL)
        ebb_map_set(b->anchors, (const char *)anchor, n);
}

static int on_scalar(struct builder *b, const yaml_event_t *e)
{
    int rc = check_no_tag(b, e->data.scalar.tag, &e->start_mark);
    if (rc < 0)
        return rc;
    size_t len = e->data.scalar.length;
    if (memchr(e->data.scalar.value, 0, len) != NULL)
        return error_at(b, mark_line(&e->start_mark), mark_column(&e->start_mark),
                        "the text holds a NUL character");
    struct ebb_yaml_node *n = new_node(b, EBB_YAML_SCALAR, &e->start_mark);
    n->scalar = ebb_strndup((const char *)e->data.scalar.value, len);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    remember_anchor(b, e->data.scalar.anchor, n);
    return attach(b, n, &e->start_mark);
}

static int on_start(struct builder *b, enum ebb_yaml_kind kind, const yaml_char_t *tag,
                    const yaml_char_t *anchor, const yaml_mark_t *mark)
{
    int rc = check_no_tag(b, tag, mark);
    if (rc < 0)
        return rc;
    struct ebb_yaml_node *n = new_node(b, kind, mark);
    remember_anchor(b, anchor, n);
    rc = attach(b, n, mark);
    if (rc == 0)
        b->stack[b->depth++] = n; /* attach has held depth below MAX_DEPTH */
    return rc;
}

static int on_alias(struct builder *b, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.alias.anchor;
    struct ebb_yaml_node *n = ebb_map_get(b->anchors, name);
    unsigned line = mark_line(&e->start_mark), column = mark_column(&e->start_mark);
    if (n == NULL)
        return error_at(b, line, column, "alias '*%s' has no anchor '&%s' before it", name, name);
    if (n->open)
        return error_at(b, line, column, "alias '*%s' stands inside its own anchor", name);
    return attach(b, n, &e->start_mark);
}

static bool is_merge_key(const struct ebb_yaml_node *key)
{
    return !key->quoted && strcmp(key->scalar, "<<") == 0;
}

static int check_duplicates(struct builder *b, const struct ebb_yaml_node *n, struct ebb_map *keys)
{
    for (size_t i = 0; i < n->items_count; i += 2) {
        struct ebb_yaml_node *key = n->items[i];
        const struct ebb_yaml_node *first = ebb_map_get(keys, key->scalar);
        if (first != NULL)
            return error_at(b, key->line, key->column, "key '%s' is given twice, first in line %u",
                            key->scalar, first->line);
        ebb_map_set(keys, key->scalar, key);
    }
    return 0;
}

static int merge_one(struct builder *b, struct ebb_yaml_node *n, struct ebb_map *keys,
                     const struct ebb_yaml_node *from)
{
    if (from->kind != EBB_YAML_MAPPING)
        return error_at(b, from->line, from->column, "'<<' takes a mapping or a list of mappings");
    for (size_t i = 0; i + 1 < from->items_count; i += 2) {
        if (ebb_map_get(keys, from->items[i]->scalar) != NULL)
            continue;
        b->nodes += from->items[i]->weight + from->items[i + 1]->weight;
        if (b->nodes > MAX_NODES)
            return error_at(b, n->line, n->column, "more than %d values", MAX_NODES);
        ebb_map_set(keys, from->items[i]->scalar, from->items[i]);
        append_item(n, from->items[i]);
        append_item(n, from->items[i + 1]);
    }
    return 0;
}

static int merge(struct builder *b, struct ebb_yaml_node *n, struct ebb_map *keys, size_t at)
{
    struct ebb_yaml_node *value = n->items[at + 1];
    memmove(&n->items[at], &n->items[at + 2],
            (n->items_count - at - 2) * sizeof(struct ebb_yaml_node *));
    n->items_count -= 2;
    if (value->kind != EBB_YAML_SEQUENCE)
        return merge_one(b, n, keys, value);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < value->items_count; i++)
        rc = merge_one(b, n, keys, value->items[i]);
    return rc;
}

EBB_DEFINE_AUTO_PTR(map_auto, struct ebb_map, ebb_map_destroy)

static int finish_mapping(struct builder *b, struct ebb_yaml_node *n)
{
    EBB_AUTO(map_auto) struct ebb_map *keys = ebb_map_new(NULL);
    int rc = check_duplicates(b, n, keys);
    for (size_t i = 0; rc == 0 && i < n->items_count; i += 2)
        if (is_merge_key(n->items[i]))
            return merge(b, n, keys, i);
    return rc;
}

static int on_end(struct builder *b)
{
    struct ebb_yaml_node *n = b->stack[--b->depth];
    if (n->kind == EBB_YAML_MAPPING) {
        int rc = finish_mapping(b, n);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < n->items_count; i++) {
        n->weight += n->items[i]->weight;
        if (n->items[i]->height >= n->height)
            n->height = n->items[i]->height + 1;
    }
    n->open = false;
    return 0;
}

static int on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->y->root != NULL)
            return error_at(b, mark_line(&e->start_mark), mark_column(&e->start_mark),
                            "a second document: one file holds one");
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, EBB_YAML_SEQUENCE, e->data.sequence_start.tag,
                        e->data.sequence_start.anchor, &e->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, EBB_YAML_MAPPING, e->data.mapping_start.tag,
                        e->data.mapping_start.anchor, &e->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_end(b);
    default:
        return 0;
    }
}

static int read_events(struct builder *b)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return syntax_error(b);
        bool last = event.type == YAML_STREAM_END_EVENT || event.type == YAML_NO_EVENT;
        int rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc < 0 || last)
            return rc;
    }
}

EBB_DEFINE_AUTO_PTR(yaml_auto, struct ebb_yaml, ebb_yaml_destroy)

int ebb_yaml_parse(const char *name, const char *text, size_t len, struct ebb_yaml **ret,
                   struct ebb_error *err)
{
    if (len > MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: larger than %u MiB", name, MAX_BYTES >> 20);
    EBB_AUTO(yaml_auto) struct ebb_yaml *y = ebb_alloc(sizeof(*y));
    y->name = ebb_strdup(name);
    struct builder b = {.y = y, .text = text, .len = len, .err = err};
    if (!yaml_parser_initialize(&b.parser))
        return ebb_error_set(err, EBB_ERR_INTERNAL, "%s: out of memory", name);
    b.anchors = ebb_map_new(NULL);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    int rc = read_events(&b);
    yaml_parser_delete(&b.parser);
    ebb_map_destroy(b.anchors);
    if (rc < 0)
        return rc;
    *ret = EBB_TAKE(y);
    return 0;
}

void ebb_yaml_destroy(struct ebb_yaml *y)
{
    if (y == NULL)
        return;
    while (y->owned != NULL) {
        struct ebb_yaml_node *n = y->owned;
        y->owned = n->next_owned;
        free(n->scalar);
        free(n->items);
        free(n);
    }
    for (size_t i = 0; i < y->faults_count; i++)
        free(y->faults[i]);
    free(y->faults);
    free(y->name);
    free(y);
}

/* ---- reading the tree ---- */

const struct ebb_yaml_node *ebb_yaml_root(const struct ebb_yaml *y)
{
    return y->root;
}

enum ebb_yaml_kind ebb_yaml_kind(const struct ebb_yaml_node *n)
{
    return n->kind;
}

const char *ebb_yaml_scalar(const struct ebb_yaml_node *n)
{
    return n->scalar;
}

bool ebb_yaml_is_null(const struct ebb_yaml_node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (n->kind != EBB_YAML_SCALAR || n->quoted)
        return false;
    for (size_t i = 0; i < EBB_ARRAY_LEN(nulls); i++)
        if (strcmp(n->scalar, nulls[i]) == 0)
            return true;
    return false;
}

size_t ebb_yaml_count(const struct ebb_yaml_node *n)
{
    return n->kind == EBB_YAML_MAPPING ? n->items_count / 2 : n->items_count;
}

const struct ebb_yaml_node *ebb_yaml_item(const struct ebb_yaml_node *n, size_t i)
{
    return n->kind == EBB_YAML_SEQUENCE && i < n->items_count ? n->items[i] : NULL;
}

const struct ebb_yaml_node *ebb_yaml_key(const struct ebb_yaml_node *n, size_t i)
{
    return n->kind == EBB_YAML_MAPPING && i < n->items_count / 2 ? n->items[2 * i] : NULL;
}

const struct ebb_yaml_node *ebb_yaml_value(const struct ebb_yaml_node *n, size_t i)
{
    return n->kind == EBB_YAML_MAPPING && i < n->items_count / 2 ? n->items[2 * i + 1] : NULL;
}

const struct ebb_yaml_node *ebb_yaml_get(const struct ebb_yaml_node *mapping, const char *key)
{
    if (mapping == NULL || mapping->kind != EBB_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i + 1 < mapping->items_count; i += 2)
        if (strcmp(mapping->items[i]->scalar, key) == 0)
            return mapping->items[i + 1];
    return NULL;
}

/* ---- faults ---- */

/* Faults are shown on terminals: a value's control characters do not get there. */
static void make_printable(char *text)
{
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = *p == '\n' ? ' ' : '?';
}

void ebb_yaml_fault(struct ebb_yaml *y, const struct ebb_yaml_node *at, const char *fmt, ...)
{
    y->faults_total++;
    if (y->faults_count == MAX_FAULTS)
        return;
    char text[sizeof(((struct ebb_error *)0)->text)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_printable(text);
    if (y->faults == NULL)
        y->faults = ebb_alloc_array(MAX_FAULTS, sizeof(*y->faults));
    y->faults[y->faults_count++] =
        at == NULL ? ebb_sprintf("%s: %s", y->name, text)
                   : ebb_sprintf("%s:%u:%u: %s", y->name, at->line, at->column, text);
}

size_t ebb_yaml_fault_count(const struct ebb_yaml *y)
{
    return y->faults_total;
}

int ebb_yaml_faults(const struct ebb_yaml *y, struct ebb_buffer *all, struct ebb_error *err)
{
    if (y->faults_total == 0)
        return EBB_OK;
    for (size_t i = 0; all != NULL && i < y->faults_count; i++)
        ebb_buffer_printf(all, "%s\n", y->faults[i]);
    if (all != NULL && y->faults_total > y->faults_count)
        ebb_buffer_printf(all, "%s: and %zu more\n", y->name, y->faults_total - y->faults_count);
    return ebb_error_set(err, EBB_ERR_INPUT, "%s", y->faults[0]);
}
