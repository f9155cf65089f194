/* Waters are found by their lengths: the commonest distance between an atom and the next is taken
 * for |O-H|, and of three atoms in a row with two such, the commonest third side for |H-H|. The
 * time step follows from the velocities: |r - v t| = |r| has the solution t = 2 r.v / v.v. */
#include "kernels/tensor/state_waters.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

/* Lengths that differ by less are the same: rounding of float32 positions gives some 1e-6. */
#define SAME   2e-5
#define WINDOW 4e-6
/* Fewer are chance. */
#define MIN_WATERS 8
/* So many lengths, from all over the atoms, are enough to tell which is common. */
#define SAMPLE ((size_t)512)

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The middle of the window, WINDOW of its value wide, with most values; sorts them. */
static double commonest(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    size_t best = 0, at = 0;
    double found = 0;
    for (size_t i = 0, j = 0; j < n; j++) {
        while (values[j] - values[i] > WINDOW * values[j])
            i++;
        if (j - i + 1 > best) {
            best = j - i + 1;
            at = i;
        }
    }
    for (size_t k = 0; k < best; k++)
        found += values[at + k] / (double)best;
    return best >= MIN_WATERS ? found : 0;
}

static double square_between(const double *a, const double *b, const double box[3])
{
    double r[3];
    int shift[3];
    ebb_waters_bond(a, b, box, r, shift);
    return r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
}

static double distance(const double *a, const double *b, const double box[3])
{
    return sqrt(square_between(a, b, box));
}

static bool near(double a, double b)
{
    return fabs(a - b) <= SAME * b;
}

static bool near_square(double square, double b)
{
    return fabs(square - b * b) <= 2 * SAME * b * b;
}

static bool is_water(const double *x, const double box[3], const struct ebb_waters *w)
{
    return near_square(square_between(x, x + 3, box), w->arm) &&
           near_square(square_between(x, x + 6, box), w->arm) &&
           near_square(square_between(x + 3, x + 6, box), w->base);
}

/* True when there is a length to go by. NaN and infinities are no lengths. */
static bool find_lengths(const double *x, size_t atoms, const double box[3], double *scratch,
                         struct ebb_waters *w)
{
    /* Three in a row begin at any atom: a stride that is no multiple of three meets them all. */
    size_t n = 0, step = atoms / SAMPLE / 3 * 3 + 1;
    for (size_t i = 0; i + 2 < atoms; i += step) {
        double first = distance(x + 3 * i, x + 3 * i + 3, box);
        double second = distance(x + 3 * i, x + 3 * i + 6, box);
        if (isfinite(first) && first > 0 && near(first, second))
            scratch[n++] = first;
    }
    w->arm = commonest(scratch, n);
    if (!(w->arm > 0))
        return false;
    n = 0;
    for (size_t i = 0; i + 2 < atoms; i += step)
        if (near(distance(x + 3 * i, x + 3 * i + 3, box), w->arm) &&
            near(distance(x + 3 * i, x + 3 * i + 6, box), w->arm)) {
            double third = distance(x + 3 * i + 3, x + 3 * i + 6, box);
            if (isfinite(third) && third > 0)
                scratch[n++] = third;
        }
    w->base = commonest(scratch, n);
    return w->base > 0 && w->base < 2 * w->arm;
}

static void add_atoms(struct ebb_waters *w, size_t *capacity, bool water)
{
    struct ebb_state_run *last = w->run_count > 0 ? &w->runs[w->run_count - 1] : NULL;
    if (last == NULL || (!water && last->waters > 0)) {
        if (w->run_count == *capacity) {
            *capacity = *capacity == 0 ? 16 : 2 * *capacity;
            w->runs = ebb_realloc_array(w->runs, *capacity, sizeof *w->runs);
        }
        last = &w->runs[w->run_count++];
        *last = (struct ebb_state_run){0};
    }
    if (water) {
        last->waters++;
        w->waters++;
    } else {
        last->free++;
        w->free++;
    }
}

/* People choose round steps: three digits, when that is as near as rounding lets us know. */
static double round_step(double step)
{
    double unit = pow(10, floor(log10(fabs(step))) - 2), rounded = nearbyint(step / unit) * unit;
    return fabs(rounded - step) < 5e-4 * fabs(step) ? rounded : step;
}

/* The median of what each bond O-H says, 0 when half of the bonds are closer to the rule r.v = 0.
 */
static void find_step(const double *x, const struct ebb_speeds *v, const double box[3],
                      double *scratch, struct ebb_waters *w)
{
    size_t n = 0, atom = 0, every = w->waters / SAMPLE + 1, left = 0;
    for (size_t r = 0; r < w->run_count; r++) {
        atom += w->runs[r].free;
        for (size_t k = 0; k < w->runs[r].waters; k++, atom += 3) {
            double bond[3], dot = 0, square = 0;
            int shift[3];
            if (left-- > 0)
                continue;
            left = every - 1;
            ebb_waters_bond(x + 3 * atom, x + 3 * atom + 3, box, bond, shift);
            for (size_t c = 0; c < 3; c++) {
                double u = v->at(v->ctx, 3 * atom + 3 + c) - v->at(v->ctx, 3 * atom + c);
                dot += bond[c] * u;
                square += u * u;
            }
            if (square > 0 && isfinite(dot / square))
                scratch[n++] = 2 * dot / square;
        }
    }
    if (n < MIN_WATERS)
        return;
    qsort(scratch, n, sizeof *scratch, by_value);
    double spread = scratch[n - n / 4 - 1] - scratch[n / 4], middle = scratch[n / 2];
    w->moves = true;
    /* At the same time dt is 0 but for rounding, which the spread shows. */
    w->step = fabs(middle) > spread ? round_step(middle) : 0;
}

bool ebb_waters_find(const double *x, const struct ebb_speeds *v, size_t atoms, const double box[3],
                     struct ebb_waters *ret)
{
    struct ebb_waters w = {0};
    size_t capacity = 0;
    EBB_AUTO_FREE double *scratch = calloc(atoms + 1, sizeof *scratch);
    if (scratch == NULL)
        return false;
    bool any = find_lengths(x, atoms, box, scratch, &w);
    for (size_t i = 0; i < atoms;) {
        bool water = any && i + 2 < atoms && is_water(x + 3 * i, box, &w);
        add_atoms(&w, &capacity, water);
        i += water ? 3 : 1;
    }
    if (v != NULL && w.waters > 0)
        find_step(x, v, box, scratch, &w);
    *ret = w;
    return true;
}

void ebb_waters_clean_up(struct ebb_waters *w)
{
    free(w->runs);
    *w = (struct ebb_waters){0};
}
