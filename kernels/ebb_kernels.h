/* The kernels as a library of their own: for engines, PyTorch extensions, and whoever has arrays in
 * device memory and wants them small before they cross to the host. This header stands alone.
 *
 * Every function queues work on `stream` (a cudaStream_t; NULL: the default stream) and returns at
 * once: it allocates nothing, waits for nothing and keeps nothing. It may be called from any
 * thread, on whatever device is current. Pointers are device memory (or managed, or pinned and
 * mapped) unless they say host. Results that are numbers are written to device memory too, in order
 * with the stream.
 *
 * - workspace: what a function needs besides its input and output, at least as many bytes as the
 *   function's ..._workspace says, the same for any content. What is in it is of no use afterwards,
 *   and need not be cleared before; calls that may run at the same time (on different streams) need
 *   one each. The library for the CPU asks for 0 bytes.
 * - returned: 0; EBB_KERNELS_MISUSE (an argument that the comment excludes: nothing was queued); or
 *   the negative of the cudaError_t that the launch met. What fails on the device later is told by
 *   the stream, as with any kernel.
 * - alignment: arrays, planes, packed arrays and workspaces begin at a multiple of 16 bytes, as
 *   cudaMalloc and PyTorch give them; views that do not, or that have gaps, are made so by
 *   ebb_kernels_snapshot_rows. Sizes are any: ends are done byte by byte.
 * - sizes: in elements or bytes, 64 bits. Arrays of more than 2^31 elements are done in one call,
 * up to 2^41 bytes. An array of 0 elements may be NULL.
 * - overlap: outputs overlap neither inputs nor one another unless the comment says so.
 * - elements: little-endian bit patterns. Nothing is computed in floating point but trajectories,
 * so that NaN payloads, denormals and signed zeros come back.
 *
 * The bytes are those of the C references (kernels/planes.h, delta.h, exponents.h, huffman.h,
 * block_hash.h, trajectory/), on every input and every device: a CPU can read what a GPU wrote. */
#ifndef EBB_KERNELS_H
#define EBB_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EBB_KERNELS_MISUSE (-1000)

/* The version of this interface; it rises when a function changes. */
#define EBB_KERNELS_VERSION 2
int ebb_kernels_version(void);
/* A sentence for what a function returned. Static. */
const char *ebb_kernels_error(int rc);

/* Copies device memory to device memory, so that training goes on while the copy is packed. Aligned
 * to nothing. */
int ebb_kernels_snapshot(void *to, const void *from, size_t len, void *stream);
/* `rows` rows of row_bytes, from_pitch bytes apart, to rows to_pitch bytes apart: a slice of a
 * tensor, or one that is not aligned, made contiguous (to_pitch = row_bytes) before it is split or
 * packed, and put back after it was merged. Pitches are at least row_bytes; aligned to nothing. */
int ebb_kernels_snapshot_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t row_bytes, size_t rows, void *stream);

/* ---- byte planes: element i's byte p goes to planes[p * pitch + i] ---- */
enum {
    EBB_KERNELS_TURN_NONE = 0,
    EBB_KERNELS_TURN_ROTATE = 1, /* a float's sign goes to bit 0: the last plane is its exponent */
    EBB_KERNELS_TURN_ZIGZAG = 2,
};
/* data[elements * stride] to planes[stride * pitch] and back. stride: bytes of an element, 2 or 4
 * (doubles and pairs: as twice as many of 4). pitch: bytes from plane to plane, at least
 * `elements`, a multiple of 16; what lies between `elements` and pitch is left as it is. */
int ebb_kernels_planes_split(const void *data, size_t elements, unsigned stride, int turn,
                             void *planes, size_t pitch, void *stream);
int ebb_kernels_planes_merge(const void *planes, size_t pitch, size_t elements, unsigned stride,
                             int turn, void *data, void *stream);

/* ---- planes of the difference against a base of the same shape ---- */
enum {
    EBB_KERNELS_DELTA_XOR = 0,
    EBB_KERNELS_DELTA_DIFFERENCE = 1, /* of the floats' order, zigzag */
};
/* data, base: elements * stride bytes each; planes as above. refresh: NULL, or where the data is
 * copied on the way; it may be `base` itself, which then is the base of the next call. Merging may
 * write to `base`. */
int ebb_kernels_delta_split(const void *data, const void *base, void *refresh, size_t elements,
                            unsigned stride, int delta, void *planes, size_t pitch, void *stream);
int ebb_kernels_delta_merge(const void *planes, size_t pitch, const void *base, size_t elements,
                            unsigned stride, int delta, void *data, void *stream);

/* ---- exponents in 2 to 7 bits each, without an entropy coder ----
 * For speed where 1.33 of bf16 or 1.14 of f32 will do: 4 bits suit weights; an exponent farther
 * than 2^bits - 2 below its block's largest takes 8 bits more. */
size_t ebb_kernels_exponents_bound(size_t elements, unsigned stride, unsigned bits);
size_t ebb_kernels_exponents_workspace(size_t elements);
/* out[ebb_kernels_exponents_bound(...)]; *ret_bytes: what it takes, 0 when it cannot be told (more
 * than 2^32 - 1 escapes). stride: 2 for bf16, 4 for f32. */
int ebb_kernels_exponents_pack(const void *data, size_t elements, unsigned stride, unsigned bits,
                               void *out, uint64_t *ret_bytes, void *workspace,
                               size_t workspace_bytes, void *stream);
/* packed[packed_bytes] as it was packed, with the same `elements`, `stride` and `bits`: its
 * checksum is the caller's to compare. Damaged bytes give other data, never an access outside the
 * arrays. */
int ebb_kernels_exponents_unpack(const void *packed, size_t packed_bytes, size_t elements,
                                 unsigned stride, unsigned bits, void *data, void *workspace,
                                 size_t workspace_bytes, void *stream);

/* ---- Huffman literals as one standard zstd frame, which any zstd decodes ---- */
size_t ebb_kernels_huffman_bound(size_t len);
size_t ebb_kernels_huffman_workspace(size_t len); /* about 1.01 len */
/* data[len] to out[ebb_kernels_huffman_bound(len)], which is aligned to nothing; *ret_bytes (device
 * memory, aligned to 8): what the frame takes. The frame tells its content's size; it has no
 * checksum. For a plane of exponents 0.33 of it, for a plane of mantissas as much as it is and 3
 * bytes for each 128 KiB. */
int ebb_kernels_huffman_encode(const void *data, size_t len, void *out, uint64_t *ret_bytes,
                               void *workspace, size_t workspace_bytes, void *stream);

/* ---- XXH3-128 of each block ---- */
/* data[len] to hashes[16 * ceil(len / block_bytes)], canonical byte order, aligned to nothing: what
 * xxh128sum prints of each block. block_bytes: a multiple of 16 (64 KiB suits; each takes a warp);
 * the last block may be shorter. For "unchanged since": not against an adversary. */
int ebb_kernels_block_hash(const void *data, size_t len, size_t block_bytes, void *hashes,
                           void *stream);

/* ---- frames of a trajectory, bit-packed ----
 *
 * A group of the trajectory codec (kernels/trajectory/trajectory.h) begins on the host: the first
 * frames tell which atoms are rigid water, and how far the past tells the future. From then on each
 * frame is quantised, predicted and packed where it lies, into a piece; the host puts pieces into
 * the group, which is an ordinary one that any decoder reads. Unpacking is the same backwards. What
 * is struct or number here is the host's, and comes from kernels/trajectory/pieces.h:
 *
 *     encoder: first frames      --> plan, state --> ebb_kernels_trajectory_pack   --> pieces
 *     decoder: group's key frame --> plan, state --> ebb_kernels_trajectory_unpack <-- pieces
 */
#define EBB_KERNELS_TRAJECTORY_PARTS 16

/* Atoms that one model predicts: free ones, one by one, or rigid molecules of three sites, or of
 * four of which the last is virtual. Lengths in units of the lattice. */
struct ebb_kernels_trajectory_part {
    uint32_t sites;             /* free atoms or molecules */
    uint32_t atoms_each;        /* 1, 3 or 4 */
    float a2, b2, ab;           /* second and third site seen from the first: |a|^2, |b|^2, a.b */
    float virtual_a, virtual_b; /* the fourth */
};

/* Valid for the frames of one group. */
struct ebb_kernels_trajectory {
    uint64_t atoms; /* the parts have each of them once */
    double quantum; /* lattice spacing, in the coordinates' unit: twice the bound of the error */
    uint32_t parts;
    struct ebb_kernels_trajectory_part part[EBB_KERNELS_TRAJECTORY_PARTS];
};

/* What is told of each frame. */
struct ebb_kernels_trajectory_frame {
    uint32_t before; /* frames of the group before this one, at least 1 */
    uint32_t inside; /* 1: coordinates are kept inside the box */
    float box[9];    /* rows, in the coordinates' unit; zeros: none */
    uint32_t stride; /* floats from an atom's x to the next atom's: 3 or more (4: float4); 0: 3 */
    struct {
        int8_t last, mean;      /* in 1/64 */
        uint8_t sphere, circle; /* in 1/128 */
    } weights[EBB_KERNELS_TRAJECTORY_PARTS];
};

/* Bytes of the state, which the host fills and the caller copies to the device before the first
 * frame of a group; each pack and unpack moves it on by a frame. */
size_t ebb_kernels_trajectory_state(const struct ebb_kernels_trajectory *plan);
size_t ebb_kernels_trajectory_workspace(const struct ebb_kernels_trajectory *plan);
/* Room for a piece, whatever the frame: about 1.1 times the frame. */
size_t ebb_kernels_trajectory_bound(const struct ebb_kernels_trajectory *plan);
/* xyz: x, y, z by atom, in the unit of plan->quantum, frame->stride floats from atom to atom,
 * aligned to 4 bytes; in one order of atoms for the whole run. Each comes back within quantum / 2
 * and an ulp; NaN, infinities and what is 2^29 quanta away or more as it is. state: as the host
 * filled it for the group's first frame, moved on by each call since. piece[..._bound(plan)]; its
 * first 8 bytes tell (uint64_t) how many bytes it has, its header included: so many are the host's
 * to copy. The numbers of a piece do not depend on the device, the order of its corrections may.
 * More corrections than a piece has room for (an eighth of the atoms) make it void: the host
 * refuses it, and takes the frame's floats as the first of a new group; the state is then of no
 * use. */
int ebb_kernels_trajectory_pack(const struct ebb_kernels_trajectory *plan,
                                const struct ebb_kernels_trajectory_frame *frame, const float *xyz,
                                void *state, void *piece, void *workspace, size_t workspace_bytes,
                                void *stream);
/* piece[piece_bytes] as a decoder made it (ebb_traj_decoder_next_piece), in device memory. xyz as
 * above; between an atom's z and the next one's x nothing is written. Damaged bytes give other
 * coordinates, never an access outside the arrays. */
int ebb_kernels_trajectory_unpack(const struct ebb_kernels_trajectory *plan,
                                  const struct ebb_kernels_trajectory_frame *frame,
                                  const void *piece, size_t piece_bytes, void *state, float *xyz,
                                  void *workspace, size_t workspace_bytes, void *stream);

#ifdef __cplusplus
}
#endif

#endif
