/* Bodies of S3 puts: check values, chunks, trailers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cloud/emulator/s3_body.h"

static void check_values_of_the_crcs(void **unused)
{
    (void)unused;
    /* The check values of the CRC catalogue for "123456789". */
    assert_int_equal(ebb_s3_crc32("123456789", 9), 0xcbf43926);
    assert_int_equal(ebb_s3_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(ebb_s3_crc32("", 0), 0);
}

static bool unchunk(const char *text, struct ebb_buffer *out, struct ebb_buffer *trailer)
{
    ebb_buffer_reset(out);
    ebb_buffer_reset(trailer);
    return ebb_s3_unchunk((const uint8_t *)text, strlen(text), out, trailer);
}

static void chunks_join_and_trailers_are_kept(void **unused)
{
    (void)unused;
    struct ebb_buffer out = {0}, trailer = {0};

    assert_true(unchunk("3;chunk-signature=ab\r\nabc\r\nA\r\n0123456789\r\n0\r\n"
                        "x-amz-checksum-crc32:AAAA\r\n\r\n",
                        &out, &trailer));
    assert_string_equal(ebb_buffer_text(&out), "abc0123456789");
    assert_string_equal(ebb_buffer_text(&trailer), "x-amz-checksum-crc32:AAAA\n");
    assert_true(unchunk("0\r\n\r\n", &out, &trailer));
    assert_int_equal(out.len, 0);
    ebb_buffer_clean_up(&out);
    ebb_buffer_clean_up(&trailer);
}

static void malformed_chunks_are_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",
                                      "x\r\nabc\r\n",
                                      "5\r\nabc",
                                      "3\r\nabc",
                                      "3\r\nabcd\r\n0\r\n",
                                      "ffffffffff\r\na\r\n",
                                      "3 \r\nabc\r\n0\r\n",
                                      "3\r\nabc\r\n"};
    struct ebb_buffer out = {0}, trailer = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (unchunk(bad[i], &out, &trailer))
            fail_msg("taken as good: %s", bad[i]);
    ebb_buffer_clean_up(&out);
    ebb_buffer_clean_up(&trailer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values_of_the_crcs),
        cmocka_unit_test(chunks_join_and_trailers_are_kept),
        cmocka_unit_test(malformed_chunks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
