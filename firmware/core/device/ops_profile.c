/* Operations that say why: where the time of a run goes, and what the board could do at best. */
#include <stddef.h>

#include "device/ops.h"
#include "link/keys.h"
#include "model/ceilings.h"
#include "platform/timer.h"

enum {
    PAGE_HEAD_BYTES_MAX = 96,
    CELL_BYTES_MAX = 48,
    POSITION_BYTES_MAX = 12,
    CELLS_MAX = (TLEP_MAX_PAYLOAD - PAGE_HEAD_BYTES_MAX) / CELL_BYTES_MAX,
    POSITIONS_MAX = (TLEP_MAX_PAYLOAD - PAGE_HEAD_BYTES_MAX) / POSITION_BYTES_MAX
};

int tlep_op_profile(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t id, n_gen;
    bool by_layer;
    if (!tlep_request_u32(q, KEY_PROFILE_REQUEST_RUN_ID, &id) ||
        !tlep_request_u32(q, KEY_PROFILE_REQUEST_N_GEN, &n_gen) ||
        !tlep_cbor_find_bool(q->payload, q->bytes, KEY_PROFILE_REQUEST_BY_LAYER, &by_layer)) {
        return tlep_bad_message(err, "PROFILE needs run_id, n_gen and by_layer");
    }
    if (n_gen == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "n_gen is 0", 0, 1);
    }
    int code = tlep_check_epoch(d, q, KEY_PROFILE_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        code = tlep_run_begin(&d->run, id, n_gen, true,
                              by_layer ? TLEP_LOOK_BY_LAYER : TLEP_LOOK_BY_OPERATOR, d->idle_us,
                              err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, KEY_PROFILE_REPLY_RUN_ID, id);
    }
    return code;
}

/* Indices from `first` on of cells that were used: at most `most`, into `found`. Returns how many;
 * *next becomes where to go on. */
static uint32_t used_cells(const tlep_profile *p, uint32_t first, uint32_t most, uint32_t *found,
                           uint32_t *next)
{
    uint32_t n = 0, i = first;
    for (; i < tlep_profile_n_cells(p) && n < most; i++) {
        if (p->cells[i].calls != 0) {
            found[n++] = i;
        }
    }
    *next = i;
    return n;
}

static void put_cell(const tlep_device *d, uint32_t index, tlep_cbor_writer *w)
{
    const tlep_profile *p = &d->run.profile;
    const tlep_profile_cell *cell = &p->cells[index];
    tlep_work work = tlep_profile_work(p, &d->model.llama, index);
    uint32_t slot = index / TLEP_N_OPERATORS % p->n_slots;
    tlep_cbor_array(w, 8);
    tlep_cbor_uint(w, index / TLEP_N_OPERATORS / p->n_slots);
    tlep_cbor_uint(w, index % TLEP_N_OPERATORS);
    if (slot + 1 == p->n_slots) {
        tlep_cbor_null(w);
    } else {
        tlep_cbor_uint(w, slot);
    }
    tlep_cbor_uint(w, cell->calls);
    tlep_cbor_uint(w, cell->ticks);
    tlep_cbor_uint(w, work.macs);
    tlep_cbor_uint(w, work.weight_bytes);
    tlep_cbor_uint(w, work.cache_bytes);
}

int tlep_op_profile_result(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w,
                           tlep_error *err)
{
    const tlep_profile *p = &d->run.profile;
    uint32_t id, first, found[CELLS_MAX], next = 0;
    if (!tlep_request_u32(q, KEY_PROFILE_RESULT_REQUEST_RUN_ID, &id) ||
        !tlep_request_u32(q, KEY_PROFILE_RESULT_REQUEST_FIRST, &first)) {
        return tlep_bad_message(err, "PROFILE_RESULT needs run_id and first");
    }
    if (id == 0 || id != d->run.id || p->cells == NULL) {
        return tlep_fail(err, TLEP_E_NO_RUN, "this board knows no such profiled run", id,
                         d->run.id);
    }
    /* cells first, then buckets by position */
    uint32_t n_cells = tlep_profile_n_cells(p);
    uint32_t end = n_cells + TLEP_PROFILE_BUCKETS * TLEP_N_OPERATORS;
    if (first > end) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such part of a profile", first, end);
    }
    uint32_t n = used_cells(p, first, CELLS_MAX, found, &next);
    uint32_t n_positions = 0;
    if (first >= n_cells) {
        n_positions = end - first < POSITIONS_MAX ? end - first : POSITIONS_MAX;
        next = first + n_positions;
    }
    tlep_cbor_put(w, KEY_PROFILE_RESULT_REPLY_BOOT_ID, d->boot_id);
    tlep_cbor_put(w, KEY_PROFILE_RESULT_REPLY_TICK_HZ, tlep_tick_hz());
    tlep_cbor_key(w, KEY_PROFILE_RESULT_REPLY_WINDOW_TICKS);
    tlep_cbor_array(w, TLEP_N_PHASES);
    for (uint32_t i = 0; i < TLEP_N_PHASES; i++) {
        tlep_cbor_uint(w, p->window_ticks[i]);
    }
    tlep_cbor_put(w, KEY_PROFILE_RESULT_REPLY_BUCKET_POSITIONS, p->bucket_positions);
    if (next < end) {
        tlep_cbor_put(w, KEY_PROFILE_RESULT_REPLY_NEXT, next);
    }
    tlep_cbor_key(w, KEY_PROFILE_RESULT_REPLY_CELLS);
    tlep_cbor_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        put_cell(d, found[i], w);
    }
    tlep_cbor_key(w, KEY_PROFILE_RESULT_REPLY_BY_POSITION);
    tlep_cbor_array(w, n_positions);
    for (uint32_t i = 0; i < n_positions; i++) {
        tlep_cbor_uint(w, p->by_position[first - n_cells + i]);
    }
    return TLEP_OK;
}

int tlep_op_read_speed(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t index, bytes;
    if (!tlep_request_u32(q, KEY_READ_SPEED_REQUEST_REGION, &index) ||
        !tlep_request_u32(q, KEY_READ_SPEED_REQUEST_LENGTH_BYTES, &bytes)) {
        return tlep_bad_message(err, "READ_SPEED needs region and length");
    }
    if (index >= d->board->n_regions ||
        d->board->regions[index].kind == TLEP_REGION_STACK) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such region of RAM or flash", index,
                         d->board->n_regions);
    }
    const tlep_region *region = &d->board->regions[index];
    uint32_t most = region->size < TLEP_READ_MAX_BYTES ? region->size : TLEP_READ_MAX_BYTES;
    if (bytes == 0 || bytes % 32 != 0 || bytes > most) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "not a multiple of 32 inside the region", bytes,
                         most);
    }
    int code = tlep_check_epoch(d, q, KEY_READ_SPEED_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        tlep_read_speed speed = tlep_measure_read(region->base, bytes);
        tlep_cbor_put(w, KEY_READ_SPEED_REPLY_FIRST_TICKS, speed.first_ticks);
        tlep_cbor_put(w, KEY_READ_SPEED_REPLY_AGAIN_TICKS, speed.again_ticks);
        tlep_cbor_put(w, KEY_READ_SPEED_REPLY_TICK_HZ, tlep_tick_hz());
    }
    return code;
}

int tlep_op_kernel_speed(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w,
                         tlep_error *err)
{
    uint32_t type;
    tlep_kernel_speed speed;
    if (!tlep_request_u32(q, KEY_KERNEL_SPEED_REQUEST_TYPE, &type)) {
        return tlep_bad_message(err, "KERNEL_SPEED needs type");
    }
    if (tlep_type_bytes(type) == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no kernel for this type", type, 0);
    }
    int code = tlep_check_epoch(d, q, KEY_KERNEL_SPEED_REQUEST_EPOCH, err);
    if (code == TLEP_OK) {
        code = tlep_measure_kernel(&speed, type, d->model.arenas, d->model.n_arenas, err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, KEY_KERNEL_SPEED_REPLY_TICKS, speed.ticks);
        tlep_cbor_put(w, KEY_KERNEL_SPEED_REPLY_MACS, speed.macs);
        tlep_cbor_put(w, KEY_KERNEL_SPEED_REPLY_WEIGHT_BYTES, speed.weight_bytes);
        tlep_cbor_put_text(w, KEY_KERNEL_SPEED_REPLY_REGION, d->model.arenas[speed.arena].name);
        tlep_cbor_put(w, KEY_KERNEL_SPEED_REPLY_TICK_HZ, tlep_tick_hz());
        tlep_cbor_put(w, KEY_KERNEL_SPEED_REPLY_ROWS, speed.rows);
    }
    return code;
}
