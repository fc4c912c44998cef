/*
 * Packed pairs in the order of their keys' hashes (wire/hash.h): what is kept for windows is in order, so that results of
 * many batches are merged front to back, with little in memory at a time (window_sum.h).
 *
 * Thread: the worker that runs the task.
 */
#ifndef TIDE_KERNEL_SORT_BY_HASH_H
#define TIDE_KERNEL_SORT_BY_HASH_H

#include <stdbool.h>

#include "store/block.h"

/* The records of `in`, in order; those of one key stay as they follow one another. Appends to `out`. false: no memory. */
bool tide_sort_by_hash(const struct tide_blocks *in, struct tide_blocks *out);

#endif
