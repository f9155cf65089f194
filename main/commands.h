/* Every command, each defined in the folder that owns it. */
#ifndef EBB_MAIN_COMMANDS_H
#define EBB_MAIN_COMMANDS_H

#include "base/options.h"

/* cli/ */
extern const struct ebb_command ebb_command_plan;
extern const struct ebb_command ebb_command_submit;
extern const struct ebb_command ebb_command_status;
extern const struct ebb_command ebb_command_jobs;
extern const struct ebb_command ebb_command_explain;
extern const struct ebb_command ebb_command_logs;
extern const struct ebb_command ebb_command_wait;
extern const struct ebb_command ebb_command_cancel;
extern const struct ebb_command ebb_command_retry;
extern const struct ebb_command ebb_command_fetch;
extern const struct ebb_command ebb_command_report;
extern const struct ebb_command ebb_command_verify;
extern const struct ebb_command ebb_command_events;
extern const struct ebb_command ebb_command_simulate;
extern const struct ebb_command ebb_command_checkpoint_ls;
extern const struct ebb_command ebb_command_checkpoint_show;
extern const struct ebb_command ebb_command_checkpoint_verify;
extern const struct ebb_command ebb_command_checkpoint_restore;
extern const struct ebb_command ebb_command_hazards;
extern const struct ebb_command ebb_command_hazards_export;
extern const struct ebb_command ebb_command_hazards_import;
extern const struct ebb_command ebb_command_doctor;
extern const struct ebb_command ebb_command_stop;
extern const struct ebb_command ebb_command_pack;
extern const struct ebb_command ebb_command_unpack;
extern const struct ebb_command ebb_command_fit;
extern const struct ebb_command ebb_command_prices;
extern const struct ebb_command ebb_command_prices_import;
extern const struct ebb_command ebb_command_prices_export;
/* agent/ */
extern const struct ebb_command ebb_command_agent;
extern const struct ebb_command ebb_command_profile_test;
extern const struct ebb_command ebb_command_profile_show;
/* scheduler/ */
extern const struct ebb_command ebb_command_scheduler;
/* cloud/emulator/ */
extern const struct ebb_command ebb_command_emulate;

#endif
