#include "link/cbor.h"

#include <string.h>

enum {
    MAJOR_UINT,
    MAJOR_NEGATIVE,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_SIMPLE
};
enum { MAX_DEPTH = 4, SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };
enum { MOST_IN_HEAD = 23, INFO_BYTE = 24, INFO_FLOAT32 = 26 };

/* --- writing --- */

static void put_raw(tlep_cbor_writer *w, const void *data, uint32_t n)
{
    if (n > w->capacity - w->bytes) {
        w->overflow = true;
        return;
    }
    memcpy(w->buffer + w->bytes, data, n);
    w->bytes += n;
}

/* Not inlined: at -O3 each of the functions below would hold a copy, a kilobyte of flash in all. */
static __attribute__((noinline)) void put_head(tlep_cbor_writer *w, uint8_t major, uint64_t value)
{
    uint8_t head[9];
    uint32_t extra = value < 24             ? 0
                     : value <= 0xFF        ? 1
                     : value <= 0xFFFF      ? 2
                     : value <= 0xFFFFFFFFU ? 4
                                            : 8;
    static const uint8_t info_of[9] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    head[0] = (uint8_t)((major << 5) | (extra == 0 ? (uint8_t)value : info_of[extra]));
    for (uint32_t i = 0; i < extra; i++) {
        head[1 + i] = (uint8_t)(value >> (8 * (extra - 1 - i)));
    }
    put_raw(w, head, 1 + extra);
}

void tlep_cbor_begin(tlep_cbor_writer *w, uint8_t *buffer, uint32_t capacity)
{
    w->buffer = buffer;
    w->capacity = capacity;
    w->bytes = 0;
    w->keys = 0;
    w->overflow = false;
    put_head(w, MAJOR_MAP, 0);
}

/* Count one more key in the map's head, which stands before everything written so far: it holds up
 * to 23 keys in itself, and up to 255 in a byte behind it, for which the rest moves on. */
static void count_key(tlep_cbor_writer *w)
{
    if (w->keys == UINT8_MAX || (w->keys == MOST_IN_HEAD && w->bytes == w->capacity)) {
        w->overflow = true;
        return;
    }
    if (w->keys == MOST_IN_HEAD) {
        memmove(w->buffer + 2, w->buffer + 1, w->bytes - 1);
        w->bytes++;
        w->buffer[0] = (MAJOR_MAP << 5) | INFO_BYTE;
    }
    w->keys++;
    if (w->keys > MOST_IN_HEAD) {
        w->buffer[1] = (uint8_t)w->keys;
    } else {
        w->buffer[0]++;
    }
}

void tlep_cbor_key(tlep_cbor_writer *w, uint32_t key)
{
    count_key(w);
    put_head(w, MAJOR_UINT, key);
}

void tlep_cbor_uint(tlep_cbor_writer *w, uint64_t value)
{
    put_head(w, MAJOR_UINT, value);
}

void tlep_cbor_int(tlep_cbor_writer *w, int64_t value)
{
    if (value >= 0) {
        put_head(w, MAJOR_UINT, (uint64_t)value);
    } else {
        put_head(w, MAJOR_NEGATIVE, (uint64_t)(-1 - value));
    }
}

void tlep_cbor_bytes(tlep_cbor_writer *w, const uint8_t *data, uint32_t n)
{
    put_head(w, MAJOR_BYTES, n);
    put_raw(w, data, n);
}

void tlep_cbor_text(tlep_cbor_writer *w, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    put_head(w, MAJOR_TEXT, n);
    put_raw(w, text, n);
}

void tlep_cbor_array(tlep_cbor_writer *w, uint32_t n)
{
    put_head(w, MAJOR_ARRAY, n);
}

void tlep_cbor_map(tlep_cbor_writer *w, uint32_t n)
{
    put_head(w, MAJOR_MAP, n);
}

void tlep_cbor_bool(tlep_cbor_writer *w, bool value)
{
    put_head(w, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void tlep_cbor_null(tlep_cbor_writer *w)
{
    put_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

void tlep_cbor_float(tlep_cbor_writer *w, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t wire[5] = {(MAJOR_SIMPLE << 5) | INFO_FLOAT32, (uint8_t)(bits >> 24),
                       (uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    put_raw(w, wire, sizeof wire);
}

void tlep_cbor_put(tlep_cbor_writer *w, uint32_t key, uint64_t value)
{
    tlep_cbor_key(w, key);
    tlep_cbor_uint(w, value);
}

void tlep_cbor_put_text(tlep_cbor_writer *w, uint32_t key, const char *text)
{
    tlep_cbor_key(w, key);
    tlep_cbor_text(w, text);
}

void tlep_cbor_put_bool(tlep_cbor_writer *w, uint32_t key, bool value)
{
    tlep_cbor_key(w, key);
    tlep_cbor_bool(w, value);
}

void tlep_cbor_pair(tlep_cbor_writer *w, uint32_t key, uint64_t value)
{
    tlep_cbor_uint(w, key);
    tlep_cbor_uint(w, value);
}

void tlep_cbor_pair_text(tlep_cbor_writer *w, uint32_t key, const char *text)
{
    tlep_cbor_uint(w, key);
    tlep_cbor_text(w, text);
}

/* --- reading --- */

/* Read one head; NULL when it does not fit, is indefinite or reserved. */
static const uint8_t *read_head(const uint8_t *at, const uint8_t *end, tlep_cbor_item *item)
{
    if (at >= end) {
        return NULL;
    }
    item->major = (uint8_t)(*at >> 5);
    item->info = (uint8_t)(*at & 31);
    at++;
    item->value = item->info;
    if (item->info >= 24) {
        uint32_t extra = item->info <= 27 ? 1U << (item->info - 24) : 0;
        if (extra == 0 || extra > (uint32_t)(end - at)) {
            return NULL;
        }
        item->value = 0;
        for (uint32_t i = 0; i < extra; i++) {
            item->value = (item->value << 8) | *at++;
        }
    }
    item->data = at;
    return at;
}

/* Step over one whole item; NULL when it is not one of the subset. Recursion is bounded by
 * MAX_DEPTH. */
static const uint8_t *skip(const uint8_t *at, const uint8_t *end, uint32_t depth)
{
    tlep_cbor_item item;
    at = read_head(at, end, &item);
    if (at == NULL) {
        return NULL;
    }
    switch (item.major) {
    case MAJOR_UINT:
    case MAJOR_NEGATIVE:
        return at;
    case MAJOR_BYTES:
    case MAJOR_TEXT:
        return item.value <= (uint64_t)(end - at) ? at + item.value : NULL;
    case MAJOR_ARRAY:
    case MAJOR_MAP: {
        if (depth == 0 || item.value > (uint64_t)(end - at)) { /* an item is at least a byte */
            return NULL;
        }
        uint64_t items = item.major == MAJOR_MAP ? 2 * item.value : item.value;
        for (uint64_t i = 0; i < items && at != NULL; i++) {
            at = skip(at, end, depth - 1);
        }
        return at;
    }
    case MAJOR_SIMPLE:
        return item.info == INFO_FLOAT32 || (item.info >= SIMPLE_FALSE && item.info <= SIMPLE_NULL)
                   ? at
                   : NULL;
    default:
        return NULL;
    }
}

bool tlep_cbor_valid(const uint8_t *data, uint32_t n)
{
    const uint8_t *end = data + n;
    tlep_cbor_item map, key;
    const uint8_t *at = read_head(data, end, &map);
    if (at == NULL || map.major != MAJOR_MAP || map.value > n) {
        return false;
    }
    for (uint64_t i = 0; i < map.value; i++) {
        at = read_head(at, end, &key);
        if (at == NULL || key.major != MAJOR_UINT) {
            return false;
        }
        at = skip(at, end, MAX_DEPTH - 1);
        if (at == NULL) {
            return false;
        }
    }
    return at == end;
}

bool tlep_cbor_find(const uint8_t *data, uint32_t n, uint32_t key, tlep_cbor_item *item)
{
    const uint8_t *end = data + n;
    tlep_cbor_item map, at_key;
    const uint8_t *at = read_head(data, end, &map);
    for (uint64_t i = 0; at != NULL && i < map.value; i++) {
        at = read_head(at, end, &at_key);
        if (at == NULL) {
            return false;
        }
        if (at_key.value == key) {
            return read_head(at, end, item) != NULL;
        }
        at = skip(at, end, MAX_DEPTH - 1);
    }
    return false;
}

bool tlep_cbor_find_u64(const uint8_t *data, uint32_t n, uint32_t key, uint64_t *value)
{
    tlep_cbor_item item;
    if (!tlep_cbor_find(data, n, key, &item) || item.major != MAJOR_UINT) {
        return false;
    }
    *value = item.value;
    return true;
}

bool tlep_cbor_find_u32(const uint8_t *data, uint32_t n, uint32_t key, uint32_t *value)
{
    uint64_t wide;
    if (!tlep_cbor_find_u64(data, n, key, &wide) || wide > UINT32_MAX) {
        return false;
    }
    *value = (uint32_t)wide;
    return true;
}

bool tlep_cbor_find_bytes(const uint8_t *data, uint32_t n, uint32_t key, const uint8_t **bytes,
                          uint32_t *count)
{
    tlep_cbor_item item;
    if (!tlep_cbor_find(data, n, key, &item) || item.major != MAJOR_BYTES) {
        return false;
    }
    *bytes = item.data;
    *count = (uint32_t)item.value; /* tlep_cbor_valid() held it to the payload's size */
    return true;
}

bool tlep_cbor_find_bool(const uint8_t *data, uint32_t n, uint32_t key, bool *value)
{
    tlep_cbor_item item;
    if (!tlep_cbor_find(data, n, key, &item) || item.major != MAJOR_SIMPLE ||
        (item.info != SIMPLE_FALSE && item.info != SIMPLE_TRUE)) {
        return false;
    }
    *value = item.info == SIMPLE_TRUE;
    return true;
}

bool tlep_cbor_find_array(const uint8_t *data, uint32_t n, uint32_t key, tlep_cbor_item *array)
{
    return tlep_cbor_find(data, n, key, array) && array->major == MAJOR_ARRAY;
}

bool tlep_cbor_next_u32(const uint8_t **cursor, const uint8_t *end, uint32_t *value)
{
    tlep_cbor_item item;
    const uint8_t *at = read_head(*cursor, end, &item);
    if (at == NULL || item.major != MAJOR_UINT || item.value > UINT32_MAX) {
        return false;
    }
    *cursor = at;
    *value = (uint32_t)item.value;
    return true;
}
