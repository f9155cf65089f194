/* What a file is decides how it is cut: frames, arrays with plain bytes between them, or plain
 * bytes. Whatever is found out on the way, the parts together are the whole file. */
#include "pack/packer.h"

#include <string.h>

#include "base/memory.h"
#include "formats/ranges.h"
#include "formats/recognise.h"
#include "pack/packer_run.h"

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
        rc = ebb_pack_plain(r, 0, r->file->size_bytes, err);
    return rc < 0 ? rc : ebb_pack_flush(r, err);
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
    r.job_capacity = o->threads == 0 ? 1 : o->threads;
    r.jobs = ebb_alloc_array(r.job_capacity, sizeof *r.jobs);
    r.source_hash = ebb_sha256_new();
    r.hash = o->error > 0 ? ebb_sha256_new() : NULL;
    facts->kind = ebb_strdup(ebb_file_kind_name(kind));
    facts->size_bytes = facts->source_bytes = facts->frames = 0;
    facts->is_lossy = false;
    facts->error = o->error;
    free(facts->unit);
    facts->unit = ebb_strdup(o->unit);
    /* Only what is sure now: whether it is lossy, or needs the base, shows on the way. */
    struct ebb_packed_entry begin = {
        .name = facts->name, .kind = facts->kind, .mode = facts->mode, .mtime_ns = facts->mtime_ns};
    rc = ebb_container_begin(w, &begin, err);
    if (rc == 0)
        rc = pack(&r, kind, err);
    ebb_sha256_final(r.source_hash, facts->source_sha256);
    memcpy(facts->sha256, facts->source_sha256, sizeof facts->sha256);
    if (r.hash != NULL)
        ebb_sha256_final(r.hash, facts->sha256);
    if (!r.needs_base)
        facts->chain_length = 0;
    if (rc == 0)
        rc = ebb_container_end(w, facts, err);
    clean_up(&r);
    return rc;
}
