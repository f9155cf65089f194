/* The files of a bag: read and hashed here, uploaded once by their hash. */
#ifndef EBB_CLI_SUBMIT_INPUTS_H
#define EBB_CLI_SUBMIT_INPUTS_H

#include "base/buffer.h"
#include "cloud/object_store.h"
#include "proto/bag.pb-c.h"

/* A bag file as read: the spec, and what is needed to name a place in it. */
struct ebb_bag_file {
    char *path;   /* as given */
    char *folder; /* where its inputs are */
    struct ebb_buffer text;
    Ebb__BagSpec *spec;
};
void ebb_bag_file_clean_up(struct ebb_bag_file *f);

/* Reads and checks the bag; its profiles come from `profiles/NAME.yaml` beside it, else from those
 * built in. On EBB_ERR_INPUT all faults are in `faults`, a line each. */
int ebb_bag_file_read(const char *path, struct ebb_bag_file *ret, struct ebb_buffer *faults,
                      struct ebb_error *err);
/* Prints the faults of `path` (a bag, a fleet file) and makes of `rc` the error that counts them
 * and says what did not happen ("nothing was submitted"). Without faults `rc` and err stay. */
int ebb_faults_tell(int rc, const char *path, const struct ebb_buffer *faults, const char *so,
                    struct ebb_error *err);
/* Fills in size, mode and hash of every input of the submitter. A file that is missing or cannot
 * be read is a fault at its place in the bag file. */
int ebb_inputs_hash(struct ebb_bag_file *f, struct ebb_buffer *faults, struct ebb_error *err);

struct ebb_upload_totals {
    uint64_t files;
    uint64_t bytes;
    uint64_t sent_files; /* the others were there already */
    uint64_t sent_bytes;
};
/* Uploads what the store has not: inputs/<sha256>, and this program as bin/ebb-<sha256>. */
int ebb_inputs_upload(const struct ebb_bag_file *f, struct ebb_object_store *store,
                      struct ebb_upload_totals *ret, struct ebb_error *err);

#endif
