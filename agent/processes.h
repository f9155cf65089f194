/* The processes of an attempt: those of the engine's session, those below them, and those that left
 * both but still carry the attempt's mark in their environment. Reads /proc. */
#ifndef EBB_AGENT_PROCESSES_H
#define EBB_AGENT_PROCESSES_H

#include <stdbool.h>
#include <sys/types.h>

#define EBB_MARK_VARIABLE "EBB_ATTEMPT_ID"

/* Any living (not zombie) process in the session? */
bool ebb_session_is_alive(pid_t session);
/* Sends `signo` to every process of the session. */
void ebb_session_signal(pid_t session, int signo);
/* Kills what is left of an attempt after its first process has been reaped, and reaps what has
 * become a child of this process. Blocks until nothing is left, for at most ten seconds: workers
 * only. `mark` is the value of EBB_ATTEMPT_ID. Returns the number of processes killed. */
int ebb_processes_sweep(pid_t session, const char *mark);

#endif
