#include "link/link.h"

#include <string.h>

#include "link/keys.h"
#include "platform/fault.h"
#include "platform/timer.h"

enum { BAUD_PROOF_US = 1000000, READ_CHUNK = 64 };

void tlep_link_init(tlep_link *l, const tlep_board *board, const tlep_link_handler *handler)
{
    memset(l, 0, sizeof *l);
    l->handler = *handler;
    l->baud = l->previous_baud = board->bauds != NULL ? board->bauds[0] : 0;
}

/* --- sending --- */

/* Replies must leave, and DONE, without which the host waits out a silence; events and ACKs may be
 * lost. */
static void send_surely(tlep_link *l, const uint8_t *frame, uint32_t n)
{
    while (!hal_uart_write(frame, n)) {
        hal_idle();
    }
    l->tx_frames++;
}

static void send_if_room(tlep_link *l, tlep_kind kind, uint16_t seq, const tlep_cbor_writer *w)
{
    uint32_t n = tlep_frame_build(l->event, kind, seq, w->bytes);
    if (hal_uart_write(l->event, n)) {
        l->tx_frames++;
    } else {
        l->tx_dropped_events++;
    }
}

void tlep_link_begin_event(tlep_link *l, tlep_cbor_writer *w, uint32_t event)
{
    tlep_cbor_begin(w, l->event + TLEP_PAYLOAD_AT, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(w, KEY_EVENT, event);
}

void tlep_link_send_event(tlep_link *l, const tlep_cbor_writer *w)
{
    send_if_room(l, TLEP_EVT, l->event_seq++, w);
}

void tlep_link_send_event_surely(tlep_link *l, const tlep_cbor_writer *w)
{
    send_surely(l, l->event, tlep_frame_build(l->event, TLEP_EVT, l->event_seq++, w->bytes));
}

void tlep_link_begin_ack(tlep_link *l, tlep_cbor_writer *w)
{
    tlep_cbor_begin(w, l->event + TLEP_PAYLOAD_AT, TLEP_MAX_PAYLOAD);
}

void tlep_link_send_ack(tlep_link *l, uint16_t data_seq, const tlep_cbor_writer *w)
{
    send_if_room(l, TLEP_ACK, data_seq, w);
}

/* --- actions that wait until a reply has left --- */

void tlep_link_set_baud(tlep_link *l, uint32_t baud)
{
    l->baud = baud;
}

void tlep_link_reset(tlep_link *l)
{
    l->reset_requested = true;
}

static void after_reply(tlep_link *l)
{
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

/* --- requests --- */

/* Whether a request is older than the last one answered: a copy that the line held back. It was
 * carried out once. */
static bool is_late(const tlep_link *l, uint16_t seq)
{
    return l->reply_seq != 0 && (uint16_t)(l->reply_seq - seq) < 0x8000U;
}

static void write_error(tlep_cbor_writer *w, uint32_t op, const tlep_error *err)
{
    tlep_cbor_put(w, KEY_OP, op);
    tlep_cbor_put(w, KEY_ERROR_REPLY_CODE, (uint64_t)err->code);
    tlep_cbor_put_text(w, KEY_ERROR_REPLY_MESSAGE, err->message);
    tlep_cbor_put(w, KEY_ERROR_REPLY_REQUESTED, err->requested);
    tlep_cbor_put(w, KEY_ERROR_REPLY_AVAILABLE, err->available);
}

static void answer(tlep_link *l, const tlep_frame *frame)
{
    if (frame->seq != 0 && frame->seq == l->reply_seq) {
        /* a repeat: the reply was lost, the work is done */
        send_surely(l, l->reply, l->reply_bytes);
        return;
    }
    tlep_error err = {TLEP_OK, "", 0, 0};
    tlep_request request = {frame->payload, frame->bytes, 0};
    bool valid = tlep_cbor_valid(frame->payload, frame->bytes) &&
                 tlep_cbor_find_u32(frame->payload, frame->bytes, KEY_OP, &request.op);
    /* a new host begins with HELLO, and any seq */
    if (is_late(l, frame->seq) && request.op != OP_HELLO) {
        return; /* the remembered reply stays: it is not this one's */
    }
    tlep_cbor_writer w;
    uint8_t *payload = l->reply + TLEP_PAYLOAD_AT;
    tlep_cbor_begin(&w, payload, TLEP_MAX_PAYLOAD);
    int code;
    if (!valid) {
        code = tlep_fail(&err, TLEP_E_BAD_MESSAGE, "payload is not a CBOR map with an operation", 0,
                         0);
    } else {
        tlep_cbor_put(&w, KEY_OP, request.op);
        code = l->handler.request(l->handler.device, &request, &w, &err);
        if (code == TLEP_OK && w.overflow) {
            code =
                tlep_fail(&err, TLEP_E_INTERNAL, "reply does not fit a frame", 0, TLEP_MAX_PAYLOAD);
        }
    }
    if (code != TLEP_OK) {
        tlep_cbor_begin(&w, payload, TLEP_MAX_PAYLOAD);
        write_error(&w, request.op, &err);
    }
    l->reply_bytes =
        tlep_frame_build(l->reply, code == TLEP_OK ? TLEP_RSP : TLEP_ERR, frame->seq, w.bytes);
    l->reply_seq = frame->seq;
    send_surely(l, l->reply, l->reply_bytes);
    after_reply(l);
}

/* --- receiving --- */

static void take_frame(tlep_link *l, const tlep_frame *frame)
{
    l->baud_since_us = 0; /* a valid frame proves the rate */
    l->previous_baud = l->baud;
    if (frame->kind == TLEP_REQ) {
        answer(l, frame);
    } else if (frame->kind == TLEP_DATA) {
        l->receiver.errors += l->handler.data(l->handler.device, frame) ? 0 : 1;
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
    if (l->baud_since_us != 0 && tlep_time_us() - l->baud_since_us > BAUD_PROOF_US) {
        l->baud = l->previous_baud; /* nobody spoke at the new rate: go back */
        l->baud_since_us = 0;
        (void)hal_uart_set_baud(l->baud);
    }
    return any;
}
