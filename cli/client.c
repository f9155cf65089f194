/* Calls to the scheduler. A command holds one connection; the scheduler answers in order. */
#include "cli/client.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/channel.h"
#include "base/file.h"
#include "cli/local.h"
#include "proto/decode.h"

/* Longer than any wait that the command line asks for. */
#define CALL_TIMEOUT_S 60

/* Reconnections in one call: a scheduler that was killed is started again, one that keeps dying is
 * an error. */
#define MOST_RETURNS 3

struct ebb_client {
    struct ebb_blocking_channel *channel;
    bool returns; /* comes back when the connection is lost: opened with ebb_client_open */
};

char *ebb_state_dir(void)
{
    const char *given = getenv("EBB_STATE_DIR");
    if (given != NULL && given[0] == '/')
        return ebb_strdup(given);
    if (given != NULL && given[0] != '\0') {
        EBB_AUTO_FREE char *here = getcwd(NULL, 0);
        return ebb_path_join(here == NULL ? "" : here, given);
    }
    const char *xdg = getenv("XDG_STATE_HOME");
    if (xdg != NULL && xdg[0] == '/')
        return ebb_path_join(xdg, "ebb");
    const char *home = getenv("HOME");
    return ebb_path_join(home != NULL && home[0] == '/' ? home : "/var/tmp", ".local/state/ebb");
}

char *ebb_state_path(const char *name)
{
    EBB_AUTO_FREE char *folder = ebb_state_dir();
    return ebb_path_join(folder, name);
}

int ebb_client_connect(struct ebb_client **ret, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_state_path("scheduler.sock");
    EBB_AUTO_FREE char *address = ebb_sprintf("unix:%s", path);
    struct ebb_blocking_channel *channel = NULL;
    struct ebb_error inner = {0};
    if (ebb_blocking_channel_connect(address, CALL_TIMEOUT_S, &channel, &inner) < 0) {
        if (inner.code == EBB_ERR_UNAVAILABLE || inner.code == EBB_ERR_NOT_FOUND)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                                 "no scheduler is running here (%s): 'ebb submit' starts one",
                                 path);
        ebb_error_copy(err, &inner);
        return inner.code;
    }
    struct ebb_client *c = ebb_alloc(sizeof(*c));
    c->channel = channel;
    *ret = c;
    return 0;
}

static int open_or_restart(struct ebb_client **ret, struct ebb_error *err)
{
    struct ebb_error first = {0};
    int rc = ebb_client_connect(ret, &first);
    EBB_AUTO_FREE char *log = ebb_state_path("events.db");
    if (rc != EBB_ERR_NOT_FOUND || !ebb_file_exists(log)) {
        if (rc < 0)
            ebb_error_copy(err, &first);
        return rc;
    }
    rc = ebb_local_restart(err);
    return rc < 0 ? rc : ebb_client_connect(ret, err);
}

int ebb_client_open(struct ebb_client **ret, struct ebb_error *err)
{
    int rc = open_or_restart(ret, err);
    if (rc == 0)
        (*ret)->returns = true;
    return rc;
}

void ebb_client_destroy(struct ebb_client *c)
{
    if (c == NULL)
        return;
    ebb_blocking_channel_destroy(c->channel);
    free(c);
}

/* Asking twice is the same as asking once. */
static bool is_question(const Ebb__ClientRequest *request)
{
    switch (request->kind_case) {
    case EBB__CLIENT_REQUEST__KIND_PLAN:
    case EBB__CLIENT_REQUEST__KIND_BAGS:
    case EBB__CLIENT_REQUEST__KIND_JOBS:
    case EBB__CLIENT_REQUEST__KIND_EXPLAIN:
    case EBB__CLIENT_REQUEST__KIND_REPORT:
    case EBB__CLIENT_REQUEST__KIND_EVENTS:
    case EBB__CLIENT_REQUEST__KIND_SPEC:
        return true;
    case EBB__CLIENT_REQUEST__KIND_HAZARDS:
        return request->hazards->import == NULL;
    default:
        return false;
    }
}

static bool is_lost(int code)
{
    return code == EBB_ERR_UNAVAILABLE || code == EBB_ERR_TIMEOUT;
}

/* The scheduler may die and come back under a command that waits: the question is put again. */
static int exchange(struct ebb_client *c, const Ebb__ClientRequest *request, const uint8_t *bytes,
                    size_t len, struct ebb_buffer *answer, struct ebb_error *err)
{
    struct ebb_error lost = {0};
    int rc = ebb_blocking_channel_call(c->channel, bytes, len, answer, &lost);
    for (int i = 0; is_lost(rc) && c->returns && is_question(request) && i < MOST_RETURNS; i++) {
        struct ebb_client *again = NULL;
        if (open_or_restart(&again, &lost) < 0)
            break;
        ebb_blocking_channel_destroy(c->channel);
        c->channel = EBB_TAKE(again->channel);
        free(again);
        ebb_buffer_reset(answer);
        rc = ebb_blocking_channel_call(c->channel, bytes, len, answer, &lost);
    }
    if (rc < 0)
        ebb_error_copy(err, &lost);
    return rc < 0 ? ebb_error_wrap(err, rc, "scheduler") : 0;
}

int ebb_client_call(struct ebb_client *c, const Ebb__ClientRequest *request,
                    Ebb__ClientAnswer **ret, struct ebb_error *err)
{
    size_t len = ebb__client_request__get_packed_size(request);
    if (len > EBB_CHANNEL_MAX_FRAME_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "the request is larger than %u MiB",
                             EBB_CHANNEL_MAX_FRAME_BYTES >> 20);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc_array(len + 1, 1);
    (void)ebb__client_request__pack(request, bytes);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer answer = {0};
    int rc = exchange(c, request, bytes, len, &answer, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(ebb_answer_auto)
    Ebb__ClientAnswer *a =
        ebb_message_decode(&ebb__client_answer__descriptor, answer.data, answer.len);
    if (a == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "the scheduler's answer cannot be read: is it of another version?");
    if (a->code < 0)
        return ebb_error_set(err, a->code, "%s", a->text);
    *ret = EBB_TAKE(a);
    return 0;
}

static int wrong_answer(Ebb__ClientAnswer **ret, struct ebb_error *err)
{
    ebb_answer_destroy(EBB_TAKE(*ret));
    return ebb_error_set(err, EBB_ERR_CORRUPT,
                         "the scheduler answered something else: is it of another version?");
}

int ebb_ask_bags(struct ebb_client *c, const char *bag, Ebb__ClientAnswer **ret,
                 struct ebb_error *err)
{
    Ebb__BagsRequest q = EBB__BAGS_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)(bag == NULL ? "" : bag);
    request.kind_case = EBB__CLIENT_REQUEST__KIND_BAGS;
    request.bags = &q;
    int rc = ebb_client_call(c, &request, ret, err);
    return rc < 0 || (*ret)->bags != NULL ? rc : wrong_answer(ret, err);
}

int ebb_ask_ping(struct ebb_client *c, Ebb__ClientAnswer **ret, struct ebb_error *err)
{
    Ebb__PingRequest q = EBB__PING_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_PING;
    request.ping = &q;
    int rc = ebb_client_call(c, &request, ret, err);
    return rc < 0 || (*ret)->ping != NULL ? rc : wrong_answer(ret, err);
}

int ebb_ask_spec(struct ebb_client *c, const char *bag, Ebb__ClientAnswer **ret,
                 struct ebb_error *err)
{
    Ebb__SpecRequest q = EBB__SPEC_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)bag;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_SPEC;
    request.spec = &q;
    int rc = ebb_client_call(c, &request, ret, err);
    return rc < 0 || ((*ret)->spec != NULL && (*ret)->spec->spec != NULL) ? rc
                                                                          : wrong_answer(ret, err);
}

int ebb_ask_events(struct ebb_client *c, const char *bag, uint64_t after, uint32_t limit,
                   double wait_s, Ebb__ClientAnswer **ret, struct ebb_error *err)
{
    Ebb__EventsRequest q = EBB__EVENTS_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)(bag == NULL ? "" : bag);
    q.after = after;
    q.limit = limit;
    q.wait_s = wait_s;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_EVENTS;
    request.events = &q;
    int rc = ebb_client_call(c, &request, ret, err);
    return rc < 0 || (*ret)->events != NULL ? rc : wrong_answer(ret, err);
}

void ebb_job_argument(const char *text, char **ret_bag, char **ret_job)
{
    const char *slash = strchr(text, '/');
    *ret_bag = slash == NULL ? ebb_strdup("last") : ebb_strndup(text, (size_t)(slash - text));
    *ret_job = ebb_strdup(slash == NULL ? text : slash + 1);
}
