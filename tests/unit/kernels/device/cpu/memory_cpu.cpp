/* Plain memory: with the sanitizers every access outside is seen. */
#include "../memory.h"

#include "watch.h"

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
#ifdef EBB_DEVICE_WATCHED
    ebb_watch_array(p, len);
#endif
    return p;
}

void device_free(void *p)
{
#ifdef EBB_DEVICE_WATCHED
    ebb_watch_forget(p);
#endif
    free(p);
}

void device_wait(void)
{
}
