/* When the cloud takes VMs back: exact times, lifetimes, traces. */
#ifndef EBB_CLOUD_EMULATOR_REVOKE_H
#define EBB_CLOUD_EMULATOR_REVOKE_H

#include "cloud/emulator/fleet.h"

struct ebb_emulator;
struct ebb_guest;

/* Sets the timers of what is tied to the emulator's start, and of the traces. */
void ebb_revoke_start(struct ebb_emulator *e);
/* The VM has come to this phase: sets the timers of what is tied to that. */
void ebb_revoke_on_phase(struct ebb_guest *vm, enum ebb_fleet_phase phase);
/* Draws the VM's lifetime, which counts from now. */
void ebb_revoke_start_lifetime(struct ebb_guest *vm);
/* No launch here now, by a trace or after a revocation of the zone. */
bool ebb_revoke_is_unavailable(struct ebb_emulator *e, int zone, int type);

#endif
