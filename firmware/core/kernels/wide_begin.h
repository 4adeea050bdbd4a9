/* From here to wide_end.h the compiler may use AVX2 and F16C, but no FMA. By pragmas and not by
 * flags for a file, so that whoever compiles the core compiles all files alike. */
#include "kernels/wide.h"

#ifdef TLEP_WIDE_AVX2
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,f16c")
#endif
#define TLEP_WIDE_TARGET 1
#include "kernels/lanes.h"
#include "kernels/wide_avx2.h"
#endif

#ifdef TLEP_WIDE_NEON
#include "kernels/lanes.h"
#include "kernels/wide_neon.h"
#endif
