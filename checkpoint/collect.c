/* Garbage: manifests and packs that no generation of the head reaches.
 *
 * Safe against a zombie that was stopped between reading and deleting: it deletes only what the
 * store wrote before the head that the zombie read (both times are the store's), and whatever its
 * successor writes or newly refers to came later, under names that carry the successor's nonce. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoint/lineage_state.h"

#define AGE_MAX_S 3e9 /* keeps the nanoseconds in range */

struct collect {
    struct ebb_lineage *l;
    struct ebb_map *reached; /* keys */
    int64_t before_ns;
    struct ebb_buffer doomed; /* NUL-separated keys */
};

static char yes[] = "";

static int mark(struct collect *c, bool previous, struct ebb_error *err)
{
    struct ebb_generation g = ebb_head_generation(c->l->head, previous);
    if (g.sequence == 0)
        return 0;
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL;
    int rc = ebb_lineage_load_manifest(c->l, &g, &m, err);
    if (rc < 0) /* what a damaged generation reaches is unknown: nothing is deleted */
        return ebb_error_wrap(err, rc, "collecting nothing");
    EBB_AUTO_FREE char *manifest = ebb_manifest_key(c->l->root, &g);
    ebb_map_set(c->reached, manifest, yes);
    for (size_t i = 0; i < m->n_packs; i++) {
        EBB_AUTO_FREE char *pack = ebb_pack_key(c->l->root, m->packs[i]->sha256.data);
        ebb_map_set(c->reached, pack, yes);
    }
    return 0;
}

static int condemn(void *ctx, const char *key, const struct ebb_object_info *info)
{
    struct collect *c = ctx;
    if (info->modified_wall_ns < c->before_ns && ebb_map_get(c->reached, key) == NULL)
        ebb_buffer_append(&c->doomed, key, strlen(key) + 1);
    return 0;
}

static int sweep(struct collect *c, const char *folder, uint64_t *deleted, struct ebb_error *err)
{
    EBB_AUTO_FREE char *prefix = ebb_sprintf("%s/%s/", c->l->root, folder);
    ebb_buffer_reset(&c->doomed);
    int rc = ebb_object_list(c->l->store, prefix, condemn, c, err);
    for (size_t at = 0; rc == 0 && at < c->doomed.len;) {
        const char *key = (const char *)c->doomed.data + at;
        rc = ebb_object_delete(c->l->store, key, err);
        if (rc == EBB_ERR_NOT_FOUND)
            rc = 0;
        *deleted += rc == 0;
        at += strlen(key) + 1;
    }
    return rc;
}

int ebb_lineage_collect(struct ebb_lineage *l, double min_age_s, uint64_t *ret_deleted,
                        struct ebb_error *err)
{
    int rc = ebb_lineage_check(l, err);
    if (rc < 0)
        return rc;
    struct collect c = {.l = l, .reached = ebb_map_new(NULL)};
    double age_s = min_age_s < AGE_MAX_S ? min_age_s : AGE_MAX_S;
    c.before_ns = l->head_modified_ns - (int64_t)(age_s * (double)EBB_NS_PER_S);
    uint64_t deleted = 0;
    rc = mark(&c, false, err);
    if (rc == 0)
        rc = mark(&c, true, err);
    if (rc == 0 && l->unsettled.bytes.len > 0)
        rc = ebb_error_set(err, EBB_ERR_CONFLICT, "%s: a commit is still undecided", l->root);
    if (rc == 0)
        rc = sweep(&c, "manifests", &deleted, err);
    if (rc == 0)
        rc = sweep(&c, "packs", &deleted, err);
    ebb_map_destroy(c.reached);
    ebb_buffer_clean_up(&c.doomed);
    if (ret_deleted != NULL)
        *ret_deleted = deleted;
    return rc;
}
