/* An engine as a process: its signal, its directory, its environment. */
#include "tests/unit/agent/scratch.h"

#include <signal.h>

#include "agent/commit.h"
#include "agent/engine.h"
#include "agent/processes.h"
#include "agent/stage.h"
#include "agent/task.h"

struct fixture {
    Ebb__BagContext context;
    Ebb__JobGroup group;
    Ebb__Profile profile;
    Ebb__Resources resources;
    Ebb__Sweep sweep;
    Ebb__Axis axis;
    Ebb__ProfileState state;
    Ebb__ProfileAppend append;
    Ebb__Input inputs[2];
    Ebb__Output output;
    Ebb__JobGroup *groups[1];
    Ebb__Profile *profiles[1];
    Ebb__Axis *axes[1];
    Ebb__ProfileAppend *appends[1];
    Ebb__Input *input_list[2];
    Ebb__Output *output_list[1];
    char *values[2], *globs[1], *ignore[2];
    struct ebb_bag_context *bag;
    struct ebb_task *task;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    ebb__bag_context__init(&f->context);
    ebb__job_group__init(&f->group);
    ebb__profile__init(&f->profile);
    ebb__resources__init(&f->resources);
    ebb__sweep__init(&f->sweep);
    ebb__axis__init(&f->axis);
    ebb__profile_state__init(&f->state);
    ebb__profile_append__init(&f->append);
    ebb__input__init(&f->inputs[0]);
    ebb__input__init(&f->inputs[1]);
    ebb__output__init(&f->output);
    f->groups[0] = &f->group;
    f->profiles[0] = &f->profile;
    f->axes[0] = &f->axis;
    f->appends[0] = &f->append;
    f->input_list[0] = &f->inputs[0];
    f->input_list[1] = &f->inputs[1];
    f->output_list[0] = &f->output;
    f->context.bag = (char *)"bag-1";
    f->context.groups = f->groups;
    f->context.n_groups = 1;
    f->context.profiles = f->profiles;
    f->context.n_profiles = 1;
    f->values[0] = (char *)"290";
    f->values[1] = (char *)"310";
    f->axis.name = (char *)"temperature";
    f->axis.values = f->values;
    f->axis.n_values = 2;
    f->sweep.axes = f->axes;
    f->sweep.n_axes = 1;
    f->resources.cpus = 2;
    f->group.name = (char *)"nvt";
    f->group.engine = (char *)"gromacs";
    f->group.sweep = &f->sweep;
    f->group.resources = &f->resources;
    f->group.job_count = 2;
    f->group.command = (char *)"gmx mdrun -t ${temperature} -n ${HOME}";
    f->profile.name = (char *)"gromacs";
    f->profile.start = (char *)"${command} -cpt ${checkpoint_minutes} -nt ${cpus}";
    f->profile.resume = (char *)"${command} -cpi ${state}";
    f->globs[0] = (char *)"*.cpt";
    f->state.files = f->globs;
    f->state.n_files = 1;
    f->profile.state = &f->state;
    f->append.glob = (char *)"*.xtc";
    f->profile.append = f->appends;
    f->profile.n_append = 1;
    f->ignore[0] = (char *)"*.tmp";
    f->ignore[1] = (char *)"__pycache__";
    f->profile.ignore = f->ignore;
    f->profile.n_ignore = 2;
}

static void take(struct fixture *f, const char *directory)
{
    Ebb__Lease lease = EBB__LEASE__INIT;
    struct ebb_machine machine = {.cpus = 4};
    struct ebb_error err = {0};
    lease.bag = f->context.bag;
    lease.job = 1;
    lease.attempt = 3;
    lease.checkpoint_interval_s = 90;
    f->bag = ebb_bag_context_new(&f->context);
    if (ebb_task_new(f->bag, &lease, "vm-000001", directory, &machine, &f->task, &err) < 0)
        fail_msg("%s", err.text);
}

static void drop(struct fixture *f)
{
    ebb_task_destroy(f->task);
    ebb_bag_context_unref(f->bag);
}

static void templates_are_filled_in(void **state)
{
    struct fixture f;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    fixture_init(&f);
    take(&f, *state);
    assert_string_equal(f.task->job_name, "nvt,temperature=310");
    assert_string_equal(f.task->store_root, "bags/bag-1/jobs/nvt,temperature=310");
    assert_int_equal(ebb_engine_command(f.task, NULL, &out, &err), 0);
    assert_string_equal(ebb_buffer_text(&out), "gmx mdrun -t 310 -n ${HOME} -cpt 1.5 -nt 2");
    ebb_buffer_reset(&out);
    assert_int_equal(ebb_engine_command(f.task, "it's.cpt", &out, &err), 0);
    assert_non_null(strstr(ebb_buffer_text(&out), "gmx mdrun -t 310 -n ${HOME} -cpi "));
    assert_null(strstr(ebb_buffer_text(&out), "-cpi it's.cpt")); /* quoted for the shell */
    drop(&f);
    f.group.resume_command = (char *)"again ${state} ${temperature}";
    take(&f, *state);
    ebb_buffer_reset(&out);
    assert_int_equal(ebb_engine_command(f.task, "a.cpt", &out, &err), 0);
    assert_non_null(strstr(ebb_buffer_text(&out), "again "));
    assert_non_null(strstr(ebb_buffer_text(&out), "a.cpt"));
    assert_true(strstr(ebb_buffer_text(&out), " 310") != NULL);
    drop(&f);
}

static const char *variable(char **environment, const char *name)
{
    size_t len = strlen(name);
    for (char **p = environment; *p != NULL; p++)
        if (strncmp(*p, name, len) == 0 && (*p)[len] == '=')
            return *p + len + 1;
    return NULL;
}

static void the_environment_has_the_job_but_no_credentials(void **state)
{
    struct fixture f;
    fixture_init(&f);
    Ebb__Profile__EnvironmentEntry entry = EBB__PROFILE__ENVIRONMENT_ENTRY__INIT;
    Ebb__Profile__EnvironmentEntry *entries[] = {&entry};
    entry.key = (char *)"GMX_MAXBACKUP";
    entry.value = (char *)"-1";
    f.profile.environment = entries;
    f.profile.n_environment = 1;
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("EBB_STATE_DIR", "/private", 1);
    setenv("INHERITED", "yes", 1);
    take(&f, *state);
    char **e = ebb_engine_environment(f.task);
    assert_null(variable(e, "AWS_SECRET_ACCESS_KEY"));
    assert_null(variable(e, "EBB_STATE_DIR"));
    assert_string_equal(variable(e, "INHERITED"), "yes");
    assert_string_equal(variable(e, "EBB_JOB"), "nvt,temperature=310");
    assert_string_equal(variable(e, "EBB_ATTEMPT"), "3");
    assert_string_equal(variable(e, "EBB_PARAM_temperature"), "310");
    assert_string_equal(variable(e, "OMP_NUM_THREADS"), "2");
    assert_string_equal(variable(e, "GMX_MAXBACKUP"), "-1");
    assert_non_null(variable(e, "PATH"));
    ebb_engine_environment_free(e);
    drop(&f);
    entry.key = (char *)"OMP_NUM_THREADS"; /* an empty value takes it away */
    entry.value = (char *)"";
    take(&f, *state);
    e = ebb_engine_environment(f.task);
    assert_null(variable(e, "OMP_NUM_THREADS"));
    ebb_engine_environment_free(e);
    drop(&f);
}

static struct ebb_task *rank_of_gang(struct fixture *f, const char *directory, uint32_t rank,
                                     char *const *hosts, size_t count, struct ebb_error *err)
{
    Ebb__Lease lease = EBB__LEASE__INIT;
    struct ebb_machine machine = {.cpus = 4};
    struct ebb_task *task = NULL;
    lease.bag = f->context.bag;
    lease.attempt = 1;
    lease.rank = rank;
    lease.gang_hosts = (char **)hosts;
    lease.n_gang_hosts = count;
    ebb_task_new(f->bag, &lease, "vm-000001", directory, &machine, &task, err);
    return task;
}

static void a_rank_of_a_gang_is_told_of_the_others(void **state)
{
    static const struct {
        const char *name, *value;
    } expected[] = {{"EBB_GANG_RANK", "2"},
                    {"EBB_GANG_SIZE", "3"},
                    {"EBB_GANG_HOSTS", "10.0.0.7,10.0.0.8,fd00::9"},
                    {"EBB_GANG_RENDEZVOUS", "10.0.0.7:23456"},
                    {"MASTER_ADDR", "10.0.0.7"},
                    {"MASTER_PORT", "23456"},
                    {"WORLD_SIZE", "3"},
                    {"RANK", "2"},
                    {"NODE_RANK", "2"}};
    char *hosts[] = {(char *)"10.0.0.7", (char *)"10.0.0.8", (char *)"fd00::9"};
    struct fixture f;
    struct ebb_error err = {0};
    fixture_init(&f);
    take(&f, *state);
    char **e = ebb_engine_environment(f.task);
    assert_null(variable(e, "EBB_GANG_SIZE"));
    assert_null(variable(e, "WORLD_SIZE"));
    ebb_engine_environment_free(e);
    struct ebb_task *t = rank_of_gang(&f, *state, 2, hosts, 3, &err);
    assert_non_null(t);
    assert_true(ebb_task_is_member(t));
    t->gang_port = 23456;
    e = ebb_engine_environment(t);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(variable(e, expected[i].name), expected[i].value);
    assert_non_null(strstr(variable(e, "EBB_GANG_HOSTFILE"), "/hostfile"));
    ebb_engine_environment_free(e);
    ebb_task_destroy(t);
    hosts[0] = (char *)"fd00::1";
    t = rank_of_gang(&f, *state, 0, hosts, 3, &err);
    assert_false(ebb_task_is_member(t));
    t->gang_port = 1;
    e = ebb_engine_environment(t);
    assert_string_equal(variable(e, "EBB_GANG_RENDEZVOUS"), "[fd00::1]:1");
    ebb_engine_environment_free(e);
    ebb_task_destroy(t);
    assert_null(rank_of_gang(&f, *state, 3, hosts, 3, &err));
    assert_int_equal(err.code, EBB_ERR_INPUT);
    hosts[1] = (char *)"host; rm -rf /";
    assert_null(rank_of_gang(&f, *state, 0, hosts, 3, &err));
    drop(&f);
}

static void each_attempt_sees_its_own_gpus_alone(void **state)
{
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(ebb_gpus_pick(0, 4, 2), 0x3);
    assert_int_equal(ebb_gpus_pick(0x3, 4, 1), 0x4);
    assert_int_equal(ebb_gpus_pick(0x5, 4, 2), 0xa);
    assert_int_equal(ebb_gpus_pick(0xf, 4, 1), 0);
    assert_int_equal(ebb_gpus_pick(0, 64, 64), UINT64_MAX);
    setenv("CUDA_VISIBLE_DEVICES", "7", 1);
    take(&f, *state);
    char **e = ebb_engine_environment(f.task);
    assert_string_equal(variable(e, "CUDA_VISIBLE_DEVICES"), "7"); /* no GPU: not our matter */
    ebb_engine_environment_free(e);
    f.task->machine.gpus = 4;
    e = ebb_engine_environment(f.task);
    assert_string_equal(variable(e, "CUDA_VISIBLE_DEVICES"), "");
    ebb_engine_environment_free(e);
    f.task->gpus = ebb_gpus_pick(0x1, 4, 2);
    e = ebb_engine_environment(f.task);
    assert_string_equal(variable(e, "CUDA_VISIBLE_DEVICES"), "1,2");
    ebb_engine_environment_free(e);
    unsetenv("CUDA_VISIBLE_DEVICES");
    drop(&f);
}

static void the_stop_signal_is_the_profiles(void **state)
{
    (void)state;
    Ebb__Profile p = EBB__PROFILE__INIT;
    Ebb__ProfileStop stop = EBB__PROFILE_STOP__INIT;
    assert_int_equal(ebb_engine_stop_signal(&p), SIGTERM);
    p.stop = &stop;
    stop.signal = (char *)"USR1";
    assert_int_equal(ebb_engine_stop_signal(&p), SIGUSR1);
    stop.signal = (char *)"none";
    assert_int_equal(ebb_engine_stop_signal(&p), 0);
}

static int kind_of(const struct ebb_commit_list *l, const char *path)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->files[i].path, path) == 0)
            return (int)l->files[i].kind;
    return -1;
}

static void put_work(struct fixture *f, const char *name)
{
    scratch_put(f->task->work, name, "x");
}

static void a_checkpoint_holds_what_a_resume_needs(void **state)
{
    struct fixture f;
    struct ebb_error err = {0};
    fixture_init(&f);
    f.inputs[0].path = (char *)"in/nvt.mdp.in";
    f.inputs[0].is_template = true;
    f.inputs[1].from_group = (char *)"earlier";
    f.group.inputs = f.input_list;
    f.group.n_inputs = 2;
    take(&f, *state);
    static const char *const names[] = {"a.cpt",     "b.cpt",     "c.xtc",
                                        "nvt.mdp",   "x.tmp",     "earlier/j1/o.dat",
                                        "topol.top", "sub/d.dat", "__pycache__/m.pyc"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++)
        put_work(&f, names[i]);
    struct ebb_state_file newest = {.path = (char *)"b.cpt", .step = -1};
    const struct ebb_state_set set = {.files = &newest, .count = 1};
    EBB_AUTO(ebb_commit_list_clean_up) struct ebb_commit_list list = {0};
    assert_int_equal(ebb_commit_list_checkpoint(f.task, &set, &list, &err), 0);
    assert_int_equal(list.count, 5);
    assert_string_equal(list.files[0].path, "b.cpt"); /* state first */
    assert_int_equal(kind_of(&list, "b.cpt"), EBB__FILE_ENTRY__KIND__STATE);
    assert_int_equal(kind_of(&list, "c.xtc"), EBB__FILE_ENTRY__KIND__APPEND);
    assert_int_equal(kind_of(&list, "nvt.mdp"), EBB__FILE_ENTRY__KIND__STATIC);
    assert_int_equal(kind_of(&list, "topol.top"), EBB__FILE_ENTRY__KIND__STATIC);
    assert_int_equal(kind_of(&list, "sub/d.dat"), EBB__FILE_ENTRY__KIND__STATIC);
    drop(&f);
}

static void outputs_are_what_the_job_names_or_what_it_made(void **state)
{
    struct fixture f;
    struct ebb_error err = {0};
    fixture_init(&f);
    f.inputs[0].path = (char *)"nvt.mdp.in";
    f.inputs[0].is_template = true;
    f.group.inputs = f.input_list;
    f.group.n_inputs = 1;
    take(&f, *state);
    static const char *const names[] = {"a.cpt", "c.xtc", "nvt.mdp", "x.tmp", "r/result.dat"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++)
        put_work(&f, names[i]);
    EBB_AUTO(ebb_commit_list_clean_up) struct ebb_commit_list made = {0}, named = {0}, none = {0};
    assert_int_equal(ebb_commit_list_outputs(f.task, &made, &err), 0);
    assert_int_equal(made.count, 2);
    assert_int_equal(kind_of(&made, "c.xtc"), EBB__FILE_ENTRY__KIND__OUTPUT);
    assert_int_equal(kind_of(&made, "r/result.dat"), EBB__FILE_ENTRY__KIND__OUTPUT);
    drop(&f);
    f.group.outputs = f.output_list;
    f.group.n_outputs = 1;
    f.output.pattern = (char *)"*.cpt";
    take(&f, *state);
    assert_int_equal(ebb_commit_list_outputs(f.task, &named, &err), 0);
    assert_int_equal(named.count, 1);
    drop(&f);
    f.output.pattern = (char *)"model.pt";
    take(&f, *state);
    assert_int_equal(ebb_commit_list_outputs(f.task, &none, &err), EBB_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "model.pt"));
    drop(&f);
}

static void a_lease_for_nothing_is_refused(void **state)
{
    struct fixture f;
    Ebb__Lease lease = EBB__LEASE__INIT;
    struct ebb_machine machine = {.cpus = 4};
    struct ebb_error err = {0};
    struct ebb_task *task = NULL;
    fixture_init(&f);
    f.bag = ebb_bag_context_new(&f.context);
    lease.bag = f.context.bag;
    lease.job = 2;
    assert_int_equal(ebb_task_new(f.bag, &lease, "vm", *state, &machine, &task, &err),
                     EBB_ERR_INPUT);
    ebb_bag_context_unref(f.bag);
    f.profile.name = (char *)"other";
    f.bag = ebb_bag_context_new(&f.context);
    lease.job = 0;
    assert_int_equal(ebb_task_new(f.bag, &lease, "vm", *state, &machine, &task, &err),
                     EBB_ERR_INPUT);
    ebb_bag_context_unref(f.bag);
}

static void names_in_the_work_directory_are_base_names(void **state)
{
    (void)state;
    Ebb__Input input = EBB__INPUT__INIT;
    input.path = (char *)"a/b/in.lj";
    EBB_AUTO_FREE char *plain = ebb_stage_name(&input);
    assert_string_equal(plain, "in.lj");
    input.path = (char *)"a/nvt.mdp.in";
    input.is_template = true;
    EBB_AUTO_FREE char *template = ebb_stage_name(&input);
    assert_string_equal(template, "nvt.mdp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(templates_are_filled_in),
        scratch_test(the_environment_has_the_job_but_no_credentials),
        scratch_test(a_rank_of_a_gang_is_told_of_the_others),
        scratch_test(each_attempt_sees_its_own_gpus_alone),
        cmocka_unit_test(the_stop_signal_is_the_profiles),
        scratch_test(a_checkpoint_holds_what_a_resume_needs),
        scratch_test(outputs_are_what_the_job_names_or_what_it_made),
        scratch_test(a_lease_for_nothing_is_refused),
        cmocka_unit_test(names_in_the_work_directory_are_base_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
