/* What a manifest and a head must not say: each fault is refused with a reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "checkpoint/format.h"

struct sample {
    uint8_t sha[4][EBB_SHA256_SIZE];
    Ebb__Pack packs[2], *pack_list[2];
    Ebb__Chunk chunks[2], *chunk_list[2];
    Ebb__FileEntry files[3], *file_list[3];
    Ebb__Manifest m;
};

static ProtobufCBinaryData hash_of(struct sample *s, int i)
{
    memset(s->sha[i], 'a' + i, EBB_SHA256_SIZE);
    return (ProtobufCBinaryData){.len = EBB_SHA256_SIZE, .data = s->sha[i]};
}

/* A good manifest: a file of two chunks in two packs, an empty file, a link. */
static void sample_make(struct sample *s)
{
    static char path[] = "d/state", empty[] = "empty", link[] = "d/link", target[] = "../empty";
    ebb__manifest__init(&s->m);
    for (int i = 0; i < 2; i++) {
        ebb__pack__init(&s->packs[i]);
        s->packs[i].sha256 = hash_of(s, i);
        s->packs[i].size_bytes = 1000;
        s->pack_list[i] = &s->packs[i];
        ebb__chunk__init(&s->chunks[i]);
        s->chunks[i].pack = (uint32_t)i;
        s->chunks[i].offset = 24;
        s->chunks[i].raw_bytes = 976;
        s->chunks[i].stored_bytes = 976;
        s->chunks[i].sha256 = hash_of(s, 2);
        s->chunk_list[i] = &s->chunks[i];
    }
    for (int i = 0; i < 3; i++) {
        ebb__file_entry__init(&s->files[i]);
        s->files[i].mode = 0644;
        s->file_list[i] = &s->files[i];
    }
    s->files[0].path = path;
    s->files[0].size_bytes = 1952;
    s->files[0].sha256 = hash_of(s, 3);
    s->files[0].n_chunks = 2;
    s->files[0].chunks = s->chunk_list;
    s->files[1].path = empty;
    s->files[1].sha256 = hash_of(s, 3);
    s->files[2].path = link;
    s->files[2].kind = EBB__FILE_ENTRY__KIND__SYMLINK;
    s->files[2].link_target = target;
    s->m.format = 1;
    s->m.epoch = 1;
    s->m.sequence = 1;
    s->m.n_packs = 2;
    s->m.packs = s->pack_list;
    s->m.n_files = 3;
    s->m.files = s->file_list;
}

static void a_good_manifest_passes(void **state)
{
    (void)state;
    struct sample s;
    sample_make(&s);
    struct ebb_error err = {0};
    if (ebb_manifest_check(&s.m, &err) < 0)
        fail_msg("%s", err.text);
}

static void each_fault_of_a_manifest_is_refused(void **state)
{
    (void)state;
    for (int fault = 0;; fault++) {
        struct sample s;
        sample_make(&s);
        int want = EBB_ERR_CORRUPT;
        switch (fault) {
        case 0:
            s.m.format = 2, want = EBB_ERR_UNSUPPORTED;
            break;
        case 1:
            s.m.required_features = EBB_FORMAT_FEATURES + 1, want = EBB_ERR_UNSUPPORTED;
            break;
        case 2:
            s.m.epoch = 0;
            break;
        case 3:
            s.m.sequence = 0;
            break;
        case 4:
            s.m.run_s = (double)NAN;
            break;
        case 5:
            s.m.run_s = -1;
            break;
        case 6:
            s.packs[0].sha256.len = 31;
            break;
        case 7:
            s.packs[0].size_bytes = EBB_PACK_MAX_BYTES + 1;
            break;
        case 8:
            s.packs[0].size_bytes = 24;
            break;
        case 9:
            memcpy(s.sha[1], s.sha[0], EBB_SHA256_SIZE);
            break;
        case 10:
            s.chunks[1].pack = 2;
            break;
        case 11:
            s.chunks[1].offset = 25;
            break;
        case 12:
            s.chunks[1].offset = UINT64_MAX - 10;
            break;
        case 13:
            s.chunks[1].stored_bytes = UINT64_MAX;
            break;
        case 14:
            s.chunks[1].offset = 0;
            break;
        case 15:
            s.chunks[1].raw_bytes = 0;
            break;
        case 16:
            s.chunks[1].raw_bytes = 977;
            break;
        case 17:
            s.chunks[1].codec = 3, want = EBB_ERR_UNSUPPORTED;
            break;
        case 18:
            s.chunks[1].raw_bytes = EBB_CHUNK_MAX_BYTES + 1, s.chunks[1].codec = 1;
            break;
        case 19:
            s.chunks[1].sha256.len = 0;
            break;
        case 20:
            s.files[0].size_bytes++;
            break;
        case 21:
            s.files[0].n_chunks = 1;
            break;
        case 22:
            s.files[0].sha256.len = 0;
            break;
        case 23:
            s.files[0].mode = 0100644;
            break;
        case 24:
            s.files[0].kind = (Ebb__FileEntry__Kind)5;
            break;
        case 25:
            s.files[0].link_target = s.files[1].path;
            break;
        case 26:
            s.files[1].path = s.files[0].path;
            break;
        case 27:
            s.files[2].sha256 = s.files[0].sha256;
            break;
        case 28:
            s.files[2].size_bytes = 1;
            break;
        case 29:
            s.chunks[0].stored_bytes = 0;
            break;
        default:
            assert_int_equal(fault, 30);
            return;
        }
        struct ebb_error err = {0};
        int rc = ebb_manifest_check(&s.m, &err);
        if (rc != want)
            fail_msg("fault %d: %d %s", fault, rc, err.text);
        assert_true(err.text[0] != '\0');
    }
}

static void paths_that_lead_out_or_collide_are_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"/etc/passwd",
                                        "..",
                                        "../x",
                                        "a/../../x",
                                        "a/..",
                                        "",
                                        ".",
                                        "a/./b",
                                        "a//b",
                                        "a/",
                                        "/",
                                        "\xff\xfe",
                                        "\xc0\xaf",
                                        "\xed\xa0\x80",
                                        "d",              /* a file where d/state's folder is */
                                        "empty/below",    /* below a file */
                                        "d/link/through", /* through a link */
                                        "d/state"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(paths); i++) {
        struct sample s;
        sample_make(&s);
        Ebb__FileEntry more = EBB__FILE_ENTRY__INIT;
        more.path = (char *)paths[i];
        more.sha256 = s.files[1].sha256;
        Ebb__FileEntry *list[] = {s.file_list[0], s.file_list[1], s.file_list[2], &more};
        s.m.files = list;
        s.m.n_files = 4;
        if (ebb_manifest_check(&s.m, NULL) != EBB_ERR_CORRUPT)
            fail_msg("'%s' passed", paths[i]);
    }
    char overlong[300];
    memset(overlong, 'a', sizeof overlong);
    overlong[256] = '\0';
    assert_int_equal(ebb_manifest_check_path(overlong, NULL), EBB_ERR_INPUT);
    overlong[255] = '\0';
    assert_int_equal(ebb_manifest_check_path(overlong, NULL), 0);
    static const char *const good[] = {"a", "...", "..a", "a..", "a/b/c", ".hidden", "ä/ö", "a b"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(good); i++)
        assert_int_equal(ebb_manifest_check_path(good[i], NULL), 0);
}

static void links_stay_inside(void **state)
{
    (void)state;
    assert_true(ebb_link_is_contained("a/b/link", "../../c"));
    assert_true(ebb_link_is_contained("a/link", "./../b/./c"));
    assert_false(ebb_link_is_contained("link", "a/../b")); /* a may be a link to "." */
    assert_true(ebb_link_is_contained("link", "."));
    assert_false(ebb_link_is_contained("a/b/link", "../../../c"));
    assert_false(ebb_link_is_contained("link", "../c"));
    assert_false(ebb_link_is_contained("link", "/etc/passwd"));
    assert_false(ebb_link_is_contained("link", "a/../../c"));
    assert_false(ebb_link_is_contained("link", ""));
}

static void heads_of_a_later_format_are_refused_not_misread(void **state)
{
    (void)state;
    uint8_t nonce[EBB_NONCE_SIZE] = {1};
    for (int i = 0; i < 6; i++) {
        Ebb__Head h = EBB__HEAD__INIT;
        h.format = i == 0 ? 2 : 1;
        h.required_features = i == 1 ? UINT64_C(1) << 63 : 0;
        h.epoch = i == 2 ? 0 : 5;
        h.nonce = (ProtobufCBinaryData){.len = i == 3 ? 15 : sizeof nonce, .data = nonce};
        h.sequence = i == 4 ? 1 : 0; /* without a manifest */
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
        ebb_head_encode(&h, &bytes);
        EBB_AUTO(ebb_auto_head) Ebb__Head *back = NULL;
        int rc = ebb_head_decode(bytes.data, bytes.len, &back, NULL);
        assert_int_equal(rc, i < 2 ? EBB_ERR_UNSUPPORTED : i < 5 ? EBB_ERR_CORRUPT : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_manifest_passes),
        cmocka_unit_test(each_fault_of_a_manifest_is_refused),
        cmocka_unit_test(paths_that_lead_out_or_collide_are_refused),
        cmocka_unit_test(links_stay_inside),
        cmocka_unit_test(heads_of_a_later_format_are_refused_not_misread),
    };
    return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
