/* `ebb profile test`: does a job that is interrupted end like one that is not? The job is run
 * undisturbed twice, which tells whether the engine repeats itself at all, and once interrupted;
 * the outputs are compared by hash.
 *
 *   interrupted = undisturbed                     bitwise
 *   resumed from checkpoints, outputs differ      statistical
 *   never resumed: it started over each time      none
 */
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/stage.h"
#include "agent/trial.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cloud/object_store.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/sweep.h"

#define MAX_INPUT_BYTES (1u << 30)
#define MAX_BAG_BYTES   (16u << 20)

static const char *option_bag;
static const char *option_job;
static int64_t option_interruptions;
static bool option_keep;
static bool option_json;

static const struct ebb_option options[] = {
    {.name = "bag",
     .kind = EBB_OPTION_TEXT,
     .target = &option_bag,
     .value = "FILE",
     .help = "Take the job from this bag instead of the engine's own small one."},
    {.name = "job",
     .kind = EBB_OPTION_TEXT,
     .target = &option_job,
     .value = "NAME",
     .help = "Which job of the bag; the first with the engine when not given."},
    {.name = "interruptions",
     .kind = EBB_OPTION_INT,
     .target = &option_interruptions,
     .least = 1,
     .most = 1000,
     .value = "N",
     .help = "How often it is interrupted, by turns with a notice and without; 3 when not given."},
    {.name = "keep",
     .kind = EBB_OPTION_FLAG,
     .target = &option_keep,
     .help = "Keep the directory with store and attempts, and say where it is."},
    {.name = "json",
     .kind = EBB_OPTION_FLAG,
     .target = &option_json,
     .help = "One JSON value on standard output."},
    {0},
};

struct test {
    const char *engine;
    char *folder;    /* of the bag */
    char *directory; /* scratch */
    struct ebb_buffer bag_text;
    Ebb__BagSpec *spec;
    uint64_t job;
    struct ebb_buffer job_name;
    const Ebb__JobGroup *group;
    const Ebb__Profile *profile;
    struct ebb_trial_result first, second, interrupted;
    size_t compared, differing;
    bool repeats;
    const char *verdict;
};

extern const unsigned char ebb_trial_gromacs[], ebb_trial_lammps[], ebb_trial_pytorch[],
    ebb_trial_command[];
extern const size_t ebb_trial_gromacs_len, ebb_trial_lammps_len, ebb_trial_pytorch_len,
    ebb_trial_command_len;

static bool builtin_bag(const char *engine, struct ebb_buffer *out)
{
    const struct {
        const char *engine;
        const unsigned char *text;
        size_t len;
    } trials[] = {{"gromacs", ebb_trial_gromacs, ebb_trial_gromacs_len},
                  {"lammps", ebb_trial_lammps, ebb_trial_lammps_len},
                  {"pytorch", ebb_trial_pytorch, ebb_trial_pytorch_len},
                  {"command", ebb_trial_command, ebb_trial_command_len}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(trials); i++)
        if (strcmp(trials[i].engine, engine) == 0) {
            ebb_buffer_append(out, trials[i].text, trials[i].len);
            return true;
        }
    return false;
}

static char *find_file(void *ctx, const char *path, size_t *ret_len, struct ebb_error *err)
{
    const struct test *t = ctx;
    EBB_AUTO_FREE char *full = ebb_path_join(t->folder, path);
    struct ebb_buffer text = {0};
    if (ebb_file_read(full, MAX_INPUT_BYTES, &text, err) < 0)
        return NULL;
    *ret_len = text.len;
    return ebb_buffer_take_text(&text);
}

static int read_bag(struct test *t, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    const struct ebb_bag_sources sources = {.file = find_file, .ctx = t};
    int r = 0;
    if (option_bag != NULL) {
        EBB_AUTO_FREE char *copy = ebb_strdup(option_bag);
        t->folder = ebb_strdup(dirname(copy));
        r = ebb_file_read(option_bag, MAX_BAG_BYTES, &t->bag_text, err);
    } else {
        t->folder = ebb_strdup(".");
        if (!builtin_bag(t->engine, &t->bag_text))
            r = ebb_error_set(err, EBB_ERR_INPUT,
                              "no small job is known for engine '%s': name one with --bag FILE",
                              t->engine);
    }
    if (r < 0)
        return r;
    r = ebb_bag_parse(option_bag != NULL ? option_bag : t->engine, ebb_buffer_text(&t->bag_text),
                      t->bag_text.len, &sources, &t->spec, &faults, err);
    if (r < 0)
        fputs(ebb_buffer_text(&faults), stderr);
    return r;
}

static int choose_job(struct test *t, struct ebb_error *err)
{
    uint64_t index = 0;
    if (option_job != NULL) {
        if (!ebb_bag_find_job(t->spec, option_job, &t->job))
            return ebb_error_set(err, EBB_ERR_INPUT, "the bag has no job '%s'", option_job);
        t->group = ebb_bag_group(t->spec, t->job, &index);
    }
    for (size_t i = 0; t->group == NULL && i < t->spec->n_groups; i++)
        if (strcmp(t->spec->groups[i]->engine, t->engine) == 0)
            t->group = t->spec->groups[i];
    if (t->group == NULL || strcmp(t->group->engine, t->engine) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "the bag has no such job of engine '%s'",
                             t->engine);
    if (option_job == NULL)
        t->job = t->group->first_job;
    ebb_job_name(t->group, index, &t->job_name);
    for (size_t i = 0; i < t->spec->n_profiles; i++)
        if (strcmp(t->spec->profiles[i]->name, t->engine) == 0)
            t->profile = t->spec->profiles[i];
    return t->profile != NULL ? 0 : ebb_error_set(err, EBB_ERR_INPUT, "no profile '%s'", t->engine);
}

static int put_input(const struct test *t, struct ebb_object_store *store, Ebb__Input *input,
                     struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(t->folder, input->path);
    char hex[EBB_SHA256_HEX_SIZE];
    if (input->from_group[0] != '\0')
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "the job takes outputs of '%s', which a test does not have",
                             input->from_group);
    int r = ebb_file_read(path, MAX_INPUT_BYTES, &text, err);
    if (r < 0)
        return r;
    free(input->sha256.data);
    input->sha256.data = malloc(EBB_SHA256_SIZE);
    input->sha256.len = EBB_SHA256_SIZE;
    input->size_bytes = text.len;
    ebb_sha256(text.data, text.len, input->sha256.data);
    EBB_AUTO_FREE char *key =
        ebb_sprintf("inputs/%s", ebb_hex(input->sha256.data, EBB_SHA256_SIZE, hex));
    return ebb_object_put(store, key, text.data, text.len, EBB_PUT_ALWAYS, NULL, NULL, err);
}

static int put_inputs(const struct test *t, struct ebb_error *err)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s/store", t->directory);
    struct ebb_object_store *store = NULL;
    int r = ebb_object_store_open(url, NULL, &store, err);
    for (size_t i = 0; r == 0 && i < t->group->n_inputs; i++)
        r = put_input(t, store, t->group->inputs[i], err);
    ebb_object_store_destroy(store);
    return r;
}

static void told(const char *text)
{
    if (!option_json)
        printf("  %s\n", text);
    fflush(stdout);
}

static int run_once(struct test *t, const char *bag, unsigned interruptions, double run_s,
                    struct ebb_trial_result *ret, struct ebb_error *err)
{
    double between_s = interruptions > 0 ? run_s / (interruptions + 1) : 0;
    const struct ebb_trial_plan plan = {
        .spec = t->spec,
        .job = t->job,
        .bag = bag,
        .directory = t->directory,
        .interruptions = interruptions,
        .interval_s = interruptions > 0 ? between_s / 3 : 1e6,
        .run_between_s = between_s,
        .told = told,
    };
    return ebb_trial_run(&plan, ret, err);
}

static bool may_differ(const struct test *t, const char *path)
{
    for (size_t i = 0; i < t->profile->n_nondeterministic; i++)
        if (ebb_glob_match(t->profile->nondeterministic[i], path))
            return true;
    for (size_t i = 0; i < t->group->n_outputs; i++)
        if (t->group->outputs[i]->nondeterministic &&
            ebb_glob_match(t->group->outputs[i]->pattern, path))
            return true;
    return false;
}

/* Files of both runs that must be equal and are not. */
static size_t compare(const struct test *t, const Ebb__AttemptEnded *a, const Ebb__AttemptEnded *b,
                      size_t *ret_compared, bool say)
{
    size_t differing = 0;
    *ret_compared = 0;
    for (size_t i = 0; i < a->n_outputs; i++) {
        const Ebb__OutputFile *x = a->outputs[i], *y = NULL;
        if (may_differ(t, x->path))
            continue;
        for (size_t k = 0; k < b->n_outputs; k++)
            if (strcmp(b->outputs[k]->path, x->path) == 0)
                y = b->outputs[k];
        bool equal = y != NULL && x->sha256.len == y->sha256.len &&
                     memcmp(x->sha256.data, y->sha256.data, x->sha256.len) == 0;
        ++*ret_compared;
        differing += !equal;
        if (say && !option_json)
            printf("  %-24s %s\n", x->path, equal ? "equal" : y == NULL ? "missing" : "different");
    }
    return differing;
}

/* A little less than the shorter run: the job must not be over before its last interruption. */
static double shorter_run_s(const struct test *t)
{
    double s = t->first.run_s < t->second.run_s ? t->first.run_s : t->second.run_s;
    return 0.8 * s;
}

static int run_all(struct test *t, struct ebb_error *err)
{
    unsigned interruptions = option_interruptions > 0 ? (unsigned)option_interruptions : 3;
    size_t ignored;
    told("undisturbed");
    int r = run_once(t, "undisturbed", 0, 0, &t->first, err);
    if (r == 0) {
        told("undisturbed again");
        r = run_once(t, "again", 0, 0, &t->second, err);
    }
    if (r == 0) {
        told("interrupted");
        r = run_once(t, "interrupted", interruptions, shorter_run_s(t), &t->interrupted, err);
    }
    if (r < 0)
        return r;
    t->repeats = compare(t, t->first.ended, t->second.ended, &ignored, false) == 0;
    t->differing = compare(t, t->first.ended, t->interrupted.ended, &t->compared, true);
    if (t->interrupted.resumed == 0)
        t->verdict = "none";
    else
        t->verdict = t->differing == 0 && t->compared > 0 ? "bitwise" : "statistical";
    return 0;
}

static void print_json(const struct test *t)
{
    const struct ebb_trial_result *r = &t->interrupted;
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:I, s:I, s:f, s:f, s:f, s:f}",
        "schema", "ebb.profile_test.v1", "engine", t->engine, "job", ebb_buffer_text(&t->job_name),
        "continuity", t->verdict, "claimed", t->profile->continuity, "repeats_itself",
        (int)t->repeats, "interruptions", (int)r->attempts - 1, "attempts", (int)r->attempts,
        "resumed", (int)r->resumed, "checkpoints", (int)r->checkpoints, "files_compared",
        (json_int_t)t->compared, "files_different", (json_int_t)t->differing, "undisturbed_s",
        t->first.run_s, "interrupted_s", r->run_s, "lost_s", r->lost_s, "restore_s", r->restore_s);
    json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(value);
}

static void print_text(const struct test *t)
{
    const struct ebb_trial_result *r = &t->interrupted;
    printf("%s: %u attempts, %u of them from one of %u checkpoints; %.1f s of work, %.1f s of it "
           "lost, against %.1f s undisturbed\n",
           t->engine, r->attempts, r->resumed, r->checkpoints, r->run_s, r->lost_s, t->first.run_s);
    if (!t->repeats)
        printf("two undisturbed runs differ: the engine does not repeat itself here\n");
    printf("continuity: %s", t->verdict);
    if (strcmp(t->verdict, t->profile->continuity) != 0)
        printf(" (the profile says %s)", t->profile->continuity);
    putchar('\n');
}

static int rank(const char *continuity)
{
    return strcmp(continuity, "bitwise") == 0 ? 2 : strcmp(continuity, "statistical") == 0;
}

static int test_run(struct test *t, struct ebb_error *err)
{
    char template[] = "/tmp/ebb-profile-test-XXXXXX";
    int r = read_bag(t, err);
    if (r == 0)
        r = choose_job(t, err);
    if (r < 0)
        return r;
    if (mkdtemp(template) == NULL)
        return ebb_error_set(err, EBB_ERR_IO, "cannot make a directory in /tmp");
    t->directory = ebb_strdup(template);
    if (!option_json)
        printf("%s, job %s\n", t->engine, ebb_buffer_text(&t->job_name));
    r = put_inputs(t, err);
    if (r == 0)
        r = run_all(t, err);
    if (option_keep)
        fprintf(stderr, "kept: %s\n", t->directory);
    else
        ebb_remove_tree(t->directory, NULL);
    return r;
}

static void test_clean_up(struct test *t)
{
    free(t->folder);
    free(t->directory);
    ebb_buffer_clean_up(&t->bag_text);
    ebb_buffer_clean_up(&t->job_name);
    if (t->spec != NULL)
        ebb__bag_spec__free_unpacked(t->spec, NULL);
    ebb_trial_result_clean_up(&t->first);
    ebb_trial_result_clean_up(&t->second);
    ebb_trial_result_clean_up(&t->interrupted);
}

static int run(int argc, char **argv)
{
    EBB_AUTO(test_clean_up) struct test t = {.engine = argv[0]};
    struct ebb_error err = {0};
    (void)argc;
    ebb_log_init("profile test", EBB_LOG_WARN, NULL);
    if (test_run(&t, &err) < 0)
        return ebb_command_fail(&err);
    if (option_json)
        print_json(&t);
    else
        print_text(&t);
    return rank(t.verdict) >= rank(t.profile->continuity) ? 0 : 1;
}

extern const struct ebb_command ebb_command_profile_test;
const struct ebb_command ebb_command_profile_test = {
    .name = "profile test",
    .arguments = "ENGINE",
    .summary = "Run a job interrupted and uninterrupted, and compare",
    .details = "Runs a small job of the engine on this machine, twice undisturbed and once "
               "interrupted, and says whether what an interrupted job ends with is the same bit "
               "for bit (bitwise), only as good (statistical), or whether it started over (none). "
               "Exit status 1 when that is less than the profile says.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
