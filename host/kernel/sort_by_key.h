/*
 * sortByKey's native parts: sorting a partition by key, and sampling keys for the range bounds.
 */
#ifndef TIDE_KERNEL_SORT_BY_KEY_H
#define TIDE_KERNEL_SORT_BY_KEY_H

#include <stdbool.h>

#include "store/block.h"

/* Appends the records of `in` (packed, arity 2) to `out` in key order (tide_unpack_compare); records of equal keys keep their
 * order. false: memory is gone. */
bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out);

/* Whether every key of the packed pairs has a place in the order: NaN has none. */
bool tide_sort_by_key_has_place(const struct tide_block *block);

/* Appends one packed block (arity 1) with up to `wanted` keys taken evenly from the packed pairs of `in`; none when there are
 * no records. false: memory is gone. */
bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out);

#endif
