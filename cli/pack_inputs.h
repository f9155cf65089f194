/* What `ebb pack` was told to pack: files, and all that is below folders. */
#ifndef EBB_CLI_PACK_INPUTS_H
#define EBB_CLI_PACK_INPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ebb_pack_input {
    char *path;
    char *name; /* in the packed file */
    int order;  /* lower ones first: what others are refined against */
};

struct ebb_pack_inputs {
    struct ebb_pack_input *list;
    size_t count, capacity;
    uint64_t bytes; /* of all files */
    size_t links;   /* symbolic links below folders, which are left out */
};

/* Trajectories come before the restart state that may be refined against them, else files are in
 * the order given. `out_path` is left out of a folder. */
int ebb_pack_inputs_find(char **paths, int count, const char *out_path, struct ebb_pack_inputs *ret,
                         struct ebb_error *err);
void ebb_pack_inputs_clean_up(struct ebb_pack_inputs *in);

#endif
