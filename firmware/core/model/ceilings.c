#include "model/ceilings.h"

#include "kernels/kernels.h"
#include "model/gguf.h"
#include "platform/timer.h"

/* Long rows, and as many as fit, so that what a row and a call cost beside the products vanishes. */
enum { COLS = 512, WEIGHT_BYTES = 8192, ROWS_MAX = 64, REPEATS = 4, ALIGN = 32 };

static uint32_t sum_words(const uint8_t *from, uint32_t bytes)
{
    const uint32_t *at = (const uint32_t *)(const void *)from;
    const uint32_t *end = at + bytes / sizeof *at;
    uint32_t sum = 0;
    for (; at != end; at += 8) {
        sum += ((at[0] + at[1]) + (at[2] + at[3])) + ((at[4] + at[5]) + (at[6] + at[7]));
    }
    return sum;
}

static uint64_t timed_sum(const uint8_t *from, uint32_t bytes)
{
    uint64_t before = tlep_begin_window();
    uint32_t sum = sum_words(from, bytes);
    __asm__ volatile("" : : "r"(sum)); /* a sum that nobody wants is not computed */
    return hal_ticks() - before;
}

tlep_read_speed tlep_measure_read(const uint8_t *from, uint32_t bytes)
{
    tlep_read_speed speed;
    speed.first_ticks = timed_sum(from, bytes);
    speed.again_ticks = timed_sum(from, bytes);
    return speed;
}

typedef struct {
    float x[COLS];
    float y[ROWS_MAX];
    float scale[COLS / 32];
    int32_t sum[COLS / 32];
    int16_t q[COLS];
    uint8_t weights[];
} bench;

/* Weights as a model has them: a core without an FPU takes longer for some numbers than for
 * others. */
static void fill(bench *b, uint32_t type, uint32_t weight_bytes)
{
    uint32_t random = 1;
    for (uint32_t i = 0; i < weight_bytes; i++) {
        random = random * 1664525U + 1013904223U;
        b->weights[i] = (uint8_t)(random >> 24);
    }
    /* the high byte of each float, or of each block's scale: between 2^-7 and 2^-5 */
    uint32_t step = tlep_type_bytes(type);
    uint32_t high = type == TLEP_TYPE_F32 ? 3 : type == TLEP_TYPE_TQ2_0 ? 65 : 1;
    for (uint32_t i = high; i < weight_bytes; i += step) {
        b->weights[i] =
            (uint8_t)((b->weights[i] & 0x81U) | (type == TLEP_TYPE_F32 ? 0x3CU : 0x20U));
    }
    for (uint32_t i = 0; i < COLS; i++) {
        b->x[i] = (float)(int32_t)(i * 37 % 64) / 32.0f - 1.0f;
    }
}

int tlep_measure_kernel(tlep_kernel_speed *speed, uint32_t type, tlep_arena *arenas,
                        uint32_t n_arenas, tlep_error *err)
{
    uint32_t row_bytes = tlep_row_bytes(type, COLS);
    uint32_t rows = WEIGHT_BYTES / row_bytes;
    uint32_t weight_bytes = rows * row_bytes;
    uint32_t bytes = (uint32_t)sizeof(bench) + weight_bytes;
    uint32_t used[TLEP_REGIONS_MAX];
    for (uint32_t i = 0; i < n_arenas; i++) {
        used[i] = arenas[i].used;
    }
    bench *b = tlep_arena_place(arenas, n_arenas, bytes, ALIGN, &speed->arena);
    if (!b) {
        return tlep_fail(err, TLEP_E_NO_MEMORY, "no RAM region has room to time a kernel", bytes,
                         tlep_arena_largest_free(arenas, n_arenas, ALIGN));
    }
    fill(b, type, weight_bytes);
    tlep_act act = {.q = b->q, .scale = b->scale, .sum = b->sum};
    tlep_act_set(&act, b->x, COLS);
    tlep_matvec(b->y, b->weights, type, rows, &act); /* quantises the input, fills the caches */
    uint64_t before = tlep_begin_window();
    for (uint32_t i = 0; i < REPEATS; i++) {
        tlep_matvec(b->y, b->weights, type, rows, &act);
    }
    speed->ticks = hal_ticks() - before;
    speed->macs = (uint64_t)REPEATS * rows * COLS;
    speed->rows = rows;
    speed->weight_bytes = (uint64_t)REPEATS * weight_bytes;
    tlep_arena_reset(&arenas[speed->arena], used[speed->arena]);
    return TLEP_OK;
}
