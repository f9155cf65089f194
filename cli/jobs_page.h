/* The jobs of a bag, page by page. */
#ifndef EBB_CLI_JOBS_PAGE_H
#define EBB_CLI_JOBS_PAGE_H

#include "cli/client.h"

/* Calls fn for each job in one of the states ("failed,cancelled"; NULL or empty: all), at most
 * `limit` (0: all); stops at the first non-zero return and returns it. *ret_total: how many there
 * are. A state that does not exist is EBB_ERR_INPUT. */
int ebb_jobs_each(struct ebb_client *client, const char *bag, const char *states, uint64_t limit,
                  int (*fn)(void *ctx, const Ebb__JobStatus *job), void *ctx, uint64_t *ret_total,
                  struct ebb_error *err);

#endif
