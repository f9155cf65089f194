/* XML answers: the tree, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "cloud/xml.h"

static struct ebb_xml *parse(const char *text)
{
    struct ebb_xml *x = NULL;
    struct ebb_error err = {0};
    if (ebb_xml_parse(text, strlen(text), &x, &err) < 0)
        fail_msg("%s", err.text);
    return x;
}

static void paths_texts_and_entities_are_read(void **state)
{
    (void)state;
    struct ebb_xml *x = parse("  \n<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
                              "<a xmlns=\"http://x/\" xmlns:n=\"y\"><b><c>1 &lt; 2 &amp; &#x41;</c>"
                              "<n:d>q</n:d><c>second</c></b><b>next</b></a>");
    const struct ebb_xml_node *a = ebb_xml_root(x);
    assert_string_equal(ebb_xml_name(a), "a");
    assert_string_equal(ebb_xml_get(a, "b/c"), "1 < 2 & A");
    assert_string_equal(ebb_xml_get(a, "b/d"), "q");
    assert_string_equal(ebb_xml_get(a, "b/none"), "");
    assert_string_equal(ebb_xml_get(a, "none/c"), "");
    const struct ebb_xml_node *b = ebb_xml_child(a, "b");
    assert_string_equal(ebb_xml_text(ebb_xml_next(ebb_xml_child(b, "c"), "c")), "second");
    assert_string_equal(ebb_xml_text(ebb_xml_next(b, "b")), "next");
    assert_null(ebb_xml_next(ebb_xml_next(b, NULL), NULL));
    assert_null(ebb_xml_child(NULL, "b"));
    ebb_xml_destroy(x);
}

static void what_is_no_xml_is_corrupt(void **state)
{
    (void)state;
    const char *bad[] = {"",     "   ",      "<a>",           "<a></b>",
                         "text", "<a/><b/>", "<a>&nope;</a>", "<html><p>Bad Gateway</html>"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++) {
        struct ebb_xml *x = NULL;
        assert_int_equal(ebb_xml_parse(bad[i], strlen(bad[i]), &x, NULL), EBB_ERR_CORRUPT);
        assert_null(x);
    }
}

static void document_types_are_refused(void **state)
{
    (void)state;
    const char *bomb = "<!DOCTYPE a [<!ENTITY x \"xxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
    struct ebb_xml *x = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_xml_parse(bomb, strlen(bomb), &x, &err), EBB_ERR_CORRUPT);
    assert_non_null(strstr(err.text, "document type"));
}

static void depth_and_number_of_elements_are_bounded(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer deep = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer wide = {0};
    struct ebb_xml *x = NULL;
    for (int i = 0; i <= EBB_XML_MAX_DEPTH; i++)
        ebb_buffer_append_text(&deep, "<a>");
    for (int i = 0; i <= EBB_XML_MAX_DEPTH; i++)
        ebb_buffer_append_text(&deep, "</a>");
    assert_int_equal(ebb_xml_parse(deep.data, deep.len, &x, NULL), EBB_ERR_CORRUPT);
    ebb_buffer_append_text(&wide, "<r>");
    for (int i = 0; i < EBB_XML_MAX_NODES; i++)
        ebb_buffer_append_text(&wide, "<a/>");
    ebb_buffer_append_text(&wide, "</r>");
    assert_int_equal(ebb_xml_parse(wide.data, wide.len, &x, NULL), EBB_ERR_CORRUPT);
    assert_null(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_texts_and_entities_are_read),
        cmocka_unit_test(what_is_no_xml_is_corrupt),
        cmocka_unit_test(document_types_are_refused),
        cmocka_unit_test(depth_and_number_of_elements_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
