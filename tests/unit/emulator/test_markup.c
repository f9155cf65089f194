/* XML written and read by the emulated cloud. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cloud/emulator/markup.h"

static void what_is_written_is_escaped(void **unused)
{
    (void)unused;
    struct ebb_buffer b = {0};

    ebb_markup_text(&b, "Key", "a<b>&\"\n\x01ü");
    ebb_markup_format(&b, "N", "%d", 7);
    assert_string_equal(ebb_buffer_text(&b), "<Key>a&lt;b&gt;&amp;&quot;&#xa;&#x1;ü</Key><N>7</N>");
    ebb_buffer_clean_up(&b);
}

static void elements_come_one_by_one_as_they_end(void **unused)
{
    (void)unused;
    static const char text[] = "<?xml version=\"1.0\"?>\n<d:Delete xmlns:d=\"x\"> <Object>\n"
                               "<Key>a &amp;&lt;&#65;&#x4e2d;</Key><VersionId/></Object>"
                               "<Quiet>true</Quiet></d:Delete>";
    static const char *const wanted[][2] = {
        {"Key", "a &<A中"}, {"VersionId", ""}, {"Object", ""}, {"Quiet", "true"}, {"Delete", ""}};
    struct ebb_markup_scan s;

    ebb_markup_scan_init(&s, text, sizeof(text) - 1);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_true(ebb_markup_scan_next(&s));
        assert_string_equal(s.name, wanted[i][0]);
        assert_string_equal(ebb_buffer_text(&s.text), wanted[i][1]);
    }
    assert_false(ebb_markup_scan_next(&s));
    assert_false(s.malformed);
    ebb_markup_scan_clean_up(&s);
}

static void malformed_documents_are_told(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"<a>",
                                      "</a>",
                                      "<a",
                                      "<>",
                                      "<a>&no;</a>",
                                      "<a>&#0;</a>",
                                      "<a>&#x110000;</a>",
                                      "<a>&amp</a>",
                                      "<!DOCTYPE a><a/>",
                                      "<a></a></b>"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ebb_markup_scan s;

        ebb_markup_scan_init(&s, bad[i], strlen(bad[i]));
        while (ebb_markup_scan_next(&s))
            ;
        if (!s.malformed)
            fail_msg("taken as good: %s", bad[i]);
        ebb_markup_scan_clean_up(&s);
    }
}

static void depth_is_bounded(void **unused)
{
    (void)unused;
    struct ebb_buffer b = {0};
    struct ebb_markup_scan s;

    for (int i = 0; i < 1000; i++)
        ebb_buffer_append_text(&b, "<a>");
    ebb_markup_scan_init(&s, ebb_buffer_text(&b), b.len);
    assert_false(ebb_markup_scan_next(&s));
    assert_true(s.malformed);
    ebb_markup_scan_clean_up(&s);
    ebb_buffer_clean_up(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_escaped),
        cmocka_unit_test(elements_come_one_by_one_as_they_end),
        cmocka_unit_test(malformed_documents_are_told),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
