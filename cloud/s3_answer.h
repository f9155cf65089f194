/* What S3 answers: errors to codes, list pages to objects. Pure, bounded. */
#ifndef EBB_CLOUD_S3_ANSWER_H
#define EBB_CLOUD_S3_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/object_store_methods.h"

/* The code that an S3 error means. `name` is the <Code> of the body, "" when there was none (HEAD,
 * proxies). Preconditions come out as EBB_ERR_PRECONDITION; the caller knows which it asked for. */
int ebb_s3_code(int status, const char *name);
/* Sets `err` from an answer that is no success; returns the code. `what` is "put key". */
int ebb_s3_read_error(const char *what, int status, const void *body, size_t len,
                      struct ebb_error *err);
/* True when a 200 answer's body is an <Error> all the same. */
bool ebb_s3_is_hidden_error(const void *body, size_t len);

/* One page of ListObjectsV2 with encoding-type=url. Keys that do not begin with `store_prefix` are
 * corrupt; fn gets them without it. *ret_token becomes the continuation token, malloc'ed, or NULL
 * on the last page. A non-zero return of fn ends the page and is returned. */
int ebb_s3_read_list(const void *body, size_t len, const char *store_prefix, ebb_object_fn fn,
                     void *ctx, char **ret_token, struct ebb_error *err);

#endif
