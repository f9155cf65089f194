/* The scanners of the kinds, for ebb_ranges_scan alone. Each reports what it finds through the
 * callback and returns 0, its result when that is not 0, or the source's failure; what it cannot
 * make sense of ends the scan quietly. */
#ifndef EBB_FORMATS_SCANNERS_H
#define EBB_FORMATS_SCANNERS_H

#include "formats/ranges.h"

typedef int ebb_scanner_fn(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                           struct ebb_error *err);

ebb_scanner_fn ebb_trr_scan;
ebb_scanner_fn ebb_cpt_scan;
ebb_scanner_fn ebb_dcd_scan;
ebb_scanner_fn ebb_lammps_binary_scan;
ebb_scanner_fn ebb_lammps_restart_scan;
ebb_scanner_fn ebb_safetensors_scan;
ebb_scanner_fn ebb_torch_scan;
ebb_scanner_fn ebb_npy_scan;
ebb_scanner_fn ebb_npz_scan;

#endif
