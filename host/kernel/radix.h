/*
 * Radix sort of items by 64-bit keys: stable, in linear time. Packed records are sorted through it (sort_items.h).
 *
 * Pure; any thread.
 */
#ifndef TIDE_KERNEL_RADIX_H
#define TIDE_KERNEL_RADIX_H

#include <stdint.h>

struct tide_radix_item {
    uint64_t key;
    const uint8_t *at; /* a packed record */
    uint32_t key_size; /* bytes of its key */
    uint32_t size;     /* bytes of the record */
};

/* Sorts ascending by the key bits from `from_bit` up. `spare` has room for as many items. Returns the array that
 * holds the result: one of the two. */
struct tide_radix_item *tide_radix_sort(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t count,
                                        unsigned from_bit);

#endif
