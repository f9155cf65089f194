/* The head of a lineage: read, claim, replace, and settle what a lost answer leaves open.
 *
 * Whoever holds the head's epoch owns the job. Only the store decides: each head is put with the
 * condition that the one it replaces is still there, so of two claimers one wins, and the loser's
 * every later put is refused. A put without an answer is put again with the very same bytes: if the
 * first one arrived after all, the second is refused and the nonce read back is ours. */
#include "checkpoint/lineage.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/random.h"
#include "checkpoint/lineage_state.h"

enum { SETTLE_ROUNDS = 6, CLAIM_ROUNDS = 32 };

int ebb_lineage_open(struct ebb_object_store *store, const char *root, struct ebb_lineage **ret,
                     struct ebb_error *err)
{
    if (root[0] == '\0' || root[0] == '/' || root[strlen(root) - 1] == '/')
        return ebb_error_set(err, EBB_ERR_INPUT, "'%.200s' is no lineage's path", root);
    struct ebb_lineage *l = ebb_alloc(sizeof *l);
    l->store = store;
    l->root = ebb_strdup(root);
    int rc = ebb_lineage_read_head(l, err);
    if (rc < 0) {
        ebb_lineage_destroy(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void ebb_lineage_destroy(struct ebb_lineage *l)
{
    if (l == NULL)
        return;
    ebb_lineage_forget_base(l);
    ebb_head_free(l->head);
    ebb_buffer_clean_up(&l->unsettled.bytes);
    free(l->root);
    free(l);
}

const Ebb__Head *ebb_lineage_head(const struct ebb_lineage *l)
{
    return l->head;
}

/* Makes the given head object the current one. */
static int adopt(struct ebb_lineage *l, const struct ebb_buffer *bytes, const char *etag,
                 struct ebb_error *err)
{
    Ebb__Head *head = NULL;
    int rc = ebb_head_decode(bytes->data, bytes->len, &head, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s", l->root);
    ebb_head_free(l->head);
    l->head = head;
    ebb_sha256(bytes->data, bytes->len, l->head_sha256);
    (void)strncpy(l->head_etag, etag, sizeof l->head_etag - 1);
    return 0;
}

int ebb_lineage_read_head(struct ebb_lineage *l, struct ebb_error *err)
{
    EBB_AUTO_FREE char *key = ebb_head_key(l->root);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    struct ebb_object_info info = {0};
    int rc = ebb_object_get(l->store, key, 0, 0, EBB_HEAD_MAX_BYTES, &bytes, &info, err);
    if (rc == EBB_ERR_NOT_FOUND) {
        ebb_error_clear(err);
        ebb_head_free(l->head);
        l->head = NULL;
        l->head_etag[0] = '\0';
        memset(l->head_sha256, 0, sizeof l->head_sha256);
        return 0;
    }
    if (rc == 0)
        rc = adopt(l, &bytes, info.etag, err);
    if (rc == 0)
        l->head_modified_ns = info.modified_wall_ns;
    return rc;
}

static bool has_nonce(const Ebb__Head *head, const uint8_t nonce[EBB_NONCE_SIZE])
{
    return head != NULL && head->nonce.len == EBB_NONCE_SIZE &&
           memcmp(head->nonce.data, nonce, EBB_NONCE_SIZE) == 0;
}

static int fenced(struct ebb_lineage *l, struct ebb_error *err)
{
    l->is_owner = false;
    if (l->head == NULL)
        return ebb_error_set(err, EBB_ERR_FENCED, "%s: the head is gone", l->root);
    return ebb_error_set(err, EBB_ERR_FENCED,
                         "%s: epoch %" PRIu64 " belongs to %.100s: this attempt must stop", l->root,
                         l->head->epoch, l->head->owner);
}

static void back_off(unsigned round)
{
    uint64_t jitter;
    ebb_random_secret(&jitter, sizeof jitter);
    int64_t ns = (EBB_NS_PER_MS << (round + 3)) + (int64_t)(jitter % (8 * EBB_NS_PER_MS));
    struct timespec pause = {.tv_nsec = ns}; /* at most 0.27 s */
    (void)nanosleep(&pause, NULL);
}

/* After a put that was refused or not answered: what does the store show? 0: our head; 1: the one
 * it should have replaced; negative: fenced, or the read failed. */
static int look_at_head(struct ebb_lineage *l, struct ebb_error *err)
{
    struct ebb_error why = {0};
    if (ebb_lineage_read_head(l, &why) < 0)
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: the head's put is undecided: %.300s",
                             l->root, why.text);
    if (has_nonce(l->head, l->unsettled.nonce))
        return 0;
    if (strcmp(l->head_etag, l->unsettled.replaces_etag) == 0)
        return 1;
    return fenced(l, err);
}

int ebb_lineage_settle(struct ebb_lineage *l, int64_t deadline_ns, struct ebb_error *err)
{
    struct ebb_unsettled_head *u = &l->unsettled;
    if (u->bytes.len == 0)
        return 0;
    EBB_AUTO_FREE char *key = ebb_head_key(l->root);
    int rc = EBB_ERR_TIMEOUT;
    for (unsigned round = 0; round < SETTLE_ROUNDS; round++) {
        if (round > 0)
            back_off(round - 1);
        if (deadline_ns != 0 && ebb_now_ns(NULL) > deadline_ns)
            return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: no time left to publish", l->root);
        char etag[EBB_ETAG_SIZE] = "";
        bool first = u->replaces_etag[0] == '\0';
        rc = ebb_object_put(l->store, key, u->bytes.data, u->bytes.len,
                            first ? EBB_PUT_IF_ABSENT : EBB_PUT_IF_MATCH,
                            first ? NULL : u->replaces_etag, etag, err);
        if (rc == 0)
            rc = adopt(l, &u->bytes, etag, err);
        else if (rc == EBB_ERR_PRECONDITION || rc == EBB_ERR_EXISTS || rc == EBB_ERR_CONFLICT ||
                 rc == EBB_ERR_NOT_FOUND || ebb_code_is_transient(rc) || rc == EBB_ERR_TIMEOUT)
            rc = look_at_head(l, err);
        if (rc == 1) {
            rc = ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: the store does not take the head",
                               l->root);
            continue;
        }
        break;
    }
    /* Anything else leaves it open: an earlier round's request may still arrive. */
    if (rc == 0 || rc == EBB_ERR_FENCED)
        ebb_buffer_clean_up(&u->bytes);
    if (rc == 0)
        ebb_error_clear(err);
    return rc;
}

int ebb_lineage_swap_head(struct ebb_lineage *l, Ebb__Head *next, int64_t deadline_ns,
                          struct ebb_error *err)
{
    struct ebb_unsettled_head *u = &l->unsettled;
    ebb_random_secret(u->nonce, sizeof u->nonce);
    /* The message borrows these for the time of its encoding. */
    ProtobufCBinaryData nonce = next->nonce, before = next->previous_head_sha256;
    next->nonce = (ProtobufCBinaryData){.len = sizeof u->nonce, .data = u->nonce};
    next->previous_head_sha256 = (ProtobufCBinaryData){
        .len = l->head != NULL ? sizeof l->head_sha256 : 0, .data = l->head_sha256};
    ebb_buffer_reset(&u->bytes);
    ebb_head_encode(next, &u->bytes);
    next->nonce = nonce;
    next->previous_head_sha256 = before;
    memcpy(u->replaces_etag, l->head_etag, sizeof u->replaces_etag);
    return ebb_lineage_settle(l, deadline_ns, err);
}

static int claim_once(struct ebb_lineage *l, const char *owner, uint64_t attempt,
                      struct ebb_error *err)
{
    int rc = ebb_lineage_read_head(l, err);
    if (rc < 0)
        return rc;
    if (l->head != NULL && l->head->final)
        return ebb_error_set(err, EBB_ERR_EXISTS, "%s: the outputs are committed", l->root);
    if (l->head != NULL && l->head->attempt > attempt)
        return fenced(l, err);
    Ebb__Head first = EBB__HEAD__INIT;
    EBB_AUTO(ebb_auto_head) Ebb__Head *copy = l->head != NULL ? ebb_head_copy(l->head) : NULL;
    Ebb__Head *next = copy != NULL ? copy : &first;
    char *old_owner = next->owner;
    uint64_t epoch = next->epoch + 1;
    next->format = EBB_FORMAT_VERSION;
    next->epoch = epoch;
    next->attempt = attempt;
    next->wall_ns = ebb_wall_ns(NULL);
    next->owner = (char *)owner;
    rc = ebb_lineage_swap_head(l, next, 0, err);
    next->owner = old_owner;
    if (rc < 0)
        return rc;
    l->is_owner = true;
    l->epoch = epoch;
    memcpy(l->claim_nonce, l->head->nonce.data, EBB_NONCE_SIZE);
    return 0;
}

int ebb_lineage_claim(struct ebb_lineage *l, const char *owner, uint64_t attempt,
                      struct ebb_error *err)
{
    l->is_owner = false;
    /* A head of ours that is still on its way replaces nothing once the next one stands. */
    ebb_buffer_clean_up(&l->unsettled.bytes);
    int rc = EBB_ERR_FENCED;
    for (unsigned round = 0; round < CLAIM_ROUNDS && rc == EBB_ERR_FENCED; round++) {
        rc = claim_once(l, owner, attempt, err);
        if (rc == EBB_ERR_FENCED && l->head != NULL && l->head->attempt > attempt)
            return rc;
    }
    if (rc == 0) {
        ebb_error_clear(err);
        struct ebb_generation now = ebb_head_generation(l->head, false);
        if (memcmp(now.sha256, l->base_generation.sha256, sizeof now.sha256) != 0)
            ebb_lineage_forget_base(l);
    }
    return rc;
}

int ebb_lineage_check(struct ebb_lineage *l, struct ebb_error *err)
{
    if (!l->is_owner)
        return ebb_error_set(err, EBB_ERR_FENCED, "%s: not claimed", l->root);
    uint8_t known[EBB_NONCE_SIZE];
    memcpy(known, l->head->nonce.data, sizeof known);
    int rc = ebb_lineage_read_head(l, err);
    if (rc < 0)
        return rc;
    if (l->unsettled.bytes.len > 0 && has_nonce(l->head, l->unsettled.nonce)) {
        ebb_buffer_clean_up(&l->unsettled.bytes);
        ebb_lineage_forget_base(l);
        return 0;
    }
    return has_nonce(l->head, known) ? 0 : fenced(l, err);
}

void ebb_lineage_set_rank(struct ebb_lineage *l, uint32_t rank)
{
    l->has_rank = true;
    l->rank = rank;
}

int ebb_lineage_check_epoch(struct ebb_lineage *l, uint64_t epoch, struct ebb_error *err)
{
    int rc = ebb_lineage_read_head(l, err);
    if (rc < 0)
        return rc;
    return l->head != NULL && l->head->epoch == epoch ? 0 : fenced(l, err);
}

int ebb_lineage_load_manifest(struct ebb_lineage *l, const struct ebb_generation *g,
                              Ebb__Manifest **ret, struct ebb_error *err)
{
    EBB_AUTO_FREE char *key = ebb_manifest_key(l->root, g);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    int rc = ebb_object_get(l->store, key, 0, 0, EBB_MANIFEST_MAX_BYTES, &bytes, NULL, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "checkpoint %" PRIu64, g->sequence);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(bytes.data, bytes.len, sha);
    if (memcmp(sha, g->sha256, sizeof sha) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: bytes do not match the hash", key);
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL;
    rc = ebb_manifest_decode(bytes.data, bytes.len, &m, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "checkpoint %" PRIu64, g->sequence);
    if (m->epoch != g->epoch || m->sequence != g->sequence)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: it names another generation", key);
    *ret = EBB_TAKE(m);
    return 0;
}

int ebb_lineage_manifest(struct ebb_lineage *l, bool previous, Ebb__Manifest **ret,
                         struct ebb_error *err)
{
    struct ebb_generation g = ebb_head_generation(l->head, previous);
    if (g.sequence == 0)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s: no %scheckpoint", l->root,
                             previous ? "earlier " : "");
    return ebb_lineage_load_manifest(l, &g, ret, err);
}

int ebb_lineage_load_base(struct ebb_lineage *l, struct ebb_error *err)
{
    if (l->base != NULL)
        return 0;
    for (int previous = 0; previous <= 1; previous++) {
        struct ebb_generation g = ebb_head_generation(l->head, previous == 1);
        if (g.sequence == 0)
            continue;
        Ebb__Manifest *m = NULL;
        int rc = ebb_lineage_load_manifest(l, &g, &m, err);
        if (rc == 0) {
            ebb_lineage_set_base(l, m, &g, NULL);
            return 0;
        }
        if (rc != EBB_ERR_CORRUPT && rc != EBB_ERR_NOT_FOUND)
            return rc;
    }
    ebb_error_clear(err); /* nothing whole: the next commit stands alone */
    return 0;
}

void ebb_lineage_set_base(struct ebb_lineage *l, Ebb__Manifest *m, const struct ebb_generation *g,
                          struct ebb_map *seen)
{
    ebb_lineage_forget_base(l);
    l->base = m;
    l->base_generation = *g;
    l->seen = seen;
}

void ebb_lineage_forget_base(struct ebb_lineage *l)
{
    ebb_manifest_free(l->base);
    l->base = NULL;
    ebb_map_destroy(l->seen);
    l->seen = NULL;
    memset(&l->base_generation, 0, sizeof l->base_generation);
}

struct finder {
    int (*fn)(void *ctx, const char *root);
    void *ctx;
};

static int visit_key(void *ctx, const char *key, const struct ebb_object_info *info)
{
    (void)info;
    const struct finder *f = ctx;
    static const char suffix[] = "/head";
    size_t len = strlen(key);
    if (len < sizeof suffix || strcmp(key + len - (sizeof suffix - 1), suffix) != 0)
        return 0;
    EBB_AUTO_FREE char *root = ebb_strndup(key, len - (sizeof suffix - 1));
    return f->fn(f->ctx, root);
}

int ebb_lineage_find(struct ebb_object_store *store, const char *prefix,
                     int (*fn)(void *ctx, const char *root), void *ctx, struct ebb_error *err)
{
    struct finder f = {fn, ctx};
    return ebb_object_list(store, prefix, visit_key, &f, err);
}
