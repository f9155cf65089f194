/* SciSpot (HPDC'20), with the net of Can't Be Late, as it has no deadline of its own. The model of
 * a lifetime (equation 1) is, as published, fitted by least squares to the empirical distribution
 * of the lifetimes that ended within 24 h:
 *
 *     F(t) = A (1 - exp(-t / tau1) + exp((t - b) / tau2))
 *
 * Zones are tried by rising E[T] = T + integral of t f(t) over [0, T] (equation 8), T the work
 * left. Its rule for giving an old VM back is for the next job of a bag; one job keeps what it runs
 * on. */
#include <math.h>

#include "base/memory.h"
#include "simulator/policies.h"
#include "simulator/scispot.h"

struct scispot {
    struct ebb_ladder ladder;
    struct ebb_bathtub *model; /* [count] */
    double *score;
    double checkpoint_every_s;
};

static void begin_scispot(void *self, const struct ebb_view *v)
{
    struct scispot *p = self;
    for (size_t z = 0; z < p->ladder.count; z++)
        p->score[z] = -ebb_bathtub_makespan_h(&p->model[z], 0, v->work_left_s / 3600);
    ebb_zones_by_score(p->score, p->ladder.count, p->ladder.order);
    ebb_ladder_restart(&p->ladder);
}

static struct ebb_choice decide_scispot(void *self, const struct ebb_view *v)
{
    struct scispot *p = self;
    if (v->instance == EBB_INSTANCE_ON_DEMAND || ebb_view_net(v))
        return EBB_ON_DEMAND;
    if (v->instance == EBB_INSTANCE_SPOT) {
        ebb_ladder_restart(&p->ladder);
        return ebb_view_may_stay_on_spot(v) ? EBB_SPOT_IN(v->zone) : EBB_ON_DEMAND;
    }
    size_t zone = ebb_ladder_next(&p->ladder, v);
    return zone != SIZE_MAX ? EBB_SPOT_IN(zone) : EBB_STAY_IDLE;
}

static double scispot_every(void *self, double age_s)
{
    (void)age_s;
    return ((struct scispot *)self)->checkpoint_every_s;
}

static void release_scispot(void *self)
{
    struct scispot *p = self;
    ebb_ladder_clean_up(&p->ladder);
    free(p->model);
    free(p->score);
    free(p);
}

/* Lifetimes in hours of the zone's up-runs that ended within the cap; of all zones when t is NULL.
 */
static size_t ended_lives(const struct ebb_history *h, const struct ebb_trace *t, double **lives,
                          size_t count)
{
    if (t == NULL) {
        for (size_t i = 0; i < h->traces->count; i++)
            count = ended_lives(h, &h->traces->items[i], lives, count);
        return count;
    }
    size_t next = 0;
    struct ebb_stretch s;
    while (ebb_history_next(h, t, &next, &s)) {
        double hours = (double)s.ticks * t->gap_s / 3600;
        if (!s.up || !s.whole || !s.ended || hours > EBB_BATHTUB_CAP_H)
            continue;
        *lives = ebb_realloc_array(*lives, count + 1, sizeof **lives);
        (*lives)[count++] = hours;
    }
    return count;
}

struct ebb_policy ebb_policy_scispot(const struct ebb_policy_setup *setup)
{
    struct scispot *p = ebb_alloc(sizeof *p);
    size_t count = setup->zone_count;
    ebb_ladder_init(&p->ladder, count);
    p->model = ebb_alloc_array(count, sizeof *p->model);
    p->score = ebb_alloc_array(count, sizeof *p->score);
    double mean_h = 0;
    for (size_t z = 0; z < count; z++) {
        EBB_AUTO_FREE double *lives = NULL;
        const struct ebb_trace *t = ebb_history_find(setup->history, setup->zones[z]->name);
        size_t n = t != NULL ? ended_lives(setup->history, t, &lives, 0) : 0;
        if (n < EBB_BATHTUB_LIVES_MIN)
            n = ended_lives(setup->history, NULL, &lives, 0);
        ebb_bathtub_fit(lives, n, &p->model[z]);
        mean_h += p->model[z].mean_h / (double)count;
    }
    p->checkpoint_every_s = sqrt(2 * setup->rules->checkpoint_s * mean_h * 3600);
    return (struct ebb_policy){.self = p,
                               .begin = begin_scispot,
                               .decide = decide_scispot,
                               .checkpoint_every = scispot_every,
                               .release = release_scispot};
}
