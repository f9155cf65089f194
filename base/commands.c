/* Dispatch: from the words of the command line to a command of one or two words. `help`,
 * `completion` and `--version` are built in, so that every table has them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"

#define NEAREST_MAX 128
#define NAME_COLUMN 22

typedef const struct ebb_command *const *command_table;

/* A path that leads nowhere useful is bad use, though it is the system that says so. */
static bool is_bad_path(const struct ebb_error *err)
{
    static const int reasons[] = {EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOTDIR, EPERM, EROFS};
    for (size_t i = 0; err->code == EBB_ERR_IO && i < EBB_ARRAY_LEN(reasons); i++) {
        if (err->sys_errno == reasons[i])
            return true;
    }
    return false;
}

static bool lost_output_told;

int ebb_command_fail(const struct ebb_error *err)
{
    (void)fflush(stdout);
    lost_output_told = err->code == EBB_ERR_IO && ferror(stdout);
    (void)fprintf(stderr, "error: %s\n", err->text);
    return is_bad_path(err) ? ebb_code_exit_status(EBB_ERR_INPUT) : ebb_code_exit_status(err->code);
}

/* A closed descriptor 0, 1 or 2 would be given to the next file that is opened, and that file would
 * get the output. Opened the wrong way round, they fail as closed ones do. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    }
}

/* Says so when stdout did not take all that was printed (a full disk, say), but not to a reader
 * that has seen enough, such as `head`. */
static int finish_output(int status)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    int reason = errno;
    if (!failed && !ferror(stdout))
        return status;
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool reader_gone = reason == EPIPE || (poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0);
    if (!reader_gone && !lost_output_told)
        (void)fprintf(stderr, "error: not all of the output could be written%s%s\n",
                      reason != 0 ? ": " : "", reason != 0 ? strerror(reason) : "");
    return status != 0 ? status : 1;
}

static int print_and_free(struct ebb_buffer *out)
{
    (void)fputs(ebb_buffer_text(out), stdout);
    ebb_buffer_clean_up(out);
    return 0;
}

/* The command whose name is the first two words, else the first; *ret_words says how many. */
static const struct ebb_command *find_command(command_table commands, int argc, char **argv,
                                              int *ret_words)
{
    if (argc == 0)
        return NULL;
    const struct ebb_command *one = NULL;
    EBB_AUTO_FREE char *two = argc > 1 ? ebb_sprintf("%s %s", argv[0], argv[1]) : NULL;
    for (command_table c = commands; *c != NULL; c++) {
        if (two != NULL && strcmp((*c)->name, two) == 0) {
            *ret_words = 2;
            return *c;
        }
        if (strcmp((*c)->name, argv[0]) == 0)
            one = *c;
    }
    *ret_words = 1;
    return one;
}

/* Is `word` the first of a two-word command's name? */
static bool is_group(command_table commands, const char *word)
{
    size_t len = strlen(word);
    for (command_table c = commands; *c != NULL; c++)
        if (strncmp((*c)->name, word, len) == 0 && (*c)->name[len] == ' ')
            return true;
    return false;
}

static void list_commands(command_table commands, const char *group, struct ebb_buffer *out)
{
    for (command_table c = commands; *c != NULL; c++) {
        size_t len = group == NULL ? 0 : strlen(group);
        if ((*c)->hidden ||
            (len > 0 && (strncmp((*c)->name, group, len) != 0 || (*c)->name[len] != ' ')))
            continue;
        ebb_buffer_printf(out, "  %-*s%s\n", NAME_COLUMN, (*c)->name, (*c)->summary);
    }
}

static void general_help(command_table commands, struct ebb_buffer *out)
{
    ebb_buffer_append_text(out,
                           "usage: ebb COMMAND [OPTION...] [ARGUMENT...]\n\n"
                           "Runs bags of molecular-dynamics and training jobs on spot GPU VMs for\n"
                           "the least money that still meets the deadline.\n\ncommands:\n");
    list_commands(commands, NULL, out);
    ebb_buffer_printf(out, "  %-*s%s\n", NAME_COLUMN, "help [COMMAND]",
                      "Show this list, or the help of a command");
    ebb_buffer_printf(out, "  %-*s%s\n", NAME_COLUMN, "completion",
                      "Print completion for bash: source <(ebb completion)");
    ebb_buffer_append_text(out, "\nexit status: 0 done, 1 the job or bag failed, 2 bad input or "
                                "use, 3 the cloud or\nstore refused\n");
}

static void group_help(command_table commands, const char *group, struct ebb_buffer *out)
{
    ebb_buffer_printf(out, "usage: ebb %s COMMAND [OPTION...] [ARGUMENT...]\n\ncommands:\n", group);
    list_commands(commands, group, out);
}

static int unknown_command(command_table commands, int argc, char **argv)
{
    bool group = is_group(commands, argv[0]);
    EBB_AUTO_FREE char *word =
        group && argc > 1 ? ebb_sprintf("%s %s", argv[0], argv[1]) : ebb_strdup(argv[0]);
    const char *names[NEAREST_MAX] = {"help", "completion"};
    size_t count = 2;
    for (command_table c = commands; *c != NULL && count < NEAREST_MAX; c++)
        if (!(*c)->hidden)
            names[count++] = (*c)->name;
    const char *nearest = ebb_nearest_name(word, names, count);
    struct ebb_error err;
    if (nearest != NULL)
        ebb_error_set(&err, EBB_ERR_INPUT, "unknown command '%s', did you mean '%s'?", word,
                      nearest);
    else
        ebb_error_set(&err, EBB_ERR_INPUT, "unknown command '%s': see 'ebb help'", word);
    return ebb_command_fail(&err);
}

static bool is_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int show_help(command_table commands, int argc, char **argv)
{
    bool markdown = argc > 0 && strcmp(argv[0], "--markdown") == 0;
    if (markdown) {
        argc--;
        argv++;
    }
    struct ebb_buffer out = {0};
    int words;
    const struct ebb_command *command = find_command(commands, argc, argv, &words);
    if (command != NULL && markdown)
        ebb_options_markdown(command, &out);
    else if (command != NULL)
        ebb_options_help(command, &out);
    else if (argc == 0 || is_help(argv[0]))
        general_help(commands, &out);
    else if (argc == 1 && is_group(commands, argv[0]))
        group_help(commands, argv[0], &out);
    else
        return unknown_command(commands, argc, argv);
    return print_and_free(&out);
}

static int show_completion(command_table commands, int argc, char **argv)
{
    struct ebb_buffer out = {0};
    struct ebb_error err = {0};
    if (argc > 0 && is_help(argv[0]))
        return show_help(commands, 0, NULL);
    if (argc > 0) {
        ebb_error_set(&err, EBB_ERR_INPUT,
                      "unexpected argument '%s': `ebb completion` prints it for bash", argv[0]);
        return ebb_command_fail(&err);
    }
    ebb_commands_completion(commands, &out);
    return print_and_free(&out);
}

static int run_command(const struct ebb_command *command, int argc, char **argv)
{
    struct ebb_error err = {0};
    int count = 0;
    int rc = ebb_options_parse(command, argc, argv, &count, &err);
    if (rc == EBB_ERR_CANCELLED) {
        struct ebb_buffer out = {0};
        ebb_options_help(command, &out);
        return print_and_free(&out);
    }
    if (rc < 0) {
        int status = ebb_command_fail(&err);
        (void)fprintf(stderr, "see 'ebb %s --help'\n", command->name);
        return status;
    }
    return command->run(count, argv);
}

static int group_alone(command_table commands, int argc, char **argv)
{
    struct ebb_buffer out = {0};
    group_help(commands, argv[0], &out);
    if (argc > 1)
        return print_and_free(&out);
    (void)fputs(ebb_buffer_text(&out), stderr);
    ebb_buffer_clean_up(&out);
    return 2;
}

static int dispatch(command_table commands, int argc, char **argv)
{
    int words;
    const struct ebb_command *command = find_command(commands, argc, argv, &words);
    if (is_help(argv[0]))
        return show_help(commands, argc - 1, argv + 1);
    if (strcmp(argv[0], "--version") == 0)
        return printf("ebb %s\n", EBB_VERSION) > 0 ? 0 : 1;
    if (strcmp(argv[0], "completion") == 0)
        return show_completion(commands, argc - 1, argv + 1);
    if (command != NULL)
        return run_command(command, argc - words, argv + words);
    if (is_group(commands, argv[0]) && (argc == 1 || is_help(argv[1])))
        return group_alone(commands, argc, argv);
    return unknown_command(commands, argc, argv);
}

int ebb_commands_main(const struct ebb_command *const *commands, int argc, char **argv)
{
    hold_standard_descriptors();
    /* A file that grows past a limit is an error to report, not a signal to die by. */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        general_help(commands, &out);
        (void)fputs(ebb_buffer_text(&out), stderr);
        return 2;
    }
    return finish_output(dispatch(commands, argc - 1, argv + 1));
}
