/* The board's end of docs/link-protocol.md: frames in, operations carried out at most once, frames out. */
#ifndef TLEP_LINK_H
#define TLEP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "link/cbor.h"
#include "link/frame.h"
#include "platform/hal.h"
#include "link/identify.h"
#include "model/model.h"
#include "model/run.h"

enum { TLEP_PROTOCOL_MAJOR = 1, TLEP_PROTOCOL_MINOR = 1 };

typedef struct {
    const tlep_board *board;
    tlep_model model;
    tlep_run run;
    tlep_identify identify;
    uint32_t boot_id;
    uint64_t epoch;   /* the highest lease epoch seen since boot */
    uint64_t idle_us; /* since boot */

    tlep_receiver receiver;
    uint8_t reply[TLEP_MAX_WIRE]; /* the remembered reply: sent again when its request comes again */
    uint32_t reply_bytes;
    uint16_t reply_seq;           /* 0: none yet */
    uint8_t event[TLEP_MAX_WIRE]; /* events and ACKs */
    uint16_t event_seq;
    uint32_t tx_frames;
    uint32_t tx_dropped_events;

    uint32_t baud;
    uint32_t previous_baud;
    uint64_t baud_since_us; /* 0: settled */

    bool ack_pending;
    bool gap_told;      /* one ACK for each run of bad DATA frames */
    uint64_t gap_us;
    uint16_t data_seq;
    uint32_t unacked_bytes;

    bool reset_requested;
} tlep_link;

void tlep_link_init(tlep_link *l, const tlep_board *board);

/* Take what has been received; true when there was anything. */
bool tlep_link_poll(tlep_link *l);

/* Do one token of the run in progress and tell the host. */
void tlep_link_step(tlep_link *l);

/* A request, checked to be a CBOR map (ops.c carries it out). */
typedef struct {
    const uint8_t *payload;
    uint32_t bytes;
    uint32_t op;
} tlep_request;

/* Whether an operation is what a new host begins with, whose seq may be anything. */
bool tlep_op_opens(uint32_t op);

/* Carry out `request`, appending the reply's keys to `w` (key 0 is there). Returns TLEP_OK, or a code with *err filled. */
int tlep_op(tlep_link *l, const tlep_request *request, tlep_cbor_writer *w, tlep_error *err);

#endif
