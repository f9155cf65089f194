/* Plain memory, for the library on the CPU. */
#include "memory.h"

#include <stdlib.h>

const char *device_missing(void)
{
    return NULL;
}

void *device_alloc(size_t len)
{
    void *p = NULL;
    if (posix_memalign(&p, 256, len > 0 ? len : 1) != 0)
        abort();
    return p;
}

void device_free(void *p)
{
    free(p);
}

void device_wait(void)
{
}
