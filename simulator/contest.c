/* Draws the starts once, asks the oracle once for each, then lets every policy play them. A field
 * is what competes for the job: one zone in mode `each`, all of them in mode `any`. */
#include "simulator/contest.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "simulator/oracle.h"
#include "simulator/policies.h"

#define DAY_S 86400.0

struct field {
    size_t *zones;
    const struct ebb_trace **traces;
    size_t zone_count;
    size_t *starts;
    double *oracle;
};

struct contest {
    const struct ebb_contest *c;
    struct ebb_onejob_rules rules;
    struct field *fields;
    size_t field_count;
    size_t *block; /* [field * starts + i]: the day */
    size_t block_count;
};

static void clean_up_contest(struct contest *k)
{
    for (size_t f = 0; f < k->field_count; f++) {
        free(k->fields[f].zones);
        free(k->fields[f].traces);
        free(k->fields[f].starts);
        free(k->fields[f].oracle);
    }
    free(k->fields);
    free(k->block);
}

static void choose_zones(struct contest *k)
{
    const struct ebb_contest *c = k->c;
    k->field_count = c->any ? 1 : c->traces->count;
    k->fields = ebb_alloc_array(k->field_count, sizeof *k->fields);
    for (size_t f = 0; f < k->field_count; f++) {
        struct field *field = &k->fields[f];
        field->zone_count = c->any ? c->traces->count : 1;
        field->zones = ebb_alloc_array(field->zone_count, sizeof *field->zones);
        field->traces = ebb_alloc_array(field->zone_count, sizeof *field->traces);
        for (size_t z = 0; z < field->zone_count; z++) {
            field->zones[z] = c->any ? z : f;
            field->traces[z] = &c->traces->items[field->zones[z]];
        }
    }
}

/* Uniform over the ticks from which the deadline still lies within the traces. */
static int draw_starts(struct contest *k, size_t f, struct ebb_random *random,
                       struct ebb_error *err)
{
    const struct ebb_contest *c = k->c;
    struct field *field = &k->fields[f];
    size_t first = 0, end = SIZE_MAX;
    for (size_t z = 0; z < field->zone_count; z++) {
        size_t len = field->traces[z]->len;
        size_t from = c->second_half ? len / 2 : 0;
        first = from > first ? from : first;
        end = len < end ? len : end;
    }
    size_t ticks = ebb_onejob_ticks(&k->rules);
    if (first + ticks > end)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: %zu ticks of %g s are too short for a deadline of %gh%s: give "
                             "longer traces%s",
                             field->traces[0]->name, end, k->rules.gap_s,
                             k->rules.deadline_s / 3600,
                             c->second_half ? " in their second half" : "",
                             c->second_half ? ", or the history apart with --history" : "");
    field->starts = ebb_alloc_array(c->starts, sizeof *field->starts);
    for (size_t i = 0; i < c->starts; i++) {
        field->starts[i] = first + (size_t)ebb_random_below(random, end - ticks - first + 1);
        size_t day = (size_t)((double)field->starts[i] * k->rules.gap_s / DAY_S);
        k->block[f * c->starts + i] = day;
        if (day + 1 > k->block_count)
            k->block_count = day + 1;
    }
    return 0;
}

static void ask_oracle(struct contest *k, size_t f)
{
    struct field *field = &k->fields[f];
    struct ebb_oracle *o = ebb_oracle_new(&k->rules, k->c->traces, field->zones, field->zone_count);
    field->oracle = ebb_alloc_array(k->c->starts, sizeof *field->oracle);
    for (size_t i = 0; i < k->c->starts; i++)
        field->oracle[i] = ebb_oracle_usd(o, field->starts[i]);
    ebb_oracle_destroy(o);
}

/* What one policy did, summed over some starts. */
struct sums {
    size_t count;
    size_t misses;
    double usd, revocations, launches, failed, wasted_s, keeping_s, billed_s, finish_s;
};

static void add_outcome(struct sums *s, const struct ebb_onejob_outcome *o)
{
    s->count++;
    s->misses += o->missed;
    s->usd += o->usd;
    s->revocations += o->revocations;
    s->launches += o->launches;
    s->failed += o->failed_launches;
    s->wasted_s += o->restart_s + o->checkpoint_s + o->lost_s;
    s->keeping_s += o->checkpoint_s + o->lost_s;
    s->billed_s += o->billed_s;
    s->finish_s += o->finish_s;
}

static void fill_row(const struct contest *k, const struct sums *s, double *ratio,
                     const size_t *block, struct ebb_contest_row *row)
{
    double n = (double)s->count;
    row->starts = s->count;
    row->cost_mean = s->usd / n;
    row->over_oracle = ebb_block_bootstrap(ratio, block, s->count, k->block_count, k->c->seed);
    row->deadline_misses = s->misses;
    row->revocations_mean = s->revocations / n;
    row->launches_mean = s->launches / n;
    row->failed_launches_mean = s->failed / n;
    row->wasted_fraction = s->billed_s > 0 ? s->wasted_s / s->billed_s : 0;
    row->checkpoint_lost_fraction = s->billed_s > 0 ? s->keeping_s / s->billed_s : 0;
    row->finish_mean_s = s->finish_s / n;
    EBB_AUTO_FREE double *sorted = ebb_memdup(ratio, s->count * sizeof *ratio);
    for (int q = 0; q < EBB_CONTEST_QUANTILES; q++)
        row->quantile[q] = ebb_quantile(sorted, s->count, q / (double)(EBB_CONTEST_QUANTILES - 1));
    row->p75 = ebb_quantile(sorted, s->count, 0.75);
    row->p95 = ebb_quantile(sorted, s->count, 0.95);
}

static void add_sums(struct sums *to, const struct sums *s)
{
    to->count += s->count;
    to->misses += s->misses;
    to->usd += s->usd;
    to->revocations += s->revocations;
    to->launches += s->launches;
    to->failed += s->failed;
    to->wasted_s += s->wasted_s;
    to->keeping_s += s->keeping_s;
    to->billed_s += s->billed_s;
    to->finish_s += s->finish_s;
}

static void play_oracle(const struct contest *k, const struct field *field, struct sums *s,
                        double *ratio)
{
    for (size_t i = 0; i < k->c->starts; i++) {
        s->usd += field->oracle[i];
        ratio[i] = 1;
    }
    s->count = k->c->starts;
}

static int play_field(const struct contest *k, const char *name, const struct field *field,
                      struct sums *s, double *ratio, struct ebb_error *err)
{
    if (strcmp(name, "oracle") == 0) {
        play_oracle(k, field, s, ratio);
        return 0;
    }
    struct ebb_policy_setup setup = {&k->rules, &k->c->history, field->traces, field->zone_count};
    struct ebb_policy policy;
    int rc = ebb_policy_new(name, &setup, &policy, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < k->c->starts; i++) {
        struct ebb_onejob_outcome o;
        ebb_onejob_run(&k->rules, k->c->traces, field->zones, field->zone_count, field->starts[i],
                       &policy, &o);
        add_outcome(s, &o);
        ratio[i] = field->oracle[i] > 0 ? o.usd / field->oracle[i] : 1;
    }
    ebb_policy_release(&policy);
    return 0;
}

static int play(const struct contest *k, const char *name, ebb_contest_clock clock,
                struct ebb_contest_result *ret, struct ebb_error *err)
{
    size_t starts = k->c->starts;
    EBB_AUTO_FREE double *ratio = ebb_alloc_array(k->field_count * starts, sizeof *ratio);
    struct sums all = {0};
    size_t first = ret->row_count;
    ret->row_count += 1 + (k->c->any ? 0 : k->field_count);
    ret->rows = ebb_realloc_array(ret->rows, ret->row_count, sizeof *ret->rows);
    memset(&ret->rows[first], 0, (ret->row_count - first) * sizeof *ret->rows);
    struct ebb_contest_row *total = &ret->rows[first];
    *total = (struct ebb_contest_row){.name = name, .zone = SIZE_MAX};
    for (size_t f = 0; f < k->field_count; f++) {
        struct sums s = {0};
        double before_s = clock != NULL ? clock() : 0;
        int rc = play_field(k, name, &k->fields[f], &s, &ratio[f * starts], err);
        if (rc < 0)
            return rc;
        double cpu_s = clock != NULL ? clock() - before_s : 0;
        add_sums(&all, &s);
        total->cpu_s += cpu_s;
        if (k->c->any)
            continue;
        struct ebb_contest_row *row = &ret->rows[first + 1 + f];
        *row = (struct ebb_contest_row){.name = name, .zone = f, .cpu_s = cpu_s};
        fill_row(k, &s, &ratio[f * starts], &k->block[f * starts], row);
    }
    fill_row(k, &all, ratio, k->block, total);
    for (size_t i = 0; i < k->field_count * starts; i++)
        ret->below_oracle += ratio[i] < 1 - 1e-9;
    return 0;
}

static int set_up(struct contest *k, struct ebb_error *err)
{
    struct ebb_random random;
    choose_zones(k);
    k->block = ebb_alloc_array(k->field_count * k->c->starts, sizeof *k->block);
    for (size_t f = 0; f < k->field_count; f++) {
        ebb_random_seed(&random, k->c->seed); /* zones of one length share their starts */
        int rc = draw_starts(k, f, &random, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int ebb_contest_run(const struct ebb_contest *c, ebb_contest_clock clock,
                    struct ebb_contest_result *ret, struct ebb_error *err)
{
    EBB_AUTO(clean_up_contest) struct contest k = {.c = c, .rules = c->rules};
    EBB_AUTO(ebb_contest_result_clean_up) struct ebb_contest_result result = {0};
    if (c->traces->count == 0 || c->starts == 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "no traces, or no starts");
    k.rules.gap_s = c->traces->items[0].gap_s;
    if (!c->any)
        k.rules.probe_s = 0;
    int rc = ebb_onejob_check(&k.rules, err);
    if (rc == 0)
        rc = set_up(&k, err);
    if (rc < 0)
        return rc;
    double before_s = clock != NULL ? clock() : 0;
    for (size_t f = 0; f < k.field_count; f++)
        ask_oracle(&k, f);
    double oracle_s = clock != NULL ? clock() - before_s : 0;
    for (size_t p = 0; p < c->policy_count; p++) {
        size_t first = result.row_count;
        rc = play(&k, c->policies[p], clock, &result, err);
        if (rc < 0)
            return rc;
        if (strcmp(c->policies[p], "oracle") == 0)
            result.rows[first].cpu_s = oracle_s;
    }
    for (size_t f = 0; f < k.field_count; f++)
        for (size_t i = 0; i < c->starts; i++)
            result.oracle_mean += k.fields[f].oracle[i];
    result.starts = k.field_count * c->starts;
    result.oracle_mean /= (double)result.starts;
    *ret = result;
    result = (struct ebb_contest_result){0};
    return 0;
}

void ebb_contest_result_clean_up(struct ebb_contest_result *r)
{
    free(r->rows);
    *r = (struct ebb_contest_result){0};
}
