/* Commands of this folder that have not landed yet; each leaves this file when it does. */
#include "base/options.h"

static int pending(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}

extern const struct ebb_command ebb_command_checkpoint_ls;
const struct ebb_command ebb_command_checkpoint_ls = {
    .name = "checkpoint ls", .summary = "not landed yet", .hidden = true, .run = pending};

extern const struct ebb_command ebb_command_checkpoint_show;
const struct ebb_command ebb_command_checkpoint_show = {
    .name = "checkpoint show", .summary = "not landed yet", .hidden = true, .run = pending};

extern const struct ebb_command ebb_command_checkpoint_verify;
const struct ebb_command ebb_command_checkpoint_verify = {
    .name = "checkpoint verify", .summary = "not landed yet", .hidden = true, .run = pending};

extern const struct ebb_command ebb_command_checkpoint_restore;
const struct ebb_command ebb_command_checkpoint_restore = {
    .name = "checkpoint restore", .summary = "not landed yet", .hidden = true, .run = pending};
