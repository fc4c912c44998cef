/*
 * What only pinned versions read: pages and blobs that were replaced while a pin might still read them.
 *
 *   bucket ──► old, born 5, died 8 ──► old, born 2, died 5      chain, newest first
 *   pin 6  ──► old ──► old ──► …                                dead list: what died while it was the newest pin
 *
 * A pin of epoch e reads what has born <= e < died. When a pin is let go, what an older pin still reads moves to that
 * one's list, and the rest is freed.
 *
 * Thread: the store's owner; chains are read by others under the store's lock (state/body.h).
 */
#ifndef TIDE_STATE_OLD_H
#define TIDE_STATE_OLD_H

#include <stdbool.h>
#include <stdint.h>

#include "state/arena.h"

enum { TIDE_OLD_NO_BUCKET = 0xffffffff };

struct tide_old {
    struct tide_arena_item *item;
    struct tide_old *prev; /* older one of the same bucket */
    struct tide_old *next; /* in the dead list */
    uint64_t born, died;   /* epochs */
    uint32_t group;
    uint32_t bucket; /* TIDE_OLD_NO_BUCKET: a blob */
};

struct tide_old_slab;

/* All of a store; they are used again and again. */
struct tide_olds {
    struct tide_old_slab *slabs;
    struct tide_old *unused;
    uint32_t spare;    /* unused ones */
    uint32_t reserved; /* so many of these are promised */
    uint32_t live;
    uint32_t total;
};

/* Makes sure that there are `count` more than are promised already. false: no memory. */
bool tide_old_ready(struct tide_olds *olds, uint32_t count);
struct tide_old *tide_old_take(struct tide_olds *olds); /* after tide_old_ready, or from a promise */
void tide_old_give_back(struct tide_olds *olds, struct tide_old *old);
/* Frees the memory if none is live. */
void tide_old_trim(struct tide_olds *olds);
void tide_old_destroy(struct tide_olds *olds);
uint64_t tide_old_bytes(const struct tide_olds *olds);

#endif
