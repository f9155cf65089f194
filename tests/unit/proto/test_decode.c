/* Bytes that are no protobuf are refused wherever they stand in a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/decode.h"
#include "proto/event.pb-c.h"
#include "proto/manifest.pb-c.h"

/* Key of field 0, wire type 2, written in two bytes; then an empty value. */
#define FIELD_ZERO 0x82, 0x00, 0x00

static void *decode(const ProtobufCMessageDescriptor *d, const void *data, size_t len)
{
    return ebb_message_decode(d, data, len);
}

static void unknown_fields_are_kept(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x08, 0x01, 0xfa, 0x7f, 0x01, 'x'}; /* format = 1; field 2047 = "x" */
    Ebb__Head *head = decode(&ebb__head__descriptor, bytes, sizeof bytes);
    assert_non_null(head);
    assert_int_equal(head->format, 1);
    assert_int_equal(head->base.n_unknown_fields, 1);
    ebb__head__free_unpacked(head, NULL);
}

static void a_field_numbered_zero_is_refused(void **state)
{
    (void)state;
    const uint8_t top[] = {0x08, 0x01, FIELD_ZERO};
    assert_null(decode(&ebb__head__descriptor, top, sizeof top));
    /* In a file of a manifest: files = 7. */
    const uint8_t repeated[] = {0x3a, 0x03, FIELD_ZERO};
    assert_null(decode(&ebb__manifest__descriptor, repeated, sizeof repeated));
    /* In a oneof of an event: bag_cancelled = 12. */
    const uint8_t chosen[] = {0x62, 0x03, FIELD_ZERO};
    assert_null(decode(&ebb__event__descriptor, chosen, sizeof chosen));
}

static void a_oneof_that_is_not_chosen_is_not_followed(void **state)
{
    (void)state;
    /* bag_cancelled, then bag_finished of the same oneof: the latter stands. */
    const uint8_t bytes[] = {0x62, 0x00, 0x6a, 0x02, 0x10, 0x05};
    Ebb__Event *e = decode(&ebb__event__descriptor, bytes, sizeof bytes);
    assert_non_null(e);
    assert_int_equal(e->kind_case, EBB__EVENT__KIND_BAG_FINISHED);
    assert_int_equal(e->bag_finished->done, 5);
    ebb__event__free_unpacked(e, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_fields_are_kept),
        cmocka_unit_test(a_field_numbered_zero_is_refused),
        cmocka_unit_test(a_oneof_that_is_not_chosen_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
