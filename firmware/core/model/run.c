#include "model/run.h"

#include <stddef.h>

#include "platform/fault.h"
#include "platform/timer.h"

enum { PREFILL_REPORT_US = 1000000 };

int tlep_run_stage(tlep_run *r, uint32_t offset, uint32_t token, tlep_error *err)
{
    uint32_t n_vocab = r->model->llama.hp.n_vocab;
    if (!r->model->loaded) {
        return tlep_fail(err, TLEP_E_NO_MODEL, "no model is loaded", 0, 0);
    }
    if (offset > r->n_prompt) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "prompt tokens are missing before this offset",
                         offset, r->n_prompt);
    }
    if (token >= n_vocab) {
        return tlep_fail(err, TLEP_E_TOKEN, "token id outside the vocabulary", token, n_vocab);
    }
    if (offset >= r->model->llama.n_ctx) {
        return tlep_fail(err, TLEP_E_CONTEXT, "prompt is longer than the context", offset + 1,
                         r->model->llama.n_ctx);
    }
    r->prompt[offset] = token;
    r->n_prompt = offset + 1;
    return TLEP_OK;
}

void tlep_run_forget(tlep_run *r)
{
    tlep_profile_close(&r->profile, &r->model->llama, r->model->arenas);
    r->id = 0;
    r->n_prompt = 0;
}

int tlep_run_begin(tlep_run *r, uint32_t id, uint32_t n_gen, bool stream, tlep_looking looking,
                   uint64_t idle_us, tlep_error *err)
{
    bool scoring = n_gen == 0;
    uint32_t positions = scoring ? r->n_prompt : r->n_prompt + n_gen - 1;
    if (!r->model->loaded) {
        return tlep_fail(err, TLEP_E_NO_MODEL, "no model is loaded", 0, 0);
    }
    if (id == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "run id is 0", 0, 1);
    }
    if (r->n_prompt < (scoring ? 2U : 1U)) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "too few prompt tokens are staged", r->n_prompt,
                         scoring ? 2 : 1);
    }
    if (n_gen > TLEP_N_CTX_MAX || positions > r->model->llama.n_ctx) {
        return tlep_fail(err, TLEP_E_CONTEXT, "prompt and generated tokens exceed the context",
                         positions, r->model->llama.n_ctx);
    }
    tlep_profile_close(&r->profile, &r->model->llama, r->model->arenas);
    if (looking != TLEP_LOOK_AWAY) {
        int code = tlep_profile_open(&r->profile, &r->model->llama, looking == TLEP_LOOK_BY_LAYER,
                                     positions, r->model->arenas, r->model->n_arenas, err);
        if (code != TLEP_OK) {
            return code;
        }
    }
    tlep_llama_reset(&r->model->llama);
    r->id = id;
    r->state = TLEP_RUN_RUNNING;
    r->scoring = scoring;
    r->stream = stream;
    r->n_gen = n_gen;
    r->n_entries = 0;
    r->pos = 0;
    r->prefill_ticks = 0;
    r->end_us = 0;
    r->start_us = tlep_time_us();
    r->reported_us = r->start_us;
    r->idle_at_start_us = idle_us;
    r->idle_us = 0;
    return TLEP_OK;
}

void tlep_run_end(tlep_run *r, tlep_run_state state, uint64_t idle_us)
{
    r->state = state;
    r->end_us = tlep_time_us();
    r->idle_us = idle_us - r->idle_at_start_us;
}

/* How many positions the next step takes: a batch, as long as the prompt's last position, whose
 * logits somebody reads, is not in it. */
static uint32_t next_positions(const tlep_run *r)
{
    uint32_t batch = r->model->llama.batch;
    return r->pos + batch < r->n_prompt ? batch : 1;
}

static bool prefill_step(tlep_run *r)
{
    tlep_llama *llama = &r->model->llama;
    uint32_t n = next_positions(r);
    uint64_t before = tlep_begin_window();
    if (r->pos + 1 < r->n_prompt) {
        tlep_llama_prefill(llama, r->prompt + r->pos, r->pos, n);
    } else {
        const float *logits = tlep_llama_forward(llama, r->prompt[r->pos], r->pos);
        r->token = tlep_argmax(logits, llama->hp.n_vocab);
    }
    r->prefill_ticks += hal_ticks() - before;
    r->pos += n;
    if (r->pos == r->n_prompt) {
        tlep_fault_after_token(0, &r->token);
        r->entries[r->n_entries++] = (tlep_run_entry){.token = r->token, .of = {.us = 0}};
        return true;
    }
    return tlep_time_us() - r->reported_us >= PREFILL_REPORT_US;
}

/* A step of a profiled run. Its own function, so that a plain step stays as it is. */
static bool profiled_step(tlep_run *r)
{
    bool in_prompt = r->pos < r->n_prompt;
    bool choose = r->pos + 1 >= r->n_prompt;
    uint32_t n = next_positions(r);
    (void)tlep_begin_window();
    uint64_t ticks = tlep_profiled_step(
        &r->model->llama, in_prompt ? TLEP_IN_PREFILL : TLEP_IN_DECODE,
        in_prompt ? r->prompt + r->pos : &r->token, r->pos, n, choose, &r->token);
    uint64_t us = in_prompt ? 0 : tlep_ticks_us(ticks);
    r->prefill_ticks += in_prompt ? ticks : 0;
    r->pos += n;
    if (choose) {
        tlep_fault_after_token(r->n_entries, &r->token);
        r->entries[r->n_entries++] = (tlep_run_entry){
            .token = r->token, .of = {.us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us}};
        return true;
    }
    return tlep_time_us() - r->reported_us >= PREFILL_REPORT_US;
}

static bool decode_step(tlep_run *r)
{
    tlep_llama *llama = &r->model->llama;
    uint64_t before = tlep_begin_window();
    const float *logits = tlep_llama_forward(llama, r->token, r->pos);
    r->token = tlep_argmax(logits, llama->hp.n_vocab);
    uint64_t us = tlep_ticks_us(hal_ticks() - before);
    r->pos++;
    tlep_fault_after_token(r->n_entries, &r->token);
    r->entries[r->n_entries++] = (tlep_run_entry){
        .token = r->token, .of = {.us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us}};
    return true;
}

static bool score_step(tlep_run *r)
{
    tlep_llama *llama = &r->model->llama;
    const float *logits = tlep_llama_forward(llama, r->prompt[r->pos], r->pos);
    uint32_t n_vocab = llama->hp.n_vocab;
    r->pos++;
    r->entries[r->n_entries++] = (tlep_run_entry){
        .token = tlep_argmax(logits, n_vocab),
        .of = {.log_likelihood = tlep_log_softmax(logits, n_vocab, r->prompt[r->pos])}};
    return tlep_time_us() - r->reported_us >= PREFILL_REPORT_US;
}

bool tlep_run_step(tlep_run *r, uint64_t idle_us)
{
    bool tell = r->scoring                  ? score_step(r)
                : r->profile.cells != NULL ? profiled_step(r)
                : r->pos < r->n_prompt     ? prefill_step(r)
                                           : decode_step(r);
    if (r->n_entries == (r->scoring ? r->n_prompt - 1 : r->n_gen)) {
        tlep_run_end(r, TLEP_RUN_DONE, idle_us);
        return true;
    }
    return tell;
}

uint64_t tlep_run_prefill_us(const tlep_run *r)
{
    return tlep_ticks_us(r->prefill_ticks);
}
