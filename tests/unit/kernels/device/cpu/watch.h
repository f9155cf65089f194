/* What the watched build of the kernels sees: every load, store and atomic of a kernel, by the
 * calls that the compiler puts there for its own checker of threads (-fsanitize=thread), whose
 * functions are defined in watch.cpp instead. It ends the program, with the kernel's name, where
 *
 *     - two threads reach the same byte, one of them writing, with no barrier between them: none of
 *       the block, and within a warp no __syncwarp (shuffles order no memory). Atomics may meet.
 *     - two blocks of a launch do
 *     - a byte of shared memory is read that no thread of this block has written
 *     - something is written that is neither shared memory nor an array that the test has made
 *
 * and it can count what is moved. */
#ifndef EBB_TESTS_DEVICE_WATCH_H
#define EBB_TESTS_DEVICE_WATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Arrays of the device, memory_cpu.cpp tells of them. */
void ebb_watch_array(const void *at, size_t len);
void ebb_watch_forget(const void *at);

/* device.cpp tells where it is. `epoch`: barriers of the block so far, of the warp so far. */
struct ebb_watch_place {
    uint32_t launch, block;
    uint16_t thread;
    uint16_t block_epoch, warp_epoch;
    uint16_t threads;  /* of a block */
    const char *stack; /* this thread's own */
    size_t stack_bytes;
};
extern struct ebb_watch_place ebb_watch_place;
void ebb_watch_launch_begins(const char *kernel);
void ebb_watch_block_begins(void);
void ebb_watch_block_ends(void);
void ebb_watch_launch_ends(void);
/* Of bytes that are about to be touched. `kind`: r, w, a (atomic). */
void ebb_watch_touch(const void *at, unsigned bytes, char kind, const void *pc);

/* What a kernel's launches have moved since counting began. A request is what the lanes of a warp
 * load (or store) by one instruction; the sectors are those of 32 bytes that it touches. */
struct ebb_watch_counts {
    const char *kernel;
    uint64_t launches, threads;
    uint64_t read_bytes, read_requests, read_sectors;
    uint64_t written_bytes, write_requests, write_sectors;
    uint64_t read_once,
        written_once; /* sectors, each counted once a launch: what memory moves where a
                         cache holds what a launch uses, and nothing from before it */
    uint64_t shared_accesses, shared_atomics, atomics;
};
void ebb_watch_count(int on); /* also forgets what was counted */
size_t ebb_watch_counted(struct ebb_watch_counts *ret, size_t room);

#ifdef __cplusplus
}
#endif

#endif
