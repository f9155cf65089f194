/* Saves the trajectory of an engine whose coordinates stay on the device: the first frames of each
 * group go to the host as floats, all others are packed where they are and cross PCIe in about a
 * quarter of their size. Then reads the file back, by the decoder in plain C and on the device, and
 * checks every coordinate against the bound.
 *
 *     save_trajectory OUT [WATERS [FRAMES]]          2000 waters, 120 frames unless told
 *
 * Built with -DEBB_EXAMPLE_CUDA it runs on a GPU (libebb_kernels.so for the kernels,
 * libebb_kernels.a for the groups); without, the same calls work on host memory
 * (libebb_kernels_cpu.so). OUT holds groups one after another, docs/format-trajectory.md;
 * docs/kernels.md tells how engines give their coordinates. The engine here is a toy: rigid water
 * that librates around lattice sites. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/pieces.h"

#ifdef EBB_EXAMPLE_CUDA
#include <cuda_runtime_api.h>
#endif

#define BOUND_NM 0.0005

static void stop(const char *what)
{
    fprintf(stderr, "save_trajectory: %s\n", what);
    exit(1);
}

static void must(int rc, const struct ebb_error *err)
{
    if (rc < 0)
        stop(err->text);
}

static void must_kernel(int rc)
{
    if (rc != 0)
        stop(ebb_kernels_error(rc));
}

#ifdef EBB_EXAMPLE_CUDA
static void *device_alloc(size_t len)
{
    void *p = NULL;
    if (cudaMalloc(&p, len + 16) != cudaSuccess)
        stop("no memory on the device, or no device");
    return p;
}
static void device_free(void *p)
{
    cudaFree(p);
}
/* To or from the device; waits for what was queued. */
static void copy(void *to, const void *from, size_t len)
{
    if (cudaMemcpy(to, from, len, cudaMemcpyDefault) != cudaSuccess)
        stop("a copy failed");
}
#else
static void *device_alloc(size_t len)
{
    void *p = aligned_alloc(64, (len + 64) / 64 * 64);
    if (p == NULL)
        stop("no memory");
    return p;
}
static void device_free(void *p)
{
    free(p);
}
static void copy(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
}
#endif

/* ---- the engine ---- */

struct engine {
    size_t waters;
    float box[9];
    float *host, *xyz; /* xyz: device memory */
};

static double hashed(uint64_t i) /* 0..1, always the same for i */
{
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return (double)((i ^ i >> 31) >> 11) / 9007199254740992.0;
}

static void engine_step(struct engine *e, unsigned step)
{
    const unsigned side = (unsigned)ceil(cbrt((double)e->waters));
    const double time = 0.03 * step, cell = (double)e->box[0] / side;
    for (size_t i = 0; i < e->waters; i++) {
        double at[3] = {(double)(i % side), (double)(i / side % side), (double)(i / side / side)};
        for (size_t k = 0; k < 3; k++)
            at[k] = (at[k] + 0.3) * cell +
                    0.03 * sin((1 + hashed(8 * i + k)) * time + 6 * hashed(8 * i + 3 + k));
        const double angle = 6 * hashed(8 * i + 6) + 0.2 * sin((2 + hashed(8 * i + 7)) * time);
        const double u[2][3] = {
            {0.0816 * cos(angle), 0.0816 * sin(angle) * 0.6, 0.0816 * sin(angle) * 0.8},
            {0.0577 * sin(angle), -0.0577 * cos(angle) * 0.6, -0.0577 * cos(angle) * 0.8}};
        for (unsigned a = 0; a < 3; a++) {
            const double sign = a == 0 ? 0 : a == 1 ? 1 : -1, along = a == 0 ? 0 : 1;
            for (size_t k = 0; k < 3; k++)
                e->host[9 * i + 3 * a + k] = (float)(at[k] + sign * u[0][k] + along * u[1][k]);
        }
    }
    copy(e->xyz, e->host, 36 * e->waters);
}

/* ---- saving ---- */

struct saver {
    struct ebb_traj_encoder *encoder;
    struct ebb_kernels_trajectory plan;
    void *state, *piece, *workspace; /* device memory for the plan, or NULL */
    size_t workspace_bytes;
    void *host;
};

static void forget_plan(struct saver *s)
{
    device_free(s->state);
    device_free(s->piece);
    device_free(s->workspace);
    free(s->host);
    s->state = s->piece = s->workspace = s->host = NULL;
}

static void take_plan(struct saver *s)
{
    ebb_traj_encoder_plan(s->encoder, &s->plan);
    const size_t state_bytes = ebb_kernels_trajectory_state(&s->plan),
                 bound = ebb_kernels_trajectory_bound(&s->plan);
    s->workspace_bytes = ebb_kernels_trajectory_workspace(&s->plan);
    s->state = device_alloc(state_bytes);
    s->piece = device_alloc(bound);
    s->workspace = device_alloc(s->workspace_bytes);
    s->host = malloc(bound > state_bytes ? bound : state_bytes);
    if (s->host == NULL)
        stop("no memory");
    ebb_traj_encoder_state(s->encoder, s->host);
    copy(s->state, s->host, state_bytes);
}

/* Returns the bytes that crossed from the device to the host. */
static size_t save_frame(struct saver *s, const struct engine *e, float *host,
                         struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    const size_t frame_bytes = 36 * e->waters;
    if (ebb_traj_encoder_takes_pieces(s->encoder)) {
        if (s->state == NULL)
            take_plan(s);
        struct ebb_kernels_trajectory_frame frame;
        uint64_t bytes;
        ebb_traj_encoder_next_frame(s->encoder, e->box, &frame);
        must_kernel(ebb_kernels_trajectory_pack(&s->plan, &frame, e->xyz, s->state, s->piece,
                                                s->workspace, s->workspace_bytes, NULL));
        copy(&bytes, s->piece, sizeof bytes);
        copy(s->host, s->piece, (size_t)bytes);
        int rc = ebb_traj_encoder_add_piece(s->encoder, s->host, (size_t)bytes, e->box, out, &err);
        must(rc, &err);
        if (rc == 0)
            return (size_t)bytes;
    }
    if (s->state != NULL)
        forget_plan(s);
    copy(host, e->xyz, frame_bytes);
    must(ebb_traj_encoder_add(s->encoder, host, e->box, out, &err), &err);
    return frame_bytes;
}

/* ---- reading back ---- */

static double greatest(const float *got, const float *expected, size_t n, double so_far)
{
    for (size_t i = 0; i < n; i++)
        so_far = fmax(so_far, fabs((double)got[i] - (double)expected[i]));
    return so_far;
}

/* A group's frames on the device; the greatest error. */
static double check_group(const uint8_t *group, size_t len, struct engine *e, unsigned first)
{
    struct ebb_error err = {0};
    struct ebb_traj_decoder *decoder = NULL;
    struct ebb_kernels_trajectory plan;
    struct ebb_kernels_trajectory_frame frame;
    struct ebb_buffer piece = {0};
    const size_t n = 9 * e->waters;
    float *xyz = malloc(n * sizeof *xyz);
    must(ebb_traj_decoder_open(group, len, &decoder, &err), &err);
    must(ebb_traj_decoder_plan(decoder, &plan, &err), &err);
    must(xyz == NULL ? -1 : ebb_traj_decoder_next(decoder, xyz, NULL, &err), &err);
    const size_t state_bytes = ebb_kernels_trajectory_state(&plan),
                 workspace_bytes = ebb_kernels_trajectory_workspace(&plan);
    void *state = device_alloc(state_bytes), *workspace = device_alloc(workspace_bytes),
         *in = device_alloc(ebb_kernels_trajectory_bound(&plan)), *host = malloc(state_bytes);
    float *out = device_alloc(n * sizeof *out);
    must(host == NULL ? -1 : ebb_traj_decoder_state(decoder, host, &err), &err);
    copy(state, host, state_bytes);
    engine_step(e, first);
    double error = greatest(xyz, e->host, n, 0);
    int rc;
    while ((rc = ebb_traj_decoder_next_piece(decoder, &piece, &frame, &err)) == 1) {
        copy(in, piece.data, piece.len);
        must_kernel(ebb_kernels_trajectory_unpack(&plan, &frame, in, piece.len, state, out,
                                                  workspace, workspace_bytes, NULL));
        copy(xyz, out, n * sizeof *out);
        engine_step(e, first + frame.before);
        error = greatest(xyz, e->host, n, error);
        ebb_buffer_reset(&piece);
    }
    must(rc, &err);
    device_free(state);
    device_free(workspace);
    device_free(in);
    device_free(out);
    free(host);
    free(xyz);
    ebb_buffer_clean_up(&piece);
    ebb_traj_decoder_destroy(decoder);
    return error;
}

/* The same by the decoder that needs no device. */
static double check_plain(const uint8_t *group, size_t len, struct engine *e, unsigned first)
{
    struct ebb_error err = {0};
    struct ebb_traj_decoder *decoder = NULL;
    float *xyz = malloc(36 * e->waters);
    double error = 0;
    int rc = xyz == NULL ? -1 : ebb_traj_decoder_open(group, len, &decoder, &err);
    must(rc, &err);
    while ((rc = ebb_traj_decoder_next(decoder, xyz, NULL, &err)) == 1) {
        engine_step(e, first++);
        error = greatest(xyz, e->host, 9 * e->waters, error);
    }
    must(rc, &err);
    free(xyz);
    ebb_traj_decoder_destroy(decoder);
    return error;
}

static void check_file(const char *path, struct engine *e, unsigned frames)
{
    struct ebb_error err = {0};
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        stop("the file that was written cannot be read");
    const size_t len = (size_t)ftell(f);
    uint8_t *bytes = malloc(len + 1);
    rewind(f);
    if (bytes == NULL || fread(bytes, 1, len, f) != len)
        stop("the file that was written cannot be read");
    fclose(f);
    double error = 0;
    unsigned frame = 0;
    for (size_t at = 0; at < len;) {
        struct ebb_traj_group_info info;
        must(ebb_traj_group_info(bytes + at, len - at, &info, &err), &err);
        error = fmax(error, check_group(bytes + at, info.bytes, e, frame));
        error = fmax(error, check_plain(bytes + at, info.bytes, e, frame));
        at += info.bytes;
        frame += info.frames;
    }
    free(bytes);
    printf("read back: %u frames, greatest error %.6f nm, bound %.6f nm\n", frame, error, BOUND_NM);
    if (frame != frames || !(error <= BOUND_NM + (double)e->box[0] * 1.2e-7))
        stop("frames are missing, or the bound does not hold");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        stop("usage: save_trajectory OUT [WATERS [FRAMES]]");
    struct engine e = {.waters = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000};
    const unsigned frames = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 120;
    const struct ebb_traj_options options = {
        .quantum = 2 * BOUND_NM, .bit_packed = true, .rigid_only = true};
    struct ebb_error err = {0};
    struct saver s = {.encoder = ebb_traj_encoder_new(3 * e.waters, &options, &err)};
    if (s.encoder == NULL || e.waters == 0)
        stop(e.waters == 0 ? "no waters" : err.text);
    e.box[0] = e.box[4] = e.box[8] = 0.32f * (float)ceil(cbrt((double)e.waters));
    e.host = malloc(36 * e.waters);
    e.xyz = device_alloc(36 * e.waters);
    float *host = malloc(36 * e.waters);
    FILE *f = fopen(argv[1], "wb");
    if (e.host == NULL || host == NULL || f == NULL)
        stop(f == NULL ? "OUT cannot be written" : "no memory");
    struct ebb_buffer out = {0};
    size_t crossed = 0, written = 0;
    for (unsigned i = 0; i < frames; i++) {
        engine_step(&e, i);
        crossed += save_frame(&s, &e, host, &out);
        if (i + 1 == frames)
            must(ebb_traj_encoder_flush(s.encoder, &out, &err), &err);
        written += out.len;
        if (out.len > 0 && fwrite(out.data, 1, out.len, f) != out.len)
            stop("OUT cannot be written");
        ebb_buffer_reset(&out);
    }
    if (fclose(f) != 0)
        stop("OUT cannot be written");
    const double raw = 36.0 * (double)e.waters * frames;
    printf("%zu atoms, %u frames: %.1f MB, of which %.1f MB crossed to the host and %.1f MB were "
           "written: a ratio of %.2f\n",
           3 * e.waters, frames, raw * 1e-6, (double)crossed * 1e-6, (double)written * 1e-6,
           raw / (double)written);
    forget_plan(&s);
    check_file(argv[1], &e, frames);
    ebb_buffer_clean_up(&out);
    ebb_traj_encoder_destroy(s.encoder);
    device_free(e.xyz);
    free(e.host);
    free(host);
    return 0;
}
