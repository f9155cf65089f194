/* Commands of this folder that have not landed yet; each leaves this file when it does. */
#include "base/options.h"

static int pending(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}

extern const struct ebb_command ebb_command_profile_test;
const struct ebb_command ebb_command_profile_test = {
    .name = "profile test", .summary = "not landed yet", .hidden = true, .run = pending};

extern const struct ebb_command ebb_command_profile_show;
const struct ebb_command ebb_command_profile_show = {
    .name = "profile show", .summary = "not landed yet", .hidden = true, .run = pending};
