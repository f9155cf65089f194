/* Fleet files from anyone. */
#include <stddef.h>
#include <stdint.h>

#include "cloud/emulator/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};

    if (ebb_fleet_parse("fuzz", "/nonexistent", (const char *)data, size, &f, NULL, &err) == 0)
        ebb_fleet_destroy(f);
    return 0;
}
