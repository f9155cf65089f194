/* Is it a crystal? From each site to the next in the file leads one of a few steps, if the atoms
 * stand as they were put down. The steps' lengths are then fitted so that the homes, which are sums
 * of many of them, come to lie in the middle of what the first frames show. Encoder only. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/trajectory/near_choose.h"

#define SITES_LEAST 256
#define SAMPLE      2048 /* sites that the fit looks at */
#define STEPS       EBB_TRAJ_CRYSTAL_STEPS
#define COLUMNS     (STEPS + 1)
#define CLOSE       0.2 /* of a site's spacing: surely the same step */
#define NEAR        0.5 /* and as far as one can be by heat */

struct search {
    const struct ebb_traj_look *look;
    struct ebb_traj_part *part;
    struct ebb_traj_box box; /* zeros when coordinates are not kept inside */
    double spacing;
    unsigned steps;
    double step[STEPS][3]; /* means of those so far */
    uint32_t count[STEPS];
    uint8_t last[STEPS]; /* which step came after each */
};

/* A sample of the sites, in which no period of a cell can hide. */
struct sample {
    uint32_t count;
    uint32_t *site;
};

struct spot {
    double x[3];
};

/* Where a site is in the mean of the frames, seen from where it is in the first. */
static struct spot mean_move(const struct search *s, uint32_t i)
{
    const size_t at = 3 * (size_t)s->part->first[i];
    const int32_t *from = s->look->frames[0] + at;
    const double share = 1.0 / s->look->count;
    struct spot ret = {{0, 0, 0}};
    for (unsigned f = 1; f < s->look->count; f++) {
        const int32_t *to = s->look->frames[f] + at;
        int32_t x = ebb_traj_sub(to[0], from[0]), y = ebb_traj_sub(to[1], from[1]),
                z = ebb_traj_sub(to[2], from[2]);
        ebb_traj_nearest(&s->box, &x, &y, &z);
        ret.x[0] += share * x;
        ret.x[1] += share * y;
        ret.x[2] += share * z;
    }
    return ret;
}

/* From the site before to site i in the mean; *last is that one's move and becomes this one's. */
static struct spot mean_step(const struct search *s, uint32_t i, struct spot *last)
{
    const int32_t *to = s->look->frames[0] + 3 * (size_t)s->part->first[i],
                  *from = s->look->frames[0] + 3 * (size_t)s->part->first[i - 1];
    int32_t x = ebb_traj_sub(to[0], from[0]), y = ebb_traj_sub(to[1], from[1]),
            z = ebb_traj_sub(to[2], from[2]);
    ebb_traj_nearest(&s->box, &x, &y, &z);
    const struct spot a = mean_move(s, i), b = *last;
    *last = a;
    return (struct spot){{x + a.x[0] - b.x[0], y + a.x[1] - b.x[1], z + a.x[2] - b.x[2]}};
}

static double apart(const double a[3], const double b[3])
{
    return fmax(fabs(a[0] - b[0]), fmax(fabs(a[1] - b[1]), fabs(a[2] - b[2])));
}

/* The step that d is one of, or a new one; STEPS: there are too many. `before` is the one before.
 */
static unsigned step_of(struct search *s, const struct spot *d, unsigned before)
{
    if (s->steps > 0 && apart(s->step[s->last[before]], d->x) < CLOSE * s->spacing)
        return s->last[before];
    unsigned best = STEPS;
    double least = NEAR * s->spacing;
    for (unsigned k = 0; k < s->steps; k++) {
        const double off = apart(s->step[k], d->x);
        best = off < least ? k : best;
        least = fmin(least, off);
    }
    if (best == STEPS && s->steps < STEPS) {
        best = s->steps++;
        memcpy(s->step[best], d->x, sizeof d->x);
    }
    return best;
}

/* Every site's step; the steps become the means of what they stand for. */
static bool find_steps(struct search *s, uint8_t *which)
{
    unsigned before = 0;
    struct spot move = mean_move(s, 0);
    which[0] = 0;
    for (uint32_t i = 1; i < s->part->n; i++) {
        const struct spot d = mean_step(s, i, &move);
        const unsigned k = step_of(s, &d, before);
        if (k == STEPS)
            return false;
        s->count[k]++;
        for (unsigned c = 0; c < 3; c++)
            s->step[k][c] += (d.x[c] - s->step[k][c]) / s->count[k];
        s->last[before] = (uint8_t)k;
        before = k;
        which[i] = (uint8_t)k;
    }
    return true;
}

static bool take_sample(uint32_t n, struct sample *ret)
{
    const uint32_t gap = n / SAMPLE + 1;
    uint32_t random = 1;
    ret->site = malloc(((size_t)n / gap + 1) * sizeof *ret->site);
    ret->count = 0;
    for (uint32_t i = 0; ret->site != NULL && i + gap <= n; i += gap) {
        random = random * 1664525u + 1013904223u;
        ret->site[ret->count++] = i + (random >> 16) % gap;
    }
    return ret->site != NULL;
}

/* Rows of the sample: how many of each step lead to the site (the last column: 1), and how far its
 * mean place then is from where they lead. Columns of `rows` numbers each. */
static void fill_rows(const struct search *s, const uint8_t *which, const struct sample *sample,
                      double *columns, double *off)
{
    const size_t rows = sample->count;
    double count[STEPS] = {0}, at[3] = {0};
    struct spot move = mean_move(s, 0);
    const struct spot first = move;
    for (uint32_t i = 0, row = 0; row < rows; i++) {
        if (i > 0) {
            const struct spot d = mean_step(s, i, &move);
            count[which[i]]++;
            for (unsigned c = 0; c < 3; c++)
                at[c] += d.x[c] - s->step[which[i]][c];
        }
        if (i != sample->site[row])
            continue;
        for (unsigned k = 0; k < s->steps; k++)
            columns[k * rows + row] = count[k];
        columns[s->steps * rows + row] = 1;
        for (unsigned c = 0; c < 3; c++)
            off[c * rows + row] = at[c] + first.x[c];
        row++;
    }
}

static double product(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void take_off(double *a, double share, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] -= share * b[i];
}

/* Least squares by modified Gram-Schmidt (Bjoerck 1967): the columns become orthogonal, `off` what
 * is left. A column that hangs on those before gets 0. */
static void solve(double *columns, double *off, unsigned count, size_t rows, double ret[COLUMNS][3])
{
    double r[COLUMNS][COLUMNS] = {{0}};
    for (unsigned j = 0; j < count; j++) {
        double *a = columns + j * rows;
        const double before = product(a, a, rows);
        for (unsigned k = 0; k < j; k++) {
            const double *q = columns + k * rows;
            r[k][j] = product(q, a, rows);
            take_off(a, r[k][j], q, rows);
        }
        const double left = product(a, a, rows), length = left > 1e-12 * before ? sqrt(left) : 0;
        r[j][j] = length;
        for (size_t i = 0; i < rows; i++)
            a[i] = length > 0 ? a[i] / length : 0;
        for (unsigned c = 0; c < 3; c++) {
            ret[j][c] = product(a, off + c * rows, rows);
            take_off(off + c * rows, ret[j][c], a, rows);
        }
    }
    for (unsigned j = count; j-- > 0;) {
        for (unsigned c = 0; c < 3; c++) {
            for (unsigned k = j + 1; k < count; k++)
                ret[j][c] -= r[j][k] * ret[k][c];
            ret[j][c] = r[j][j] > 0 ? ret[j][c] / r[j][j] : 0;
        }
    }
}

/* False where a step is longer than any way between two sites. */
static bool fix(double v, uint64_t *ret)
{
    if (!(fabs(v) <= 2.0 * EBB_TRAJ_LATTICE_MAX))
        return false;
    *ret = (uint64_t)(int64_t)llrint(v * 4294967296.0);
    return true;
}

/* The steps' lengths, and with them the homes. */
static bool fit_steps(const struct search *s, const struct sample *sample,
                      struct ebb_traj_crystal *c)
{
    const size_t rows = sample->count;
    const unsigned columns = s->steps + 1;
    const int32_t *from = s->look->frames[0] + 3 * (size_t)s->part->first[0];
    double better[COLUMNS][3];
    EBB_AUTO_FREE double *all = malloc(rows * (columns + 3) * sizeof *all);
    if (all == NULL)
        return false;
    double *off = all + rows * columns;
    fill_rows(s, c->which, sample, all, off);
    solve(all, off, columns, rows, better);
    bool ok = true;
    c->steps = s->steps;
    for (unsigned k = 0; k < 3; k++) {
        ok = ok && fix(from[k] + better[s->steps][k], &c->origin[k]);
        for (unsigned j = 0; j < s->steps; j++)
            ok = ok && fix(s->step[j][k] + better[j][k], &c->step[j][k]);
    }
    return ok;
}

/* What the sample says: of sites from home, from the site before; squares of places around their
 * mean, and of the mean around home. */
struct found {
    double from_home, from_last, heat, home;
};

static struct found compare(const struct search *s, const struct sample *sample,
                            const int32_t *homes)
{
    struct found ret = {0};
    const unsigned frames = s->look->count;
    for (uint32_t row = 0; row < sample->count; row++) {
        const uint32_t i = sample->site[row];
        const size_t at = 3 * (size_t)s->part->first[i],
                     last = 3 * (size_t)s->part->first[i > 0 ? i - 1 : 0];
        const struct spot mean = mean_move(s, i);
        for (unsigned f = 0; f < frames; f++) {
            const int32_t *q = s->look->frames[f] + at, *first = s->look->frames[0] + at,
                          *before = s->look->frames[0] + last, *home = homes + 3 * (size_t)i;
            int32_t d[3], h[3], l[3];
            for (unsigned k = 0; k < 3; k++) {
                d[k] = ebb_traj_sub(q[k], first[k]);
                h[k] = ebb_traj_sub(first[k], home[k]);
                l[k] = ebb_traj_sub(first[k], before[k]);
            }
            ebb_traj_nearest(&s->box, &d[0], &d[1], &d[2]);
            ebb_traj_nearest(&s->box, &h[0], &h[1], &h[2]);
            ebb_traj_nearest(&s->box, &l[0], &l[1], &l[2]);
            for (unsigned k = 0; k < 3; k++) {
                const double heat = d[k] - mean.x[k], off = h[k] + mean.x[k];
                ret.heat += heat * heat;
                ret.home += f == 0 ? off * off : 0;
                ret.from_home += fabs((double)h[k]);
                ret.from_last += fabs((double)l[k]);
            }
        }
    }
    return ret;
}

/* A home is worth as many frames as their mean must have to be as near to the true one: of squares
 * of heat h and of homes around means m, those of homes around the true means are m - h / frames.
 */
static uint32_t prior_of(const struct found *f, unsigned frames, uint32_t sample)
{
    if (frames < 2)
        return 16;
    const double each = 3.0 * sample, heat = f->heat / (each * (frames - 1)),
                 home = f->home / each - heat / frames;
    if (!(home > heat / EBB_TRAJ_CRYSTAL_PRIOR))
        return EBB_TRAJ_CRYSTAL_PRIOR;
    const double prior = rint(heat / home);
    return prior < 1 ? 1 : (uint32_t)prior;
}

static bool find_homes(struct search *s, struct ebb_traj_crystal *c)
{
    EBB_AUTO_FREE uint32_t *sites = NULL;
    struct sample sample;
    if (!take_sample(s->part->n, &sample))
        return false;
    sites = sample.site;
    if (!fit_steps(s, &sample, c))
        return false;
    EBB_AUTO_FREE int32_t *homes = malloc(3 * (size_t)s->part->n * sizeof *homes);
    if (homes == NULL)
        return false;
    c->period = s->box;
    ebb_traj_crystal_homes(s->part, homes);
    const struct found f = compare(s, &sample, homes);
    c->prior = prior_of(&f, s->look->count, sample.count);
    return 2 * f.from_home < f.from_last;
}

static void choose_box(const struct ebb_traj_look *look, struct ebb_traj_box *ret)
{
    uint32_t outside;
    *ret = look->boxes[0];
    ebb_traj_count_outside(look->frames[0], look->atoms, ret, &outside);
    if (ret->xx == 0 || outside > look->atoms / 8)
        memset(ret, 0, sizeof *ret);
}

bool ebb_traj_crystal_find(const struct ebb_traj_look *look, struct ebb_traj_part *p)
{
    if (p->type != EBB_TRAJ_PART_FREE || p->n < SITES_LEAST)
        return false;
    struct search s = {.look = look, .part = p, .spacing = ebb_traj_near_spacing(look, p)};
    choose_box(look, &s.box);
    p->crystal = ebb_traj_crystal_new(p->n);
    if (p->crystal != NULL && find_steps(&s, p->crystal->which) && find_homes(&s, p->crystal)) {
        p->type = EBB_TRAJ_PART_CRYSTAL;
        return true;
    }
    ebb_traj_crystal_destroy(p->crystal);
    p->crystal = NULL;
    return false;
}
