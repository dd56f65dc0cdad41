/* A vector of LMM_LANES doubles that the compiler maps to whatever the machine has.
 *
 * The kernels put independent things (groups, or partial sums) side by side in the lanes, so
 * no sum of user data is reordered by the compiler: no -ffast-math is needed or used.
 * A compiler without vector extensions gets one lane and the same source, as does -DLMM_SCALAR.
 *
 * LMM_CLONED marks a function to be compiled for several x86-64 levels; the loader picks one. Sanitizers
 * cannot run in the code that picks, so a build with them (LMMCORE_SANITIZE) has one level.
 */
#ifndef LMMCORE_SIMD_H
#define LMMCORE_SIMD_H

#if defined(__GNUC__) && !defined(LMM_SCALAR)
typedef double lmm_vec __attribute__((vector_size(64), aligned(8), may_alias));
#define LMM_LANES 8
#else
typedef double lmm_vec;
#define LMM_LANES 1
#endif

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) \
    && defined(__GLIBC__) && !defined(LMMCORE_SANITIZE)
#define LMM_CLONED \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) int
#else
#define LMM_CLONED int
#endif

#endif
