/*
 * Sorting by 64-bit keys, digit by digit: stable, and linear in the number of items. What stands behind orders of packed
 * records (sort_by_hash.h, sort_by_key.h).
 *
 * Thread: any; pure.
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

/* Sorts ascending by the bits of the keys from `from_bit` on. `spare` has room for as many items. The result is in one of the
 * two, which is returned. */
struct tide_radix_item *tide_radix_sort(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t count,
                                        unsigned from_bit);

#endif
