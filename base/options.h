/* Commands and their options: one table makes parsing, --help, docs/commands/ and shell
 * completion. */
#ifndef EBB_BASE_OPTIONS_H
#define EBB_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum ebb_option_kind {
    EBB_OPTION_FLAG,     /* bool *      */
    EBB_OPTION_TEXT,     /* const char ** (points into argv) */
    EBB_OPTION_INT,      /* int64_t *   */
    EBB_OPTION_DURATION, /* double *, seconds */
    EBB_OPTION_CHOICE,   /* const char **, one of choices */
    EBB_OPTION_TEXTS,    /* struct ebb_option_texts *: the words up to the next option */
};

/* Values of an option that takes several; the option may be given again, and adds to them. */
struct ebb_option_texts {
    const char **items; /* the array is the parser's, the texts point into argv */
    size_t count;
};

struct ebb_option {
    const char *name; /* "dry-run": used as --dry-run */
    char letter;      /* 'f' for -f, or 0 */
    enum ebb_option_kind kind;
    void *target; /* static storage of the command's file; set to its default before parsing */
    const char
        *value; /* placeholder in help: "FILE"; "file" and "dir" placeholders complete paths */
    const char *help;           /* one or more sentences */
    const char *const *choices; /* NULL-terminated, for EBB_OPTION_CHOICE */
    /* Of EBB_OPTION_INT: what is taken; both 0: any number. Of EBB_OPTION_DURATION: least 1 takes
     * nothing that is not over 0. */
    int64_t least, most;
};

struct ebb_command {
    const char *name;                 /* "submit"; "checkpoint ls" for a second level */
    const char *arguments;            /* "BAG.yaml", "[BAG]", "JOB..." */
    const char *summary;              /* one line, no full stop */
    const char *details;              /* paragraphs, may be NULL */
    const struct ebb_option *options; /* ends with name == NULL; may be NULL */
    size_t min_arguments;
    size_t max_arguments; /* SIZE_MAX: any number */
    bool hidden;          /* not in `ebb help` */
    /* argv holds the positional arguments alone. Returns the process exit status. */
    int (*run)(int argc, char **argv);
};

/* Sets option targets and moves positional arguments to the front of argv (*ret_argc of them).
 * "--" ends options. EBB_ERR_INPUT names the nearest option. EBB_ERR_CANCELLED: --help was given,
 * print the help and exit 0. Empty words are faults: they are variables that were not set. */
int ebb_options_parse(const struct ebb_command *command, int argc, char **argv, int *ret_argc,
                      struct ebb_error *err);
void ebb_options_help(const struct ebb_command *command, struct ebb_buffer *out);
/* The command's page for docs/commands/, in Markdown. */
void ebb_options_markdown(const struct ebb_command *command, struct ebb_buffer *out);
/* Dispatch: finds the command (one or two words), parses, runs. Prints errors on stderr, exit
 * status as in ebb_code_exit_status. commands ends with NULL. Handles help, --help, --version. */
int ebb_commands_main(const struct ebb_command *const *commands, int argc, char **argv);
void ebb_commands_completion(const struct ebb_command *const *commands, struct ebb_buffer *out);

/* "error: ..." on stderr; returns ebb_code_exit_status(err->code). */
int ebb_command_fail(const struct ebb_error *err);

#endif
