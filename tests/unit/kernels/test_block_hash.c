/* Hashes of blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "kernels/block_hash.h"

static void the_hash_is_xxh3(void **state)
{
    (void)state;
    uint8_t hash[EBB_BLOCK_HASH_SIZE];
    char hex[2 * EBB_BLOCK_HASH_SIZE + 1];
    ebb_block_hash(NULL, 0, hash);
    assert_string_equal(ebb_hex(hash, sizeof hash, hex), "99aa06d3014798d86001c324468d497f");
    assert_true(ebb_block_checksum(NULL, 0) == UINT64_C(0x2d06800538d394c2));
}

static void each_block_has_the_hash_of_its_bytes(void **state)
{
    (void)state;
    uint8_t data[1000], hashes[4][EBB_BLOCK_HASH_SIZE], one[EBB_BLOCK_HASH_SIZE];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i >> 3);
    assert_int_equal(ebb_block_count(sizeof data, 300), 4);
    assert_int_equal(ebb_block_count(900, 300), 3);
    assert_int_equal(ebb_block_count(0, 300), 0);
    ebb_block_hashes(data, sizeof data, 300, hashes);
    for (size_t i = 0; i < 4; i++) {
        ebb_block_hash(data + 300 * i, i < 3 ? 300 : 100, one);
        assert_memory_equal(hashes[i], one, sizeof one);
    }
    data[350] ^= 1;
    ebb_block_hash(data + 300, 300, one);
    assert_memory_not_equal(hashes[1], one, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_xxh3),
        cmocka_unit_test(each_block_has_the_hash_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
