/* `ebb wait`: until a bag has ended. */
#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"
#include "cli/bag_view.h"
#include "cli/client.h"
#include "cli/json_out.h"

extern const struct ebb_command ebb_command_wait;

static bool as_json;
static double timeout_s = -1; /* for ever */

/* The scheduler holds the question back until something happens, so that this does not spin. */
static int wait_for_news(struct ebb_client *client, uint64_t *after, double at_most_s,
                         struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_ask_events(client, "", *after, 1000, at_most_s, &a, err);
    if (rc == 0)
        *after = a->events->last;
    return rc;
}

static int wait_for_end(struct ebb_client *client, const char *bag, Ebb__ClientAnswer **ret,
                        struct ebb_error *err)
{
    int64_t end_ns =
        timeout_s >= 0 ? ebb_now_ns(NULL) + (int64_t)(timeout_s * EBB_NS_PER_S) : INT64_MAX;
    uint64_t after = 0;
    for (;;) {
        EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
        int rc = ebb_ask_bags(client, bag, &a, err);
        if (rc < 0)
            return rc;
        if (a->bags->n_bags == 0)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "no bag '%s'", bag);
        if (ebb_bag_is_over(a->bags->bags[0])) {
            *ret = EBB_TAKE(a);
            return 0;
        }
        double left_s = (double)(end_ns - ebb_now_ns(NULL)) / EBB_NS_PER_S;
        if (left_s <= 0)
            return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s still runs", a->bags->bags[0]->bag);
        rc = wait_for_news(client, &after, left_s < 10 ? left_s : 10, err);
        if (rc < 0)
            return rc;
    }
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = wait_for_end(client, argc > 0 ? argv[0] : "last", &a, &err);
    if (rc < 0 || a == NULL)
        return ebb_command_fail(&err);
    const Ebb__BagStatus *b = a->bags->bags[0];
    int status = ebb_bag_exit_status(b);
    if (as_json) {
        json_t *v = ebb_json_new("wait");
        ebb_json_add_message(v, &b->base);
        return ebb_json_print(v) != 0 ? 1 : status;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_title(b, a->bags->wall_ns, &out);
    ebb_buffer_append_text(&out, ", ");
    ebb_bag_view_counts(b, &out);
    (void)puts(ebb_buffer_text(&out));
    return status;
}

static const struct ebb_option options[] = {
    {.name = "timeout",
     .kind = EBB_OPTION_DURATION,
     .target = &timeout_s,
     .value = "TIME",
     .help = "Give up after this long, with exit status 3; the bag runs on."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_wait = {
    .name = "wait",
    .arguments = "[BAG]",
    .summary = "Wait until a bag has ended",
    .details = "Exit status 0 when every job is done, 1 when jobs failed or were cancelled.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
