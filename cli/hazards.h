/* Hazards for the commands that show and move them: from the scheduler, or from a file. */
#ifndef EBB_CLI_HAZARDS_H
#define EBB_CLI_HAZARDS_H

#include "base/memory.h"
#include "proto/wire.pb-c.h"
#include "scheduler/core/hazards.h"

EBB_DEFINE_AUTO_PTR(ebb_hazards_auto, struct ebb_hazards, ebb_hazards_destroy)

/* A file of `ebb hazards export`: "EBBHAZ1\n" and a HazardState. */
int ebb_hazards_file_read(const char *path, Ebb__HazardState **ret, struct ebb_error *err);
int ebb_hazards_file_write(const char *path, const Ebb__HazardState *m, struct ebb_error *err);

/* The scheduler's answer; `import` (may be NULL) is added first. */
int ebb_ask_hazards(Ebb__HazardState *import, const char *source, Ebb__ClientAnswer **ret,
                    struct ebb_error *err);

#endif
