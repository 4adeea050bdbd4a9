#include "link/cobs.h"

uint32_t tlep_cobs_encode(const uint8_t *from, uint32_t n, uint8_t *to)
{
    uint32_t out = 1, code_at = 0;
    uint8_t code = 1;
    for (uint32_t i = 0; i < n; i++) {
        if (from[i] != 0) {
            to[out++] = from[i];
            code++;
            if (code != 0xFF || i + 1 == n) {
                continue;
            }
        }
        to[code_at] = code;
        code_at = out++;
        code = 1;
    }
    to[code_at] = code;
    return out;
}

uint32_t tlep_cobs_decode(uint8_t *data, uint32_t n)
{
    uint32_t in = 0, out = 0;
    while (in < n) {
        uint8_t code = data[in++];
        if (code == 0 || (uint32_t)(code - 1) > n - in) {
            return 0;
        }
        for (uint8_t i = 1; i < code; i++) {
            if (data[in] == 0) {
                return 0;
            }
            data[out++] = data[in++]; /* out never overtakes in */
        }
        if (code != 0xFF && in < n) {
            data[out++] = 0;
        }
    }
    return out;
}
