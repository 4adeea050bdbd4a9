/* Error codes of the board, as they travel in an ERROR reply (docs/link-protocol.md, section 8).
 *
 * The hundreds digit of a code is the class of the fault, which decides whether the host may retry
 * elsewhere: 1xx link (retry), 2xx board (retry, another board), 3xx model (never), 4xx
 * job (never). The numbers are wire format: never reuse one. */
#ifndef TLEP_ERROR_H
#define TLEP_ERROR_H

#include <stdint.h>

typedef enum {
    TLEP_OK = 0,

    /* frame was intact, but its CBOR is not a message of this protocol */
    TLEP_E_BAD_MESSAGE = 100,
    TLEP_E_UNKNOWN_OP = 101,    /* operation unknown to this firmware */
    TLEP_E_VERSION = 102,       /* host speaks another major version */
    TLEP_E_OFFSET = 103,        /* upload data outside the announced size */
    TLEP_E_HASH_MISMATCH = 104, /* SHA-256 of what arrived is not what was announced */
    TLEP_E_BAUD = 105,          /* baud rate this UART cannot make */

    /* a run is in progress; only PING, STATS, RESULT and CANCEL are served */
    TLEP_E_BUSY = 200,
    TLEP_E_STALE_EPOCH = 201,   /* a newer lease holder has spoken to this board */
    TLEP_E_NO_MODEL = 202,      /* nothing loaded (a reboot forgets): load again */
    TLEP_E_INTERNAL = 203,      /* an invariant of the firmware broke */
    TLEP_E_NO_RUN = 204,        /* RESULT for a run this board does not know (a reboot forgets) */
    TLEP_E_UNSUPPORTED = 205,   /* the firmware could, but this board lacks the part */

    TLEP_E_NOT_GGUF = 300,
    TLEP_E_TRUNCATED = 301,
    TLEP_E_ARCHITECTURE = 302,  /* general.architecture is not "llama" */
    TLEP_E_TENSOR_TYPE = 303,   /* a tensor's type has no kernel here */
    TLEP_E_MALFORMED = 304,     /* counts, dimensions, offsets or alignment that lie */
    TLEP_E_MISSING = 305,       /* a required key or tensor is absent */
    TLEP_E_NO_MEMORY = 306,     /* does not fit: requested and available say by how much */

    TLEP_E_BAD_ARGUMENT = 400,  /* a parameter is out of range */
    TLEP_E_CONTEXT = 401,       /* prompt plus generated tokens exceed the context */
    TLEP_E_TOKEN = 402          /* a token id is not in the vocabulary */
} tlep_code;

/* What went wrong, in full. `message` points to a string literal: it outlives every buffer. */
typedef struct {
    tlep_code code;
    const char *message;
    /* bytes, for TLEP_E_NO_MEMORY; the offending value elsewhere; 0 if unused */
    uint32_t requested;
    uint32_t available; /* bytes, for TLEP_E_NO_MEMORY; the limit elsewhere; 0 if unused */
} tlep_error;

/* Fill *err and return its code, so that a caller can write `return tlep_fail(...)`. */
static inline int tlep_fail(tlep_error *err, tlep_code code, const char *message,
                            uint32_t requested, uint32_t available)
{
    err->code = code;
    err->message = message;
    err->requested = requested;
    err->available = available;
    return (int)code;
}

#endif
