/*
 * Sorting by hash (see sort_by_hash.h): a radix sort by the upper half of the hashes, then an insertion sort for the
 * few that differ in the lower half only. Runs on a worker.
 */
#include "kernel/sort_by_hash.h"

#include "kernel/radix.h"
#include "kernel/sort_items.h"
#include "wire/hash.h"
#include "wire/unpack.h"

enum { FIRST_BIT = 31 };

/* Up to this number, insertion alone is faster. */
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

static struct tide_radix_item *sort(const struct tide_blocks *in, struct tide_radix_item *items,
                                    struct tide_radix_item *spare, uint32_t count, bool ascending) {
    read_records(in, items);
    if (count > FEW) items = tide_radix_sort(items, spare, count, FIRST_BIT);
    insert(items, count);
    return items;
}

bool tide_sort_by_hash(const struct tide_blocks *in, struct tide_blocks *out) {
    return tide_sort_items(in, sort, true, out);
}
