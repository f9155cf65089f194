/* `ebb status`: the bags, or one of them with its VMs. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "cli/bag_view.h"
#include "cli/client.h"
#include "cli/json_out.h"
#include "cli/table.h"
#include "cli/watch.h"

extern const struct ebb_command ebb_command_status;

#define MAX_VM_ROWS 30

static bool as_json;
static bool watch;

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static void print_bags(const Ebb__BagsAnswer *a)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new("BAG\tSTATE\t>DONE\t>JOBS\t>FAILED\t>SPENT\t>FINISH IN");
    for (size_t i = 0; i < a->n_bags; i++) {
        const Ebb__BagStatus *b = a->bags[i];
        char spent[EBB_QUANTITY_TEXT_SIZE], finish[EBB_QUANTITY_TEXT_SIZE] = "-";
        if (!ebb_bag_is_over(b) && b->expected_finish_s >= 0)
            ebb_format_duration(b->expected_finish_s, finish);
        ebb_table_row(t, "%s\t%s\t%llu\t%llu\t%llu\t%s\t%s", b->bag, b->state,
                      (unsigned long long)ebb_bag_count(b, "done"), (unsigned long long)b->jobs,
                      (unsigned long long)ebb_bag_count(b, "failed"),
                      ebb_format_usd(b->spent_usd_micros, spent), finish);
    }
    ebb_table_print(t);
}

static void print_bag(const Ebb__BagStatus *b, int64_t now_wall_ns)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_bag_view_title(b, now_wall_ns, &out);
    ebb_buffer_append_text(&out, "\n  ");
    ebb_bag_view_counts(b, &out);
    ebb_buffer_append_text(&out, "\n  ");
    ebb_bag_view_money(b, &out);
    ebb_buffer_append_text(&out, "\n");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer finish = {0};
    ebb_bag_view_finish(b, now_wall_ns, &finish);
    if (finish.len > 0)
        ebb_buffer_printf(&out, "  %s\n", ebb_buffer_text(&finish));
    (void)fputs(ebb_buffer_text(&out), stdout);
}

static void print_vms(const Ebb__BagsAnswer *a)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_vm_table(a, ebb_terminal_width(1), MAX_VM_ROWS, &out);
    if (out.len > 0)
        (void)printf("\n%s", ebb_buffer_text(&out));
}

static int print_json(const Ebb__BagsAnswer *a)
{
    json_t *o = ebb_json_new("status");
    ebb_json_add_message(o, &a->base);
    return ebb_json_print(o);
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    const char *bag = argc > 0 ? argv[0] : watch ? "last" : "";
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = ebb_ask_bags(client, bag, &a, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    if (watch && a->bags->n_bags > 0)
        return ebb_watch_bag(client, a->bags->bags[0]->bag);
    if (as_json)
        return print_json(a->bags);
    if (a->bags->n_bags == 0)
        (void)puts("no bags yet: ebb submit BAG.yaml");
    else if (bag[0] != '\0')
        print_bag(a->bags->bags[0], a->bags->wall_ns);
    else
        print_bags(a->bags);
    print_vms(a->bags);
    return 0;
}

static const struct ebb_option options[] = {
    {.name = "watch",
     .letter = 'w',
     .target = &watch,
     .help = "Follow the bag on one live screen until it ends; plain lines where the output is no "
             "terminal. Ctrl-C leaves the bag running."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_status = {
    .name = "status",
    .arguments = "[BAG]",
    .summary = "Show the bags, or one bag, and the VMs that live",
    .details = "BAG is a bag's id, its name (the newest of that name) or 'last'.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
