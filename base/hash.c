/* Hashes through OpenSSL's EVP, which picks the CPU's own SHA instructions. A failure here is a
 * broken or misconfigured library, not a state of the program: it aborts. */
#include "base/hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

struct ebb_sha256 {
    EVP_MD_CTX *ctx;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "OpenSSL failed: %s\n", what);
    abort();
}

static void sha256_start(EVP_MD_CTX *ctx)
{
    must(ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1, "SHA-256");
}

struct ebb_sha256 *ebb_sha256_new(void)
{
    struct ebb_sha256 *h = ebb_alloc(sizeof(*h));
    h->ctx = EVP_MD_CTX_new();
    sha256_start(h->ctx);
    return h;
}

void ebb_sha256_update(struct ebb_sha256 *h, const void *data, size_t len)
{
    must(EVP_DigestUpdate(h->ctx, data, len) == 1, "SHA-256");
}

void ebb_sha256_final(struct ebb_sha256 *h, uint8_t out[EBB_SHA256_SIZE])
{
    must(EVP_DigestFinal_ex(h->ctx, out, NULL) == 1, "SHA-256");
    sha256_start(h->ctx);
}

struct ebb_sha256 *ebb_sha256_copy(const struct ebb_sha256 *h)
{
    struct ebb_sha256 *copy = ebb_sha256_new();
    must(EVP_MD_CTX_copy_ex(copy->ctx, h->ctx) == 1, "SHA-256");
    return copy;
}

void ebb_sha256_destroy(struct ebb_sha256 *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void ebb_sha256(const void *data, size_t len, uint8_t out[EBB_SHA256_SIZE])
{
    must(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

void ebb_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                     uint8_t out[EBB_SHA256_SIZE])
{
    assert(key_len <= INT32_MAX);
    /* OpenSSL takes a NULL key as "the one before". */
    const void *k = key == NULL || key_len == 0 ? "" : key;
    const void *d = data == NULL ? "" : data;
    must(HMAC(EVP_sha256(), k, (int)key_len, d, len, out, NULL) != NULL, "HMAC-SHA-256");
}

void ebb_md5(const void *data, size_t len, uint8_t out[16])
{
    must(EVP_Digest(data, len, out, NULL, EVP_md5(), NULL) == 1, "MD5");
}

char *ebb_hex(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool ebb_unhex(const char *hex, void *out, size_t len)
{
    if (strnlen(hex, 2 * len + 1) != 2 * len)
        return false;
    for (size_t i = 0; i < 2 * len; i++)
        if (hex_digit(hex[i]) < 0)
            return false;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ebb_base64_encode(const void *data, size_t len)
{
    const uint8_t *p = data;
    char *out = ebb_alloc_array((len + 2) / 3 * 4 + 1, 1);
    char *q = out;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < len)
            v |= p[i + 2];
        *q++ = base64_digits[v >> 18];
        *q++ = base64_digits[v >> 12 & 63];
        *q++ = i + 1 < len ? base64_digits[v >> 6 & 63] : '=';
        *q++ = i + 2 < len ? base64_digits[v & 63] : '=';
    }
    return out;
}

static int base64_value(char c)
{
    const char *at = c == '\0' ? NULL : strchr(base64_digits, c);
    return at == NULL ? -1 : (int)(at - base64_digits);
}

/* Strict: whole groups of four, padding at the end alone, no bits set that are not decoded, so
 * that a value has one encoding. */
uint8_t *ebb_base64_decode(const char *text, size_t *ret_len)
{
    size_t len = strlen(text);
    if (len % 4 != 0)
        return NULL;
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    EBB_AUTO_FREE uint8_t *out = ebb_alloc_array(len / 4 * 3 + 1, 1);
    size_t n = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        int v = i >= len - padding ? 0 : base64_value(text[i]);
        if (v < 0)
            return NULL;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            out[n++] = (uint8_t)(bits >> shift);
        bits = 0;
    }
    for (size_t i = 0; i < padding; i++)
        if (out[--n] != 0)
            return NULL;
    if (padding == 2 && (base64_value(text[len - 3]) & 15) != 0)
        return NULL;
    if (padding == 1 && (base64_value(text[len - 2]) & 3) != 0)
        return NULL;
    *ret_len = n;
    return EBB_TAKE(out);
}

bool ebb_secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
