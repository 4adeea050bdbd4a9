/* Whatever comes over the line, the board survives it, and answers each intact request once.
 *
 *   input   :=  0 bytes              raw, as they come over the line
 *            |  1 record*
 *   record  :=  head:u8 size:u16 bytes[size]
 *   head    :=  what (low 3 bits) | REPEAT | SILENCE
 *
 * A record is framed here, with the right CRC, because no fuzzer guesses one. One `what` is noise,
 * which is not framed; two put a whole model there, because no fuzzer guesses a SHA-256 either. */
#include <string.h>

#include "board.h"
#include "link/cbor.h"
#include "link/frame.h"
#include "link/keys.h"
#include "host.h"
#include "platform/sha256.h"

enum { NOISE = 0, UPLOAD = 7, FLASH = 6, REPEAT = 0x40, SILENCE = 0x80, WHAT = 7 };
enum { N_CTX = 16, CHUNK_BYTES = 960, TURN_BYTES = 2048, SILENCE_US = 1100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t seq;

static void send(tlep_kind kind, const uint8_t *payload, uint32_t bytes)
{
    static uint8_t wire[TLEP_MAX_WIRE];
    uint32_t before = fuzz_host_replies();
    memcpy(wire + TLEP_PAYLOAD_AT, payload, bytes);
    fuzz_line(wire, tlep_frame_build(wire, kind, seq, bytes));
    uint32_t expected = kind == TLEP_REQ ? 1 : 0;
    fuzz_check(fuzz_host_replies() == before + expected &&
               (expected == 0 || fuzz_host_last_seq() == seq));
}

/* A request that names a model by its hash, which stands under the same key in all three. */
static void begin(tlep_cbor_writer *w, uint8_t *payload, uint32_t op, const uint8_t *sha256)
{
    tlep_cbor_begin(w, payload, TLEP_MAX_PAYLOAD);
    tlep_cbor_put(w, KEY_OP, op);
    tlep_cbor_key(w, KEY_UPLOAD_REQUEST_SHA256);
    tlep_cbor_bytes(w, sha256, TLEP_SHA256_BYTES);
}

static void request(const uint8_t *payload, const tlep_cbor_writer *w)
{
    seq++;
    send(TLEP_REQ, payload, w->bytes);
}

static void load(const uint8_t *sha256)
{
    uint8_t payload[TLEP_MAX_PAYLOAD];
    tlep_cbor_writer w;
    begin(&w, payload, OP_LOAD, sha256);
    tlep_cbor_put(&w, KEY_LOAD_REQUEST_N_CTX, N_CTX);
    tlep_cbor_put(&w, KEY_LOAD_REQUEST_KV_TYPE, 1);
    tlep_cbor_put(&w, KEY_LOAD_REQUEST_EPOCH, 1);
    request(payload, &w);
}

static void upload(const uint8_t *model, uint32_t size)
{
    uint8_t payload[TLEP_MAX_PAYLOAD];
    uint8_t sha256[TLEP_SHA256_BYTES];
    tlep_cbor_writer w;
    tlep_sha256(model, size, sha256);
    begin(&w, payload, OP_UPLOAD, sha256);
    tlep_cbor_put(&w, KEY_UPLOAD_REQUEST_SIZE_BYTES, size);
    tlep_cbor_put(&w, KEY_UPLOAD_REQUEST_EPOCH, 1);
    request(payload, &w);
    for (uint32_t at = 0; at < size; at += CHUNK_BYTES) {
        tlep_cbor_begin(&w, payload, TLEP_MAX_PAYLOAD);
        tlep_cbor_put(&w, KEY_UPLOAD_DATA_OFFSET, at);
        tlep_cbor_key(&w, KEY_UPLOAD_DATA_CONTENT);
        tlep_cbor_bytes(&w, model + at, size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES);
        send(TLEP_DATA, payload, w.bytes);
    }
    begin(&w, payload, OP_VERIFY, sha256);
    request(payload, &w);
    load(sha256);
}

static void flash(const uint8_t *model, uint32_t size)
{
    uint8_t sha256[TLEP_SHA256_BYTES];
    uint32_t n = size < FUZZ_SLOT_MAX_BYTES ? size : FUZZ_SLOT_MAX_BYTES;
    tlep_sha256(model, n, sha256);
    fuzz_power_on(model, n);
    load(sha256);
}

static void noise(const uint8_t *bytes, uint32_t n)
{
    for (uint32_t at = 0; at < n; at += TURN_BYTES) {
        fuzz_line(bytes + at, n - at < TURN_BYTES ? n - at : TURN_BYTES);
    }
}

static void play(uint8_t head, const uint8_t *bytes, uint32_t n)
{
    if ((head & SILENCE) != 0) {
        fuzz_silence(SILENCE_US);
    }
    switch (head & WHAT) {
    case NOISE: noise(bytes, n); break;
    case UPLOAD: upload(bytes, n); break;
    case FLASH: flash(bytes, n); break;
    default:
        seq = (uint16_t)(seq + ((head & REPEAT) == 0 ? 1 : 0));
        send((tlep_kind)(head & WHAT), bytes, n < TLEP_MAX_PAYLOAD ? n : TLEP_MAX_PAYLOAD);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    seq = 0;
    fuzz_power_on(NULL, 0);
    uint32_t left = (uint32_t)size - 1;
    const uint8_t *at = data + 1;
    if (data[0] != 1) {
        noise(at, left);
        left = 0;
    }
    while (left >= 3) {
        uint32_t n = (uint32_t)at[1] | (uint32_t)at[2] << 8;
        n = n < left - 3 ? n : left - 3;
        play(at[0], at + 3, n);
        at += 3 + n;
        left -= 3 + n;
    }
    fuzz_finish();
    return 0;
}
