/*
 * Sorts packed pairs through items: makes one item for each pair, lets the given function sort them, and writes the
 * pairs in the order of the items. Shared by sort_by_key.c and sort_by_hash.c.
 *
 * Thread: the worker that runs the task.
 */
#ifndef TIDE_KERNEL_SORT_ITEMS_H
#define TIDE_KERNEL_SORT_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/radix.h"
#include "store/block.h"

/* Fills in `count` items, one for each record of `in`, and sorts them. `spare` has room for as many. Returns the
 * array that holds the sorted items: one of the two. */
typedef struct tide_radix_item *tide_sorter(const struct tide_blocks *in, struct tide_radix_item *items,
                                            struct tide_radix_item *spare, uint32_t count, bool ascending);

/* Appends the pairs of `in` to `out` in the order that the sorter makes. false: no memory. */
bool tide_sort_items(const struct tide_blocks *in, tide_sorter *sorter, bool ascending, struct tide_blocks *out);

#endif
