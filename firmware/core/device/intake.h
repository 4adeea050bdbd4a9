/* Takes in an upload (docs/link-protocol.md, section 5). DATA frames at the right offset are
 * appended to the model. ACKs keep the host from sending more than the board can hold
 * unread. */
#ifndef TLEP_INTAKE_H
#define TLEP_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "link/frame.h"
#include "link/link.h"
#include "model/model.h"

typedef struct {
    bool ack_pending;
    bool gap_told; /* true once this run of bad DATA frames has its one ACK */
    uint64_t gap_us;
    uint16_t data_seq;
    uint32_t unacked_bytes; /* received since the last ACK, counted as bytes on the wire */
} tlep_intake;

/* An upload begins, or goes on. */
void tlep_intake_begin(tlep_intake *in);

/* Takes a DATA frame. Sends an ACK after `ack_after_bytes` or at a gap. Returns false when the
 * frame makes no sense, or no upload is open. */
bool tlep_intake_take(tlep_intake *in, tlep_link *l, tlep_model *m, const tlep_frame *frame,
                      uint32_t ack_after_bytes);

/* Acknowledge what has no ACK yet. Call this when no received bytes wait to be read. */
void tlep_intake_flush(tlep_intake *in, tlep_link *l, const tlep_model *m);

#endif
