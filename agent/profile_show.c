/* `ebb profile show`: the shipped application profiles. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "scheduler/core/profile.h"

static bool option_json;

static const struct ebb_option options[] = {
    {.name = "json",
     .kind = EBB_OPTION_FLAG,
     .target = &option_json,
     .help = "One JSON value on standard output."},
    {0},
};

static Ebb__Profile *parse(const char *name, struct ebb_error *err)
{
    size_t len = 0;
    const char *text = ebb_profile_builtin(name, &len);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    Ebb__Profile *p = NULL;
    if (text == NULL) {
        size_t count = 0;
        const char *const *names = ebb_profile_builtin_names();
        while (names[count] != NULL)
            count++;
        ebb_error_set(err, EBB_ERR_INPUT, "no profile '%s'; `ebb profile show` lists %zu", name,
                      count);
        return NULL;
    }
    ebb_profile_parse(name, text, len, &p, &faults, err);
    return p;
}

static json_t *to_json(const Ebb__Profile *p)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "name", p->name, "start", p->start, "resume",
                     p->resume, "stop_signal", p->stop != NULL ? p->stop->signal : "",
                     "checkpoints", (int)p->checkpoints, "continuity", p->continuity);
}

static void print_row(const Ebb__Profile *p)
{
    printf("%-10s %-12s %-11s %-7s %s\n", p->name, p->continuity,
           p->checkpoints ? "yes" : "starts over", p->stop != NULL ? p->stop->signal : "-",
           p->checkpoints ? p->resume : p->start);
}

static int show_all(void)
{
    struct ebb_error err = {0};
    json_t *list = json_array();
    if (!option_json)
        printf("%-10s %-12s %-11s %-7s %s\n", "ENGINE", "CONTINUITY", "CHECKPOINTS", "STOP",
               "RESUMED BY");
    for (const char *const *name = ebb_profile_builtin_names(); *name != NULL; name++) {
        Ebb__Profile *p = parse(*name, &err);
        if (p == NULL) {
            json_decref(list);
            return ebb_command_fail(&err);
        }
        if (option_json)
            json_array_append_new(list, to_json(p));
        else
            print_row(p);
        ebb__profile__free_unpacked(p, NULL);
    }
    if (option_json) {
        json_t *value = json_pack("{s:s, s:O}", "schema", "ebb.profiles.v1", "profiles", list);
        json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
        putchar('\n');
        json_decref(value);
    }
    json_decref(list);
    return 0;
}

static int show_one(const char *name)
{
    struct ebb_error err = {0};
    size_t len = 0;
    Ebb__Profile *p = parse(name, &err);
    if (p == NULL)
        return ebb_command_fail(&err);
    if (option_json) {
        json_t *value = json_pack("{s:s}", "schema", "ebb.profile.v1"), *fields = to_json(p);
        json_object_update(value, fields);
        json_decref(fields);
        json_object_set_new(value, "text", json_string(ebb_profile_builtin(name, &len)));
        json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
        putchar('\n');
        json_decref(value);
    } else {
        const char *text = ebb_profile_builtin(name, &len);
        fwrite(text, 1, len, stdout);
    }
    ebb__profile__free_unpacked(p, NULL);
    return 0;
}

static int run(int argc, char **argv)
{
    return argc > 0 ? show_one(argv[0]) : show_all();
}

extern const struct ebb_command ebb_command_profile_show;
const struct ebb_command ebb_command_profile_show = {
    .name = "profile show",
    .arguments = "[ENGINE]",
    .summary = "Show the application profiles that ship, or the text of one",
    .details = "A profile says how an engine is started, stopped and resumed, which of its files "
               "are state, and what \"done\" means (docs/profiles.md). A bag may bring its own.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
