/* GROMACS checkpoints. */
#include "frame_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scan_ranges(EBB_FILE_CPT, data, size);
    return 0;
}
