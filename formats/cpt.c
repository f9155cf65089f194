/* GROMACS checkpoints: where positions and velocities lie. All numbers are big-endian; a string is
 * its length and its characters, padded to 4. From GROMACS 2018 (version 17) on:
 *
 *     171817 | 6 strings | version | double precision | host string | atoms | coupling groups |
 *     thermostat chains | barostat chains | lambdas | integrator | part | step i64 | t f64 |
 *     ranks | grid 3 | PME ranks | state flags | kinetic, energy, lambda flags | ED sets | swap |
 *     AWH flags | (version 18: pull flags) | (version 22: modular simulator)
 *     for each bit of the state flags: count | type (0 i32, 1 f32, 2 f64) | numbers
 *
 * Bits 7 and 8 of the state are x and v. What follows the state is left as plain bytes. */
#include "formats/bytes.h"
#include "formats/scanners.h"

enum { FIRST_VERSION = 17, PULL_VERSION = 18, MODULAR_VERSION = 22, LAST_VERSION = 23 };
enum { STATE_ENTRIES = 29, STATE_X = 7, STATE_V = 8, STATE_CGP = 10 };
enum { MAX_STRING = 4096 };

struct walk {
    const struct ebb_random_source *source;
    uint64_t at;
    int rc; /* the source's failure */
    bool ended;
    struct ebb_error *err;
};

static bool walk_bytes(struct walk *w, void *buf, size_t len)
{
    if (w->ended || len > w->source->size - w->at) {
        w->ended = true;
        return false;
    }
    w->rc = w->source->read_at(w->source->ctx, w->at, buf, len, w->err);
    w->ended = w->rc < 0;
    w->at += len;
    return !w->ended;
}

static uint32_t walk_int(struct walk *w)
{
    uint8_t bytes[4];
    return walk_bytes(w, bytes, sizeof bytes) ? ebb_load32(bytes, true) : 0;
}

static void walk_skip(struct walk *w, uint64_t len)
{
    if (w->ended || len > w->source->size - w->at)
        w->ended = true;
    else
        w->at += len;
}

static void walk_string(struct walk *w)
{
    uint32_t len = walk_int(w);
    w->ended |= len > MAX_STRING;
    walk_skip(w, (len + 3) & ~3u);
}

static uint64_t walk_long(struct walk *w)
{
    uint64_t high = walk_int(w);
    return high << 32 | walk_int(w);
}

/* Up to the state: its flags, the number of atoms, the step. False when this is no version known.
 */
static bool walk_header(struct walk *w, uint32_t *ret_flags, uint32_t *ret_atoms, int64_t *ret_step)
{
    if (walk_int(w) != 171817)
        return false;
    for (int i = 0; i < 6; i++)
        walk_string(w);
    uint32_t version = walk_int(w);
    if (version < FIRST_VERSION || version > LAST_VERSION)
        return false;
    walk_skip(w, 4);
    walk_string(w);
    *ret_atoms = walk_int(w);
    walk_skip(w, 6 * 4);
    *ret_step = (int64_t)walk_long(w);
    walk_skip(w, 8 + 5 * 4);
    *ret_flags = walk_int(w);
    walk_skip(w, 6 * 4 + (version >= PULL_VERSION ? 4 : 0) + (version >= MODULAR_VERSION ? 4 : 0));
    return !w->ended;
}

static const char *entry_name(int entry)
{
    return entry == STATE_X ? "x" : entry == STATE_V ? "v" : entry == STATE_CGP ? "cg_p" : "state";
}

/* One entry of the state; one that is not known ends the walk. */
static int scan_entry(struct walk *w, int entry, uint32_t atoms, int64_t step, ebb_range_fn *found,
                      void *ctx)
{
    uint32_t count = walk_int(w), type = walk_int(w);
    uint64_t len = (uint64_t)count * (type == 2 ? 8 : 4);
    w->ended = w->ended || type > 2 || len > w->source->size - w->at;
    if (w->ended)
        return w->rc;
    bool atomic = entry == STATE_X || entry == STATE_V || entry == STATE_CGP;
    struct ebb_range range = {
        .offset = w->at,
        .len = len,
        .dtype = type == 2 ? EBB_DTYPE_F64 : EBB_DTYPE_F32,
        .big_endian = true,
        .rows = atoms,
        .columns = 3,
        .role = entry == STATE_X   ? EBB_ROLE_X
                : entry == STATE_V ? EBB_ROLE_V
                                   : EBB_ROLE_TENSOR,
        .step = step,
        .name = entry_name(entry),
    };
    w->at += len;
    if (!atomic || type == 0 || count == 0 || count != 3 * (uint64_t)atoms)
        return 0;
    return found(ctx, &range, w->err);
}

int ebb_cpt_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                 struct ebb_error *err)
{
    struct walk w = {.source = source, .err = err};
    uint32_t flags = 0, atoms = 0;
    int64_t step = 0;
    if (!walk_header(&w, &flags, &atoms, &step))
        return w.rc;
    for (int entry = 0; entry < STATE_ENTRIES && !w.ended; entry++) {
        if ((flags >> entry & 1) == 0)
            continue;
        int rc = scan_entry(&w, entry, atoms, step, found, ctx);
        if (rc != 0)
            return rc;
    }
    return w.rc;
}
