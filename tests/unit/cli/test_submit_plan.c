/* The plan in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/submit_plan.h"

static struct {
    Ebb__BagSpec spec;
    Ebb__JobGroup group;
    Ebb__JobGroup *groups[1];
    Ebb__Resources resources;
    char *models[2];
    char *needs[1];
    Ebb__PlanAnswer plan;
    Ebb__Estimate estimate;
    Ebb__Candidate candidates[20];
    Ebb__Candidate *list[20];
    Ebb__Offer offers[20];
} p;

static void make(size_t candidates)
{
    ebb__bag_spec__init(&p.spec);
    ebb__job_group__init(&p.group);
    ebb__resources__init(&p.resources);
    ebb__plan_answer__init(&p.plan);
    ebb__estimate__init(&p.estimate);
    p.resources.cpus = 2;
    p.resources.memory_bytes = UINT64_C(2) << 30;
    p.resources.gpus = 1;
    p.models[0] = (char *)"l4";
    p.models[1] = (char *)"t4";
    p.resources.gpu_models = p.models;
    p.resources.n_gpu_models = 2;
    p.resources.time_s = 600;
    p.needs[0] = (char *)"prepare";
    p.group.name = (char *)"nvt";
    p.group.engine = (char *)"gromacs";
    p.group.job_count = 12;
    p.group.resources = &p.resources;
    p.group.needs = p.needs;
    p.group.n_needs = 1;
    p.groups[0] = &p.group;
    p.spec.name = (char *)"demo";
    p.spec.groups = p.groups;
    p.spec.n_groups = 1;
    for (size_t i = 0; i < candidates; i++) {
        ebb__candidate__init(&p.candidates[i]);
        ebb__offer__init(&p.offers[i]);
        p.offers[i].type = (char *)"g4dn.xlarge";
        p.offers[i].zone = (char *)"us-east-1b";
        p.offers[i].usd_micros_per_hour = 193100;
        p.offers[i].market = i == 0 ? EBB__MARKET__ON_DEMAND : EBB__MARKET__SPOT;
        p.candidates[i].offer = &p.offers[i];
        p.candidates[i].expected_usd_per_job = 0.0512;
        p.candidates[i].hazard_per_hour = 0.25;
        p.candidates[i].chosen = i + 1 == candidates;
        p.candidates[i].vms = i + 1 == candidates ? 4 : 0;
        p.candidates[i].note = (char *)"";
        p.list[i] = &p.candidates[i];
    }
    p.plan.candidates = p.list;
    p.plan.n_candidates = candidates;
    p.plan.feasible = true;
    p.plan.estimate = &p.estimate;
    p.estimate.cost_usd_micros = 614400;
    p.estimate.on_demand_cost_usd_micros = 2000000;
    p.estimate.finish_s = 1900;
    p.estimate.vms = 4;
}

static void check_has(const struct ebb_buffer *out, const char *text)
{
    if (strstr(ebb_buffer_text(out), text) == NULL)
        fail_msg("no '%s' in:\n%s", text, ebb_buffer_text(out));
}

static void jobs_offers_and_estimate_are_told(void **state)
{
    (void)state;
    struct ebb_buffer out = {0};
    make(2);
    ebb_plan_view(&p.spec, &p.plan, 0, &out);
    check_has(&out, "bag demo: 12 jobs\n");
    check_has(&out, "nvt    gromacs    12     2  2.0 GiB  1 l4|t4  10m00s  prepare\n");
    check_has(&out, "        g4dn.xlarge  us-east-1b  on demand  $0.1931          -  $0.0512\n");
    check_has(&out,
              "CHOSEN  g4dn.xlarge  us-east-1b  spot       $0.1931       0.25  $0.0512    4\n");
    check_has(&out, "expected: $0.61, done in 31m40s on 4 VMs; on demand $2.00 (69 % saved)\n");
    ebb_buffer_clean_up(&out);
}

static void a_long_list_is_cut_but_never_the_chosen(void **state)
{
    (void)state;
    struct ebb_buffer out = {0};
    make(20);
    ebb_plan_view(&p.spec, &p.plan, 80, &out);
    check_has(&out, "and 7 dearer ones (--json shows all)\n");
    check_has(&out, "\nCHOSEN");
    ebb_buffer_clean_up(&out);
}

static void what_cannot_be_says_why(void **state)
{
    (void)state;
    struct ebb_buffer out = {0};
    make(0);
    p.plan.feasible = false;
    p.plan.estimate = NULL;
    p.plan.reason = (char *)"no offer has 8 GPUs; the most is 1";
    ebb_plan_view(&p.spec, &p.plan, 80, &out);
    check_has(&out, "not feasible: no offer has 8 GPUs; the most is 1\n");
    ebb_buffer_clean_up(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_offers_and_estimate_are_told),
        cmocka_unit_test(a_long_list_is_cut_but_never_the_chosen),
        cmocka_unit_test(what_cannot_be_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
