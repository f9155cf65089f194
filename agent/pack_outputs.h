/* Outputs that their bag wants packed in a way of its own: with an error bound, or not at all. */
#ifndef EBB_AGENT_PACK_OUTPUTS_H
#define EBB_AGENT_PACK_OUTPUTS_H

#include "agent/commit.h"

struct ebb_packed_outputs {
    struct ebb_packed_output *list; /* as many as files of the commit; path NULL: not packed */
    size_t count;
    char *folder; /* where the packed files are; removed with them */
};
void ebb_packed_outputs_clean_up(struct ebb_packed_outputs *p);

/* Packs what the job's outputs say so, beside the work directory, and marks the files of `list`,
 * which then borrow from `ret`. A file that may not be packed within a bound, because it is no
 * trajectory, is committed byte for byte, and so are all when the VM is about to go; the job's log
 * says so. */
int ebb_outputs_pack(const struct ebb_task *t, struct ebb_commit_list *list, int64_t deadline_ns,
                     struct ebb_packed_outputs *ret, struct ebb_error *err);

#endif
