#include "platform/sha256.h"

#include <stddef.h>
#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, uint32_t n)
{
    return (x >> n) | (x << (32 - n));
}

static inline void one_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f,
                             uint32_t g, uint32_t *h, uint32_t word)
{
    uint32_t t1 = *h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + word;
    *d += t1;
    *h = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    for (uint32_t i = 0; i < 16; i++) {
        const uint8_t *p = block + (size_t)4 * i;
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (uint32_t i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t s[8];
    memcpy(s, state, sizeof s);
    for (uint32_t i = 0; i < 64; i += 8) {
        const uint32_t *k = round_constants + i;
        const uint32_t *v = w + i;
        /* The words move on by one each round: their names do it, and eight rounds later all are
         * back. */
        one_round(s[0], s[1], s[2], &s[3], s[4], s[5], s[6], &s[7], k[0] + v[0]);
        one_round(s[7], s[0], s[1], &s[2], s[3], s[4], s[5], &s[6], k[1] + v[1]);
        one_round(s[6], s[7], s[0], &s[1], s[2], s[3], s[4], &s[5], k[2] + v[2]);
        one_round(s[5], s[6], s[7], &s[0], s[1], s[2], s[3], &s[4], k[3] + v[3]);
        one_round(s[4], s[5], s[6], &s[7], s[0], s[1], s[2], &s[3], k[4] + v[4]);
        one_round(s[3], s[4], s[5], &s[6], s[7], s[0], s[1], &s[2], k[5] + v[5]);
        one_round(s[2], s[3], s[4], &s[5], s[6], s[7], s[0], &s[1], k[6] + v[6]);
        one_round(s[1], s[2], s[3], &s[4], s[5], s[6], s[7], &s[0], k[7] + v[7]);
    }
    for (uint32_t i = 0; i < 8; i++) {
        state[i] += s[i];
    }
}

void tlep_sha256_start(tlep_sha256_pieces *pieces)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(pieces->state, start, sizeof start);
    pieces->bytes = 0;
}

void tlep_sha256_blocks(tlep_sha256_pieces *pieces, const uint8_t *data, uint32_t n_blocks)
{
    for (uint32_t i = 0; i < n_blocks; i++) {
        compress(pieces->state, data + (size_t)TLEP_SHA256_BLOCK_BYTES * i);
    }
    pieces->bytes += TLEP_SHA256_BLOCK_BYTES * n_blocks;
}

void tlep_sha256_end(tlep_sha256_pieces *pieces, const uint8_t *rest, uint32_t bytes,
                     uint8_t digest[TLEP_SHA256_BYTES])
{
    uint8_t tail[2 * TLEP_SHA256_BLOCK_BYTES] = {0};
    uint32_t tail_bytes = bytes < 56 ? TLEP_SHA256_BLOCK_BYTES : 2 * TLEP_SHA256_BLOCK_BYTES;
    uint64_t bits = ((uint64_t)pieces->bytes + bytes) * 8;
    memcpy(tail, rest, bytes);
    tail[bytes] = 0x80;
    for (uint32_t i = 0; i < 8; i++) {
        tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    tlep_sha256_blocks(pieces, tail, tail_bytes / TLEP_SHA256_BLOCK_BYTES);
    for (uint32_t i = 0; i < TLEP_SHA256_BYTES; i++) {
        digest[i] = (uint8_t)(pieces->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void tlep_sha256(const uint8_t *data, uint32_t bytes, uint8_t digest[TLEP_SHA256_BYTES])
{
    tlep_sha256_pieces pieces;
    uint32_t n_blocks = bytes / TLEP_SHA256_BLOCK_BYTES;
    tlep_sha256_start(&pieces);
    tlep_sha256_blocks(&pieces, data, n_blocks);
    tlep_sha256_end(&pieces, data + pieces.bytes, bytes - pieces.bytes, digest);
}
