/* Operations that bring a model onto the board and make it ready to run. */
#include "device/ops.h"
#include "link/keys.h"
#include "platform/timer.h"

int tlep_op_upload(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    uint32_t size;
    if (!tlep_request_hash(q, KEY_UPLOAD_REQUEST_SHA256, &hash) ||
        !tlep_request_u32(q, KEY_UPLOAD_REQUEST_SIZE_BYTES, &size)) {
        return tlep_bad_message(err, "UPLOAD needs sha256 and size");
    }
    int code = tlep_check_epoch(d, q, KEY_UPLOAD_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        tlep_run_forget(&d->run);
        code = tlep_model_upload(&d->model, hash, size, err);
    }
    if (code == TLEP_OK) {
        tlep_intake_begin(&d->intake);
        tlep_cbor_put(w, KEY_UPLOAD_REPLY_NEXT_OFFSET, d->model.upload.next_offset);
    }
    return code;
}

int tlep_op_verify(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    if (!tlep_request_hash(q, KEY_VERIFY_REQUEST_SHA256, &hash)) {
        return tlep_bad_message(err, "VERIFY needs sha256");
    }
    int code = tlep_model_verify(&d->model, hash, err);
    if (code == TLEP_OK) {
        tlep_cbor_put(w, KEY_VERIFY_REPLY_SIZE_BYTES, d->model.upload.size);
    }
    return code;
}

static void put_placement(tlep_cbor_writer *w, const char *category, const char *region,
                          uint32_t bytes)
{
    tlep_cbor_map(w, 3);
    tlep_cbor_pair_text(w, KEY_MEMORY_USE_CATEGORY, category);
    tlep_cbor_pair_text(w, KEY_MEMORY_USE_REGION, region);
    tlep_cbor_pair(w, KEY_MEMORY_USE_USED_BYTES, bytes);
}

int tlep_op_load(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    uint32_t n_ctx, kv;
    tlep_model *m = &d->model;
    if (!tlep_request_hash(q, KEY_LOAD_REQUEST_SHA256, &hash) ||
        !tlep_request_u32(q, KEY_LOAD_REQUEST_N_CTX, &n_ctx) ||
        !tlep_request_u32(q, KEY_LOAD_REQUEST_KV_TYPE, &kv)) {
        return tlep_bad_message(err, "LOAD needs sha256, n_ctx and kv_type");
    }
    if (kv != TLEP_KV_F32 && kv != TLEP_KV_F16) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "KV cache type is neither F32 nor F16", kv,
                         TLEP_KV_F16);
    }
    if (n_ctx > TLEP_N_CTX_MAX) {
        return tlep_fail(err, TLEP_E_CONTEXT, "context is longer than this firmware supports",
                         n_ctx, TLEP_N_CTX_MAX);
    }
    int code = tlep_check_epoch(d, q, KEY_LOAD_REQUEST_EPOCH, err);
    if (code != TLEP_OK) {
        return code;
    }
    uint64_t before = tlep_time_us();
    tlep_run_forget(&d->run);
    code = tlep_model_load(m, hash, n_ctx, (tlep_kv_type)kv, err);
    if (code != TLEP_OK) {
        return code;
    }
    tlep_cbor_put(w, KEY_LOAD_REPLY_LOAD_US, tlep_time_us() - before);
    tlep_cbor_put(w, KEY_LOAD_REPLY_WHERE, m->from_flash ? 1 : 0);
    tlep_cbor_key(w, KEY_LOAD_REPLY_MEMORY);
    tlep_cbor_array(w, 1 + TLEP_N_PLACEMENTS);
    put_placement(w, "weights", m->weight_region, m->weight_bytes);
    for (uint32_t i = 0; i < TLEP_N_PLACEMENTS; i++) {
        const tlep_placement *p = &m->llama.placements[i];
        put_placement(w, p->category, m->arenas[p->arena].name, p->bytes);
    }
    tlep_cbor_put(w, KEY_LOAD_REPLY_N_VOCAB, m->llama.hp.n_vocab);
    tlep_cbor_put(w, KEY_LOAD_REPLY_N_PARAMS, m->gguf.parameters);
    return TLEP_OK;
}
