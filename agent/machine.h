/* The VM as its kernel describes it: what it offers to jobs, and what a checkpoint may depend on.
 */
#ifndef EBB_AGENT_MACHINE_H
#define EBB_AGENT_MACHINE_H

#include <stdint.h>

struct ebb_machine {
    double cpus;
    uint64_t memory_bytes;
    uint32_t gpus;
    char gpu_model[64]; /* "l4"; empty without a GPU */
    char cpu_model[96];
    double uptime_s;
};

/* Reads /proc; a fact that cannot be read is left at zero, cpus at 1. */
void ebb_machine_read(struct ebb_machine *ret);
/* `wanted` GPUs (0 to 64) of the machine's `total`, the lowest numbers that are not in `taken` (bit
 * i is GPU i); fewer when not so many are free. */
uint64_t ebb_gpus_pick(uint64_t taken, uint32_t total, uint32_t wanted);
/* Free bytes of the file system that holds `path`, for an ordinary user; UINT64_MAX: unknown. */
uint64_t ebb_disk_free_bytes(const char *path);

#endif
