/* Memory that both the test and the kernels reach, by the CPU's stand-in or by a real GPU. */
#ifndef EBB_TESTS_DEVICE_MEMORY_H
#define EBB_TESTS_DEVICE_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL: there is a device. Otherwise why not. */
const char *device_missing(void);
void *
device_alloc(size_t len); /* aligned to 256; ends at the end of what may be touched, on the CPU */
void device_free(void *p);
void device_wait(void); /* for all that was queued; fails the program on an error */

#ifdef __cplusplus
}
#endif

#endif
