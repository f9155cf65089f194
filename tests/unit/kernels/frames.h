/* Frames of made-up systems for tests of trajectories: water, gas, chains, a solid. Repeatable: all
 * comes from seed.h. */
#ifndef EBB_TEST_FRAMES_H
#define EBB_TEST_FRAMES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "seed.h"

/* Frames of floats with a box each. */
struct frames {
    size_t atoms, count;
    float *xyz; /* count x atoms x 3 */
    float *box; /* count x 9 */
};

static inline struct frames frames_new(size_t atoms, size_t count)
{
    struct frames f = {atoms, count, ebb_alloc_array(3 * atoms * count + 1, sizeof(float)),
                       ebb_alloc_array(9 * count + 1, sizeof(float))};
    return f;
}

static inline void frames_clean_up(struct frames *f)
{
    free(f->xyz);
    free(f->box);
}

static inline void set_box(struct frames *f, double side, double tilt)
{
    for (size_t t = 0; t < f->count; t++) {
        float *b = f->box + 9 * t;
        b[0] = b[4] = b[8] = (float)side;
        b[3] = b[6] = b[7] = (float)(tilt * side);
    }
}

/* Into the (triclinic) box, as GROMACS does. */
static inline void wrap(double x[3], const float *box)
{
    for (int d = 2; d >= 0; d--) {
        if (box[4 * d] == 0)
            continue;
        while (x[d] < 0) {
            for (int k = 0; k <= d; k++)
                x[k] += box[3 * d + k];
        }
        while (x[d] >= box[4 * d]) {
            for (int k = 0; k <= d; k++)
                x[k] -= box[3 * d + k];
        }
    }
}

static inline void put(struct frames *f, size_t frame, size_t atom, const double x[3], bool wrapped)
{
    double y[3] = {x[0], x[1], x[2]};
    if (wrapped)
        wrap(y, f->box + 9 * frame);
    for (int k = 0; k < 3; k++)
        f->xyz[3 * (frame * f->atoms + atom) + (size_t)k] = (float)y[k];
}

static inline void random_rotation(double r[3][3])
{
    double q[4], norm = 0;
    for (int k = 0; k < 4; k++) {
        q[k] = normal();
        norm += q[k] * q[k];
    }
    for (int k = 0; k < 4; k++)
        q[k] /= sqrt(norm);
    const double w = q[0], x = q[1], y = q[2], z = q[3];
    const double m[3][3] = {
        {1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)},
        {2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)},
        {2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)},
    };
    memcpy(r, m, sizeof m);
}

/* Rigid molecules of 3 or 4 sites (TIP3P, TIP4P), tumbling and drifting. */
static inline void fill_water(struct frames *f, size_t first, size_t molecules, unsigned sites,
                              bool wrapped)
{
    const double angle = 104.52 * 3.14159265358979 / 180, oh = 0.09572, virtual_weight = 0.128012;
    const double shape[4][3] = {
        {0, 0, 0},
        {oh, 0, 0},
        {oh * cos(angle), oh * sin(angle), 0},
        {virtual_weight * oh * (1 + cos(angle)), virtual_weight * oh * sin(angle), 0}};
    const double side = f->box[0] > 0 ? f->box[0] : 3;
    for (size_t m = 0; m < molecules; m++) {
        double at[3] = {uniform() * side, uniform() * side, uniform() * side};
        for (size_t t = 0; t < f->count; t++) {
            double r[3][3];
            random_rotation(r);
            for (int k = 0; k < 3; k++)
                at[k] += 0.07 * normal();
            for (unsigned s = 0; s < sites; s++) {
                double x[3];
                for (int k = 0; k < 3; k++)
                    x[k] = at[k] + r[k][0] * shape[s][0] + r[k][1] * shape[s][1] +
                           r[k][2] * shape[s][2];
                put(f, t, first + sites * m + s, x, wrapped);
            }
        }
    }
}

static inline void fill_gas(struct frames *f, size_t first, size_t atoms, double step, bool wrapped)
{
    const double side = f->box[0] > 0 ? f->box[0] : 3;
    for (size_t i = 0; i < atoms; i++) {
        double at[3] = {uniform() * side, uniform() * side, uniform() * side};
        for (size_t t = 0; t < f->count; t++) {
            put(f, t, first + i, at, wrapped);
            for (int k = 0; k < 3; k++)
                at[k] += step * normal();
        }
    }
}

/* Chains of `length` atoms: bonds of one length that hardly give, angles that give a little, and a
 * rigid leaf on every second atom. */
static inline void fill_chains(struct frames *f, size_t first, size_t atoms, size_t length,
                               bool wrapped)
{
    const double side = f->box[0] > 0 ? f->box[0] : 3;
    double at[3] = {0}, before[3] = {0}, angle = 0;
    EBB_AUTO_FREE double *directions = ebb_alloc_array(3 * atoms + 1, sizeof(double));
    EBB_AUTO_FREE double *starts = ebb_alloc_array(3 * atoms + 1, sizeof(double));
    for (size_t i = 0; i < atoms; i++) {
        for (size_t k = 0; k < 3; k++) {
            directions[3 * i + k] = normal();
            starts[3 * i + k] = uniform() * side;
        }
    }
    for (size_t t = 0; t < f->count; t++) {
        for (size_t i = 0; i < atoms; i++) {
            const bool leaf = i % length % 3 == 2;
            double *d = &directions[3 * i], norm = 0, along = 0;
            for (size_t k = 0; k < 3; k++) {
                d[k] += 0.1 * normal();
                starts[3 * i + k] += 0.01 * normal();
            }
            /* about a right angle to the bond before */
            for (size_t k = 0; k < 3; k++)
                along += d[k] * (at[k] - before[k]);
            for (size_t k = 0; k < 3; k++) {
                d[k] -= angle * along * (at[k] - before[k]) / 0.0225;
                norm += d[k] * d[k];
            }
            angle = i % length == 0 ? 0 : 0.95;
            const double bond = leaf ? 0.1 : 0.15 + 0.002 * normal();
            double x[3];
            for (size_t k = 0; k < 3; k++)
                x[k] = i % length == 0 ? starts[3 * i + k] : at[k] + bond * d[k] / sqrt(norm);
            put(f, t, first + i, x, wrapped);
            if (leaf)
                continue;
            memcpy(before, at, sizeof at);
            memcpy(at, x, sizeof at);
        }
    }
}

/* A cube of side^3 sites 0.25 apart that move with a few waves, anew in each frame, and by
 * themselves; one between them after every `gap`. */
static inline void fill_solid(struct frames *f, size_t side, size_t gap)
{
    enum { WAVES = 12 };
    double k[WAVES][4];
    for (size_t w = 0; w < WAVES; w++) {
        for (size_t d = 0; d < 3; d++)
            k[w][d] = 6.283 / (0.25 * (double)side) * (double)(random_bits() % 3);
        k[w][3] = 6.283 * uniform();
    }
    for (size_t t = 0; t < f->count; t++) {
        double strength[WAVES][3];
        for (size_t w = 0; w < WAVES; w++) {
            for (size_t d = 0; d < 3; d++)
                strength[w][d] = 0.005 * normal();
        }
        for (size_t i = 0, site = 0; i < f->atoms; i++) {
            if (gap > 0 && i % (gap + 1) == gap) {
                const double between = 0.125 + 0.25 * (double)(i / (gap + 1) % 10);
                put(f, t, i,
                    (double[]){between + 0.004 * normal(), 1.125 + 0.004 * normal(),
                               1.875 + 0.004 * normal()},
                    true);
                continue;
            }
            double x[3] = {0.25 * (double)(site % side), 0.25 * (double)(site / side % side),
                           0.25 * (double)(site / side / side)};
            const double at[3] = {x[0], x[1], x[2]};
            for (size_t w = 0; w < WAVES; w++) {
                const double s = sin(k[w][0] * at[0] + k[w][1] * at[1] + k[w][2] * at[2] + k[w][3]);
                for (size_t d = 0; d < 3; d++)
                    x[d] += strength[w][d] * s;
            }
            for (size_t d = 0; d < 3; d++)
                x[d] += 0.002 * normal();
            put(f, t, i, x, true);
            site++;
        }
    }
}

/* Rigid molecules that turn a little from frame to frame. */
static inline void fill_slow_water(struct frames *f, size_t molecules)
{
    for (size_t m = 0; m < molecules; m++) {
        double r[3][3], at[3] = {uniform() * 3, uniform() * 3, uniform() * 3};
        random_rotation(r);
        for (size_t t = 0; t < f->count; t++) {
            double turn[3] = {0.3 * normal(), 0.3 * normal(), 0.3 * normal()};
            for (int row = 0; row < 2; row++) { /* about `turn`, and kept orthonormal */
                const double v[3] = {r[row][0], r[row][1], r[row][2]};
                for (int k = 0; k < 3; k++)
                    r[row][k] +=
                        turn[(k + 1) % 3] * v[(k + 2) % 3] - turn[(k + 2) % 3] * v[(k + 1) % 3];
            }
            double along = 0, norm[2] = {0};
            for (int k = 0; k < 3; k++)
                norm[0] += r[0][k] * r[0][k];
            for (int k = 0; k < 3; k++) {
                r[0][k] /= sqrt(norm[0]);
                along += r[0][k] * r[1][k];
            }
            for (int k = 0; k < 3; k++) {
                r[1][k] -= along * r[0][k];
                norm[1] += r[1][k] * r[1][k];
            }
            for (int k = 0; k < 3; k++) {
                r[1][k] /= sqrt(norm[1]);
                at[k] += 0.02 * normal();
            }
            for (unsigned s = 0; s < 3; s++) {
                const double angle = 1.8242, x = s == 0 ? 0 : (s == 1 ? 1 : cos(angle)),
                             y = s == 2 ? sin(angle) : 0;
                double place[3];
                for (int k = 0; k < 3; k++)
                    place[k] = at[k] + 0.09572 * (x * r[0][k] + y * r[1][k]);
                put(f, t, 3 * m + s, place, true);
            }
        }
    }
}

#endif
