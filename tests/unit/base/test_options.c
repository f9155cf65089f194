/* Option tables: parsing, help, dispatch, completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/options.h"
#include "base/text.h"

static struct {
    bool dry_run;
    bool verbose;
    const char *fleet;
    int64_t count, rank;
    double time_s, pause_s;
    const char *cloud;
    int ran;
    int argc;
    const char *first;
} got;

static const char *const clouds[] = {"emulated", "aws", NULL};

static const struct ebb_option submit_options[] = {
    {.name = "dry-run",
     .letter = 'n',
     .target = &got.dry_run,
     .help = "Show the plan | stop there."},
    {.name = "verbose", .letter = 'v', .target = &got.verbose, .help = "Say more."},
    {.name = "fleet",
     .kind = EBB_OPTION_TEXT,
     .target = &got.fleet,
     .value = "FLEET.yaml",
     .help = "The emulated cloud's file, which states zones, VM types, prices, capacity, boot time "
             "and revocations."},
    {.name = "count",
     .letter = 'c',
     .kind = EBB_OPTION_INT,
     .target = &got.count,
     .help = "How many."},
    {.name = "time", .kind = EBB_OPTION_DURATION, .target = &got.time_s, .help = "How long."},
    {.name = "rank",
     .kind = EBB_OPTION_INT,
     .target = &got.rank,
     .least = 0,
     .most = 31,
     .help = "Which."},
    {.name = "pause",
     .kind = EBB_OPTION_DURATION,
     .target = &got.pause_s,
     .least = 1,
     .help = "How long in between."},
    {.name = "cloud",
     .kind = EBB_OPTION_CHOICE,
     .target = &got.cloud,
     .choices = clouds,
     .help = "Where."},
    {.name = NULL},
};

static int run(int argc, char **argv)
{
    got.ran++;
    got.argc = argc;
    got.first = argc > 0 ? argv[0] : NULL;
    return 40 + argc;
}

static const struct ebb_command submit = {
    .name = "submit",
    .arguments = "BAG.yaml [DIR]",
    .summary = "Submit a bag of jobs",
    .details = "Before spending, it shows what it will do.\n  ebb submit --watch bag.yaml",
    .options = submit_options,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
static const struct ebb_command ls = {
    .name = "checkpoint ls", .summary = "List checkpoints", .max_arguments = SIZE_MAX, .run = run};
static const struct ebb_command show = {
    .name = "checkpoint show", .summary = "Show one", .max_arguments = SIZE_MAX, .run = run};
static const struct ebb_command secret = {
    .name = "agent", .summary = "On the VM", .hidden = true, .max_arguments = SIZE_MAX, .run = run};
static const struct ebb_option prices_options[] = {
    {.name = "sort",
     .kind = EBB_OPTION_CHOICE,
     .target = &got.cloud,
     .choices = clouds,
     .help = "How."},
    {.name = "plot", .kind = EBB_OPTION_TEXT, .target = &got.fleet, .value = "OUT.svg", .help = ""},
    {.name = NULL},
};
static const struct ebb_command prices = {
    .name = "prices", .summary = "List prices", .options = prices_options, .run = run};
static const struct ebb_command import = {
    .name = "prices import", .arguments = "FILE", .summary = "Take some", .run = run};
static const struct ebb_command *const table[] = {&submit, &ls,     &show, &secret,
                                                  &prices, &import, NULL};

static int parse(const char *line, char **argv, int *ret_argc, struct ebb_error *err)
{
    static char copy[256];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    memset(&got, 0, sizeof(got));
    int argc = 0;
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return ebb_options_parse(&submit, argc, argv, ret_argc, err);
}

static void options_and_arguments_come_in_any_order(void **state)
{
    (void)state;
    char *argv[16];
    int argc = 0;
    struct ebb_error err;
    assert_int_equal(
        parse("a.yaml --fleet f.yaml -vc3 --time=1h30m out --cloud aws", argv, &argc, &err), 0);
    assert_int_equal(argc, 2);
    assert_string_equal(argv[0], "a.yaml");
    assert_string_equal(argv[1], "out");
    assert_string_equal(got.fleet, "f.yaml");
    assert_true(got.verbose && !got.dry_run && got.count == 3 && got.time_s == 5400);
    assert_string_equal(got.cloud, "aws");
    assert_int_equal(parse("-nv -c -7 -- --fleet -", argv, &argc, &err), 0);
    assert_true(got.dry_run && got.verbose && got.count == -7);
    assert_int_equal(argc, 2);
    assert_string_equal(argv[0], "--fleet");
    assert_string_equal(argv[1], "-");
}

static void check_refused(const char *line, const char *want)
{
    char *argv[16];
    int argc = 99;
    struct ebb_error err;
    assert_int_equal(parse(line, argv, &argc, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, want);
    assert_int_equal(argc, 99);
}

static void wrong_use_is_refused_with_advice(void **state)
{
    (void)state;
    check_refused("a --dryrun", "unknown option '--dryrun', did you mean '--dry-run'?");
    check_refused("a --xyzzy=3", "unknown option '--xyzzy'");
    check_refused("a -q", "unknown option '-q'");
    check_refused("a --dry-run=yes", "--dry-run takes no value");
    check_refused("a --fleet", "--fleet needs a value: --fleet FLEET.yaml");
    check_refused("a -c x", "--count: 'x' is no whole number");
    check_refused("a --cloud asw",
                  "--cloud: unknown 'asw', did you mean 'aws'? (one of emulated, aws)");
    check_refused("", "missing argument: ebb submit BAG.yaml [DIR]");
    check_refused("a b c", "unexpected argument 'c'");
    check_refused("a --rank 32", "--rank: '32' is not from 0 to 31");
    check_refused("a --rank=-1", "--rank: '-1' is not from 0 to 31");
    check_refused("a --pause 0s", "--pause: '0s' is not more than nothing");
    check_refused("a --fleet=", "--fleet: the value is empty");
}

static void an_empty_word_is_a_variable_that_was_not_set(void **state)
{
    (void)state;
    char empty[] = "", bag[] = "a", *argv[] = {bag, empty};
    int argc = 99;
    struct ebb_error err;
    assert_int_equal(ebb_options_parse(&submit, 2, argv, &argc, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "an argument is empty: ebb submit BAG.yaml [DIR]");
    assert_int_equal(argc, 99);
}

static void help_is_asked_for_anywhere(void **state)
{
    (void)state;
    char *argv[16];
    int argc;
    struct ebb_error err;
    assert_int_equal(parse("--help", argv, &argc, &err), EBB_ERR_CANCELLED);
    assert_int_equal(parse("a -h", argv, &argc, &err), EBB_ERR_CANCELLED);
    assert_int_equal(parse("a -- --help", argv, &argc, &err), 0);
}

static void help_tells_every_option_within_80_columns(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_options_help(&submit, &out);
    const char *text = ebb_buffer_text(&out);
    assert_true(ebb_starts_with(text, "usage: ebb submit [OPTION...] BAG.yaml [DIR]\n"));
    assert_non_null(strstr(text, "\n  ebb submit --watch bag.yaml\n"));
    assert_non_null(strstr(text, "  -n, --dry-run           Show the plan"));
    assert_non_null(strstr(text, "--cloud emulated|aws"));
    assert_non_null(strstr(text, "-h, --help"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 0, 80);
}

static void details_are_filled_anew_but_for_indented_lines(void **state)
{
    (void)state;
    struct ebb_buffer out = {0};
    const struct ebb_command command = {
        .name = "wrap",
        .summary = "Show how text is filled",
        .details =
            "One line that was broken\nby hand, and goes on for so long that it must be broken "
            "again\nelsewhere.\n\nAnother\nparagraph.\n  an   example\n  two\nThe end."};
    ebb_options_help(&command, &out);
    assert_non_null(
        strstr(ebb_buffer_text(&out),
               "\nOne line that was broken by hand, and goes on for so long that it must "
               "be broken\nagain elsewhere.\n\nAnother paragraph.\n  an   example\n  "
               "two\nThe end.\n\noptions:"));
    ebb_buffer_clean_up(&out);
}

static void the_markdown_page_has_a_row_for_each_option(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_options_markdown(&submit, &out);
    const char *text = ebb_buffer_text(&out);
    assert_true(ebb_starts_with(text, "# ebb submit\n\nSubmit a bag of jobs.\n"));
    assert_non_null(strstr(text, "| `-n, --dry-run` | Show the plan \\| stop there. |\n"));
    assert_non_null(strstr(text, "| `--cloud emulated\\|aws` | Where. |\n"));
    assert_non_null(strstr(text, "```\nebb submit --watch bag.yaml\n```\n"));
}

/* Runs `ebb LINE` with stdout and stderr in `out`; returns the exit status. */
static int dispatch(const char *line, struct ebb_buffer *out)
{
    char copy[256];
    (void)snprintf(copy, sizeof(copy), "ebb %s", line);
    char *argv[16];
    int argc = 0;
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    memset(&got, 0, sizeof(got));
    char path[] = "/tmp/ebb-options-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)fflush(stdout);
    (void)fflush(stderr);
    int saved_out = dup(1), saved_err = dup(2);
    assert_true(dup2(fd, 1) == 1 && dup2(fd, 2) == 2);
    int status = ebb_commands_main(table, argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(saved_out, 1) == 1 && dup2(saved_err, 2) == 2);
    (void)close(saved_out);
    (void)close(saved_err);
    (void)close(fd);
    ebb_buffer_reset(out);
    assert_int_equal(ebb_file_read(path, 1 << 20, out, NULL), 0);
    (void)unlink(path);
    return status;
}

static void commands_of_one_and_two_words_run(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(dispatch("submit -n a.yaml", &out), 41);
    assert_true(got.ran == 1 && got.argc == 1 && got.dry_run);
    assert_int_equal(dispatch("checkpoint ls x y", &out), 42);
    assert_int_equal(got.argc, 2);
    assert_int_equal(dispatch("agent", &out), 40);
}

static void help_has_all_its_ways(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    static const char *const ways[] = {"help submit", "submit --help", "--help submit",
                                       "submit -h"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(ways); i++) {
        assert_int_equal(dispatch(ways[i], &out), 0);
        assert_true(ebb_starts_with(ebb_buffer_text(&out), "usage: ebb submit"));
    }
    assert_int_equal(got.ran, 0);
    assert_int_equal(dispatch("help", &out), 0);
    assert_non_null(strstr(ebb_buffer_text(&out), "  checkpoint ls         List checkpoints\n"));
    assert_null(strstr(ebb_buffer_text(&out), "agent"));
    assert_int_equal(dispatch("help --help", &out), 0);
    assert_true(ebb_starts_with(ebb_buffer_text(&out), "usage: ebb COMMAND"));
    assert_int_equal(dispatch("completion --help", &out), 0);
    assert_true(ebb_starts_with(ebb_buffer_text(&out), "usage: ebb COMMAND"));
    assert_int_equal(dispatch("help checkpoint", &out), 0);
    assert_null(strstr(ebb_buffer_text(&out), "submit"));
    assert_int_equal(dispatch("checkpoint --help", &out), 0);
    assert_int_equal(dispatch("help checkpoint show", &out), 0);
    assert_true(ebb_starts_with(ebb_buffer_text(&out), "usage: ebb checkpoint show\n"));
    assert_int_equal(dispatch("--version", &out), 0);
    assert_string_equal(ebb_buffer_text(&out), "ebb " EBB_VERSION "\n");
}

static void wrong_use_exits_with_2(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(dispatch("", &out), 2);
    assert_int_equal(dispatch("checkpoint", &out), 2);
    assert_int_equal(dispatch("sumbit", &out), 2);
    assert_string_equal(ebb_buffer_text(&out),
                        "error: unknown command 'sumbit', did you mean 'submit'?\n");
    assert_int_equal(dispatch("checkpoint shwo", &out), 2);
    assert_string_equal(ebb_buffer_text(&out),
                        "error: unknown command 'checkpoint shwo', did you mean 'checkpoint "
                        "show'?\n");
    assert_int_equal(dispatch("help nonsense", &out), 2);
    assert_int_equal(dispatch("submit --nope a", &out), 2);
    assert_string_equal(ebb_buffer_text(&out),
                        "error: unknown option '--nope'\nsee 'ebb submit --help'\n");
    assert_int_equal(got.ran, 0);
}

/* In a process of its own, for stdout remembers that it failed. */
static int status_with_stdout(int fd, const char *line)
{
    char copy[64];
    (void)snprintf(copy, sizeof(copy), "%s", line);
    char name[] = "ebb", *argv[] = {name, copy};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        if (fd < 0)
            (void)close(1);
        else
            (void)dup2(fd, 1);
        _exit(ebb_commands_main(table, 2, argv));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void output_that_is_lost_fails_the_command(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY);
    (void)fflush(stdout);
    assert_true(full >= 0 && null >= 0);
    assert_int_equal(status_with_stdout(null, "help"), 0);
    assert_int_equal(status_with_stdout(full, "help"), 1);
    assert_int_equal(status_with_stdout(-1, "help"), 1);
    (void)close(full);
    (void)close(null);
}

static void no_file_is_opened_in_the_place_of_a_closed_stdout(void **state)
{
    (void)state;
    (void)fflush(stdout);
    int saved = dup(1);
    (void)close(1);
    char name[] = "ebb", command[] = "agent", *argv[] = {name, command};
    int status = ebb_commands_main(table, 2, argv), fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(saved, 1);
    (void)close(saved);
    (void)close(fd);
    assert_int_equal(status, 40);
    assert_true(fd > 2);
}

/* What bash offers for the words of `line`, the last of them being completed. */
static void check_completion(const char *folder, const char *line, const char *want)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer script = {0};
    ebb_commands_completion(table, &script);
    ebb_buffer_printf(&script,
                      "\ncd %s && COMP_WORDS=(%s) && COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) && "
                      "_ebb && printf '%%s\\n' \"${COMPREPLY[@]}\" | sort | tr '\\n' ' '\n",
                      folder, line);
    EBB_AUTO_FREE char *path = ebb_path_join(folder, ".script");
    assert_int_equal(ebb_file_write_atomic(path, script.data, script.len, 0600, NULL), 0);
    EBB_AUTO_FREE char *command = ebb_sprintf("bash --norc %s 2>&1", path);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    char text[512] = {0};
    size_t n = fread(text, 1, sizeof(text) - 1, p);
    assert_int_equal(pclose(p), 0);
    while (n > 0 && text[n - 1] == ' ')
        text[--n] = '\0';
    assert_string_equal(text, want);
}

static void bash_completes_commands_options_choices_and_paths(void **state)
{
    (void)state;
    char folder[] = "/tmp/ebb-complete-XXXXXX";
    assert_non_null(mkdtemp(folder));
    EBB_AUTO_FREE char *bag = ebb_path_join(folder, "bag.yaml"),
                       *other = ebb_path_join(folder, "b.txt");
    EBB_AUTO_FREE char *sub = ebb_path_join(folder, "bsub");
    assert_int_equal(ebb_file_write_atomic(bag, "", 0, 0600, NULL), 0);
    assert_int_equal(ebb_file_write_atomic(other, "", 0, 0600, NULL), 0);
    assert_int_equal(mkdir(sub, 0700), 0);
    check_completion(folder, "ebb s", "submit");
    check_completion(folder, "ebb ch", "checkpoint");
    check_completion(folder, "ebb checkpoint ''", "ls show");
    check_completion(folder, "ebb help checkpoint s", "show");
    check_completion(folder, "ebb submit --d", "--dry-run");
    check_completion(folder, "ebb submit --cloud ''", "aws emulated");
    check_completion(folder, "ebb submit --cloud = e", "emulated");
    check_completion(folder, "ebb submit --fleet b", "bag.yaml bsub");
    check_completion(folder, "ebb submit b", "bag.yaml bsub");
    check_completion(folder, "ebb submit -c ''", "");
    check_completion(folder, "ebb checkpoint ls --", "--help");
    check_completion(folder, "ebb prices ''", "import");
    check_completion(folder, "ebb prices --s", "--sort");
    check_completion(folder, "ebb prices --sort e", "emulated");
    check_completion(folder, "ebb prices --sort aws --p", "--plot");
    check_completion(folder, "ebb prices --plot b", "b.txt bag.yaml bsub");
    check_completion(folder, "ebb prices import b", "b.txt bag.yaml bsub");
    assert_int_equal(ebb_remove_tree(folder, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_come_in_any_order),
        cmocka_unit_test(wrong_use_is_refused_with_advice),
        cmocka_unit_test(an_empty_word_is_a_variable_that_was_not_set),
        cmocka_unit_test(help_is_asked_for_anywhere),
        cmocka_unit_test(help_tells_every_option_within_80_columns),
        cmocka_unit_test(details_are_filled_anew_but_for_indented_lines),
        cmocka_unit_test(the_markdown_page_has_a_row_for_each_option),
        cmocka_unit_test(commands_of_one_and_two_words_run),
        cmocka_unit_test(help_has_all_its_ways),
        cmocka_unit_test(wrong_use_exits_with_2),
        cmocka_unit_test(output_that_is_lost_fails_the_command),
        cmocka_unit_test(no_file_is_opened_in_the_place_of_a_closed_stdout),
        cmocka_unit_test(bash_completes_commands_options_choices_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
