/* Bag files: what a good one gives, and every kind of mistake with its place and message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/core/sources.h"

static const char good[] =
    "name: confined-water\n"
    "store: s3://bucket/prefix\n"
    "deadline: 6h\n"
    "budget: 25 USD\n"
    "jobs:\n"
    "  - name: nvt\n"
    "    engine: gromacs\n"
    "    sweep: {temperature: [290, 300, 310], seed: {from: 1, to: 4}}\n"
    "    resources: {cpus: 2, memory: 2 GiB, gpu: [l4, a10g], time: 10m, disk: 1 GiB}\n"
    "    inputs: [conf.gro, ../shared/topol.top, nvt.mdp.in, {path: raw.in, template: false}]\n"
    "    setup: gmx grompp -f nvt.mdp\n"
    "    command: gmx mdrun -deffnm nvt -t ${temperature} ${HOME} ${MY_VAR}\n"
    "    environment: {MY_VAR: 1}\n"
    "    outputs: [nvt.xtc, {file: nvt.log, nondeterministic: true, optional: true, ranks: "
    "each},\n"
    "              {file: '*.trr', pack: {error: 0.0005 nm, level: small}}, {file: a, pack: "
    "none},\n"
    "              {file: b, pack: lossless}]\n"
    "    retries: 2\n"
    "    priority: -3\n"
    "    checkpoint_interval: 30s\n"
    "  - name: train\n"
    "    inputs: [train.py, {from: nvt, files: [nvt.xtc]}]\n"
    "    command: python3 train.py\n";

static void a_good_bag_reads_as_written(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (test_parse(good, NULL, &spec, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(spec->store_url, "s3://bucket/prefix");
    assert_true(spec->deadline_s == 21600);
    assert_int_equal(spec->budget_usd_micros, 25000000);
    assert_int_equal(spec->n_profiles, 2);
    const Ebb__JobGroup *nvt = spec->groups[0], *train = spec->groups[1];
    assert_true(nvt->resources->cpus == 2);
    assert_int_equal(nvt->resources->memory_bytes, INT64_C(2) << 30);
    assert_int_equal(nvt->resources->gpus, 1);
    assert_int_equal(nvt->resources->n_gpu_models, 2);
    assert_true(nvt->resources->time_s == 600);
    assert_true(nvt->inputs[2]->is_template);
    assert_false(nvt->inputs[3]->is_template);
    assert_int_equal(nvt->retries, 2);
    assert_int_equal(nvt->priority, -3);
    assert_true(nvt->checkpoint_interval_s == 30);
    assert_true(nvt->outputs[1]->nondeterministic && nvt->outputs[1]->optional);
    assert_true(nvt->outputs[1]->each_rank && !nvt->outputs[0]->each_rank);
    assert_null(nvt->outputs[1]->pack);
    assert_true(nvt->outputs[2]->pack->error == 0.0005 && nvt->outputs[2]->pack->small);
    assert_string_equal(nvt->outputs[2]->pack->unit, "nm");
    assert_true(nvt->outputs[3]->pack->none && nvt->outputs[3]->pack->error == 0);
    assert_false(nvt->outputs[4]->pack->none);
    assert_int_equal(nvt->job_count, 12);
    assert_int_equal(train->first_job, 12);
    assert_string_equal(train->engine, "command");
    assert_true(train->resources->cpus == 1);
    assert_int_equal(train->n_needs, 1); /* an input from a group is a need */
    assert_string_equal(train->needs[0], "nvt");
    assert_int_equal(ebb_bag_check(spec, &err), 0);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

#define JOB "name: b\njobs:\n  - name: g\n    command: run\n"

static const struct {
    const char *text, *fault;
} mistakes[] = {
    {"", "bag.yaml:1:1: the bag is empty; it needs 'name' and 'jobs'"},
    {"name: b\n", "bag.yaml:1:1: the bag lacks 'jobs'"},
    {"jobs: [{name: g, command: x}]\n", "bag.yaml:1:1: the bag lacks 'name'"},
    {"name: b/c\njobs: [{name: g, command: x}]\n",
     "bag.yaml:1:7: name: 'b/c' may hold letters, digits, '_', '.', '-' alone, at most 64"},
    {"name: b\njobs: []\n", "bag.yaml:2:7: jobs: expected a list of at least one job group, each "
                            "with a name and a command"},
    {"nam: b\nname: b\njobs: [{name: g, command: x}]\n",
     "bag.yaml:1:1: unknown key 'nam' in a bag, did you mean 'name'?"},
    {JOB "store: ftp://x\n",
     "bag.yaml:5:8: store: 'ftp://x' is neither s3://bucket/prefix nor file:///directory"},
    {JOB "deadline: soon\n", "bag.yaml:5:11: deadline: 'soon' is no duration: write it as 90s, "
                             "10m, 1.5h, 2d or 1h30m"},
    {JOB "deadline: 0s\n", "bag.yaml:5:11: deadline: '0s' is not more than nothing"},
    {JOB "budget: 0\n", "bag.yaml:5:9: budget: '0' is not more than nothing"},
    {"name: b\njobs: [{name: g}]\n", "bag.yaml:2:8: the job group lacks 'command'"},
    {"name: b\njobs: [{command: x}]\n", "bag.yaml:2:8: the job group lacks 'name'"},
    {"name: b\njobs: [{name: g, command: ' '}]\n",
     "bag.yaml:2:27: command: there is nothing to run"},
    {"name: b\njobs: [{name: g, command: x}, {name: g, command: x}]\n",
     "bag.yaml:2:38: name: there is a job group 'g' already"},
    {JOB "    engine: gromac\n",
     "bag.yaml:5:13: engine: no profile 'gromac', did you mean 'gromacs'?"},
    {JOB "    sweap: {a: [1]}\n",
     "bag.yaml:5:5: unknown key 'sweap' in a job group, did you mean 'sweep'?"},
    {JOB "    sweep: 3\n",
     "bag.yaml:5:12: sweep: expected parameters with their values, such as {temperature: [290, "
     "300], seed: {from: 1, to: 4}}"},
    {JOB "    sweep: {a: 3}\n",
     "bag.yaml:5:16: a: expected a list of values or {from, to, step}, not '3'"},
    {JOB "    sweep: {a: []}\n", "bag.yaml:5:16: a: the list is empty"},
    {JOB "    setup: s ${a} ${b}\n    sweep: {a: [1], b: []}\n",
     "bag.yaml:6:24: b: the list is empty"},
    {JOB "    sweep: {a: [1, 2, 1]}\n", "bag.yaml:5:23: a: '1' is given twice"},
    {JOB "    sweep: {a-b: [1]}\n",
     "bag.yaml:5:13: sweep: parameter 'a-b' may hold letters, digits and '_' alone, at most 64, a "
     "digit not first"},
    {JOB "    sweep: {state: [1]}\n", "bag.yaml:5:13: sweep: parameter 'state' has a meaning of "
                                      "its own; take another name"},
    {JOB "    outputs: {file: a.xtc, pack: tight}\n",
     "bag.yaml:5:34: outputs.pack: 'tight' is neither lossless nor none; a bound for a trajectory "
     "is {error: 0.0005 nm}"},
    {JOB "    outputs: {file: a.xtc, pack: {eror: 1nm}}\n",
     "bag.yaml:5:35: unknown key 'eror' in outputs.pack, did you mean 'error'?"},
    {JOB "    outputs: {file: a.xtc, pack: {level: small}}\n",
     "bag.yaml:5:34: outputs.pack lacks 'error'"},
    {JOB "    outputs: {file: a.xtc, pack: {error: -1 nm}}\n",
     "bag.yaml:5:42: outputs.pack.error: '-1 nm' is no positive length: 0.0005nm, 0.005A, 0.5pm, "
     "or a bare number in the file's own unit"},
    {JOB "    outputs: {file: a.xtc, pack: {error: 1 pm, level: tiny}}\n",
     "bag.yaml:5:55: outputs.pack.level: 'tiny' is neither fast nor small"},
    {JOB "    outputs: {file: model.pt, pack: {error: 1 pm}}\n",
     "bag.yaml:5:45: outputs.pack.error: 'model.pt' is no trajectory; restart state, weights and "
     "energies come back bit for bit"},
    {JOB "    sweep: {a: {from: 1}}\n", "bag.yaml:5:16: a lacks 'to'"},
    {JOB "    sweep: {a: {from: 5, to: 1}}\n",
     "bag.yaml:5:16: a: 'to' is below 'from'; give a negative step"},
    {JOB "    sweep: {a: {from: 1, to: 5, step: 0}}\n", "bag.yaml:5:16: a: step is 0"},
    {JOB "    sweep: {a: {from: 1, to: 2, step: 1e-12}}\n",
     "bag.yaml:5:16: a: step is too small for numbers of this size"},
    {JOB "    sweep: {a: {from: 1, to: 1e9}}\n",
     "bag.yaml:5:12: sweep: the sweep has over 10000000 jobs; give fewer values or split the bag"},
    {JOB "    sweep: {zip: {a: [1, 2], b: [1]}}\n",
     "bag.yaml:5:12: sweep: zip: 'b' has 1 values, 'a' has 2; give each the same number"},
    {JOB "    sweep: {zip: {a: [1, 1]}}\n",
     "bag.yaml:5:12: sweep: two jobs would be called 'g,a=1'"},
    {JOB "    sweep: {zip: {a: [1]}, b: [2]}\n",
     "bag.yaml:5:12: sweep: zip, csv and grid stand alone in a sweep"},
    {JOB "    sweep: {csv: no.csv}\n", "bag.yaml:5:18: csv: no.csv: there is no such file"},
    {JOB "    sweep: {csv: ragged.csv}\n",
     "bag.yaml:5:18: ragged.csv:3: 1 values in a table of 2 columns"},
    {JOB "    sweep: {csv: open.csv}\n",
     "bag.yaml:5:18: open.csv:2: the quoted value has no closing quote"},
    {JOB "    sweep: {csv: twice.csv}\n",
     "bag.yaml:5:18: twice.csv:1: column 2: parameter 'a' is named twice"},
    {JOB "    sweep: {csv: head.csv}\n",
     "bag.yaml:5:18: csv: head.csv has no row below its header"},
    {JOB "    resources: {cpus: lots}\n", NULL},
    {JOB "    resources: {cpus: 0}\n",
     "bag.yaml:5:23: resources.cpus: '0' is not from 0.001 to 4096"},
    {JOB "    resources: {memory: 2 GB, gpu: l4, gpus: 0}\n",
     "bag.yaml:5:36: resources.gpu names models, but gpus is 0"},
    {JOB "    resources: {time: 0}\n",
     "bag.yaml:5:23: resources.time: '0' is not between 0 and a year"},
    {JOB "    inputs: a\n", "bag.yaml:5:13: inputs: expected a list, such as [conf.gro, {from: "
                            "nvt, files: [nvt.xtc]}]"},
    {JOB "    inputs: [a/b.in, c/b]\n",
     "bag.yaml:5:22: inputs: 'a/b.in' and 'c/b' would both be 'b' in the work directory"},
    {JOB "    inputs: [dir/]\n", "bag.yaml:5:14: inputs: 'dir/' is no file"},
    {JOB "    inputs: [{files: [a]}]\n",
     "bag.yaml:5:14: an input is a path, or {from: GROUP, files: [...]}"},
    {JOB "    inputs: [{from: h}]\n", "bag.yaml:5:21: inputs.from: no job group 'h'"},
    {JOB "    outputs: [../x]\n",
     "bag.yaml:5:15: outputs: '../x' is not relative to the work directory"},
    {JOB "    outputs: [/x]\n",
     "bag.yaml:5:15: outputs: '/x' is not relative to the work directory"},
    {JOB "    needs: [h]\n", "bag.yaml:5:13: needs: no job group 'h'"},
    {JOB "    needs: [g]\n", "bag.yaml:3:5: needs: 'g' needs 'g'; none of them could start"},
    {JOB "    needs: [b]\n  - {name: b, command: x, needs: [c]}\n"
         "  - {name: c, command: x, needs: [g]}\n",
     "bag.yaml:3:5: needs: 'g' needs 'b' needs 'c' needs 'g'; none of them could start"},
    {JOB "    needs: [b, b]\n  - {name: b, command: x}\n",
     "bag.yaml:5:16: needs: 'b' is given twice"},
    {JOB "    outputs: [a.xtc]\n  - {name: h, command: x, inputs: [{from: g, files: [b.xtc]}]}\n",
     "bag.yaml:6:36: inputs: 'b.xtc' is no output of job group 'g', did you mean 'a.xtc'?"},
    {JOB "    setup: do ${temp}\n    sweep: {temperature: [1]}\n",
     "bag.yaml:5:12: setup: ${temp} is no parameter of job group 'g'; did you mean "
     "${temperature}?"},
    {JOB "    retries: -1\n", NULL},
    {JOB "    environment: [a]\n", "bag.yaml:5:18: environment: expected a mapping of names to "
                                   "texts, such as {OMP_NUM_THREADS: 2}"},
    {JOB "    environment: {a-b: 1}\n",
     "bag.yaml:5:19: environment: 'a-b' is no name of a variable (letters, digits and _)"},
    {JOB "    checkpoint_interval: 10s\n",
     "bag.yaml:5:26: checkpoint_interval: engine 'command' makes no checkpoints"},
    {JOB "    checkpoint_interval: 0.1s\n    engine: gromacs\n",
     "bag.yaml:5:26: checkpoint_interval: '0.1s' is less than a second"},
    {"name: [\n", NULL},
    {"name: b\nname: c\n", NULL},
};

static const struct test_file files[] = {{"ragged.csv", "a,b\n1,2\n3\n"},
                                         {"open.csv", "a\n\"x\n"},
                                         {"twice.csv", "a,a\n1,2\n"},
                                         {"head.csv", "a,b\n"},
                                         {NULL, NULL}};

static void each_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(mistakes); i++) {
        Ebb__BagSpec *spec = NULL;
        struct ebb_error err = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
        int rc = test_parse(mistakes[i].text, files, &spec, &faults, &err);
        assert_int_equal(rc, EBB_ERR_INPUT);
        assert_null(spec);
        if (mistakes[i].fault != NULL)
            assert_string_equal(err.text, mistakes[i].fault);
        assert_int_equal(strncmp(err.text, "bag.yaml:", 9), 0);
        assert_int_equal(strncmp(ebb_buffer_text(&faults), err.text, strlen(err.text)), 0);
    }
}

static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    assert_int_equal(test_parse("name: b\ndeadline: x\njobs:\n  - name: g\n    engine: nope\n"
                                "    command: ${y}\n    needs: [z]\n",
                                NULL, &spec, &faults, &err),
                     EBB_ERR_INPUT);
    size_t lines = 0;
    for (const char *s = ebb_buffer_text(&faults); *s != '\0'; s++)
        lines += *s == '\n';
    assert_int_equal(lines, 4);
}

/* A spec from the wire is checked as strictly as one from a file. */
static void a_damaged_spec_is_refused(void **state)
{
    (void)state;
    for (int what = 0; what < 12; what++) {
        Ebb__BagSpec *spec = NULL;
        struct ebb_error err = {0};
        assert_int_equal(test_parse(good, NULL, &spec, NULL, NULL), 0);
        Ebb__JobGroup *g = spec->groups[0], *h = spec->groups[1];
        switch (what) {
        case 0:
            g->job_count++;
            break;
        case 1:
            h->first_job = 0;
            break;
        case 2:
            h->needs[0][0] = 'x';
            break;
        case 3:
            h->name[0] = '/';
            break;
        case 4:
            g->sweep->axes[1]->step = 0.0 / 0.0;
            break;
        case 5:
            g->sweep->axes[1]->to = 1e300;
            break;
        case 6:
            g->resources->cpus = -1;
            break;
        case 7:
            g->outputs[0]->pattern[0] = '/';
            break;
        case 8:
            g->command[0] = '\0';
            break;
        case 9:
            g->engine[0] = 'x';
            break;
        case 10:
            spec->budget_usd_micros = -1;
            break;
        default:
            spec->name[0] = '.';
            break;
        }
        assert_int_equal(ebb_bag_check(spec, &err), EBB_ERR_INPUT);
        ebb__bag_spec__free_unpacked(spec, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_bag_reads_as_written),
        cmocka_unit_test(each_mistake_is_told_with_its_place),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(a_damaged_spec_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
