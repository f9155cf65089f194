/* Keys are random and made once per state folder. Secrets leave this file only into the
 * credentials file, a VM's metadata answer, and the signature check. */
#include "cloud/emulator/keyring.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "cloud/emulator/exchange.h"
#include "cloud/emulator/guest.h"
#include "cloud/sigv4.h"

#define ROLE_TTL_NS   (3600 * EBB_NS_PER_S)
#define ROLE_RENEW_NS (600 * EBB_NS_PER_S)
#define MAX_HEADERS   200

static void make_pair(struct ebb_key_pair *pair, const char *prefix)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t raw[16];

    ebb_random_secret(raw, sizeof(raw));
    memcpy(pair->access_key, prefix, 4);
    for (size_t i = 0; i < sizeof(raw); i++)
        pair->access_key[4 + i] = alphabet[raw[i] % 32];
    pair->access_key[20] = '\0';
    ebb_random_hex(pair->secret_key, 20);
}

/* "key = value" of the shared credentials file, into out. */
static bool read_setting(const char *text, const char *key, char *out, size_t size)
{
    const char *at = strstr(text, key);

    if (at == NULL)
        return false;
    at += strlen(key);
    at += strspn(at, " =");
    size_t len = strcspn(at, " \r\n");
    if (len == 0 || len >= size)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

int ebb_keyring_init(struct ebb_keyring *a, const char *state_dir, struct ebb_error *err)
{
    EBB_AUTO_FREE char *path = ebb_path_join(state_dir, "credentials");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    uint8_t digest[EBB_SHA256_SIZE];
    uint64_t number = 0;
    int code;

    if (ebb_file_exists(path)) {
        code = ebb_file_read(path, 4096, &text, err);
        if (code < 0)
            return ebb_error_wrap(err, code, "credentials of the emulated cloud");
        if (!read_setting(ebb_buffer_text(&text), "aws_access_key_id", a->own.access_key,
                          sizeof(a->own.access_key)) ||
            !read_setting(ebb_buffer_text(&text), "aws_secret_access_key", a->own.secret_key,
                          sizeof(a->own.secret_key)))
            return ebb_error_set(err, EBB_ERR_CORRUPT,
                                 "%s: no key pair in it; remove the file to get a new one", path);
    } else {
        make_pair(&a->own, "AKIA");
        ebb_buffer_printf(&text, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
                          a->own.access_key, a->own.secret_key);
        code = ebb_file_write_atomic(path, text.data, text.len, 0600, err);
        if (code < 0)
            return ebb_error_wrap(err, code, "credentials of the emulated cloud");
    }
    ebb_sha256(a->own.access_key, strlen(a->own.access_key), digest);
    memcpy(&number, digest, sizeof(number));
    snprintf(a->account, sizeof(a->account), "%012llu",
             (unsigned long long)(number % 1000000000000ULL));
    a->temporary = ebb_map_new(free);
    return 0;
}

void ebb_keyring_clean_up(struct ebb_keyring *a)
{
    ebb_map_destroy(a->temporary);
    explicit_bzero(&a->own, sizeof(a->own));
}

const struct ebb_key_pair *ebb_keyring_for_vm(struct ebb_keyring *a, struct ebb_guest *vm,
                                              int64_t now_wall_ns)
{
    struct ebb_key_pair *pair;

    if (vm->role_key[0] != '\0') {
        pair = ebb_map_get(a->temporary, vm->role_key);
        if (pair != NULL && pair->expires_wall_ns - now_wall_ns > ROLE_RENEW_NS)
            return pair;
    }
    pair = ebb_alloc(sizeof(*pair));
    make_pair(pair, "ASIA");
    ebb_random_hex(pair->token, 64);
    pair->issued_wall_ns = now_wall_ns;
    pair->expires_wall_ns = now_wall_ns + ROLE_TTL_NS;
    pair->vm = vm;
    snprintf(vm->role_key, sizeof(vm->role_key), "%s", pair->access_key);
    ebb_map_set(a->temporary, pair->access_key, pair);
    return pair;
}

static void fill(const struct ebb_exchange *x, struct ebb_sigv4_header headers[MAX_HEADERS],
                 struct ebb_sigv4_request *ret)
{
    struct evkeyvalq *in = evhttp_request_get_input_headers(x->request);
    size_t count = 0;

    for (const struct evkeyval *h = in->tqh_first; h != NULL && count < MAX_HEADERS;
         h = h->next.tqe_next) {
        headers[count].name = h->key;
        headers[count++].value = h->value;
    }
    *ret = (struct ebb_sigv4_request){
        .method = x->method, .target = x->target, .headers = headers, .header_count = count};
}

static enum ebb_keyring_verdict check_token(const struct ebb_key_pair *pair,
                                            const struct ebb_exchange *x)
{
    const char *token = ebb_exchange_header(x, "x-amz-security-token");

    if (token == NULL)
        token = ebb_params_get(&x->params, "X-Amz-Security-Token");
    if (pair->token[0] == '\0')
        return token == NULL ? EBB_KEYRING_GENUINE : EBB_KEYRING_BAD_TOKEN;
    if (token == NULL || strlen(token) != strlen(pair->token) ||
        !ebb_secret_equal(token, pair->token, strlen(pair->token)))
        return EBB_KEYRING_BAD_TOKEN;
    if (ebb_wall_ns(NULL) >= pair->expires_wall_ns)
        return EBB_KEYRING_EXPIRED_TOKEN;
    return EBB_KEYRING_GENUINE;
}

enum ebb_keyring_verdict ebb_keyring_check(struct ebb_keyring *a, struct ebb_exchange *x,
                                           char *ret_service)
{
    struct ebb_sigv4_header headers[MAX_HEADERS];
    struct ebb_sigv4_request q;
    struct ebb_sigv4_claim claim;
    struct ebb_key_pair *pair;
    enum ebb_keyring_verdict verdict;
    char body_hash[EBB_SHA256_HEX_SIZE];

    ret_service[0] = '\0';
    fill(x, headers, &q);
    switch (ebb_sigv4_read_claim(&q, &claim)) {
    case EBB_SIGV4_GENUINE:
        break;
    case EBB_SIGV4_ABSENT:
        return EBB_KEYRING_ABSENT;
    default:
        return EBB_KEYRING_MALFORMED;
    }
    snprintf(ret_service, 33, "%s", claim.service);
    pair = strcmp(claim.access_key, a->own.access_key) == 0
               ? &a->own
               : ebb_map_get(a->temporary, claim.access_key);
    if (pair == NULL)
        return EBB_KEYRING_UNKNOWN_KEY;
    /* S3 says the hash of its body in a header, checked where the body is read; the others sign
     * the body as it came. */
    if (strcmp(claim.service, "s3") != 0) {
        uint8_t digest[EBB_SHA256_SIZE];

        ebb_sha256(x->body, x->body_len, digest);
        q.payload_hash = ebb_hex(digest, sizeof(digest), body_hash);
    }
    switch (ebb_sigv4_check(&q, &claim, pair->secret_key, ebb_wall_ns(NULL))) {
    case EBB_SIGV4_GENUINE:
        break;
    case EBB_SIGV4_SKEWED:
        return EBB_KEYRING_SKEWED;
    case EBB_SIGV4_EXPIRED:
        return EBB_KEYRING_EXPIRED;
    case EBB_SIGV4_MALFORMED:
        return EBB_KEYRING_MALFORMED;
    default:
        return EBB_KEYRING_MISMATCH;
    }
    verdict = check_token(pair, x);
    if (verdict == EBB_KEYRING_GENUINE)
        x->vm = pair->vm;
    return verdict;
}

void ebb_keyring_claimed_service(struct ebb_exchange *x, char *ret_service)
{
    struct ebb_sigv4_header headers[MAX_HEADERS];
    struct ebb_sigv4_request q;
    struct ebb_sigv4_claim claim;

    fill(x, headers, &q);
    ret_service[0] = '\0';
    if (ebb_sigv4_read_claim(&q, &claim) == EBB_SIGV4_GENUINE)
        snprintf(ret_service, 33, "%s", claim.service);
}
