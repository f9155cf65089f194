/* Paging through the jobs: a page is small against the limit of a frame, so that a bag of 100,000
 * jobs takes a hundred short answers. */
#include "cli/jobs_page.h"

#include <string.h>

#include "base/text.h"

#define PAGE       1000
#define MAX_STATES 7

static const char *const known[] = {"waiting", "ready",  "leased",   "running",
                                    "done",    "failed", "cancelled"};

static int check_state(const char *word, struct ebb_error *err)
{
    for (size_t i = 0; i < EBB_ARRAY_LEN(known); i++)
        if (strcmp(word, known[i]) == 0)
            return 0;
    const char *nearest = ebb_nearest_name(word, known, EBB_ARRAY_LEN(known));
    if (nearest != NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "unknown state '%s', did you mean '%s'?", word,
                             nearest);
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "unknown state '%s' (waiting, ready, leased, running, done, failed, "
                         "cancelled)",
                         word);
}

/* Splits `text` in place. */
static int split_states(char *text, char **ret, size_t *ret_count, struct ebb_error *err)
{
    char *rest = text;
    for (char *word = strtok_r(text, ", ", &rest); word != NULL;
         word = strtok_r(NULL, ", ", &rest)) {
        int rc = check_state(word, err);
        if (rc < 0)
            return rc;
        if (*ret_count < MAX_STATES)
            ret[(*ret_count)++] = word;
    }
    return 0;
}

int ebb_jobs_each(struct ebb_client *client, const char *bag, const char *states, uint64_t limit,
                  int (*fn)(void *ctx, const Ebb__JobStatus *job), void *ctx, uint64_t *ret_total,
                  struct ebb_error *err)
{
    EBB_AUTO_FREE char *copy = ebb_strdup(states == NULL ? "" : states);
    char *words[MAX_STATES];
    Ebb__JobsRequest q = EBB__JOBS_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    int rc = split_states(copy, words, &q.n_states, err);
    if (rc < 0)
        return rc;
    q.states = words;
    q.bag = (char *)bag;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_JOBS;
    request.jobs = &q;
    for (;;) {
        EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
        q.limit = limit > 0 && limit - q.first < PAGE ? (uint32_t)(limit - q.first) : PAGE;
        rc = ebb_client_call(client, &request, &a, err);
        if (rc < 0)
            return rc;
        if (a->jobs == NULL)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "the scheduler gave no jobs");
        *ret_total = a->jobs->total;
        for (size_t i = 0; i < a->jobs->n_jobs; i++) {
            rc = fn(ctx, a->jobs->jobs[i]);
            if (rc != 0)
                return rc;
        }
        q.first += a->jobs->n_jobs;
        if (a->jobs->n_jobs == 0 || q.first >= a->jobs->total || (limit > 0 && q.first >= limit))
            return 0;
    }
}
