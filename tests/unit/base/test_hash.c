/* Hashes against published vectors, encodings there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"

static void sha256_matches_fips_180_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(vectors); i++) {
        uint8_t digest[EBB_SHA256_SIZE];
        char hex[EBB_SHA256_HEX_SIZE];
        ebb_sha256(vectors[i].text, strlen(vectors[i].text), digest);
        assert_string_equal(ebb_hex(digest, sizeof(digest), hex), vectors[i].hex);
    }
}

static void streaming_gives_the_same_and_may_be_reused(void **state)
{
    (void)state;
    uint8_t data[1000], want[EBB_SHA256_SIZE], got[EBB_SHA256_SIZE];
    ebb_random_secret(data, sizeof(data));
    ebb_sha256(data, sizeof(data), want);
    struct ebb_sha256 *h = ebb_sha256_new();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(data); i += 77)
            ebb_sha256_update(h, data + i, sizeof(data) - i < 77 ? sizeof(data) - i : 77);
        ebb_sha256_final(h, got);
        assert_memory_equal(got, want, sizeof(want));
    }
    ebb_sha256_destroy(h);
    ebb_sha256_destroy(NULL);
}

static void hmac_matches_rfc_4231(void **state)
{
    (void)state;
    uint8_t mac[EBB_SHA256_SIZE], key[131];
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_string_equal(ebb_hex(mac, sizeof(mac), hex),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    ebb_hmac_sha256(key, sizeof(key), text, strlen(text), mac);
    assert_string_equal(ebb_hex(mac, sizeof(mac), hex),
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    ebb_hmac_sha256("", 0, "", 0, mac);
    assert_string_equal(ebb_hex(mac, sizeof(mac), hex),
                        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void md5_matches_rfc_1321(void **state)
{
    (void)state;
    uint8_t digest[16];
    char hex[33];
    ebb_md5("message digest", 14, digest);
    assert_string_equal(ebb_hex(digest, 16, hex), "f96b697d7cb7938d525a2f31aaf161d0");
}

static void unhex_takes_exactly_its_digits(void **state)
{
    (void)state;
    uint8_t out[3] = {9, 9, 9};
    assert_true(ebb_unhex("00fFa1", out, 3));
    assert_memory_equal(out, "\x00\xff\xa1", 3);
    assert_false(ebb_unhex("00ff", out, 3));
    assert_false(ebb_unhex("00ffa1b", out, 3));
    assert_false(ebb_unhex("00ffg1", out, 3));
    assert_memory_equal(out, "\x00\xff\xa1", 3);
}

static void base64_matches_rfc_4648(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(plain); i++) {
        EBB_AUTO_FREE char *text = ebb_base64_encode(plain[i], strlen(plain[i]));
        assert_string_equal(text, coded[i]);
        size_t len = 99;
        EBB_AUTO_FREE uint8_t *back = ebb_base64_decode(coded[i], &len);
        assert_non_null(back);
        assert_int_equal(len, strlen(plain[i]));
        assert_memory_equal(back, plain[i], len);
    }
}

static void malformed_base64_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Zg", "Zg=", "Zg===", "=Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zg==Zg=="};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++) {
        size_t len = 7;
        assert_null(ebb_base64_decode(wrong[i], &len));
        assert_int_equal(len, 7);
    }
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(ebb_secret_equal("abcd", "abcd", 4));
    assert_false(ebb_secret_equal("abcd", "abce", 4));
    assert_true(ebb_secret_equal("", "", 0));
}

static void a_file_hashes_like_its_bytes(void **state)
{
    (void)state;
    char path[] = "/tmp/ebb-hash-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static uint8_t data[300001]; /* more than one block, not a whole number of them */
    ebb_random_secret(data, sizeof(data));
    assert_int_equal(ebb_write_all(fd, data, sizeof(data), NULL), 0);
    (void)close(fd);
    uint8_t want[EBB_SHA256_SIZE], got[EBB_SHA256_SIZE];
    uint64_t bytes = 0;
    ebb_sha256(data, sizeof(data), want);
    assert_int_equal(ebb_sha256_file(path, got, &bytes, NULL), 0);
    assert_int_equal(bytes, sizeof(data));
    assert_memory_equal(got, want, sizeof(want));
    (void)unlink(path);
    struct ebb_error err;
    assert_int_equal(ebb_sha256_file(path, got, NULL, &err), EBB_ERR_NOT_FOUND);
    assert_int_equal(ebb_sha256_file("/tmp", got, NULL, &err), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_fips_180_vectors),
        cmocka_unit_test(streaming_gives_the_same_and_may_be_reused),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(md5_matches_rfc_1321),
        cmocka_unit_test(unhex_takes_exactly_its_digits),
        cmocka_unit_test(base64_matches_rfc_4648),
        cmocka_unit_test(malformed_base64_is_refused),
        cmocka_unit_test(secrets_compare_whole),
        cmocka_unit_test(a_file_hashes_like_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
