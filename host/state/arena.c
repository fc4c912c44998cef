/*
 * Chunks and the items in them (see arena.h), each chunk followed by what readers of packed values may look
 * ahead. Called by the store's owner.
 */
#include "state/arena.h"

#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "store/block.h"

/* Before an item with memory of its own. */
struct alone {
    struct tide_list link;
};

void tide_arena_create(struct tide_arena *arena) {
    *arena = (struct tide_arena){.current = TIDE_ARENA_NONE, .vacant = TIDE_ARENA_NONE};
    tide_list_create(&arena->alone);
}

void tide_arena_destroy(struct tide_arena *arena) {
    struct tide_list *link;

    while ((link = tide_list_pop(&arena->alone))) tide_free(link);
    for (uint32_t i = 0; i < arena->count; i++) tide_free(arena->chunks[i].data);
    tide_free(arena->chunks);
    tide_arena_create(arena);
}

uint64_t tide_arena_bytes(const struct tide_arena *arena) {
    return (uint64_t)arena->present * TIDE_ARENA_CHUNK + arena->alone_bytes +
           (uint64_t)arena->capacity * sizeof *arena->chunks;
}

/* ---- Items with memory of their own --------------------------------------------------------------------------- */

static struct tide_arena_item *alloc_alone(struct tide_arena *arena, size_t size) {
    struct alone *alone = tide_alloc_try(sizeof *alone + size + TIDE_BLOCK_SLACK);

    if (!alone) return NULL;
    tide_list_create(&alone->link);
    tide_list_push(&arena->alone, &alone->link);
    arena->alone_bytes += size;
    return (struct tide_arena_item *)(alone + 1);
}

static void free_alone(struct tide_arena *arena, struct tide_arena_item *item) {
    struct alone *alone = (struct alone *)item - 1;

    arena->alone_bytes -= tide_arena_size(item);
    tide_list_remove(&alone->link);
    tide_free(alone);
}

/* ---- Chunks --------------------------------------------------------------------------------------------------- */

/* An index without a chunk. NONE: no memory. */
static uint32_t vacant_index(struct tide_arena *arena) {
    uint32_t index = arena->vacant;

    if (index != TIDE_ARENA_NONE) return index;
    if (arena->count == TIDE_ARENA_NONE) return TIDE_ARENA_NONE;
    if (!TIDE_ARRAY_RESERVE_TRY(arena->chunks, arena->capacity, arena->count + 1)) return TIDE_ARENA_NONE;
    index = arena->count++;
    arena->chunks[index] = (struct tide_arena_chunk){.next = TIDE_ARENA_NONE};
    arena->vacant = index;
    return index;
}

static bool open_chunk(struct tide_arena *arena) {
    uint32_t index = vacant_index(arena);
    uint8_t *data;

    if (index == TIDE_ARENA_NONE || !(data = tide_alloc_try(TIDE_ARENA_CHUNK + TIDE_BLOCK_SLACK))) return false;
    arena->vacant = arena->chunks[index].next;
    arena->chunks[index] = (struct tide_arena_chunk){.data = data};
    arena->current = index;
    arena->present++;
    return true;
}

/* The chunk is empty. The current one is filled again from its start. */
static void empty_chunk(struct tide_arena *arena, uint32_t index) {
    struct tide_arena_chunk *chunk = &arena->chunks[index];

    chunk->used = 0;
    if (index == arena->current) return;
    tide_free(chunk->data);
    *chunk = (struct tide_arena_chunk){.next = arena->vacant};
    arena->vacant = index;
    arena->present--;
}

struct tide_arena_item *tide_arena_alloc(struct tide_arena *arena, size_t size, enum tide_arena_kind kind) {
    struct tide_arena_item *item;

    if (size > UINT32_MAX - TIDE_ARENA_STEP) return NULL;
    size = (size + TIDE_ARENA_STEP - 1) & ~(size_t)(TIDE_ARENA_STEP - 1);
    if (size > TIDE_ARENA_LARGE) {
        if (!(item = alloc_alone(arena, size))) return NULL;
        *item = (struct tide_arena_item){TIDE_ARENA_NONE, (uint32_t)size | (uint32_t)kind};
        return item;
    }
    if (arena->current == TIDE_ARENA_NONE || TIDE_ARENA_CHUNK - arena->chunks[arena->current].used < size)
        if (!open_chunk(arena)) return NULL;

    struct tide_arena_chunk *chunk = &arena->chunks[arena->current];

    item = (struct tide_arena_item *)(chunk->data + chunk->used);
    *item = (struct tide_arena_item){arena->current, (uint32_t)size | (uint32_t)kind};
    chunk->used += (uint32_t)size;
    chunk->live += (uint32_t)size;
    arena->live += size;
    return item;
}

void tide_arena_free(struct tide_arena *arena, struct tide_arena_item *item) {
    if (!item) return;
    if (item->chunk == TIDE_ARENA_NONE) {
        free_alone(arena, item);
        return;
    }
    uint32_t index = item->chunk, size = tide_arena_size(item);
    struct tide_arena_chunk *chunk = &arena->chunks[index];

    tide_arena_set_kind(item, TIDE_ARENA_FREE);
    chunk->live -= size;
    arena->live -= size;
    if (chunk->live == 0) empty_chunk(arena, index);
    else if (index == arena->current && (uint8_t *)item + size == chunk->data + chunk->used) chunk->used -= size;
}

/* ---- Evacuation ----------------------------------------------------------------------------------------------- */

/* Bytes of chunks without the rest of the current one, which is not lost. */
static uint64_t cut(const struct tide_arena *arena) {
    uint64_t bytes = (uint64_t)arena->present * TIDE_ARENA_CHUNK;

    return arena->current == TIDE_ARENA_NONE ? bytes : bytes - TIDE_ARENA_CHUNK + arena->chunks[arena->current].used;
}

uint32_t tide_arena_sparse(const struct tide_arena *arena, uint32_t full) {
    uint32_t sparse = TIDE_ARENA_NONE, least = TIDE_ARENA_CHUNK / 100 * 90;

    if (arena->live * 100 >= cut(arena) * full) return TIDE_ARENA_NONE;
    for (uint32_t i = 0; i < arena->count; i++) {
        const struct tide_arena_chunk *chunk = &arena->chunks[i];

        if (!chunk->data || chunk->stuck || i == arena->current || chunk->live >= least) continue;
        least = chunk->live;
        sparse = i;
    }
    return sparse;
}

void tide_arena_evacuate(struct tide_arena *arena, uint32_t index,
                         void (*move)(void *arg, struct tide_arena_item *item), void *arg) {
    uint8_t *at = arena->chunks[index].data, *end = at + arena->chunks[index].used;

    arena->chunks[index].live++; /* not empty as long as it is walked */
    while (at < end) {
        struct tide_arena_item *item = (struct tide_arena_item *)at;

        at += tide_arena_size(item);
        if (tide_arena_kind(item) != TIDE_ARENA_FREE) move(arg, item);
    }
    if (--arena->chunks[index].live == 0) empty_chunk(arena, index);
    else arena->chunks[index].stuck = true;
}

void tide_arena_retry(struct tide_arena *arena) {
    for (uint32_t i = 0; i < arena->count; i++) arena->chunks[i].stuck = false;
}
