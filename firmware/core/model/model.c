#include "model/model.h"

#include <string.h>

#include "platform/fault.h"

enum { MODEL_ALIGNMENT = 32 };

void tlep_model_init(tlep_model *m, const tlep_board *board)
{
    memset(m, 0, sizeof *m);
    m->board = board;
    for (uint32_t i = 0; i < board->n_regions; i++) {
        const tlep_region *region = &board->regions[i];
        if (region->kind == TLEP_REGION_RAM) {
            tlep_arena *arena = &m->arenas[m->n_arenas++];
            arena->name = region->name;
            arena->base = region->base;
            arena->size = region->size;
        } else if (m->slot.size == 0) {
            (void)tlep_slot_find(&m->slot, region);
        }
    }
}

/* Free everything but the uploaded bytes. */
static void unload(tlep_model *m)
{
    m->loaded = false;
    for (uint32_t i = 0; i < m->n_arenas; i++) {
        tlep_arena_reset(&m->arenas[i],
                         m->upload.size != 0 && i == m->upload.arena ? m->upload.mark : 0);
        m->arenas[i].high_water = m->arenas[i].used; /* the peak is the next model's own */
    }
}

void tlep_model_clear(tlep_model *m)
{
    memset(&m->upload, 0, sizeof m->upload);
    unload(m);
}

int tlep_model_upload(tlep_model *m, const uint8_t *sha256, uint32_t size, tlep_error *err)
{
    tlep_upload *up = &m->upload;
    if (up->size == size && size != 0 && memcmp(up->sha256, sha256, TLEP_SHA256_BYTES) == 0) {
        unload(m);
        return TLEP_OK; /* resume at next_offset */
    }
    tlep_model_clear(m);
    if (size == 0) {
        return tlep_fail(err, TLEP_E_BAD_ARGUMENT, "model size is 0", 0, 1);
    }
    up->data = tlep_arena_place(m->arenas, m->n_arenas, size, MODEL_ALIGNMENT, &up->arena);
    if (up->data == NULL || tlep_fault_no_memory()) {
        uint32_t free_bytes = tlep_arena_largest_free(m->arenas, m->n_arenas, MODEL_ALIGNMENT);
        unload(m);
        return tlep_fail(err, TLEP_E_NO_MEMORY, "no RAM region holds the model", size, free_bytes);
    }
    up->mark = m->arenas[up->arena].used;
    up->size = size;
    memcpy(up->sha256, sha256, TLEP_SHA256_BYTES);
    return TLEP_OK;
}

bool tlep_model_append(tlep_model *m, uint32_t offset, const uint8_t *data, uint32_t bytes)
{
    tlep_upload *up = &m->upload;
    if (up->size == 0 || up->verified || offset != up->next_offset || bytes > up->size - offset) {
        return false;
    }
    memcpy(up->data + offset, data, bytes);
    up->next_offset += bytes;
    return true;
}

int tlep_model_verify(tlep_model *m, const uint8_t *sha256, tlep_error *err)
{
    tlep_upload *up = &m->upload;
    uint8_t digest[TLEP_SHA256_BYTES];
    if (up->size == 0 || memcmp(up->sha256, sha256, TLEP_SHA256_BYTES) != 0) {
        return tlep_fail(err, TLEP_E_NO_MODEL, "no upload of that model is open", 0, 0);
    }
    if (up->next_offset != up->size) {
        return tlep_fail(err, TLEP_E_TRUNCATED, "bytes are missing", up->size, up->next_offset);
    }
    tlep_sha256(up->data, up->size, digest);
    if (memcmp(digest, sha256, TLEP_SHA256_BYTES) != 0) {
        up->next_offset = 0;
        return tlep_fail(err, TLEP_E_HASH_MISMATCH, "what arrived has another SHA-256", 0, 0);
    }
    up->verified = true;
    return TLEP_OK;
}

int tlep_model_load(tlep_model *m, const uint8_t *sha256, uint32_t n_ctx, tlep_kv_type kv,
                    tlep_error *err)
{
    const uint8_t *data;
    const tlep_upload *up = &m->upload;
    m->from_flash = m->slot.verified && memcmp(m->slot.sha256, sha256, TLEP_SHA256_BYTES) == 0;
    if (m->from_flash) {
        /* its bytes are not needed: give them to the state */
        memset(&m->upload, 0, sizeof m->upload);
        data = m->slot.data;
        m->weight_bytes = m->slot.size;
        m->weight_region = m->slot.region;
    } else if (up->verified && memcmp(up->sha256, sha256, TLEP_SHA256_BYTES) == 0) {
        data = up->data;
        m->weight_bytes = up->size;
        m->weight_region = m->arenas[up->arena].name;
    } else {
        return tlep_fail(err, TLEP_E_NO_MODEL, "that model is neither in flash nor in RAM", 0, 0);
    }
    unload(m);
    int code = tlep_gguf_open(&m->gguf, data, m->weight_bytes, err);
    if (code == TLEP_OK && tlep_fault_no_memory()) {
        code =
            tlep_fail(err, TLEP_E_NO_MEMORY, "out of memory (injected fault)", m->weight_bytes, 0);
    }
    if (code == TLEP_OK) {
        code = tlep_llama_prepare(&m->llama, &m->gguf, n_ctx, kv, m->arenas, m->n_arenas, err);
    }
    m->loaded = code == TLEP_OK;
    return code;
}
