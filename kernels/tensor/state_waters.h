/* Rigid three-site water among the atoms of a restart state. */
#ifndef EBB_KERNELS_TENSOR_STATE_WATERS_H
#define EBB_KERNELS_TENSOR_STATE_WATERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Atoms in the file's order: so many free ones, then so many waters (three atoms each). */
struct ebb_state_run {
    size_t free, waters;
};

struct ebb_waters {
    struct ebb_state_run *runs;
    size_t run_count, free, waters;
    double arm, base; /* |O-H| and |H-H| */
    double step;      /* |r - v step| = |r|; 0: r.v = 0 */
    bool moves;       /* velocities follow the constraints */
};

/* Velocities, of which few are looked at: number i of 3 an atom. */
struct ebb_speeds {
    double (*at)(const void *ctx, size_t i);
    const void *ctx;
};
/* From positions as doubles, 3 an atom, and velocities (NULL: none). False when memory is out; no
 * waters found is no failure. */
bool ebb_waters_find(const double *x, const struct ebb_speeds *v, size_t atoms, const double box[3],
                     struct ebb_waters *ret);
void ebb_waters_clean_up(struct ebb_waters *w);

/* b - a, the nearest image in a rectangular box; shift[k] boxes were taken off. */
static inline void ebb_waters_bond(const double *a, const double *b, const double box[3],
                                   double bond[3], int shift[3])
{
    for (int k = 0; k < 3; k++) {
        double d = b[k] - a[k];
        shift[k] = 0;
        if (box[k] > 0 && d > box[k] / 2)
            shift[k] = 1;
        else if (box[k] > 0 && d < -box[k] / 2)
            shift[k] = -1;
        bond[k] = d - shift[k] * box[k];
    }
}

#endif
