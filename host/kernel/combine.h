/*
 * The combine table: one entry per distinct key, in order of first arrival, with a number slot each. It is what a
 * reducing shuffle folds records into, on both sides; worker Lua reaches it with one FFI call per record and
 * keeps values that are not numbers in a Lua array by entry index.
 *
 * Keys are kept as packed bytes in one arena, so Lua's collector never sees them. Equal Lua keys (1 and 1.0, a string however
 * its length is encoded) are one entry. Not thread-safe: one task, one worker. Memory: *_try; TIDE_COMBINE_NOMEM is
 * returned when it is gone and the table stays valid.
 */
#ifndef TIDE_KERNEL_COMBINE_H
#define TIDE_KERNEL_COMBINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/hash.h"
#include "wire/key.h"

#define TIDE_COMBINE_NOMEM UINT32_MAX
#define TIDE_COMBINE_ABSENT UINT32_MAX

struct tide_combine_entry {
    uint64_t hash;
    uint64_t offset; /* of the packed key in the arena */
    uint32_t size;   /* of the packed key */
    uint32_t head;   /* bytes of MessagePack header before a string's payload; 0 for other keys */
};

struct tide_combine_slot {
    uint32_t tag;   /* low half of the hash */
    uint32_t entry; /* index + 1; 0 = free */
};

struct tide_combine {
    /* visible to Lua */
    double *numbers; /* by entry index */
    uint32_t count;
    uint32_t fresh; /* 1: the last look-up made the entry */
    /* C only */
    struct tide_combine_entry *entries;
    struct tide_combine_slot *slots;
    uint8_t *arena;
    uint64_t arena_size, arena_capacity;
    uint32_t mask;
    uint32_t capacity;
};

struct tide_combine *tide_combine_new(void); /* NULL: no memory */
void tide_combine_delete(struct tide_combine *combine);

/* Entry index of the key, made if new (fresh = 1, its number undefined). */
uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size);
uint32_t tide_combine_number(struct tide_combine *combine, double key); /* not NaN */
/* `data` is one packed value in canonical form (as the writer makes it). */
uint32_t tide_combine_packed(struct tide_combine *combine, const uint8_t *data, size_t size);

/* The same with its hash at hand (tide_hash_packed). Whoever has many keys asks for the memory of some of them first, in two
 * steps: tables are larger than the processor's caches. */
uint32_t tide_combine_hashed(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size);

static inline void tide_combine_fetch_slot(const struct tide_combine *combine, uint64_t hash) {
    __builtin_prefetch(&combine->slots[(uint32_t)hash & combine->mask]);
}

static inline void tide_combine_fetch_entry(const struct tide_combine *combine, uint64_t hash) {
    uint32_t entry = combine->slots[(uint32_t)hash & combine->mask].entry;

    if (entry != 0) __builtin_prefetch(&combine->entries[entry - 1]);
}

/* number of the key += value (or = value when new): the whole of a map-side sum in one call. false: no memory. */
bool tide_combine_add_string(struct tide_combine *combine, const char *data, size_t size, double value);
bool tide_combine_add_number(struct tide_combine *combine, double key, double value);

static inline const uint8_t *tide_combine_key(const struct tide_combine *combine, uint32_t entry, uint32_t *size) {
    *size = combine->entries[entry].size;
    return combine->arena + combine->entries[entry].offset;
}

/* The entry of a key without making one, or TIDE_COMBINE_ABSENT. */
static inline uint32_t tide_combine_find(const struct tide_combine *combine, const uint8_t *data, size_t size) {
    uint32_t tag = (uint32_t)tide_hash_packed(data, size), at = tag & combine->mask;

    for (struct tide_combine_slot slot; (slot = combine->slots[at]).entry != 0; at = (at + 1) & combine->mask) {
        if (slot.tag != tag) continue;

        uint32_t key_size;
        const uint8_t *key = tide_combine_key(combine, slot.entry - 1, &key_size);

        if (tide_key_same(key, key_size, data, size)) return slot.entry - 1;
    }
    return TIDE_COMBINE_ABSENT;
}

#endif
