/* From a bag's name to its store. */
#include "cli/store_access.h"

#include <string.h>

#include "base/text.h"
#include "cli/local.h"
#include "scheduler/core/sweep.h"

int ebb_bag_access_open(const char *bag, struct ebb_bag_access *ret, struct ebb_error *err)
{
    struct ebb_bag_access a = {0};
    int rc = ebb_client_open(&a.client, err);
    if (rc == 0)
        rc = ebb_ask_spec(a.client, bag, &a.answer, err);
    if (rc == 0 && ebb_starts_with(a.answer->spec->store_url, "s3://"))
        rc = ebb_local_use_cloud(err);
    if (rc == 0)
        rc = ebb_object_store_open(a.answer->spec->store_url, NULL, &a.store, err);
    if (rc < 0) {
        ebb_bag_access_clean_up(&a);
        return rc;
    }
    a.bag = a.answer->spec->bag;
    a.spec = a.answer->spec->spec;
    *ret = a;
    return 0;
}

void ebb_bag_access_clean_up(struct ebb_bag_access *a)
{
    ebb_object_store_destroy(a->store);
    ebb_answer_destroy(a->answer);
    ebb_client_destroy(a->client);
    *a = (struct ebb_bag_access){0};
}

/* The nearest of the first job names; a bag may have 100,000. */
static int no_such_job(const struct ebb_bag_access *a, const char *job, struct ebb_error *err)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < a->spec->n_groups && count < 64; i++)
        names[count++] = a->spec->groups[i]->name;
    EBB_AUTO_FREE char *group = ebb_strndup(job, strcspn(job, ","));
    const char *nearest = ebb_nearest_name(group, names, count);
    if (nearest != NULL && strcmp(nearest, job) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "bag %s has no job '%s'; its names begin with '%s': see 'ebb jobs %s'",
                             a->bag, job, nearest, a->bag);
    return ebb_error_set(err, EBB_ERR_INPUT, "bag %s has no job '%s': see 'ebb jobs %s'", a->bag,
                         job, a->bag);
}

int ebb_bag_access_job(const struct ebb_bag_access *a, const char *job, uint64_t *ret,
                       struct ebb_error *err)
{
    int64_t number;
    if (ebb_bag_find_job(a->spec, job, ret))
        return 0;
    if (ebb_parse_int(job, 0, INT64_MAX, &number, NULL) == 0 &&
        (uint64_t)number < ebb_bag_job_count(a->spec)) {
        *ret = (uint64_t)number;
        return 0;
    }
    return no_such_job(a, job, err);
}
