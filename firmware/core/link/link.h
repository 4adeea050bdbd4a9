/* One line to one host (docs/link-protocol.md, sections 1, 3 and 7): frames in, each request
 * carried out at most once, its reply sent again when the request comes again, frames out.
 *
 * The link knows nothing of models and runs: it hands requests and data to a handler. */
#ifndef TLEP_LINK_H
#define TLEP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "link/cbor.h"
#include "link/frame.h"
#include "platform/error.h"
#include "platform/hal.h"

enum { TLEP_PROTOCOL_MAJOR = 1, TLEP_PROTOCOL_MINOR = 3 };

/* A request, checked to be a CBOR map. */
typedef struct {
    const uint8_t *payload;
    uint32_t bytes;
    uint32_t op;
} tlep_request;

/* The part of the firmware that carries out the requests of the link. */
typedef struct {
    void *device; /* the first argument of the functions below */

    /* Carry out `request`, appending the reply's keys to `w` (key 0 is there). Returns TLEP_OK, or
     * a code with *err filled. */
    int (*request)(void *device, const tlep_request *request, tlep_cbor_writer *w, tlep_error *err);

    /* Take a DATA frame; false when it made no sense, which counts as an error of the line. */
    bool (*data)(void *device, const tlep_frame *frame);
} tlep_link_handler;

typedef struct {
    tlep_link_handler handler;
    tlep_receiver receiver;
    /* the remembered reply: sent again when its request comes again */
    uint8_t reply[TLEP_MAX_WIRE];
    uint32_t reply_bytes;
    uint16_t reply_seq;           /* 0: none yet */
    uint8_t event[TLEP_MAX_WIRE]; /* events and ACKs */
    uint16_t event_seq;
    uint32_t tx_frames;
    uint32_t tx_dropped_events;

    uint32_t baud;
    uint32_t previous_baud;
    uint64_t baud_since_us; /* 0: settled */

    bool reset_requested;
} tlep_link;

void tlep_link_init(tlep_link *l, const tlep_board *board, const tlep_link_handler *handler);

/* Take what has been received; true when there was anything. */
bool tlep_link_poll(tlep_link *l);

/* Go to another rate, or restart, once the reply to the request in hand has left. */
void tlep_link_set_baud(tlep_link *l, uint32_t baud);
void tlep_link_reset(tlep_link *l);

/* Events and ACKs: begin one, add its keys, send it. It is dropped when there is no room; an event
 * sent surely waits for room. */
void tlep_link_begin_event(tlep_link *l, tlep_cbor_writer *w, uint32_t event);
void tlep_link_send_event(tlep_link *l, const tlep_cbor_writer *w);
void tlep_link_send_event_surely(tlep_link *l, const tlep_cbor_writer *w);
void tlep_link_begin_ack(tlep_link *l, tlep_cbor_writer *w);
void tlep_link_send_ack(tlep_link *l, uint16_t data_seq, const tlep_cbor_writer *w);

#endif
