/* The catalogue: the built-in one is whole and plausible, files are read strictly and written back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "scheduler/core/catalogue.h"
#include "tests/unit/core/world.h"

#define HEADER "provider,region,type,cpus,memory_gib,gpu,gpus,on_demand_usd_per_hour"

static void refuses(const char *text, const char *message)
{
    struct ebb_error err = {0};
    struct ebb_catalogue *c = NULL;
    assert_int_equal(ebb_catalogue_read("p", text, strlen(text), &c, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, message);
    assert_null(c);
}

static void the_built_in_catalogue_is_plausible(void **state)
{
    (void)state;
    const struct ebb_catalogue *c = ebb_catalogue_builtin();
    assert_true(c->count > 500);
    assert_int_equal(strlen(c->dated), 10);
    for (size_t i = 0; i < c->count; i++) {
        const struct ebb_catalogue_offer *o = &c->offers[i];
        assert_true(o->cpus >= 1 && o->memory_bytes >= UINT64_C(1) << 30);
        assert_true(o->on_demand_usd_micros_per_hour > 10000);
        assert_true(o->on_demand_usd_micros_per_hour < 200 * INT64_C(1000000));
        assert_true(o->spot_usd_micros_per_hour > 0);
        assert_true(o->spot_usd_micros_per_hour < o->on_demand_usd_micros_per_hour);
        assert_true((o->gpus == 0) == (o->gpu_memory_bytes == 0));
        assert_true(o->network_gbps > 0);
        /* An hour of a CPU costs about the same everywhere, where there is no GPU. */
        double per_cpu = (double)o->on_demand_usd_micros_per_hour / 1e6 / o->cpus;
        if (o->gpus == 0 && (per_cpu < 0.02 || per_cpu > 0.12))
            fail_msg("%s in %s: $%.4f a CPU", o->type, o->region, per_cpu);
    }
}

static void types_have_the_same_shape_in_every_region(void **state)
{
    (void)state;
    const struct ebb_catalogue *c = ebb_catalogue_builtin();
    for (size_t i = 1; i < c->count; i++) {
        const struct ebb_catalogue_offer *a = &c->offers[i - 1], *b = &c->offers[i];
        if (strcmp(a->type, b->type) != 0)
            continue;
        assert_true(a->cpus == b->cpus && a->memory_bytes == b->memory_bytes &&
                    a->gpus == b->gpus && strcmp(a->gpu_model, b->gpu_model) == 0);
    }
}

static void known_offers_are_found(void **state)
{
    (void)state;
    const struct ebb_catalogue *c = ebb_catalogue_builtin();
    const struct ebb_catalogue_offer *o = ebb_catalogue_find(c, "aws", "us-east-1", "g5.xlarge");
    assert_non_null(o);
    assert_int_equal(o->on_demand_usd_micros_per_hour, 1006000);
    assert_int_equal(o->gpus, 1);
    assert_string_equal(o->gpu_model, "a10g");
    assert_true(o->memory_bytes == UINT64_C(16) << 30);
    assert_null(ebb_catalogue_find(c, "aws", "us-east-1", "g5.xlarg"));
    assert_null(ebb_catalogue_find(c, "aws", "mars-1", "g5.xlarge"));
    o = ebb_catalogue_find_type(c, "gcp", "g2-standard-8");
    assert_true(o != NULL && strcmp(o->gpu_model, "l4") == 0);
    assert_null(ebb_catalogue_find_type(c, "aws", "g2-standard-8"));
}

static void what_is_written_reads_back_the_same(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer first = {0}, second = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *c = NULL;
    ebb_catalogue_write(ebb_catalogue_builtin(), &first);
    assert_int_equal(ebb_catalogue_read("x", ebb_buffer_text(&first), first.len, &c, NULL), 0);
    ebb_catalogue_write(c, &second);
    assert_string_equal(ebb_buffer_text(&first), ebb_buffer_text(&second));
    assert_string_equal(c->dated, ebb_catalogue_builtin()->dated);
    ebb_buffer_clean_up(&second);
}

static void json_gives_the_same_offers_as_csv(void **state)
{
    (void)state;
    static const char csv[] =
        "# dated: 2026-01-02\n" HEADER ",spot_usd_per_hour,interruption_band\n"
        "aws,r1,t1,4,16,l4,1,0.8,0.3,5-10\n"
        "aws,r1,t2,2,4,,,0.085,,\n";
    static const char json[] =
        " {\"schema\": \"ebb.prices.v1\", \"dated\": \"2026-01-02\", \"age_days\": 3, \"offers\": ["
        "{\"provider\": \"aws\", \"region\": \"r1\", \"type\": \"t2\", \"cpus\": 2, "
        "\"memory_gib\": 4, \"on_demand_usd_per_hour\": 0.085, \"spot_usd_per_hour\": null},"
        "{\"provider\": \"aws\", \"region\": \"r1\", \"type\": \"t1\", \"cpus\": 4, "
        "\"memory_gib\": 16, \"gpu\": \"l4\", \"gpus\": 1, \"on_demand_usd_per_hour\": 0.8, "
        "\"spot_usd_per_hour\": 0.3, \"interruption_band\": \"5-10\"}]}";
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *a = NULL;
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *b = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer x = {0}, y = {0};
    struct ebb_error err = {0};
    assert_int_equal(ebb_catalogue_read("a", csv, strlen(csv), &a, &err), 0);
    assert_int_equal(ebb_catalogue_read("b", json, strlen(json), &b, &err), 0);
    assert_int_equal(a->count, 2);
    ebb_catalogue_write(a, &x);
    ebb_catalogue_write(b, &y);
    assert_string_equal(ebb_buffer_text(&x), ebb_buffer_text(&y));
    ebb_buffer_clean_up(&y);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    (void)state;
    refuses("", "p:1: empty: the first line names the columns");
    refuses("provider,region\n", "p:1: no column 'type'");
    refuses(HEADER "\n", "p: no offer in it");
    refuses(HEADER "\na,r,t,-1,1,,,1\n", "p:2: cpus -1 is not from 0 to 100000");
    refuses(HEADER "\na,r,t,nan,1,,,1\n", "p:2: cpus 'nan' is no number");
    refuses(HEADER "\na,r,t,1,1,,,\n", "p:2: on_demand_usd_per_hour is empty");
    refuses(HEADER "\na,r,,1,1,,,1\n", "p:2: type is empty");
    refuses(HEADER "\na,r,t,1,1,l4,,1\n",
            "p:2: gpu and gpus do not agree: a model and a number, or neither");
    refuses(HEADER "\na,r,t,1,1,l4,0.5,1\n", "p:2: gpus 0.5 is no whole number");
    refuses(HEADER ",interruption_band\na,r,t,1,1,,,1,7%\n",
            "p:2: interruption_band '7%' is not one of <5, 5-10, 10-15, 15-20, >20");
    refuses(HEADER "\na,r,t,1,1,,,1\na,r,t,1,1,,,2\n", "p: a t in r is there twice");
    refuses("{\"schema\": \"other\"}", "p: 'schema' is not \"ebb.prices.v1\"");
    refuses("{\"schema\": \"ebb.prices.v1\"}", "p: no array 'offers'");
    refuses("{\"schema\": \"ebb.prices.v1\", \"offers\": [1]}", "p: offers[0] is no object");
    refuses("{\"schema\": \"ebb.prices.v1\", \"offers\": [{\"provider\": true}]}",
            "p: offers[0]: 'provider' is neither text nor number");
    refuses("{\"schema\": \"ebb.prices.v1\", \"offers\": [{\"provider\": \"a\"}]}",
            "p: offers[0]: region is empty");
    refuses("{\"schema\": \"ebb.prices.v1\", \"dated\": \"a\\nb\", \"offers\": []}",
            "p: 'dated' is no date: write 2026-07-22");
}

static void gpu_models_match_with_their_variants(void **state)
{
    (void)state;
    assert_true(ebb_catalogue_gpu_matches("a100", "a100"));
    assert_true(ebb_catalogue_gpu_matches("a100-80gb", "A100"));
    assert_false(ebb_catalogue_gpu_matches("a100", "a100-80gb"));
    assert_false(ebb_catalogue_gpu_matches("l40s", "l4"));
    assert_false(ebb_catalogue_gpu_matches("", ""));
}

static void bands_map_to_rising_hazards(void **state)
{
    (void)state;
    assert_true(ebb_catalogue_band_hazard_per_hour(EBB_BAND_UNKNOWN) == 0);
    for (int band = EBB_BAND_UNDER_5; band <= EBB_BAND_OVER_20; band++) {
        double h = ebb_catalogue_band_hazard_per_hour((enum ebb_band)band);
        assert_true(h > ebb_catalogue_band_hazard_per_hour((enum ebb_band)(band - 1)));
    }
    assert_true(fabs(ebb_catalogue_band_hazard_per_hour(EBB_BAND_UNDER_5) - 0.00855) < 1e-5);
    assert_true(fabs(ebb_catalogue_band_hazard_per_hour(EBB_BAND_OVER_20) - 0.08514) < 1e-5);
}

static void a_prior_is_the_regions_or_the_types_mean(void **state)
{
    (void)state;
    struct ebb_place p = {.provider = "aws", .region = "us-east-1", .type = "g5.xlarge"};
    assert_true(ebb_catalogue_prior(NULL, &p) ==
                ebb_catalogue_band_hazard_per_hour(EBB_BAND_OVER_20));
    p.region = "mars-1";
    assert_true(fabs(ebb_catalogue_prior(NULL, &p) -
                     ebb_catalogue_band_hazard_per_hour(EBB_BAND_OVER_20)) < 1e-12);
    p = (struct ebb_place){.provider = "gcp", .type = "g2-standard-4"};
    assert_true(ebb_catalogue_prior(NULL, &p) == 0);
    p = (struct ebb_place){0};
    assert_true(ebb_catalogue_prior(NULL, &p) == 0);
}

/* A catalogue of one offer, as the log has it. */
static void import(struct world *w, enum ebb_band band, double cap_s, uint8_t digest)
{
    EVENT(e, m, catalogue_imported, CATALOGUE_IMPORTED, Ebb__CatalogueImported);
    ebb__catalogue_imported__init(&m);
    uint8_t sha256[32] = {digest};
    m.sha256 = (ProtobufCBinaryData){.len = sizeof sha256, .data = sha256};
    Ebb__CatalogueEntry one, *entries[] = {&one};
    ebb__catalogue_entry__init(&one);
    one.provider = lit("aws");
    one.region = lit("us-east-1");
    one.type = lit("m");
    one.band = band;
    one.cap_s = cap_s;
    m.entries = entries;
    m.n_entries = digest != 0;
    world_apply(w, &e);
}

static void an_imported_catalogue_changes_priors_at_once_and_at_a_replay(void **state)
{
    (void)state;
    struct world w = world_new();
    struct ebb_place p = {"aws", "us-east-1", "a", "m"};
    double unknown = ebb_hazards_per_hour(w.s->hazards, EBB_RATE_REVOCATION, &p, 60, w.now);
    import(&w, EBB_BAND_UNDER_5, 0, 1);
    double calm = ebb_hazards_per_hour(w.s->hazards, EBB_RATE_REVOCATION, &p, 60, w.now);
    import(&w, EBB_BAND_OVER_20, 0, 2);
    double stormy = ebb_hazards_per_hour(w.s->hazards, EBB_RATE_REVOCATION, &p, 60, w.now);
    assert_true(calm < unknown && fabs(stormy / calm - log(0.6) / log(0.95)) < 1e-6);
    struct ebb_state *again = world_replay(&w);
    assert_true(ebb_state_digest(again) == ebb_state_digest(w.s));
    assert_true(ebb_hazards_per_hour(again->hazards, EBB_RATE_REVOCATION, &p, 60, w.now) == stormy);
    ebb_state_destroy(again);
    uint64_t before = ebb_state_digest(w.s);
    import(&w, EBB_BAND_UNKNOWN, 0, 0); /* back to the one built in */
    assert_true(ebb_hazards_per_hour(w.s->hazards, EBB_RATE_REVOCATION, &p, 60, w.now) == unknown);
    assert_true(ebb_state_digest(w.s) != before);
    world_destroy(&w);
}

static void what_decisions_need_survives_the_log_and_nonsense_is_refused(void **state)
{
    (void)state;
    uint8_t sha256[32] = {1};
    struct ebb_catalogue *back = NULL;
    const struct ebb_catalogue *builtin = ebb_catalogue_builtin();
    Ebb__CatalogueImported *m = ebb_catalogue_event_new(builtin, sha256);
    assert_int_equal(ebb_catalogue_of_event(m, &back, NULL), 0);
    for (size_t i = 0; i < builtin->count; i++) {
        const struct ebb_catalogue_offer *o = &builtin->offers[i];
        struct ebb_place p = {o->provider, o->region, "", o->type};
        assert_true(ebb_catalogue_hazard_per_hour(back, &p) ==
                    ebb_catalogue_hazard_per_hour(builtin, &p));
    }
    ebb_catalogue_destroy(back);
    assert_true(m->n_entries > 2);
    m->entries[1]->band = 77;
    assert_int_equal(ebb_catalogue_of_event(m, &back, NULL), EBB_ERR_INPUT);
    m->entries[1]->band = 1;
    m->entries[1]->cap_s = -1;
    assert_int_equal(ebb_catalogue_of_event(m, &back, NULL), EBB_ERR_INPUT);
    m->entries[1]->cap_s = NAN;
    assert_int_equal(ebb_catalogue_of_event(m, &back, NULL), EBB_ERR_INPUT);
    m->entries[1]->cap_s = 0;
    Ebb__CatalogueEntry *swap = m->entries[0];
    m->entries[0] = m->entries[1];
    m->entries[1] = swap;
    assert_int_equal(ebb_catalogue_of_event(m, &back, NULL), EBB_ERR_INPUT);
    ebb_catalogue_event_destroy(m);
}

static void caps_are_read_and_written(void **state)
{
    (void)state;
    const char *text = "provider,region,type,cpus,memory_gib,on_demand_usd_per_hour,cap_h\n"
                       "gcp,r,n1-standard-2,2,7.5,0.1,24\ngcp,r,n2-standard-2,2,8,0.1,\n";
    struct ebb_catalogue *c = NULL, *again = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(ebb_catalogue_read("x.csv", text, strlen(text), &c, NULL), 0);
    assert_true(c->offers[0].cap_s == 86400 && c->offers[1].cap_s == 0);
    ebb_catalogue_write(c, &out);
    assert_int_equal(ebb_catalogue_read("y", ebb_buffer_text(&out), out.len, &again, NULL), 0);
    assert_true(again->offers[0].cap_s == 86400 && again->offers[1].cap_s == 0);
    ebb_catalogue_destroy(c);
    ebb_catalogue_destroy(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_imported_catalogue_changes_priors_at_once_and_at_a_replay),
        cmocka_unit_test(what_decisions_need_survives_the_log_and_nonsense_is_refused),
        cmocka_unit_test(caps_are_read_and_written),
        cmocka_unit_test(the_built_in_catalogue_is_plausible),
        cmocka_unit_test(types_have_the_same_shape_in_every_region),
        cmocka_unit_test(known_offers_are_found),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(json_gives_the_same_offers_as_csv),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(gpu_models_match_with_their_variants),
        cmocka_unit_test(bands_map_to_rising_hazards),
        cmocka_unit_test(a_prior_is_the_regions_or_the_types_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
