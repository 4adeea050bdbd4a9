/* Reading the logits. */
#include "kernels/fmath.h"
#include "kernels/kernels.h"
#include "model/llama.h"

uint32_t tlep_argmax(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (logits[i] > logits[best]) {
            best = i;
        }
    }
    return best;
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
