/* Where words go among 8 lanes, for machines that cannot expand and compress: by the mask of the
 * lanes, a byte for each. Constants, so that no coder waits for them or shares their making. */
#include "kernels/rans_turn.h"

#if defined(__x86_64__)
#define ABOVE(mask, lane) __builtin_popcount((mask) >> (lane))
#define BELOW(mask, lane) __builtin_popcount((mask) & ((1u << (lane)) - 1))
#define IN(mask, lane)    ((uint64_t)((mask) >> (lane)&1))

#define BY_LANE(of, mask)                                                                          \
    (of(mask, 0) | of(mask, 1) | of(mask, 2) | of(mask, 3) | of(mask, 4) | of(mask, 5) |           \
     of(mask, 6) | of(mask, 7))

/* The lane takes the word of as many lanes as want one below it. */
#define EXPAND(mask, lane) (IN(mask, lane) * (uint64_t)BELOW(mask, lane) << (8 * (lane)))
/* As many lanes as give one from it on up stand between it and the end. */
#define GATHER(mask, lane) (IN(mask, lane) * (lane) << ((64 - 8 * ABOVE(mask, lane)) & 63))

#define FOUR(of, m)    BY_LANE(of, m), BY_LANE(of, (m) + 1), BY_LANE(of, (m) + 2), BY_LANE(of, (m) + 3)
#define SIXTEEN(of, m) FOUR(of, m), FOUR(of, (m) + 4), FOUR(of, (m) + 8), FOUR(of, (m) + 12)
#define SIXTY_FOUR(of, m)                                                                          \
    SIXTEEN(of, m), SIXTEEN(of, (m) + 16), SIXTEEN(of, (m) + 32), SIXTEEN(of, (m) + 48)
#define ALL(of) SIXTY_FOUR(of, 0u), SIXTY_FOUR(of, 64u), SIXTY_FOUR(of, 128u), SIXTY_FOUR(of, 192u)

const uint64_t ebb_rans_turn_expand[256] = {ALL(EXPAND)};
const uint64_t ebb_rans_turn_gather[256] = {ALL(GATHER)};
#else
typedef int ebb_rans_turn_is_scalar_here;
#endif
