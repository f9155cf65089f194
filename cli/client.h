/* The command line's connection to the scheduler, over the Unix socket in the state folder. */
#ifndef EBB_CLI_CLIENT_H
#define EBB_CLI_CLIENT_H

#include "base/error.h"
#include "base/memory.h"
#include "proto/wire.pb-c.h"

struct ebb_client;

/* $EBB_STATE_DIR, else ${XDG_STATE_HOME:-$HOME/.local/state}/ebb; malloc'ed, absolute. */
char *ebb_state_dir(void);
/* A file in it; malloc'ed. */
char *ebb_state_path(const char *name);

/* Connects to the scheduler that runs. EBB_ERR_NOT_FOUND, with advice, when none does. */
int ebb_client_connect(struct ebb_client **ret, struct ebb_error *err);
/* As ebb_client_connect; when none runs but its event log is there, starts it again (and the
 * emulated cloud, where it is the one in use) and says so on stderr. */
int ebb_client_open(struct ebb_client **ret, struct ebb_error *err);
void ebb_client_destroy(struct ebb_client *c);
EBB_DEFINE_AUTO_PTR(ebb_client_auto, struct ebb_client, ebb_client_destroy)

/* One request, one answer; blocks. On a client from ebb_client_open a question (not a command that
 * changes something) is put again when the connection is lost, to the scheduler started anew. An
 * answer with a code is an error here. The caller frees *ret with
 * ebb__client_answer__free_unpacked. */
int ebb_client_call(struct ebb_client *c, const Ebb__ClientRequest *request,
                    Ebb__ClientAnswer **ret, struct ebb_error *err);

static inline void ebb_answer_destroy(Ebb__ClientAnswer *a)
{
    ebb__client_answer__free_unpacked(a, NULL);
}
EBB_DEFINE_AUTO_PTR(ebb_answer_auto, Ebb__ClientAnswer, ebb_answer_destroy)

/* The requests that several commands make. Each answer has the field of the request set. */
int ebb_ask_bags(struct ebb_client *c, const char *bag, Ebb__ClientAnswer **ret,
                 struct ebb_error *err);
int ebb_ask_ping(struct ebb_client *c, Ebb__ClientAnswer **ret, struct ebb_error *err);
int ebb_ask_spec(struct ebb_client *c, const char *bag, Ebb__ClientAnswer **ret,
                 struct ebb_error *err);
/* Events after `after`; waits up to wait_s for the first. */
int ebb_ask_events(struct ebb_client *c, const char *bag, uint64_t after, uint32_t limit,
                   double wait_s, Ebb__ClientAnswer **ret, struct ebb_error *err);

/* "BAG/JOB" or "JOB": the parts, malloc'ed; the bag is "last" when not given. */
void ebb_job_argument(const char *text, char **ret_bag, char **ret_job);

#endif
