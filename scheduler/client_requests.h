/* Requests of the command line: what each does (client_requests.c, client_queries.c). */
#ifndef EBB_SCHEDULER_CLIENT_REQUESTS_H
#define EBB_SCHEDULER_CLIENT_REQUESTS_H

#include "scheduler/daemon.h"

struct ebb_client_link {
    struct ebb_client_link *next;
    struct ebb_daemon *daemon;
    struct ebb_channel *channel; /* NULL: closed */
    unsigned refs;
    Ebb__ClientRequest *parked; /* waits for something; NULL: nothing waits */
    int64_t parked_until_ns;
};

enum ebb_request_result {
    EBB_REQUEST_ANSWERED, /* or will be, by a worker */
    EBB_REQUEST_WAIT,     /* call again later; never when `last` */
};

enum ebb_request_result ebb_request_handle(struct ebb_daemon *d, struct ebb_client_link *c,
                                           Ebb__ClientRequest *q, bool last);

/* Each answers, also with an error. */
enum ebb_request_result ebb_request_plan(struct ebb_daemon *d, struct ebb_client_link *c,
                                         const Ebb__PlanRequest *q, bool last);
enum ebb_request_result ebb_request_events(struct ebb_daemon *d, struct ebb_client_link *c,
                                           const Ebb__EventsRequest *q, bool last);
void ebb_request_bags(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__BagsRequest *q);
void ebb_request_jobs(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__JobsRequest *q);
void ebb_request_explain(struct ebb_daemon *d, struct ebb_client_link *c,
                         const Ebb__ExplainRequest *q);
void ebb_request_report(struct ebb_daemon *d, struct ebb_client_link *c,
                        const Ebb__ReportRequest *q);
void ebb_request_ping(struct ebb_daemon *d, struct ebb_client_link *c);
void ebb_request_hazards(struct ebb_daemon *d, struct ebb_client_link *c, Ebb__HazardsRequest *q);
void ebb_request_spec(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__SpecRequest *q);

/* The bag a user means ("" and "last": the newest); NULL after an error was answered. */
struct ebb_bag *ebb_request_find_bag(struct ebb_daemon *d, struct ebb_client_link *c,
                                     const char *text);
/* By name or index, with an optional "BAG/" before it. */
struct ebb_bag *ebb_request_find_job(struct ebb_daemon *d, struct ebb_client_link *c,
                                     const char *bag, const char *job, uint64_t *ret_job);
void ebb_request_refuse(struct ebb_daemon *d, struct ebb_client_link *c, int code, const char *fmt,
                        ...) EBB_PRINTF(4, 5);

#endif
