/* A binary heap by time and order of arrival. */
#include "simulator/agenda.h"

#include <stdlib.h>

#include "base/memory.h"

struct item {
    int64_t at_ns;
    uint64_t order;
    ebb_agenda_fn fn;
    void *ctx;
    uint32_t a, b;
};

struct ebb_agenda {
    struct item *items;
    size_t count, capacity;
    uint64_t order, steps;
    int64_t now_ns;
};

struct ebb_agenda *ebb_agenda_new(int64_t now_ns)
{
    struct ebb_agenda *g = ebb_alloc(sizeof *g);
    g->now_ns = now_ns;
    return g;
}

void ebb_agenda_destroy(struct ebb_agenda *g)
{
    if (g == NULL)
        return;
    free(g->items);
    free(g);
}

int64_t ebb_agenda_now_ns(const struct ebb_agenda *g)
{
    return g->now_ns;
}

uint64_t ebb_agenda_steps(const struct ebb_agenda *g)
{
    return g->steps;
}

static bool is_before(const struct item *x, const struct item *y)
{
    return x->at_ns != y->at_ns ? x->at_ns < y->at_ns : x->order < y->order;
}

void ebb_agenda_add(struct ebb_agenda *g, int64_t at_ns, ebb_agenda_fn fn, void *ctx, uint32_t a,
                    uint32_t b)
{
    if (at_ns == EBB_AGENDA_NEVER)
        return;
    if (g->count == g->capacity) {
        g->capacity = g->capacity == 0 ? 256 : g->capacity * 2;
        g->items = ebb_realloc_array(g->items, g->capacity, sizeof *g->items);
    }
    struct item new = {.at_ns = at_ns > g->now_ns ? at_ns : g->now_ns,
                       .order = g->order++,
                       .fn = fn,
                       .ctx = ctx,
                       .a = a,
                       .b = b};
    size_t i = g->count++;
    while (i > 0 && is_before(&new, &g->items[(i - 1) / 2])) {
        g->items[i] = g->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    g->items[i] = new;
}

static void remove_first(struct ebb_agenda *g)
{
    struct item last = g->items[--g->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= g->count)
            break;
        if (child + 1 < g->count && is_before(&g->items[child + 1], &g->items[child]))
            child++;
        if (!is_before(&g->items[child], &last))
            break;
        g->items[i] = g->items[child];
        i = child;
    }
    if (g->count > 0)
        g->items[i] = last;
}

bool ebb_agenda_step(struct ebb_agenda *g, int64_t until_ns)
{
    if (g->count == 0 || g->items[0].at_ns > until_ns)
        return false;
    struct item first = g->items[0];
    remove_first(g);
    g->now_ns = first.at_ns;
    g->steps++;
    first.fn(first.ctx, first.a, first.b);
    return true;
}
