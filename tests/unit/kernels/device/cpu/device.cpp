/* The threads of a block as coroutines. They begin by ucontext; without the sanitizers, which
 * follow stacks themselves, they change by jumps, which ask nothing of the kernel. */
#include "cuda_runtime.h"
#include "watch.h"

#include <setjmp.h>
#include <stdio.h>
#include <ucontext.h>

#define MOST_THREADS 1024
#define STACK_BYTES  (64u << 10)

/* Apart from all that is static in a kernel, which is its shared memory. */
#define APART __attribute__((section("ebb_apart")))
APART dim3 threadIdx, blockIdx, blockDim, gridDim;

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

#ifdef EBB_DEVICE_WATCHED
#define WATCH(call) call
#else
#define WATCH(call) ((void)0)
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
/* The lanes of a warp meet in turn in one of two rooms, so that the values of one meeting are read
 * while those of the next are brought. */
struct warp {
    unsigned generation, arrived, ordered; /* ordered: by __syncwarp, times */
    unsigned meetings[32];
    uint64_t values[2][32];
    enum ebb_device_meeting what;
};
thread threads[MOST_THREADS];
APART warp warps[MOST_THREADS / 32] = {};
unsigned order[MOST_THREADS];
ucontext_t scheduler;
jmp_buf scheduler_jump;
char *stacks;
unsigned current, count;
unsigned block_generation, block_arrived;
unsigned any_of[2]; /* the last generation that some thread said yes in, of the odd and the even */
void (*entry)(void *);
void *argument;
const char *kernel;
uint64_t random_state;
bool random_read;

void fail(const char *what)
{
    fprintf(stderr, "%s: block %u, thread %u: %s\n", kernel, blockIdx.x, current, what);
    abort();
}

/* 0 to n - 1; always 0 where the seed is 0. */
unsigned any_below(unsigned n)
{
    if (!random_read) {
        const char *seed = getenv("EBB_DEVICE_SEED");
        random_state = (seed == NULL ? 1 : strtoull(seed, NULL, 10)) * 0x9e3779b97f4a7c15ull;
        random_read = true;
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 32) * n >> 32);
}

/* Fisher and Yates, backwards, so that all zeros leave the order as it is only where there is no
 * seed. */
void shuffle(unsigned *list, unsigned n)
{
    for (unsigned i = n; i-- > 1 && random_state != 0;) {
        const unsigned j = any_below(i + 1), was = list[i];
        list[i] = list[j];
        list[j] = was;
    }
}

void wait()
{
    thread &self = threads[current];
    if (!JUMPS)
        swapcontext(&self.context, &scheduler);
    else if (_setjmp(self.jump) == 0)
        _longjmp(scheduler_jump, 1);
}

void tell_place(unsigned i)
{
    current = i;
    threadIdx.x = i;
    ebb_watch_place.thread = (uint16_t)i;
    ebb_watch_place.block_epoch = (uint16_t)block_generation;
    ebb_watch_place.warp_epoch = (uint16_t)warps[i / 32].ordered;
    ebb_watch_place.stack = stacks + (size_t)i * STACK_BYTES;
    ebb_watch_place.stack_bytes = STACK_BYTES;
}

void go_on(unsigned i)
{
    thread &t = threads[i];
    tell_place(i);
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

unsigned warp_size(unsigned w)
{
    return count - w * 32 < 32 ? count - w * 32 : 32;
}

void begin_block()
{
    for (unsigned i = 0; i < count; i++) {
        thread &t = threads[i];
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
        t.context.uc_stack.ss_size = STACK_BYTES;
        t.context.uc_link = NULL;
        t.done = t.begun = false;
        t.waits_warp = t.waits_block = 0;
        makecontext(&t.context, run_thread, 0);
        order[i] = i;
    }
    block_generation = 1;
    block_arrived = 0;
    any_of[0] = any_of[1] = 0;
    for (unsigned w = 0; w * 32 < count; w++) {
        warps[w] = warp();
        warps[w].generation = 1;
    }
}

void run_block()
{
    begin_block();
    for (;;) {
        bool moved = false, left = false;
        shuffle(order, count);
        for (unsigned k = 0; k < count; k++) {
            thread &t = threads[order[k]];
            if (t.done)
                continue;
            left = true;
            if (t.waits_block == block_generation ||
                t.waits_warp == warps[order[k] / 32].generation)
                continue;
            t.waits_block = t.waits_warp = 0;
            moved = true;
            go_on(order[k]);
        }
        if (!left)
            return;
        if (!moved)
            fail("a barrier that not every thread reaches");
    }
}

/* Until all lanes are here. */
void meet_warp(unsigned mask, enum ebb_device_meeting what)
{
    warp &w = warps[current / 32];
    if (mask != 0xffffffffu || warp_size(current / 32) != 32)
        fail("a warp meets by a mask that is not all of its lanes");
    if (w.arrived == 0)
        w.what = what;
    else if (w.what != what)
        fail("lanes of a warp meet in different functions");
    if (++w.arrived == 32) {
        w.arrived = 0;
        w.generation++;
        if (what == EBB_DEVICE_SYNCWARP)
            w.ordered++;
        tell_place(current);
        return;
    }
    threads[current].waits_warp = w.generation;
    wait();
}
} // namespace

extern "C" void ebb_device_sync_block(void)
{
    if (++block_arrived == count) {
        block_arrived = 0;
        block_generation++;
        tell_place(current);
        return;
    }
    threads[current].waits_block = block_generation;
    wait();
}

extern "C" int ebb_device_sync_block_or(int predicate)
{
    const unsigned room = block_generation % 2;
    any_of[room] = predicate ? block_generation : any_of[room];
    const unsigned generation = block_generation;
    ebb_device_sync_block();
    return any_of[room] == generation;
}

extern "C" void ebb_device_sync_warp(unsigned mask)
{
    meet_warp(mask, EBB_DEVICE_SYNCWARP);
}

extern "C" const uint64_t *ebb_device_meet(enum ebb_device_meeting what, unsigned mask,
                                           uint64_t value)
{
    warp &w = warps[current / 32];
    const unsigned lane = current % 32, room = w.meetings[lane]++ % 2;
    w.values[room][lane] = value;
    meet_warp(mask, what);
    return w.values[room];
}

extern "C" uint32_t ebb_device_atomic(char what, uint32_t *to, uint32_t value)
{
    WATCH(ebb_watch_touch(to, 4, 'a', __builtin_return_address(0)));
    const uint32_t was = *to;
    switch (what) {
    case '+':
        *to = was + value;
        break;
    case '|':
        *to = was | value;
        break;
    case 'm':
        *to = was < value ? value : was;
        break;
    default:
        *to = value;
    }
    return was;
}

extern "C" void ebb_device_move(void *to, const void *from, unsigned bytes)
{
    if ((uintptr_t)to % bytes != 0 || (uintptr_t)from % bytes != 0)
        fail("a vector that is not aligned to itself");
    WATCH(ebb_watch_touch(from, bytes, 'r', __builtin_return_address(0)));
    WATCH(ebb_watch_touch(to, bytes, 'w', __builtin_return_address(0)));
    memcpy(to, from, bytes);
}

extern "C" void ebb_device_run(const char *name, void (*thread_entry)(void *), void *arg, dim3 grid,
                               dim3 block)
{
    if (stacks == NULL)
        stacks = (char *)malloc((size_t)MOST_THREADS * STACK_BYTES);
    entry = thread_entry;
    argument = arg;
    kernel = name;
    gridDim = grid;
    blockDim = block;
    count = block.x;
    if (count > MOST_THREADS)
        fail("more threads than a block has");
    if (grid.x == 0)
        fail("a launch without blocks");
    (void)any_below(1);
    unsigned *blocks = (unsigned *)malloc(grid.x * sizeof *blocks);
    for (unsigned b = 0; b < grid.x; b++)
        blocks[b] = b;
    shuffle(blocks, grid.x);
    ebb_watch_place.launch++;
    ebb_watch_place.threads = (uint16_t)count;
    WATCH(ebb_watch_launch_begins(name));
    for (unsigned b = 0; b < grid.x; b++) {
        blockIdx.x = ebb_watch_place.block = blocks[b];
        WATCH(ebb_watch_block_begins());
        run_block();
        WATCH(ebb_watch_block_ends());
    }
    WATCH(ebb_watch_launch_ends());
    free(blocks);
}

struct ebb_watch_place ebb_watch_place;
