/* Chunks: what goes into a pack comes out of it, or is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "checkpoint/pack.h"
#include "job_fixture.h"

struct packed {
    struct ebb_chunk_record record;
    Ebb__Chunk chunk;
    struct ebb_buffer *pack;
};

static void pack_one(struct fixture *f, const uint8_t *raw, size_t len, struct packed *ret)
{
    static const uint8_t nonce[EBB_NONCE_SIZE] = "0123456789abcde";
    EBB_AUTO(ebb_auto_pack_builder)
    struct ebb_pack_builder *b = ebb_pack_builder_new(nonce, len);
    assert_int_equal(ebb_pack_add(b, raw, len, &ret->record, NULL), 0);
    ebb_sha256(raw, len, ret->record.sha256);
    uint8_t sha[EBB_SHA256_SIZE];
    assert_int_equal(ebb_pack_put(b, f->store, TEST_ROOT, sha, NULL), 0);
    EBB_AUTO_FREE char *key = ebb_pack_key(TEST_ROOT, sha);
    ret->pack = memory_store_object(f->memory, key);
    assert_non_null(ret->pack);
    assert_memory_equal(ret->pack->data, EBB_PACK_MAGIC "0123456789abcde", 23);
    ebb__chunk__init(&ret->chunk);
    ret->chunk.offset = ret->record.offset;
    ret->chunk.stored_bytes = ret->record.stored_bytes;
    ret->chunk.raw_bytes = ret->record.raw_bytes;
    ret->chunk.codec = ret->record.codec;
    ret->chunk.sha256.len = EBB_SHA256_SIZE;
    ret->chunk.sha256.data = ret->record.sha256;
}

static void check_sizes(struct fixture *f, bool compressible, uint32_t codec)
{
    static const size_t sizes[] = {200, 4096, 65537, 1u << 20};
    struct ebb_random r;
    ebb_random_seed(&r, 5);
    for (size_t i = 0; i < EBB_ARRAY_LEN(sizes); i++) {
        EBB_AUTO_FREE uint8_t *raw = ebb_alloc(sizes[i]);
        EBB_AUTO_FREE uint8_t *back = ebb_alloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            raw[k] = (uint8_t)(compressible ? k / 100 : ebb_random_next(&r));
        struct packed p;
        pack_one(f, raw, sizes[i], &p);
        assert_int_equal(p.chunk.codec, codec);
        const uint8_t *stored = p.pack->data + p.chunk.offset;
        assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), 0);
        assert_memory_equal(raw, back, sizes[i]);
        /* Another chunk's hash, as after a mix-up in a manifest. */
        p.record.sha256[31] ^= 1;
        assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), EBB_ERR_CORRUPT);
    }
}

static void compressible_chunks_are_zstd_frames(void **state)
{
    check_sizes(*state, true, EBB_CODEC_ZSTD);
}

static void incompressible_chunks_are_stored(void **state)
{
    check_sizes(*state, false, EBB_CODEC_STORED);
}

static void a_frame_of_another_length_is_refused(void **state)
{
    uint8_t raw[5000] = {1}, back[6000];
    struct packed p;
    pack_one(*state, raw, sizeof raw, &p);
    const uint8_t *stored = p.pack->data + p.chunk.offset;
    assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), 0);
    p.chunk.raw_bytes = sizeof raw + 1;
    assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), EBB_ERR_CORRUPT);
    p.chunk.raw_bytes = sizeof raw - 1; /* more than there is room for */
    assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), EBB_ERR_CORRUPT);
    p.chunk.raw_bytes = sizeof raw;
    p.chunk.stored_bytes--;
    assert_int_equal(ebb_chunk_decode(&p.chunk, stored, NULL, back, NULL), EBB_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(compressible_chunks_are_zstd_frames),
        FIXTURE_TEST(incompressible_chunks_are_stored),
        FIXTURE_TEST(a_frame_of_another_length_is_refused),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
