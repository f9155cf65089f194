/* Jobs: a batch of parts is packed by the threads, each decoded again and compared with what went
 * in, and then written in the file's order. */
#include "pack/packer_run.h"

#include <string.h>

#include "base/memory.h"
#include "base/workers.h"

/* Decodes the payload and compares: what is written can be read back. */
static int verify(const struct ebb_pack_run *r, struct ebb_pack_job *j, struct ebb_error *err)
{
    const struct ebb_buffer *want = j->is_lossy ? &j->unpacked : &j->raw;
    EBB_AUTO_FREE uint8_t *got = malloc(want->len + 1);
    if (got == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for a part of %zu bytes",
                             want->len);
    int rc =
        ebb_part_decode(j->codec, j->payload.data, j->payload.len, r->base, got, want->len, err);
    if (rc == 0 && memcmp(got, want->data, want->len) != 0)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "it decodes to other bytes");
    return rc < 0 ? ebb_error_wrap(err, EBB_ERR_INTERNAL, "a packed part is not what went in (%s)",
                                   ebb_part_codec_name(j->codec))
                  : 0;
}

bool ebb_pack_is_verified(const struct ebb_pack_run *r, const struct ebb_pack_job *j)
{
    return r->o->verify_every <= 1 || j->number % r->o->verify_every == 0;
}

static void run_job(void *ctx, size_t i)
{
    struct ebb_pack_run *r = ctx;
    struct ebb_pack_job *j = &r->jobs[i];
    int rc = j->encode != NULL ? j->encode(j, r, &j->error)
                               : ebb_part_encode_plain(j->raw.data, j->raw.len, r->o->level,
                                                       &j->payload, &j->codec, &j->error);
    if (rc == 0 && !j->is_checked && ebb_pack_is_verified(r, j))
        (void)verify(r, j, &j->error);
}

static int write_job(struct ebb_pack_run *r, struct ebb_pack_job *j, struct ebb_error *err)
{
    if (j->error.code < 0) {
        if (err != NULL)
            ebb_error_copy(err, &j->error);
        return j->error.code;
    }
    const struct ebb_buffer *unpacked = j->is_lossy ? &j->unpacked : &j->raw;
    ebb_sha256_update(r->source_hash, j->raw.data, j->raw.len);
    if (r->hash != NULL)
        ebb_sha256_update(r->hash, unpacked->data, unpacked->len);
    r->facts->size_bytes += unpacked->len;
    r->facts->source_bytes += j->raw.len;
    r->facts->frames += j->frames;
    r->facts->is_lossy = r->facts->is_lossy || j->is_lossy;
    r->needs_base = r->needs_base || j->needs_base;
    int rc = ebb_container_add(r->writer, j->codec, unpacked->len, j->frames, j->payload.data,
                               j->payload.len, err);
    r->done_bytes += j->raw.len;
    if (rc == 0 && r->o->progress.report != NULL)
        r->o->progress.report(r->o->progress.ctx, r->done_bytes, r->file->size_bytes);
    return rc;
}

int ebb_pack_flush(struct ebb_pack_run *r, struct ebb_error *err)
{
    ebb_parallel_for(r->o->threads == 0 ? 1 : r->o->threads, r->job_count, run_job, r);
    int rc = 0;
    for (size_t i = 0; i < r->job_count && rc == 0; i++)
        rc = write_job(r, &r->jobs[i], err);
    r->job_count = 0;
    return rc;
}

int ebb_pack_next_job(struct ebb_pack_run *r, struct ebb_pack_job **ret, struct ebb_error *err)
{
    if (r->job_count == r->job_capacity) {
        int rc = ebb_pack_flush(r, err);
        if (rc < 0)
            return rc;
    }
    struct ebb_pack_job *j = &r->jobs[r->job_count++];
    ebb_buffer_reset(&j->raw);
    ebb_buffer_reset(&j->payload);
    ebb_buffer_reset(&j->unpacked);
    ebb_error_clear(&j->error);
    j->encode = NULL;
    j->codec = EBB_PART_STORED;
    j->frames = 0;
    j->is_lossy = false;
    j->needs_base = false;
    j->is_checked = false;
    j->number = r->parts++;
    *ret = j;
    return 0;
}

int ebb_pack_plain(struct ebb_pack_run *r, uint64_t begin, uint64_t end, struct ebb_error *err)
{
    while (begin < end) {
        size_t len =
            end - begin < EBB_PACK_PART_BYTES ? (size_t)(end - begin) : EBB_PACK_PART_BYTES;
        struct ebb_pack_job *j = NULL;
        int rc = ebb_pack_next_job(r, &j, err);
        if (rc < 0)
            return rc;
        ebb_buffer_reserve(&j->raw, len);
        rc = ebb_bytes_read(r->file, begin, j->raw.data, len, err);
        if (rc < 0)
            return rc;
        j->raw.len = len;
        begin += len;
    }
    return 0;
}
