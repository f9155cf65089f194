/* Reports as text and as comma-separated values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/report_view.h"

static struct {
    Ebb__Report report;
    Ebb__Split split;
    Ebb__JobReport job;
    Ebb__JobReport *jobs[1];
    Ebb__VmReport vm;
    Ebb__VmReport *vms[1];
    Ebb__Offer offer;
    Ebb__Estimate estimate;
    Ebb__StateCount done;
    Ebb__StateCount *counts[1];
} r;

static const Ebb__Report *make_report(void)
{
    ebb__report__init(&r.report);
    ebb__split__init(&r.split);
    ebb__job_report__init(&r.job);
    ebb__vm_report__init(&r.vm);
    ebb__offer__init(&r.offer);
    ebb__estimate__init(&r.estimate);
    ebb__state_count__init(&r.done);
    r.done.state = (char *)"done";
    r.done.count = 1;
    r.counts[0] = &r.done;
    r.split = (Ebb__Split){.base = r.split.base,
                           .useful_s = 600,
                           .useful_usd_micros = 120000,
                           .lost_s = 30,
                           .lost_usd_micros = 6000,
                           .forgiven_usd_micros = 2000};
    r.job.name = (char *)"nvt,temperature=290,seed=1";
    r.job.state = (char *)"done";
    r.job.attempts = 3;
    r.job.revocations = 2;
    r.job.usd_micros = 126000;
    r.job.on_demand_usd_micros = 400000;
    r.job.verified = (char *)"equal";
    r.job.split = &r.split;
    r.jobs[0] = &r.job;
    r.offer.provider = (char *)"aws";
    r.offer.region = (char *)"us-east-1";
    r.offer.zone = (char *)"us-east-1b";
    r.offer.type = (char *)"c5.large";
    r.offer.on_demand_usd_micros_per_hour = 85000;
    r.vm.vm = (char *)"vm-000001";
    r.vm.instance = (char *)"i-0abc";
    r.vm.offer = &r.offer;
    r.vm.billed_s = 3600;
    r.vm.usd_micros = 34300;
    r.vm.interrupted = true;
    r.vm.launched_wall_ns = 1000 * EBB_NS_PER_S;
    r.vm.ended_wall_ns = 1060 * EBB_NS_PER_S;
    r.vms[0] = &r.vm;
    r.estimate.cost_usd_micros = 100000;
    r.estimate.finish_s = 500;
    Ebb__Report *p = &r.report;
    p->bag = (char *)"demo-1f3a";
    p->state = (char *)"done";
    p->submitted_wall_ns = 1000 * EBB_NS_PER_S;
    p->finished_wall_ns = 1660 * EBB_NS_PER_S;
    p->jobs = 1;
    p->counts = r.counts;
    p->n_counts = 1;
    p->attempts = 3;
    p->revocations = 2;
    p->split = &r.split;
    p->vm_usd_micros = 126000;
    p->storage_usd_micros = 10;
    p->requests_usd_micros = 990;
    p->total_usd_micros = 127000;
    p->on_demand_usd_micros = 400000;
    p->estimate = &r.estimate;
    p->bill_time_scale = 60;
    p->job_reports = r.jobs;
    p->n_job_reports = 1;
    p->vms = r.vms;
    p->n_vms = 1;
    p->is_final = true;
    p->verified_against = (char *)"calm-0001";
    p->verified = true;
    p->verified_jobs = 1;
    p->verified_files_equal = 4;
    return p;
}

static void check_has(const struct ebb_buffer *out, const char *line)
{
    if (strstr(ebb_buffer_text(out), line) == NULL)
        fail_msg("no '%s' in:\n%s", line, ebb_buffer_text(out));
}

static void the_text_says_costs_savings_and_verification(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_report_text(make_report(), true, &out);
    check_has(&out, "demo-1f3a: done after 11m00s\n"
                    "1 job (1 done), 3 attempts, 2 revocations, 0 failures, 0 checkpoints\n");
    check_has(&out, "  10m00s  $0.1200   94.5 %\n");
    check_has(&out, "    30s  $0.0060    4.7 %\n");
    check_has(&out, "  $0.1270  100.0 %\n");
    check_has(&out, "not billed, as the cloud took the VM in its first hour: $0.0020\n");
    check_has(&out,
              "the useful work alone, on demand, without boot and idle time: $0.40, 68 % saved\n");
    check_has(&out, "expected at submission: $0.10 in 8m20s; it was $0.13 in 11m00s\n");
    check_has(&out, "verified against calm-0001: 1 jobs, 4 files equal, 0 different\n");
    check_has(&out, "nvt,temperature=290,seed=1  done ");
    check_has(&out, "the cloud\n");
}

static void what_still_runs_is_called_an_estimate(void **state)
{
    (void)state;
    (void)make_report();
    r.report.is_final = false;
    r.report.finished_wall_ns = 0;
    r.report.verified_against = (char *)"";
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_report_text(&r.report, false, &out);
    check_has(&out, "demo-1f3a: done (VMs still run: amounts are estimates)\n");
    assert_null(strstr(ebb_buffer_text(&out), "erified"));
}

static size_t fields_of(const char *line)
{
    size_t n = 1;
    bool quoted = false;
    for (; *line != '\0' && *line != '\n'; line++) {
        if (*line == '"')
            quoted = !quoted;
        n += !quoted && *line == ',';
    }
    return n;
}

static void check_rectangular(const struct ebb_buffer *out, size_t rows)
{
    const char *line = ebb_buffer_text(out);
    size_t columns = fields_of(line), n = 0;
    for (; *line != '\0'; line = strchr(line, '\n') + 1, n++)
        assert_int_equal(fields_of(line), columns);
    assert_int_equal(n, rows);
}

static void every_csv_row_has_every_column(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_report_csv(make_report(), &out);
    check_rectangular(&out, 3);
    check_has(&out, "\ndemo-1f3a,,done,3,2,0,0,600.000,");
    check_has(&out, ",0.000010,0.000990,0.127000,0.400000,true,true\n");
    check_has(&out, "\ndemo-1f3a,\"nvt,temperature=290,seed=1\",done,3,2,0,0,600.000,");
    check_has(&out, ",,,0.126000,0.400000,true,equal\n");
}

static void focus_rows_have_prices_times_and_places(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_report_focus(make_report(), &out);
    check_rectangular(&out, 2);
    check_has(&out, "\naws,0.034300,0.034300,0.085000,1970-01-01T00:16:40.000Z,"
                    "1970-01-01T00:17:40.000Z,USD,Usage,Dynamic,1.000000,Hours,us-east-1,"
                    "us-east-1b,i-0abc,vm-000001,Virtual Machine,Compute,c5.large,"
                    "\"{\"\"ebb:bag\"\":\"\"demo-1f3a\"\",\"\"ebb:vm\"\":\"\"vm-000001\"\"}\","
                    "false\n");
}

static void an_empty_report_is_no_fault(void **state)
{
    (void)state;
    Ebb__Report empty = EBB__REPORT__INIT;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_report_text(&empty, true, &out);
    ebb_report_csv(&empty, &out);
    ebb_report_focus(&empty, &out);
    assert_true(out.len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_says_costs_savings_and_verification),
        cmocka_unit_test(what_still_runs_is_called_an_estimate),
        cmocka_unit_test(every_csv_row_has_every_column),
        cmocka_unit_test(focus_rows_have_prices_times_and_places),
        cmocka_unit_test(an_empty_report_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
