/* Which instructions the transforms may use. The reference in plain C is always there; the others
 * give the same bytes. */
#ifndef EBB_KERNELS_CPU_H
#define EBB_KERNELS_CPU_H

enum ebb_cpu_level {
    EBB_CPU_REFERENCE = 0,
    EBB_CPU_AVX2 = 1,   /* with BMI2 */
    EBB_CPU_AVX512 = 2, /* F, BW, DQ, VL, VBMI, VBMI2: Ice Lake, Zen 4 and later */
};

/* What this machine has (found once), but at most the limit. */
enum ebb_cpu_level ebb_cpu_level(void);
/* For tests and benches: not above `level` from now on, in the whole process. */
void ebb_cpu_level_limit(enum ebb_cpu_level level);
const char *ebb_cpu_level_name(enum ebb_cpu_level level);

#if defined(__x86_64__)
#define EBB_TARGET_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#if defined(__clang__)
#define EBB_TARGET_WIDTH "" /* clang knows no such word here, and takes no unknown one */
#else
#define EBB_TARGET_WIDTH ",prefer-vector-width=512"
#endif
#define EBB_TARGET_AVX512                                                                          \
    __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl,"         \
                          "avx512vbmi,avx512vbmi2" EBB_TARGET_WIDTH)))
#endif

#endif
