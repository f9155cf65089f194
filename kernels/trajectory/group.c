/* The header of a group. */
#include "kernels/trajectory/group.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#define HASH_AT 40

static const uint8_t magic[4] = {'E', 'B', 'T', 'G'};

static void put(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

uint64_t ebb_traj_header_hash(const uint8_t *group, size_t len)
{
    return XXH3_64bits_withSeed(group + EBB_TRAJ_HEADER_BYTES, len - EBB_TRAJ_HEADER_BYTES,
                                XXH3_64bits(group, HASH_AT));
}

void ebb_traj_header_write(const struct ebb_traj_header *h, uint8_t *group)
{
    uint64_t quantum;
    memcpy(&quantum, &h->info.quantum, sizeof quantum);
    memcpy(group, magic, sizeof magic);
    group[4] = EBB_TRAJ_VERSION;
    group[5] = (uint8_t)h->info.kind;
    group[6] = (uint8_t)h->form;
    group[7] = (uint8_t)h->info.frames;
    put(group + 8, h->info.atoms, 8);
    put(group + 16, h->info.bytes, 8);
    put(group + 24, quantum, 8);
    put(group + 32, h->side_len, 4);
    put(group + 36, h->side_packed, 4);
    put(group + HASH_AT, ebb_traj_header_hash(group, h->info.bytes), 8);
}

static int check(const struct ebb_traj_header *h, size_t len, struct ebb_error *err)
{
    const struct ebb_traj_group_info *i = &h->info;
    if (i->bytes < EBB_TRAJ_HEADER_BYTES || i->bytes > len)
        return ebb_error_set(
            err, EBB_ERR_CORRUPT,
            "trajectory group: it says that it has %zu bytes, of which %zu are there", i->bytes,
            len);
    if (i->frames < 1 || i->frames > EBB_TRAJ_GROUP_FRAMES_MAX || i->kind > EBB_TRAJ_F64 ||
        i->atoms > EBB_TRAJ_ATOMS_MAX || i->atoms / EBB_TRAJ_ATOMS_PER_BYTE > i->bytes ||
        !(i->quantum > 0) || !isfinite(i->quantum))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "trajectory group: its header is damaged");
    if (h->side_packed > i->bytes - EBB_TRAJ_HEADER_BYTES || h->side_packed > h->side_len ||
        h->side_len > (1u << 20) + 64 * (uint64_t)h->side_packed)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "trajectory group: its side information is longer than itself");
    return 0;
}

int ebb_traj_header_read(const uint8_t *bytes, size_t len, struct ebb_traj_header *ret,
                         struct ebb_error *err)
{
    if (len < EBB_TRAJ_HEADER_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "not a trajectory group");
    if (bytes[4] != EBB_TRAJ_VERSION || bytes[6] > EBB_TRAJ_FORM_CONTEXTS)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "trajectory group of version %u, form %u; this program reads version "
                             "%d, forms to %d",
                             bytes[4], bytes[6], EBB_TRAJ_VERSION, EBB_TRAJ_FORM_CONTEXTS);
    struct ebb_traj_header h = {
        .info = {.bytes = (size_t)get(bytes + 16, 8),
                 .atoms = (size_t)get(bytes + 8, 8),
                 .frames = bytes[7],
                 .kind = (enum ebb_traj_kind)bytes[5],
                 .bit_packed = bytes[6] == EBB_TRAJ_FORM_BLOCKS || bytes[6] == EBB_TRAJ_FORM_TILES},
        .form = (enum ebb_traj_form)bytes[6],
        .side_len = (uint32_t)get(bytes + 32, 4),
        .side_packed = (uint32_t)get(bytes + 36, 4),
        .hash = get(bytes + HASH_AT, 8),
    };
    uint64_t quantum = get(bytes + 24, 8);
    memcpy(&h.info.quantum, &quantum, sizeof quantum);
    int rc = check(&h, len, err);
    if (rc == 0)
        *ret = h;
    return rc;
}

int ebb_traj_group_info(const uint8_t *bytes, size_t len, struct ebb_traj_group_info *ret,
                        struct ebb_error *err)
{
    struct ebb_traj_header h;
    int rc = ebb_traj_header_read(bytes, len, &h, err);
    if (rc == 0)
        *ret = h.info;
    return rc;
}
