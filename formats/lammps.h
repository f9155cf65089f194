/* What LAMMPS's text and binary dumps share: column names, boxes, the order of the atoms. */
#ifndef EBB_FORMATS_LAMMPS_H
#define EBB_FORMATS_LAMMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "formats/frame.h"

/* Columns by number, from 0. */
struct ebb_lammps_columns {
    size_t count;
    bool has_x, scaled, has_id;
    uint32_t x[3];
    uint32_t id;
};

/* From the names, separated by spaces: the first complete set of x y z, xs ys zs, xu yu zu or
 * xsu ysu zsu is taken as the coordinates. */
void ebb_lammps_find_columns(const char *names, size_t len, struct ebb_lammps_columns *ret);
/* The file's length units in a nanometre, by the name of a unit style; 0 when unknown. */
double ebb_lammps_units_per_nm(const char *style, size_t len);
/* Fills f's box from the dump's bounds and tilt factors (xy, xz, yz, 0 when not triclinic), and its
 * length_scale. */
void ebb_lammps_set_box(struct ebb_frame *f, const double bounds[6], const double tilt[3],
                        bool scaled);

/* The rank of each of `count` ids in ascending order, in ret[] of the same length. False, ret
 * undefined, when two are equal or memory is out; *ret_sorted: they are in order already. */
bool ebb_lammps_rank(const int64_t *ids, size_t count, uint32_t *ret, bool *ret_sorted);
/* ids as in a dump's column; false when it is no integer within +-2^53. */
bool ebb_lammps_id(double v, int64_t *ret);

#endif
