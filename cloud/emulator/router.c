/* One port serves all: AWS_ENDPOINT_URL points every service there. Which one is meant, the scope
 * of the signature says; the check of the signature is the service's own. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"

/* Parameters of a form join those of the query. */
static void read_form(struct ebb_exchange *x)
{
    const char *type = ebb_exchange_header(x, "Content-Type");

    if (strcmp(x->method, "POST") == 0 && type != NULL &&
        ebb_starts_with(type, "application/x-www-form-urlencoded") &&
        ebb_params_parse(&x->params, (const char *)x->body, x->body_len, NULL) < 0)
        x->query_malformed = true;
}

void ebb_router_handle(void *ctx, struct ebb_exchange *x)
{
    struct ebb_emulator *e = ctx;
    char service[33];

    e->last_request_ns = ebb_now_ns(NULL);
    if (ebb_starts_with(x->path, "/_ebb/")) {
        ebb_console_handle(x);
        return;
    }
    ebb_keyring_claimed_service(x, service);
    if (strcmp(service, "ec2") == 0) {
        read_form(x);
        ebb_ec2_handle(x);
    } else if (strcmp(service, "sts") == 0) {
        read_form(x);
        ebb_sts_handle(x);
    } else if (strcmp(service, "pricing") == 0) {
        ebb_pricing_handle(x);
    } else {
        ebb_s3_handle(x);
    }
}
