/* The threads of a block as coroutines. They begin by ucontext; without the sanitizers, which
 * follow stacks themselves, they change by jumps, which ask nothing of the kernel. */
#include "cuda_runtime.h"

#include <setjmp.h>
#include <stdio.h>
#include <ucontext.h>

#define MOST_THREADS 1024
#define STACK_BYTES  (64u << 10)

dim3 threadIdx, blockIdx, blockDim, gridDim;

#if defined(__SANITIZE_ADDRESS__)
#define JUMPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JUMPS 0
#endif
#endif
#ifndef JUMPS
#define JUMPS 1
#endif

namespace
{
struct thread {
    ucontext_t context;
    jmp_buf jump;
    bool begun;
    bool done;
    unsigned waits_warp, waits_block; /* generation it waits to pass; 0: runs */
};
thread threads[MOST_THREADS];
uint64_t slots[MOST_THREADS];
ucontext_t scheduler;
jmp_buf scheduler_jump;
char *stacks;
unsigned current, count;
unsigned block_generation, block_arrived;
unsigned warp_generation[MOST_THREADS / 32], warp_arrived[MOST_THREADS / 32];
void (*entry)(void *);
void *argument;

void wait()
{
    thread &self = threads[current];
    if (!JUMPS)
        swapcontext(&self.context, &scheduler);
    else if (_setjmp(self.jump) == 0)
        _longjmp(scheduler_jump, 1);
}

void go_on(thread &t)
{
    if (!JUMPS) {
        swapcontext(&scheduler, &t.context);
    } else if (_setjmp(scheduler_jump) == 0) {
        if (t.begun)
            _longjmp(t.jump, 1);
        t.begun = true;
        setcontext(&t.context);
    }
}

void run_thread()
{
    entry(argument);
    threads[current].done = true;
    wait();
}

unsigned warp_size(unsigned warp)
{
    return count - warp * 32 < 32 ? count - warp * 32 : 32;
}

void run_block()
{
    count = blockDim.x;
    if (count > MOST_THREADS)
        abort();
    for (unsigned i = 0; i < count; i++) {
        thread &t = threads[i];
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
        t.context.uc_stack.ss_size = STACK_BYTES;
        t.context.uc_link = NULL;
        t.done = t.begun = false;
        t.waits_warp = t.waits_block = 0;
        makecontext(&t.context, run_thread, 0);
    }
    block_generation = 1;
    block_arrived = 0;
    for (unsigned w = 0; w * 32 < count; w++) {
        warp_generation[w] = 1;
        warp_arrived[w] = 0;
    }
    for (;;) {
        bool moved = false, left = false;
        for (unsigned i = 0; i < count; i++) {
            thread &t = threads[i];
            if (t.done)
                continue;
            left = true;
            if (t.waits_block == block_generation || t.waits_warp == warp_generation[i / 32])
                continue;
            t.waits_block = t.waits_warp = 0;
            moved = true;
            current = i;
            threadIdx.x = i;
            go_on(t);
        }
        if (!left)
            return;
        if (!moved) {
            fprintf(stderr, "a barrier that not every thread reaches\n");
            abort();
        }
    }
}
} // namespace

extern "C" void ebb_device_sync_block(void)
{
    if (++block_arrived == count) {
        block_arrived = 0;
        block_generation++;
        return;
    }
    threads[current].waits_block = block_generation;
    wait();
}

extern "C" void ebb_device_sync_warp(void)
{
    unsigned warp = current / 32;
    if (++warp_arrived[warp] == warp_size(warp)) {
        warp_arrived[warp] = 0;
        warp_generation[warp]++;
        return;
    }
    threads[current].waits_warp = warp_generation[warp];
    wait();
}

extern "C" uint64_t ebb_device_exchange(uint64_t value, unsigned from_lane)
{
    unsigned self = current;
    slots[self] = value;
    ebb_device_sync_warp();
    uint64_t got = slots[(self & ~31u) + from_lane];
    ebb_device_sync_warp();
    return got;
}

extern "C" void ebb_device_run(void (*thread_entry)(void *), void *arg, dim3 grid, dim3 block)
{
    if (stacks == NULL)
        stacks = (char *)malloc((size_t)MOST_THREADS * STACK_BYTES);
    entry = thread_entry;
    argument = arg;
    gridDim = grid;
    blockDim = block;
    for (unsigned b = 0; b < grid.x; b++) {
        blockIdx.x = b;
        run_block();
    }
}
