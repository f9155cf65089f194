/* Price files, CSV and JSON: any bytes are read or refused, and what is read is written and reads
 * back the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/core/catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *a = NULL;
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *b = NULL;
    if (ebb_catalogue_read("f", (const char *)data, len, &a, &err) < 0)
        return 0;
    struct ebb_buffer first = {0}, second = {0};
    ebb_catalogue_write(a, &first);
    if (ebb_catalogue_read("f", ebb_buffer_text(&first), first.len, &b, &err) < 0)
        abort();
    ebb_catalogue_write(b, &second);
    if (a->count != b->count || strcmp(ebb_buffer_text(&first), ebb_buffer_text(&second)) != 0)
        abort();
    ebb_buffer_clean_up(&first);
    ebb_buffer_clean_up(&second);
    return 0;
}
