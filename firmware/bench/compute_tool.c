/* The firmware's compute core behind a command line, for the tests in tests/firmware_compute.
 *
 *   compute_tool open FILE...
 *       one line each: code, message, requested, available
 *   compute_tool logits FILE N_CTX KV TOKEN...
 *       float32 logits after each token, raw, on stdout
 *   compute_tool greedy FILE N_CTX KV N_GEN TOKEN...
 *       the generated ids, one a line; the prompt in batches, where the build has them
 *   compute_tool score FILE N_CTX KV TOKEN...
 *       "log-likelihood-bits top1" of tokens 1..n-1, one a line
 *   compute_tool memory FILE N_CTX KV
 *       kv bytes, activation bytes, arena bytes used
 *   compute_tool place FILE N_CTX KV SIZE...
 *       the state laid out in regions of those sizes: the error's line, "category region bytes"
 *       lines, then bytes used of each region
 *   compute_tool map FUNCTION
 *       raw words from stdin through exp, log, sin, cos, f16 or f32
 *
 * `open` goes on to run two tokens of each model that it could open: a hostile file must not get
 * further than its code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/kernels/fmath.h"
#include "../core/kernels/fp16.h"
#include "../core/model/llama.h"

/* What a board keeps free beside a batch. */
enum { MOST_STATE_BYTES = 64 << 20, SPARE_BYTES = 16384 };

typedef struct {
    uint8_t *file;
    uint8_t *state;
    tlep_arena arena;
    tlep_gguf gguf;
    tlep_llama llama;
    tlep_error err;
} bench;

/* Exactly as many bytes as the file has, so that AddressSanitizer sees one byte too far. */
static uint8_t *read_file(const char *path, uint32_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) {
        perror(path);
        exit(2);
    }
    *size = (uint32_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*size ? *size : 1);
    if (fread(data, 1, *size, f) != *size) {
        perror(path);
        exit(2);
    }
    fclose(f);
    return data;
}

static int set_up(bench *b, const char *path, uint32_t n_ctx, tlep_kv_type kv, uint32_t batch)
{
    uint32_t size;
    memset(b, 0, sizeof *b);
    b->file = read_file(path, &size);
    int e = tlep_gguf_open(&b->gguf, b->file, size, &b->err);
    if (e) {
        return e;
    }
    /* Likewise exactly the state that the formula promises to be enough for such batches. */
    n_ctx = n_ctx ? n_ctx : b->gguf.hparams.n_ctx;
    uint64_t bytes = tlep_llama_kv_bytes(&b->gguf.hparams, n_ctx, kv) +
                     tlep_llama_activation_bytes(&b->gguf.hparams, n_ctx, batch) +
                     (batch > 1 ? SPARE_BYTES : 0);
    bytes = bytes < MOST_STATE_BYTES ? bytes : MOST_STATE_BYTES;
    b->state = malloc((size_t)bytes); /* 16-byte aligned on every host we build on */
    b->arena = (tlep_arena){"ram", b->state, (uint32_t)bytes, 0, 0};
    return tlep_llama_prepare(&b->llama, &b->gguf, n_ctx, kv, &b->arena, 1, &b->err);
}

static void tear_down(bench *b)
{
    free(b->file);
    free(b->state);
}

static void report(const bench *b)
{
    printf("%d\t%s\t%u\t%u\n", (int)b->err.code, b->err.message ? b->err.message : "",
           (unsigned)b->err.requested, (unsigned)b->err.available);
}

static int open_files(int n, char **paths)
{
    for (int i = 0; i < n; i++) {
        bench b;
        if (!set_up(&b, paths[i], 0, TLEP_KV_F16, 1)) {
            (void)tlep_llama_forward(&b.llama, 0, 0);
            (void)tlep_llama_forward(&b.llama, b.gguf.hparams.n_vocab - 1, 1);
        }
        report(&b);
        tear_down(&b);
    }
    return 0;
}

static int print_logits(bench *b, int n, char **tokens)
{
    for (int i = 0; i < n; i++) {
        const float *logits = tlep_llama_forward(&b->llama, (uint32_t)atoi(tokens[i]), (uint32_t)i);
        if (!logits ||
            fwrite(logits, sizeof *logits, b->llama.hp.n_vocab, stdout) != b->llama.hp.n_vocab) {
            return 1;
        }
    }
    return 0;
}

static int print_greedy(bench *b, uint32_t n_gen, int n, char **tokens)
{
    uint32_t pos = 0;
    while (pos + 1 < (uint32_t)n) {
        uint32_t prompt[TLEP_BATCH];
        uint32_t batch = pos + b->llama.batch < (uint32_t)n ? b->llama.batch : 1;
        for (uint32_t i = 0; i < batch; i++) {
            prompt[i] = (uint32_t)atoi(tokens[pos + i]);
        }
        tlep_llama_prefill(&b->llama, prompt, pos, batch);
        pos += batch;
    }
    uint32_t token = (uint32_t)atoi(tokens[pos]);
    for (uint32_t i = 0; i < n_gen; i++) {
        const float *logits = tlep_llama_forward(&b->llama, token, pos++);
        if (!logits) {
            return 1;
        }
        token = tlep_argmax(logits, b->llama.hp.n_vocab);
        printf("%u\n", (unsigned)token);
    }
    return 0;
}

static int print_scores(bench *b, int n, char **tokens)
{
    for (int i = 0; i + 1 < n; i++) {
        const float *logits = tlep_llama_forward(&b->llama, (uint32_t)atoi(tokens[i]), (uint32_t)i);
        if (!logits) {
            return 1;
        }
        float ll = tlep_log_softmax(logits, b->llama.hp.n_vocab, (uint32_t)atoi(tokens[i + 1]));
        printf("%08x %u\n", (unsigned)tlep_float_bits(ll),
               (unsigned)tlep_argmax(logits, b->llama.hp.n_vocab));
    }
    return 0;
}

static int print_places(const bench *b, uint32_t n_ctx, tlep_kv_type kv, int n, char **sizes)
{
    enum { MOST_REGIONS = 4 };
    static uint8_t memory[MOST_REGIONS][1 << 20] __attribute__((aligned(32)));
    tlep_arena regions[MOST_REGIONS];
    tlep_llama m;
    tlep_error err = {TLEP_OK, "", 0, 0};
    for (int i = 0; i < n && i < MOST_REGIONS; i++) {
        regions[i] = (tlep_arena){"ram", memory[i], (uint32_t)atoi(sizes[i]), 0, 0};
    }
    int e = tlep_llama_prepare(&m, &b->gguf, n_ctx, kv, regions, (uint32_t)n, &err);
    printf("%d %u %u\n", e, (unsigned)err.requested, (unsigned)err.available);
    for (int i = 0; !e && i < TLEP_N_PLACEMENTS; i++) {
        const tlep_placement *p = &m.placements[i];
        printf("%s %u %u\n", p->category, (unsigned)p->arena, (unsigned)p->bytes);
    }
    for (int i = 0; i < n; i++) {
        printf("%u ", (unsigned)regions[i].used);
    }
    printf("\n");
    return 0;
}

static int map_words(const char *function)
{
    uint32_t word;
    while (fread(&word, sizeof word, 1, stdin) == 1) {
        float x = tlep_bits_float(word);
        float s = 0.0f;
        float c = 0.0f;
        if (!strcmp(function, "exp")) {
            word = tlep_float_bits(tlep_expf(x));
        } else if (!strcmp(function, "log")) {
            word = tlep_float_bits(tlep_logf(x));
        } else if (!strcmp(function, "f16")) {
            word = tlep_f32_to_f16(x);
        } else if (!strcmp(function, "f32")) {
            word = tlep_float_bits(tlep_f16_to_f32((uint16_t)word));
        } else {
            tlep_sincosf(x, &s, &c);
            word = tlep_float_bits(!strcmp(function, "sin") ? s : c);
        }
        fwrite(&word, sizeof word, 1, stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "open")) {
        return open_files(argc - 2, argv + 2);
    }
    if (argc == 3 && !strcmp(argv[1], "map")) {
        return map_words(argv[2]);
    }
    if (argc < 5) {
        fputs("usage: see the head of compute_tool.c\n", stderr);
        return 2;
    }
    bench b;
    int status =
        set_up(&b, argv[2], (uint32_t)atoi(argv[3]), atoi(argv[4]) ? TLEP_KV_F16 : TLEP_KV_F32,
               strcmp(argv[1], "greedy") ? 1 : TLEP_BATCH);
    if (status) {
        report(&b);
        status = 1;
    } else if (!strcmp(argv[1], "logits")) {
        status = print_logits(&b, argc - 5, argv + 5);
    } else if (!strcmp(argv[1], "greedy") && argc > 6) {
        status = print_greedy(&b, (uint32_t)atoi(argv[5]), argc - 6, argv + 6);
    } else if (!strcmp(argv[1], "score")) {
        status = print_scores(&b, argc - 5, argv + 5);
    } else if (!strcmp(argv[1], "place")) {
        status = print_places(&b, (uint32_t)atoi(argv[3]), b.llama.kv_type, argc - 5, argv + 5);
    } else if (!strcmp(argv[1], "memory")) {
        const tlep_placement *p = b.llama.placements;
        printf("%u %u %u\n", (unsigned)(p[0].bytes + p[1].bytes), (unsigned)p[2].bytes,
               (unsigned)b.arena.used);
    }
    tear_down(&b);
    return status;
}
