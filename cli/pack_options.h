/* The values of `ebb pack`'s options that are more than a word. */
#ifndef EBB_CLI_PACK_OPTIONS_H
#define EBB_CLI_PACK_OPTIONS_H

#include "base/error.h"
#include "pack/packer.h"

/* "0.0005nm", "0.005 A", "5pm", "0.01" -> error and unit. Positive, finite. */
int ebb_pack_parse_error(const char *text, struct ebb_packer_options *ret, struct ebb_error *err);
/* "1000,3" or "1000" with "f32" -> rows, columns, dtype. */
int ebb_pack_parse_shape(const char *shape, const char *dtype, struct ebb_packer_options *ret,
                         struct ebb_error *err);

#endif
