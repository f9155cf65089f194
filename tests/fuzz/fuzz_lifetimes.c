/* Lifetimes as CSV: any bytes are read or refused, and what is read can be fitted. */
#include <stddef.h>
#include <stdint.h>

#include "scheduler/core/fit_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    if (ebb_lifetimes_read(&l, "f.csv", (const char *)data, len, &err) < 0)
        return 0;
    struct ebb_fit_comparison c;
    struct ebb_fit_options o = {0};
    if (l.count <= 24 && ebb_fit_compare(&l, &o, &c, &err) == 0)
        ebb_fit_comparison_clean_up(&c);
    return 0;
}
