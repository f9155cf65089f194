/* libzip over a random source. libzip does not say where a member's bytes lie in the archive, but
 * it asks the source for them: the place of a stored member is where the read of its first byte
 * goes. */
#include "formats/zip_members.h"

#include <string.h>
#include <zip.h>

#include "base/memory.h"

struct ebb_zip {
    struct ebb_random_source source;
    uint64_t at;        /* where libzip reads next */
    uint64_t last_read; /* where it last read */
    zip_error_t error;
    struct ebb_error failure;
    zip_t *archive;
};

static zip_int64_t on_read(struct ebb_zip *z, void *data, zip_uint64_t len)
{
    uint64_t left = z->at < z->source.size ? z->source.size - z->at : 0;
    if (len > left)
        len = left;
    z->last_read = z->at;
    if (len == 0)
        return 0;
    if (z->source.read_at(z->source.ctx, z->at, data, (size_t)len, &z->failure) < 0) {
        zip_error_set(&z->error, ZIP_ER_READ, z->failure.sys_errno);
        return -1;
    }
    z->at += len;
    return (zip_int64_t)len;
}

static zip_int64_t on_stat(struct ebb_zip *z, void *data, zip_uint64_t len)
{
    zip_stat_t *stat = ZIP_SOURCE_GET_ARGS(zip_stat_t, data, len, &z->error);
    if (stat == NULL)
        return -1;
    zip_stat_init(stat);
    stat->size = z->source.size;
    stat->valid = ZIP_STAT_SIZE;
    return sizeof *stat;
}

static zip_int64_t on_command(void *ctx, void *data, zip_uint64_t len, zip_source_cmd_t command)
{
    struct ebb_zip *z = ctx;
    zip_int64_t to;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        z->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return on_read(z, data, len);
    case ZIP_SOURCE_STAT:
        return on_stat(z, data, len);
    case ZIP_SOURCE_SEEK:
        to = zip_source_seek_compute_offset(z->at, z->source.size, data, len, &z->error);
        if (to < 0)
            return -1;
        z->at = (uint64_t)to;
        return 0;
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)z->at;
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&z->error, data, len);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        zip_error_set(&z->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

int ebb_zip_open(const struct ebb_random_source *source, struct ebb_zip **ret,
                 struct ebb_error *err)
{
    struct ebb_zip *z = ebb_alloc(sizeof *z);
    z->source = *source;
    zip_error_init(&z->error);
    zip_source_t *from = zip_source_function_create(on_command, z, NULL);
    if (from != NULL)
        z->archive = zip_open_from_source(from, ZIP_RDONLY, NULL);
    if (z->archive != NULL) {
        *ret = z;
        return 0;
    }
    if (from != NULL)
        zip_source_free(from);
    int rc = ebb_zip_failure(z, err);
    ebb_zip_close(z);
    if (rc == 0)
        *ret = NULL;
    return rc;
}

void ebb_zip_close(struct ebb_zip *zip)
{
    if (zip == NULL)
        return;
    if (zip->archive != NULL)
        zip_discard(zip->archive);
    zip_error_fini(&zip->error);
    free(zip);
}

uint64_t ebb_zip_count(const struct ebb_zip *zip)
{
    zip_int64_t n = zip_get_num_entries(zip->archive, 0);
    return n > 0 ? (uint64_t)n : 0;
}

bool ebb_zip_member(struct ebb_zip *zip, uint64_t index, struct ebb_zip_member *ret)
{
    zip_stat_t stat;
    zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(zip->archive, index, 0, &stat) < 0 || (stat.valid & needed) != needed)
        return false;
    bool encrypted =
        (stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE;
    *ret = (struct ebb_zip_member){.name = stat.name,
                                   .index = index,
                                   .size = stat.size,
                                   .stored = stat.comp_method == ZIP_CM_STORE && !encrypted &&
                                             stat.comp_size == stat.size};
    return true;
}

bool ebb_zip_offset(struct ebb_zip *zip, const struct ebb_zip_member *member, uint64_t *ret)
{
    uint8_t byte;
    zip_file_t *file = zip_fopen_index(zip->archive, member->index, ZIP_FL_COMPRESSED);
    if (file == NULL)
        return false;
    bool ok = zip_fread(file, &byte, 1) == 1;
    zip_fclose(file);
    if (ok)
        *ret = zip->last_read;
    return ok;
}

bool ebb_zip_read(struct ebb_zip *zip, const struct ebb_zip_member *member, void *buf, size_t most,
                  size_t *ret_len)
{
    zip_file_t *file = zip_fopen_index(zip->archive, member->index, 0);
    if (file == NULL)
        return false;
    size_t len = 0;
    zip_int64_t n = 1;
    while (len < most && (n = zip_fread(file, (uint8_t *)buf + len, most - len)) > 0)
        len += (size_t)n;
    zip_fclose(file);
    if (n >= 0)
        *ret_len = len;
    return n >= 0;
}

int ebb_zip_failure(const struct ebb_zip *zip, struct ebb_error *err)
{
    if (zip->failure.code == 0)
        return 0;
    if (err != NULL)
        ebb_error_copy(err, &zip->failure);
    return zip->failure.code;
}
