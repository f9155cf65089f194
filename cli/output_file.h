/* Files that the user has named for output: pictures and exports. */
#ifndef EBB_CLI_OUTPUT_FILE_H
#define EBB_CLI_OUTPUT_FILE_H

#include <stddef.h>

#include "base/error.h"

/* A regular file is replaced whole or not at all, also at the end of a link; what is a device, pipe
 * or socket (/dev/stdout, say) is written into and stays what it is. */
int ebb_output_file_write(const char *path, const void *data, size_t len, struct ebb_error *err);
/* Whether that can be, as far as it can be known before the work is done. NULL: there is no file.
 */
int ebb_output_file_check(const char *path, struct ebb_error *err);

#endif
