#define DID(operator, layer, positions) ((void)0)
#define QUANTIZED(weight, layer, n) ((void)0)
#include "model/pass.h"

bool tlep_llama_prefill(tlep_llama *m, const uint32_t *tokens, uint32_t pos, uint32_t n)
{
    return pass(m, tokens, pos, n);
}

const float *tlep_llama_forward(tlep_llama *m, uint32_t token, uint32_t pos)
{
    return pass(m, &token, pos, 1) ? head(m) : NULL;
}
