/* The words for a bag's state, in one place so that all commands say the same. */
#include "cli/bag_view.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"

/* In the order of a job's life, best first where it ends. */
static const char *const states[] = {"done",    "running", "leased",   "ready",
                                     "waiting", "failed",  "cancelled"};

bool ebb_bag_is_over(const Ebb__BagStatus *b)
{
    return strcmp(b->state, "running") != 0;
}

int ebb_bag_exit_status(const Ebb__BagStatus *b)
{
    return strcmp(b->state, "done") == 0 ? 0 : 1;
}

uint64_t ebb_bag_count(const Ebb__BagStatus *b, const char *state)
{
    for (size_t i = 0; i < b->n_counts; i++)
        if (strcmp(b->counts[i]->state, state) == 0)
            return b->counts[i]->count;
    return 0;
}

static double seconds_between(int64_t from_wall_ns, int64_t to_wall_ns)
{
    return (double)(to_wall_ns - from_wall_ns) / EBB_NS_PER_S;
}

void ebb_bag_view_title(const Ebb__BagStatus *b, int64_t now_wall_ns, struct ebb_buffer *out)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    bool over = ebb_bag_is_over(b);
    int64_t end = over && b->finished_wall_ns > 0 ? b->finished_wall_ns : now_wall_ns;
    ebb_buffer_printf(out, "%s: %s %s %s", b->bag, b->state, over ? "after" : "for",
                      ebb_format_duration(seconds_between(b->submitted_wall_ns, end), text));
    if (b->deadline_wall_ns <= 0)
        return;
    double left = seconds_between(end, b->deadline_wall_ns);
    ebb_buffer_printf(out, ", %s %s", ebb_format_duration(left < 0 ? -left : left, text),
                      left < 0 ? "past the deadline" : "before the deadline");
}

void ebb_bag_view_counts(const Ebb__BagStatus *b, struct ebb_buffer *out)
{
    bool first = true;
    for (size_t i = 0; i < EBB_ARRAY_LEN(states); i++) {
        uint64_t n = ebb_bag_count(b, states[i]);
        if (n == 0)
            continue;
        ebb_buffer_printf(out, "%s%llu %s", first ? "" : ", ", (unsigned long long)n, states[i]);
        first = false;
    }
    ebb_buffer_printf(out, "%sof %llu job%s", first ? "" : " ", (unsigned long long)b->jobs,
                      b->jobs == 1 ? "" : "s");
}

void ebb_bag_view_bar(const Ebb__BagStatus *b, unsigned width, struct ebb_buffer *out)
{
    uint64_t all = b->jobs == 0 ? 1 : b->jobs;
    uint64_t done = ebb_bag_count(b, "done"), busy = ebb_bag_count(b, "running");
    uint64_t bad = ebb_bag_count(b, "failed") + ebb_bag_count(b, "cancelled");
    unsigned cells_done = (unsigned)((double)done / (double)all * width);
    unsigned cells_busy = (unsigned)((double)(done + busy) / (double)all * width) - cells_done;
    unsigned cells_bad = (unsigned)((double)bad / (double)all * width);
    if (cells_done + cells_busy + cells_bad > width)
        cells_busy = width - cells_done - cells_bad;
    ebb_buffer_append_text(out, "[");
    for (unsigned i = 0; i < width; i++)
        ebb_buffer_append_text(out, i < cells_done                ? "#"
                                    : i < cells_done + cells_busy ? "="
                                    : i >= width - cells_bad      ? "x"
                                                                  : ".");
    ebb_buffer_append_text(out, "]");
}

void ebb_bag_view_money(const Ebb__BagStatus *b, struct ebb_buffer *out)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    ebb_buffer_printf(out, "spent %s", ebb_format_usd(b->spent_usd_micros, text));
    if (b->budget_usd_micros > 0)
        ebb_buffer_printf(out, " of %s", ebb_format_usd(b->budget_usd_micros, text));
    if (b->budget_near_wall_ns > 0 && !ebb_bag_is_over(b)) {
        ebb_buffer_append_text(out, " (the bag stops when it is spent");
        if (b->budget_left_s >= 0)
            ebb_buffer_printf(out, ", in about %s", ebb_format_duration(b->budget_left_s, text));
        ebb_buffer_append_text(out, ")");
    }
    if (b->on_demand_usd_micros > 0) {
        double saved = 1 - (double)b->spent_usd_micros / (double)b->on_demand_usd_micros;
        ebb_buffer_printf(out, ", the same work on demand %s",
                          ebb_format_usd(b->on_demand_usd_micros, text));
        if (saved >= 0)
            ebb_buffer_printf(out, " (%.0f %% saved)", saved * 100);
    }
    if (b->revocations > 0)
        ebb_buffer_printf(out, ", %llu revocation%s", (unsigned long long)b->revocations,
                          b->revocations == 1 ? "" : "s");
}

void ebb_bag_view_finish(const Ebb__BagStatus *b, int64_t now_wall_ns, struct ebb_buffer *out)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    if (ebb_bag_is_over(b))
        return;
    bool known = b->expected_finish_s >= 0;
    if (known)
        ebb_buffer_printf(out, "expected to finish in %s",
                          ebb_format_duration(b->expected_finish_s, text));
    if (b->oldest_commit_wall_ns > 0)
        ebb_buffer_printf(
            out, "%severy running job has a checkpoint of the last %s", known ? ", " : "",
            ebb_format_duration(seconds_between(b->oldest_commit_wall_ns, now_wall_ns), text));
}
