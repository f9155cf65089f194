/* AWS Signature Version 4: signing in headers, presigned URLs, and the check of both that a server
 * makes. Pure: the time comes in. (docs.aws.amazon.com, "Signature Version 4 signing process" and
 * "Authenticating Requests: Using Query Parameters".)
 *
 * Paths and queries are taken as they stand on the request line, percent-encoded. They are decoded
 * and encoded again in the canonical way, so `%2f`, `%2F` and unsorted queries sign alike. The path
 * is encoded once for the service "s3" and twice for all others. */
#ifndef EBB_CLOUD_SIGV4_H
#define EBB_CLOUD_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define EBB_SIGV4_DATE_SIZE        17 /* "20261121T100405Z" */

struct ebb_sigv4_key {
    const char *access_key;
    const char *secret_key;
    const char *session_token; /* NULL or "": none */
};

struct ebb_sigv4_header {
    const char *name; /* any case */
    const char *value;
};

struct ebb_sigv4_request {
    const char *method;
    const char *target; /* "/bucket/key%20a?list-type=2", as on the request line */
    const struct ebb_sigv4_header *headers;
    size_t header_count;
    /* Hex SHA-256 of the body, or what the header x-amz-content-sha256 says. NULL: that header,
     * else (presigned) UNSIGNED-PAYLOAD, else the hash of nothing. */
    const char *payload_hash;
};

/* "20261121T100405Z", for x-amz-date. Returns out. */
char *ebb_sigv4_date(int64_t wall_ns, char out[EBB_SIGV4_DATE_SIZE]);

/* The value of the Authorization header, malloc'ed. All given headers are signed; they must hold
 * Host and X-Amz-Date (of the same wall_ns), and X-Amz-Security-Token where there is a token. */
char *ebb_sigv4_authorization(const struct ebb_sigv4_key *key, const char *region,
                              const char *service, int64_t wall_ns,
                              const struct ebb_sigv4_request *q);

/* A URL that anybody may use with `method` for `valid_s` seconds (at most 604800): `origin`
 * ("https://host:port"), then `path` (encoded) and the signature as query. malloc'ed. */
char *ebb_sigv4_presign(const struct ebb_sigv4_key *key, const char *region, const char *service,
                        int64_t wall_ns, const char *method, const char *origin, const char *path,
                        unsigned valid_s);

/* What a request says about its signature. */
struct ebb_sigv4_claim {
    bool presigned;
    char access_key[129];
    char day[9]; /* "20261121" */
    char region[65];
    char service[33];
    char signed_headers[1025]; /* "host;x-amz-date" */
    char signature[65];        /* hex */
    int64_t signed_wall_ns;
    int64_t valid_s; /* presigned: from signed_wall_ns on */
};

enum ebb_sigv4_verdict {
    EBB_SIGV4_GENUINE,
    EBB_SIGV4_ABSENT,    /* no signature at all */
    EBB_SIGV4_MALFORMED, /* present, not well formed */
    EBB_SIGV4_SKEWED,    /* signed more than 15 minutes from `now` */
    EBB_SIGV4_EXPIRED,   /* presigned and over */
    EBB_SIGV4_MISMATCH,  /* the signature is not of this key or this request */
};

/* Reads the claim (first, to look the secret up): GENUINE (nothing proven yet), ABSENT or
 * MALFORMED. */
enum ebb_sigv4_verdict ebb_sigv4_read_claim(const struct ebb_sigv4_request *q,
                                            struct ebb_sigv4_claim *ret);
/* Checks it. A request with a host and x-amz-* headers must have signed those; whether the body
 * matches payload_hash is the caller's to check. Signatures compare in constant time. */
enum ebb_sigv4_verdict ebb_sigv4_check(const struct ebb_sigv4_request *q,
                                       const struct ebb_sigv4_claim *claim, const char *secret_key,
                                       int64_t now_wall_ns);

#endif
