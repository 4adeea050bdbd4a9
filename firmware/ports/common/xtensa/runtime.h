/* The functions that LLVM calls by these names, for what an Xtensa core has no instruction for. */
#ifndef TLEP_XTENSA_RUNTIME_H
#define TLEP_XTENSA_RUNTIME_H

#include <stdint.h>

float __divsf3(float a, float b);
float sqrtf(float a);
float __floatundisf(uint64_t n);
float __truncdfsf2(double a);

uint64_t __muldi3(uint64_t a, uint64_t b);
uint64_t __udivdi3(uint64_t n, uint64_t d);
uint64_t __umoddi3(uint64_t n, uint64_t d);

#endif
