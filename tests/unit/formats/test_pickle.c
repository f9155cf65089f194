/* The pickle machine: what torch.save writes, by newer protocols too, and what nobody should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "formats/pickle.h"

static void scan(const char *bytes, size_t len, struct ebb_pickle_storages *ret)
{
    EBB_AUTO_FREE uint8_t *copy = ebb_memdup(bytes, len > 0 ? len : 1);
    ebb_pickle_scan(copy, len, ret);
}
#define SCAN(text, ret) scan(text, sizeof text - 1, ret)

#define STORAGE(type, key, n) "(X\7\0\0\0storagec" type "X\1\0\0\0" key "X\3\0\0\0cpuK" n "tQ"
#define TENSOR(storage, n)                                                                         \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage "K\0K" n "\x85K\1\x85\x89}tR"

static void a_tensor_in_a_dictionary_gets_its_key(void **state)
{
    (void)state;
    struct ebb_pickle_storages s;
    SCAN("\x80\2}X\1\0\0\0w" TENSOR(STORAGE("torch\nFloatStorage\n", "9", "\6"), "\6") "s.", &s);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.items[0].key, "9");
    assert_string_equal(s.items[0].name, "w");
    assert_true(s.items[0].known);
    assert_int_equal(s.items[0].dtype, EBB_DTYPE_F32);
    assert_int_equal(s.items[0].rows * s.items[0].columns, 6);
    ebb_pickle_storages_clean_up(&s);
}

static void a_type_that_is_not_known_is_said_so(void **state)
{
    (void)state;
    struct ebb_pickle_storages s;
    SCAN(STORAGE("torch\nQInt8Storage\n", "0", "\6") ".", &s);
    assert_int_equal(s.count, 1);
    assert_false(s.items[0].known);
    ebb_pickle_storages_clean_up(&s);
}

static void an_untyped_storage_takes_its_tensors_type(void **state)
{
    (void)state;
    struct ebb_pickle_storages s;
    SCAN("ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE(
             "torch.storage\nUntypedStorage\n", "0",
             "\6") "K\0K\3\x85K\1\x85\x89}ctorch\nuint16\ntR.",
         &s);
    assert_int_equal(s.count, 1);
    assert_true(s.items[0].known);
    assert_int_equal(s.items[0].dtype, EBB_DTYPE_U16);
    assert_int_equal(s.items[0].elements, 3);
    ebb_pickle_storages_clean_up(&s);
}

static void what_cannot_be_understood_ends_the_reading(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"", 0},
        {"t", 1},
        {"R", 1},
        {"0", 1},
        {"(((1110", 7},
        {"h\xff", 2},
        {"X\xff\xff\xff\xff", 5},
        {"cx\ny", 4},
        {"a", 1},
        {"]a", 2},
        {"s", 1},
        {"u", 1},
        {"(u", 2},
        {"b", 1},
        {"]b", 2},
        {"Q", 1},
        {"r\xff\xff\xff\x7f", 5},
        {"\x8a\x09zz", 4},
        {"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {"(K\1K\2d.", 7},
        {"(K\1l.", 5},
        {"(K\1K\2K\3u.", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ebb_pickle_storages s;
        scan(cases[i].bytes, cases[i].len, &s);
        assert_int_equal(s.count, 0);
        ebb_pickle_storages_clean_up(&s);
    }
}

static void a_container_within_itself_ends(void **state)
{
    (void)state;
    struct ebb_pickle_storages s;
    SCAN("]q\0h\0ah\0a}q\1X\1\0\0\0ah\1s.", &s);
    assert_int_equal(s.count, 0);
    ebb_pickle_storages_clean_up(&s);
}

static void any_bytes_end(void **state)
{
    (void)state;
    static const char ops[] = "(]})tauseRbQ2K\1h\0q\0X\0\0\0\0\x85\x86\x87";
    uint64_t seed = 1;
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t bytes[200];
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[k] = (uint8_t)ops[(seed >> 33) % (sizeof ops - 1)];
        }
        struct ebb_pickle_storages s;
        scan((const char *)bytes, sizeof bytes, &s);
        ebb_pickle_storages_clean_up(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_in_a_dictionary_gets_its_key),
        cmocka_unit_test(a_type_that_is_not_known_is_said_so),
        cmocka_unit_test(an_untyped_storage_takes_its_tensors_type),
        cmocka_unit_test(what_cannot_be_understood_ends_the_reading),
        cmocka_unit_test(a_container_within_itself_ends),
        cmocka_unit_test(any_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
