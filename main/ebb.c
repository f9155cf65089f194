/* The one program: client, scheduler, agent and emulator by subcommand. This table is the only
 * place that sees them all. */
#include "base/options.h"
#include "main/commands.h"

static const struct ebb_command *const commands[] = {
    &ebb_command_plan,
    &ebb_command_submit,
    &ebb_command_status,
    &ebb_command_jobs,
    &ebb_command_explain,
    &ebb_command_logs,
    &ebb_command_wait,
    &ebb_command_cancel,
    &ebb_command_retry,
    &ebb_command_fetch,
    &ebb_command_report,
    &ebb_command_verify,
    &ebb_command_events,
    &ebb_command_simulate,
    &ebb_command_checkpoint_ls,
    &ebb_command_checkpoint_show,
    &ebb_command_checkpoint_verify,
    &ebb_command_checkpoint_restore,
    &ebb_command_profile_test,
    &ebb_command_profile_show,
    &ebb_command_pack,
    &ebb_command_unpack,
    &ebb_command_hazards,
    &ebb_command_hazards_export,
    &ebb_command_hazards_import,
    &ebb_command_fit,
    &ebb_command_prices,
    &ebb_command_prices_import,
    &ebb_command_prices_export,
    &ebb_command_doctor,
    &ebb_command_scheduler,
    &ebb_command_agent,
    &ebb_command_emulate,
    &ebb_command_stop,
    NULL,
};

int main(int argc, char **argv)
{
    return ebb_commands_main(commands, argc, argv);
}
