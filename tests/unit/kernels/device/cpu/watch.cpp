/* The watcher (watch.h). A byte has three records: of who last wrote it, who last read it, who last
 * changed it by an atomic; a record that stands for several threads says so. What a thread does is
 * ordered after a record when a barrier that both met lies between. */
#include "watch.h"

#include <algorithm>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unordered_map>
#include <unordered_set>
#include <vector>

/* Where the linker puts what is static and zero: among it the kernels' shared memory. */
extern "C" char __bss_start[], _end[];

namespace
{
enum several : uint8_t { ONE, LANES, THREADS, BLOCKS };

struct record {
    uint32_t launch, block;
    uint16_t thread, block_epoch, warp_epoch;
    several who;
};

struct cell {
    record write, read, atomic;
};

struct array {
    uintptr_t at, end;
    cell *cells;
};

std::vector<array> arrays;
array *last_array;
cell *shared_cells;
const char *kernel;
bool running;

/* Whether nothing orders the record before what the present thread does. */
bool meets(const record &r)
{
    const struct ebb_watch_place &p = ebb_watch_place;
    if (r.launch != p.launch)
        return false;
    if (r.who == BLOCKS || r.block != p.block)
        return true;
    if (r.block_epoch < p.block_epoch)
        return false;
    if (r.who == THREADS)
        return true;
    const bool same_warp = r.thread / 32 == p.thread / 32;
    if (r.who == ONE && r.thread == p.thread)
        return false;
    return !same_warp || r.warp_epoch >= p.warp_epoch;
}

/* The present thread, and those of before that it is not ordered after. */
void note(record *r)
{
    const struct ebb_watch_place &p = ebb_watch_place;
    several who = ONE;
    if (meets(*r))
        who = r->block != p.block || r->who == BLOCKS                ? BLOCKS
              : r->thread / 32 != p.thread / 32 || r->who == THREADS ? THREADS
                                                                     : LANES;
    *r = record{p.launch, p.block, p.thread, p.block_epoch, p.warp_epoch, who};
}

void fail(const char *what, uintptr_t at, const record *with)
{
    const struct ebb_watch_place &p = ebb_watch_place;
    fprintf(stderr, "%s: block %u, thread %u, barrier %u: %s at %p", kernel, p.block, p.thread,
            p.block_epoch, what, (void *)at);
    if (with != NULL)
        fprintf(stderr, " (block %u, thread %u, barrier %u)", with->block, with->thread,
                with->block_epoch);
    fputc('\n', stderr);
    abort();
}

void watch_byte(cell *c, uintptr_t at, char kind)
{
    if (meets(c->write))
        fail(kind == 'r' ? "reads what another thread writes" : "writes what another thread writes",
             at, &c->write);
    if (kind != 'a' && meets(c->atomic))
        fail("meets another thread's atomic", at, &c->atomic);
    if (kind != 'r' && meets(c->read))
        fail("writes what another thread reads", at, &c->read);
    note(kind == 'r' ? &c->read : kind == 'w' ? &c->write : &c->atomic);
}

array *array_of(uintptr_t at)
{
    if (last_array != NULL && at >= last_array->at && at < last_array->end)
        return last_array;
    for (array &a : arrays) {
        if (at >= a.at && at < a.end)
            return last_array = &a;
    }
    return NULL;
}

/* Shared memory is another one for each block. */
void forget_other_block(record *r)
{
    if (r->block != ebb_watch_place.block)
        r->launch = 0;
}

bool was_written(const cell &c)
{
    const struct ebb_watch_place &p = ebb_watch_place;
    return (c.write.launch == p.launch && c.write.block == p.block) ||
           (c.atomic.launch == p.launch && c.atomic.block == p.block);
}

/* ---- counting ---- */
struct event {
    uint16_t warp;
    bool write;
    uint32_t times; /* that the thread has been there */
    const void *pc;
    uintptr_t at;
    unsigned bytes;
};
bool counting;
std::vector<ebb_watch_counts> counts;
std::vector<event> events;
std::unordered_map<uint64_t, uint32_t> visits;
std::unordered_set<uintptr_t> touched[2]; /* sectors read, written, by this launch */

ebb_watch_counts &counts_of(const char *name)
{
    for (ebb_watch_counts &c : counts) {
        if (strcmp(c.kernel, name) == 0)
            return c;
    }
    counts.push_back(ebb_watch_counts());
    counts.back().kernel = name;
    return counts.back();
}

void count_access(uintptr_t at, unsigned bytes, bool write, const void *pc)
{
    const uint16_t thread = ebb_watch_place.thread;
    const uint64_t key = ((uint64_t)(uintptr_t)pc << 11) ^ thread ^ (write ? 1024 : 0);
    for (uintptr_t sector = at / 32; sector <= (at + bytes - 1) / 32; sector++)
        touched[write].insert(sector);
    events.push_back(event{(uint16_t)(thread / 32), write, visits[key]++, pc, at, bytes});
}

bool by_request(const event &a, const event &b)
{
    if (a.warp != b.warp)
        return a.warp < b.warp;
    if (a.pc != b.pc)
        return a.pc < b.pc;
    if (a.write != b.write)
        return a.write < b.write;
    return a.times != b.times ? a.times < b.times : a.at < b.at;
}

void count_requests()
{
    ebb_watch_counts &c = counts_of(kernel);
    c.threads += ebb_watch_place.threads;
    std::sort(events.begin(), events.end(), by_request);
    for (size_t i = 0; i < events.size();) {
        const event &first = events[i];
        uintptr_t next_sector = 0;
        uint64_t sectors = 0, bytes = 0;
        for (; i < events.size() && events[i].warp == first.warp && events[i].pc == first.pc &&
               events[i].write == first.write && events[i].times == first.times;
             i++) {
            const uintptr_t from = std::max(events[i].at / 32, next_sector),
                            end = (events[i].at + events[i].bytes + 31) / 32;
            sectors += end > from ? end - from : 0;
            next_sector = std::max(next_sector, end);
            bytes += events[i].bytes;
        }
        (first.write ? c.write_requests : c.read_requests)++;
        (first.write ? c.write_sectors : c.read_sectors) += sectors;
        (first.write ? c.written_bytes : c.read_bytes) += bytes;
    }
    events.clear();
    visits.clear();
}
} // namespace

void ebb_watch_array(const void *at, size_t len)
{
    arrays.push_back(
        array{(uintptr_t)at, (uintptr_t)at + len, (cell *)calloc(len + 1, sizeof(cell))});
    last_array = NULL;
}

void ebb_watch_forget(const void *at)
{
    for (size_t i = 0; i < arrays.size(); i++) {
        if (arrays[i].at != (uintptr_t)at)
            continue;
        free(arrays[i].cells);
        arrays.erase(arrays.begin() + (ptrdiff_t)i);
        break;
    }
    last_array = NULL;
}

void ebb_watch_launch_begins(const char *name)
{
    kernel = name;
    running = true;
    if (counting)
        counts_of(kernel).launches++;
}

void ebb_watch_launch_ends(void)
{
    running = false;
    if (!counting)
        return;
    counts_of(kernel).read_once += touched[0].size();
    counts_of(kernel).written_once += touched[1].size();
    touched[0].clear();
    touched[1].clear();
}

void ebb_watch_block_begins(void)
{
    if (shared_cells == NULL)
        shared_cells = (cell *)calloc((size_t)(_end - __bss_start), sizeof(cell));
}

void ebb_watch_block_ends(void)
{
    if (counting)
        count_requests();
}

void ebb_watch_touch(const void *where, unsigned bytes, char kind, const void *pc)
{
    if (!running)
        return;
    const uintptr_t at = (uintptr_t)where, shared = (uintptr_t)__bss_start;
    if (at - shared < (uintptr_t)_end - shared) {
        for (unsigned i = 0; i < bytes; i++) {
            cell *c = &shared_cells[at + i - shared];
            forget_other_block(&c->write);
            forget_other_block(&c->read);
            forget_other_block(&c->atomic);
            if (kind != 'w' && !was_written(*c))
                fail("reads shared memory that nobody wrote", at + i, NULL);
            watch_byte(c, at + i, kind);
        }
        if (counting)
            (kind == 'a' ? counts_of(kernel).shared_atomics : counts_of(kernel).shared_accesses)++;
        return;
    }
    const array *a = array_of(at);
    if (a != NULL) {
        if (at + bytes > a->end)
            fail("leaves an array", at, NULL);
        for (unsigned i = 0; i < bytes; i++)
            watch_byte(&a->cells[at + i - a->at], at + i, kind);
        if (counting && kind == 'a')
            counts_of(kernel).atomics++;
        else if (counting)
            count_access(at, bytes, kind == 'w', pc);
        return;
    }
    const uintptr_t stack = (uintptr_t)ebb_watch_place.stack;
    if (kind != 'r' && at - stack >= ebb_watch_place.stack_bytes)
        fail("writes what is no array of the device", at, NULL);
}

void ebb_watch_count(int on)
{
    counting = on != 0;
    counts.clear();
}

size_t ebb_watch_counted(struct ebb_watch_counts *ret, size_t room)
{
    const size_t n = std::min(room, counts.size());
    std::copy(counts.begin(), counts.begin() + (ptrdiff_t)n, ret);
    return n;
}

/* ---- what the compiler calls ---- */
#define READ(bytes)                                                                                \
    extern "C" void __tsan_read##bytes(void *at)                                                   \
    {                                                                                              \
        ebb_watch_touch(at, bytes, 'r', __builtin_return_address(0));                              \
    }                                                                                              \
    extern "C" void __tsan_write##bytes(void *at)                                                  \
    {                                                                                              \
        ebb_watch_touch(at, bytes, 'w', __builtin_return_address(0));                              \
    }                                                                                              \
    extern "C" void __tsan_unaligned_read##bytes(void *at)                                         \
    {                                                                                              \
        ebb_watch_touch(at, bytes, 'r', __builtin_return_address(0));                              \
    }                                                                                              \
    extern "C" void __tsan_unaligned_write##bytes(void *at)                                        \
    {                                                                                              \
        ebb_watch_touch(at, bytes, 'w', __builtin_return_address(0));                              \
    }
READ(1)
READ(2)
READ(4)
READ(8)
READ(16)
extern "C" void __tsan_read_range(void *at, unsigned long bytes)
{
    ebb_watch_touch(at, (unsigned)bytes, 'r', __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void *at, unsigned long bytes)
{
    ebb_watch_touch(at, (unsigned)bytes, 'w', __builtin_return_address(0));
}
extern "C" void *__tsan_memcpy(void *to, const void *from, size_t len)
{
    ebb_watch_touch(from, (unsigned)len, 'r', __builtin_return_address(0));
    ebb_watch_touch(to, (unsigned)len, 'w', __builtin_return_address(0));
    return memcpy(to, from, len);
}
extern "C" void *__tsan_memmove(void *to, const void *from, size_t len)
{
    ebb_watch_touch(from, (unsigned)len, 'r', __builtin_return_address(0));
    ebb_watch_touch(to, (unsigned)len, 'w', __builtin_return_address(0));
    return memmove(to, from, len);
}
extern "C" void *__tsan_memset(void *to, int value, size_t len)
{
    ebb_watch_touch(to, (unsigned)len, 'w', __builtin_return_address(0));
    return memset(to, value, len);
}
extern "C" void __tsan_init(void)
{
}
extern "C" void __tsan_func_entry(void *)
{
}
extern "C" void __tsan_func_exit(void)
{
}
