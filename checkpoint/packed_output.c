/* The packed file has one entry, "output". */
#include "checkpoint/packed_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/file_scan.h"
#include "pack/packer.h"
#include "pack/unpacker.h"

enum { DEFAULT_THREADS = 4 };

struct opened {
    int fd_plus_1;
    const char *path;
    struct stat st;
};

static void opened_clean_up(struct opened *o)
{
    if (o->fd_plus_1 > 0)
        (void)close(o->fd_plus_1 - 1);
}

static int open_for_reading(const char *path, struct opened *o, struct ebb_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", path);
    *o = (struct opened){.fd_plus_1 = fd + 1, .path = path};
    return fstat(fd, &o->st) == 0
               ? 0
               : ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot stat %s", path);
}

static int open_for_writing(const char *path, struct opened *o, struct ebb_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot create %s", path);
    *o = (struct opened){.fd_plus_1 = fd + 1, .path = path};
    return 0;
}

static int read_opened(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    const struct opened *o = ctx;
    return ebb_read_at(o->fd_plus_1 - 1, o->path, out, len, offset, err);
}

static struct ebb_bytes bytes_of(struct opened *o)
{
    return (struct ebb_bytes){
        .read_at = read_opened, .ctx = o, .size_bytes = (uint64_t)o->st.st_size};
}

static int write_opened(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    const struct opened *o = ctx;
    int rc = ebb_write_all(o->fd_plus_1 - 1, data, len, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", o->path) : 0;
}

void ebb_packed_output_clean_up(struct ebb_packed_output *o)
{
    free(o->path);
    *o = (struct ebb_packed_output){0};
}

static void set_facts(const struct ebb_packed_entry *e, const char *path, const struct stat *st,
                      const struct ebb_packing *p, struct ebb_packed_output *ret)
{
    *ret = (struct ebb_packed_output){.path = ebb_strdup(path),
                                      .error = p->error,
                                      .mode = st->st_mode & 0777,
                                      .mtime_ns = (int64_t)st->st_mtim.tv_sec * EBB_NS_PER_S +
                                                  st->st_mtim.tv_nsec,
                                      .source_bytes = e->source_bytes,
                                      .size_bytes = e->size_bytes};
    memcpy(ret->unit, p->unit, sizeof ret->unit);
    memcpy(ret->source_sha256, e->source_sha256, sizeof ret->source_sha256);
    memcpy(ret->sha256, e->sha256, sizeof ret->sha256);
}

static int pack(struct opened *from, struct opened *to, const struct ebb_packing *p,
                struct ebb_packed_entry *facts, struct ebb_error *err)
{
    struct ebb_packer_options o = {.level = p->small ? EBB_PACK_SMALL : EBB_PACK_FAST,
                                   .threads = p->threads != 0 ? p->threads : DEFAULT_THREADS,
                                   .error = p->error};
    memcpy(o.unit, p->unit, sizeof o.unit);
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w =
        ebb_container_writer_new((struct ebb_packed_sink){.write = write_opened, .ctx = to});
    struct ebb_bytes bytes = bytes_of(from);
    facts->name = ebb_strdup("output");
    int rc = ebb_packer_add(w, facts, &bytes, NULL, &o, err);
    return rc < 0 ? rc : ebb_container_finish(w, err);
}

int ebb_output_pack(const char *from, const char *to, const struct ebb_packing *p,
                    struct ebb_packed_output *ret, struct ebb_error *err)
{
    EBB_AUTO(opened_clean_up) struct opened in = {0};
    EBB_AUTO(opened_clean_up) struct opened out = {0};
    EBB_AUTO(ebb_packed_entry_clean_up) struct ebb_packed_entry facts = {0};
    int rc = open_for_reading(from, &in, err);
    if (rc == 0)
        rc = open_for_writing(to, &out, err);
    if (rc == 0)
        rc = pack(&in, &out, p, &facts, err);
    if (rc < 0 || !facts.is_lossy) {
        (void)unlink(to);
        return rc < 0 ? ebb_error_wrap(err, rc, "%s", from) : 0;
    }
    set_facts(&facts, to, &in.st, p, ret);
    return 1;
}

int ebb_output_unpack(const char *path, const uint8_t sha256[EBB_SHA256_SIZE], const char *to,
                      struct ebb_error *err)
{
    EBB_AUTO(opened_clean_up) struct opened in = {0};
    EBB_AUTO(opened_clean_up) struct opened out = {0};
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    uint8_t sha[EBB_SHA256_SIZE];
    int rc = ebb_sha256_file(path, sha, NULL, err);
    if (rc == 0 && memcmp(sha, sha256, sizeof sha) != 0)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "its packed file does not match its hash");
    if (rc == 0)
        rc = open_for_reading(path, &in, err);
    struct ebb_bytes bytes = bytes_of(&in);
    if (rc == 0)
        rc = ebb_container_open(&bytes, &c, err);
    if (rc == 0 && (c->count != 1 || c->entries[0].chain_length > 0))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "its packed file holds another number of files");
    if (rc == 0)
        rc = open_for_writing(to, &out, err);
    if (rc == 0)
        rc = ebb_unpacker_run(c, &c->entries[0], NULL,
                              (struct ebb_packed_sink){.write = write_opened, .ctx = &out},
                              DEFAULT_THREADS, (struct ebb_pack_progress){0}, err);
    return rc;
}
