/* Two chains of ages, one step of work apart: of the VM that the job is on now, and of one that is
 * launched after a revocation. The second is solved first. For an age of 0 the recurrence refers to
 * itself; with x = p (...) + (1 - p) (... + x) each choice gives x at once, and the least is it. */
#include "scheduler/core/checkpoint_plan.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

#define STEPS    EBB_CHECKPOINT_STEPS
#define PAST_CAP 1e-9            /* no 0, which would leave nothing to compare */
#define AGES     (2 * STEPS + 1) /* older VMs are taken as that old */

/* Survival and its integral from the chain's first age, at ages k steps on, and delta later. */
struct chain {
    double alive[AGES + STEPS + 1], alive_after[AGES + STEPS + 1];
    double sum[AGES + STEPS + 1], sum_after[AGES + STEPS + 1];
    double expected[STEPS + 1][AGES]; /* M(j, k) */
    unsigned char best[STEPS + 1][AGES];
};

struct ebb_checkpoint_plan {
    double step_s, delta_s, restart_s, silent;
    bool capped;
    struct chain here, anew;
};

/* The integral of the survival over a stretch: of the trapezoid in its logarithm, exact for a
 * constant hazard. */
static double area(double alive, double hazard, double for_s)
{
    return hazard * for_s > 1e-12 ? alive * (1 - exp(-hazard)) / hazard * for_s : alive * for_s;
}

/* At the cap it is over, with a notice or without: whoever runs past it loses the piece. */
static double alive_at(const struct ebb_outlook *o, double age_s, double passed)
{
    return o->cap_s > 0 && age_s > o->cap_s ? PAST_CAP : exp(-passed);
}

static void tabulate(const struct ebb_checkpoint_plan *p, const struct ebb_outlook *o, double age_s,
                     struct chain *c)
{
    double passed = 0, sum = 0, delta = p->delta_s;
    for (int k = 0; k <= AGES + STEPS; k++) {
        double at = k * p->step_s;
        double during = p->silent * ebb_outlook_cumulative(o, age_s + at, delta);
        c->alive[k] = alive_at(o, age_s + at, passed);
        c->sum[k] = sum;
        c->alive_after[k] = alive_at(o, age_s + at + delta, passed + during);
        c->sum_after[k] = sum + area(c->alive[k], during, delta);
        double next = p->silent * ebb_outlook_cumulative(o, age_s + at, p->step_s);
        sum += area(c->alive[k], next, p->step_s);
        passed += next;
    }
}

/* M(j, .) at the age delta after step k. */
static double expected_after(const struct ebb_checkpoint_plan *p, const struct chain *c, int j,
                             int k)
{
    double at = k + p->delta_s / p->step_s;
    int low = (int)at;
    if (low >= AGES - 1)
        return c->expected[j][AGES - 1];
    double part = at - low;
    return (1 - part) * c->expected[j][low] + part * c->expected[j][low + 1];
}

/* The least over i of the time to the end; after a revocation it is `again` and a restart, or, when
 * `self`, the result itself. */
static double least(const struct ebb_checkpoint_plan *p, const struct chain *c, int j, int k,
                    double again, bool self, unsigned char *ret_best)
{
    double best = INFINITY;
    for (int i = 1; i <= j; i++) {
        bool last = i == j;
        double alive = (last ? c->alive[k + i] : c->alive_after[k + i]) / c->alive[k];
        double spent = ((last ? c->sum[k + i] : c->sum_after[k + i]) - c->sum[k]) / c->alive[k];
        double rest = last ? 0 : expected_after(p, c, j - i, k + i);
        double x = spent + alive * rest + (1 - alive) * p->restart_s;
        x = self ? x / alive : x + (1 - alive) * again;
        if (x < best) {
            best = x;
            *ret_best = (unsigned char)i;
        }
    }
    return best;
}

static void solve(const struct ebb_checkpoint_plan *p, struct chain *c, const struct chain *anew)
{
    for (int j = 1; j <= STEPS; j++) {
        for (int k = 0; k < AGES; k++) {
            bool self = c == anew && k == 0;
            c->expected[j][k] =
                least(p, c, j, k, self ? 0 : anew->expected[j][0], self, &c->best[j][k]);
        }
    }
}

struct ebb_checkpoint_plan *ebb_checkpoint_plan_new(const struct ebb_outlook *here, double age_s,
                                                    const struct ebb_outlook *anew,
                                                    const struct ebb_checkpoint_terms *t)
{
    struct ebb_checkpoint_plan *p = ebb_alloc(sizeof *p);
    p->step_s = fmax(1e-6, t->work_s / STEPS);
    p->delta_s = fmax(0, t->checkpoint_s);
    p->restart_s = fmax(0, t->restart_s);
    p->silent = t->silent;
    p->capped = here->cap_s > 0 || anew->cap_s > 0;
    tabulate(p, anew, 0, &p->anew);
    solve(p, &p->anew, &p->anew);
    tabulate(p, here, age_s, &p->here);
    solve(p, &p->here, &p->anew);
    return p;
}

void ebb_checkpoint_plan_destroy(struct ebb_checkpoint_plan *p)
{
    free(p);
}

static double next_of(const struct ebb_checkpoint_plan *p, const struct chain *c,
                      double work_left_s, double age_s)
{
    int j = (int)lround(work_left_s / p->step_s);
    /* Before a cap a VM is taken for older rather than younger than it is. */
    int k = (int)(p->capped ? ceil(age_s / p->step_s - 1e-6) : lround(age_s / p->step_s));
    j = j < 1 ? 1 : j > STEPS ? STEPS : j;
    k = k < 0 ? 0 : k > AGES - 1 ? AGES - 1 : k;
    int i = c->best[j][k];
    return i >= j ? work_left_s : i * p->step_s;
}

double ebb_checkpoint_plan_next_s(const struct ebb_checkpoint_plan *p, double work_left_s,
                                  double since_s)
{
    return next_of(p, &p->here, work_left_s, since_s);
}

double ebb_checkpoint_plan_next_new_s(const struct ebb_checkpoint_plan *p, double work_left_s,
                                      double age_s)
{
    return next_of(p, &p->anew, work_left_s, age_s);
}

double ebb_checkpoint_plan_expected_s(const struct ebb_checkpoint_plan *p)
{
    return p->here.expected[STEPS][0];
}
