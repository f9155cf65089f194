/* HTTP requests (libcurl), blocking: call from worker threads or from commands. HTTP/1.1 always
 * (h2 uploads of libcurl 7.88 are several times slower). A client keeps its connections and may be
 * used by several threads at once (one libcurl handle per call, taken from a pool). */
#ifndef EBB_BASE_HTTP_CLIENT_H
#define EBB_BASE_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct ebb_http_client;

struct ebb_http_request {
    const char *method;         /* "GET", "PUT", "POST", "HEAD", "DELETE" */
    const char *url;            /* sent as it stands: the caller has encoded it */
    const char *const *headers; /* "Name: value" lines, NULL-terminated; may be NULL */
    const void *body;           /* may be NULL */
    size_t body_len;
    double connect_timeout_s; /* 0: 5 */
    double timeout_s;         /* whole request; 0: 60 */
    size_t max_answer_bytes;  /* 0: 64 MiB; more is EBB_ERR_CORRUPT */
    int no_proxy;             /* 1: ignore proxy variables (metadata services) */
    const atomic_int *cancel; /* not NULL and non-zero: abort with EBB_ERR_CANCELLED */
};

struct ebb_http_answer {
    int status;                /* 200, 404, ... */
    struct ebb_buffer headers; /* raw "Name: value\r\n" lines of the final answer */
    struct ebb_buffer body;
};

struct ebb_http_client *ebb_http_client_new(void);
void ebb_http_client_destroy(struct ebb_http_client *c);
/* Any HTTP status is success here; errors are those of the transport: EBB_ERR_UNAVAILABLE
 * (refused, reset before the request was sent), EBB_ERR_TIMEOUT (outcome unknown, also a connection
 * lost after the request went out). */
int ebb_http_call(struct ebb_http_client *c, const struct ebb_http_request *q,
                  struct ebb_http_answer *ret, struct ebb_error *err);
void ebb_http_answer_clean_up(struct ebb_http_answer *a);
/* Header value, malloc'ed, or NULL. Case-insensitive. */
char *ebb_http_header(const struct ebb_http_answer *a, const char *name);

#endif
