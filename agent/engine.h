/* Running an engine under its application profile: command lines, environment, start, stop. */
#ifndef EBB_AGENT_ENGINE_H
#define EBB_AGENT_ENGINE_H

#include <sys/types.h>

#include "agent/task.h"
#include "base/buffer.h"
#include "base/error.h"

/* The shell command: the profile's start template, or with `state` (relative path, may be "" where
 * the profile has none) its resume template; the job's resume_command replaces the latter. */
int ebb_engine_command(const struct ebb_task *t, const char *state, struct ebb_buffer *out,
                       struct ebb_error *err);
/* The job's setup command, filled in. */
int ebb_engine_setup_command(const struct ebb_task *t, struct ebb_buffer *out,
                             struct ebb_error *err);
/* The environment of the job's processes: ours without cloud credentials, then the profile's, the
 * group's, EBB_JOB, EBB_ATTEMPT, EBB_CPUS, EBB_PARAM_<name>, OMP_NUM_THREADS unless given; of a
 * gang also EBB_GANG_*, MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK, NODE_RANK.
 * Malloc'ed, NULL-terminated; free with ebb_engine_environment_free. */
char **ebb_engine_environment(const struct ebb_task *t);
void ebb_engine_environment_free(char **environment);
/* Starts a shell with the command in the work directory, in a session of its own, output to the
 * attempt's log. */
int ebb_engine_start(const struct ebb_task *t, const char *command, pid_t *ret_pid,
                     struct ebb_error *err);
/* The profile's stop signal; 0: none, kill at once. */
int ebb_engine_stop_signal(const Ebb__Profile *profile);
double ebb_engine_grace_s(const Ebb__Profile *profile);
/* First line that the profile's version command prints; blocks for at most 20 s (workers). "" when
 * there is none or it fails. `directory` is where it runs. */
void ebb_engine_version(const struct ebb_task *t, const char *directory, char *out, size_t size);

#endif
