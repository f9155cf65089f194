/* A lease, the bag's context and the VM put together: names, paths, group and profile. Everything
 * that came over the wire is checked here once. */
#include "agent/task.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/sweep.h"

struct ebb_bag_context *ebb_bag_context_new(const Ebb__BagContext *message)
{
    size_t len = ebb__bag_context__get_packed_size(message);
    EBB_AUTO_FREE uint8_t *packed = ebb_alloc(len + 1);
    ebb__bag_context__pack(message, packed);
    struct ebb_bag_context *b = ebb_alloc(sizeof *b);
    b->references = 1;
    b->message = ebb__bag_context__unpack(NULL, len, packed);
    return b;
}

struct ebb_bag_context *ebb_bag_context_ref(struct ebb_bag_context *b)
{
    b->references++;
    return b;
}

void ebb_bag_context_unref(struct ebb_bag_context *b)
{
    if (b == NULL || --b->references > 0)
        return;
    ebb__bag_context__free_unpacked(b->message, NULL);
    free(b);
}

static const Ebb__Profile *find_profile(const Ebb__BagContext *bag, const char *engine)
{
    for (size_t i = 0; i < bag->n_profiles; i++)
        if (strcmp(bag->profiles[i]->name, engine) == 0)
            return bag->profiles[i];
    return NULL;
}

static void name_paths(struct ebb_task *t, const char *vm_directory)
{
    struct ebb_buffer text = {0};
    ebb_job_name(t->group, t->index, &text);
    t->job_name = ebb_buffer_take_text(&text);
    ebb_job_store_root(t->spec.id, &t->spec, t->job, &text);
    t->store_root = ebb_buffer_take_text(&text);
    t->directory = ebb_sprintf("%s/attempts/%s-%llu-%u", vm_directory, t->spec.id,
                               (unsigned long long)t->job, t->attempt);
    t->work = ebb_path_join(t->directory, "work");
    t->log_path = ebb_path_join(t->directory, "output.log");
    t->cache = ebb_path_join(vm_directory, "cache");
    char nonce[17];
    t->marker = ebb_sprintf("%s/%s/%llu/%u/%s", t->vm, t->spec.id, (unsigned long long)t->job,
                            t->attempt, ebb_random_hex(nonce, 8));
}

static bool is_address(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < 64 && strspn(text, "0123456789abcdefABCDEF.:") == len;
}

static int take_gang(struct ebb_task *t, const Ebb__Lease *lease, struct ebb_error *err)
{
    t->gang_size = 1;
    if (lease->n_gang_hosts <= 1)
        return 0;
    if (lease->n_gang_hosts > EBB_GANG_MOST || lease->rank >= lease->n_gang_hosts)
        return ebb_error_set(err, EBB_ERR_INPUT, "rank %u in a gang of %zu", lease->rank,
                             lease->n_gang_hosts);
    for (size_t i = 0; i < lease->n_gang_hosts; i++)
        if (!is_address(lease->gang_hosts[i]))
            return ebb_error_set(err, EBB_ERR_INPUT, "the address of rank %zu of the gang is '%s'",
                                 i, lease->gang_hosts[i]);
    t->rank = lease->rank;
    t->gang_size = lease->n_gang_hosts;
    t->gang_hosts = ebb_alloc_array(t->gang_size, sizeof(*t->gang_hosts));
    for (size_t i = 0; i < t->gang_size; i++)
        t->gang_hosts[i] = ebb_strdup(lease->gang_hosts[i]);
    return 0;
}

bool ebb_task_is_member(const struct ebb_task *t)
{
    return t->rank > 0;
}

int ebb_task_new(struct ebb_bag_context *bag, const Ebb__Lease *lease, const char *vm,
                 const char *vm_directory, const struct ebb_machine *machine, struct ebb_task **ret,
                 struct ebb_error *err)
{
    const Ebb__BagContext *m = bag->message;
    Ebb__BagSpec spec = EBB__BAG_SPEC__INIT;
    spec.id = m->bag;
    spec.n_groups = m->n_groups;
    spec.groups = m->groups;
    uint64_t index = 0;
    const Ebb__JobGroup *group = ebb_bag_group(&spec, lease->job, &index);
    if (group == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "bag %s has no job %llu", m->bag,
                             (unsigned long long)lease->job);
    const Ebb__Profile *profile = find_profile(m, group->engine);
    if (profile == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "bag %s came without the profile of engine '%s'",
                             m->bag, group->engine);
    if (strchr(m->bag, '/') != NULL || !ebb_path_is_contained(m->bag))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is no bag id", m->bag);
    struct ebb_task *t = ebb_alloc(sizeof *t);
    t->bag = ebb_bag_context_ref(bag);
    t->spec = spec;
    t->group = group;
    t->index = index;
    t->profile = profile;
    t->job = lease->job;
    t->attempt = lease->attempt;
    t->resume = lease->resume;
    t->checkpoint_interval_s = lease->checkpoint_interval_s;
    int r = take_gang(t, lease, err);
    if (r < 0) {
        ebb_task_destroy(t);
        return r;
    }
    t->vm = ebb_strdup(vm);
    t->machine = *machine;
    name_paths(t, vm_directory);
    *ret = t;
    return 0;
}

void ebb_task_destroy(struct ebb_task *t)
{
    if (t == NULL)
        return;
    ebb_bag_context_unref(t->bag);
    for (size_t i = 0; t->gang_hosts != NULL && i < t->gang_size; i++)
        free(t->gang_hosts[i]);
    free(t->gang_hosts);
    free(t->vm);
    free(t->job_name);
    free(t->store_root);
    free(t->directory);
    free(t->work);
    free(t->log_path);
    free(t->cache);
    free(t->marker);
    free(t);
}

void ebb_task_note(const struct ebb_task *t, const char *fmt, ...)
{
    char text[900];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    EBB_AUTO_FREE char *line = ebb_sprintf("ebb: %s\n", text);
    int fd = open(t->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    ebb_write_all(fd, line, strlen(line), NULL);
    close(fd);
}
