/* Reading YAML into protobuf messages, and the forms that names, paths and patterns must have. */
#include "scheduler/core/spec_read.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "base/memory.h"

#define MOST_NAME        64
#define MOST_PATTERN     1024
#define MOST_REPETITIONS 1000
#define MOST_NESTING     20

void ebb_spec_set_text(char **field, const char *text)
{
    if (*field != protobuf_c_empty_string)
        free(*field);
    *field = ebb_strdup(text);
}

bool ebb_spec_text(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                   char **field)
{
    const char *text = NULL;
    if (n == NULL || !ebb_yaml_read_text(y, n, what, &text))
        return false;
    ebb_spec_set_text(field, text);
    return true;
}

bool ebb_spec_texts(struct ebb_yaml *y, const struct ebb_yaml_node *n, const char *what,
                    size_t *ret_count, char ***ret)
{
    if (n == NULL)
        return true;
    bool is_list = ebb_yaml_kind(n) == EBB_YAML_SEQUENCE;
    size_t count = is_list ? ebb_yaml_count(n) : 1, good = 0;
    char **texts = ebb_alloc_array(count + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        const char *text = NULL;
        if (ebb_yaml_read_text(y, is_list ? ebb_yaml_item(n, i) : n, what, &text))
            texts[good++] = ebb_strdup(text);
    }
    *ret = texts;
    *ret_count = good;
    return good == count;
}

void ebb_spec_environment(struct ebb_yaml *y, const struct ebb_yaml_node *n,
                          void (*add)(void *ctx, const char *name, const char *value), void *ctx)
{
    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) != EBB_YAML_MAPPING) {
        ebb_yaml_fault(y, n,
                       "environment: expected a mapping of names to texts, such as "
                       "{OMP_NUM_THREADS: 2}");
        return;
    }
    for (size_t i = 0; i < ebb_yaml_count(n); i++) {
        const char *name = ebb_yaml_scalar(ebb_yaml_key(n, i)), *value = NULL;
        if (!ebb_spec_is_word(name))
            ebb_yaml_fault(y, ebb_yaml_key(n, i),
                           "environment: '%s' is no name of a variable (letters, digits and _)",
                           name);
        else if (ebb_yaml_read_text(y, ebb_yaml_value(n, i), name, &value))
            add(ctx, name, value);
    }
}

bool ebb_spec_is_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) > 1024)
        return false;
    for (const char *s = path; *s != '\0';) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.')
            return false;
        s += n;
        s += *s == '/';
    }
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ebb_spec_is_name(const char *text)
{
    size_t n = 0;
    while (is_letter(text[n]) || is_digit(text[n]) ||
           (n > 0 && (text[n] == '_' || text[n] == '.' || text[n] == '-')))
        n++;
    return n > 0 && n <= MOST_NAME && text[n] == '\0';
}

bool ebb_spec_is_word(const char *text)
{
    size_t n = 0;
    while (is_letter(text[n]) || text[n] == '_' || (n > 0 && is_digit(text[n])))
        n++;
    return n > 0 && n <= MOST_NAME && text[n] == '\0';
}

/* The C library expands repetitions when it compiles: nested ones multiply, and so must be
 * bounded before it sees the pattern. */
static bool is_cheap(const char *pattern)
{
    unsigned long product = 1;
    size_t depth = 0;
    if (strlen(pattern) > MOST_PATTERN)
        return false;
    for (const char *s = pattern; *s != '\0'; s++) {
        if (*s == '\\' && s[1] != '\0') {
            s++;
        } else if (*s == '(') {
            if (++depth > MOST_NESTING)
                return false;
        } else if (*s == ')') {
            depth -= depth > 0;
        } else if (*s == '{' && (is_digit(s[1]) || s[1] == ',')) {
            char *end = NULL;
            unsigned long times = strtoul(s + 1, &end, 10);
            if (*end == ',' && is_digit(end[1]))
                times = strtoul(end + 1, NULL, 10);
            if (times > MOST_REPETITIONS || (product *= times > 0 ? times : 1) > MOST_REPETITIONS)
                return false;
        }
    }
    return true;
}

bool ebb_spec_is_regex(const char *pattern, size_t groups, struct ebb_error *err)
{
    regex_t regex;
    if (!is_cheap(pattern)) {
        ebb_error_set(err, EBB_ERR_INPUT,
                      "the pattern is too large (at most %d characters, %d repetitions)",
                      MOST_PATTERN, MOST_REPETITIONS);
        return false;
    }
    int rc = regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE);
    if (rc != 0) {
        char why[120];
        regerror(rc, &regex, why, sizeof why);
        ebb_error_set(err, EBB_ERR_INPUT, "'%.200s' is no regular expression: %s", pattern, why);
        return false;
    }
    size_t have = regex.re_nsub;
    regfree(&regex);
    if (have < groups)
        ebb_error_set(err, EBB_ERR_INPUT, "'%.200s' needs a group, such as ([0-9]+)", pattern);
    return have >= groups;
}
