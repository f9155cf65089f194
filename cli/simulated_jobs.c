/* Options to the simulator's own. */
#include "cli/simulated_jobs.h"

#include "base/text.h"

#define MOST_SHARE 10.0

int ebb_simulated_share(const char *name, const char *text, double otherwise, double *ret,
                        struct ebb_error *err)
{
    *ret = otherwise;
    if (text != NULL &&
        (ebb_parse_double(text, ret, err) < 0 || !(*ret >= 0 && *ret <= MOST_SHARE)))
        return ebb_error_set(err, EBB_ERR_INPUT, "--%s %s: a number from 0 to %g", name, text,
                             MOST_SHARE);
    return 0;
}

int ebb_simulated_jobs_apply(const struct ebb_simulated_jobs *jobs, double spread,
                             struct ebb_simulation_options *to, struct ebb_error *err)
{
    if (jobs->time_s > 0)
        to->jobs.run_s = to->policy.default_job_s = jobs->time_s;
    if (jobs->start_s > 0)
        to->jobs.start_s = jobs->start_s;
    if (jobs->checkpoint_s > 0)
        to->jobs.write_s = jobs->checkpoint_s;
    if (jobs->max_vms > 0)
        to->policy.max_vms = (uint32_t)jobs->max_vms;
    return ebb_simulated_share("job-spread", jobs->spread, spread, &to->jobs.spread, err);
}
