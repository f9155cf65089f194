/* Containers: what is written is read, every byte is under a hash, and what was cut off is told
 * from what is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "pack/container.h"
#include "pack/record.h"
#include "packed_fixture.h"

static void add_file(struct ebb_container_writer *w, const char *name, const char *const *parts,
                     size_t count)
{
    EBB_AUTO(ebb_packed_entry_clean_up)
    struct ebb_packed_entry facts = {
        .name = ebb_strdup(name), .kind = ebb_strdup("raw"), .mode = 0644, .mtime_ns = -5};
    assert_int_equal(ebb_container_begin(w, &facts, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(parts[i]);
        assert_int_equal(ebb_container_add(w, 0, len, 1, parts[i], len, NULL), 0);
        facts.size_bytes += len;
        facts.frames++;
    }
    assert_int_equal(ebb_container_end(w, &facts, NULL), 0);
}

static void write_two(struct ebb_buffer *out)
{
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w = ebb_container_writer_new(buffer_sink(out));
    static const char *const first[] = {"one part", "and another"}, *const second[] = {"x"};
    add_file(w, "first", first, 2);
    add_file(w, "folder/second", second, 1);
    add_file(w, "empty", NULL, 0);
    assert_int_equal(ebb_container_finish(w, NULL), 0);
}

static struct ebb_container *open_buffer(struct ebb_memory *m, const struct ebb_buffer *b,
                                         struct ebb_error *err)
{
    *m = (struct ebb_memory){.data = b->data, .len = b->len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(m);
    struct ebb_container *c = NULL;
    (void)ebb_container_open(&bytes, &c, err);
    return c;
}

static void entries_and_parts_come_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    write_two(&b);
    struct ebb_memory m;
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = open_buffer(&m, &b, NULL);
    assert_non_null(c);
    assert_int_equal(c->count, 3);
    const struct ebb_packed_entry *e = ebb_container_find(c, "first");
    assert_non_null(e);
    assert_int_equal(e->part_count, 2);
    assert_int_equal(e->size_bytes, 19);
    assert_int_equal(e->mtime_ns, -5);
    assert_int_equal(e->parts[1].file_offset, 8);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer part = {0};
    assert_int_equal(ebb_container_read_part(c, &e->parts[1], &part, NULL), 0);
    assert_string_equal(ebb_buffer_text(&part), "and another");
    assert_null(ebb_container_find(c, "second"));
    assert_int_equal(ebb_container_find(c, "empty")->part_count, 0);
    assert_int_equal(ebb_container_check(c, NULL, NULL, NULL), 0);
}

static void a_container_of_nothing_is_whole(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w = ebb_container_writer_new(buffer_sink(&b));
    assert_int_equal(ebb_container_finish(w, NULL), 0);
    struct ebb_memory m;
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = open_buffer(&m, &b, NULL);
    assert_non_null(c);
    assert_int_equal(c->count, 0);
    assert_int_equal(ebb_container_check(c, NULL, NULL, NULL), 0);
}

static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    write_two(&b);
    for (size_t i = 0; i < b.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1u << bit);
            struct ebb_memory m;
            EBB_AUTO(ebb_auto_container) struct ebb_container *c = open_buffer(&m, &b, NULL);
            if (c != NULL && ebb_container_check(c, NULL, NULL, NULL) == 0)
                fail_msg("bit %d of byte %zu flipped unseen", bit, i);
            b.data[i] ^= (uint8_t)(1u << bit);
        }
}

static void bytes_too_few_or_too_many_are_found(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    write_two(&b);
    size_t whole = b.len;
    struct ebb_memory m;
    for (b.len = 0; b.len < whole; b.len++) {
        EBB_AUTO(ebb_auto_container) struct ebb_container *c = open_buffer(&m, &b, NULL);
        assert_null(c);
    }
    ebb_buffer_append(&b, "", 1);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = open_buffer(&m, &b, NULL);
    assert_null(c);
}

static void what_is_whole_before_a_cut_is_listed(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    write_two(&b);
    size_t whole = b.len, seen_parts = 0, seen_files = 0;
    for (b.len = EBB_CONTAINER_HEADER_BYTES; b.len <= whole; b.len++) {
        struct ebb_memory m = {.data = b.data, .len = b.len};
        struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
        EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
        struct ebb_error fault = {0};
        assert_int_equal(ebb_container_salvage(&bytes, &c, &fault, NULL), 0);
        size_t parts = 0, files = 0;
        for (size_t i = 0; i < c->count; i++) {
            parts += c->entries[i].part_count;
            files += c->entries[i].is_complete;
            for (size_t k = 0; k < c->entries[i].part_count; k++) {
                EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer part = {0};
                assert_int_equal(ebb_container_read_part(c, &c->entries[i].parts[k], &part, NULL),
                                 0);
            }
        }
        assert_true(parts >= seen_parts && files >= seen_files);
        seen_parts = parts;
        seen_files = files;
    }
    assert_int_equal(seen_parts, 3);
    assert_int_equal(seen_files, 3);
}

static void a_name_may_be_there_once_and_no_folder_of_another(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    static const char *const names[] = {"a",      "a/b", "b/c",  "b", ".",  "..",
                                        "a/../b", "/a",  "a//b", "",  "a/", "\xff"};
    static const bool good[] = {true, false, true, false};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
        EBB_AUTO(ebb_auto_container_writer)
        struct ebb_container_writer *w = ebb_container_writer_new(buffer_sink(&b));
        static const char *const content[] = {"x"};
        add_file(w, i < 2 ? "zz" : "zz/y", content, 1);
        if (i == 1)
            add_file(w, "a", content, 1);
        if (i == 3)
            add_file(w, "b/c", content, 1);
        struct ebb_packed_entry facts = {.name = ebb_strdup(names[i]), .kind = ebb_strdup("raw")};
        int rc = ebb_container_begin(w, &facts, NULL);
        assert_int_equal(rc, i < EBB_ARRAY_LEN(good) && good[i] ? 0 : EBB_ERR_INPUT);
        ebb_packed_entry_clean_up(&facts);
    }
}

static void a_later_version_is_refused_as_such(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    write_two(&b);
    for (int i = 0; i < 2; i++) {
        b.data[i == 0 ? 8 : 16] ^= 2; /* version; a required feature */
        uint64_t hash = ebb_record_hash(b.data, 24);
        memcpy(b.data + 24, &hash, 8);
        struct ebb_memory m;
        struct ebb_error err = {0};
        assert_null(open_buffer(&m, &b, &err));
        assert_int_equal(err.code, EBB_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "later version"));
        b.data[i == 0 ? 8 : 16] ^= 2;
    }
}

static void fields_of_a_later_version_are_skipped_unless_they_must_be_known(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_packed_entry_clean_up)
    struct ebb_packed_entry in = {.name = ebb_strdup("n"),
                                  .kind = ebb_strdup("k"),
                                  .is_lossy = true,
                                  .error = 0.5,
                                  .unit = ebb_strdup("nm"),
                                  .source_bytes = 9,
                                  .chain_length = 3,
                                  .base_file = ebb_strdup("f"),
                                  .base_bytes = 4};
    ebb_packed_entry_encode(&in, &b);
    ebb_buffer_append(&b, "\x77\x07\x01\0\0\0?", 7);
    EBB_AUTO(ebb_packed_entry_clean_up) struct ebb_packed_entry out = {0};
    assert_int_equal(ebb_packed_entry_decode(b.data, b.len, &out, NULL), 0);
    assert_string_equal(out.name, "n");
    assert_true(out.is_lossy && out.error == 0.5);
    assert_string_equal(out.unit, "nm");
    assert_int_equal(out.chain_length, 3);
    assert_string_equal(out.base_file, "f");
    b.data[b.len - 6] |= 0x80;
    assert_int_equal(ebb_packed_entry_decode(b.data, b.len, &out, NULL), EBB_ERR_UNSUPPORTED);
    b.len--;
    assert_int_equal(ebb_packed_entry_decode(b.data, b.len, &out, NULL), EBB_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_and_parts_come_back),
        cmocka_unit_test(a_container_of_nothing_is_whole),
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(bytes_too_few_or_too_many_are_found),
        cmocka_unit_test(what_is_whole_before_a_cut_is_listed),
        cmocka_unit_test(a_name_may_be_there_once_and_no_folder_of_another),
        cmocka_unit_test(a_later_version_is_refused_as_such),
        cmocka_unit_test(fields_of_a_later_version_are_skipped_unless_they_must_be_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
