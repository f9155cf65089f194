/* The members of a zip archive, by libzip, and where the stored ones' bytes lie in it. */
#ifndef EBB_FORMATS_ZIP_MEMBERS_H
#define EBB_FORMATS_ZIP_MEMBERS_H

#include <stdbool.h>

#include "formats/source.h"

struct ebb_zip_member {
    const char *name; /* owned by the archive */
    uint64_t index, size;
    bool stored; /* neither compressed nor encrypted */
};

struct ebb_zip;
/* The source must outlive it. Returns 0 with *ret NULL when it is no archive that libzip reads;
 * fails when the source does. */
int ebb_zip_open(const struct ebb_random_source *source, struct ebb_zip **ret,
                 struct ebb_error *err);
void ebb_zip_close(struct ebb_zip *zip);
uint64_t ebb_zip_count(const struct ebb_zip *zip);
/* False when it has no name or size. */
bool ebb_zip_member(struct ebb_zip *zip, uint64_t index, struct ebb_zip_member *ret);
/* Where the bytes of a stored member of at least one byte begin. False when they cannot be read. */
bool ebb_zip_offset(struct ebb_zip *zip, const struct ebb_zip_member *member, uint64_t *ret);
/* The unpacked bytes of a member, up to `most` of them, into `buf`; false when they cannot be had.
 */
bool ebb_zip_read(struct ebb_zip *zip, const struct ebb_zip_member *member, void *buf, size_t most,
                  size_t *ret_len);
/* What the source failed with while libzip read it, else 0. */
int ebb_zip_failure(const struct ebb_zip *zip, struct ebb_error *err);

#endif
