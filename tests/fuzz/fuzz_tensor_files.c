/* The scanners of tensors' files on whatever bytes: safetensors, PyTorch, NumPy; and the pickle
 * machine alone, which damage of an archive rarely reaches. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/pickle.h"
#include "formats/ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    const uint64_t *size = ctx;
    assert(range->offset <= *size && range->len <= *size - range->offset);
    assert(range->name != NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_memory_source memory = {.data = data, .len = size};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    for (int kind = EBB_FILE_SAFETENSORS; kind <= EBB_FILE_NPZ; kind++)
        (void)ebb_ranges_scan((enum ebb_file_kind)kind, &source, check, &source.size, NULL);
    struct ebb_pickle_storages storages;
    ebb_pickle_scan(data, size, &storages);
    ebb_pickle_storages_clean_up(&storages);
    return 0;
}
