/* What a request says about its signature. The input's lines are the method, the target and then
 * headers; the check must neither trip nor call a made-up signature genuine. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cloud/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ebb_sigv4_header headers[16];
    struct ebb_sigv4_request q = {"GET", "/", headers, 0, NULL};
    struct ebb_sigv4_claim claim;
    EBB_AUTO_FREE char *text = ebb_strndup((const char *)data, size);
    char *save = NULL;
    char *method = strtok_r(text, "\n", &save);
    char *target = strtok_r(NULL, "\n", &save);
    if (method == NULL || target == NULL)
        return 0;
    q.method = method;
    q.target = target;
    for (char *line; q.header_count < 16 && (line = strtok_r(NULL, "\n", &save)) != NULL;) {
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        headers[q.header_count++] = (struct ebb_sigv4_header){line, colon + 1};
    }
    if (ebb_sigv4_read_claim(&q, &claim) == EBB_SIGV4_GENUINE &&
        ebb_sigv4_check(&q, &claim, "a secret nobody knows", claim.signed_wall_ns) ==
            EBB_SIGV4_GENUINE)
        abort();
    return 0;
}
