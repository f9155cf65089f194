/* `ebb events`: the event log, in words or as JSON lines. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/options.h"
#include "cli/client.h"
#include "cli/event_json.h"
#include "cli/event_lines.h"
#include "cli/json_out.h"
#include "cli/spec_cache.h"

extern const struct ebb_command ebb_command_events;

#define PAGE 1000

static bool follow;
static bool as_json;
static bool all;
static int64_t after;

static int print_json(const Ebb__Event *e)
{
    return ebb_json_print(ebb_event_json(e));
}

static void print_line(void *ctx, const struct ebb_event_line *l)
{
    (void)ctx;
    char when[EBB_TIME_TEXT_SIZE];
    (void)printf("%llu  %s  %s\n", (unsigned long long)l->sequence,
                 ebb_time_format(l->wall_ns, when), l->text);
}

static int print_event(struct ebb_event_names *names, struct ebb_event_lines *lines,
                       const Ebb__Event *e)
{
    ebb_event_names_learn(names, e);
    if (as_json)
        return print_json(e);
    if (all) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        enum ebb_event_tone tone = ebb_event_text(names, e, &text);
        print_line(NULL,
                   &(struct ebb_event_line){e->sequence, e->wall_ns, tone, ebb_buffer_text(&text)});
    } else {
        ebb_event_lines_add(lines, e);
    }
    return ferror(stdout) ? 1 : 0;
}

static int print_events(struct ebb_client *client, const char *bag, struct ebb_error *err)
{
    EBB_AUTO(ebb_spec_cache_auto) struct ebb_spec_cache *specs = ebb_spec_cache_new(client);
    EBB_AUTO(ebb_event_names_auto)
    struct ebb_event_names *names = ebb_event_names_new(ebb_spec_cache_get, specs);
    EBB_AUTO(ebb_event_lines_auto)
    struct ebb_event_lines *lines = ebb_event_lines_new(names, print_line, NULL);
    uint64_t last = (uint64_t)after;
    for (;;) {
        EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
        int rc = ebb_ask_events(client, bag, last, PAGE, follow ? 10 : 0, &a, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < a->events->n_events; i++) {
            if (print_event(names, lines, a->events->events[i]) != 0)
                return ebb_error_set(err, EBB_ERR_IO, "cannot write to stdout");
        }
        ebb_event_lines_flush(lines);
        if (fflush(stdout) != 0)
            return ebb_error_set(err, EBB_ERR_IO, "cannot write to stdout");
        if (a->events->last == last && !follow)
            return 0;
        last = a->events->last;
    }
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = print_events(client, argc > 0 ? argv[0] : "", &err);
    return rc < 0 ? ebb_command_fail(&err) : 0;
}

static const struct ebb_option options[] = {
    {.name = "follow", .letter = 'f', .target = &follow, .help = "Wait for more."},
    {.name = "after",
     .kind = EBB_OPTION_INT,
     .target = &after,
     .least = 0,
     .most = INT64_MAX,
     .help = "Only events after this number."},
    {.name = "all",
     .letter = 'a',
     .target = &all,
     .help = "Also leases, checkpoints, prices and other bookkeeping, and each refused launch by "
             "itself (--json has all of it always)."},
    {.name = "json", .target = &as_json, .help = "One JSON value a line."},
    {.name = NULL},
};

const struct ebb_command ebb_command_events = {
    .name = "events",
    .arguments = "[BAG]",
    .summary = "Show the event log",
    .details = "The fields of --json are described in docs/event-log.md.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
