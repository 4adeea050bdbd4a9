/* Instructions per multiply-accumulate and per token, and digests that must be the same on every
 * port.
 *
 * Runs bare-metal under QEMU with an instruction clock (-icount shift=0: 1 ns an instruction), and
 * prints by semihosting. On the host it runs without times. firmware/bench/bench_compute.py builds
 * and runs it, and reads what it prints:
 *
 *   kernel TYPE ROWS COLS INSTRUCTIONS DIGEST
 *   model TOKENS FIRST_INSTRUCTIONS LAST_INSTRUCTIONS DIGEST TOKEN...
 *   prefill BATCH INSTRUCTIONS        of a prompt's token, the mean of positions 12 to 15
 *   operator NUMBER INSTRUCTIONS      of the last token, once for each (tlep_operator)
 *
 * The last three kinds come when a GGUF lies at MODEL_ADDRESS. */
#include <stdio.h>
#include <string.h>

#include "../core/kernels/fmath.h"
#include "../core/model/llama.h"
#include "../core/model/profile.h"
#include "../core/platform/hal.h"

#if defined(__arm__)
/* CMSDK timer 0 of mps2-an500: 25 MHz, counts down. */
#define TIMER ((volatile uint32_t *)0x40000000)
#define MODEL_ADDRESS 0x60000000u
static void start_clock(void)
{
    TIMER[2] = 0xFFFFFFFFu;
    TIMER[1] = 0xFFFFFFFFu;
    TIMER[0] = 1;
}
static uint32_t clock_ns(void) { return (0xFFFFFFFFu - TIMER[1]) * 40u; }
#elif defined(__riscv)
/* CLINT mtime of the virt machine: 10 MHz. */
#define MODEL_ADDRESS 0x82000000u
static void start_clock(void) {}
static uint32_t clock_ns(void) { return *(volatile uint32_t *)0x0200BFF8 * 100u; }
#else
#define MODEL_ADDRESS 0u
static void start_clock(void) {}
static uint32_t clock_ns(void) { return 0; }
#endif

enum { MAX_ROWS = 64, MAX_COLS = 1024, STATE_BYTES = 1 << 20, REPEAT = 8, TOKENS = 32, PROMPT = 16 };

static uint8_t weights[MAX_ROWS * MAX_COLS * 4] __attribute__((aligned(32)));
static float x[MAX_COLS];
static float y[MAX_ROWS];
static int16_t q[MAX_COLS] __attribute__((aligned(16)));
static float scale[MAX_COLS / 32];
static int32_t sum[MAX_COLS / 32];
static uint8_t state[STATE_BYTES] __attribute__((aligned(32)));

static uint32_t random_state = 1;
static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* FNV-1a. */
static uint32_t digest(const void *data, uint32_t n, uint32_t hash)
{
    const uint8_t *p = data;
    while (n--) {
        hash = (hash ^ *p++) * 16777619u;
    }
    return hash;
}

/* Random blocks with scales between 2^-7 and 2^-6; F32 and F16 as small normal numbers. `extreme`:
 * every field of a block at its largest, so that a sum that can overflow does. */
static void fill(uint32_t type, uint32_t bytes, bool extreme)
{
    for (uint32_t i = 0; i < bytes; i++) {
        weights[i] = extreme ? 0xFF : (uint8_t)next_random();
    }
    uint32_t step = tlep_type_bytes(type);
    uint32_t at = type == TLEP_TYPE_TQ2_0 ? 64 : 0;
    for (uint32_t i = 0; i + step <= bytes; i += step) {
        if (type == TLEP_TYPE_F32) {
            weights[i + 3] = (uint8_t)(0x3C | (weights[i + 3] & 0x80));
        } else {
            weights[i + at + 1] = (uint8_t)(0x20 | (weights[i + at + 1] & 0x83));
        }
    }
}

static void bench_kernel(const char *name, uint32_t type, uint32_t rows, uint32_t cols,
                         bool extreme)
{
    random_state = 7 + type;
    fill(type, rows * (cols / tlep_type_block(type)) * tlep_type_bytes(type), extreme);
    for (uint32_t i = 0; i < cols; i++) {
        float random = ((float)(int32_t)(next_random() & 0xFFFF) - 32768.0f) / 16384.0f;
        x[i] = !extreme ? random : i < cols / 2 ? 1.0f : -1.0f;
    }
    tlep_act act = {.q = q, .scale = scale, .sum = sum};
    tlep_act_set(&act, x, cols);
    tlep_matvec(y, weights, type, rows, &act); /* quantises the input once, outside the count */
    uint32_t from = clock_ns();
    for (uint32_t i = 0; i < REPEAT; i++) {
        tlep_matvec(y, weights, type, rows, &act);
    }
    uint32_t ns = (clock_ns() - from) / REPEAT;
    printf("kernel %s %u %u %u %08x\n", name, (unsigned)rows, (unsigned)cols, (unsigned)ns,
           (unsigned)digest(y, rows * 4, 2166136261u));
}

/* What the profiled pass reads. */
uint64_t hal_ticks(void)
{
    return clock_ns();
}

/* The token at the last position again, operator by operator. */
static void bench_operators(tlep_llama *m, uint32_t token, uint32_t pos, tlep_arena *arena)
{
    static tlep_profile p;
    tlep_error err;
    uint32_t chosen;
    if (tlep_profile_open(&p, m, false, pos + 1, arena, 1, &err)) {
        printf("error %d %s\n", (int)err.code, err.message);
        return;
    }
    tlep_profiled_step(m, TLEP_IN_PREFILL, &token, pos, 1, true, &chosen);
    for (uint32_t i = 0; i < TLEP_N_OPERATORS; i++) {
        printf("operator %u %u\n", (unsigned)i, (unsigned)p.cells[i].ticks);
    }
}

/* The same tokens as a prompt; the logits after it must be those of one position at a time. */
static void bench_prefill(tlep_llama *m, const uint32_t *tokens, uint32_t expected)
{
    uint32_t from = 0;
    tlep_llama_reset(m);
    for (uint32_t pos = 0; pos < PROMPT; pos += m->batch) {
        from = pos == PROMPT - 4 ? clock_ns() : from;
        tlep_llama_prefill(m, tokens + pos, pos, m->batch);
    }
    uint32_t ns = clock_ns() - from;
    const float *logits = tlep_llama_forward(m, tokens[PROMPT], PROMPT);
    if (digest(logits, m->hp.n_vocab * 4, 2166136261u) != expected) {
        printf("error 0 other logits after a batched prompt\n");
    }
    printf("prefill %u %u\n", (unsigned)m->batch, (unsigned)ns / 4);
}

static void bench_model(const uint8_t *file)
{
    static tlep_gguf g;
    static tlep_llama m;
    tlep_error err;
    tlep_arena arena = {"ram", state, STATE_BYTES, 0, 0};
    /* The loader does not say how long the file is; the parser only needs an upper bound. */
    if (tlep_gguf_open(&g, file, 8u << 20, &err) ||
        tlep_llama_prepare(&m, &g, TOKENS, TLEP_KV_F16, &arena, 1, &err)) {
        printf("error %d %s\n", (int)err.code, err.message);
        return;
    }
    uint32_t hash = 2166136261u;
    uint32_t after_prompt = 0;
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t tokens[TOKENS + 1] = {1};
    for (uint32_t pos = 0; pos < TOKENS; pos++) {
        uint32_t from = clock_ns();
        const float *logits = tlep_llama_forward(&m, tokens[pos], pos);
        last = clock_ns() - from;
        first = pos ? first : last;
        tokens[pos + 1] = tlep_argmax(logits, m.hp.n_vocab);
        hash = digest(logits, m.hp.n_vocab * 4, hash);
        after_prompt = pos == PROMPT ? digest(logits, m.hp.n_vocab * 4, 2166136261u) : after_prompt;
    }
    printf("model %u %u %u %08x", (unsigned)TOKENS, (unsigned)first, (unsigned)last,
           (unsigned)hash);
    for (uint32_t i = 1; i <= TOKENS; i++) {
        printf(" %u", (unsigned)tokens[i]);
    }
    printf("\n");
    bench_prefill(&m, tokens, after_prompt);
    for (uint32_t pos = PROMPT + 1; pos < TOKENS - 1; pos++) {
        (void)tlep_llama_forward(&m, tokens[pos], pos);
    }
    bench_operators(&m, tokens[TOKENS - 1], TOKENS - 1, &arena);
}

int main(void)
{
    start_clock();
    bench_kernel("F32", TLEP_TYPE_F32, 64, 256, false);
    bench_kernel("F16", TLEP_TYPE_F16, 64, 256, false);
    bench_kernel("Q8_0", TLEP_TYPE_Q8_0, 64, 256, false);
    bench_kernel("Q4_0", TLEP_TYPE_Q4_0, 64, 256, false);
    bench_kernel("TQ2_0", TLEP_TYPE_TQ2_0, 64, 256, false);
    bench_kernel("Q8_0", TLEP_TYPE_Q8_0, 33, 64, false);
    bench_kernel("Q4_0", TLEP_TYPE_Q4_0, 33, 64, false);
    bench_kernel("TQ2_0", TLEP_TYPE_TQ2_0, 33, 1024, false);
    bench_kernel("Q8_0", TLEP_TYPE_Q8_0, 2, 512, true);
    bench_kernel("Q4_0", TLEP_TYPE_Q4_0, 2, 512, true);
    bench_kernel("TQ2_0", TLEP_TYPE_TQ2_0, 2, 512, true);
    if (MODEL_ADDRESS) {
        const uint8_t *file = (const uint8_t *)(uintptr_t)MODEL_ADDRESS;
        if (!memcmp(file, "GGUF", 4)) {
            bench_model(file);
        }
    }
    return 0;
}
