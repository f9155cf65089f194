/* Availability traces from anyone. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator/traces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_trace t = {0};
    struct ebb_error err = {0};
    if (ebb_trace_parse("dir/aws-us-east-1a_v100.json", (const char *)data, size, &t, &err) < 0) {
        assert(err.code < 0 && err.text[0] != '\0');
        return 0;
    }
    assert(t.gap_s > 0 && t.len >= 2);
    for (size_t i = 0; i < t.len; i++)
        assert(t.up[i] <= 1);
    ebb_trace_clean_up(&t);
    return 0;
}
