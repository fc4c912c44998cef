/*
 * Room for the records that kernels write (see emit.h). Runs on workers.
 */
#include "task/emit.h"

#include "base/alloc.h"

enum { FIRST_BYTES = 1024, FIRST_ITEMS = 256 };

bool tide_emit_room(struct tide_block **block, int arity, size_t size) {
    if (*block == NULL) {
        *block = tide_block_new(TIDE_BLOCK_PACKED, arity, size > FIRST_BYTES ? size : FIRST_BYTES, NULL);
        return *block != NULL;
    }
    return (*block)->capacity - (*block)->size >= size || tide_block_reserve(*block, size);
}

bool tide_emit_grow(void **array, uint32_t *capacity, uint32_t needed, size_t item) {
    if (needed <= *capacity) return true;

    uint64_t larger = *capacity > 0 ? *capacity : FIRST_ITEMS;

    while (larger < needed) larger *= 2;
    if (larger > UINT32_MAX) return false;

    void *grown = tide_realloc_try(*array, (size_t)larger * item);

    if (grown == NULL) return false;
    *array = grown;
    *capacity = (uint32_t)larger;
    return true;
}
