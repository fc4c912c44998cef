/*
 * The memory of one state store: items are cut one after the other from chunks of 256 KB. What is freed in a chunk is
 * not used again before the chunk is empty; instead the store moves the live items out of the emptiest chunks
 * (state/reshape.c), so that memory follows the data when it grows, changes and shrinks.
 *
 *   chunk  ┌──────┬──────┬────────┬──────┬─────────┐    item  ┌───────┬─────────────┬─────────────┐
 *          │ page │ free │  page  │ blob │ unused… │          │ chunk │ size | kind │ content … │
 *          └──────┴──────┴────────┴──────┴─────────┘          └───────┴─────────────┴─────────────┘
 *                                        used ▲                 4 bytes   4 bytes
 *
 * Sizes are multiples of 16 bytes and leave the low bits to the kind. Items above 64 KB have memory of their own.
 *
 * Thread: the store's owner. NULL: no memory, and nothing changed.
 */
#ifndef TIDE_STATE_ARENA_H
#define TIDE_STATE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum { TIDE_ARENA_CHUNK = 256 * 1024, TIDE_ARENA_STEP = 16, TIDE_ARENA_LARGE = 64 * 1024 };
/* OLD: a page or blob that only pinned versions read; it can't be moved. */
enum tide_arena_kind { TIDE_ARENA_FREE, TIDE_ARENA_PAGE, TIDE_ARENA_BLOB, TIDE_ARENA_OLD };
enum { TIDE_ARENA_NONE = 0xffffffff };

struct tide_arena_item {
    uint32_t chunk; /* TIDE_ARENA_NONE: it has memory of its own */
    uint32_t size_and_kind;
};

struct tide_arena_chunk {
    uint8_t *data; /* NULL: there is no such chunk at present */
    uint32_t used; /* bytes cut off so far */
    uint32_t live; /* bytes of items that are not free */
    uint32_t next; /* of the indexes without a chunk */
    bool stuck;    /* moving its items was tried in vain */
};

struct tide_arena {
    struct tide_arena_chunk *chunks;
    uint32_t count, capacity;
    uint32_t current;       /* items are cut from this one */
    uint32_t vacant;        /* first index without a chunk */
    uint32_t present;       /* chunks that are there */
    uint64_t live;          /* bytes of items in chunks */
    uint64_t alone_bytes;   /* of items with memory of their own */
    struct tide_list alone; /* those */
};

void tide_arena_create(struct tide_arena *arena);
void tide_arena_destroy(struct tide_arena *arena); /* with all items */

struct tide_arena_item *tide_arena_alloc(struct tide_arena *arena, size_t size, enum tide_arena_kind kind);
void tide_arena_free(struct tide_arena *arena, struct tide_arena_item *item); /* NULL is fine */
uint64_t tide_arena_bytes(const struct tide_arena *arena);

static inline uint32_t tide_arena_size(const struct tide_arena_item *item) { return item->size_and_kind & ~15u; }

static inline enum tide_arena_kind tide_arena_kind(const struct tide_arena_item *item) {
    return (enum tide_arena_kind)(item->size_and_kind & 15u);
}

static inline void tide_arena_set_kind(struct tide_arena_item *item, enum tide_arena_kind kind) {
    item->size_and_kind = tide_arena_size(item) | (uint32_t)kind;
}

/* The emptiest chunk, for the caller to move its items elsewhere; NONE: of 100 bytes in chunks `full` are in use, or
 * nothing can be moved. */
uint32_t tide_arena_sparse(const struct tide_arena *arena, uint32_t full);
/* Calls `move` for each live item of a chunk; the chunk stays until all were seen. A chunk of which something remains
 * is not tried again before tide_arena_retry. */
void tide_arena_evacuate(struct tide_arena *arena, uint32_t chunk,
                         void (*move)(void *arg, struct tide_arena_item *item), void *arg);
void tide_arena_retry(struct tide_arena *arena);

#endif
