/* What a file is, told from its first bytes alone: names lie. */
#ifndef EBB_FORMATS_RECOGNISE_H
#define EBB_FORMATS_RECOGNISE_H

#include <stdbool.h>
#include <stddef.h>

/* The numbers are stored in packed files: they are never given another meaning. */
enum ebb_file_kind {
    EBB_FILE_RAW = 0,
    EBB_FILE_XTC = 1,
    EBB_FILE_TRR = 2,
    EBB_FILE_CPT = 3,
    EBB_FILE_DCD = 4,
    EBB_FILE_LAMMPS_DUMP_TEXT = 5,
    EBB_FILE_LAMMPS_DUMP_BINARY = 6,
    EBB_FILE_LAMMPS_RESTART = 7,
    EBB_FILE_SAFETENSORS = 8,
    EBB_FILE_TORCH = 9,
    EBB_FILE_NPY = 10,
    EBB_FILE_NPZ = 11,
    EBB_FILE_KINDS = 12,
};

/* As many of the first bytes as are of use to ebb_file_recognise. */
#define EBB_RECOGNISE_BYTES 65536

/* The kind of a file that begins with `head`; EBB_FILE_RAW when none fits. A reader of that kind
 * may still refuse the file further on. */
enum ebb_file_kind ebb_file_recognise(const void *head, size_t len);
/* "xtc", "lammps-dump-text": stable names. */
const char *ebb_file_kind_name(enum ebb_file_kind kind);
/* True for the kinds that ebb_frame_reader_open reads. */
bool ebb_file_kind_has_frames(enum ebb_file_kind kind);
/* True for the kinds in which ebb_ranges_scan may find arrays. */
bool ebb_file_kind_has_ranges(enum ebb_file_kind kind);

#endif
