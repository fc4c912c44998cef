/*
 * Pairs with numbers or states as values for the specs of windows and of sorting by hash, and a plain model that
 * keeps one row for each of a few keys. Keys 0, 3, 6 … are numbers, 1, 4 … short texts, 2, 5 … long ones.
 */
#ifndef SPEC_WINDOW_RIG_H
#define SPEC_WINDOW_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "store/block.h"

enum { KEYS = 6000 };

/* Pairs that are collected in `bytes` until a block of `blocks` is made of them. */
struct list {
    struct tide_blocks blocks;
    struct tide_buffer bytes;
    uint32_t count;
};

/* What the model knows of a key. */
struct row {
    bool there;
    double n, sum;
};

/* Teardown: no fault is armed and no block lives. */
int nothing_is_left(void **state);

void pack_key(struct tide_buffer *bytes, uint32_t key);
/* The number of a packed key. */
uint32_t key_of(const uint8_t *at, const uint8_t *end);

void list_create(struct list *list);
void list_destroy(struct list *list);
void end_block(struct list *list);
void add_pair(struct list *list, uint32_t key, double value);
void add_state(struct list *list, uint32_t key, double n, double value);
/* `count` pairs with random keys below `keys` and random values, in blocks of several sizes; `rows` gets their
 * sums. */
void add_random(struct list *list, struct row *rows, uint32_t count, uint32_t keys, uint64_t *random);
/* Replaces what is in the list by the same in the order of the keys' hashes. */
void put_in_order(struct list *list);
void assert_in_order(const struct tide_blocks *blocks);

void add_to(struct row *row, double value);
/* Each row that is there has one record, with its sum, or as a state with n and sum; there are no others. */
void assert_rows(const struct tide_blocks *blocks, const struct row rows[KEYS], bool states);

#endif
