/* What happens when, in simulated time: a heap of calls. Two calls of one moment come in the order
 * in which they were put down, so a run is the same each time. */
#ifndef EBB_SIMULATOR_AGENDA_H
#define EBB_SIMULATOR_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EBB_AGENDA_NEVER INT64_MAX

typedef void (*ebb_agenda_fn)(void *ctx, uint32_t a, uint32_t b);

struct ebb_agenda;
struct ebb_agenda *ebb_agenda_new(int64_t now_ns);
void ebb_agenda_destroy(struct ebb_agenda *g);

int64_t ebb_agenda_now_ns(const struct ebb_agenda *g);
/* O(log n). A time that has passed means now; EBB_AGENDA_NEVER means never. What is put down
 * cannot be taken back: the callee looks whether it still matters (`b` is free to be a count of
 * changes). */
void ebb_agenda_add(struct ebb_agenda *g, int64_t at_ns, ebb_agenda_fn fn, void *ctx, uint32_t a,
                    uint32_t b);
/* Moves the clock to the next call and makes it. False: there is none, or it lies past `until_ns`
 * (the clock stays). */
bool ebb_agenda_step(struct ebb_agenda *g, int64_t until_ns);
uint64_t ebb_agenda_steps(const struct ebb_agenda *g);

/* Seconds as nanoseconds; what is too long for the clock is EBB_AGENDA_NEVER. */
static inline int64_t ebb_agenda_after(int64_t now_ns, double s)
{
    if (!(s < 9e9))
        return EBB_AGENDA_NEVER;
    int64_t more_ns = s > 0 ? (int64_t)(s * 1e9) : 0;
    return more_ns < EBB_AGENDA_NEVER - now_ns ? now_ns + more_ns : EBB_AGENDA_NEVER;
}

#endif
