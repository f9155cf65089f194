/* Fetching outputs and reading logs from a store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/options.h"
#include "checkpoint/lineage.h"
#include "cloud/object_store.h"
#include "tests/unit/cli/fake_scheduler.h"
#include "tests/unit/cli/output_capture.h"

extern const struct ebb_command ebb_command_fetch;
extern const struct ebb_command ebb_command_logs;

static struct {
    struct fake_scheduler scheduler;
    char store_url[128];
    struct ebb_object_store *store;
    const char *job_state;
} w;

static void answer(void *ctx, const Ebb__ClientRequest *q, Ebb__ClientAnswer *a)
{
    static Ebb__SpecAnswer spec_answer = EBB__SPEC_ANSWER__INIT;
    static Ebb__BagSpec spec = EBB__BAG_SPEC__INIT;
    static Ebb__JobGroup group = EBB__JOB_GROUP__INIT;
    static Ebb__JobGroup *groups[] = {&group};
    static Ebb__JobsAnswer jobs = EBB__JOBS_ANSWER__INIT;
    static Ebb__JobStatus job = EBB__JOB_STATUS__INIT;
    static Ebb__JobStatus *list[] = {&job};
    static Ebb__ExplainAnswer explain = EBB__EXPLAIN_ANSWER__INIT;
    (void)ctx;
    group.name = (char *)"train";
    group.job_count = 1;
    spec.name = (char *)"demo";
    spec.groups = groups;
    spec.n_groups = 1;
    spec_answer.bag = (char *)"demo-1f3a";
    spec_answer.spec = &spec;
    spec_answer.store_url = w.store_url;
    job.name = (char *)"train";
    job.state = (char *)w.job_state;
    jobs.jobs = list;
    jobs.n_jobs = jobs.total = 1;
    explain.job = &job;
    if (q->kind_case == EBB__CLIENT_REQUEST__KIND_SPEC)
        a->spec = &spec_answer;
    else if (q->kind_case == EBB__CLIENT_REQUEST__KIND_JOBS)
        a->jobs = &jobs;
    else
        a->explain = &explain;
}

static int setup(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    w.scheduler = (struct fake_scheduler){.answer = answer};
    w.job_state = "done";
    fake_scheduler_start(&w.scheduler);
    (void)snprintf(w.store_url, sizeof(w.store_url), "file://%s/store", w.scheduler.folder);
    EBB_AUTO_FREE char *folder = ebb_path_join(w.scheduler.folder, "store");
    assert_int_equal(ebb_mkdir_p(folder, 0755, &err), 0);
    if (ebb_object_store_open(w.store_url, NULL, &w.store, &err) < 0)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ebb_object_store_destroy(w.store);
    fake_scheduler_stop(&w.scheduler);
    return 0;
}

static char *in(const char *name)
{
    return ebb_path_join(w.scheduler.folder, name);
}

static void put(const char *name, const char *text)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *path = in(name);
    EBB_AUTO_FREE char *parent = ebb_strndup(path, (size_t)(strrchr(path, '/') - path));
    if (ebb_mkdir_p(parent, 0755, &err) < 0 ||
        ebb_file_write_atomic(path, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err.text);
}

static void check_file(const char *name, const char *want)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *path = in(name);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    if (ebb_file_read(path, 1 << 20, &b, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(ebb_buffer_text(&b), want);
}

static void commit(bool final)
{
    struct ebb_error err = {0};
    struct ebb_lineage *l = NULL;
    struct ebb_commit_stats stats;
    EBB_AUTO_FREE char *work = in("work");
    EBB_AUTO_FREE char *sub = in("work/sub");
    assert_int_equal(ebb_mkdir_p(sub, 0755, &err), 0);
    put("work/model.pt", "weights");
    put("work/sub/metrics.json", "{}");
    const struct ebb_commit_file files[] = {
        {.path = "model.pt", .kind = EBB__FILE_ENTRY__KIND__OUTPUT, .length_bytes = UINT64_MAX},
        {.path = "sub/metrics.json",
         .kind = EBB__FILE_ENTRY__KIND__OUTPUT,
         .length_bytes = UINT64_MAX},
    };
    struct ebb_commit_request q = {.directory = work,
                                   .files = files,
                                   .file_count = 2,
                                   .step = 1,
                                   .total_steps = 1,
                                   .attempt = 1,
                                   .final = final};
    if (ebb_lineage_open(w.store, "bags/demo-1f3a/jobs/train", &l, &err) < 0 ||
        ebb_lineage_claim(l, "test", 1, &err) < 0 || ebb_lineage_commit(l, &q, &stats, &err) < 0)
        fail_msg("%s", err.text);
    ebb_lineage_destroy(l);
}

static int fetch(struct ebb_buffer *out)
{
    EBB_AUTO_FREE char *results = in("results");
    char *argv[] = {(char *)"demo", results, NULL};
    return run_command(&ebb_command_fetch, argv, out);
}

static void outputs_arrive_whole_and_only_once(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    commit(true);
    assert_int_equal(fetch(&out), 0);
    assert_non_null(strstr(ebb_buffer_text(&out), "1 jobs, 2 files (2 fetched)"));
    check_file("results/train/model.pt", "weights");
    check_file("results/train/sub/metrics.json", "{}");
    assert_int_equal(fetch(&out), 0);
    assert_non_null(strstr(ebb_buffer_text(&out), "(0 fetched)"));
    put("results/train/model.pt", "WEIGHTS"); /* same length, other bytes */
    put("results/train/mine.txt", "kept");
    assert_int_equal(fetch(&out), 0);
    check_file("results/train/model.pt", "weights");
    check_file("results/train/mine.txt", "kept");
    EBB_AUTO_FREE char *command =
        ebb_sprintf("ls -A %s/results | tr '\\n' ' '", w.scheduler.folder);
    FILE *p = popen(command, "r");
    char line[128] = "";
    assert_non_null(fgets(line, sizeof(line), p));
    (void)pclose(p);
    assert_string_equal(line, "train ");
}

static void what_a_killed_fetch_left_goes_with_the_next(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO_FREE char *beside = in("results/.part-train");
    commit(true);
    put("results/.part-train/files/.ebb-restore-1/0", "half");
    assert_int_equal(fetch(&out), 0);
    check_file("results/train/model.pt", "weights");
    assert_false(ebb_file_exists(beside));
}

static void two_fetches_of_a_job_do_not_meet(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO_FREE char *beside = in("results/.part-train"), *file = in("results/train/model.pt");
    commit(true);
    put("results/.part-train/files/a", "half");
    int fd = open(beside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(fetch(&out), 2);
    assert_non_null(strstr(ebb_buffer_text(&out), "train: another `ebb fetch` brings it"));
    assert_non_null(strstr(ebb_buffer_text(&out), "0 jobs, 0 files (0 fetched)"));
    assert_false(ebb_file_exists(file));
    assert_true(ebb_file_exists(beside));
    (void)close(fd);
    assert_int_equal(fetch(&out), 0);
}

static void a_checkpoint_is_no_output(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    commit(false);
    assert_int_equal(fetch(&out), 2);
    assert_non_null(
        strstr(ebb_buffer_text(&out), "error: train: its outputs are not in the store\n"));
}

/* Overwrites the middle of every pack. */
static int damage(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    (void)ctx;
    (void)err;
    if (strstr(relative, "/packs/") == NULL)
        return 0;
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    assert_int_equal(fputc('!', f), '!');
    assert_int_equal(fputc('?', f), '?');
    assert_int_equal(fclose(f), 0);
    return 0;
}

static void damaged_outputs_are_refused(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    commit(true);
    EBB_AUTO_FREE char *store = in("store"), *file = in("results/train/model.pt");
    assert_int_equal(ebb_walk(store, damage, NULL, NULL), 0);
    assert_int_equal(fetch(&out), 3);
    assert_false(ebb_file_exists(file));
}

static void put_log(unsigned attempt, unsigned sequence, const char *text)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *key =
        ebb_sprintf("bags/demo-1f3a/jobs/train/logs/%u/%08u", attempt, sequence);
    if (ebb_object_put(w.store, key, text, strlen(text), EBB_PUT_ALWAYS, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static void check_logs(char *attempt, char *more, const char *want)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    char *argv[] = {(char *)"demo/train", more != NULL ? more : (char *)"--attempt", attempt, NULL};
    if (attempt == NULL && more == NULL)
        argv[1] = NULL;
    assert_int_equal(run_command(&ebb_command_logs, argv, &out), 0);
    assert_string_equal(ebb_buffer_text(&out), want);
}

static void logs_come_in_the_order_of_attempts_and_segments(void **state)
{
    (void)state;
    check_logs(NULL, NULL, "train has written nothing\n");
    put_log(9, 1, "nine\n");
    put_log(10, 2, "two\n");
    put_log(10, 1, "one\n");
    check_logs(NULL, NULL, "one\ntwo\n");
    check_logs((char *)"9", NULL, "nine\n");
    check_logs((char *)"all", NULL, "==> attempt 9 <==\nnine\n==> attempt 10 <==\none\ntwo\n");
    check_logs(NULL, (char *)"-f", "==> attempt 9 <==\nnine\n==> attempt 10 <==\none\ntwo\n");
}

static void an_unknown_job_is_refused(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    char *argv[] = {(char *)"demo/trian", NULL};
    assert_int_equal(run_command(&ebb_command_logs, argv, &out), 2);
    assert_string_equal(ebb_buffer_text(&out), "error: bag demo-1f3a has no job 'trian'; its names "
                                               "begin with 'train': see 'ebb jobs demo-1f3a'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outputs_arrive_whole_and_only_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_fetch_left_goes_with_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_fetches_of_a_job_do_not_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_is_no_output, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_outputs_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_job_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(logs_come_in_the_order_of_attempts_and_segments, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
