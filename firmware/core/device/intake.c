#include "device/intake.h"

#include "link/keys.h"
#include "platform/timer.h"

enum { GAP_QUIET_US = 50000 };

void tlep_intake_begin(tlep_intake *in)
{
    in->gap_told = false;
    in->unacked_bytes = 0;
}

static void send_ack(tlep_intake *in, tlep_link *l, const tlep_model *m)
{
    tlep_cbor_writer w;
    tlep_link_begin_ack(l, &w);
    tlep_cbor_put(&w, KEY_UPLOAD_ACK_NEXT_OFFSET, m->upload.next_offset);
    tlep_cbor_put(&w, KEY_UPLOAD_ACK_CREDIT_BYTES, hal_uart_rx_free());
    tlep_link_send_ack(l, in->data_seq, &w);
    in->ack_pending = false;
    in->unacked_bytes = 0;
}

bool tlep_intake_take(tlep_intake *in, tlep_link *l, tlep_model *m, const tlep_frame *frame,
                      uint32_t ack_after_bytes)
{
    uint32_t offset, bytes;
    const uint8_t *content;
    if (m->upload.size == 0 || !tlep_cbor_valid(frame->payload, frame->bytes) ||
        !tlep_cbor_find_u32(frame->payload, frame->bytes, KEY_UPLOAD_DATA_OFFSET, &offset) ||
        !tlep_cbor_find_bytes(frame->payload, frame->bytes, KEY_UPLOAD_DATA_CONTENT, &content,
                              &bytes)) {
        return false;
    }
    in->data_seq = frame->seq;
    in->unacked_bytes += frame->wire_bytes;
    if (tlep_model_append(m, offset, content, bytes)) {
        in->gap_told = false;
        in->ack_pending = true;
        if (in->unacked_bytes >= ack_after_bytes) {
            send_ack(in, l, m);
        }
    } else if (!in->gap_told || tlep_time_us() - in->gap_us > GAP_QUIET_US) {
        /* say once where to go back to; a whole window may follow the lost frame */
        in->gap_told = true;
        in->gap_us = tlep_time_us();
        send_ack(in, l, m);
    }
    return true;
}

void tlep_intake_flush(tlep_intake *in, tlep_link *l, const tlep_model *m)
{
    if (in->ack_pending) {
        send_ack(in, l, m);
    }
}
