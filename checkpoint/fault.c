/* Fault points: where a test may have the process killed, as a VM dies: no clean-up, no flush. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/lineage_state.h"

void ebb_fault_point(const char *name)
{
    static atomic_long passed;
    const char *wanted = getenv("EBB_FAULT");
    if (wanted == NULL)
        return;
    size_t len = strcspn(wanted, ":");
    if (strlen(name) != len || strncmp(wanted, name, len) != 0)
        return;
    long n = wanted[len] == ':' ? strtol(wanted + len + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 == n)
        (void)kill(getpid(), SIGKILL);
}
