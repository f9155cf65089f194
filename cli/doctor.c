/* `ebb doctor`: is this machine set up, and what to do where it is not. */
#include <stdio.h>

#include "base/options.h"
#include "cli/doctor_checks.h"
#include "cli/json_out.h"

extern const struct ebb_command ebb_command_doctor;

static const char *cloud;
static const char *store;
static bool as_json;

static const char *const level_names[] = {"ok", "note", "fault", "refused"};

static int print_json(const struct ebb_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->count; i++) {
        const struct ebb_finding *x = &f->list[i];
        json_t *o = json_object();
        (void)json_object_set_new(o, "check", json_string(x->what));
        (void)json_object_set_new(o, "level", json_string(level_names[x->level]));
        (void)json_object_set_new(o, "state", json_string(x->state));
        (void)json_object_set_new(o, "advice",
                                  x->advice != NULL ? json_string(x->advice) : json_null());
        (void)json_array_append_new(list, o);
    }
    json_t *v = ebb_json_new("doctor");
    (void)json_object_set_new(v, "checks", list);
    return ebb_json_print(v);
}

static void print_text(const struct ebb_findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct ebb_finding *x = &f->list[i];
        (void)printf("%-8s%-14s%s\n", level_names[x->level], x->what, x->state);
        if (x->advice != NULL)
            (void)printf("%-22s-> %s\n", "", x->advice);
    }
}

static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct ebb_findings f = {0};
    ebb_check_libraries(&f);
    ebb_check_state_dir(&f);
    ebb_check_scheduler(&f);
    ebb_check_cloud(cloud, &f);
    ebb_check_store(cloud, store, &f);
    ebb_check_prices(&f);
    ebb_check_engines(&f);
    ebb_check_gpu(&f);
    int status = 0;
    for (size_t i = 0; i < f.count; i++) {
        if (f.list[i].level == EBB_FINDING_REFUSED)
            status = 3;
        else if (f.list[i].level == EBB_FINDING_FAULT && status == 0)
            status = 2;
    }
    if (as_json)
        status = print_json(&f) != 0 ? 1 : status;
    else
        print_text(&f);
    ebb_findings_clean_up(&f);
    return status;
}

static const char *const clouds[] = {"emulated", "aws", NULL};

static const struct ebb_option options[] = {
    {.name = "cloud",
     .kind = EBB_OPTION_CHOICE,
     .target = &cloud,
     .choices = clouds,
     .help = "Which cloud to look at. Default: the one in use here."},
    {.name = "store",
     .kind = EBB_OPTION_TEXT,
     .target = &store,
     .value = "URL",
     .help = "Which object store to try. Default: the one in use here."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_doctor = {
    .name = "doctor",
    .summary = "Check the set-up, and say what to do about each fault",
    .details = "Looks at the program, the state folder, the scheduler, the cloud and its\n"
               "credentials, the object store (with a few small requests, among them conditional\n"
               "puts), the clock, engines and GPU. Exit status 2 for a fault of this machine,\n"
               "3 when the cloud or store refuses.",
    .options = options,
    .run = run,
};
