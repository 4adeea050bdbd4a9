/* Operations of a run: its prompt, its start, its end and its measurements. */
#include "device/ops.h"
#include "link/keys.h"

enum { RESULT_ENTRIES_MAX = 64, RESULT_HEAD_BYTES_MAX = 96, RESULT_ENTRY_BYTES_MAX = 11 };

int tlep_op_prompt(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t offset;
    tlep_cbor_item array;
    if (!tlep_request_u32(q, KEY_PROMPT_REQUEST_OFFSET, &offset) ||
        !tlep_cbor_find_array(q->payload, q->bytes, KEY_PROMPT_REQUEST_TOKENS, &array)) {
        return tlep_bad_message(err, "PROMPT needs offset and token ids");
    }
    if (offset == 0) {
        d->run.n_prompt = 0;
    }
    const uint8_t *at = array.data;
    for (uint64_t i = 0; i < array.value; i++) {
        uint32_t token;
        if (!tlep_cbor_next_u32(&at, q->payload + q->bytes, &token)) {
            return tlep_bad_message(err, "a token id is not an unsigned integer");
        }
        int code = tlep_run_stage(&d->run, offset + (uint32_t)i, token, err);
        if (code != TLEP_OK) {
            return code;
        }
    }
    tlep_cbor_put(w, KEY_PROMPT_REPLY_N_STAGED, d->run.n_prompt);
    return TLEP_OK;
}

int tlep_op_run(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t id, n_gen;
    bool stream = true;
    if (!tlep_request_u32(q, KEY_RUN_REQUEST_RUN_ID, &id) ||
        !tlep_request_u32(q, KEY_RUN_REQUEST_N_GEN, &n_gen)) {
        return tlep_bad_message(err, "RUN needs run_id and n_gen");
    }
    if (n_gen == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "n_gen is 0", 0, 1);
    }
    int code = tlep_check_epoch(d, q, KEY_RUN_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        (void)tlep_cbor_find_bool(q->payload, q->bytes, KEY_RUN_REQUEST_STREAM, &stream);
        code = tlep_run_begin(&d->run, id, n_gen, stream, TLEP_LOOK_AWAY, d->idle_us, err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, KEY_RUN_REPLY_RUN_ID, id);
    }
    return code;
}

int tlep_op_score(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t id;
    if (!tlep_request_u32(q, KEY_SCORE_REQUEST_RUN_ID, &id)) {
        return tlep_bad_message(err, "SCORE needs run_id");
    }
    int code = tlep_check_epoch(d, q, KEY_SCORE_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        code = tlep_run_begin(&d->run, id, 0, false, TLEP_LOOK_AWAY, d->idle_us, err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, KEY_SCORE_REPLY_RUN_ID, id);
    }
    return code;
}

int tlep_op_result(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const tlep_run *r = &d->run;
    uint32_t id, first, count;
    if (!tlep_request_u32(q, KEY_RESULT_REQUEST_RUN_ID, &id) ||
        !tlep_request_u32(q, KEY_RESULT_REQUEST_FIRST, &first) ||
        !tlep_request_u32(q, KEY_RESULT_REQUEST_COUNT, &count)) {
        return tlep_bad_message(err, "RESULT needs run_id, first and count");
    }
    if (id == 0 || id != r->id) {
        return tlep_fail(err, TLEP_E_NO_RUN, "this board knows no such run", id, r->id);
    }
    if (first > r->n_entries || count > RESULT_ENTRIES_MAX) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such entries", first, r->n_entries);
    }
    uint32_t room = (TLEP_MAX_PAYLOAD - RESULT_HEAD_BYTES_MAX) / RESULT_ENTRY_BYTES_MAX;
    uint32_t n = r->n_entries - first;
    n = n < count ? n : count;
    n = n < room ? n : room;
    tlep_cbor_put(w, KEY_RESULT_REPLY_STATE, (uint64_t)r->state);
    tlep_cbor_put(w, KEY_RESULT_REPLY_N_AVAILABLE, r->n_entries);
    tlep_cbor_put(w, KEY_RESULT_REPLY_BOOT_ID, d->boot_id);
    tlep_cbor_put(w, KEY_RESULT_REPLY_START_US, r->start_us);
    tlep_cbor_put(w, KEY_RESULT_REPLY_PREFILL_US,
                  r->n_entries > 0 && !r->scoring ? tlep_run_prefill_us(r) : 0);
    tlep_cbor_key(w, KEY_RESULT_REPLY_ENTRIES);
    tlep_cbor_array(w, n);
    for (uint32_t i = first; i < first + n; i++) {
        tlep_cbor_array(w, 2);
        tlep_cbor_uint(w, r->entries[i].token);
        if (r->scoring) {
            tlep_cbor_float(w, r->entries[i].of.log_likelihood);
        } else {
            tlep_cbor_uint(w, r->entries[i].of.us);
        }
    }
    tlep_cbor_put(w, KEY_RESULT_REPLY_END_US, r->end_us);
    tlep_cbor_put(w, KEY_RESULT_REPLY_IDLE_US, r->idle_us);
    return TLEP_OK;
}

int tlep_op_cancel(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    int code = tlep_check_epoch(d, q, KEY_CANCEL_REQUEST_EPOCH, err);
    if (code != TLEP_OK) {
        return code;
    }
    bool running = tlep_run_active(&d->run);
    if (running) {
        tlep_run_end(&d->run, TLEP_RUN_CANCELLED, d->idle_us);
    }
    tlep_cbor_put_bool(w, KEY_CANCEL_REPLY_WAS_RUNNING, running);
    return TLEP_OK;
}
