/* What the emulated cloud reads from the network before it knows who asks: parameters, XML bodies,
 * chunked bodies. (The signature itself has a fuzzer of its own.) The first byte chooses. */
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cloud/emulator/markup.h"
#include "cloud/emulator/params.h"
#include "cloud/emulator/s3_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_params(const uint8_t *data, size_t size)
{
    struct ebb_params p = {0};

    if (ebb_params_parse(&p, (const char *)data, size, NULL) == 0)
        (void)ebb_params_getf(&p, "Filter.%d.Name", 1);
    ebb_params_clean_up(&p);
}

static void read_markup(const uint8_t *data, size_t size)
{
    struct ebb_markup_scan scan;
    struct ebb_buffer out = {0};

    ebb_markup_scan_init(&scan, (const char *)data, size);
    while (ebb_markup_scan_next(&scan))
        ebb_markup_text(&out, scan.name, ebb_buffer_text(&scan.text));
    ebb_markup_scan_clean_up(&scan);
    ebb_buffer_clean_up(&out);
}

static void read_chunks(const uint8_t *data, size_t size)
{
    struct ebb_buffer out = {0}, trailer = {0};

    (void)ebb_s3_unchunk(data, size, &out, &trailer);
    ebb_buffer_clean_up(&out);
    ebb_buffer_clean_up(&trailer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {read_params, read_markup,
                                                               read_chunks};

    if (size > 0)
        readers[data[0] % 3](data + 1, size - 1);
    return 0;
}
