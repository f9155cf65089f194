/* JSON answers of the metadata service and the price list, and the INI of the shared files. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cloud/aws_config.h"
#include "cloud/aws_prices.h"
#include "cloud/imds_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_error err = {0};
    struct ebb_identity identity;
    struct ebb_aws_credentials credentials;
    int64_t deadline_ns;
    char *token = NULL;
    struct ebb_map *prices = ebb_map_new(free);
    (void)ebb_imds_parse_identity(data, size, &identity, &err);
    (void)ebb_imds_parse_action(data, size, &deadline_ns, &err);
    (void)ebb_imds_parse_credentials(data, size, &credentials, &err);
    (void)ebb_aws_prices_read(data, size, prices, &token, &err);
    EBB_AUTO_FREE char *text = ebb_strndup((const char *)data, size);
    free(ebb_ini_value(text, "default", "region"));
    free(token);
    ebb_map_destroy(prices);
    return 0;
}
