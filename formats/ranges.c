/* The scanner of each kind, and what every range must be before a packer sees it. */
#include "formats/ranges.h"

#include "formats/scanners.h"

static ebb_scanner_fn *const scanners[EBB_FILE_KINDS] = {
    [EBB_FILE_TRR] = ebb_trr_scan,
    [EBB_FILE_CPT] = ebb_cpt_scan,
    [EBB_FILE_DCD] = ebb_dcd_scan,
    [EBB_FILE_LAMMPS_DUMP_BINARY] = ebb_lammps_binary_scan,
    [EBB_FILE_LAMMPS_RESTART] = ebb_lammps_restart_scan,
    [EBB_FILE_SAFETENSORS] = ebb_safetensors_scan,
    [EBB_FILE_TORCH] = ebb_torch_scan,
    [EBB_FILE_NPY] = ebb_npy_scan,
    [EBB_FILE_NPZ] = ebb_npz_scan,
};

bool ebb_file_kind_has_ranges(enum ebb_file_kind kind)
{
    return (unsigned)kind < EBB_FILE_KINDS && scanners[kind] != NULL;
}

const char *ebb_range_role_name(enum ebb_range_role role)
{
    static const char *const names[EBB_ROLES] = {
        [EBB_ROLE_TENSOR] = "tensor",
        [EBB_ROLE_X] = "positions",
        [EBB_ROLE_V] = "velocities",
        [EBB_ROLE_F] = "forces",
        [EBB_ROLE_FRAME] = "frames",
        [EBB_ROLE_BOX] = "box",
        [EBB_ROLE_FIRST_MOMENT] = "first-moment",
        [EBB_ROLE_SECOND_MOMENT] = "second-moment",
    };
    return (unsigned)role < EBB_ROLES ? names[role] : "unknown";
}

/* Between scanner and caller: lets ranges through that keep the promises of ranges.h. */
struct gate {
    uint64_t size; /* of the file */
    uint64_t end;  /* of the range before */
    ebb_range_fn *found;
    void *ctx;
};

static bool is_sound(const struct gate *g, const struct ebb_range *r)
{
    uint64_t numbers, bytes;
    if (!ebb_dtype_known((int)r->dtype) || __builtin_mul_overflow(r->rows, r->columns, &numbers) ||
        __builtin_mul_overflow(numbers, (uint64_t)ebb_dtype_size(r->dtype), &bytes))
        return false;
    return bytes == r->len && r->len > 0 && r->offset >= g->end && r->offset <= g->size &&
           r->len <= g->size - r->offset;
}

static int pass_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    struct gate *g = ctx;
    if (!is_sound(g, range))
        return 0;
    g->end = range->offset + range->len;
    return g->found(g->ctx, range, err);
}

int ebb_ranges_scan(enum ebb_file_kind kind, const struct ebb_random_source *source,
                    ebb_range_fn *found, void *ctx, struct ebb_error *err)
{
    if (!ebb_file_kind_has_ranges(kind))
        return 0;
    struct gate g = {.size = source->size, .found = found, .ctx = ctx};
    return scanners[kind](source, pass_range, &g, err);
}
