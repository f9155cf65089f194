/* What a file is decides how it is cut: frames, arrays with plain bytes between them, or plain
 * bytes. Whatever is found out on the way, the parts together are the whole file. */
#include "pack/packer.h"

#include <string.h>

#include "base/memory.h"
#include "formats/ranges.h"
#include "formats/recognise.h"
#include "pack/packer_run.h"

EBB_DEFINE_AUTO_PTR(ebb_sha256_destroy_ptr, struct ebb_sha256, ebb_sha256_destroy)

static int recognise(const struct ebb_bytes *file, enum ebb_file_kind *ret, struct ebb_error *err)
{
    size_t len =
        file->size_bytes < EBB_RECOGNISE_BYTES ? (size_t)file->size_bytes : EBB_RECOGNISE_BYTES;
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(len);
    int rc = ebb_bytes_read(file, 0, head, len, err);
    if (rc == 0)
        *ret = ebb_file_recognise(head, len);
    return rc;
}

static void clean_up(struct ebb_pack_run *r)
{
    for (size_t i = 0; i < r->job_capacity; i++) {
        struct ebb_pack_job *j = &r->jobs[i];
        ebb_buffer_clean_up(&j->raw);
        ebb_buffer_clean_up(&j->payload);
        ebb_buffer_clean_up(&j->unpacked);
        if (j->destroy_plan != NULL)
            j->destroy_plan(j->plan);
    }
    free(r->jobs);
    ebb_sha256_destroy(r->source_hash);
    ebb_sha256_destroy(r->hash);
}

/* Loss is for coordinates alone. */
static int check_error(const struct ebb_packer_options *o, enum ebb_file_kind kind,
                       struct ebb_error *err)
{
    if (o->error == 0 || ebb_file_kind_has_frames(kind) || (kind == EBB_FILE_RAW && o->rows > 0))
        return 0;
    const char *what = kind == EBB_FILE_CPT || kind == EBB_FILE_LAMMPS_RESTART
                           ? "restart state, which must come back bit for bit"
                       : kind == EBB_FILE_RAW
                           ? "no trajectory that is known (a raw one needs --shape)"
                           : "an array of numbers, which must come back bit for bit";
    return ebb_error_set(err, EBB_ERR_INPUT, "--error is for trajectories; this is %s (%s)", what,
                         ebb_file_kind_name(kind));
}

static int pack(struct ebb_pack_run *r, enum ebb_file_kind kind, struct ebb_error *err)
{
    int rc;
    bool is_array = kind == EBB_FILE_RAW && r->o->rows > 0;
    if (r->o->error > 0 || kind == EBB_FILE_XTC)
        rc = ebb_pack_frames(r, kind, err);
    else if (is_array)
        rc = ebb_pack_one_array(r, err);
    else if (ebb_file_kind_has_ranges(kind))
        rc = ebb_pack_arrays(r, kind, err);
    else
        rc = ebb_pack_plain(r, r->begin, r->file->size_bytes, err);
    return rc < 0 ? rc : ebb_pack_flush(r, err);
}

static void open_run(struct ebb_pack_run *r, enum ebb_file_kind kind)
{
    struct ebb_packed_entry *facts = r->facts;
    r->job_capacity = r->o->threads == 0 ? 1 : r->o->threads;
    r->jobs = ebb_alloc_array(r->job_capacity, sizeof *r->jobs);
    r->source_hash = ebb_sha256_new();
    r->hash = r->o->error > 0 ? ebb_sha256_new() : NULL;
    free(facts->kind);
    facts->kind = ebb_strdup(ebb_file_kind_name(kind));
    facts->size_bytes = facts->source_bytes = facts->frames = 0;
    facts->is_lossy = false;
    facts->error = r->o->error;
    free(facts->unit);
    facts->unit = ebb_strdup(r->o->unit);
}

/* Only what is sure now: whether it is lossy, or needs the base, shows on the way. */
static int begin_entry(struct ebb_pack_run *r, struct ebb_error *err)
{
    const struct ebb_packed_entry *facts = r->facts;
    struct ebb_packed_entry begin = {
        .name = facts->name, .kind = facts->kind, .mode = facts->mode, .mtime_ns = facts->mtime_ns};
    return ebb_container_begin(r->writer, &begin, err);
}

static int end_entry(struct ebb_pack_run *r, struct ebb_error *err)
{
    struct ebb_packed_entry *facts = r->facts;
    ebb_sha256_final(r->source_hash, facts->source_sha256);
    memcpy(facts->sha256, facts->source_sha256, sizeof facts->sha256);
    if (r->hash != NULL)
        ebb_sha256_final(r->hash, facts->sha256);
    if (!r->needs_base)
        facts->chain_length = 0;
    return ebb_container_end(r->writer, facts, err);
}

int ebb_packer_add(struct ebb_container_writer *w, struct ebb_packed_entry *facts,
                   const struct ebb_bytes *file, const struct ebb_bytes *base,
                   const struct ebb_packer_options *o, struct ebb_error *err)
{
    enum ebb_file_kind kind = EBB_FILE_RAW;
    int rc = recognise(file, &kind, err);
    if (rc == 0)
        rc = check_error(o, kind, err);
    if (rc < 0)
        return rc;
    struct ebb_pack_run r = {.writer = w, .facts = facts, .file = file, .base = base, .o = o};
    open_run(&r, kind);
    rc = begin_entry(&r, err);
    if (rc == 0)
        rc = pack(&r, kind, err);
    if (rc == 0)
        rc = end_entry(&r, err);
    clean_up(&r);
    return rc;
}

/* ---- a file that has grown ---- */

/* Parts that stay: but for what is plain at the end of a trajectory, where a frame may be torn. */
static size_t parts_to_keep(const struct ebb_packed_entry *old, enum ebb_file_kind kind)
{
    size_t keep = old->part_count;
    while (kind == EBB_FILE_XTC && keep > 0 && old->parts[keep - 1].codec != EBB_PART_FRAMES)
        keep--;
    return keep;
}

static int hash_beginning(struct ebb_pack_run *r, const struct ebb_packed_entry *old,
                          struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(EBB_PACK_PART_BYTES);
    EBB_AUTO(ebb_sha256_destroy_ptr) struct ebb_sha256 *whole = ebb_sha256_new();
    for (uint64_t at = 0; at < old->size_bytes;) {
        uint64_t end = at < r->begin ? r->begin : old->size_bytes;
        size_t len = end - at < EBB_PACK_PART_BYTES ? (size_t)(end - at) : EBB_PACK_PART_BYTES;
        int rc = ebb_bytes_read(r->file, at, bytes, len, err);
        if (rc < 0)
            return rc;
        ebb_sha256_update(whole, bytes, len);
        if (at < r->begin)
            ebb_sha256_update(r->source_hash, bytes, len);
        at += len;
    }
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256_final(whole, sha);
    return memcmp(sha, old->sha256, sizeof sha) == 0
               ? 0
               : ebb_error_set(err, EBB_ERR_INPUT,
                               "it does not begin with what was packed: it has not only grown");
}

static int take_over(struct ebb_pack_run *r, const struct ebb_container *c,
                     const struct ebb_packed_entry *old, size_t keep, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer payload = {0};
    for (size_t i = 0; i < keep; i++) {
        const struct ebb_packed_part *p = &old->parts[i];
        ebb_buffer_reset(&payload);
        int rc = ebb_container_read_part(c, p, &payload, err);
        if (rc == 0)
            rc = ebb_container_add(r->writer, p->codec, p->raw_bytes, p->frames, payload.data,
                                   payload.len, err);
        if (rc < 0)
            return rc;
        r->facts->frames += p->frames;
    }
    r->facts->size_bytes = r->facts->source_bytes = r->done_bytes = r->begin;
    return 0;
}

int ebb_packer_append(struct ebb_container_writer *w, const struct ebb_container *c,
                      const struct ebb_packed_entry *old, struct ebb_packed_entry *facts,
                      const struct ebb_bytes *file, const struct ebb_packer_options *o,
                      struct ebb_error *err)
{
    enum ebb_file_kind kind = EBB_FILE_RAW;
    int rc = recognise(file, &kind, err);
    if (rc < 0)
        return rc;
    if (old->is_lossy || old->chain_length > 0 || o->error > 0 ||
        old->size_bytes > file->size_bytes)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "only a file that was packed without loss and without a base, and "
                             "has grown since, can be appended to");
    struct ebb_pack_run r = {.writer = w, .facts = facts, .file = file, .o = o};
    size_t keep = parts_to_keep(old, kind);
    r.begin = keep == old->part_count ? old->size_bytes : old->parts[keep].file_offset;
    open_run(&r, kind);
    rc = begin_entry(&r, err);
    if (rc == 0)
        rc = hash_beginning(&r, old, err);
    if (rc == 0)
        rc = take_over(&r, c, old, keep, err);
    if (rc == 0)
        rc = pack(&r, kind, err);
    if (rc == 0)
        rc = end_entry(&r, err);
    clean_up(&r);
    return rc;
}
