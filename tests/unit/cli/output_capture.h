/* What a command writes, caught through the descriptors. */
#ifndef EBB_TESTS_UNIT_CLI_OUTPUT_CAPTURE_H
#define EBB_TESTS_UNIT_CLI_OUTPUT_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/options.h"

/* Parses and runs the command with argv (NULL-terminated); stdout and stderr go to `out`. */
static inline int run_command(const struct ebb_command *command, char **argv,
                              struct ebb_buffer *out)
{
    char path[] = "/tmp/ebb-out-XXXXXX";
    int fd = mkstemp(path), argc = 0, status = -1;
    struct ebb_error err = {0};
    (void)fflush(NULL);
    int saved_out = dup(1), saved_err = dup(2);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        abort();
    while (argv[argc] != NULL)
        argc++;
    status = ebb_options_parse(command, argc, argv, &argc, &err) < 0 ? ebb_command_fail(&err)
                                                                     : command->run(argc, argv);
    (void)fflush(NULL);
    if (dup2(saved_out, 1) < 0 || dup2(saved_err, 2) < 0)
        abort();
    (void)close(saved_out);
    (void)close(saved_err);
    (void)close(fd);
    ebb_buffer_reset(out);
    (void)ebb_file_read(path, 1 << 20, out, NULL);
    (void)unlink(path);
    return status;
}

#endif
