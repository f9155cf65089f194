/* What the device kernels move, counted where no GPU is: each load, store and atomic of every
 * thread, by the kernels' own source on the CPU (tests/unit/kernels/device/cpu).
 *
 *     bench_device_moves [TRAJECTORY.f32 ATOMS BOX_NM [FRAME]]
 *
 * Weights of a normal spread; and water, or the frames of a file of raw floats (x, y, z by atom, in
 * a cubic box), of which one from the fifth on is packed and unpacked. For each kernel, for each
 * byte of input: bytes read, those of the sectors (32 bytes) that its launch reads at all, each
 * counted once, and how many times as many sectors its warps ask for as their bytes need (1.00:
 * neighbours in a warp load neighbouring bytes; what is above is the first cache's to give); the
 * same of bytes written; accesses to shared memory, atomics there, atomics in memory. The first
 * line of each has the sums of sectors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/pieces.h"
#include "tests/unit/kernels/device/cpu/watch.h"
#include "tests/unit/kernels/device/memory.h"

#define ELEMENTS (1u << 18)

static uint64_t seed = 88172645463325252u;

static double unit(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void must(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_device_moves: %s\n", ebb_kernels_error(rc));
    exit(1);
}

static void head(void)
{
    printf("%-40s %8s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "", "threads", "read", "once",
           "asked", "written", "once", "asked", "shared", "ats.", "atomics");
}

static double over(uint64_t a, double b)
{
    return b > 0 ? (double)a / b : 0;
}

/* Of everything since ebb_watch_count(1), for `bytes` of input. */
static void report(const char *what, double bytes)
{
    struct ebb_watch_counts c[32];
    const size_t n = ebb_watch_counted(c, 32);
    double read = 0, written = 0;
    for (size_t i = 0; i < n; i++) {
        read += 32 * (double)c[i].read_once;
        written += 32 * (double)c[i].written_once;
    }
    printf("%-40s %8s %7s %7.2f %7s %7s %7.2f   moved for each byte: %.2f\n", what, "", "",
           read / bytes, "", "", written / bytes, (read + written) / bytes);
    for (size_t i = 0; i < n; i++) {
        printf("  %-38s %8llu %7.3f %7.3f %7.2f %7.3f %7.3f %7.2f %7.3f %7.3f %7.4f\n", c[i].kernel,
               (unsigned long long)c[i].threads, over(c[i].read_bytes, bytes),
               over(32 * c[i].read_once, bytes),
               over(32 * c[i].read_sectors, (double)c[i].read_bytes),
               over(c[i].written_bytes, bytes), over(32 * c[i].written_once, bytes),
               over(32 * c[i].write_sectors, (double)c[i].written_bytes),
               over(c[i].shared_accesses, bytes), over(c[i].shared_atomics, bytes),
               over(c[i].atomics, bytes));
    }
    ebb_watch_count(1);
}

static void weights(void)
{
    const size_t bytes = 4 * (size_t)ELEMENTS;
    float *data = device_alloc(bytes), *base = device_alloc(bytes);
    uint8_t *planes = device_alloc(bytes), *hashes = device_alloc(bytes / 4096);
    uint16_t *half = device_alloc(bytes / 2);
    uint64_t *size = device_alloc(8);
    const size_t bound = ebb_kernels_exponents_bound(ELEMENTS, 4, 4),
                 room = ebb_kernels_exponents_workspace(ELEMENTS),
                 frame_bound = ebb_kernels_huffman_bound(ELEMENTS),
                 frame_room = ebb_kernels_huffman_workspace(ELEMENTS);
    void *packed = device_alloc(bound), *workspace = device_alloc(room),
         *frame = device_alloc(frame_bound), *frame_workspace = device_alloc(frame_room);
    for (size_t i = 0; i < ELEMENTS; i++) {
        uint32_t word;
        data[i] = (float)(0.02 * sqrt(-2 * log(1 - unit())) * cos(6.2831853 * unit()));
        base[i] = data[i] * (float)(1 + 1e-4 * unit());
        memcpy(&word, &data[i], sizeof word);
        half[i] = (uint16_t)(word >> 16);
    }
    ebb_watch_count(1);
    must(ebb_kernels_planes_split(data, ELEMENTS, 4, EBB_KERNELS_TURN_ROTATE, planes, ELEMENTS,
                                  NULL));
    report("planes split, f32", (double)bytes);
    must(ebb_kernels_delta_split(data, base, NULL, ELEMENTS, 4, EBB_KERNELS_DELTA_DIFFERENCE,
                                 planes, ELEMENTS, NULL));
    report("difference with planes, f32", (double)bytes);
    for (unsigned stride = 2; stride <= 4; stride += 2) {
        const void *from = stride == 2 ? (const void *)half : data;
        must(ebb_kernels_exponents_pack(from, ELEMENTS, stride, 4, packed, size, workspace, room,
                                        NULL));
        report(stride == 2 ? "exponents packed, bf16, 4 bits" : "exponents packed, f32, 4 bits",
               (double)stride * ELEMENTS);
        printf("  ratio %.3f\n", (double)stride * ELEMENTS / (double)*size);
        void *back = device_alloc(stride * ELEMENTS);
        must(ebb_kernels_exponents_unpack(packed, (size_t)*size, ELEMENTS, stride, 4, back,
                                          workspace, room, NULL));
        report("exponents unpacked", (double)stride * ELEMENTS);
        device_free(back);
    }
    must(ebb_kernels_planes_split(data, ELEMENTS, 4, EBB_KERNELS_TURN_ROTATE, planes, ELEMENTS,
                                  NULL));
    ebb_watch_count(1);
    must(ebb_kernels_huffman_encode(planes + 3 * (size_t)ELEMENTS, ELEMENTS, frame, size,
                                    frame_workspace, frame_room, NULL));
    report("Huffman frames, exponents of f32", ELEMENTS);
    printf("  ratio %.3f\n", (double)ELEMENTS / (double)*size);
    must(ebb_kernels_block_hash(data, bytes, 65536, hashes, NULL));
    report("block hash, 64 KiB", (double)bytes);
    void *all[] = {data, base,   planes,    hashes, half,
                   size, packed, workspace, frame,  frame_workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        device_free(all[i]);
}

/* Frames of a trajectory, or of water that turns and drifts. */
struct frames {
    size_t atoms;
    float *xyz, box[9];
    FILE *file;
    unsigned at;
};

static bool next_frame(struct frames *f)
{
    if (f->file != NULL)
        return fread(f->xyz, 12, f->atoms, f->file) == f->atoms;
    for (size_t i = 0; i < f->atoms / 3; i++) {
        seed = (i + 1) * 0x9e3779b97f4a7c15u;
        double r[8];
        for (unsigned k = 0; k < 8; k++)
            r[k] = (unit(), unit());
        const double t = 1.5 * f->at, angle = 6.28 * r[6] + sin((1 + r[7]) * t), tilt = 3.1 * r[7];
        const double a[3] = {0.0816 * cos(angle), 0.0816 * sin(angle) * cos(tilt),
                             0.0816 * sin(angle) * sin(tilt)};
        const double b[3] = {-0.0577 * sin(angle), 0.0577 * cos(angle) * cos(tilt),
                             0.0577 * cos(angle) * sin(tilt)};
        for (unsigned k = 0; k < 3; k++) {
            const double cell[3] = {(double)(i % 20), (double)(i / 20 % 20), (double)(i / 400)};
            const double at = 0.31 * cell[k] + 0.12 * sin((1 + r[k]) * t + 6 * r[3 + k]);
            f->xyz[9 * i + k] = (float)at;
            f->xyz[9 * i + 3 + k] = (float)(at + a[k] + b[k]);
            f->xyz[9 * i + 6 + k] = (float)(at - a[k] + b[k]);
        }
    }
    f->at++;
    return true;
}

static void trajectory(struct frames *f, unsigned frame_count)
{
    const struct ebb_traj_options o = {.quantum = 0.001, .bit_packed = true, .rigid_only = true};
    struct ebb_error err = {0};
    struct ebb_buffer none = {0};
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(f->atoms, &o, &err);
    const double bytes = 12.0 * (double)f->atoms;
    for (unsigned i = 0; i + 1 < frame_count && enc != NULL; i++) {
        if (!next_frame(f) || ebb_traj_encoder_add(enc, f->xyz, f->box, &none, &err) < 0)
            break;
    }
    if (enc == NULL || !ebb_traj_encoder_takes_pieces(enc) || !next_frame(f)) {
        fprintf(stderr, "bench_device_moves: too few frames, or frames that no group holds\n");
        exit(1);
    }
    struct ebb_kernels_trajectory plan;
    struct ebb_kernels_trajectory_frame frame;
    ebb_traj_encoder_plan(enc, &plan);
    ebb_traj_encoder_next_frame(enc, f->box, &frame);
    const size_t room = ebb_kernels_trajectory_workspace(&plan),
                 state_bytes = ebb_kernels_trajectory_state(&plan);
    void *state = device_alloc(state_bytes),
         *piece = device_alloc(ebb_kernels_trajectory_bound(&plan)),
         *workspace = device_alloc(room), *before = ebb_alloc(state_bytes);
    float *xyz = device_alloc(12 * f->atoms);
    ebb_traj_encoder_state(enc, before);
    memcpy(state, before, state_bytes);
    memcpy(xyz, f->xyz, 12 * f->atoms);
    ebb_watch_count(1);
    must(ebb_kernels_trajectory_pack(&plan, &frame, xyz, state, piece, workspace, room, NULL));
    report("trajectory packed", bytes);
    uint64_t size;
    memcpy(&size, piece, sizeof size);
    printf("  %zu atoms, ratio %.3f\n", f->atoms, bytes / (double)size);
    memcpy(state, before, state_bytes);
    must(ebb_kernels_trajectory_unpack(&plan, &frame, piece, (size_t)size, state, xyz, workspace,
                                       room, NULL));
    report("trajectory unpacked", bytes);
    device_free(state);
    device_free(piece);
    device_free(workspace);
    device_free(xyz);
    free(before);
    ebb_buffer_clean_up(&none);
    ebb_traj_encoder_destroy(enc);
}

int main(int argc, char **argv)
{
    struct frames f = {.atoms = 24000};
    unsigned frame = 6;
    float side = 6.2f;
    if (argc >= 4) {
        f.file = fopen(argv[1], "rb");
        f.atoms = strtoul(argv[2], NULL, 10);
        side = strtof(argv[3], NULL);
        frame = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : frame;
    }
    if (argc == 2 || argc == 3 || (argc >= 4 && (f.file == NULL || f.atoms == 0 || frame < 5))) {
        fprintf(stderr,
                "usage: bench_device_moves [TRAJECTORY.f32 ATOMS BOX_NM [FRAME, from 5]]\n");
        return 2;
    }
    f.box[0] = f.box[4] = f.box[8] = side;
    f.xyz = ebb_alloc_array(3 * f.atoms, sizeof *f.xyz);
    head();
    weights();
    trajectory(&f, frame);
    free(f.xyz);
    if (f.file != NULL)
        fclose(f.file);
    return 0;
}
