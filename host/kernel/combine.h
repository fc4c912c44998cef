/*
 * A hash table from packed keys to entries, numbered in the order of their first arrival, with one number per entry.
 * Both sides of a reducing shuffle combine the values of a key in it. Worker Lua reaches it with one FFI call per
 * record and keeps values that are not numbers in a Lua array by entry.
 *
 *   slots (open addressing)     entries                       arena
 *   [tag, entry] ─────────────► [hash, offset, size, head] ──► packed key
 *                               numbers[entry]
 *
 * Keys are bytes in one arena, out of reach of Lua's collector. Keys that are equal in Lua (1 and 1.0; one string in
 * several encodings) have one entry.
 *
 * Not thread-safe: one task, one worker. Without memory, functions return TIDE_COMBINE_NOMEM or false and the table
 * stays valid.
 */
#ifndef TIDE_KERNEL_COMBINE_H
#define TIDE_KERNEL_COMBINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/ffi.h"
#include "wire/hash.h"
#include "wire/key.h"

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

/* The whole table; Lua and other kernels see its first part only. */
struct tide_combine_table {
    struct tide_combine seen;
    struct tide_combine_entry *entries;
    struct tide_combine_slot *slots;
    uint8_t *arena;
    uint64_t arena_size, arena_capacity;
    uint32_t mask;
    uint32_t capacity;
};

static inline const struct tide_combine_table *tide_combine_table(const struct tide_combine *combine) {
    return (const struct tide_combine_table *)combine;
}

/* As tide_combine_packed, for a key whose hash (tide_hash_packed) is known. To look up many keys, prefetch the slots
 * and then the entries of several keys first: tables are larger than the processor's caches. */
uint32_t tide_combine_hashed(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size);

static inline void tide_combine_fetch_slot(const struct tide_combine *combine, uint64_t hash) {
    const struct tide_combine_table *table = tide_combine_table(combine);

    __builtin_prefetch(&table->slots[(uint32_t)hash & table->mask]);
}

static inline void tide_combine_fetch_entry(const struct tide_combine *combine, uint64_t hash) {
    const struct tide_combine_table *table = tide_combine_table(combine);
    uint32_t entry = table->slots[(uint32_t)hash & table->mask].entry;

    if (entry != 0) __builtin_prefetch(&table->entries[entry - 1]);
}

static inline uint64_t tide_combine_hash(const struct tide_combine *combine, uint32_t entry) {
    return tide_combine_table(combine)->entries[entry].hash;
}

static inline const uint8_t *tide_combine_key(const struct tide_combine *combine, uint32_t entry, uint32_t *size) {
    const struct tide_combine_table *table = tide_combine_table(combine);

    *size = table->entries[entry].size;
    return table->arena + table->entries[entry].offset;
}

enum { TIDE_COMBINE_ABSENT = 0xffffffff };

/* The entry of a key without making one, or TIDE_COMBINE_ABSENT. */
static inline uint32_t tide_combine_find(const struct tide_combine *combine, const uint8_t *data, size_t size) {
    const struct tide_combine_table *table = tide_combine_table(combine);
    uint32_t tag = (uint32_t)tide_hash_packed(data, size), at = tag & table->mask;

    for (struct tide_combine_slot slot; (slot = table->slots[at]).entry != 0; at = (at + 1) & table->mask) {
        if (slot.tag != tag) continue;

        uint32_t key_size;
        const uint8_t *key = tide_combine_key(combine, slot.entry - 1, &key_size);

        if (tide_key_same(key, key_size, data, size)) return slot.entry - 1;
    }
    return TIDE_COMBINE_ABSENT;
}

#endif
