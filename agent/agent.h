/* The program on a VM: takes leases, runs attempts, watches for the notice, ends the VM. */
#ifndef EBB_AGENT_AGENT_H
#define EBB_AGENT_AGENT_H

#include "agent/config.h"
#include "base/error.h"

/* Runs until the VM is to end: revoked, drained, refused, orphaned. Returns 0 then, or an error
 * when it could not begin. */
int ebb_agent_run(const struct ebb_agent_config *config, struct ebb_error *err);

#endif
