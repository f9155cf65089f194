/* A bag's objects, for the commands that read them. */
#ifndef EBB_CLI_STORE_ACCESS_H
#define EBB_CLI_STORE_ACCESS_H

#include "cli/client.h"
#include "cloud/object_store.h"

struct ebb_bag_access {
    struct ebb_client *client;
    Ebb__ClientAnswer *answer; /* the spec's */
    const char *bag;           /* id */
    const Ebb__BagSpec *spec;
    struct ebb_object_store *store;
};

/* Opens the scheduler, the bag's spec and its store; starts what of it runs on this machine and
 * does not run. `bag`: id, name, or "last". */
int ebb_bag_access_open(const char *bag, struct ebb_bag_access *ret, struct ebb_error *err);
void ebb_bag_access_clean_up(struct ebb_bag_access *a);
/* The index of a job given by name or number. */
int ebb_bag_access_job(const struct ebb_bag_access *a, const char *job, uint64_t *ret,
                       struct ebb_error *err);

#endif
