/* Checks of the cloud and the store, as the scheduler would use them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/doctor_checks.h"
#include "cli/local.h"
#include "cli/local_parts.h"
#include "cloud/object_store.h"
#include "cloud/provider.h"

/* Signatures are refused from 5 minutes on (AWS); event times should agree better. */
#define MAX_SKEW_S 5

static bool is_emulated(const char *cloud)
{
    return cloud == NULL ? ebb_local_is_emulated() : strcmp(cloud, "emulated") == 0;
}

/* Points this process to the emulated cloud if it runs. */
static bool emulator_runs(void)
{
    return ebb_emulator_is_running() && ebb_local_use_cloud(NULL) == 0;
}

static char *advice_for(const struct ebb_error *err)
{
    switch (err->code) {
    case EBB_ERR_DENIED:
        return ebb_strdup("give credentials that may do this: AWS_ACCESS_KEY_ID and "
                          "AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws");
    case EBB_ERR_NOT_FOUND:
        return ebb_strdup("does the bucket exist, and in this region?");
    case EBB_ERR_UNAVAILABLE:
    case EBB_ERR_TIMEOUT:
        return ebb_strdup("is the network up, and is a proxy or AWS_ENDPOINT_URL set right?");
    case EBB_ERR_INPUT:
        return ebb_strdup("set AWS_REGION, and check the URL");
    default:
        return ebb_strdup("try again; if it stays, the provider's status page may know more");
    }
}

struct tally {
    size_t offers;
    size_t zones;
    char zone_names[32][32];
};

static int count_offer(void *ctx, const Ebb__Offer *o)
{
    struct tally *t = ctx;
    t->offers++;
    for (size_t i = 0; i < t->zones; i++)
        if (strcmp(t->zone_names[i], o->zone) == 0)
            return 0;
    if (t->zones < EBB_ARRAY_LEN(t->zone_names))
        (void)snprintf(t->zone_names[t->zones++], sizeof(t->zone_names[0]), "%s", o->zone);
    return 0;
}

void ebb_check_cloud(const char *cloud, struct ebb_findings *f)
{
    bool emulated = is_emulated(cloud);
    if (emulated && !emulator_runs()) {
        ebb_findings_add(f, EBB_FINDING_OK, "cloud",
                         ebb_strdup("emulated, not running; 'ebb submit' starts it"), NULL);
        return;
    }
    struct ebb_error err = {0};
    struct ebb_provider *p = NULL;
    struct tally t = {0};
    int rc = ebb_provider_open("aws", &p, &err);
    if (rc == 0)
        rc = ebb_provider_offers(p, count_offer, &t, &err);
    if (rc < 0)
        ebb_findings_add(f, EBB_FINDING_REFUSED, "cloud", ebb_strdup(err.text), advice_for(&err));
    else
        ebb_findings_add(f, EBB_FINDING_OK, "cloud",
                         ebb_sprintf("%s %s%s: %zu offers in %zu zones; credentials accepted",
                                     p->name, p->region, emulated ? " (emulated)" : "", t.offers,
                                     t.zones),
                         NULL);
    if (rc == 0 && !emulated)
        ebb_findings_add(f, EBB_FINDING_NOTE, "quota",
                         ebb_strdup("not readable with the permissions that ebb needs; a launch "
                                    "over it moves on to other offers"),
                         ebb_strdup("see 'All G and VT Spot Instance Requests' in Service Quotas"));
    ebb_provider_destroy(p);
}

/* The running scheduler's default store, malloc'ed, or NULL. */
static char *store_in_use(void)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    if (ebb_client_connect(&client, NULL) == 0 && ebb_ask_ping(client, &a, NULL) == 0 &&
        a->ping->store_url[0] != '\0')
        return ebb_strdup(a->ping->store_url);
    return NULL;
}

static void probe_store(const char *url, struct ebb_findings *f)
{
    struct ebb_error err = {0};
    struct ebb_object_store_options quick = {.retry_for_s = 10};
    struct ebb_object_store *s = NULL;
    double skew_s = 0;
    int rc = ebb_object_store_open(url, &quick, &s, &err);
    if (rc == 0)
        rc = ebb_object_store_probe(s, &skew_s, &err);
    ebb_object_store_destroy(s);
    if (rc < 0) {
        ebb_findings_add(f, EBB_FINDING_REFUSED, "object store",
                         ebb_sprintf("%s: %s", url, err.text), advice_for(&err));
        return;
    }
    ebb_findings_add(f, EBB_FINDING_OK, "object store",
                     ebb_sprintf("%s: reachable, conditional puts are honoured", url), NULL);
    char text[EBB_QUANTITY_TEXT_SIZE];
    bool close = fabs(skew_s) <= MAX_SKEW_S;
    ebb_findings_add(f, close ? EBB_FINDING_OK : EBB_FINDING_FAULT, "clock",
                     ebb_sprintf("%s %s the store's", ebb_format_duration(fabs(skew_s), text),
                                 skew_s > 0 ? "behind" : "ahead of"),
                     close ? NULL : ebb_strdup("set the clock: timedatectl set-ntp true"));
}

void ebb_check_store(const char *cloud, const char *url, struct ebb_findings *f)
{
    EBB_AUTO_FREE char *in_use = url == NULL ? store_in_use() : NULL;
    const char *store = url != NULL ? url : in_use;
    bool emulated = is_emulated(cloud);
    bool runs = !emulated || emulator_runs();
    if (store == NULL && emulated && runs)
        store = EBB_LOCAL_STORE;
    if (store == NULL || (ebb_starts_with(store, "s3://") && !runs)) {
        ebb_findings_add(f, EBB_FINDING_OK, "object store",
                         ebb_strdup(emulated ? "the emulated S3, not running" : "none chosen yet"),
                         emulated ? NULL : ebb_strdup("check one with --store s3://bucket/prefix"));
        return;
    }
    probe_store(store, f);
}
