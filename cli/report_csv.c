/* The report for spreadsheets and billing tools. */
#include "base/clock.h"
#include "base/csv.h"
#include "cli/report_view.h"

static void usd_field(struct ebb_buffer *out, int64_t micros)
{
    const char *sign = micros < 0 ? "-" : "";
    uint64_t n = micros < 0 ? -(uint64_t)micros : (uint64_t)micros;
    ebb_buffer_printf(out, ",%s%llu.%06llu", sign, (unsigned long long)(n / 1000000),
                      (unsigned long long)(n % 1000000));
}

static void split_fields(struct ebb_buffer *out, const Ebb__Split *split)
{
    static const Ebb__Split none = EBB__SPLIT__INIT;
    const Ebb__Split *s = split != NULL ? split : &none;
    ebb_buffer_printf(out, ",%.3f,%.3f,%.3f,%.3f,%.3f,%.3f", s->useful_s, s->setup_s,
                      s->checkpoint_s, s->lost_s, s->idle_s, s->boot_s);
    usd_field(out, s->useful_usd_micros);
    usd_field(out, s->setup_usd_micros);
    usd_field(out, s->checkpoint_usd_micros);
    usd_field(out, s->lost_usd_micros);
    usd_field(out, s->idle_usd_micros);
    usd_field(out, s->boot_usd_micros);
}

void ebb_report_csv(const Ebb__Report *r, struct ebb_buffer *out)
{
    ebb_buffer_append_text(
        out, "bag,job,state,attempts,revocations,failures,checkpoints,useful_s,setup_s,"
             "checkpoint_s,lost_s,idle_s,boot_s,useful_usd,setup_usd,checkpoint_usd,lost_usd,"
             "idle_usd,boot_usd,storage_usd,requests_usd,total_usd,on_demand_usd,final,verified\n");
    ebb_csv_quote(out, r->bag);
    ebb_buffer_printf(out, ",,%s,%llu,%llu,%llu,%llu", r->state, (unsigned long long)r->attempts,
                      (unsigned long long)r->revocations, (unsigned long long)r->failures,
                      (unsigned long long)r->checkpoints);
    split_fields(out, r->split);
    usd_field(out, r->storage_usd_micros);
    usd_field(out, r->requests_usd_micros);
    usd_field(out, r->total_usd_micros);
    usd_field(out, r->on_demand_usd_micros);
    ebb_buffer_printf(out, ",%s,%s\n", r->is_final ? "true" : "false",
                      r->verified_against[0] == '\0' ? ""
                      : r->verified                  ? "true"
                                                     : "false");
    for (size_t i = 0; i < r->n_job_reports; i++) {
        const Ebb__JobReport *j = r->job_reports[i];
        ebb_csv_quote(out, r->bag);
        ebb_buffer_append_text(out, ",");
        ebb_csv_quote(out, j->name);
        ebb_buffer_printf(out, ",%s,%u,%u,%u,%u", j->state, j->attempts, j->revocations,
                          j->failures, j->checkpoints);
        split_fields(out, j->split);
        ebb_buffer_append_text(out, ",,");
        usd_field(out, j->usd_micros);
        usd_field(out, j->on_demand_usd_micros);
        ebb_buffer_printf(out, ",%s,", r->is_final ? "true" : "false");
        ebb_csv_quote(out, j->verified);
        ebb_buffer_append_text(out, "\n");
    }
}

static void time_field(struct ebb_buffer *out, int64_t wall_ns)
{
    char text[EBB_TIME_TEXT_SIZE];
    ebb_buffer_printf(out, ",%s", wall_ns > 0 ? ebb_time_format(wall_ns, text) : "");
}

static void focus_row(const Ebb__Report *r, const Ebb__VmReport *v, struct ebb_buffer *out)
{
    static const Ebb__Offer unknown = EBB__OFFER__INIT;
    const Ebb__Offer *o = v->offer != NULL ? v->offer : &unknown;
    bool spot = o->market == EBB__MARKET__SPOT;
    double hours = v->billed_s / 3600;
    ebb_csv_quote(out, o->provider);
    usd_field(out, v->usd_micros);
    usd_field(out, v->usd_micros);
    usd_field(out, (int64_t)(hours * (double)o->on_demand_usd_micros_per_hour + 0.5));
    time_field(out, v->launched_wall_ns);
    time_field(out, v->ended_wall_ns);
    ebb_buffer_printf(out, ",USD,Usage,%s,%.6f,Hours,", spot ? "Dynamic" : "Standard", hours);
    ebb_csv_quote(out, o->region);
    ebb_buffer_append_text(out, ",");
    ebb_csv_quote(out, o->zone);
    ebb_buffer_append_text(out, ",");
    ebb_csv_quote(out, v->instance);
    ebb_buffer_append_text(out, ",");
    ebb_csv_quote(out, v->vm);
    ebb_buffer_append_text(out, ",Virtual Machine,Compute,");
    ebb_csv_quote(out, o->type);
    EBB_AUTO_FREE char *tags = ebb_sprintf("{\"ebb:bag\":\"%s\",\"ebb:vm\":\"%s\"}", r->bag, v->vm);
    ebb_buffer_append_text(out, ",");
    ebb_csv_quote(out, tags);
    ebb_buffer_append_text(out, r->is_final ? ",false\n" : ",true\n");
}

void ebb_report_focus(const Ebb__Report *r, struct ebb_buffer *out)
{
    ebb_buffer_append_text(
        out, "ProviderName,BilledCost,EffectiveCost,ListCost,ChargePeriodStart,ChargePeriodEnd,"
             "BillingCurrency,ChargeCategory,PricingCategory,ConsumedQuantity,ConsumedUnit,"
             "RegionId,AvailabilityZone,ResourceId,ResourceName,ResourceType,ServiceCategory,SkuId,"
             "Tags,x_Estimated\n");
    for (size_t i = 0; i < r->n_vms; i++)
        focus_row(r, r->vms[i], out);
}
