/* One body in plain C, compiled for each instruction set and chosen at run time: the bytes are the
 * same by construction, as no flag lets the compiler change the arithmetic.
 *
 *     static inline EBB_BODY void scale_body(float *x, size_t n) { ... }
 *     EBB_LEVELS(scale, (float *x, size_t n), (x, n))      // defines ebb_traj_scale() */
#ifndef EBB_KERNELS_TRAJECTORY_LEVELS_H
#define EBB_KERNELS_TRAJECTORY_LEVELS_H

#include "kernels/cpu.h"

#define EBB_BODY __attribute__((always_inline))

#if defined(__x86_64__)
#define EBB_LEVELS(name, params, args)                                                             \
    static void name##_reference params                                                            \
    {                                                                                              \
        name##_body args;                                                                          \
    }                                                                                              \
    EBB_TARGET_AVX2 static void name##_avx2 params                                                 \
    {                                                                                              \
        name##_body args;                                                                          \
    }                                                                                              \
    EBB_TARGET_AVX512 static void name##_avx512 params                                             \
    {                                                                                              \
        name##_body args;                                                                          \
    }                                                                                              \
    void ebb_traj_##name params                                                                    \
    {                                                                                              \
        enum ebb_cpu_level level = ebb_cpu_level();                                                \
        if (level >= EBB_CPU_AVX512)                                                               \
            name##_avx512 args;                                                                    \
        else if (level >= EBB_CPU_AVX2)                                                            \
            name##_avx2 args;                                                                      \
        else                                                                                       \
            name##_reference args;                                                                 \
    }
#else
#define EBB_LEVELS(name, params, args)                                                             \
    void ebb_traj_##name params                                                                    \
    {                                                                                              \
        name##_body args;                                                                          \
    }
#endif

#endif
