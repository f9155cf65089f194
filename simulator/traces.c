/* Reads availability traces. jansson settles the syntax; what the values must be is checked here,
 * and a fault is looked up in the text again to name its line. */
#include "simulator/traces.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define GAP_MAX_S (86400.0 * 7)

static void release_json(json_t **v)
{
    json_decref(*v);
}

/* The line on which element `index` of the last member "data" stands; the text is valid JSON. */
static size_t line_of_value(const char *text, size_t len, size_t index)
{
    static const char key[] = "\"data\"";
    const char *at = text;
    const char *end = text + len;
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), key, sizeof key - 1)) != NULL; p++)
        at = p;
    while (at < end && *at != '[')
        at++;
    for (size_t commas = 0; at < end && commas < index; at++)
        commas += *at == ',';
    while (at < end && (isspace((unsigned char)*at) || *at == '[' || *at == ','))
        at++;
    size_t line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}

static int read_gap(const char *path, const json_t *root, double *ret_s, struct ebb_error *err)
{
    const json_t *gap = json_object_get(json_object_get(root, "metadata"), "gap_seconds");
    if (gap == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s:1: no metadata.gap_seconds: say how many seconds lie between two "
                             "probes",
                             path);
    double s = json_number_value(gap);
    if (!json_is_number(gap) || !(s > 0 && s <= GAP_MAX_S))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s:1: metadata.gap_seconds must be a number of seconds over 0 and at "
                             "most a week",
                             path);
    *ret_s = s;
    return 0;
}

/* A list is named by its first non-scalar in line_of_value only if nothing before it nests, which
 * holds: every element before the faulty one was a number. */
static int read_values(const char *path, const char *text, size_t len, const json_t *data,
                       uint8_t *ret, struct ebb_error *err)
{
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *v = json_array_get(data, i);
        double d = json_number_value(v);
        if (!json_is_number(v) || (d != 0 && d != 1))
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "%s:%zu: data[%zu] must be 0 (not available) or 1 (available)",
                                 path, line_of_value(text, len, i), i);
        ret[i] = d == 1;
    }
    return 0;
}

static void name_trace(const char *path, struct ebb_trace *t)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    size_t len = strlen(base);
    if (len > 5 && strcmp(base + len - 5, ".json") == 0)
        len -= 5;
    t->name = ebb_strndup(base, len);
    size_t region = len;
    for (size_t i = 1; i + 1 < len; i++)
        if (base[i - 1] == '-' && isdigit((unsigned char)base[i]) &&
            islower((unsigned char)base[i + 1]) &&
            (i + 2 == len || !isalnum((unsigned char)base[i + 2])))
            region = i + 1;
    t->region = ebb_strndup(base, region);
}

int ebb_trace_parse(const char *path, const char *text, size_t len, struct ebb_trace *ret,
                    struct ebb_error *err)
{
    json_error_t fault;
    EBB_AUTO(release_json)
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s:%d:%d: %s", path, fault.line, fault.column,
                             fault.text);
    struct ebb_trace t = {0};
    int rc = read_gap(path, root, &t.gap_s, err);
    if (rc < 0)
        return rc;
    const json_t *data = json_object_get(root, "data");
    size_t count = json_array_size(data);
    if (count < 2)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s:1: data must be a list of at least two probes, each 0 or 1", path);
    if (count > EBB_TRACE_TICKS_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: data has %zu probes, at most %d are taken",
                             path, count, EBB_TRACE_TICKS_MAX);
    EBB_AUTO_FREE uint8_t *up = ebb_alloc_array(count, 1);
    rc = read_values(path, text, len, data, up, err);
    if (rc < 0)
        return rc;
    t.len = count;
    t.up = EBB_TAKE(up);
    name_trace(path, &t);
    *ret = t;
    return 0;
}

void ebb_trace_clean_up(struct ebb_trace *t)
{
    free(t->name);
    free(t->region);
    free(t->up);
    *t = (struct ebb_trace){0};
}

int ebb_traces_add(struct ebb_traces *set, struct ebb_trace *t, struct ebb_error *err)
{
    if (set->count > 0 && set->items[0].gap_s != t->gap_s)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "mixed gap lengths: %s has %g s, %s has %g s; give traces of one "
                             "gap_seconds at a time",
                             set->items[0].name, set->items[0].gap_s, t->name, t->gap_s);
    set->items = ebb_realloc_array(set->items, set->count + 1, sizeof set->items[0]);
    set->items[set->count++] = *t;
    *t = (struct ebb_trace){0};
    return 0;
}

void ebb_traces_clean_up(struct ebb_traces *set)
{
    for (size_t i = 0; i < set->count; i++)
        ebb_trace_clean_up(&set->items[i]);
    free(set->items);
    *set = (struct ebb_traces){0};
}

double ebb_trace_share_up(const struct ebb_trace *t, size_t from, size_t to)
{
    size_t up = 0;
    for (size_t i = from; i < to && i < t->len; i++)
        up += t->up[i];
    return to > from ? (double)up / (double)(to - from) : 0;
}
