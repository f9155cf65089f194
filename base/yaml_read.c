/* Typed reading of YAML nodes. Every refusal names the key, the value as written, and the form
 * that would be right. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/yaml.h"

static const char *kind_name(const struct ebb_yaml_node *n)
{
    switch (ebb_yaml_kind(n)) {
    case EBB_YAML_SEQUENCE:
        return "a list";
    case EBB_YAML_MAPPING:
        return "a mapping";
    default:
        return ebb_yaml_is_null(n) ? "nothing" : "text";
    }
}

static void list_names(struct ebb_buffer *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ebb_buffer_printf(out, "%s%s", i == 0 ? "" : ", ", names[i]);
}

static bool is_name(const char *word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return true;
    return false;
}

bool ebb_yaml_check_keys_in(struct ebb_yaml *y, const struct ebb_yaml_node *mapping,
                            const char *where, const char *const *names, size_t count)
{
    EBB_AUTO_FREE char *in = where == NULL ? ebb_strdup("") : ebb_sprintf(" in %s", where);
    if (ebb_yaml_kind(mapping) != EBB_YAML_MAPPING) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
        list_names(&all, names, count);
        ebb_yaml_fault(y, mapping, "expected a mapping%s (keys: %s), not %s", in,
                       ebb_buffer_text(&all), kind_name(mapping));
        return false;
    }
    for (size_t i = 0; i < ebb_yaml_count(mapping); i++) {
        const struct ebb_yaml_node *key = ebb_yaml_key(mapping, i);
        const char *word = ebb_yaml_scalar(key);
        if (is_name(word, names, count))
            continue;
        const char *nearest = ebb_nearest_name(word, names, count);
        if (nearest != NULL) {
            ebb_yaml_fault(y, key, "unknown key '%s'%s, did you mean '%s'?", word, in, nearest);
            continue;
        }
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
        list_names(&all, names, count);
        ebb_yaml_fault(y, key, "unknown key '%s'%s (keys: %s)", word, in, ebb_buffer_text(&all));
    }
    return true;
}

bool ebb_yaml_check_keys(struct ebb_yaml *y, const struct ebb_yaml_node *mapping,
                         const char *const *names, size_t count)
{
    return ebb_yaml_check_keys_in(y, mapping, NULL, names, count);
}

/* The node's text, or NULL after a fault that says what `form` was expected. */
static const char *scalar_of(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                             const char *form)
{
    if (ebb_yaml_kind(n) == EBB_YAML_SCALAR && !ebb_yaml_is_null(n))
        return ebb_yaml_scalar(n);
    ebb_yaml_fault(y, n, "%s: expected %s, not %s", what, form, kind_name(n));
    return NULL;
}

static bool read_ok(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what, int rc,
                    const struct ebb_error *err)
{
    if (rc < 0)
        ebb_yaml_fault(y, n, "%s: %s", what, err->text);
    return rc == 0;
}

bool ebb_yaml_read_text(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        const char **ret)
{
    const char *text = scalar_of(y, n, what, "text");
    if (text == NULL)
        return false;
    *ret = text;
    return true;
}

bool ebb_yaml_read_int(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                       int64_t min, int64_t max, int64_t *ret)
{
    struct ebb_error err;
    const char *text = scalar_of(y, n, what, "a whole number");
    return text != NULL && read_ok(y, n, what, ebb_parse_int(text, min, max, ret, &err), &err);
}

bool ebb_yaml_read_double(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                          double min, double max, double *ret)
{
    struct ebb_error err;
    double value = 0;
    const char *text = scalar_of(y, n, what, "a number");
    if (text == NULL || !read_ok(y, n, what, ebb_parse_double(text, &value, &err), &err))
        return false;
    if (!(value >= min && value <= max)) {
        ebb_yaml_fault(y, n, "%s: '%s' is not from %g to %g", what, text, min, max);
        return false;
    }
    *ret = value;
    return true;
}

bool ebb_yaml_read_bool(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        bool *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    const char *text = scalar_of(y, n, what, "true or false");
    if (text == NULL)
        return false;
    for (size_t i = 0; i < EBB_ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret = i % 2 == 1;
            return true;
        }
    }
    ebb_yaml_fault(y, n, "%s: '%s' is neither true nor false", what, text);
    return false;
}

bool ebb_yaml_read_duration(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                            double *ret_s)
{
    struct ebb_error err;
    const char *text = scalar_of(y, n, what, "a duration such as 90s, 10m or 1h30m");
    return text != NULL && read_ok(y, n, what, ebb_parse_duration(text, ret_s, &err), &err);
}

bool ebb_yaml_read_size(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                        uint64_t *ret_bytes)
{
    struct ebb_error err;
    const char *text = scalar_of(y, n, what, "a size such as 512 MiB or 2 GiB");
    return text != NULL && read_ok(y, n, what, ebb_parse_size(text, ret_bytes, &err), &err);
}

bool ebb_yaml_read_usd(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                       int64_t *ret_usd_micros)
{
    struct ebb_error err;
    const char *text = scalar_of(y, n, what, "an amount of money such as 25 USD");
    return text != NULL && read_ok(y, n, what, ebb_parse_usd(text, ret_usd_micros, &err), &err);
}

bool ebb_yaml_read_choice(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                          const char *const *names, size_t count, size_t *ret)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    list_names(&all, names, count);
    EBB_AUTO_FREE char *form = ebb_sprintf("one of %s", ebb_buffer_text(&all));
    const char *text = scalar_of(y, n, what, form);
    if (text == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    const char *nearest = ebb_nearest_name(text, names, count);
    if (nearest != NULL)
        ebb_yaml_fault(y, n, "%s: unknown '%s', did you mean '%s'?", what, text, nearest);
    else
        ebb_yaml_fault(y, n, "%s: unknown '%s' (%s)", what, text, form);
    return false;
}
