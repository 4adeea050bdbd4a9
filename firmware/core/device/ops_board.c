/* Operations about the board itself: its identity, its state, and commands such as RESET. */
#include <stddef.h>

#include "device/ops.h"
#include "link/keys.h"
#include "platform/fault.h"
#include "platform/memtest.h"
#include "platform/stack.h"
#include "platform/timer.h"
#include "version.h"

enum {
    FEATURE_FAULT = 1,
    FEATURE_UPLOAD = 2,
    FEATURE_TEMPERATURE = 4,
    FEATURE_CYCLES = 8,
    FEATURE_MEMTEST = 16,
    FEATURE_IDENTIFY = 32,
    FEATURE_PROFILE = 64
};
enum { TEMPERATURES_MAX = 4 };

/* A model that the board holds: in its flash, or in RAM with its progress. */
static void put_flash_model(tlep_cbor_writer *w, const tlep_model *m)
{
    tlep_cbor_key(w, KEY_HELLO_REPLY_FLASH_MODEL);
    if (!m->slot.verified) {
        tlep_cbor_null(w);
        return;
    }
    tlep_cbor_map(w, 2);
    tlep_cbor_uint(w, KEY_FLASH_MODEL_SHA256);
    tlep_cbor_bytes(w, m->slot.sha256, TLEP_SHA256_BYTES);
    tlep_cbor_pair(w, KEY_FLASH_MODEL_SIZE_BYTES, m->slot.size);
}

static void put_ram_model(tlep_cbor_writer *w, const tlep_model *m)
{
    tlep_cbor_key(w, KEY_HELLO_REPLY_RAM_MODEL);
    if (m->upload.size == 0) {
        tlep_cbor_null(w);
        return;
    }
    tlep_cbor_map(w, 3);
    tlep_cbor_uint(w, KEY_RAM_MODEL_SHA256);
    tlep_cbor_bytes(w, m->upload.sha256, TLEP_SHA256_BYTES);
    tlep_cbor_pair(w, KEY_RAM_MODEL_SIZE_BYTES, m->upload.size);
    tlep_cbor_pair(w, KEY_RAM_MODEL_NEXT_OFFSET, m->upload.next_offset);
}

static void put_timer(tlep_cbor_writer *w, const tlep_board *b)
{
    tlep_cbor_key(w, KEY_HELLO_REPLY_TIMER);
    tlep_cbor_map(w, 2);
    tlep_cbor_pair_text(w, KEY_TIMER_NAME, b->timer_name);
    tlep_cbor_pair(w, KEY_TIMER_RESOLUTION_NS, (1000000000U + b->timer_hz - 1) / b->timer_hz);
}

static void put_memory(tlep_cbor_writer *w, const tlep_board *b)
{
    tlep_cbor_key(w, KEY_HELLO_REPLY_REGIONS);
    tlep_cbor_array(w, b->n_regions);
    for (uint32_t i = 0; i < b->n_regions; i++) {
        const tlep_region *region = &b->regions[i];
        uint32_t header = region->kind == TLEP_REGION_FLASH ? TLEP_SLOT_HEADER_BYTES : 0;
        tlep_cbor_map(w, 4);
        tlep_cbor_pair_text(w, KEY_REGION_NAME, region->name);
        tlep_cbor_pair(w, KEY_REGION_KIND, (uint64_t)region->kind);
        tlep_cbor_pair(w, KEY_REGION_TOTAL_BYTES, region->total);
        tlep_cbor_pair(w, KEY_REGION_AVAILABLE_BYTES,
                       region->size > header ? region->size - header : 0);
    }
}

static void put_kernels(tlep_cbor_writer *w)
{
    tlep_cbor_key(w, KEY_HELLO_REPLY_KERNELS);
    tlep_cbor_array(w, TLEP_N_TYPES);
    for (uint32_t i = 0; i < TLEP_N_TYPES; i++) {
        tlep_cbor_uint(w, tlep_types[i]);
    }
}

static void put_bauds(tlep_cbor_writer *w, const tlep_board *b)
{
    uint32_t n_bauds = 0;
    while (b->bauds != NULL && b->bauds[n_bauds] != 0) {
        n_bauds++;
    }
    tlep_cbor_key(w, KEY_HELLO_REPLY_BAUDS);
    tlep_cbor_array(w, n_bauds);
    for (uint32_t i = 0; i < n_bauds; i++) {
        tlep_cbor_uint(w, b->bauds[i]);
    }
}

static uint32_t features(const tlep_device *d)
{
    const char *location;
    int32_t millidegrees;
    uint32_t found = FEATURE_MEMTEST | FEATURE_PROFILE;
#ifdef TLEP_FAULTS
    found |= FEATURE_FAULT;
#endif
    found |= d->model.n_arenas > 0 ? FEATURE_UPLOAD : 0;
    found |= hal_temperature(0, &location, &millidegrees) ? FEATURE_TEMPERATURE : 0;
    found |= d->board->cycle_counter ? FEATURE_CYCLES : 0;
    found |= d->board->led ? FEATURE_IDENTIFY : 0;
    return found;
}

int tlep_op_hello(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const tlep_board *b = d->board;
    uint32_t major;
    if (!tlep_request_u32(q, KEY_HELLO_REQUEST_HOST_MAJOR, &major)) {
        return tlep_bad_message(err, "the host's major version is missing");
    }
    if (major != TLEP_PROTOCOL_MAJOR) {
        return tlep_fail(err, TLEP_E_VERSION, "this board speaks another major version",
                         TLEP_PROTOCOL_MAJOR, major);
    }
    tlep_cbor_key(w, KEY_HELLO_REPLY_PROTOCOL);
    tlep_cbor_array(w, 2);
    tlep_cbor_uint(w, TLEP_PROTOCOL_MAJOR);
    tlep_cbor_uint(w, TLEP_PROTOCOL_MINOR);
    tlep_cbor_key(w, KEY_HELLO_REPLY_UID);
    tlep_cbor_bytes(w, b->uid, b->uid_bytes);
    tlep_cbor_put_text(w, KEY_HELLO_REPLY_PLATFORM, b->platform);
    tlep_cbor_put_text(w, KEY_HELLO_REPLY_FIRMWARE_VERSION, TLEP_VERSION);
    tlep_cbor_put_text(w, KEY_HELLO_REPLY_FIRMWARE_GIT_HASH, TLEP_GIT_HASH);
    tlep_cbor_put_text(w, KEY_HELLO_REPLY_TOOLCHAIN, b->toolchain);
    tlep_cbor_put(w, KEY_HELLO_REPLY_CLOCK_HZ, b->clock_hz);
    put_timer(w, b);
    tlep_cbor_put_bool(w, KEY_HELLO_REPLY_EMULATED, b->emulated);
    tlep_cbor_put(w, KEY_HELLO_REPLY_BOOT_ID, d->boot_id);
    put_memory(w, b);
    put_kernels(w);
    tlep_cbor_put(w, KEY_HELLO_REPLY_MAX_PAYLOAD_BYTES, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(w, KEY_HELLO_REPLY_RX_WINDOW_BYTES, b->rx_window);
    put_bauds(w, b);
    put_flash_model(w, &d->model);
    put_ram_model(w, &d->model);
    tlep_cbor_put(w, KEY_HELLO_REPLY_FEATURES, features(d));
    tlep_cbor_put(w, KEY_HELLO_REPLY_N_CTX_MAX, TLEP_N_CTX_MAX);
    tlep_cbor_put(w, KEY_HELLO_REPLY_UNHASHED_BYTES, tlep_slot_unhashed(&d->model.slot));
    return TLEP_OK;
}

int tlep_op_ping(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t echo = 0;
    (void)err;
    (void)tlep_request_u32(q, KEY_PING_REQUEST_ECHO, &echo);
    tlep_cbor_put(w, KEY_PING_REPLY_ECHO, echo);
    tlep_cbor_put(w, KEY_PING_REPLY_TIME_US, tlep_time_us());
    tlep_cbor_put(w, KEY_PING_REPLY_BOOT_ID, d->boot_id);
    return TLEP_OK;
}

int tlep_op_baud(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t baud;
    (void)w;
    if (!tlep_request_u32(q, KEY_BAUD_REQUEST_BAUD, &baud)) {
        return tlep_bad_message(err, "baud is missing");
    }
    for (const uint32_t *b = d->board->bauds; b != NULL && *b != 0; b++) {
        if (*b == baud) {
            tlep_link_set_baud(&d->link, baud);
            return TLEP_OK;
        }
    }
    return tlep_fail(err, TLEP_E_BAUD, "this UART cannot make that rate", baud, 0);
}

static void put_region(tlep_cbor_writer *w, const char *name, tlep_region_kind kind, uint32_t total,
                       uint32_t used, uint32_t high_water)
{
    tlep_cbor_map(w, 5);
    tlep_cbor_pair_text(w, KEY_REGION_USE_NAME, name);
    tlep_cbor_pair(w, KEY_REGION_USE_KIND, (uint64_t)kind);
    tlep_cbor_pair(w, KEY_REGION_USE_TOTAL_BYTES, total);
    tlep_cbor_pair(w, KEY_REGION_USE_USED_BYTES, used);
    tlep_cbor_pair(w, KEY_REGION_USE_HIGH_WATER_BYTES, high_water);
}

static void put_regions(tlep_device *d, tlep_cbor_writer *w)
{
    const tlep_board *b = d->board;
    uint32_t stack_total, stack_used, stack_high_water, arena = 0;
    bool has_stack = tlep_stack_use(&stack_total, &stack_used, &stack_high_water);
    tlep_cbor_array(w, b->n_regions + (has_stack ? 1 : 0));
    for (uint32_t i = 0; i < b->n_regions; i++) {
        const tlep_region *region = &b->regions[i];
        if (region->kind == TLEP_REGION_RAM) {
            /* `total` counts the RAM of the firmware itself, so `used` does too */
            uint32_t own = region->total - region->size;
            const tlep_arena *a = &d->model.arenas[arena++];
            put_region(w, region->name, region->kind, region->total, own + a->used,
                       own + a->high_water);
        } else {
            uint32_t used = d->model.slot.verified ? d->model.slot.size + TLEP_SLOT_HEADER_BYTES : 0;
            used += region->total - region->size;
            put_region(w, region->name, region->kind, region->total, used, used);
        }
    }
    if (has_stack) {
        put_region(w, "stack", TLEP_REGION_STACK, stack_total, stack_used, stack_high_water);
    }
}

static void put_link(const tlep_device *d, tlep_cbor_writer *w)
{
    tlep_cbor_key(w, KEY_STATS_REPLY_LINK);
    tlep_cbor_map(w, 5);
    tlep_cbor_pair(w, KEY_LINK_COUNTERS_RX_FRAMES, d->link.receiver.frames);
    tlep_cbor_pair(w, KEY_LINK_COUNTERS_RX_ERRORS, d->link.receiver.errors);
    tlep_cbor_pair(w, KEY_LINK_COUNTERS_RX_OVERRUNS, hal_uart_rx_overruns());
    tlep_cbor_pair(w, KEY_LINK_COUNTERS_TX_FRAMES, d->link.tx_frames);
    tlep_cbor_pair(w, KEY_LINK_COUNTERS_TX_DROPPED_EVENTS, d->link.tx_dropped_events);
}

static void put_temperatures(const tlep_device *d, tlep_cbor_writer *w)
{
    uint32_t n = 0;
    const char *location;
    int32_t millidegrees;
    while (n < TEMPERATURES_MAX && hal_temperature(n, &location, &millidegrees)) {
        n++;
    }
    if (n > 0) {
        tlep_cbor_key(w, KEY_STATS_REPLY_TEMPERATURES);
        tlep_cbor_array(w, n);
        for (uint32_t i = 0; i < n && hal_temperature(i, &location, &millidegrees); i++) {
            tlep_cbor_array(w, 2);
            tlep_cbor_text(w, location);
            tlep_cbor_int(w, millidegrees);
        }
        tlep_cbor_put_bool(w, KEY_STATS_REPLY_TEMPERATURE_EMULATED, d->board->temperature_emulated);
    }
}

int tlep_op_stats(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    (void)q;
    (void)err;
    uint64_t now = tlep_time_us();
    tlep_cbor_put(w, KEY_STATS_REPLY_UPTIME_US, now);
    tlep_cbor_put(w, KEY_STATS_REPLY_IDLE_US, d->idle_us);
    tlep_cbor_put(w, KEY_STATS_REPLY_BUSY_US, now - d->idle_us);
    tlep_cbor_put(w, KEY_STATS_REPLY_BOOT_ID, d->boot_id);
    tlep_cbor_key(w, KEY_STATS_REPLY_REGIONS);
    put_regions(d, w);
    put_link(d, w);
    put_temperatures(d, w);
    tlep_cbor_put(w, KEY_STATS_REPLY_STATE, tlep_run_active(&d->run) ? 1 : 0);
    return TLEP_OK;
}

int tlep_op_reset(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    (void)q;
    (void)w;
    (void)err;
    tlep_link_reset(&d->link);
    return TLEP_OK;
}

/* The arena of HELLO's memory region `index`; NULL when there is no such region, or it is no
 * RAM. */
static const tlep_arena *find_arena(const tlep_device *d, uint32_t index)
{
    const tlep_board *b = d->board;
    const tlep_arena *arena = d->model.arenas;
    if (index >= b->n_regions || b->regions[index].kind != TLEP_REGION_RAM) {
        return NULL;
    }
    for (uint32_t i = 0; i < index; i++) {
        arena += b->regions[i].kind == TLEP_REGION_RAM ? 1 : 0;
    }
    return arena;
}

int tlep_op_memtest(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t region, offset, bytes, pass;
    tlep_memtest_bad bad;
    if (!tlep_request_u32(q, KEY_MEMTEST_REQUEST_REGION, &region) ||
        !tlep_request_u32(q, KEY_MEMTEST_REQUEST_OFFSET, &offset) ||
        !tlep_request_u32(q, KEY_MEMTEST_REQUEST_LENGTH_BYTES, &bytes) ||
        !tlep_request_u32(q, KEY_MEMTEST_REQUEST_PASS_NUMBER, &pass)) {
        return tlep_bad_message(err, "MEMTEST needs region, offset, length and pass");
    }
    const tlep_arena *arena = find_arena(d, region);
    if (arena == NULL || pass > TLEP_MEMTEST_CHECK) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such RAM region, or no such pass", region,
                         pass);
    }
    if (offset % 4 != 0 || bytes % 4 != 0 || offset > arena->size || bytes > arena->size - offset) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "not whole words inside the region", offset,
                         arena->size);
    }
    if (bytes > TLEP_MEMTEST_MAX_BYTES) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "too long a piece", bytes,
                         TLEP_MEMTEST_MAX_BYTES);
    }
    int code = tlep_check_epoch(d, q, KEY_MEMTEST_REQUEST_EPOCH, err);
    if (code != TLEP_OK) {
        return code;
    }
    tlep_run_forget(&d->run);
    tlep_model_clear(&d->model);
    bool good = tlep_memtest(arena, offset, bytes, (tlep_memtest_pass)pass, &bad);
    tlep_cbor_put_bool(w, KEY_MEMTEST_REPLY_PASSED, good);
    if (!good) {
        tlep_cbor_put(w, KEY_MEMTEST_REPLY_OFFSET, bad.offset);
        tlep_cbor_put(w, KEY_MEMTEST_REPLY_EXPECTED, bad.expected);
        tlep_cbor_put(w, KEY_MEMTEST_REPLY_GOT, bad.got);
    }
    return TLEP_OK;
}

int tlep_op_identify(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t ms;
    (void)w;
    if (!tlep_request_u32(q, KEY_IDENTIFY_REQUEST_DURATION_MS, &ms)) {
        return tlep_bad_message(err, "IDENTIFY needs a duration");
    }
    if (ms > TLEP_IDENTIFY_MAX_MS) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "too long a time to blink, in ms", ms,
                         TLEP_IDENTIFY_MAX_MS);
    }
    if (!d->board->led) {
        return tlep_fail(err, TLEP_E_UNSUPPORTED, "this board has no LED to blink", 0, 0);
    }
    tlep_identify_begin(&d->identify, ms);
    return TLEP_OK;
}

#ifdef TLEP_FAULTS
int tlep_op_fault(tlep_device *d, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t kind, parameter = 0;
    (void)d;
    if (!tlep_request_u32(q, KEY_FAULT_REQUEST_FAULT, &kind)) {
        return tlep_bad_message(err, "fault is missing");
    }
    (void)tlep_request_u32(q, KEY_FAULT_REQUEST_PARAMETER, &parameter);
    if (!tlep_fault_set(kind, parameter)) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such fault", kind, TLEP_FAULT_LAST);
    }
    tlep_cbor_put_bool(w, KEY_FAULT_REPLY_ACCEPTED, true);
    return TLEP_OK;
}
#endif
