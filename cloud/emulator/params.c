/* The EC2 Query protocol flattens lists into names ("Filter.1.Value.2"), so look-up by name is all
 * that is needed; the number of parameters is bounded, so a linear search is too. */
#include "cloud/emulator/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static char *decode(const char *text, size_t len)
{
    size_t decoded_len = 0;
    char *decoded = ebb_percent_decode(text, len, true, &decoded_len);

    if (decoded != NULL && memchr(decoded, 0, decoded_len) != NULL) {
        free(decoded);
        return NULL;
    }
    return decoded;
}

static void append(struct ebb_params *p, char *name, char *value)
{
    if ((p->count & (p->count - 1)) == 0)
        p->items = ebb_realloc_array(p->items, p->count == 0 ? 1 : p->count * 2, sizeof(*p->items));
    p->items[p->count].name = name;
    p->items[p->count++].value = value;
}

int ebb_params_parse(struct ebb_params *p, const char *text, size_t len, struct ebb_error *err)
{
    const char *end = text + len;

    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        const char *equals;
        char *name, *value;

        if (stop == NULL)
            stop = end;
        equals = memchr(text, '=', (size_t)(stop - text));
        if (stop > text) {
            if (p->count >= EBB_PARAMS_MAX)
                return ebb_error_set(err, EBB_ERR_INPUT, "more than %d parameters", EBB_PARAMS_MAX);
            name = decode(text, (size_t)((equals != NULL ? equals : stop) - text));
            value =
                equals != NULL ? decode(equals + 1, (size_t)(stop - equals - 1)) : ebb_strdup("");
            if (name == NULL || value == NULL) {
                free(name);
                free(value);
                return ebb_error_set(err, EBB_ERR_INPUT, "a parameter is badly encoded");
            }
            append(p, name, value);
        }
        text = stop + 1;
    }
    return 0;
}

void ebb_params_add(struct ebb_params *p, const char *name, const char *value)
{
    append(p, ebb_strdup(name), ebb_strdup(value));
}

void ebb_params_clean_up(struct ebb_params *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
    p->items = NULL;
    p->count = 0;
}

const char *ebb_params_get(const struct ebb_params *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].name, name) == 0)
            return p->items[i].value;
    return NULL;
}

const char *ebb_params_getf(const struct ebb_params *p, const char *fmt, ...)
{
    char name[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);
    return ebb_params_get(p, name);
}

bool ebb_params_has_prefix(const struct ebb_params *p, const char *prefix)
{
    for (size_t i = 0; i < p->count; i++)
        if (ebb_starts_with(p->items[i].name, prefix))
            return true;
    return false;
}
