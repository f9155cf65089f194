/* Between local.c and local_emulator.c: one part as a daemon, and what was chosen. */
#ifndef EBB_CLI_LOCAL_PARTS_H
#define EBB_CLI_LOCAL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* The bucket that the emulated cloud has from the start. */
#define EBB_LOCAL_STORE "s3://ebb"

struct ebb_local_choice {
    char *cloud; /* NULL: nothing was chosen yet */
    char *fleet; /* absolute */
};
void ebb_local_choice_read(struct ebb_local_choice *ret);
void ebb_local_choice_clean_up(struct ebb_local_choice *c);

struct ebb_local_part {
    pid_t pid;
    char *log;
    size_t log_from; /* bytes that were in it before */
};
char *ebb_local_own_program(void);
/* Starts argv in a session of its own, its output appended to `log_name` in the state folder. */
int ebb_local_spawn(const char *const *argv, const char *log_name, struct ebb_local_part *ret,
                    struct ebb_error *err);
/* Until ready(ctx) says so; the end of the log is in the error when the part ends before. */
int ebb_local_await(struct ebb_local_part *part, const char *name, bool (*ready)(void *ctx),
                    void *ctx, struct ebb_error *err);
void ebb_local_part_clean_up(struct ebb_local_part *part);
/* Some process has locked the file. */
bool ebb_local_is_locked(const char *path);
/* The part that locks the file while it lives answers. One that is busy, or is just ending, is
 * waited for: false says that none lives, or that it has not answered for long. */
bool ebb_local_answers(const char *lock, bool (*answers)(void *ctx));

/* Adds the words of environment variable `variable` (split at blanks, into *ret_words, which the
 * caller frees and which must outlive argv) after the n arguments there, NULL at the end: the last
 * of an option given twice counts. Returns their number; `size` is that of argv. */
size_t ebb_local_add_options(const char *variable, const char **argv, size_t n, size_t size,
                             char **ret_words);

/* The first line of a file that the emulated cloud wrote into its folder, malloc'ed, or NULL. */
char *ebb_emulator_file(const char *name);
bool ebb_emulator_is_running(void);
/* Runs, or is started, and this process's environment points to it. With `fleet_given`, another
 * fleet than the running one's is refused. */
int ebb_emulator_ensure(const struct ebb_local_choice *c, bool fleet_given, struct ebb_error *err);

#endif
