/* One run: prefill the staged prompt and decode greedily, or score it; a token at a time.
 *
 * Cooperative: tlep_run_step() does one forward pass and returns, so that the link is served
 * between tokens (or batches of a prompt's) and a cancel takes effect within one. Only forward passes are inside the timed
 * windows. */
#ifndef TLEP_RUN_H
#define TLEP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/error.h"
#include "model/model.h"
#include "model/profile.h"

#ifndef TLEP_N_CTX_MAX
#error "the port says how many positions its static tables have: -DTLEP_N_CTX_MAX=..."
#endif

typedef enum {
    TLEP_RUN_RUNNING = 0,
    TLEP_RUN_DONE = 1,
    TLEP_RUN_CANCELLED = 2,
    TLEP_RUN_FAILED = 3
} tlep_run_state;

/* Whether a run is profiled, and how finely. */
typedef enum { TLEP_LOOK_AWAY, TLEP_LOOK_BY_OPERATOR, TLEP_LOOK_BY_LAYER } tlep_looking;

typedef struct {
    uint32_t token; /* generated id, or top-1 when scoring */
    union {
        uint32_t us;          /* decode step; 0 for entry 0 */
        float log_likelihood; /* nats */
    } of;
} tlep_run_entry;

typedef struct {
    tlep_model *model;
    uint32_t prompt[TLEP_N_CTX_MAX];
    uint32_t n_prompt;
    tlep_run_entry entries[TLEP_N_CTX_MAX];
    uint32_t n_entries;

    uint32_t id; /* 0: no run since boot or LOAD */
    tlep_run_state state;
    bool scoring;
    bool stream;
    uint32_t n_gen;
    uint32_t pos; /* next position to run */
    uint64_t start_us;
    uint64_t end_us;
    uint64_t prefill_ticks; /* sum over prompt tokens so far */
    uint64_t idle_at_start_us;
    uint64_t idle_us;
    uint64_t reported_us; /* time of the last PREFILL event */
    uint32_t token;       /* the last one chosen */
    tlep_profile profile; /* kept until the next run */
} tlep_run;

/* Stage token ids at `offset`; the next op reads them. */
int tlep_run_stage(tlep_run *r, uint32_t offset, uint32_t token, tlep_error *err);

/* Begin; 0 for `n_gen` means score. */
int tlep_run_begin(tlep_run *r, uint32_t id, uint32_t n_gen, bool stream, tlep_looking looking,
                   uint64_t idle_us, tlep_error *err);

/* Forget the run, its prompt and its profile: the model's memory is about to be laid out anew. */
void tlep_run_forget(tlep_run *r);

/* Do one token, or a batch of the prompt's. True when the host is to hear of it: entries grew, a second of prefill passed,
 * or the run ended. */
bool tlep_run_step(tlep_run *r, uint64_t idle_us);

/* Time of the prompt's forward passes, the choice of the first token included. */
uint64_t tlep_run_prefill_us(const tlep_run *r);

void tlep_run_end(tlep_run *r, tlep_run_state state, uint64_t idle_us);

static inline bool tlep_run_active(const tlep_run *r)
{
    return r->id != 0 && r->state == TLEP_RUN_RUNNING;
}

#endif
