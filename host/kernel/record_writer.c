/*
 * Room for the records that kernels write (see record_writer.h). Runs on workers.
 */
#include "kernel/record_writer.h"

enum { FIRST_BYTES = 1024 };

bool tide_record_writer_room(struct tide_block **block, int arity, size_t size) {
    if (!*block) {
        *block = tide_block_new(TIDE_BLOCK_PACKED, arity, size > FIRST_BYTES ? size : FIRST_BYTES, NULL);
        return *block;
    }
    return (*block)->capacity - (*block)->size >= size || tide_block_reserve(*block, size);
}
