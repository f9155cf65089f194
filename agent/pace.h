/* How fast an engine makes its steps, told apart from its start-up.
 *
 * Fed with each look at the step. An attempt's first moves tell nothing: the first lines may be
 * those of an earlier attempt, or begin at 0 before the engine has read its state, and the first
 * step holds compilation and the like. So a stretch begins at the second step that is seen, and a
 * step that goes back, or is gained far quicker than those before, ends it. The time since the last
 * move counts as far as a move is overdue: an engine that stands still gets slower. */
#ifndef EBB_AGENT_PACE_H
#define EBB_AGENT_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct ebb_pace {
    int64_t step; /* seen last */
    double seen_s;
    bool is_known;  /* a step has been seen */
    bool is_moving; /* ... and another: a stretch is under way, */
    int64_t from_step;
    double from_s;
    uint32_t moves;     /* of so many moves */
    int64_t steps_past; /* of stretches before */
    double seconds_past;
};

/* The step (-1: unknown) after so many useful seconds. */
void ebb_pace_see(struct ebb_pace *p, int64_t step, double run_s);
/* False: nothing can be said yet. */
bool ebb_pace_tell(const struct ebb_pace *p, double run_s, int64_t *ret_steps, double *ret_s);

#endif
