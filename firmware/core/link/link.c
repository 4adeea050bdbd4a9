#include "link/link.h"

#include <string.h>

#include "platform/fault.h"
#include "platform/timer.h"

enum { EVENT_TOKEN = 1, EVENT_PREFILL = 2, EVENT_DONE = 3, EVENT_BOOT = 4 };
enum { GAP_QUIET_US = 50000, BAUD_PROOF_US = 1000000, READ_CHUNK = 64 };

/* Replies must leave, and DONE, without which the host waits out a silence; events and ACKs may be lost. */
static void send_surely(tlep_link *l, const uint8_t *frame, uint32_t n)
{
    while (!hal_uart_write(frame, n)) {
        hal_idle();
    }
    l->tx_frames++;
}

static void send_event(tlep_link *l, tlep_kind kind, uint16_t seq, const tlep_cbor_writer *w)
{
    uint32_t n = tlep_frame_build(l->event, kind, seq, w->bytes);
    if (hal_uart_write(l->event, n)) {
        l->tx_frames++;
    } else {
        l->tx_dropped_events++;
    }
}

static void begin_event(tlep_link *l, tlep_cbor_writer *w, uint32_t event)
{
    tlep_cbor_begin(w, l->event + TLEP_PAYLOAD_AT, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(w, 0, event);
}

void tlep_link_init(tlep_link *l, const tlep_board *board)
{
    memset(l, 0, sizeof *l);
    l->board = board;
    l->baud = l->previous_baud = board->bauds != NULL ? board->bauds[0] : 0;
    tlep_timer_init(board);
    l->boot_id = hal_boot_id();
    tlep_model_init(&l->model, board);
    l->run.model = &l->model;

    tlep_cbor_writer w;
    begin_event(l, &w, EVENT_BOOT);
    tlep_cbor_put(&w, 1, l->boot_id);
    send_event(l, TLEP_EVT, l->event_seq++, &w);
}

/* --- requests --- */

/* Whether a request is older than the last one answered: a copy that the line held back. It was carried out once. */
static bool is_late(const tlep_link *l, uint16_t seq)
{
    return l->reply_seq != 0 && (uint16_t)(l->reply_seq - seq) < 0x8000U;
}

static void answer(tlep_link *l, const tlep_frame *frame)
{
    if (frame->seq != 0 && frame->seq == l->reply_seq) {
        send_surely(l, l->reply, l->reply_bytes); /* a repeat: the reply was lost, the work is done */
        return;
    }
    tlep_error err = {TLEP_OK, "", 0, 0};
    tlep_request request = {frame->payload, frame->bytes, 0};
    bool valid = tlep_cbor_valid(frame->payload, frame->bytes) &&
                 tlep_cbor_find_u32(frame->payload, frame->bytes, 0, &request.op);
    if (is_late(l, frame->seq) && !tlep_op_opens(request.op)) {
        return; /* the remembered reply stays: it is not this one's */
    }
    tlep_cbor_writer w;
    uint8_t *payload = l->reply + TLEP_PAYLOAD_AT;
    tlep_cbor_begin(&w, payload, TLEP_MAX_PAYLOAD);
    int code;
    if (!valid) {
        code = tlep_fail(&err, TLEP_E_BAD_MESSAGE, "payload is not a CBOR map with an operation", 0, 0);
    } else {
        tlep_cbor_put(&w, 0, request.op);
        code = tlep_op(l, &request, &w, &err);
        if (code == TLEP_OK && w.overflow) {
            code = tlep_fail(&err, TLEP_E_INTERNAL, "reply does not fit a frame", 0, TLEP_MAX_PAYLOAD);
        }
    }
    if (code != TLEP_OK) {
        tlep_cbor_begin(&w, payload, TLEP_MAX_PAYLOAD);
        tlep_cbor_put(&w, 0, request.op);
        tlep_cbor_put(&w, 1, (uint64_t)err.code);
        tlep_cbor_key(&w, 2);
        tlep_cbor_text(&w, err.message);
        tlep_cbor_put(&w, 3, err.requested);
        tlep_cbor_put(&w, 4, err.available);
    }
    l->reply_bytes = tlep_frame_build(l->reply, code == TLEP_OK ? TLEP_RSP : TLEP_ERR, frame->seq, w.bytes);
    l->reply_seq = frame->seq;
    send_surely(l, l->reply, l->reply_bytes);
    if (l->baud != l->previous_baud && l->baud_since_us == 0) {
        hal_uart_drain();
        if (hal_uart_set_baud(l->baud)) {
            l->baud_since_us = tlep_time_us();
        } else {
            l->baud = l->previous_baud;
        }
    }
    if (l->reset_requested) {
        hal_uart_drain();
        hal_reset();
    }
}

/* --- upload --- */

static void send_ack(tlep_link *l)
{
    tlep_cbor_writer w;
    tlep_cbor_begin(&w, l->event + TLEP_PAYLOAD_AT, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(&w, 1, l->model.upload.next_offset);
    tlep_cbor_put(&w, 2, hal_uart_rx_free());
    send_event(l, TLEP_ACK, l->data_seq, &w);
    l->ack_pending = false;
    l->unacked_bytes = 0;
}

static void take_data(tlep_link *l, const tlep_frame *frame)
{
    uint32_t offset, bytes;
    const uint8_t *data;
    if (tlep_run_active(&l->run) || l->model.upload.size == 0 || !tlep_cbor_valid(frame->payload, frame->bytes) ||
        !tlep_cbor_find_u32(frame->payload, frame->bytes, 1, &offset) ||
        !tlep_cbor_find_bytes(frame->payload, frame->bytes, 2, &data, &bytes)) {
        l->receiver.errors++;
        return;
    }
    l->data_seq = frame->seq;
    l->unacked_bytes += frame->wire_bytes;
    if (tlep_model_append(&l->model, offset, data, bytes)) {
        l->gap_told = false;
        l->ack_pending = true;
        if (l->unacked_bytes >= l->board->rx_window / 2) {
            send_ack(l);
        }
    } else if (!l->gap_told || tlep_time_us() - l->gap_us > GAP_QUIET_US) {
        l->gap_told = true; /* say once where to go back to; a whole window may follow the lost frame */
        l->gap_us = tlep_time_us();
        send_ack(l);
    }
}

/* --- main loop --- */

static void take_frame(tlep_link *l, const tlep_frame *frame)
{
    l->baud_since_us = 0; /* a valid frame proves the rate */
    l->previous_baud = l->baud;
    if (frame->kind == TLEP_REQ) {
        answer(l, frame);
    } else if (frame->kind == TLEP_DATA) {
        take_data(l, frame);
    }
}

bool tlep_link_poll(tlep_link *l)
{
    uint8_t chunk[READ_CHUNK];
    tlep_frame frame;
    bool any = false;
    for (;;) {
        uint32_t n = hal_uart_read(chunk, sizeof chunk);
        if (n == 0) {
            break;
        }
        any = true;
#ifdef TLEP_FAULTS
        n = tlep_fault_filter(chunk, n);
#endif
        for (uint32_t i = 0; i < n; i++) {
            if (tlep_receive(&l->receiver, chunk[i], &frame)) {
                take_frame(l, &frame);
            }
        }
    }
    if (l->ack_pending) {
        send_ack(l);
    }
    if (l->baud_since_us != 0 && tlep_time_us() - l->baud_since_us > BAUD_PROOF_US) {
        l->baud = l->previous_baud; /* nobody spoke at the new rate: go back */
        l->baud_since_us = 0;
        (void)hal_uart_set_baud(l->baud);
    }
    return any;
}

void tlep_link_step(tlep_link *l)
{
    tlep_run *r = &l->run;
    tlep_cbor_writer w;
    if (!tlep_run_step(r, l->idle_us)) {
        return;
    }
    if (r->stream && !r->scoring && r->n_entries > 0) {
        const tlep_run_entry *entry = &r->entries[r->n_entries - 1];
        uint64_t us = r->n_entries == 1 ? tlep_run_prefill_us(r) : entry->of.us;
        begin_event(l, &w, EVENT_TOKEN);
        tlep_cbor_put(&w, 1, r->id);
        tlep_cbor_put(&w, 2, r->n_entries - 1);
        tlep_cbor_put(&w, 3, entry->token);
        tlep_cbor_put(&w, 4, us > UINT32_MAX ? UINT32_MAX : us);
        send_event(l, TLEP_EVT, l->event_seq++, &w);
    } else if (r->state == TLEP_RUN_RUNNING) {
        r->reported_us = tlep_time_us();
        begin_event(l, &w, EVENT_PREFILL);
        tlep_cbor_put(&w, 1, r->id);
        tlep_cbor_put(&w, 2, r->pos);
        tlep_cbor_put(&w, 3, r->n_prompt);
        send_event(l, TLEP_EVT, l->event_seq++, &w);
    }
    if (r->state != TLEP_RUN_RUNNING) {
        begin_event(l, &w, EVENT_DONE);
        tlep_cbor_put(&w, 1, r->id);
        tlep_cbor_put(&w, 2, r->state);
        send_surely(l, l->event, tlep_frame_build(l->event, TLEP_EVT, l->event_seq++, w.bytes));
    }
}
