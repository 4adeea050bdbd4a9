/* The operations of docs/link-protocol.md, section 4.
 *
 * Each reads its keys from the request, appends its reply's keys, and leaves everything as it was
 * when it refuses. They stand in ops_board.c, ops_model.c, ops_run.c and ops_profile.c; ops.c finds
 * the one that is asked for. */
#ifndef TLEP_OPS_H
#define TLEP_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

typedef int tlep_operation(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w,
                           tlep_error *err);

/* Carry out whatever operation the request names. */
tlep_operation tlep_op;

tlep_operation tlep_op_hello, tlep_op_ping, tlep_op_baud, tlep_op_stats, tlep_op_reset,
    tlep_op_memtest, tlep_op_identify;
tlep_operation tlep_op_upload, tlep_op_verify, tlep_op_load;
tlep_operation tlep_op_profile, tlep_op_profile_result, tlep_op_read_speed, tlep_op_kernel_speed;
tlep_operation tlep_op_prompt, tlep_op_run, tlep_op_score, tlep_op_result, tlep_op_cancel;
#ifdef TLEP_FAULTS
tlep_operation tlep_op_fault;
#endif

/* --- needed by several operations --- */

int tlep_bad_message(tlep_error *err, const char *what);
bool tlep_request_u32(const tlep_request *q, uint32_t key, uint32_t *value);
bool tlep_request_hash(const tlep_request *q, uint32_t key, const uint8_t **hash);

/* The fence: an epoch older than one seen since boot belongs to a host that has lost its lease. */
int tlep_check_epoch(tlep_device *d, const tlep_request *q, uint32_t key, tlep_error *err);

#endif
