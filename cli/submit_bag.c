/* Reading a bag file with what it needs from the file system: profiles and the files that sweeps
 * name, all relative to the bag's own folder. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/submit_inputs.h"
#include "scheduler/core/bag.h"

#define MAX_BAG_BYTES  (16U << 20)
#define MAX_FILE_BYTES (256U << 20)

void ebb_bag_file_clean_up(struct ebb_bag_file *f)
{
    free(f->path);
    free(f->folder);
    ebb_buffer_clean_up(&f->text);
    if (f->spec != NULL)
        ebb__bag_spec__free_unpacked(f->spec, NULL);
    *f = (struct ebb_bag_file){0};
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? ebb_strdup("") : ebb_strndup(path, (size_t)(slash - path) + 1);
}

static char *file_text(void *ctx, const char *path, size_t *ret_len, struct ebb_error *err)
{
    const struct ebb_bag_file *f = ctx;
    EBB_AUTO_FREE char *full = ebb_path_join(f->folder, path);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    if (ebb_file_read(full, MAX_FILE_BYTES, &b, err) < 0)
        return NULL;
    *ret_len = b.len;
    return ebb_buffer_take_text(&b);
}

int ebb_bag_file_read(const char *path, struct ebb_bag_file *ret, struct ebb_buffer *faults,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_bag_file_clean_up)
    struct ebb_bag_file f = {.path = ebb_strdup(path), .folder = folder_of(path)};
    int rc = ebb_file_read(path, MAX_BAG_BYTES, &f.text, err);
    if (rc < 0)
        return rc;
    struct ebb_bag_sources sources = {.file = file_text, .ctx = &f};
    rc = ebb_bag_parse(path, ebb_buffer_text(&f.text), f.text.len, &sources, &f.spec, faults, err);
    if (rc < 0)
        return rc;
    *ret = f;
    f = (struct ebb_bag_file){0};
    return 0;
}

int ebb_faults_tell(int rc, const char *path, const struct ebb_buffer *faults, const char *so,
                    struct ebb_error *err)
{
    size_t count = 0;
    if (rc == 0 || faults->len == 0)
        return rc;
    for (size_t i = 0; i < faults->len; i++)
        count += faults->data[i] == '\n';
    (void)fputs((const char *)faults->data, stderr);
    return ebb_error_set(err, rc, "%s has %zu fault%s, %s", path, count, count == 1 ? "" : "s", so);
}
