/*
 * The combine table (see combine.h). Open addressing over 8-byte slots (hash tag, entry), entries dense in arrival
 * order, keys in one arena: about 50 bytes a key plus the key itself, and one cache miss for slots and one for the
 * key in the usual look-up. Runs on the worker that owns it.
 */
#include "kernel/combine.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/hash.h"
#include "wire/key.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { FIRST_SLOTS = 128, STRING_HEAD_MAX = 5 };

/* Beyond it integers may be int64 or uint64 to Lua; a double that is larger is one as well. */
static const double EXACT = 9007199254740992.0;

struct tide_combine *tide_combine_new(void) {
    struct tide_combine *combine = tide_alloc_try(sizeof *combine);
    if (!combine) return NULL;
    memset(combine, 0, sizeof *combine);
    combine->slots = tide_alloc_try(FIRST_SLOTS * sizeof *combine->slots);
    if (!combine->slots) {
        tide_free(combine);
        return NULL;
    }
    memset(combine->slots, 0, FIRST_SLOTS * sizeof *combine->slots);
    combine->mask = FIRST_SLOTS - 1;
    return combine;
}

void tide_combine_delete(struct tide_combine *combine) {
    if (!combine) return;
    tide_free(combine->numbers);
    tide_free(combine->entries);
    tide_free(combine->slots);
    tide_free(combine->arena);
    tide_free(combine);
}

static bool grow_slots(struct tide_combine *combine) {
    uint64_t slots = ((uint64_t)combine->mask + 1) * 2;

    if (slots > UINT32_MAX) return false;
    struct tide_combine_slot *table = tide_alloc_try(slots * sizeof *table);
    if (!table) return false;
    memset(table, 0, slots * sizeof *table);
    uint32_t mask = (uint32_t)(slots - 1);
    for (uint32_t i = 0; i < combine->count; i++) {
        uint32_t tag = (uint32_t)combine->entries[i].hash;
        uint32_t at = tag & mask;
        while (table[at].entry != 0) at = (at + 1) & mask;
        table[at].tag = tag;
        table[at].entry = i + 1;
    }
    tide_free(combine->slots);
    combine->slots = table;
    combine->mask = mask;
    return true;
}

static bool grow_entries(struct tide_combine *combine) {
    uint32_t capacity = combine->capacity ? combine->capacity * 2 : FIRST_SLOTS / 2;
    void *entries = tide_realloc_try(combine->entries, capacity * sizeof *combine->entries);

    if (!entries) return false;
    combine->entries = entries;
    void *numbers = tide_realloc_try(combine->numbers, capacity * sizeof *combine->numbers);
    if (!numbers) return false;
    combine->numbers = numbers;
    combine->capacity = capacity;
    return true;
}

static bool reserve_arena(struct tide_combine *combine, size_t extra) {
    if (combine->arena_capacity - combine->arena_size >= extra) return true;
    uint64_t capacity = combine->arena_capacity ? combine->arena_capacity * 2 : 1024;
    while (capacity - combine->arena_size < extra) capacity *= 2;
    uint8_t *arena = tide_realloc_try(combine->arena, capacity);
    if (!arena) return false;
    combine->arena = arena;
    combine->arena_capacity = capacity;
    return true;
}

/* Adds an entry whose key is head + payload; the caller found the free slot `at`. */
static uint32_t insert(struct tide_combine *combine, uint32_t at, uint64_t hash, const uint8_t *head,
                       uint32_t head_size, const void *payload, size_t size, bool is_string) {
    if (combine->count == combine->capacity && !grow_entries(combine)) return TIDE_COMBINE_NOMEM;
    if (!reserve_arena(combine, head_size + size)) return TIDE_COMBINE_NOMEM;
    if ((uint64_t)(combine->count + 1) * 5 > (uint64_t)combine->mask * 3) {
        if (!grow_slots(combine)) return TIDE_COMBINE_NOMEM;
        at = (uint32_t)hash & combine->mask;
        while (combine->slots[at].entry != 0) at = (at + 1) & combine->mask;
    }
    uint32_t index = combine->count++;
    struct tide_combine_entry *entry = &combine->entries[index];
    entry->hash = hash;
    entry->offset = combine->arena_size;
    entry->size = (uint32_t)(head_size + size);
    entry->head = is_string ? head_size : 0;
    if (head_size > 0) memcpy(combine->arena + combine->arena_size, head, head_size);
    if (size > 0) memcpy(combine->arena + combine->arena_size + head_size, payload, size);
    combine->arena_size += head_size + size;
    combine->slots[at].tag = (uint32_t)hash;
    combine->slots[at].entry = index + 1;
    combine->fresh = 1;
    return index;
}

static uint32_t string_head(uint8_t *head, size_t size) {
    if (size < 32) {
        head[0] = (uint8_t)(0xa0 | size);
        return 1;
    }
    if (size < 256) {
        head[0] = 0xd9;
        head[1] = (uint8_t)size;
        return 2;
    }
    if (size < 65536) {
        head[0] = 0xda;
        head[1] = (uint8_t)(size >> 8);
        head[2] = (uint8_t)size;
        return 3;
    }
    head[0] = 0xdb;
    head[1] = (uint8_t)(size >> 24);
    head[2] = (uint8_t)(size >> 16);
    head[3] = (uint8_t)(size >> 8);
    head[4] = (uint8_t)size;
    return 5;
}

static uint32_t find_string(struct tide_combine *combine, uint64_t hash, const void *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & combine->mask;

    for (struct tide_combine_slot slot; (slot = combine->slots[at]).entry != 0; at = (at + 1) & combine->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &combine->entries[slot.entry - 1];
        if (entry->head != 0 && entry->size - entry->head == size &&
            memcmp(combine->arena + entry->offset + entry->head, data, size) == 0) {
            combine->fresh = 0;
            return slot.entry - 1;
        }
    }
    uint8_t head[STRING_HEAD_MAX];
    uint32_t head_size = string_head(head, size);
    return insert(combine, at, hash, head, head_size, data, size, true);
}

uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size) {
    return find_string(combine, tide_hash_string(data, size), data, size);
}

/* Keys other than strings: compared by their canonical packed bytes. */
static uint32_t find_packed(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & combine->mask;

    for (struct tide_combine_slot slot; (slot = combine->slots[at]).entry != 0; at = (at + 1) & combine->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &combine->entries[slot.entry - 1];
        if (entry->head == 0 && entry->size == size && memcmp(combine->arena + entry->offset, data, size) == 0) {
            combine->fresh = 0;
            return slot.entry - 1;
        }
    }
    return insert(combine, at, hash, NULL, 0, data, size, false);
}

/* Integers beyond 2^53 have several forms that are equal in Lua: int64, uint64, and the double if there is one; and so have tables
 * that hold them. The entry keeps the form that came first. */
static uint32_t find_equal(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & combine->mask;

    for (struct tide_combine_slot slot; (slot = combine->slots[at]).entry != 0; at = (at + 1) & combine->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &combine->entries[slot.entry - 1];
        const uint8_t *key = combine->arena + entry->offset;
        if (entry->head == 0 && tide_key_same(key, entry->size, data, size)) {
            combine->fresh = 0;
            return slot.entry - 1;
        }
    }
    return insert(combine, at, hash, NULL, 0, data, size, false);
}

static uint32_t find_number(struct tide_combine *combine, uint64_t hash, double key) {
    uint8_t packed[TIDE_PACKED_NUMBER_MAX];

    if (key == 0) key = 0; /* -0 and 0 are the same key */
    size_t size = tide_pack_number_at(packed, key);
    if (key > EXACT || key < -EXACT) return find_equal(combine, hash, packed, size);
    return find_packed(combine, hash, packed, size);
}

uint32_t tide_combine_number(struct tide_combine *combine, double key) {
    return find_number(combine, tide_hash_number(key), key);
}

uint32_t tide_combine_hashed(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size) {
    struct tide_value value = tide_unpack_value(data, data + size);

    switch (value.type) {
    case TIDE_VALUE_STRING: return find_string(combine, hash, value.data, value.size);
    case TIDE_VALUE_NUMBER: return find_number(combine, hash, value.number);
    case TIDE_VALUE_INT64:
    case TIDE_VALUE_UINT64:
    case TIDE_VALUE_ARRAY:
    case TIDE_VALUE_MAP: return find_equal(combine, hash, data, size);
    default: return find_packed(combine, hash, data, size);
    }
}

uint32_t tide_combine_packed(struct tide_combine *combine, const uint8_t *data, size_t size) {
    return tide_combine_hashed(combine, tide_hash_packed(data, size), data, size);
}

static bool add(struct tide_combine *combine, uint32_t entry, double value) {
    if (entry == TIDE_COMBINE_NOMEM) return false;
    if (combine->fresh) {
        combine->numbers[entry] = value;
    } else {
        combine->numbers[entry] += value;
    }
    return true;
}

bool tide_combine_add_string(struct tide_combine *combine, const char *data, size_t size, double value) {
    return add(combine, tide_combine_string(combine, data, size), value);
}

bool tide_combine_add_number(struct tide_combine *combine, double key, double value) {
    return add(combine, tide_combine_number(combine, key), value);
}
