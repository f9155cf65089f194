/* XML answers of S3 and EC2, from whoever answers in their place: errors, lists, instances, types,
 * prices, on whatever bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "cloud/ec2_answer.h"
#include "cloud/s3_answer.h"
#include "cloud/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_object(void *ctx, const char *key, const struct ebb_object_info *info)
{
    (void)ctx;
    (void)info;
    return key[0] == '!';
}

static void read_items(const struct ebb_xml_node *n, unsigned depth)
{
    for (; n != NULL; n = ebb_xml_next(n, NULL)) {
        struct ebb_instance instance;
        struct ebb_ec2_type type;
        struct ebb_ec2_spot_price price;
        (void)ebb_ec2_read_instance(n, &instance, NULL);
        (void)ebb_ec2_read_type(n, "x86_64", &type, NULL);
        (void)ebb_ec2_read_spot_price(n, &price, NULL);
        if (depth < EBB_XML_MAX_DEPTH)
            read_items(ebb_xml_child(n, NULL), depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_error err = {0};
    struct ebb_xml *x = NULL;
    char *token = NULL;
    int status = size > 0 ? 200 + data[0] * 2 : 500;
    (void)ebb_s3_read_error("get k", status, data, size, &err);
    (void)ebb_ec2_read_error("RunInstances", status, data, size, &err);
    (void)ebb_s3_is_hidden_error(data, size);
    (void)ebb_s3_read_list(data, size, "p/", on_object, NULL, &token, &err);
    free(token);
    if (ebb_xml_parse(data, size, &x, &err) == 0) {
        read_items(ebb_xml_root(x), 0);
        ebb_xml_destroy(x);
    }
    return 0;
}
