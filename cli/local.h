/* The long-running parts, started on this machine when a command needs them: the scheduler, and
 * for local use the emulated cloud. They outlive the command and end by themselves when there is
 * nothing left to do. */
#ifndef EBB_CLI_LOCAL_H
#define EBB_CLI_LOCAL_H

#include <stdbool.h>

#include "base/error.h"

struct ebb_local_options {
    const char *cloud; /* "emulated", "aws"; NULL: as before, else emulated */
    const char *fleet; /* the emulated cloud's file; NULL: as before, else the one it ships */
};

/* Makes sure that the parts run, starts what does not, says on stderr what it started, and sets
 * this process's environment so that cloud/ finds the same cloud. What was chosen is remembered in
 * the state folder. EBB_ERR_INPUT when other parts run than are asked for. */
int ebb_local_start(const struct ebb_local_options *o, struct ebb_error *err);
/* The same with what was remembered. */
int ebb_local_restart(struct ebb_error *err);
/* Points this process to the emulated cloud, when that is the one in use; starts it when it does
 * not run. Commands that read the store call it. */
int ebb_local_use_cloud(struct ebb_error *err);
bool ebb_local_is_emulated(void);
/* Ends the emulated cloud (SIGTERM) if it runs, and waits for it; true when one was told to. */
bool ebb_local_stop_emulator(void);

#endif
