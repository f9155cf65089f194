/* From what a person writes to lineages in a store. */
#include "cli/checkpoint_target.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/local.h"
#include "cli/store_access.h"
#include "scheduler/core/sweep.h"

static int add_root(void *ctx, const char *root)
{
    struct ebb_checkpoint_target *t = ctx;
    /* "jobs/a" must not stand for "jobs/a2". */
    size_t len = strlen(t->prefix);
    if (len > 0 && root[len] != '\0' && root[len] != '/')
        return 0;
    t->roots = ebb_realloc_array(t->roots, t->count + 1, sizeof *t->roots);
    t->roots[t->count++] = ebb_strdup(root);
    return 0;
}

/* "file:///d/bags/b/jobs/j" -> "file:///d" and "bags/b/jobs/j". */
static int open_url(const char *text, struct ebb_checkpoint_target *t, struct ebb_error *err)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '/' && !(len > 2 && text[len - 2] == '/'))
        len--;
    EBB_AUTO_FREE char *url = ebb_strndup(text, len);
    char *bags = strstr(url, "/bags/");
    t->prefix = ebb_strdup(bags != NULL ? bags + 1 : "");
    if (bags != NULL)
        *bags = '\0';
    /* The emulated store of this machine, if that is the one in use and nothing else is set. */
    if (ebb_starts_with(url, "s3://") && getenv("AWS_ENDPOINT_URL") == NULL &&
        getenv("AWS_ENDPOINT_URL_S3") == NULL && ebb_local_is_emulated()) {
        int rc = ebb_local_use_cloud(err);
        if (rc < 0)
            return rc;
    }
    /* Opening a directory as a store would make it. */
    if (ebb_starts_with(url, "file://") && access(url + strlen("file://"), F_OK) != 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "store %s", url);
    return ebb_object_store_open(url, NULL, &t->store, err);
}

static int open_bag(const char *text, struct ebb_checkpoint_target *t, struct ebb_error *err)
{
    EBB_AUTO(ebb_bag_access_clean_up) struct ebb_bag_access a = {0};
    EBB_AUTO_FREE char *bag = ebb_strndup(text, strcspn(text, "/"));
    int rc = ebb_bag_access_open(bag, &a, err);
    if (rc < 0)
        return rc;
    t->prefix = ebb_sprintf("bags/%s", a.bag);
    if (text[strlen(bag)] == '/') {
        uint64_t index;
        rc = ebb_bag_access_job(&a, text + strlen(bag) + 1, &index, err);
        if (rc < 0)
            return rc;
        struct ebb_buffer root = {0};
        ebb_job_store_root(a.bag, a.spec, index, &root);
        free(t->prefix);
        t->prefix = ebb_buffer_take_text(&root);
    }
    t->store = EBB_TAKE(a.store);
    return 0;
}

int ebb_checkpoint_target_open(const char *text, struct ebb_checkpoint_target *ret,
                               struct ebb_error *err)
{
    struct ebb_checkpoint_target t = {0};
    int rc = strstr(text, "://") != NULL ? open_url(text, &t, err) : open_bag(text, &t, err);
    if (rc == 0) {
        rc = ebb_lineage_find(t.store, t.prefix, add_root, &t, err);
        rc = rc < 0 ? ebb_error_wrap(err, rc, "%s", text) : rc;
    }
    if (rc == 0 && t.count == 0)
        rc = ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s: no checkpoints there", text);
    if (rc < 0) {
        ebb_checkpoint_target_clean_up(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

int ebb_checkpoint_target_open_one(const char *text, struct ebb_checkpoint_target *ret,
                                   struct ebb_lineage **ret_lineage, struct ebb_error *err)
{
    struct ebb_checkpoint_target t = {0};
    int rc = ebb_checkpoint_target_open(text, &t, err);
    if (rc == 0 && t.count > 1)
        rc = ebb_error_set(err, EBB_ERR_INPUT,
                           "%s: %zu jobs have checkpoints there, name one of them: %s, %s%s", text,
                           t.count, t.roots[0], t.roots[1], t.count > 2 ? ", ..." : "");
    if (rc == 0)
        rc = ebb_lineage_open(t.store, t.roots[0], ret_lineage, err);
    if (rc < 0) {
        ebb_checkpoint_target_clean_up(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

void ebb_checkpoint_target_clean_up(struct ebb_checkpoint_target *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->roots[i]);
    free(t->roots);
    free(t->prefix);
    ebb_object_store_destroy(t->store);
    *t = (struct ebb_checkpoint_target){0};
}
