/* Steps through the bytes of a GGUF file: a cursor, and the types of its metadata values. For the
 * files of this folder that parse GGUF; others use gguf.h. */
#ifndef TLEP_GGUF_CURSOR_H
#define TLEP_GGUF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A reading position that never passes the end: `ok` turns false instead, and stays so. */
typedef struct {
    const uint8_t *data;
    uint32_t size;
    uint32_t at;
    bool ok;
} cursor;

static inline const uint8_t *take(cursor *c, uint64_t n)
{
    if (!c->ok || n > c->size - c->at) {
        c->ok = false;
        return NULL;
    }
    const uint8_t *p = c->data + c->at;
    c->at += (uint32_t)n;
    return p;
}

static inline uint64_t take_uint(cursor *c, uint32_t bytes)
{
    const uint8_t *p = take(c, bytes);
    uint64_t value = 0;
    for (uint32_t i = 0; p && i < bytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

static inline uint32_t take_u32(cursor *c)
{
    return (uint32_t)take_uint(c, 4);
}

static inline const uint8_t *take_string(cursor *c, uint64_t *bytes)
{
    *bytes = take_uint(c, 8);
    return take(c, *bytes);
}

typedef enum {
    KV_U8, KV_I8, KV_U16, KV_I16, KV_U32, KV_I32, KV_F32, KV_BOOL, KV_STRING, KV_ARRAY,
    KV_U64, KV_I64, KV_F64
} kv_value_type;

/* Bytes of a scalar; 0 for strings, arrays and what does not exist. */
static inline uint32_t scalar_bytes(uint32_t type)
{
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static inline bool same(const uint8_t *text, uint64_t bytes, const char *literal)
{
    return bytes == strlen(literal) && memcmp(text, literal, (size_t)bytes) == 0;
}

#endif
