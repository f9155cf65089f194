/* One job group of a bag file: what to run, with what, on what. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/spec_read.h"

#define MOST_CPUS    4096.0
#define MOST_GPUS    1024
#define MOST_RETRIES 1000
#define YEAR_S       31557600.0

static void read_gpu_models(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Resources *r)
{
    if (n == NULL || !ebb_spec_texts(p->y, n, "resources.gpu", &r->n_gpu_models, &r->gpu_models))
        return;
    for (size_t i = 0; i < r->n_gpu_models; i++) {
        if (!ebb_spec_is_name(r->gpu_models[i]))
            ebb_yaml_fault(p->y, n, "resources.gpu: '%s' is no GPU model, such as l4 or a10g",
                           r->gpu_models[i]);
    }
}

static void read_gpus(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Resources *r)
{
    ebb_bag_node *gpus = ebb_yaml_get(n, "gpus"), *gpu = ebb_yaml_get(n, "gpu");
    int64_t count = 0;
    read_gpu_models(p, gpu, r);
    if (gpus == NULL)
        r->gpus = gpu != NULL ? 1 : 0;
    else if (ebb_yaml_read_int(p->y, gpus, "resources.gpus", 0, MOST_GPUS, &count))
        r->gpus = (uint32_t)count;
    if (gpu != NULL && gpus != NULL && count == 0)
        ebb_yaml_fault(p->y, gpu, "resources.gpu names models, but gpus is 0");
}

static void read_resources(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    static const char *const names[] = {"cpus", "memory", "gpus", "gpu", "time", "disk", "vms"};
    Ebb__Resources *r = g->resources = ebb_alloc(sizeof *r);
    ebb__resources__init(r);
    r->cpus = 1;
    r->memory_bytes = UINT64_C(1) << 30;
    if (n == NULL || !ebb_yaml_check_keys_in(p->y, n, "resources", names, EBB_ARRAY_LEN(names)))
        return;
    if (ebb_yaml_get(n, "cpus") != NULL)
        ebb_yaml_read_double(p->y, ebb_yaml_get(n, "cpus"), "resources.cpus", 0.001, MOST_CPUS,
                             &r->cpus);
    if (ebb_yaml_get(n, "memory") != NULL &&
        ebb_yaml_read_size(p->y, ebb_yaml_get(n, "memory"), "resources.memory", &r->memory_bytes) &&
        r->memory_bytes == 0)
        ebb_yaml_fault(p->y, ebb_yaml_get(n, "memory"), "resources.memory: a job needs some");
    read_gpus(p, n, r);
    ebb_bag_node *time = ebb_yaml_get(n, "time");
    if (time != NULL && ebb_yaml_read_duration(p->y, time, "resources.time", &r->time_s) &&
        !(r->time_s > 0 && r->time_s <= YEAR_S))
        ebb_yaml_fault(p->y, time, "resources.time: '%s' is not between 0 and a year",
                       ebb_yaml_scalar(time));
    if (ebb_yaml_get(n, "disk") != NULL)
        ebb_yaml_read_size(p->y, ebb_yaml_get(n, "disk"), "resources.disk", &r->disk_bytes);
    int64_t vms = 1;
    if (ebb_yaml_get(n, "vms") != NULL &&
        ebb_yaml_read_int(p->y, ebb_yaml_get(n, "vms"), "resources.vms", 1, EBB_GANG_MOST, &vms))
        r->vms = (uint32_t)vms;
}

static void add_environment(void *ctx, const char *name, const char *value)
{
    Ebb__JobGroup *g = ctx;
    Ebb__JobGroup__EnvironmentEntry *e = ebb_alloc(sizeof *e);
    ebb__job_group__environment_entry__init(e);
    ebb_spec_set_text(&e->key, name);
    ebb_spec_set_text(&e->value, value);
    g->environment =
        ebb_realloc_array(g->environment, g->n_environment + 1, sizeof *g->environment);
    g->environment[g->n_environment++] = e;
}

static void read_name(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    ebb_bag_node *name = ebb_bag_need(p, n, "the job group", "name");
    if (name != NULL && ebb_spec_text(p->y, name, "name", &g->name) && !ebb_spec_is_name(g->name))
        ebb_yaml_fault(p->y, name,
                       "name: '%s' may hold letters, digits, '_', '.', '-' alone, at most 64",
                       g->name);
}

static void read_numbers(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    int64_t value = 0;
    ebb_bag_node *at = ebb_yaml_get(n, "retries");
    if (at != NULL && ebb_yaml_read_int(p->y, at, "retries", 0, MOST_RETRIES, &value))
        g->retries = (uint32_t)value;
    at = ebb_yaml_get(n, "priority");
    if (at != NULL && ebb_yaml_read_int(p->y, at, "priority", -1000000, 1000000, &value))
        g->priority = (int32_t)value;
    at = ebb_yaml_get(n, "checkpoint_interval");
    if (at != NULL &&
        ebb_yaml_read_duration(p->y, at, "checkpoint_interval", &g->checkpoint_interval_s) &&
        !(g->checkpoint_interval_s >= 1))
        ebb_yaml_fault(p->y, at, "checkpoint_interval: '%s' is less than a second",
                       ebb_yaml_scalar(at));
}

static void read_command(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    ebb_bag_node *command = ebb_bag_need(p, n, "the job group", "command");
    if (command != NULL && ebb_spec_text(p->y, command, "command", &g->command) &&
        g->command[strspn(g->command, " \t\r\n")] == '\0')
        ebb_yaml_fault(p->y, command, "command: there is nothing to run");
    if (ebb_yaml_get(n, "setup") != NULL)
        ebb_spec_text(p->y, ebb_yaml_get(n, "setup"), "setup", &g->setup);
    if (ebb_yaml_get(n, "resume_command") != NULL)
        ebb_spec_text(p->y, ebb_yaml_get(n, "resume_command"), "resume_command",
                      &g->resume_command);
}

void ebb_bag_read_group(struct ebb_bag_parser *p, ebb_bag_node *n)
{
    static const char *const names[] = {"name",           "engine",
                                        "sweep",          "resources",
                                        "inputs",         "setup",
                                        "command",        "outputs",
                                        "retries",        "needs",
                                        "environment",    "priority",
                                        "resume_command", "checkpoint_interval"};
    if (!ebb_yaml_check_keys_in(p->y, n, "a job group", names, EBB_ARRAY_LEN(names)))
        return;
    Ebb__JobGroup *g = ebb_alloc(sizeof *g);
    ebb__job_group__init(g);
    p->group_nodes[p->spec->n_groups] = n;
    p->spec->groups[p->spec->n_groups++] = g;
    read_name(p, n, g);
    ebb_spec_set_text(&g->engine, "command");
    if (ebb_yaml_get(n, "engine") != NULL)
        ebb_spec_text(p->y, ebb_yaml_get(n, "engine"), "engine", &g->engine);
    if (ebb_yaml_get(n, "sweep") != NULL)
        ebb_bag_read_sweep(p, ebb_yaml_get(n, "sweep"), g);
    read_resources(p, ebb_yaml_get(n, "resources"), g);
    ebb_bag_read_files(p, ebb_yaml_get(n, "inputs"), g);
    ebb_bag_read_outputs(p, ebb_yaml_get(n, "outputs"), g);
    read_command(p, n, g);
    read_numbers(p, n, g);
    ebb_spec_texts(p->y, ebb_yaml_get(n, "needs"), "needs", &g->n_needs, &g->needs);
    ebb_spec_environment(p->y, ebb_yaml_get(n, "environment"), add_environment, g);
}
