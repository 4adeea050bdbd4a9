#include "kernels/fmath.h"

float tlep_logf(float x)
{
    /* x = m · 2^e with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) puts the
     * point where the exponent changes at that value. */
    uint32_t u = tlep_float_bits(x) - 0x3F3504F3u;
    int32_t e = (int32_t)(u >> 23) - (u >> 31 ? 512 : 0);
    float m = tlep_bits_float((u & 0x007FFFFFu) + 0x3F3504F3u);
    float f = m - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = p * f + -1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f + -1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f + -1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f + -2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float n = (float)e;
    float y = (p * f) * z;
    y = y + n * -2.12194440e-4f;
    y = y - 0.5f * z;
    return (f + y) + n * 0.693359375f;
}

void tlep_sincosf(float x, float *sin_x, float *cos_x)
{
    /* x = k · π/2 + r. π/2 is split into three short constants, so that k times each is exact. */
    float shifted = x * 0.636619772367581343f + TLEP_ROUND_MAGIC;
    float k = shifted - TLEP_ROUND_MAGIC;
    float r = ((x - k * 1.5703125f) - k * 4.837512969970703125e-4f) - k * 7.54978995489188216e-8f;
    float z = r * r;
    float s = -1.9515295891e-4f;
    s = s * z + 8.3321608736e-3f;
    s = s * z + -1.6666654611e-1f;
    s = (s * z) * r + r;
    float c = 2.443315711809948e-5f;
    c = c * z + -1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = ((c * z) * z - 0.5f * z) + 1.0f;
    uint32_t quadrant = tlep_float_bits(shifted) & 3u;
    float a = quadrant & 1u ? c : s;
    float b = quadrant & 1u ? s : c;
    *sin_x = quadrant & 2u ? -a : a;
    *cos_x = (quadrant + 1u) & 2u ? -b : b;
}
