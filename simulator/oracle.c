/* See oracle.h for why these tables are enough. The last two ticks are enumerated: there the
 * fraction of a tick that no policy can idle away depends on the number of launches.
 *
 *     free[k][n][i]  most spot ticks before node k with n launches and at most i idle ticks,
 *                    whatever runs; on_demand[k][n][i]: and an on-demand instance runs
 */
#include "simulator/oracle.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define NEVER (-(1 << 28))

struct ebb_oracle {
    struct ebb_onejob_rules rules;
    uint32_t *until; /* [len] the tick at which the longest-lived zone that is up ends */
    size_t len;
    /* Of one start: */
    size_t start;
    uint32_t body; /* ticks before the tail */
    uint32_t *node_tick;
    uint32_t *node_until; /* <= node_tick: nothing is up */
    size_t node_count;
    size_t node_room;
    unsigned n_max;
    uint32_t *idle_max; /* [n_max + 1] */
    size_t *row;        /* [n_max + 2] offset of n's row of idle_max[n] + 1 cells */
    int32_t *cells;     /* [node][2][row[n_max + 1]] */
    size_t cell_room;
    int32_t *tail; /* within cells: [2][cells]: runs that end one tick into the tail, or later */
};

struct ebb_oracle *ebb_oracle_new(const struct ebb_onejob_rules *rules,
                                  const struct ebb_traces *traces, const size_t *zones,
                                  size_t zone_count)
{
    struct ebb_oracle *o = ebb_alloc(sizeof *o);
    o->rules = *rules;
    o->len = SIZE_MAX;
    for (size_t z = 0; z < zone_count; z++)
        if (traces->items[zones[z]].len < o->len)
            o->len = traces->items[zones[z]].len;
    o->until = ebb_alloc_array(o->len, sizeof *o->until);
    for (size_t z = 0; z < zone_count; z++) {
        const uint8_t *up = traces->items[zones[z]].up;
        uint32_t end = (uint32_t)o->len;
        for (size_t t = o->len; t-- > 0;) {
            if (!up[t])
                end = (uint32_t)t;
            if (end > o->until[t])
                o->until[t] = end;
        }
    }
    return o;
}

void ebb_oracle_destroy(struct ebb_oracle *o)
{
    if (o == NULL)
        return;
    free(o->until);
    free(o->node_tick);
    free(o->node_until);
    free(o->idle_max);
    free(o->row);
    free(o->cells);
    free(o);
}

/* Ticks count from the start; a run may end past the deadline. */
static uint32_t until_at(const struct ebb_oracle *o, uint32_t tick)
{
    return o->until[o->start + tick] - (uint32_t)o->start;
}

static void add_node(struct ebb_oracle *o, uint32_t tick)
{
    if (o->node_count + 1 >= o->node_room) {
        o->node_room = o->node_room * 2 + 64;
        o->node_tick = ebb_realloc_array(o->node_tick, o->node_room, sizeof *o->node_tick);
        o->node_until = ebb_realloc_array(o->node_until, o->node_room, sizeof *o->node_until);
    }
    o->node_tick[o->node_count] = tick;
    o->node_until[o->node_count++] = tick < o->body ? until_at(o, tick) : tick;
}

/* The start, ticks at which something longer-lived comes up, ends of those runs, and the tail. */
static void find_nodes(struct ebb_oracle *o)
{
    o->node_count = 0;
    uint32_t best = 0;
    for (uint32_t t = 0; t < o->body; t++) {
        uint32_t until = until_at(o, t);
        bool longer = until > t && until > best;
        if (t == 0 || longer || t == best)
            add_node(o, t);
        if (longer)
            best = until;
    }
    add_node(o, o->body);
}

/* `best` above jumps over ends of runs that something longer-lived has overtaken: they are needed
 * when the run was launched before. */
static bool is_node(const struct ebb_oracle *o, uint32_t tick, size_t *ret)
{
    size_t low = 0, high = o->node_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (o->node_tick[middle] < tick)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return low < o->node_count && o->node_tick[low] == tick;
}

static void add_overtaken_ends(struct ebb_oracle *o)
{
    for (size_t k = 0; k < o->node_count; k++) {
        uint32_t end = o->node_until[k];
        size_t at;
        if (end >= o->body || end <= o->node_tick[k] || is_node(o, end, &at))
            continue;
        add_node(o, end); /* makes room */
        size_t after = o->node_count - 1 - at;
        memmove(&o->node_tick[at + 1], &o->node_tick[at], after * sizeof *o->node_tick);
        memmove(&o->node_until[at + 1], &o->node_until[at], after * sizeof *o->node_until);
        o->node_tick[at] = end;
        o->node_until[at] = until_at(o, end);
    }
}

static void size_tables(struct ebb_oracle *o)
{
    const struct ebb_onejob_rules *r = &o->rules;
    double slack_s = r->deadline_s - r->work_s;
    double launches = r->restart_s > 0 ? floor(slack_s / r->restart_s + 1e-9) : 1;
    unsigned useful = 2 * (unsigned)o->node_count + 4;
    o->n_max = launches < useful ? (unsigned)launches : useful;
    o->idle_max = ebb_realloc_array(o->idle_max, o->n_max + 1, sizeof *o->idle_max);
    o->row = ebb_realloc_array(o->row, o->n_max + 2, sizeof *o->row);
    o->row[0] = 0;
    for (unsigned n = 0; n <= o->n_max; n++) {
        double left_s = slack_s - n * r->restart_s;
        o->idle_max[n] = (uint32_t)fmax(0, floor(left_s / r->gap_s + 1e-9));
        o->row[n + 1] = o->row[n] + o->idle_max[n] + 1;
    }
    size_t need = o->row[o->n_max + 1] * 2 * (o->node_count + 1);
    if (need > o->cell_room) {
        o->cells = ebb_realloc_array(o->cells, need, sizeof *o->cells);
        o->cell_room = need;
    }
    o->tail = &o->cells[o->row[o->n_max + 1] * 2 * o->node_count];
}

static int32_t *table(struct ebb_oracle *o, size_t node, int kind)
{
    return &o->cells[(node * 2 + (size_t)kind) * o->row[o->n_max + 1]];
}

/* to[n][i] = max(to[n][i], from[n - 1][i] + ticks). Without a restart launches are not counted. */
static void relax_launch(const struct ebb_oracle *o, int32_t *to, const int32_t *from,
                         int32_t ticks)
{
    unsigned step = o->rules.restart_s > 0 ? 1 : 0;
    for (unsigned n = step; n <= o->n_max; n++) {
        int32_t *t = &to[o->row[n]];
        const int32_t *f = &from[o->row[n - step]];
        for (uint32_t i = 0; i <= o->idle_max[n]; i++)
            t[i] = t[i] > f[i] + ticks ? t[i] : f[i] + ticks;
    }
}

static void relax_idle(const struct ebb_oracle *o, int32_t *to, const int32_t *from, uint32_t ticks)
{
    for (unsigned n = 0; n <= o->n_max; n++) {
        int32_t *t = &to[o->row[n]];
        const int32_t *f = &from[o->row[n]];
        for (uint32_t i = ticks; i <= o->idle_max[n]; i++)
            t[i] = t[i] > f[i - ticks] ? t[i] : f[i - ticks];
    }
}

static void relax_same(const struct ebb_oracle *o, int32_t *to, const int32_t *from)
{
    for (size_t c = 0; c < o->row[o->n_max + 1]; c++)
        to[c] = to[c] > from[c] ? to[c] : from[c];
}

static void fill_tables(struct ebb_oracle *o)
{
    size_t cells = o->row[o->n_max + 1];
    for (size_t c = 0; c < cells * 2 * (o->node_count + 1); c++)
        o->cells[c] = NEVER;
    for (uint32_t i = 0; i <= o->idle_max[0]; i++)
        table(o, 0, 0)[i] = 0;
    for (size_t k = 0; k < o->node_count; k++) {
        int32_t *free_k = table(o, k, 0), *on_demand_k = table(o, k, 1);
        if (k > 0) {
            relax_same(o, on_demand_k, table(o, k - 1, 1));
            relax_launch(o, on_demand_k, table(o, k - 1, 0), 0);
            relax_idle(o, free_k, table(o, k - 1, 0), o->node_tick[k] - o->node_tick[k - 1]);
            relax_same(o, free_k, on_demand_k);
        }
        uint32_t tick = o->node_tick[k], end = o->node_until[k];
        size_t to;
        if (end <= tick)
            continue;
        if (end > o->body)
            relax_launch(o, &o->tail[end > o->body + 1 ? cells : 0], free_k,
                         (int32_t)(o->body - tick));
        else if (is_node(o, end, &to))
            relax_launch(o, table(o, to, 0), free_k, (int32_t)(end - tick));
    }
}

/* What runs as the tail begins. */
enum tail_from { FROM_FREE, FROM_ON_DEMAND, FROM_SPOT_ENDING, FROM_SPOT_LASTING, FROM_COUNT };

static const int32_t *tail_table(struct ebb_oracle *o, enum tail_from from)
{
    size_t last = o->node_count - 1;
    switch (from) {
    case FROM_FREE:
        return table(o, last, 0);
    case FROM_ON_DEMAND:
        return table(o, last, 1);
    case FROM_SPOT_ENDING:
        return o->tail;
    default:
        return o->tail + o->row[o->n_max + 1];
    }
}

struct tail_path {
    unsigned launches;
    unsigned idle;
    double spot_s;
    enum ebb_instance now;
    uint32_t until; /* of the spot instance */
};

/* One tick of the tail; false: spot is not to be had. */
static bool tail_step(const struct ebb_oracle *o, struct tail_path *p, uint32_t tick,
                      enum ebb_instance want, double weight_s)
{
    if (want == EBB_INSTANCE_NONE) {
        p->idle++;
    } else if (want == EBB_INSTANCE_ON_DEMAND) {
        p->launches += p->now != EBB_INSTANCE_ON_DEMAND;
    } else {
        if (p->now != EBB_INSTANCE_SPOT || p->until <= tick) {
            p->launches++;
            p->until = o->start + tick < o->len ? until_at(o, tick) : tick;
        }
        if (p->until <= tick)
            return false;
        p->spot_s += weight_s;
    }
    p->now = want;
    return true;
}

/* A job that idles in its last tick has ended on spot some whole ticks before end_s, and so in the
 * midst of a tick: what it could not use of that one. (A job that ends on on-demand does so in
 * another of the paths.) */
static double cut_of_last_tick(const struct ebb_oracle *o, double end_s)
{
    double gap_s = o->rules.gap_s;
    double used_s = fmod(end_s, gap_s);
    return used_s < 1e-6 || gap_s - used_s < 1e-6 ? 0 : gap_s - used_s;
}

/* Most spot seconds with n launches in all and the tail's actions `first`, `second`. */
static double tail_value(struct ebb_oracle *o, unsigned n, enum tail_from from,
                         enum ebb_instance first, enum ebb_instance second, double end_s)
{
    double gap_s = o->rules.gap_s;
    double begin_s = o->body * gap_s;
    double weight_s[2] = {fmin(gap_s, end_s - begin_s), fmax(0, end_s - begin_s - gap_s)};
    struct tail_path p = {.now = from == FROM_FREE        ? EBB_INSTANCE_NONE
                                 : from == FROM_ON_DEMAND ? EBB_INSTANCE_ON_DEMAND
                                                          : EBB_INSTANCE_SPOT,
                          .until = o->body + (from == FROM_SPOT_LASTING ? 2 : 1)};
    if (!tail_step(o, &p, o->body, first, weight_s[0]))
        return -1;
    if (weight_s[1] > 1e-6 && !tail_step(o, &p, o->body + 1, second, weight_s[1]))
        return -1;
    if (o->rules.restart_s <= 0)
        p.launches = 0;
    if (p.launches > n || p.idle > o->idle_max[n])
        return -1;
    int32_t ticks = tail_table(o, from)[o->row[n - p.launches] + o->idle_max[n] - p.idle];
    if (ticks < 0)
        return -1;
    double spot_s = ticks * gap_s + p.spot_s;
    double billed_s = o->rules.work_s + n * o->rules.restart_s;
    if (p.now != EBB_INSTANCE_NONE || spot_s >= billed_s)
        return spot_s;
    return fmax(0, spot_s - cut_of_last_tick(o, end_s));
}

static double most_spot_s(struct ebb_oracle *o, unsigned n)
{
    const struct ebb_onejob_rules *r = &o->rules;
    double end_s = r->work_s + n * r->restart_s + o->idle_max[n] * r->gap_s;
    double most = -1;
    for (int from = 0; from < FROM_COUNT; from++)
        for (int first = 0; first < 3; first++)
            for (int second = 0; second < 3; second++)
                most = fmax(most, tail_value(o, n, (enum tail_from)from, (enum ebb_instance)first,
                                             (enum ebb_instance)second, end_s));
    return most;
}

double ebb_oracle_usd(struct ebb_oracle *o, size_t start)
{
    const struct ebb_onejob_rules *r = &o->rules;
    double on_demand = r->on_demand_usd_per_hour / 3600, spot = r->spot_usd_per_hour / 3600;
    double best = on_demand * (r->work_s + r->restart_s);
    if (spot >= on_demand)
        return best;
    assert(start + ebb_onejob_ticks(r) <= o->len);
    o->start = start;
    o->body = (uint32_t)fmax(0, floor(r->deadline_s / r->gap_s + 1e-9) - 1);
    find_nodes(o);
    add_overtaken_ends(o);
    size_tables(o);
    fill_tables(o);
    for (unsigned n = r->restart_s > 0 ? 1 : 0; n <= o->n_max; n++) {
        double billed_s = r->work_s + n * r->restart_s;
        double spot_s = most_spot_s(o, n);
        if (spot_s < 0)
            continue;
        spot_s = fmin(spot_s, billed_s);
        best = fmin(best, spot * spot_s + on_demand * (billed_s - spot_s));
    }
    return best;
}
