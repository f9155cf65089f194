/* agent.conf, read once at the start. Every key is known or an error, so that a misspelt one does
 * not leave a VM that silently does the wrong thing while it costs money. */
#include "agent/config.h"

#include <libgen.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/yaml.h"

EBB_DEFINE_AUTO_PTR(yaml_auto, struct ebb_yaml, ebb_yaml_destroy)

static const char *const keys[] = {"vm",    "scheduler", "server_name", "token",   "directory",
                                   "proxy", "cpus",      "memory",      "started", "authority"};

static char *text_of(struct ebb_yaml *y, const struct ebb_yaml_node *root, const char *key,
                     bool required)
{
    const struct ebb_yaml_node *n = ebb_yaml_get(root, key);
    const char *text = NULL;
    if (n == NULL || ebb_yaml_is_null(n)) {
        if (required)
            ebb_yaml_fault(y, root, "'%s' is missing", key);
        return NULL;
    }
    if (!ebb_yaml_read_text(y, n, key, &text))
        return NULL;
    return ebb_strdup(text);
}

static void read_started(struct ebb_yaml *y, const struct ebb_yaml_node *root, int64_t *ret)
{
    EBB_AUTO_FREE char *text = text_of(y, root, "started", false);
    struct ebb_error err = {0};
    if (text != NULL && ebb_time_parse(text, ret, &err) < 0)
        ebb_yaml_fault(y, ebb_yaml_get(root, "started"), "%s", err.text);
}

static void read_keys(struct ebb_yaml *y, const struct ebb_yaml_node *root, const char *folder,
                      struct ebb_agent_config *c)
{
    const struct ebb_yaml_node *n;
    c->vm = text_of(y, root, "vm", true);
    c->scheduler = text_of(y, root, "scheduler", true);
    c->authority_pem = text_of(y, root, "authority", true);
    c->server_name = text_of(y, root, "server_name", false);
    if (c->server_name == NULL)
        c->server_name = ebb_strdup("ebb-scheduler");
    c->token = text_of(y, root, "token", false);
    c->proxy = text_of(y, root, "proxy", false);
    c->directory = text_of(y, root, "directory", false);
    if (c->directory == NULL)
        c->directory = ebb_strdup(folder);
    if ((n = ebb_yaml_get(root, "cpus")) != NULL)
        ebb_yaml_read_double(y, n, "cpus", 0.01, 1e5, &c->cpus);
    if ((n = ebb_yaml_get(root, "memory")) != NULL)
        ebb_yaml_read_size(y, n, "memory", &c->memory_bytes);
    read_started(y, root, &c->started_wall_ns);
}

int ebb_agent_config_parse(const char *name, const char *folder, const char *text, size_t len,
                           struct ebb_agent_config *ret, struct ebb_error *err)
{
    EBB_AUTO(yaml_auto) struct ebb_yaml *y = NULL;
    int r = ebb_yaml_parse(name, text, len, &y, err);
    if (r < 0)
        return r;
    const struct ebb_yaml_node *root = ebb_yaml_root(y);
    if (root == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: the file is empty; vm, scheduler, authority and token are needed",
                             name);
    struct ebb_agent_config c = {0};
    if (ebb_yaml_check_keys(y, root, keys, EBB_ARRAY_LEN(keys)))
        read_keys(y, root, folder, &c);
    r = ebb_yaml_faults(y, NULL, err);
    if (r < 0) {
        ebb_agent_config_clean_up(&c);
        return r;
    }
    *ret = c;
    return 0;
}

int ebb_agent_config_load(const char *path, struct ebb_agent_config *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int r = ebb_file_read(path, 1 << 20, &text, err);
    if (r < 0)
        return r;
    EBB_AUTO_FREE char *full = realpath(path, NULL);
    EBB_AUTO_FREE char *copy = ebb_strdup(full != NULL ? full : path);
    return ebb_agent_config_parse(path, dirname(copy), ebb_buffer_text(&text), text.len, ret, err);
}

void ebb_agent_config_clean_up(struct ebb_agent_config *c)
{
    free(c->vm);
    free(c->scheduler);
    free(c->server_name);
    free(c->token);
    free(c->directory);
    free(c->proxy);
    free(c->authority_pem);
    *c = (struct ebb_agent_config){0};
}
