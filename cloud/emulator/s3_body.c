/* Every digest is worked out again here, whatever the client claims: Content-MD5, the hash that was
 * signed (x-amz-content-sha256), and x-amz-checksum-*, as headers or as trailers of a chunked body.
 *
 * aws-chunked:  <hex length>[;chunk-signature=...]\r\n <bytes>\r\n ... 0[;...]\r\n <trailers>\r\n
 * The signatures of chunks are not followed: the request that opens the stream is signed, and a
 * checksum covers the bytes. */
#include "cloud/emulator/s3_body.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

static void make_table(uint32_t polynomial, uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? polynomial ^ c >> 1 : c >> 1;
        table[i] = c;
    }
}

static uint32_t crc(uint32_t polynomial, const uint8_t *data, size_t len)
{
    uint32_t table[256], c = 0xffffffff;

    make_table(polynomial, table);
    for (size_t i = 0; i < len; i++)
        c = table[(c ^ data[i]) & 0xff] ^ c >> 8;
    return c ^ 0xffffffff;
}

uint32_t ebb_s3_crc32(const void *data, size_t len)
{
    return crc(0xedb88320, data, len);
}

uint32_t ebb_s3_crc32c(const void *data, size_t len)
{
    return crc(0x82f63b78, data, len);
}

static size_t digest(const char *name, const uint8_t *data, size_t len, uint8_t out[64])
{
    unsigned size = 0;

    if (ebb_starts_with(name, "crc32")) {
        uint32_t c =
            strcmp(name, "crc32") == 0 ? ebb_s3_crc32(data, len) : ebb_s3_crc32c(data, len);

        for (int i = 0; i < 4; i++)
            out[i] = (uint8_t)(c >> (24 - 8 * i));
        return 4;
    }
    if (EVP_Digest(data, len, out, &size, strcmp(name, "sha1") == 0 ? EVP_sha1() : EVP_sha256(),
                   NULL) != 1)
        return 0;
    return size;
}

static bool take_line(const uint8_t **at, const uint8_t *end, char *line, size_t size)
{
    const uint8_t *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t len;

    if (stop == NULL)
        return false;
    len = (size_t)(stop - *at);
    if (len > 0 && (*at)[len - 1] == '\r')
        len--;
    if (len >= size || memchr(*at, 0, len) != NULL)
        return false;
    memcpy(line, *at, len);
    line[len] = '\0';
    *at = stop + 1;
    return true;
}

bool ebb_s3_unchunk(const uint8_t *data, size_t len, struct ebb_buffer *out,
                    struct ebb_buffer *trailer)
{
    const uint8_t *at = data, *end = data + len;
    char line[512];

    for (;;) {
        size_t size = 0, digits;

        if (!take_line(&at, end, line, sizeof(line)))
            return false;
        digits = strspn(line, "0123456789abcdefABCDEF");
        if (digits == 0 || digits > 8 || (line[digits] != '\0' && line[digits] != ';'))
            return false;
        size = strtoul(line, NULL, 16);
        if (size == 0)
            break;
        if (size > (size_t)(end - at) || (size_t)(end - at) - size < 2)
            return false;
        ebb_buffer_append(out, at, size);
        at += size;
        if (at[0] != '\r' || at[1] != '\n')
            return false;
        at += 2;
    }
    while (at < end && take_line(&at, end, line, sizeof(line)) && line[0] != '\0')
        ebb_buffer_printf(trailer, "%s\n", line);
    return true;
}

/* "name:value" of the trailer, malloc'ed. */
static char *find_trailer(const struct ebb_buffer *trailer, const char *name)
{
    const char *at = ebb_buffer_text(trailer);
    size_t len = strlen(name);

    while (*at != '\0') {
        size_t line = strcspn(at, "\n");

        if (line > len && strncasecmp(at, name, len) == 0 && at[len] == ':') {
            const char *value = at + len + 1;

            value += strspn(value, " ");
            return ebb_strndup(value, (size_t)(at + line - value));
        }
        at += line + (at[line] == '\n');
    }
    return NULL;
}

static const char *check_checksums(struct ebb_exchange *x, struct ebb_s3_body *b,
                                   const struct ebb_buffer *trailer, const char **ret_message)
{
    static const char *const names[] = {"crc32", "crc32c", "sha1", "sha256"};
    uint8_t out[64];

    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
        EBB_AUTO_FREE char *header = ebb_sprintf("x-amz-checksum-%s", names[i]);
        EBB_AUTO_FREE char *given = ebb_strdup(ebb_exchange_header(x, header));
        size_t size;

        if (given == NULL)
            given = find_trailer(trailer, header);
        if (given == NULL)
            continue;
        size = digest(names[i], b->data, b->len, out);
        EBB_AUTO_FREE char *right = ebb_base64_encode(out, size);
        if (strlen(given) != strlen(right)) {
            *ret_message = "Value for x-amz-checksum header is invalid.";
            return "InvalidRequest";
        }
        if (strcmp(given, right) != 0) {
            *ret_message = "The checksum you specified did not match the calculated checksum.";
            return "BadDigest";
        }
        snprintf(b->checksum_name, sizeof(b->checksum_name), "%s", names[i]);
        snprintf(b->checksum, sizeof(b->checksum), "%s", right);
    }
    return NULL;
}

static const char *check_md5(struct ebb_exchange *x, const struct ebb_s3_body *b,
                             const char **ret_message)
{
    const char *given = ebb_exchange_header(x, "Content-MD5");
    size_t len = 0;

    if (given == NULL)
        return NULL;
    EBB_AUTO_FREE uint8_t *decoded = ebb_base64_decode(given, &len);
    if (decoded == NULL || len != 16) {
        *ret_message = "The Content-MD5 you specified was invalid.";
        return "InvalidDigest";
    }
    if (memcmp(decoded, b->md5, 16) != 0) {
        *ret_message = "The Content-MD5 you specified did not match what we received.";
        return "BadDigest";
    }
    return NULL;
}

static const char *check_signed_hash(struct ebb_exchange *x, const char **ret_message)
{
    const char *claimed = ebb_exchange_header(x, "x-amz-content-sha256");
    uint8_t out[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE];

    if (claimed == NULL || strcmp(claimed, "UNSIGNED-PAYLOAD") == 0 ||
        ebb_starts_with(claimed, "STREAMING-"))
        return NULL;
    ebb_sha256(x->body, x->body_len, out);
    if (strcasecmp(claimed, ebb_hex(out, sizeof(out), hex)) == 0)
        return NULL;
    *ret_message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    return "XAmzContentSHA256Mismatch";
}

static bool is_chunked(const struct ebb_exchange *x)
{
    const char *claimed = ebb_exchange_header(x, "x-amz-content-sha256");
    const char *encoding = ebb_exchange_header(x, "Content-Encoding");

    return (claimed != NULL && ebb_starts_with(claimed, "STREAMING-")) ||
           (encoding != NULL && strstr(encoding, "aws-chunked") != NULL);
}

static const char *unchunk(struct ebb_exchange *x, struct ebb_s3_body *b,
                           struct ebb_buffer *trailer, const char **ret_message)
{
    const char *length = ebb_exchange_header(x, "x-amz-decoded-content-length");
    int64_t expected = 0;

    if (!ebb_s3_unchunk(x->body, x->body_len, &b->decoded, trailer)) {
        *ret_message = "The chunked body is malformed.";
        return "InvalidRequest";
    }
    b->data = b->decoded.data != NULL ? b->decoded.data : (const uint8_t *)"";
    b->len = b->decoded.len;
    if (length != NULL && (ebb_parse_int(length, 0, INT64_MAX, &expected, NULL) < 0 ||
                           (uint64_t)expected != b->len)) {
        *ret_message = "You did not provide the number of bytes specified by the "
                       "x-amz-decoded-content-length header.";
        return "IncompleteBody";
    }
    return NULL;
}

const char *ebb_s3_body_read(struct ebb_exchange *x, struct ebb_s3_body *ret,
                             const char **ret_message)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer trailer = {0};
    const char *code;

    memset(ret, 0, sizeof(*ret));
    ret->data = x->body;
    ret->len = x->body_len;
    if (is_chunked(x) && (code = unchunk(x, ret, &trailer, ret_message)) != NULL)
        return code;
    if (ret->len > EBB_S3_MAX_BODY_BYTES) {
        *ret_message = "Your proposed upload exceeds the maximum allowed object size: the emulated "
                       "S3 takes 256 MiB in one request.";
        return "EntityTooLarge";
    }
    ebb_md5(ret->data, ret->len, ret->md5);
    code = check_signed_hash(x, ret_message);
    if (code == NULL)
        code = check_md5(x, ret, ret_message);
    return code != NULL ? code : check_checksums(x, ret, &trailer, ret_message);
}

void ebb_s3_body_clean_up(struct ebb_s3_body *b)
{
    ebb_buffer_clean_up(&b->decoded);
}
