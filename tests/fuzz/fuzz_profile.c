/* Profiles from anyone: what the parser takes is whole and survives packing. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_error err = {0};
    Ebb__Profile *p = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    if (ebb_profile_parse("f", (const char *)data, size, &p, &faults, &err) < 0) {
        if (err.text[0] == '\0' || faults.len == 0)
            abort();
        return 0;
    }
    if (p->name[0] == '\0' || strstr(p->start, "${command}") == NULL || p->stop == NULL ||
        p->done == NULL || (p->checkpoints && (p->state == NULL || p->state->n_files == 0)))
        abort();
    size_t packed = ebb__profile__get_packed_size(p);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(packed + 1);
    ebb__profile__pack(p, bytes);
    ebb__profile__free_unpacked(p, NULL);
    p = ebb__profile__unpack(NULL, packed, bytes);
    if (p == NULL)
        abort();
    ebb__profile__free_unpacked(p, NULL);
    return 0;
}
