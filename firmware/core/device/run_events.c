#include "device/run_events.h"

#include "link/keys.h"
#include "platform/timer.h"

static void tell_token(const tlep_run *r, tlep_link *l)
{
    const tlep_run_entry *entry = &r->entries[r->n_entries - 1];
    uint64_t us = r->n_entries == 1 ? tlep_run_prefill_us(r) : entry->of.us;
    tlep_cbor_writer w;
    tlep_link_begin_event(l, &w, EVENT_TOKEN);
    tlep_cbor_put(&w, KEY_TOKEN_EVENT_RUN_ID, r->id);
    tlep_cbor_put(&w, KEY_TOKEN_EVENT_INDEX, r->n_entries - 1);
    tlep_cbor_put(&w, KEY_TOKEN_EVENT_TOKEN, entry->token);
    tlep_cbor_put(&w, KEY_TOKEN_EVENT_US, us > UINT32_MAX ? UINT32_MAX : us);
    tlep_link_send_event(l, &w);
}

static void tell_prefill(tlep_run *r, tlep_link *l)
{
    tlep_cbor_writer w;
    r->reported_us = tlep_time_us();
    tlep_link_begin_event(l, &w, EVENT_PREFILL);
    tlep_cbor_put(&w, KEY_PREFILL_EVENT_RUN_ID, r->id);
    tlep_cbor_put(&w, KEY_PREFILL_EVENT_N_DONE, r->pos);
    tlep_cbor_put(&w, KEY_PREFILL_EVENT_N_TOKENS, r->n_prompt);
    tlep_link_send_event(l, &w);
}

static void tell_done(const tlep_run *r, tlep_link *l)
{
    tlep_cbor_writer w;
    tlep_link_begin_event(l, &w, EVENT_DONE);
    tlep_cbor_put(&w, KEY_DONE_EVENT_RUN_ID, r->id);
    tlep_cbor_put(&w, KEY_DONE_EVENT_STATE, r->state);
    tlep_link_send_event_surely(l, &w);
}

void tlep_tell_run(tlep_run *r, tlep_link *l)
{
    if (r->stream && !r->scoring && r->n_entries > 0) {
        tell_token(r, l);
    } else if (r->state == TLEP_RUN_RUNNING) {
        tell_prefill(r, l);
    }
    if (r->state != TLEP_RUN_RUNNING) {
        tell_done(r, l);
    }
}
