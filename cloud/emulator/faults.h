/* Which faults hold now. */
#ifndef EBB_CLOUD_EMULATOR_FAULTS_H
#define EBB_CLOUD_EMULATOR_FAULTS_H

#include <stdbool.h>

#include "cloud/emulator/fleet.h"

struct ebb_emulator;
struct ebb_exchange;
struct ebb_guest;

/* A request of `action` ("RunInstances", "PUT") meets a fault of this kind: its window is open and
 * its rate says so. zone, type: -1 when the request names none. */
bool ebb_faults_hit(struct ebb_emulator *e, enum ebb_fleet_fault_kind kind,
                    enum ebb_fleet_service service, const char *action, int zone, int type);
bool ebb_faults_vm_is_partitioned(struct ebb_emulator *e, const struct ebb_guest *vm);
/* The VM cannot be described yet. */
bool ebb_faults_vm_is_hidden(struct ebb_emulator *e, const struct ebb_guest *vm);
/* Puts the answer off by latency, and decides whether it gets lost: once a request. */
void ebb_faults_shape_answer(struct ebb_exchange *x, enum ebb_fleet_service service,
                             const char *action);
/* Puts it off by what so many bytes of body take, up or down. */
void ebb_faults_shape_transfer(struct ebb_exchange *x, enum ebb_fleet_service service,
                               const char *action, uint64_t bytes);
void ebb_faults_add(struct ebb_emulator *e, const struct ebb_fleet_fault *fault);

#endif
