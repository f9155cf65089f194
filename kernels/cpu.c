/* Detection of the instruction set, once, and its limit for tests. */
#include "kernels/cpu.h"

#include <stdatomic.h>

static atomic_int limit = EBB_CPU_AVX512;
static atomic_int found = -1;

static int detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2"))
        return EBB_CPU_REFERENCE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
        return EBB_CPU_AVX512;
    return EBB_CPU_AVX2;
#else
    return EBB_CPU_REFERENCE;
#endif
}

enum ebb_cpu_level ebb_cpu_level(void)
{
    int level = atomic_load_explicit(&found, memory_order_relaxed);
    if (level < 0) {
        level = detect();
        atomic_store_explicit(&found, level, memory_order_relaxed);
    }
    int most = atomic_load_explicit(&limit, memory_order_relaxed);
    return (enum ebb_cpu_level)(level < most ? level : most);
}

void ebb_cpu_level_limit(enum ebb_cpu_level level)
{
    atomic_store_explicit(&limit, (int)level, memory_order_relaxed);
}

const char *ebb_cpu_level_name(enum ebb_cpu_level level)
{
    static const char *const names[] = {"reference", "AVX2", "AVX-512"};
    return names[level];
}
