/* XTC files, and what is left of their frames. */
#include "frame_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_kind(EBB_FILE_XTC, data, size);
    return 0;
}
