/* Packed exponents: whatever unpacks packs to the same content again. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/exponents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < EBB_EXPONENTS_HEADER)
        return 0;
    size_t elements = data[8] | (size_t)data[9] << 8;
    unsigned stride = data[0], bits = data[1];
    EBB_AUTO_FREE uint8_t *raw = ebb_alloc(elements * 4 + 1), *again = ebb_alloc(elements * 4 + 1);
    if (ebb_exponents_unpack(data, size, elements, stride, raw) != 0)
        return 0;
    EBB_AUTO_FREE uint8_t *packed = ebb_alloc(ebb_exponents_bound(elements, stride, bits));
    size_t len = ebb_exponents_pack(raw, elements, stride, bits, packed);
    if (ebb_exponents_unpack(packed, len, elements, stride, again) != 0 ||
        memcmp(raw, again, elements * stride) != 0)
        abort();
    return 0;
}
