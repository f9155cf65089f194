/* The report in words. */
#include "cli/report_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/table.h"

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void counted(struct ebb_buffer *out, uint64_t n, const char *noun)
{
    ebb_buffer_printf(out, ", %llu %s%s", (unsigned long long)n, noun, plural(n));
}

static void title(const Ebb__Report *r, struct ebb_buffer *out)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    ebb_buffer_printf(out, "%s: %s", r->bag, r->state);
    if (r->finished_wall_ns > 0)
        ebb_buffer_printf(
            out, " after %s",
            ebb_format_duration((double)(r->finished_wall_ns - r->submitted_wall_ns) / EBB_NS_PER_S,
                                text));
    if (!r->is_final)
        ebb_buffer_append_text(out, " (VMs still run: amounts are estimates)");
    ebb_buffer_printf(out, "\n%llu job%s (", (unsigned long long)r->jobs, plural(r->jobs));
    for (size_t i = 0; i < r->n_counts; i++)
        if (r->counts[i]->count > 0)
            ebb_buffer_printf(out, "%s%llu %s", out->data[out->len - 1] == '(' ? "" : ", ",
                              (unsigned long long)r->counts[i]->count, r->counts[i]->state);
    ebb_buffer_append_text(out, ")");
    counted(out, r->attempts, "attempt");
    counted(out, r->revocations, "revocation");
    counted(out, r->failures, "failure");
    counted(out, r->checkpoints, "checkpoint");
    ebb_buffer_append_text(out, "\n\n");
}

/* All amounts of a column with the same number of places: as many as the total is worth. */
static const char *money(int64_t micros, int64_t total_micros, char *out)
{
    int places = total_micros >= 10000000 ? 2 : total_micros >= 100000 ? 4 : 6;
    (void)snprintf(out, EBB_QUANTITY_TEXT_SIZE, "$%.*f", places, (double)micros / 1e6);
    return out;
}

static void split_row(struct ebb_table *t, const char *what, double s, int64_t usd_micros,
                      int64_t all_usd_micros)
{
    char time[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE];
    double share = all_usd_micros > 0 ? 100.0 * (double)usd_micros / (double)all_usd_micros : 0;
    ebb_table_row(t, "%s\t%s\t%s\t%.1f %%", what, ebb_format_duration(s, time),
                  money(usd_micros, all_usd_micros, cost), share);
}

static void money_row(struct ebb_table *t, const char *what, int64_t usd_micros, int64_t all)
{
    char cost[EBB_QUANTITY_TEXT_SIZE];
    double share = all > 0 ? 100.0 * (double)usd_micros / (double)all : 0;
    ebb_table_row(t, "%s\t\t%s\t%.1f %%", what, money(usd_micros, all, cost), share);
}

static void costs(const Ebb__Report *r, struct ebb_buffer *out)
{
    static const Ebb__Split none = EBB__SPLIT__INIT;
    const Ebb__Split *s = r->split != NULL ? r->split : &none;
    int64_t all = r->total_usd_micros;
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new("WHERE IT WENT\t>VM TIME\t>COST\t>SHARE");
    split_row(t, "useful", s->useful_s, s->useful_usd_micros, all);
    split_row(t, "staging, restore, set-up, outputs", s->setup_s, s->setup_usd_micros, all);
    split_row(t, "checkpoints", s->checkpoint_s, s->checkpoint_usd_micros, all);
    split_row(t, "lost at revocations", s->lost_s, s->lost_usd_micros, all);
    split_row(t, "idle", s->idle_s, s->idle_usd_micros, all);
    split_row(t, "boot", s->boot_s, s->boot_usd_micros, all);
    money_row(t, "storage", r->storage_usd_micros, all);
    money_row(t, "requests", r->requests_usd_micros, all);
    money_row(t, "total", r->total_usd_micros, all);
    ebb_table_render(t, 0, "", out);
    char text[EBB_QUANTITY_TEXT_SIZE];
    if (s->forgiven_usd_micros > 0)
        ebb_buffer_printf(out, "not billed, as the cloud took the VM in its first hour: %s\n",
                          ebb_format_usd(s->forgiven_usd_micros, text));
    if (r->bill_time_scale > 1)
        ebb_buffer_printf(out, "a second of this emulated cloud is %g s on its bill\n",
                          r->bill_time_scale);
}

static void outputs(const Ebb__Report *r, struct ebb_buffer *out)
{
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE], c[EBB_QUANTITY_TEXT_SIZE];
    if (r->output_stored_bytes == 0)
        return;
    ebb_buffer_printf(out, "outputs: %llu file%s, %s as written, %s stored",
                      (unsigned long long)r->output_files, r->output_files == 1 ? "" : "s",
                      ebb_format_size(r->output_source_bytes, a),
                      ebb_format_size(r->output_stored_bytes, b));
    if (r->output_stored_bytes < r->output_source_bytes)
        ebb_buffer_printf(out, ", %s saved",
                          ebb_format_size(r->output_source_bytes - r->output_stored_bytes, c));
    ebb_buffer_append_text(out, "\n");
}

static void compare(const Ebb__Report *r, struct ebb_buffer *out)
{
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE];
    ebb_buffer_append_text(out, "\n");
    if (r->on_demand_usd_micros > 0) {
        double saved = 1 - (double)r->total_usd_micros / (double)r->on_demand_usd_micros;
        ebb_buffer_printf(
            out, "the useful work alone, on demand, without boot and idle time: %s, %.0f %% %s\n",
            ebb_format_usd(r->on_demand_usd_micros, a), fabs(saved) * 100,
            saved >= 0 ? "saved" : "more was spent");
    }
    const Ebb__Estimate *e = r->estimate;
    if (e != NULL && e->cost_usd_micros > 0) {
        double took = (double)(r->finished_wall_ns - r->submitted_wall_ns) / EBB_NS_PER_S;
        ebb_buffer_printf(out, "expected at submission: %s in %s",
                          ebb_format_usd(e->cost_usd_micros, a),
                          ebb_format_duration(e->finish_s, b));
        ebb_buffer_printf(out, "; it was %s", ebb_format_usd(r->total_usd_micros, a));
        if (r->finished_wall_ns > 0)
            ebb_buffer_printf(out, " in %s", ebb_format_duration(took, b));
        ebb_buffer_append_text(out, "\n");
    }
    ebb_buffer_printf(out, "object store: %llu puts, %llu gets, %s up", (unsigned long long)r->puts,
                      (unsigned long long)r->gets, ebb_format_size(r->bytes_up, a));
    ebb_buffer_printf(out, ", %s down, %s stored\n", ebb_format_size(r->bytes_down, a),
                      ebb_format_size(r->stored_bytes, b));
    outputs(r, out);
    if (r->verified_against != NULL && r->verified_against[0] != '\0')
        ebb_buffer_printf(out, "%s against %s: %llu jobs, %llu files equal, %llu different\n",
                          r->verified ? "verified" : "NOT VERIFIED", r->verified_against,
                          (unsigned long long)r->verified_jobs,
                          (unsigned long long)r->verified_files_equal,
                          (unsigned long long)r->verified_files_different);
}

static void job_rows(const Ebb__Report *r, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new(
        "*JOB\tSTATE\t>TRIES\t>REVOKED\t>FAILED\t>USEFUL\t>LOST\t>COST\t>ON DEMAND\tVERIFIED");
    for (size_t i = 0; i < r->n_job_reports; i++) {
        const Ebb__JobReport *j = r->job_reports[i];
        char useful[EBB_QUANTITY_TEXT_SIZE] = "", lost[EBB_QUANTITY_TEXT_SIZE] = "";
        char cost[EBB_QUANTITY_TEXT_SIZE], on_demand[EBB_QUANTITY_TEXT_SIZE];
        if (j->split != NULL) {
            ebb_format_duration(j->split->useful_s, useful);
            ebb_format_duration(j->split->lost_s, lost);
        }
        ebb_table_row(t, "%s\t%s\t%u\t%u\t%u\t%s\t%s\t%s\t%s\t%s", j->name, j->state, j->attempts,
                      j->revocations, j->failures, useful, lost,
                      money(j->usd_micros, r->total_usd_micros, cost),
                      money(j->on_demand_usd_micros, r->total_usd_micros, on_demand), j->verified);
    }
    ebb_buffer_append_text(out, "\n");
    ebb_table_render(t, 0, "", out);
}

static void vm_rows(const Ebb__Report *r, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new("VM\tTYPE\tZONE\tMARKET\t>BILLED\t>COST\t>NOT BILLED\t>ATTEMPTS\tENDED BY");
    for (size_t i = 0; i < r->n_vms; i++) {
        const Ebb__VmReport *v = r->vms[i];
        const Ebb__Offer *o = v->offer;
        char billed[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE];
        char forgiven[EBB_QUANTITY_TEXT_SIZE] = "";
        if (v->forgiven_usd_micros > 0)
            (void)money(v->forgiven_usd_micros, r->total_usd_micros, forgiven);
        ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%u\t%s", v->vm, o == NULL ? "" : o->type,
                      o == NULL ? "" : o->zone,
                      o != NULL && o->market == EBB__MARKET__ON_DEMAND ? "on demand" : "spot",
                      ebb_format_duration(v->billed_s, billed), ebb_format_usd(v->usd_micros, cost),
                      forgiven, v->attempts,
                      v->interrupted          ? "the cloud"
                      : v->ended_wall_ns == 0 ? "(runs)"
                                              : "us");
    }
    ebb_buffer_append_text(out, "\n");
    ebb_table_render(t, 0, "", out);
}

void ebb_report_text(const Ebb__Report *r, bool with_rows, struct ebb_buffer *out)
{
    title(r, out);
    costs(r, out);
    compare(r, out);
    if (with_rows) {
        job_rows(r, out);
        vm_rows(r, out);
    }
}
