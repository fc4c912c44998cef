/*
 * Bounds of a range shuffle: from keys sampled in each partition to the keys that separate the new partitions.
 *
 * Thread: driver only. Pure: works on the blocks given.
 */
#ifndef TIDE_RDD_RANGE_H
#define TIDE_RDD_RANGE_H

#include <stdint.h>

#include "base/error.h"
#include "store/block.h"

/* The sample of one partition. */
struct tide_range_sample {
    struct tide_blocks *keys; /* packed, arity 1: keys drawn evenly from the partition */
    uint64_t records;         /* of the partition: each key represents records / number of keys */
};

/* A packed block (arity 1) of at most partitions - 1 distinct keys in ascending order that cut the data in parts of
 * about equal size; empty when nothing was sampled. NULL and TIDE_ECORRUPT or TIDE_ENOMEM on failure. */
struct tide_block *tide_range_bounds(const struct tide_range_sample *samples, uint32_t count, uint32_t partitions,
                                     struct tide_error *err);

#endif
