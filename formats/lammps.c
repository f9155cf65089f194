/* Column names, boxes and the order of atoms in LAMMPS dumps. Dumps list atoms as the processors
 * hold them, another order in every frame; coordinates are handed out by ascending id, so that an
 * atom has the same place in all frames. */
#include "formats/lammps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool name_is(const char *name, size_t len, const char *what)
{
    return len == strlen(what) && memcmp(name, what, len) == 0;
}

static const struct {
    const char *names[3];
    bool scaled;
} coordinate_sets[] = {
    {{"x", "y", "z"}, false},
    {{"xu", "yu", "zu"}, false},
    {{"xs", "ys", "zs"}, true},
    {{"xsu", "ysu", "zsu"}, true},
};

void ebb_lammps_find_columns(const char *names, size_t len, struct ebb_lammps_columns *ret)
{
    enum { SETS = EBB_ARRAY_LEN(coordinate_sets) };
    struct ebb_lammps_columns c = {0};
    uint32_t found[SETS][3];
    unsigned seen[SETS] = {0}; /* bits, by axis */
    for (size_t i = 0; i < len; c.count++) {
        while (i < len && names[i] == ' ')
            i++;
        size_t start = i;
        while (i < len && names[i] != ' ')
            i++;
        if (i == start)
            break;
        if (!c.has_id && name_is(names + start, i - start, "id")) {
            c.has_id = true;
            c.id = (uint32_t)c.count;
        }
        for (size_t set = 0; set < SETS; set++)
            for (unsigned axis = 0; axis < 3; axis++)
                if ((seen[set] >> axis & 1) == 0 &&
                    name_is(names + start, i - start, coordinate_sets[set].names[axis])) {
                    found[set][axis] = (uint32_t)c.count;
                    seen[set] |= 1u << axis;
                }
    }
    for (size_t set = 0; set < SETS && !c.has_x; set++) {
        if (seen[set] != 7)
            continue;
        c.has_x = true;
        c.scaled = coordinate_sets[set].scaled;
        memcpy(c.x, found[set], sizeof c.x);
    }
    *ret = c;
}

double ebb_lammps_units_per_nm(const char *style, size_t len)
{
    static const struct {
        const char *style;
        double units_per_nm;
    } styles[] = {
        {"real", 10},  {"metal", 10},   {"si", 1e-9},
        {"cgs", 1e-7}, {"micro", 1e-3}, {"electron", 18.8972612},
        {"nano", 1},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(styles); i++)
        if (name_is(style, len, styles[i].style))
            return styles[i].units_per_nm;
    return 0;
}

void ebb_lammps_set_box(struct ebb_frame *f, const double bounds[6], const double tilt[3],
                        bool scaled)
{
    double xy = tilt[0], xz = tilt[1], yz = tilt[2];
    /* The bounds enclose the tilted box: LAMMPS, Howto triclinic. */
    double lx = bounds[1] - fmax(fmax(0, xy), fmax(xz, xy + xz)) -
                (bounds[0] - fmin(fmin(0, xy), fmin(xz, xy + xz)));
    double ly = bounds[3] - fmax(0, yz) - (bounds[2] - fmin(0, yz));
    double lz = bounds[5] - bounds[4];
    const double box[9] = {lx, 0, 0, xy, ly, 0, xz, yz, lz};
    for (int k = 0; k < 9; k++)
        f->box[k] = (float)box[k];
    f->has_box = true;
    double scale = fmax(fmax(fabs(lx) + fabs(xy) + fabs(xz), fabs(ly) + fabs(yz)), fabs(lz));
    /* In a box without extent, or an infinite one, no fraction means a length. */
    if (scaled && scale > 0 && isfinite(scale))
        f->length_scale = scale;
}

bool ebb_lammps_id(double v, int64_t *ret)
{
    if (!(fabs(v) <= 9007199254740992.0) || v != (double)(int64_t)v)
        return false;
    *ret = (int64_t)v;
    return true;
}

struct place {
    int64_t id;
    uint32_t index;
};

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct place *)a)->id, y = ((const struct place *)b)->id;
    return (x > y) - (x < y);
}

static bool rank_by_sorting(const int64_t *ids, size_t count, uint32_t *ret)
{
    EBB_AUTO_FREE struct place *places = malloc(count * sizeof *places);
    if (places == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){.id = ids[i], .index = (uint32_t)i};
    qsort(places, count, sizeof *places, by_id);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && places[i].id == places[i - 1].id)
            return false;
        ret[places[i].index] = (uint32_t)i;
    }
    return true;
}

/* For ids that span little more than their number. */
static bool rank_by_table(const int64_t *ids, size_t count, int64_t least, size_t span,
                          uint32_t *ret)
{
    EBB_AUTO_FREE uint32_t *ranks = calloc(span, sizeof *ranks);
    if (ranks == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (ranks[ids[i] - least]++ != 0)
            return false;
    uint32_t rank = 0;
    for (size_t i = 0; i < span; i++) {
        uint32_t here = ranks[i];
        ranks[i] = rank;
        rank += here;
    }
    for (size_t i = 0; i < count; i++)
        ret[i] = ranks[ids[i] - least];
    return true;
}

bool ebb_lammps_rank(const int64_t *ids, size_t count, uint32_t *ret, bool *ret_sorted)
{
    bool sorted = true;
    int64_t least = count > 0 ? ids[0] : 0, most = least;
    for (size_t i = 1; i < count; i++) {
        sorted &= ids[i] > ids[i - 1];
        least = ids[i] < least ? ids[i] : least;
        most = ids[i] > most ? ids[i] : most;
    }
    *ret_sorted = sorted;
    if (count > UINT32_MAX)
        return false;
    if (sorted) {
        for (size_t i = 0; i < count; i++)
            ret[i] = (uint32_t)i;
        return true;
    }
    uint64_t span = (uint64_t)(most - least) + 1;
    if (span <= 4 * (uint64_t)count)
        return rank_by_table(ids, count, least, (size_t)span, ret);
    return rank_by_sorting(ids, count, ret);
}
