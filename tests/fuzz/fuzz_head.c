/* Heads, as they come and with the hash made right, so that the message behind it is reached. */
#include <stdlib.h>

#include "checkpoint/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size)
{
    EBB_AUTO(ebb_auto_head) Ebb__Head *head = NULL, *again = NULL;
    if (ebb_head_decode(data, size, &head, NULL) < 0)
        return;
    struct ebb_generation now = ebb_head_generation(head, false);
    struct ebb_generation before = ebb_head_generation(head, true);
    if (now.sequence != head->sequence || before.sequence != head->previous_sequence)
        abort();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    ebb_head_encode(head, &bytes);
    if (bytes.len <= EBB_HEAD_MAX_BYTES && ebb_head_decode(bytes.data, bytes.len, &again, NULL) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    size_t body = size > 40 && data[0] == 'E' ? size - EBB_SHA256_SIZE : size;
    if (body == size)
        ebb_buffer_append_text(&bytes, "EBBHEAD1");
    ebb_buffer_append(&bytes, data, body);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(bytes.data, bytes.len, sha);
    ebb_buffer_append(&bytes, sha, sizeof sha);
    decode(bytes.data, bytes.len);
    return 0;
}
