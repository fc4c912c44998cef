/*
 * Sorting packed pairs by the hash of their key (see sort_by_hash.h): by its upper half with radix.h, then what is still out of
 * order (hashes that differ in the lower half only) by insertion. Runs on a worker.
 */
#include "kernel/sort_by_hash.h"

#include "base/alloc.h"
#include "kernel/radix.h"
#include "kernel/record_writer.h"
#include "wire/hash.h"
#include "wire/unpack.h"

enum { FIRST_BIT = 31 };

/* So few are sorted by insertion alone. */
enum { FEW = 48 };

static void read_records(const struct tide_blocks *in, struct tide_radix_item *items) {
    uint32_t count = 0;

    for (uint32_t b = 0; b < in->count; b++) {
        const uint8_t *at = in->items[b]->data, *end = at + in->items[b]->size;

        for (uint32_t r = 0; r < in->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);
            size_t key_size = (size_t)(value - at);

            items[count++] = (struct tide_radix_item){.key = tide_hash_packed(at, key_size),
                                                      .at = at,
                                                      .key_size = (uint32_t)key_size,
                                                      .size = (uint32_t)(next - at)};
            at = next;
        }
    }
}

static void insert(struct tide_radix_item *items, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        struct tide_radix_item item = items[i];
        uint32_t at = i;

        for (; at > 0 && items[at - 1].key > item.key; at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

bool tide_sort_by_hash(const struct tide_blocks *in, struct tide_blocks *out) {
    uint64_t count = tide_blocks_records(in);
    struct tide_radix_item *items = NULL, *spare = NULL, *sorted;
    bool ok = false;

    if (count == 0) return true;
    if (count > UINT32_MAX) return false;
    items = tide_alloc_try(count * sizeof *items);
    spare = tide_alloc_try(count * sizeof *spare);
    if (!items || !spare) goto done;
    read_records(in, items);
    sorted = count > FEW ? tide_radix_sort(items, spare, (uint32_t)count, FIRST_BIT) : items;
    insert(sorted, (uint32_t)count);
    ok = tide_record_writer_items(sorted, (uint32_t)count, out);
done:
    tide_free(items);
    tide_free(spare);
    return ok;
}
