/* Whose files are whose in a checkpoint of several ranks: rank k's stand below ranks/<k>/, those of
 * rank 0 under their own names. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/format.h"

void ebb_manifest_keep_rank(Ebb__Manifest *m, uint32_t rank)
{
    char own[32];
    int len = snprintf(own, sizeof own, EBB_RANKS_FOLDER "%u/", rank);
    size_t kept = 0;
    for (size_t i = 0; i < m->n_files && m->last_rank > 0; i++) {
        Ebb__FileEntry *f = m->files[i];
        bool is_other = strncmp(f->path, EBB_RANKS_FOLDER, sizeof EBB_RANKS_FOLDER - 1) == 0;
        bool is_own = rank == 0 ? !is_other : strncmp(f->path, own, (size_t)len) == 0;
        if (!is_own) {
            ebb__file_entry__free_unpacked(f, NULL);
            continue;
        }
        if (rank > 0)
            memmove(f->path, f->path + len, strlen(f->path + len) + 1);
        m->files[kept++] = f;
    }
    if (m->last_rank > 0)
        m->n_files = kept;
}
