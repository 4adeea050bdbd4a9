/* Reading the logits. */
#include "kernels/fmath.h"
#include "kernels/kernels.h"
#include "model/llama.h"

uint32_t tlep_argmax(const float *logits, uint32_t n)
{
    const float *best = logits;
    float most = *best;
    for (const float *p = logits + 1; p < logits + n; p++) {
        if (*p > most) {
            best = p;
            most = *p;
        }
    }
    return (uint32_t)(best - logits);
}

float tlep_log_softmax(const float *logits, uint32_t n, uint32_t target)
{
    /* The sum of eight strided lanes, as tlep_sum would do it, without a buffer for the
     * exponentials. */
    float largest = logits[tlep_argmax(logits, n)];
    float lanes[8] = {0};
    for (uint32_t i = 0; i < n; i++) {
        lanes[i % 8] += tlep_expf(logits[i] - largest);
    }
    return (logits[target] - largest) - tlep_logf(tlep_sum(lanes, 8));
}
