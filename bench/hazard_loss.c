/* How well hazards foretell revocations while they are being learned: the loss of each piece of
 * life is scored by what was known before it, and only then learned from (prequential).
 *
 * A piece that lasts from one age to another costs  H - [it ended by revocation] ln h,  H the
 * integral of the hazard h an hour over it; the table gives nats an hour of VM life, less is
 * better. Nobody is told anything of the data beforehand.
 *
 *     constant    one rate for all: revocations over hours so far, one in ten hours before
 *     age alone   the online hazards without places
 *     prior       the online hazards that never learn: the built-in band and its fall with age
 *     online      as the scheduler learns: places pooled upwards, forgotten by half in two days
 *     kept        the same, never forgotten */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/measure.h"
#include "scheduler/core/fit_data.h"
#include "scheduler/core/hazards.h"
#include "simulator/traces.h"

#define S_PER_HOUR 3600.0
#define HOUR_NS    INT64_C(3600000000000)
#define ORIGIN_NS  (INT64_C(1550000000) * INT64_C(1000000000))
#define PIECE_H    1.0 /* long lives are told so often, as the scheduler does */
#define MOST       200000

struct life {
    struct ebb_place place;
    double from_h, to_h; /* on the clock */
    double age_h;        /* at from_h */
    bool event;
};

struct lives {
    struct life *items;
    size_t count;
};

enum model { CONSTANT, AGE, PRIOR, ONLINE, KEPT, MODELS };
static const char *const names[MODELS] = {"constant", "age alone", "prior", "online", "kept"};

struct learner {
    double events, hours; /* of the constant */
    struct ebb_hazards *hazards[MODELS];
    double loss[MODELS];
};

static void add(struct lives *l, const struct life *x)
{
    double from = x->from_h, age = x->age_h;
    while (from < x->to_h && l->count < MOST) { /* pieces of an hour, the last with the event */
        double to = fmin(x->to_h, from + PIECE_H);
        struct life piece = *x;
        piece.from_h = from;
        piece.to_h = to;
        piece.age_h = age;
        piece.event = x->event && to >= x->to_h;
        if (l->count % 1024 == 0)
            l->items = ebb_realloc_array(l->items, l->count + 1024, sizeof *l->items);
        l->items[l->count++] = piece;
        age += to - from;
        from = to;
    }
}

static int by_end(const void *a, const void *b)
{
    const struct life *x = a, *y = b;
    if (x->to_h != y->to_h)
        return x->to_h < y->to_h ? -1 : 1;
    int by = strcmp(x->place.zone, y->place.zone);
    return by != 0 ? by : strcmp(x->place.type, y->place.type);
}

static double score(const struct ebb_hazards *h, const struct ebb_place *p, const struct life *x,
                    enum ebb_rate rate, int64_t began_ns)
{
    double per_hour[EBB_AGE_BINS];
    double from_s = x->age_h * S_PER_HOUR, to_s = from_s + (x->to_h - x->from_h) * S_PER_HOUR;
    ebb_hazards_table(h, rate, p, began_ns, per_hour, NULL);
    double sum = ebb_hazards_cumulative(per_hour, 1, from_s, to_s);
    int bin = 0;
    while (bin + 1 < EBB_AGE_BINS && to_s >= ebb_age_bin_from_s[bin + 1])
        bin++;
    return sum - (x->event ? log(per_hour[bin]) : 0);
}

static void score_all(struct learner *l, const struct life *x, enum ebb_rate rate)
{
    static const struct ebb_place everywhere = {NULL, NULL, NULL, NULL};
    int64_t began_ns = ORIGIN_NS + (int64_t)(x->from_h * (double)HOUR_NS);
    double constant = (1 + l->events) / (10 + l->hours), hours = x->to_h - x->from_h;
    l->loss[CONSTANT] += constant * hours - (x->event ? log(constant) : 0);
    for (int m = AGE; m < MODELS; m++)
        l->loss[m] += score(l->hazards[m], m == AGE ? &everywhere : &x->place, x, rate, began_ns);
}

static void learn(struct learner *l, const struct life *x, enum ebb_rate rate)
{
    static const struct ebb_place everywhere = {NULL, NULL, NULL, NULL};
    int64_t at_ns = ORIGIN_NS + (int64_t)(x->to_h * (double)HOUR_NS);
    double from_s = x->age_h * S_PER_HOUR, to_s = from_s + (x->to_h - x->from_h) * S_PER_HOUR;
    l->events += x->event;
    l->hours += x->to_h - x->from_h;
    ebb_hazards_observe(l->hazards[AGE], rate, &everywhere, from_s, to_s, x->event, at_ns);
    ebb_hazards_observe(l->hazards[ONLINE], rate, &x->place, from_s, to_s, x->event, at_ns);
    ebb_hazards_observe(l->hazards[KEPT], rate, &x->place, from_s, to_s, x->event, at_ns);
}

/* What ends within the same minute is scored before any of it is learned: a bulk revocation is not
 * foretold by itself. */
static void replay(const char *name, struct lives *lives, enum ebb_rate rate)
{
    struct learner l = {0};
    double hours = 0, events = 0;
    for (int m = AGE; m < MODELS; m++)
        l.hazards[m] = ebb_hazards_new(m == ONLINE ? EBB_HAZARD_HALF_LIFE_S : 0);
    if (lives->count > 1)
        qsort(lives->items, lives->count, sizeof *lives->items, by_end);
    for (size_t i = 0; i < lives->count;) {
        size_t to = i;
        for (; to < lives->count && lives->items[to].to_h < lives->items[i].to_h + 1 / 60.0; to++)
            score_all(&l, &lives->items[to], rate);
        for (; i < to; i++) {
            learn(&l, &lives->items[i], rate);
            hours += lives->items[i].to_h - lives->items[i].from_h;
            events += lives->items[i].event;
        }
    }
    printf("| %-30s | %6.0f | %5.0f |", name, hours, events);
    for (int m = 0; m < MODELS; m++)
        printf(" %.4f |", l.loss[m] / hours);
    printf("\n{\"schema\":\"ebb.bench.hazard_loss.v1\",\"data\":\"%s\"", name);
    for (int m = 0; m < MODELS; m++)
        printf(",\"%s\":%.5f", names[m], l.loss[m] / hours);
    puts("}");
    for (int m = AGE; m < MODELS; m++)
        ebb_hazards_destroy(l.hazards[m]);
    free(lives->items);
}

/* ---- data ---- */

static bool read_file(const char *path, struct ebb_buffer *text)
{
    struct ebb_error err = {0};
    if (ebb_file_read(path, (size_t)64 << 20, text, &err) == 0)
        return true;
    printf("not measured: %s\n", err.text);
    return false;
}

/* Launches are known by day; the VMs of a day are spread over it. */
static void replay_lifetimes(const char *data)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(data, "lifetimes/gcp-2019.csv");
    struct ebb_error err = {0};
    struct lives lives = {0};
    int32_t first = INT32_MAX;
    if (!read_file(path, &text))
        return;
    if (ebb_lifetimes_read(&l, path, ebb_buffer_text(&text), text.len, &err) < 0) {
        printf("not measured: %s\n", err.text);
        return;
    }
    for (size_t i = 0; i < l.count; i++)
        first = l.rows[i].day < first ? l.rows[i].day : first;
    for (size_t i = 0; i < l.count; i++) {
        const struct ebb_lifetime *r = &l.rows[i];
        if (r->zone < 0 || r->type < 0)
            continue;
        double at_h = 24.0 * (r->day - first) + 24.0 * (double)i / (double)l.count;
        const struct life x = {{"gcp", "us", l.zones.names[r->zone], l.types.names[r->type]},
                               at_h,
                               at_h + r->age_h,
                               0,
                               r->end == EBB_LIFETIME_REVOKED};
        add(&lives, &x);
    }
    replay("GCP 2019, lifetimes", &lives, EBB_RATE_REVOCATION);
}

/* "ms,add,node" and "ms,remove,node". */
static void replay_nodes(const char *data, const char *file, const char *name)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(data, file);
    struct {
        char node[24];
        double born_h;
    } *up = ebb_alloc_array(4096, sizeof *up);
    struct lives lives = {0};
    size_t count = 0;
    double now_h = 0;
    struct life x = {.place = {"aws", "us-east-1", "us-east-1a", name}};
    if (!read_file(path, &text)) {
        free(up);
        return;
    }
    char *rest = NULL;
    for (char *line = strtok_r((char *)(uintptr_t)ebb_buffer_text(&text), "\n", &rest);
         line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        double ms;
        char what[8], node[24];
        if (sscanf(line, "%lf,%7[a-z],%23[^,\r]", &ms, what, node) != 3)
            continue;
        now_h = ms / 3.6e6;
        size_t i = 0;
        while (i < count && strcmp(up[i].node, node) != 0)
            i++;
        if (strcmp(what, "add") == 0 && i == count && count < 4096) {
            memcpy(up[count].node, node, sizeof node);
            up[count++].born_h = now_h;
        } else if (strcmp(what, "remove") == 0 && i < count) {
            x.from_h = up[i].born_h;
            x.to_h = fmax(now_h, x.from_h + 1e-4);
            x.event = true;
            add(&lives, &x);
            up[i] = up[--count];
        }
    }
    for (size_t i = 0; i < count; i++) { /* still there at the end */
        x.from_h = up[i].born_h;
        x.to_h = now_h;
        x.event = false;
        add(&lives, &x);
    }
    replay(name, &lives, EBB_RATE_REVOCATION);
    free(up);
}

static void add_trace(struct lives *lives, const struct ebb_trace *t, bool up)
{
    struct life x = {.place = {"aws", t->region, t->name, "vm"}};
    double gap_h = t->gap_s / S_PER_HOUR;
    size_t began = 0;
    for (size_t i = 1; i <= t->len; i++) {
        if (i < t->len && t->up[i] == t->up[began])
            continue;
        x.from_h = (double)began * gap_h;
        x.to_h = (double)i * gap_h;
        x.event = i < t->len;
        if ((t->up[began] != 0) == up)
            add(lives, &x);
        began = i;
    }
}

static void replay_traces(const char *data, const char *prefix)
{
    EBB_AUTO_FREE char *folder = ebb_path_join(data, "availability");
    struct ebb_trace traces[64];
    size_t count = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && count < 64 && (e = readdir(d)) != NULL;) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        EBB_AUTO_FREE char *path = ebb_path_join(folder, e->d_name);
        struct ebb_error err = {0};
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && read_file(path, &text) &&
            ebb_trace_parse(path, ebb_buffer_text(&text), text.len, &traces[count], &err) == 0)
            count++;
    }
    if (d != NULL)
        (void)closedir(d);
    for (int up = 1; up >= 0; up--) {
        EBB_AUTO_FREE char *name =
            ebb_sprintf("%s, %s", prefix, up ? "up-runs of zones" : "outages of zones");
        struct lives lives = {0};
        for (size_t i = 0; i < count; i++)
            add_trace(&lives, &traces[i], up);
        replay(name, &lives, up ? EBB_RATE_REVOCATION : EBB_RATE_RECOVERY);
    }
    for (size_t i = 0; i < count; i++)
        ebb_trace_clean_up(&traces[i]);
}

int main(int argc, char **argv)
{
    const char *data = data_folder(argc, argv);
    if (data == NULL) {
        puts("not measured: no data; name its folder by --data DIR or EBB_DATA_DIR");
        return 0;
    }
    printf("nats an hour of life; less is better\n\n| data | hours | events |");
    for (int m = 0; m < MODELS; m++)
        printf(" %s |", names[m]);
    puts("\n|---|---|---|---|---|---|---|---|");
    replay_lifetimes(data);
    replay_nodes(data, "events/bamboo-aws-p3-trace.csv", "p3 nodes");
    replay_nodes(data, "events/bamboo-aws-g4dn-trace.csv", "g4dn nodes");
    replay_traces(data, "2022-10");
    replay_traces(data, "2023-02");
    return 0;
}
