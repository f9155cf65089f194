/* Manifests: whatever decodes must be safe to restore: contained distinct paths, chunks inside
 * their packs, sizes that add up; and encoding it again must decode. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "checkpoint/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_file(const Ebb__Manifest *m, const Ebb__FileEntry *f)
{
    must(ebb_path_is_contained(f->path) && strstr(f->path, "//") == NULL);
    if (f->kind == EBB__FILE_ENTRY__KIND__SYMLINK) {
        must(f->link_target[0] != '/' && f->link_target[0] != '\0');
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        const Ebb__Chunk *c = f->chunks[i];
        must(c->pack < m->n_packs && c->raw_bytes <= EBB_CHUNK_MAX_BYTES);
        must(c->offset + c->stored_bytes <= m->packs[c->pack]->size_bytes);
        sum += c->raw_bytes;
    }
    must(sum == f->size_bytes && f->sha256.len == EBB_SHA256_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL, *again = NULL;
    struct ebb_error err = {0};
    if (ebb_manifest_decode(data, size, &m, &err) < 0) {
        must(err.text[0] != '\0');
        return 0;
    }
    for (size_t i = 0; i < m->n_files; i++) {
        check_file(m, m->files[i]);
        for (size_t k = 0; k < i && i < 100; k++)
            must(strcmp(m->files[i]->path, m->files[k]->path) != 0);
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    ebb_manifest_encode(m, &bytes);
    must(ebb_manifest_decode(bytes.data, bytes.len, &again, NULL) == 0);
    return 0;
}
