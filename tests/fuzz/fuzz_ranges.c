/* The arrays in files of every kind, the one that the bytes are taken for and all others. */
#include "frame_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)ebb_file_recognise(data, size);
    for (int kind = 0; kind < EBB_FILE_KINDS; kind++)
        scan_ranges((enum ebb_file_kind)kind, data, size);
    return 0;
}
