/* Stretches of steps that follow each other. */
#include "agent/pace.h"

#define JUMP        10.0 /* a move so many times as fast as those before it is none of the engine's */
#define LEAST_MOVES 2u

static double pace_s(const struct ebb_pace *p)
{
    return p->seen_s - p->from_s;
}

static void end_stretch(struct ebb_pace *p)
{
    if (p->moves >= LEAST_MOVES) {
        p->steps_past += p->step - p->from_step;
        p->seconds_past += pace_s(p);
    }
    p->is_moving = false;
    p->moves = 0;
}

static void begin_stretch(struct ebb_pace *p, int64_t step, double run_s)
{
    p->is_moving = true;
    p->from_step = step;
    p->from_s = run_s;
}

static bool is_jump(const struct ebb_pace *p, int64_t step, double run_s)
{
    double steps = (double)(step - p->step), seconds = run_s - p->seen_s;
    return p->moves >= LEAST_MOVES &&
           steps * pace_s(p) > JUMP * seconds * (double)(p->step - p->from_step);
}

void ebb_pace_see(struct ebb_pace *p, int64_t step, double run_s)
{
    if (step < 0 || (p->is_known && step == p->step))
        return;
    if (p->is_known && step > p->step && p->is_moving && is_jump(p, step, run_s)) {
        end_stretch(p);
        begin_stretch(p, step, run_s);
    } else if (p->is_known && step > p->step && !p->is_moving) {
        begin_stretch(p, step, run_s);
    } else if (p->is_known && step > p->step) {
        p->moves++;
    } else {
        end_stretch(p);
    }
    p->is_known = true;
    p->step = step;
    p->seen_s = run_s;
}

bool ebb_pace_tell(const struct ebb_pace *p, double run_s, int64_t *ret_steps, double *ret_s)
{
    int64_t steps = p->steps_past;
    double seconds = p->seconds_past;
    if (p->is_moving && p->moves >= LEAST_MOVES) {
        double overdue_s = (run_s - p->from_s) * p->moves / (p->moves + 1);
        steps += p->step - p->from_step;
        seconds += overdue_s > pace_s(p) ? overdue_s : pace_s(p);
    }
    if (steps <= 0 || !(seconds > 0))
        return false;
    *ret_steps = steps;
    *ret_s = seconds;
    return true;
}
