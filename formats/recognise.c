/* One test for each kind, the strict ones first. A test reads nothing past `len` and asks for
 * enough that another file is taken for its kind by no accident. */
#include "formats/recognise.h"

#include <stdint.h>
#include <string.h>

#include "formats/bytes.h"

static bool is_xtc(const uint8_t *p, size_t len)
{
    if (len < 56)
        return false;
    uint32_t magic = ebb_load32(p, true), atoms = ebb_load32(p + 4, true);
    return (magic == 1995 || magic == 2023) && atoms <= INT32_MAX &&
           ebb_load32(p + 52, true) == atoms;
}

static bool is_trr(const uint8_t *p, size_t len)
{
    return len >= 24 && ebb_load32(p, true) == 1993 && ebb_load32(p + 4, true) == 13 &&
           memcmp(p + 12, "GMX_trn_file", 12) == 0;
}

static bool is_cpt(const uint8_t *p, size_t len)
{
    return len >= 8 && ebb_load32(p, true) == 171817;
}

static bool is_dcd(const uint8_t *p, size_t len)
{
    static const uint8_t little[] = {84, 0, 0, 0}, big[] = {0, 0, 0, 84};
    return len >= 92 && memcmp(p + 4, "CORD", 4) == 0 &&
           ((memcmp(p, little, 4) == 0 && memcmp(p + 88, little, 4) == 0) ||
            (memcmp(p, big, 4) == 0 && memcmp(p + 88, big, 4) == 0));
}

static bool starts_with(const uint8_t *p, size_t len, const char *text)
{
    size_t n = strlen(text);
    return len >= n && memcmp(p, text, n) == 0;
}

static bool is_lammps_text(const uint8_t *p, size_t len)
{
    return starts_with(p, len, "ITEM: TIMESTEP\n") || starts_with(p, len, "ITEM: UNITS\n") ||
           starts_with(p, len, "ITEM: TIME\n");
}

/* -10 and a string of 10 characters (revisions since 2021), or the older shape without either:
 * step, atoms, triclinic, 6 boundary flags. */
static bool is_lammps_binary(const uint8_t *p, size_t len)
{
    if (len < 100)
        return false;
    int64_t first = (int64_t)ebb_load64(p, false);
    if (first < 0)
        return first > -32 && (starts_with(p + 8, len - 8, "DUMPATOM") ||
                               starts_with(p + 8, len - 8, "DUMPCUSTOM"));
    uint64_t atoms = ebb_load64(p + 8, false);
    if (atoms == 0 || atoms >= (uint64_t)1 << 40 || ebb_load32(p + 16, false) > 1)
        return false;
    for (int i = 0; i < 6; i++)
        if (ebb_load32(p + 20 + 4 * i, false) > 3)
            return false;
    for (int k = 0; k < 3; k++)
        if (!(ebb_load_f64(p + 44 + 16 * k, false) < ebb_load_f64(p + 52 + 16 * k, false)))
            return false;
    return true;
}

static bool is_lammps_restart(const uint8_t *p, size_t len)
{
    return starts_with(p, len, "LammpS RestartT");
}

static bool is_safetensors(const uint8_t *p, size_t len)
{
    if (len < 10 || ebb_load64(p, false) > 100000000 || ebb_load64(p, false) < 2)
        return false;
    return p[8] == '{' && (p[9] == '"' || p[9] == '}' || p[9] == ' ' || p[9] == '\n');
}

static bool is_npy(const uint8_t *p, size_t len)
{
    return len >= 10 && memcmp(p, "\x93NUMPY", 6) == 0;
}

/* A zip's first member names the kind: PyTorch writes <name>/data.pkl first, NumPy members *.npy.
 */
static bool zip_member_is(const uint8_t *p, size_t len, const char *ending)
{
    if (len < 30 || memcmp(p, "PK\3\4", 4) != 0)
        return false;
    size_t name = ebb_load16(p + 26, false), n = strlen(ending);
    return name >= n && len - 30 >= name && memcmp(p + 30 + name - n, ending, n) == 0;
}

static bool is_torch(const uint8_t *p, size_t len)
{
    return zip_member_is(p, len, "/data.pkl") || zip_member_is(p, len, "/.format_version") ||
           zip_member_is(p, len, "/byteorder") || zip_member_is(p, len, "/.storage_alignment");
}

static bool is_npz(const uint8_t *p, size_t len)
{
    return zip_member_is(p, len, ".npy");
}

static const struct {
    enum ebb_file_kind kind;
    const char *name;
    bool (*is)(const uint8_t *p, size_t len);
} kinds[EBB_FILE_KINDS] = {
    [EBB_FILE_RAW] = {EBB_FILE_RAW, "raw", NULL},
    [EBB_FILE_XTC] = {EBB_FILE_XTC, "xtc", is_xtc},
    [EBB_FILE_TRR] = {EBB_FILE_TRR, "trr", is_trr},
    [EBB_FILE_CPT] = {EBB_FILE_CPT, "cpt", is_cpt},
    [EBB_FILE_DCD] = {EBB_FILE_DCD, "dcd", is_dcd},
    [EBB_FILE_LAMMPS_DUMP_TEXT] = {EBB_FILE_LAMMPS_DUMP_TEXT, "lammps-dump-text", is_lammps_text},
    [EBB_FILE_LAMMPS_DUMP_BINARY] = {EBB_FILE_LAMMPS_DUMP_BINARY, "lammps-dump-binary",
                                     is_lammps_binary},
    [EBB_FILE_LAMMPS_RESTART] = {EBB_FILE_LAMMPS_RESTART, "lammps-restart", is_lammps_restart},
    [EBB_FILE_SAFETENSORS] = {EBB_FILE_SAFETENSORS, "safetensors", is_safetensors},
    [EBB_FILE_TORCH] = {EBB_FILE_TORCH, "torch", is_torch},
    [EBB_FILE_NPY] = {EBB_FILE_NPY, "npy", is_npy},
    [EBB_FILE_NPZ] = {EBB_FILE_NPZ, "npz", is_npz},
};

enum ebb_file_kind ebb_file_recognise(const void *head, size_t len)
{
    /* The test with the least to go by comes last: a binary dump of the older shape. */
    for (int i = 0; i < EBB_FILE_KINDS; i++)
        if (i != EBB_FILE_LAMMPS_DUMP_BINARY && kinds[i].is != NULL && kinds[i].is(head, len))
            return kinds[i].kind;
    return is_lammps_binary(head, len) ? EBB_FILE_LAMMPS_DUMP_BINARY : EBB_FILE_RAW;
}

const char *ebb_file_kind_name(enum ebb_file_kind kind)
{
    return (unsigned)kind < EBB_FILE_KINDS ? kinds[kind].name : "unknown";
}
