/*
 * Room for the records that kernels write (see record_writer.h). Runs on workers.
 */
#include "kernel/record_writer.h"

#include "base/alloc.h"

enum { FIRST_BYTES = 1024, FIRST_ITEMS = 256 };

bool tide_record_writer_room(struct tide_block **block, int arity, size_t size) {
    if (!*block) {
        *block = tide_block_new(TIDE_BLOCK_PACKED, arity, size > FIRST_BYTES ? size : FIRST_BYTES, NULL);
        return *block;
    }
    return (*block)->capacity - (*block)->size >= size || tide_block_reserve(*block, size);
}

bool tide_record_writer_grow(void **array, uint32_t *capacity, uint32_t needed, size_t item) {
    if (needed <= *capacity) return true;

    uint64_t larger = *capacity > 0 ? *capacity : FIRST_ITEMS;

    while (larger < needed) larger *= 2;
    if (larger > UINT32_MAX) return false;

    void *grown = tide_realloc_try(*array, (size_t)larger * item);

    if (!grown) return false;
    *array = grown;
    *capacity = (uint32_t)larger;
    return true;
}

bool tide_record_writer_items(const struct tide_radix_item *items, uint32_t count, struct tide_blocks *out) {
    enum { AHEAD = 8 }; /* records lie anywhere: their memory is asked for this much earlier */
    struct tide_block *block = NULL;

    for (uint32_t i = 0; i < count; i++) {
        size_t size = items[i].size;

        if (i + AHEAD < count) __builtin_prefetch(items[i + AHEAD].at);
        if (block && block->size + size > TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if ((!block || block->capacity - block->size < size) && !tide_record_writer_room(&block, 2, size)) {
            tide_block_release(block);
            return false;
        }
        tide_record_writer_record(block, tide_record_writer_bytes(tide_record_writer_at(block), items[i].at, size));
    }
    if (block) tide_blocks_push(out, block);
    return true;
}
