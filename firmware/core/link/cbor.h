/* The subset of CBOR (RFC 8949) that docs/link-protocol.md, section 2, allows.
 *
 * Writing appends to a fixed buffer and remembers overflow, so callers check once, at the end.
 * Reading never copies: a map is checked whole, once, and then searched by key. */
#ifndef TLEP_CBOR_H
#define TLEP_CBOR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t bytes;
    uint32_t keys; /* of the map at the top level */
    bool overflow;
} tlep_cbor_writer;

/* Begin with an empty map at the top level; tlep_cbor_key() adds a key to it, whose value must
 * follow. A map takes 255 keys; one more is an overflow. */
void tlep_cbor_begin(tlep_cbor_writer *w, uint8_t *buffer, uint32_t capacity);
void tlep_cbor_key(tlep_cbor_writer *w, uint32_t key);

void tlep_cbor_uint(tlep_cbor_writer *w, uint64_t value);
void tlep_cbor_int(tlep_cbor_writer *w, int64_t value);
void tlep_cbor_bytes(tlep_cbor_writer *w, const uint8_t *data, uint32_t n);
void tlep_cbor_text(tlep_cbor_writer *w, const char *text); /* NUL-terminated */
void tlep_cbor_array(tlep_cbor_writer *w, uint32_t n);      /* n items follow */
void tlep_cbor_map(tlep_cbor_writer *w, uint32_t n);        /* n key-value pairs follow */
void tlep_cbor_bool(tlep_cbor_writer *w, bool value);
void tlep_cbor_null(tlep_cbor_writer *w);
void tlep_cbor_float(tlep_cbor_writer *w, float value);

/* Key and value in one, at the top level. */
void tlep_cbor_put(tlep_cbor_writer *w, uint32_t key, uint64_t value);
void tlep_cbor_put_text(tlep_cbor_writer *w, uint32_t key, const char *text);
void tlep_cbor_put_bool(tlep_cbor_writer *w, uint32_t key, bool value);

/* Key and value in one, inside tlep_cbor_map(). */
void tlep_cbor_pair(tlep_cbor_writer *w, uint32_t key, uint64_t value);
void tlep_cbor_pair_text(tlep_cbor_writer *w, uint32_t key, const char *text);

typedef struct {
    uint8_t major;       /* 0 unsigned, 2 bytes, 3 text, 4 array, 5 map, 7 simple or float */
    uint8_t info;        /* the low five bits of the head */
    uint64_t value;      /* integer, length, number of items, or simple value */
    const uint8_t *data; /* what follows the head */
} tlep_cbor_item;

/* Whether `n` bytes are exactly one map of unsigned keys, nested at most 4 deep. */
bool tlep_cbor_valid(const uint8_t *data, uint32_t n);

/* The value of `key` in a map that tlep_cbor_valid() accepted; false if absent. */
bool tlep_cbor_find(const uint8_t *data, uint32_t n, uint32_t key, tlep_cbor_item *item);

/* Typed look-ups; false if absent or of another type or size. */
bool tlep_cbor_find_u32(const uint8_t *data, uint32_t n, uint32_t key, uint32_t *value);
bool tlep_cbor_find_u64(const uint8_t *data, uint32_t n, uint32_t key, uint64_t *value);
bool tlep_cbor_find_bytes(const uint8_t *data, uint32_t n, uint32_t key, const uint8_t **bytes,
                          uint32_t *count);
bool tlep_cbor_find_bool(const uint8_t *data, uint32_t n, uint32_t key, bool *value);
bool tlep_cbor_find_array(const uint8_t *data, uint32_t n, uint32_t key, tlep_cbor_item *array);

/* Read one unsigned item of an array and step over it; *cursor starts at array.data. */
bool tlep_cbor_next_u32(const uint8_t **cursor, const uint8_t *end, uint32_t *value);

#endif
