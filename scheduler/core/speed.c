/* Relative speeds of VM types: a two-way additive model of log progress, fitted as it comes. */
#include "scheduler/core/speed.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define SHRINK       3.0
#define LEAST_WEIGHT 0.02
#define MOST_LOG     3.0 /* a factor of 20: beyond it the jobs are not alike */
#define KEY_SIZE     160

static const char *key_of(char *out, const char *engine, const char *type)
{
    const char *const parts[] = {engine == NULL ? "" : engine, type};
    return ebb_map_key(out, KEY_SIZE, '\t', parts, 2);
}

/* The engine has run on another type, too: with one alone nothing tells it from its jobs. */
static bool can_compare(const struct ebb_state *s, const char *key)
{
    size_t cursor = 0, engine = strcspn(key, "\t") + 1;
    for (const char *k; (k = ebb_map_next(s->speeds, &cursor, NULL)) != NULL;) {
        if (strncmp(k, key, engine) == 0 && strcmp(k, key) != 0)
            return true;
    }
    return false;
}

void ebb_speed_observe(struct ebb_state *s, struct ebb_group *g, const char *type, double progress,
                       double useful_s)
{
    char key[KEY_SIZE];
    if (!(progress > 0) || !(useful_s > 0) || !isfinite(progress / useful_s))
        return;
    key_of(key, g->spec->engine, type);
    struct ebb_mean *b = ebb_map_get(s->speeds, key);
    if (b == NULL) {
        b = ebb_alloc(sizeof *b);
        ebb_map_set(s->speeds, key, b);
    }
    double x = log(progress / useful_s);
    if (g->log_pace.count == 0) {
        g->log_pace = (struct ebb_mean){x - b->value, 1};
        return;
    }
    double rest = x - g->log_pace.value - b->value;
    rest = fmax(-MOST_LOG, fmin(MOST_LOG, rest));
    g->log_pace.count++;
    if (can_compare(s, key)) {
        b->count++;
        b->value += rest * fmax(LEAST_WEIGHT, 1 / ((double)b->count + SHRINK));
    }
    g->log_pace.value += rest * fmax(LEAST_WEIGHT, 1 / ((double)g->log_pace.count + SHRINK));
}

double ebb_state_speed(const struct ebb_state *s, const char *engine, const char *type)
{
    char key[KEY_SIZE];
    const struct ebb_mean *b = ebb_map_get(s->speeds, key_of(key, engine, type));
    return b == NULL ? 1 : exp(b->value);
}

double ebb_state_slowest(const struct ebb_state *s, const char *engine)
{
    char key[KEY_SIZE];
    size_t cursor = 0, len = strlen(key_of(key, engine, ""));
    void *mean = NULL;
    double least = 0;
    for (const char *k; (k = ebb_map_next(s->speeds, &cursor, &mean)) != NULL;) {
        if (strncmp(k, key, len) == 0)
            least = fmin(least, ((const struct ebb_mean *)mean)->value);
    }
    return exp(least);
}
