/*
 * Sorting through items (see sort_items.h). Runs on a worker.
 */
#include "kernel/sort_items.h"

#include "base/alloc.h"
#include "kernel/record_writer.h"

static bool write_items(const struct tide_radix_item *items, uint32_t count, struct tide_blocks *out) {
    enum { AHEAD = 8 }; /* records lie anywhere: their memory is requested this many records early */
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

bool tide_sort_items(const struct tide_blocks *in, tide_sorter *sorter, bool ascending, struct tide_blocks *out) {
    uint64_t count = tide_blocks_records(in);
    struct tide_radix_item *items, *spare;
    bool ok = false;

    if (count == 0) return true;
    if (count > UINT32_MAX) return false;
    items = tide_alloc_try(count * sizeof *items);
    spare = tide_alloc_try(count * sizeof *spare);
    if (items && spare) ok = write_items(sorter(in, items, spare, (uint32_t)count, ascending), (uint32_t)count, out);
    tide_free(items);
    tide_free(spare);
    return ok;
}
