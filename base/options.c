/* Parsing a command's options: long and short, values in the same word or the next, options and
 * positional arguments in any order, "--" ends the options. */
#include "base/options.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define NEAREST_MAX 64

struct parse {
    const struct ebb_command *command;
    int argc;
    char **argv;
    int at; /* the word being read */
    struct ebb_error *err;
};

static const struct ebb_option *find_long(const struct ebb_command *c, const char *name, size_t len)
{
    for (const struct ebb_option *o = c->options; o != NULL && o->name != NULL; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct ebb_option *find_letter(const struct ebb_command *c, char letter)
{
    for (const struct ebb_option *o = c->options; o != NULL && o->name != NULL; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static int unknown_option(struct parse *p, const char *word)
{
    const char *names[NEAREST_MAX] = {"help"};
    size_t count = 1;
    for (const struct ebb_option *o = p->command->options;
         o != NULL && o->name != NULL && count < NEAREST_MAX; o++)
        names[count++] = o->name;
    size_t len = strcspn(word, "=");
    EBB_AUTO_FREE char *name = ebb_strndup(word + (ebb_starts_with(word, "--") ? 2 : 1), len);
    name[strcspn(name, "=")] = '\0';
    const char *nearest = ebb_nearest_name(name, names, count);
    if (nearest != NULL)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "unknown option '%.*s', did you mean '--%s'?",
                             (int)len, word, nearest);
    return ebb_error_set(p->err, EBB_ERR_INPUT, "unknown option '%.*s'", (int)len, word);
}

static int bad_choice(struct parse *p, const struct ebb_option *o, const char *value)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    size_t count = 0;
    for (; o->choices[count] != NULL; count++)
        ebb_buffer_printf(&all, "%s%s", count == 0 ? "" : ", ", o->choices[count]);
    const char *nearest = ebb_nearest_name(value, o->choices, count);
    if (nearest != NULL)
        return ebb_error_set(p->err, EBB_ERR_INPUT,
                             "--%s: unknown '%s', did you mean '%s'? (one of %s)", o->name, value,
                             nearest, ebb_buffer_text(&all));
    return ebb_error_set(p->err, EBB_ERR_INPUT, "--%s: unknown '%s' (one of %s)", o->name, value,
                         ebb_buffer_text(&all));
}

static void add_text(struct ebb_option_texts *t, const char *value)
{
    t->items = ebb_realloc_array(t->items, t->count + 1, sizeof t->items[0]);
    t->items[t->count++] = value;
}

static int take_int(struct parse *p, const struct ebb_option *o, const char *value)
{
    int64_t *n = o->target;
    int rc = ebb_parse_int(value, INT64_MIN, INT64_MAX, n, p->err);
    if (rc < 0 || (o->least == 0 && o->most == 0) || (*n >= o->least && *n <= o->most))
        return rc;
    if (o->most == INT64_MAX)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "'%s' is less than %" PRId64, value, o->least);
    return ebb_error_set(p->err, EBB_ERR_INPUT, "'%s' is not from %" PRId64 " to %" PRId64, value,
                         o->least, o->most);
}

static int take_duration(struct parse *p, const struct ebb_option *o, const char *value)
{
    double *seconds = o->target;
    int rc = ebb_parse_duration(value, seconds, p->err);
    if (rc == 0 && o->least > 0 && !(*seconds > 0))
        return ebb_error_set(p->err, EBB_ERR_INPUT, "'%s' is not more than nothing", value);
    return rc;
}

static int set_value(struct parse *p, const struct ebb_option *o, const char *value)
{
    int rc = 0;
    if (value != NULL && value[0] == '\0')
        return ebb_error_set(p->err, EBB_ERR_INPUT, "--%s: the value is empty", o->name);
    switch (o->kind) {
    case EBB_OPTION_FLAG:
        *(bool *)o->target = true;
        return 0;
    case EBB_OPTION_TEXT:
        *(const char **)o->target = value;
        return 0;
    case EBB_OPTION_TEXTS:
        add_text(o->target, value);
        return 0;
    case EBB_OPTION_INT:
        rc = take_int(p, o, value);
        break;
    case EBB_OPTION_DURATION:
        rc = take_duration(p, o, value);
        break;
    case EBB_OPTION_CHOICE:
        for (size_t i = 0; o->choices[i] != NULL; i++) {
            if (strcmp(o->choices[i], value) == 0) {
                *(const char **)o->target = o->choices[i];
                return 0;
            }
        }
        return bad_choice(p, o, value);
    }
    return rc < 0 ? ebb_error_wrap(p->err, rc, "--%s", o->name) : 0;
}

/* `inline_value`: what stands after '=' or the letter, or NULL. */
static int take_option(struct parse *p, const struct ebb_option *o, const char *inline_value)
{
    if (o->kind == EBB_OPTION_FLAG && inline_value != NULL)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "--%s takes no value", o->name);
    if (o->kind == EBB_OPTION_FLAG || inline_value != NULL)
        return set_value(p, o, inline_value);
    if (p->at + 1 >= p->argc)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "--%s needs a value: --%s %s", o->name, o->name,
                             o->value != NULL ? o->value : "VALUE");
    int rc = set_value(p, o, p->argv[++p->at]);
    while (rc == 0 && o->kind == EBB_OPTION_TEXTS && p->at + 1 < p->argc &&
           p->argv[p->at + 1][0] != '-')
        rc = set_value(p, o, p->argv[++p->at]);
    return rc;
}

static int take_long(struct parse *p, const char *word)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    if (len == 4 && memcmp(name, "help", 4) == 0)
        return EBB_ERR_CANCELLED;
    const struct ebb_option *o = find_long(p->command, name, len);
    if (o == NULL)
        return unknown_option(p, word);
    return take_option(p, o, name[len] == '=' ? name + len + 1 : NULL);
}

/* "-f", "-fv" (two flags), "-nVALUE", "-n VALUE". */
static int take_letters(struct parse *p, const char *word)
{
    for (const char *l = word + 1; *l != '\0'; l++) {
        const struct ebb_option *o = find_letter(p->command, *l);
        if (o == NULL && *l == 'h')
            return EBB_ERR_CANCELLED;
        if (o == NULL)
            return unknown_option(p, word);
        if (o->kind != EBB_OPTION_FLAG)
            return take_option(p, o, l[1] != '\0' ? l + 1 : NULL);
        int rc = take_option(p, o, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_count(struct parse *p, size_t count)
{
    const struct ebb_command *c = p->command;
    if (count < c->min_arguments)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "missing %s: ebb %s %s",
                             c->min_arguments == 1 ? "argument" : "arguments", c->name,
                             c->arguments != NULL ? c->arguments : "");
    if (count > c->max_arguments)
        return ebb_error_set(p->err, EBB_ERR_INPUT, "unexpected argument '%s'",
                             p->argv[c->max_arguments]);
    return 0;
}

int ebb_options_parse(const struct ebb_command *command, int argc, char **argv, int *ret_argc,
                      struct ebb_error *err)
{
    struct parse p = {command, argc, argv, 0, err};
    int count = 0;
    bool options_ended = false;
    for (; p.at < argc; p.at++) {
        char *word = argv[p.at];
        int rc = 0;
        if (word[0] == '\0')
            rc = ebb_error_set(err, EBB_ERR_INPUT, "an argument is empty: ebb %s %s", command->name,
                               command->arguments != NULL ? command->arguments : "");
        else if (options_ended || word[0] != '-' || word[1] == '\0')
            argv[count++] = word;
        else if (strcmp(word, "--") == 0)
            options_ended = true;
        else
            rc = word[1] == '-' ? take_long(&p, word) : take_letters(&p, word);
        if (rc == EBB_ERR_CANCELLED)
            return ebb_error_set(err, rc, "help was asked for");
        if (rc < 0)
            return rc;
    }
    int rc = check_count(&p, (size_t)count);
    if (rc < 0)
        return rc;
    *ret_argc = count;
    return 0;
}
