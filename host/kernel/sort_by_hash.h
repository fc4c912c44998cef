/*
 * Sorts packed pairs by the hash of their keys (wire/hash.h). State and partial results of windows are stored in this
 * order, so that later windows merge them in one pass from front to back, with a small range of keys in memory at a
 * time (window_fold.h).
 *
 * Thread: the worker that runs the task.
 */
#ifndef TIDE_KERNEL_SORT_BY_HASH_H
#define TIDE_KERNEL_SORT_BY_HASH_H

#include <stdbool.h>

#include "store/block.h"

/* Appends the records of `in` to `out` in order; records of one key keep theirs. false: no memory. */
bool tide_sort_by_hash(const struct tide_blocks *in, struct tide_blocks *out);

#endif
