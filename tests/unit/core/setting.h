/* A bag, a market of a few offers, and the plan made of them. */
#ifndef EBB_TESTS_CORE_SETTING_H
#define EBB_TESTS_CORE_SETTING_H

#include "tests/unit/core/world.h"

struct setting {
    struct world w;
    struct ebb_policy policy;
    Ebb__Offer offers[8];
    size_t offer_count;
    struct ebb_plan plan;
};

/* The bag is "b-1". */
static inline struct setting setting_new(const char *yaml)
{
    struct setting t = {.w = world_new()};
    ebb_policy_default(&t.policy);
    world_submit(&t.w, "b-1", yaml);
    return t;
}

static inline void setting_destroy(struct setting *t)
{
    ebb_plan_clean_up(&t->plan);
    world_destroy(&t->w);
}

static inline void add_offer(struct setting *t, const char *type, const char *zone, bool spot,
                             double cpus, int64_t usd_micros)
{
    t->offers[t->offer_count++] = world_offer(type, zone, spot, cpus, usd_micros);
}

/* Plans anew at w.now. */
static inline void plan(struct setting *t)
{
    const Ebb__Offer *offers[8];
    for (size_t i = 0; i < t->offer_count; i++)
        offers[i] = &t->offers[i];
    struct ebb_plan_input in = {.state = t->w.s,
                                .offers = offers,
                                .offer_count = t->offer_count,
                                .policy = &t->policy,
                                .now_wall_ns = t->w.now,
                                .random = 0.5};
    ebb_plan_clean_up(&t->plan);
    ebb_plan(&in, &t->plan);
}

#endif
