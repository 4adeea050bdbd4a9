/* Opening a file ends in a code, whatever the file holds; and a model that was opened runs inside
 * its own memory.
 *
 * Each input is tried twice: in exactly as many bytes as file and state take, so that
 * AddressSanitizer sees one byte too far, and through model.c, as an upload. */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* A token of a hostile model may be as dear as it likes; here it has to be cheap, and so has
 * hashing an upload. */
enum { MOST_PARAMETERS = 1 << 17, MOST_STATE_BYTES = 1 << 20, MOST_UPLOAD_BYTES = 2048 };
enum { N_CTX = 8, APPEND_BYTES = 960, SLACK_BYTES = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(tlep_llama *m)
{
    static const uint32_t tokens[TLEP_BATCH];
    (void)tlep_llama_prefill(m, tokens, 0, m->batch);
    const float *logits = tlep_llama_forward(m, m->hp.n_vocab - 1, 1);
    if (logits != NULL) {
        (void)tlep_log_softmax(logits, m->hp.n_vocab, tlep_argmax(logits, m->hp.n_vocab));
    }
}

/* The context to ask for, and the state it takes; false if that is too dear. */
static bool affordable(const tlep_gguf *g, tlep_kv_type kv, uint32_t *n_ctx, uint32_t *bytes)
{
    *n_ctx = g->hparams.n_ctx < N_CTX ? g->hparams.n_ctx : N_CTX;
    uint64_t all = tlep_llama_kv_bytes(&g->hparams, *n_ctx, kv) +
                   tlep_llama_activation_bytes(&g->hparams, *n_ctx, 1);
    *bytes = (uint32_t)all;
    return g->parameters <= MOST_PARAMETERS && all <= MOST_STATE_BYTES;
}

static bool open_exactly(const uint8_t *data, uint32_t size, tlep_gguf *g)
{
    tlep_llama m;
    tlep_error err;
    uint32_t n_ctx;
    uint32_t bytes;
    if (tlep_gguf_open(g, data, size, &err) != TLEP_OK ||
        !affordable(g, TLEP_KV_F16, &n_ctx, &bytes)) {
        return false;
    }
    uint8_t *state = malloc(bytes);
    tlep_arena arena = {"ram", state, bytes, 0, 0};
    bool ready = tlep_llama_prepare(&m, g, n_ctx, TLEP_KV_F16, &arena, 1, &err) == TLEP_OK;
    if (ready) {
        run(&m);
    }
    free(state);
    return ready;
}

static void upload(const uint8_t *data, uint32_t size, const tlep_gguf *g)
{
    static tlep_model m;
    uint8_t sha256[TLEP_SHA256_BYTES];
    tlep_error err;
    uint32_t n_ctx;
    uint32_t bytes;
    if (!affordable(g, TLEP_KV_F32, &n_ctx, &bytes)) {
        return;
    }
    bytes += size + SLACK_BYTES;
    uint8_t *ram = malloc(bytes);
    tlep_board board = {.regions = {{"ram", TLEP_REGION_RAM, ram, bytes, bytes}}, .n_regions = 1};
    tlep_model_init(&m, &board);
    tlep_sha256(data, size, sha256);
    bool ok = tlep_model_upload(&m, sha256, size, &err) == TLEP_OK;
    for (uint32_t at = 0; ok && at < size; at += APPEND_BYTES) {
        ok = tlep_model_append(&m, at, data + at,
                               size - at < APPEND_BYTES ? size - at : APPEND_BYTES);
    }
    /* The same file again, with room for it: what was sound there is sound here. */
    if (!ok || tlep_model_verify(&m, sha256, &err) != TLEP_OK ||
        tlep_model_load(&m, sha256, n_ctx, TLEP_KV_F32, &err) != TLEP_OK) {
        abort();
    }
    run(&m.llama);
    free(ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tlep_gguf g;
    /* libFuzzer's own copy has no red zone of its own, and no alignment */
    uint8_t *file = malloc(size + (size == 0));
    if (size != 0) {
        memcpy(file, data, size);
    }
    if (open_exactly(file, (uint32_t)size, &g) && size <= MOST_UPLOAD_BYTES) {
        upload(file, (uint32_t)size, &g);
    }
    free(file);
    return 0;
}
