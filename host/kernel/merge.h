/*
 * The reading side of a reducing shuffle: folds packed (key, value) blocks into a combine table. Keys that are new
 * are stored without entering Lua; Lua is asked only where two values of one key meet.
 */
#ifndef TIDE_KERNEL_MERGE_H
#define TIDE_KERNEL_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "store/block.h"

enum tide_merge_step {
    TIDE_MERGE_NOMEM = -1,
    TIDE_MERGE_END = 0,    /* the block is done */
    TIDE_MERGE_NUMBER = 1, /* entry has a value already; `number` is to be merged in */
    TIDE_MERGE_FRESH = 2,  /* new entry; its value is not a number: `value`, `size` */
    TIDE_MERGE_VALUE = 3   /* entry has a value already; `value`, `size` is to be merged in */
};

/* Visible to Lua. */
struct tide_merge {
    struct tide_combine *combine;
    const uint8_t *at, *end;
    const uint8_t *key; /* of the record that the last step was about */
    const uint8_t *value;
    double number;
    uint32_t left; /* records left in the block */
    uint32_t entry;
    uint32_t size;
    uint32_t add;     /* 1: merging numbers is adding them: never returns TIDE_MERGE_NUMBER … */
    uint32_t general; /* … unless 1: some entries hold values that are not numbers */
};

void tide_merge_begin(struct tide_merge *merge, const struct tide_block *block);
int tide_merge_next(struct tide_merge *merge);

#endif
