#include "device/ops.h"

#include "link/keys.h"

int tlep_bad_message(tlep_error *err, const char *what)
{
    return tlep_fail(err, TLEP_E_BAD_MESSAGE, what, 0, 0);
}

bool tlep_request_u32(const tlep_request *q, uint32_t key, uint32_t *value)
{
    return tlep_cbor_find_u32(q->payload, q->bytes, key, value);
}

bool tlep_request_hash(const tlep_request *q, uint32_t key, const uint8_t **hash)
{
    uint32_t n;
    return tlep_cbor_find_bytes(q->payload, q->bytes, key, hash, &n) && n == TLEP_SHA256_BYTES;
}

int tlep_check_epoch(tlep_device *d, const tlep_request *q, uint32_t key, tlep_error *err)
{
    uint64_t epoch;
    if (!tlep_cbor_find_u64(q->payload, q->bytes, key, &epoch)) {
        return tlep_bad_message(err, "epoch is missing");
    }
    if (epoch < d->epoch) {
        return tlep_fail(err, TLEP_E_STALE_EPOCH, "a newer lease holder has spoken to this board",
                         (uint32_t)epoch, (uint32_t)d->epoch);
    }
    d->epoch = epoch;
    return TLEP_OK;
}

static const struct {
    uint32_t op;
    bool while_running;
    tlep_operation *handle;
} operations[] = {
    {OP_HELLO, true, tlep_op_hello},       {OP_PING, true, tlep_op_ping},
    {OP_BAUD, false, tlep_op_baud},        {OP_UPLOAD, false, tlep_op_upload},
    {OP_VERIFY, false, tlep_op_verify},    {OP_LOAD, false, tlep_op_load},
    {OP_PROMPT, false, tlep_op_prompt},    {OP_RUN, false, tlep_op_run},
    {OP_SCORE, false, tlep_op_score},      {OP_RESULT, true, tlep_op_result},
    {OP_STATS, true, tlep_op_stats},       {OP_CANCEL, true, tlep_op_cancel},
    {OP_RESET, true, tlep_op_reset},       {OP_MEMTEST, false, tlep_op_memtest},
    {OP_IDENTIFY, true, tlep_op_identify}, {OP_PROFILE, false, tlep_op_profile},
    {OP_PROFILE_RESULT, false, tlep_op_profile_result},
    {OP_READ_SPEED, false, tlep_op_read_speed},
    {OP_KERNEL_SPEED, false, tlep_op_kernel_speed},
#ifdef TLEP_FAULTS
    {OP_FAULT, true, tlep_op_fault},
#endif
};

int tlep_op(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (operations[i].op == q->op) {
            if (!operations[i].while_running && tlep_run_active(&d->run)) {
                return tlep_fail(err, TLEP_E_BUSY, "a run is in progress", 0, 0);
            }
            return operations[i].handle(d, q, w, err);
        }
    }
    return tlep_fail(err, TLEP_E_UNKNOWN_OP, "this firmware does not know the operation", q->op, 0);
}
