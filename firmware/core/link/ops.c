/* The operations of docs/link-protocol.md, section 4. Each handler reads its keys from the request, appends
 * its reply's keys, and leaves everything as it was when it refuses. */
#include <string.h>

#include "platform/fault.h"
#include "link/link.h"
#include "platform/memtest.h"
#include "platform/stack.h"
#include "platform/timer.h"
#include "version.h"

enum {
    OP_HELLO = 1,
    OP_PING = 2,
    OP_BAUD = 3,
    OP_UPLOAD = 4,
    OP_VERIFY = 5,
    OP_LOAD = 6,
    OP_PROMPT = 7,
    OP_RUN = 8,
    OP_SCORE = 9,
    OP_RESULT = 10,
    OP_STATS = 11,
    OP_CANCEL = 12,
    OP_RESET = 13,
    OP_MEMTEST = 14,
    OP_IDENTIFY = 15,
    OP_FAULT = 64
};
enum {
    FEATURE_FAULT = 1,
    FEATURE_UPLOAD = 2,
    FEATURE_TEMPERATURE = 4,
    FEATURE_CYCLES = 8,
    FEATURE_MEMTEST = 16,
    FEATURE_IDENTIFY = 32
};
enum { RESULT_ENTRIES_MAX = 64, RESULT_ENTRY_BYTES_MAX = 11, TEMPERATURES_MAX = 4 };

static int bad_message(tlep_error *err, const char *what)
{
    return tlep_fail(err, TLEP_E_BAD_MESSAGE, what, 0, 0);
}

static bool find_u32(const tlep_request *q, uint32_t key, uint32_t *value)
{
    return tlep_cbor_find_u32(q->payload, q->bytes, key, value);
}

static bool find_hash(const tlep_request *q, const uint8_t **hash)
{
    uint32_t n;
    return tlep_cbor_find_bytes(q->payload, q->bytes, 1, hash, &n) && n == TLEP_SHA256_BYTES;
}

/* The fence: an epoch older than one seen since boot belongs to a host that has lost its lease. */
static int check_epoch(tlep_link *l, const tlep_request *q, uint32_t key, tlep_error *err)
{
    uint64_t epoch;
    if (!tlep_cbor_find_u64(q->payload, q->bytes, key, &epoch)) {
        return bad_message(err, "epoch is missing");
    }
    if (epoch < l->epoch) {
        return tlep_fail(err, TLEP_E_STALE_EPOCH, "a newer lease holder has spoken to this board", (uint32_t)epoch,
                         (uint32_t)l->epoch);
    }
    l->epoch = epoch;
    return TLEP_OK;
}

static void put_text(tlep_cbor_writer *w, uint32_t key, const char *text)
{
    tlep_cbor_key(w, key);
    tlep_cbor_text(w, text);
}

/* A model as HELLO's keys 16 and 17 show it; with its progress when it is an upload. */
static void put_model(tlep_cbor_writer *w, uint32_t key, const uint8_t *hash, uint32_t size, const uint32_t *next)
{
    tlep_cbor_key(w, key);
    if (size == 0) {
        tlep_cbor_null(w);
        return;
    }
    tlep_cbor_map(w, next != NULL ? 3 : 2);
    tlep_cbor_uint(w, 1);
    tlep_cbor_bytes(w, hash, TLEP_SHA256_BYTES);
    tlep_cbor_uint(w, 2);
    tlep_cbor_uint(w, size);
    if (next != NULL) {
        tlep_cbor_uint(w, 3);
        tlep_cbor_uint(w, *next);
    }
}

static int op_hello(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const tlep_board *b = l->board;
    uint32_t major, n_bauds = 0, features = 0;
    const char *location;
    int32_t millidegrees;
    if (!find_u32(q, 1, &major)) {
        return bad_message(err, "the host's major version is missing");
    }
    if (major != TLEP_PROTOCOL_MAJOR) {
        return tlep_fail(err, TLEP_E_VERSION, "this board speaks another major version", TLEP_PROTOCOL_MAJOR, major);
    }
    tlep_cbor_key(w, 1);
    tlep_cbor_array(w, 2);
    tlep_cbor_uint(w, TLEP_PROTOCOL_MAJOR);
    tlep_cbor_uint(w, TLEP_PROTOCOL_MINOR);
    tlep_cbor_key(w, 2);
    tlep_cbor_bytes(w, b->uid, b->uid_bytes);
    put_text(w, 3, b->platform);
    put_text(w, 4, TLEP_VERSION);
    put_text(w, 5, TLEP_GIT_HASH);
    put_text(w, 6, b->toolchain);
    tlep_cbor_put(w, 7, b->clock_hz);
    tlep_cbor_key(w, 8);
    tlep_cbor_map(w, 2);
    tlep_cbor_uint(w, 1);
    tlep_cbor_text(w, b->timer_name);
    tlep_cbor_uint(w, 2);
    tlep_cbor_uint(w, (1000000000U + b->timer_hz - 1) / b->timer_hz);
    tlep_cbor_key(w, 9);
    tlep_cbor_bool(w, b->emulated);
    tlep_cbor_put(w, 10, l->boot_id);
    tlep_cbor_key(w, 11);
    tlep_cbor_array(w, b->n_regions);
    for (uint32_t i = 0; i < b->n_regions; i++) {
        const tlep_region *region = &b->regions[i];
        uint32_t header = region->kind == TLEP_REGION_FLASH ? TLEP_SLOT_HEADER_BYTES : 0;
        tlep_cbor_map(w, 4);
        tlep_cbor_uint(w, 1);
        tlep_cbor_text(w, region->name);
        tlep_cbor_uint(w, 2);
        tlep_cbor_uint(w, (uint64_t)region->kind);
        tlep_cbor_uint(w, 3);
        tlep_cbor_uint(w, region->total);
        tlep_cbor_uint(w, 4);
        tlep_cbor_uint(w, region->size > header ? region->size - header : 0);
    }
    tlep_cbor_key(w, 12);
    tlep_cbor_array(w, TLEP_N_TYPES);
    for (uint32_t i = 0; i < TLEP_N_TYPES; i++) {
        tlep_cbor_uint(w, tlep_types[i]);
    }
    tlep_cbor_put(w, 13, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(w, 14, b->rx_window);
    while (b->bauds != NULL && b->bauds[n_bauds] != 0) {
        n_bauds++;
    }
    tlep_cbor_key(w, 15);
    tlep_cbor_array(w, n_bauds);
    for (uint32_t i = 0; i < n_bauds; i++) {
        tlep_cbor_uint(w, b->bauds[i]);
    }
    put_model(w, 16, l->model.slot.sha256, l->model.has_slot ? l->model.slot.size : 0, NULL);
    put_model(w, 17, l->model.upload.sha256, l->model.upload.size, &l->model.upload.next_offset);
#ifdef TLEP_FAULTS
    features |= FEATURE_FAULT;
#endif
    features |= l->model.n_arenas > 0 ? FEATURE_UPLOAD : 0;
    features |= hal_temperature(0, &location, &millidegrees) ? FEATURE_TEMPERATURE : 0;
    features |= b->cycle_counter ? FEATURE_CYCLES : 0;
    features |= FEATURE_MEMTEST;
    features |= b->led ? FEATURE_IDENTIFY : 0;
    tlep_cbor_put(w, 18, features);
    tlep_cbor_put(w, 19, TLEP_N_CTX_MAX);
    return TLEP_OK;
}

static int op_ping(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t echo = 0;
    (void)err;
    (void)find_u32(q, 1, &echo);
    tlep_cbor_put(w, 1, echo);
    tlep_cbor_put(w, 2, tlep_time_us());
    tlep_cbor_put(w, 3, l->boot_id);
    return TLEP_OK;
}

static int op_baud(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t baud;
    (void)w;
    if (!find_u32(q, 1, &baud)) {
        return bad_message(err, "baud is missing");
    }
    for (const uint32_t *b = l->board->bauds; b != NULL && *b != 0; b++) {
        if (*b == baud) {
            l->baud = baud; /* link.c switches once the reply has left */
            return TLEP_OK;
        }
    }
    return tlep_fail(err, TLEP_E_BAUD, "this UART cannot make that rate", baud, 0);
}

static int op_upload(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    uint32_t size;
    if (!find_hash(q, &hash) || !find_u32(q, 2, &size)) {
        return bad_message(err, "UPLOAD needs sha256 and size");
    }
    int code = check_epoch(l, q, 3, err);
    if (code == TLEP_OK) {
        code = tlep_model_upload(&l->model, hash, size, err);
        l->run.id = 0;
        l->run.n_prompt = 0;
    }
    if (code == TLEP_OK) {
        l->gap_told = false;
        l->unacked_bytes = 0;
        tlep_cbor_put(w, 1, l->model.upload.next_offset);
    }
    return code;
}

static int op_verify(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    if (!find_hash(q, &hash)) {
        return bad_message(err, "VERIFY needs sha256");
    }
    int code = tlep_model_verify(&l->model, hash, err);
    if (code == TLEP_OK) {
        tlep_cbor_put(w, 1, l->model.upload.size);
    }
    return code;
}

static void put_placement(tlep_cbor_writer *w, const char *category, const char *region, uint32_t bytes)
{
    tlep_cbor_map(w, 3);
    tlep_cbor_uint(w, 1);
    tlep_cbor_text(w, category);
    tlep_cbor_uint(w, 2);
    tlep_cbor_text(w, region);
    tlep_cbor_uint(w, 3);
    tlep_cbor_uint(w, bytes);
}

static int op_load(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const uint8_t *hash;
    uint32_t n_ctx, kv;
    tlep_model *m = &l->model;
    if (!find_hash(q, &hash) || !find_u32(q, 2, &n_ctx) || !find_u32(q, 3, &kv)) {
        return bad_message(err, "LOAD needs sha256, n_ctx and kv_type");
    }
    if (kv != TLEP_KV_F32 && kv != TLEP_KV_F16) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "KV cache type is neither F32 nor F16", kv, TLEP_KV_F16);
    }
    if (n_ctx > TLEP_N_CTX_MAX) {
        return tlep_fail(err, TLEP_E_CONTEXT, "context is longer than this firmware supports", n_ctx, TLEP_N_CTX_MAX);
    }
    int code = check_epoch(l, q, 4, err);
    if (code != TLEP_OK) {
        return code;
    }
    uint64_t before = tlep_time_us();
    l->run.id = 0;
    l->run.n_prompt = 0;
    code = tlep_model_load(m, hash, n_ctx, (tlep_kv_type)kv, err);
    if (code != TLEP_OK) {
        return code;
    }
    tlep_cbor_put(w, 1, tlep_time_us() - before);
    tlep_cbor_put(w, 2, m->from_flash ? 1 : 0);
    tlep_cbor_key(w, 3);
    tlep_cbor_array(w, 1 + TLEP_N_PLACEMENTS);
    put_placement(w, "weights", m->weight_region, m->weight_bytes);
    for (uint32_t i = 0; i < TLEP_N_PLACEMENTS; i++) {
        const tlep_placement *p = &m->llama.placements[i];
        put_placement(w, p->category, m->arenas[p->arena].name, p->bytes);
    }
    tlep_cbor_put(w, 4, m->llama.hp.n_vocab);
    tlep_cbor_put(w, 5, m->gguf.parameters);
    return TLEP_OK;
}

static int op_prompt(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t offset;
    tlep_cbor_item array;
    if (!find_u32(q, 1, &offset) || !tlep_cbor_find_array(q->payload, q->bytes, 2, &array)) {
        return bad_message(err, "PROMPT needs offset and token ids");
    }
    if (offset == 0) {
        l->run.n_prompt = 0;
    }
    const uint8_t *at = array.data;
    for (uint64_t i = 0; i < array.value; i++) {
        uint32_t token;
        if (!tlep_cbor_next_u32(&at, q->payload + q->bytes, &token)) {
            return bad_message(err, "a token id is not an unsigned integer");
        }
        int code = tlep_run_stage(&l->run, offset + (uint32_t)i, token, err);
        if (code != TLEP_OK) {
            return code;
        }
    }
    tlep_cbor_put(w, 1, l->run.n_prompt);
    return TLEP_OK;
}

static int op_run(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t id, n_gen;
    tlep_cbor_item stream = {.value = 21};
    if (!find_u32(q, 1, &id) || !find_u32(q, 2, &n_gen)) {
        return bad_message(err, "RUN needs run_id and n_gen");
    }
    if (n_gen == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "n_gen is 0", 0, 1);
    }
    int code = check_epoch(l, q, 3, err);
    if (code == TLEP_OK) {
        (void)tlep_cbor_find(q->payload, q->bytes, 4, &stream);
        code = tlep_run_begin(&l->run, id, n_gen, stream.value == 21, l->idle_us, err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, 1, id);
    }
    return code;
}

static int op_score(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t id;
    if (!find_u32(q, 1, &id)) {
        return bad_message(err, "SCORE needs run_id");
    }
    int code = check_epoch(l, q, 2, err);
    if (code == TLEP_OK) {
        code = tlep_run_begin(&l->run, id, 0, false, l->idle_us, err);
    }
    if (code == TLEP_OK) {
        tlep_cbor_put(w, 1, id);
    }
    return code;
}

static int op_result(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    const tlep_run *r = &l->run;
    uint32_t id, first, count;
    if (!find_u32(q, 1, &id) || !find_u32(q, 2, &first) || !find_u32(q, 3, &count)) {
        return bad_message(err, "RESULT needs run_id, first and count");
    }
    if (id == 0 || id != r->id) {
        return tlep_fail(err, TLEP_E_NO_RUN, "this board knows no such run", id, r->id);
    }
    if (first > r->n_entries || count > RESULT_ENTRIES_MAX) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such entries", first, r->n_entries);
    }
    uint32_t room = (TLEP_MAX_PAYLOAD - 96) / RESULT_ENTRY_BYTES_MAX;
    uint32_t n = r->n_entries - first;
    n = n < count ? n : count;
    n = n < room ? n : room;
    tlep_cbor_put(w, 1, (uint64_t)r->state);
    tlep_cbor_put(w, 2, r->n_entries);
    tlep_cbor_put(w, 3, l->boot_id);
    tlep_cbor_put(w, 4, r->start_us);
    tlep_cbor_put(w, 5, r->n_entries > 0 && !r->scoring ? tlep_run_prefill_us(r) : 0);
    tlep_cbor_key(w, 6);
    tlep_cbor_array(w, n);
    for (uint32_t i = first; i < first + n; i++) {
        tlep_cbor_array(w, 2);
        tlep_cbor_uint(w, r->entries[i].token);
        if (r->scoring) {
            tlep_cbor_float(w, r->entries[i].of.log_likelihood);
        } else {
            tlep_cbor_uint(w, r->entries[i].of.us);
        }
    }
    tlep_cbor_put(w, 7, r->end_us);
    tlep_cbor_put(w, 9, r->idle_us);
    return TLEP_OK;
}

static void put_region(tlep_cbor_writer *w, const char *name, tlep_region_kind kind, uint32_t total, uint32_t used,
                       uint32_t high_water)
{
    tlep_cbor_map(w, 5);
    tlep_cbor_uint(w, 1);
    tlep_cbor_text(w, name);
    tlep_cbor_uint(w, 2);
    tlep_cbor_uint(w, (uint64_t)kind);
    tlep_cbor_uint(w, 3);
    tlep_cbor_uint(w, total);
    tlep_cbor_uint(w, 4);
    tlep_cbor_uint(w, used);
    tlep_cbor_uint(w, 5);
    tlep_cbor_uint(w, high_water);
}

static void put_regions(tlep_link *l, tlep_cbor_writer *w)
{
    const tlep_board *b = l->board;
    uint32_t stack_total, stack_used, stack_high_water, arena = 0;
    bool has_stack = tlep_stack_use(&stack_total, &stack_used, &stack_high_water);
    tlep_cbor_array(w, b->n_regions + (has_stack ? 1 : 0));
    for (uint32_t i = 0; i < b->n_regions; i++) {
        const tlep_region *region = &b->regions[i];
        if (region->kind == TLEP_REGION_RAM) {
            /* `total` counts what the firmware itself takes, so used does too */
            uint32_t own = region->total - region->size;
            const tlep_arena *a = &l->model.arenas[arena++];
            put_region(w, region->name, region->kind, region->total, own + a->used, own + a->high_water);
        } else {
            uint32_t used = l->model.has_slot ? l->model.slot.size + TLEP_SLOT_HEADER_BYTES : 0;
            used += region->total - region->size;
            put_region(w, region->name, region->kind, region->total, used, used);
        }
    }
    if (has_stack) {
        put_region(w, "stack", TLEP_REGION_STACK, stack_total, stack_used, stack_high_water);
    }
}

static int op_stats(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    (void)q;
    (void)err;
    uint64_t now = tlep_time_us();
    uint32_t n = 0;
    const char *location;
    int32_t millidegrees;
    tlep_cbor_put(w, 1, now);
    tlep_cbor_put(w, 2, l->idle_us);
    tlep_cbor_put(w, 3, now - l->idle_us);
    tlep_cbor_put(w, 4, l->boot_id);
    tlep_cbor_key(w, 5);
    put_regions(l, w);
    tlep_cbor_key(w, 6);
    tlep_cbor_map(w, 5);
    tlep_cbor_uint(w, 1);
    tlep_cbor_uint(w, l->receiver.frames);
    tlep_cbor_uint(w, 2);
    tlep_cbor_uint(w, l->receiver.errors);
    tlep_cbor_uint(w, 3);
    tlep_cbor_uint(w, hal_uart_rx_overruns());
    tlep_cbor_uint(w, 4);
    tlep_cbor_uint(w, l->tx_frames);
    tlep_cbor_uint(w, 5);
    tlep_cbor_uint(w, l->tx_dropped_events);
    while (n < TEMPERATURES_MAX && hal_temperature(n, &location, &millidegrees)) {
        n++;
    }
    if (n > 0) {
        tlep_cbor_key(w, 7);
        tlep_cbor_array(w, n);
        for (uint32_t i = 0; i < n && hal_temperature(i, &location, &millidegrees); i++) {
            tlep_cbor_array(w, 2);
            tlep_cbor_text(w, location);
            tlep_cbor_int(w, millidegrees);
        }
        tlep_cbor_key(w, 8);
        tlep_cbor_bool(w, l->board->temperature_emulated);
    }
    tlep_cbor_put(w, 9, tlep_run_active(&l->run) ? 1 : 0);
    return TLEP_OK;
}

static int op_cancel(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    int code = check_epoch(l, q, 1, err);
    if (code != TLEP_OK) {
        return code;
    }
    bool running = tlep_run_active(&l->run);
    if (running) {
        tlep_run_end(&l->run, TLEP_RUN_CANCELLED, l->idle_us);
    }
    tlep_cbor_key(w, 1);
    tlep_cbor_bool(w, running);
    return TLEP_OK;
}

static int op_reset(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    (void)q;
    (void)w;
    (void)err;
    l->reset_requested = true; /* link.c restarts once the reply has left */
    return TLEP_OK;
}

/* The arena of HELLO's memory region `index`; NULL when there is no such region, or it is no RAM. */
static const tlep_arena *find_arena(const tlep_link *l, uint32_t index)
{
    const tlep_board *b = l->board;
    const tlep_arena *arena = l->model.arenas;
    if (index >= b->n_regions || b->regions[index].kind != TLEP_REGION_RAM) {
        return NULL;
    }
    for (uint32_t i = 0; i < index; i++) {
        arena += b->regions[i].kind == TLEP_REGION_RAM ? 1 : 0;
    }
    return arena;
}

static int op_memtest(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t region, offset, bytes, pass;
    tlep_memtest_bad bad;
    if (!find_u32(q, 1, &region) || !find_u32(q, 2, &offset) || !find_u32(q, 3, &bytes) || !find_u32(q, 4, &pass)) {
        return bad_message(err, "MEMTEST needs region, offset, length and pass");
    }
    const tlep_arena *arena = find_arena(l, region);
    if (arena == NULL || pass > TLEP_MEMTEST_CHECK) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such RAM region, or no such pass", region, pass);
    }
    if (offset % 4 != 0 || bytes % 4 != 0 || offset > arena->size || bytes > arena->size - offset) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "not whole words inside the region", offset, arena->size);
    }
    if (bytes > TLEP_MEMTEST_MAX_BYTES) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "too long a piece", bytes, TLEP_MEMTEST_MAX_BYTES);
    }
    int code = check_epoch(l, q, 5, err);
    if (code != TLEP_OK) {
        return code;
    }
    l->run.id = 0;
    l->run.n_prompt = 0;
    tlep_model_clear(&l->model);
    bool good = tlep_memtest(arena, offset, bytes, (tlep_memtest_pass)pass, &bad);
    tlep_cbor_key(w, 1);
    tlep_cbor_bool(w, good);
    if (!good) {
        tlep_cbor_put(w, 2, bad.offset);
        tlep_cbor_put(w, 3, bad.expected);
        tlep_cbor_put(w, 4, bad.got);
    }
    return TLEP_OK;
}

static int op_identify(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t ms;
    (void)w;
    if (!find_u32(q, 1, &ms)) {
        return bad_message(err, "IDENTIFY needs a duration");
    }
    if (ms > TLEP_IDENTIFY_MAX_MS) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "too long a time to blink, in ms", ms, TLEP_IDENTIFY_MAX_MS);
    }
    if (!l->board->led) {
        return tlep_fail(err, TLEP_E_UNSUPPORTED, "this board has no LED to blink", 0, 0);
    }
    tlep_identify_begin(&l->identify, ms);
    return TLEP_OK;
}

#ifdef TLEP_FAULTS
static int op_fault(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err)
{
    uint32_t kind, parameter = 0;
    (void)l;
    if (!find_u32(q, 1, &kind)) {
        return bad_message(err, "fault is missing");
    }
    (void)find_u32(q, 2, &parameter);
    if (!tlep_fault_set(kind, parameter)) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "no such fault", kind, TLEP_FAULT_LAST);
    }
    tlep_cbor_key(w, 1);
    tlep_cbor_bool(w, true);
    return TLEP_OK;
}
#endif

typedef int handler(tlep_link *l, const tlep_request *q, tlep_cbor_writer *w, tlep_error *err);

static const struct {
    uint32_t op;
    bool while_running;
    handler *handle;
} operations[] = {
    {OP_HELLO, true, op_hello},   {OP_PING, true, op_ping},      {OP_BAUD, false, op_baud},
    {OP_UPLOAD, false, op_upload}, {OP_VERIFY, false, op_verify}, {OP_LOAD, false, op_load},
    {OP_PROMPT, false, op_prompt}, {OP_RUN, false, op_run},       {OP_SCORE, false, op_score},
    {OP_RESULT, true, op_result},  {OP_STATS, true, op_stats},    {OP_CANCEL, true, op_cancel},
    {OP_RESET, true, op_reset},   {OP_MEMTEST, false, op_memtest}, {OP_IDENTIFY, true, op_identify},
#ifdef TLEP_FAULTS
    {OP_FAULT, true, op_fault},
#endif
};

bool tlep_op_opens(uint32_t op)
{
    return op == OP_HELLO;
}

int tlep_op(tlep_link *l, const tlep_request *request, tlep_cbor_writer *w, tlep_error *err)
{
    for (uint32_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (operations[i].op == request->op) {
            if (!operations[i].while_running && tlep_run_active(&l->run)) {
                return tlep_fail(err, TLEP_E_BUSY, "a run is in progress", 0, 0);
            }
            return operations[i].handle(l, request, w, err);
        }
    }
    return tlep_fail(err, TLEP_E_UNKNOWN_OP, "this firmware does not know the operation", request->op, 0);
}
