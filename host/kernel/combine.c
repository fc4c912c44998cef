/*
 * The combine table (see combine.h): about 50 bytes per key plus the key itself. A look-up usually costs one cache
 * miss for the slot and one for the key. Runs on the worker that owns the table.
 */
#include "kernel/combine.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/hash.h"
#include "wire/key.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { FIRST_SLOTS = 128, STRING_HEAD_MAX = 5 };

/* Larger integers may be int64 or uint64 in Lua, and equal to a double. */
static const double EXACT = 9007199254740992.0;

static struct tide_combine_table *whole(struct tide_combine *combine) { return (struct tide_combine_table *)combine; }

struct tide_combine *tide_combine_new(void) {
    struct tide_combine_table *table = tide_alloc_try(sizeof *table);

    if (!table) return NULL;
    memset(table, 0, sizeof *table);
    table->slots = tide_alloc_try(FIRST_SLOTS * sizeof *table->slots);
    if (!table->slots) {
        tide_free(table);
        return NULL;
    }
    memset(table->slots, 0, FIRST_SLOTS * sizeof *table->slots);
    table->mask = FIRST_SLOTS - 1;
    return &table->seen;
}

void tide_combine_delete(struct tide_combine *combine) {
    struct tide_combine_table *table = whole(combine);

    if (!table) return;
    tide_free(table->seen.numbers);
    tide_free(table->entries);
    tide_free(table->slots);
    tide_free(table->arena);
    tide_free(table);
}

static bool grow_slots(struct tide_combine_table *table) {
    uint64_t slots = ((uint64_t)table->mask + 1) * 2;

    if (slots > UINT32_MAX) return false;
    struct tide_combine_slot *grown = tide_alloc_try(slots * sizeof *grown);
    if (!grown) return false;
    memset(grown, 0, slots * sizeof *grown);
    uint32_t mask = (uint32_t)(slots - 1);
    for (uint32_t i = 0; i < table->seen.count; i++) {
        uint32_t tag = (uint32_t)table->entries[i].hash;
        uint32_t at = tag & mask;
        while (grown[at].entry != 0) at = (at + 1) & mask;
        grown[at].tag = tag;
        grown[at].entry = i + 1;
    }
    tide_free(table->slots);
    table->slots = grown;
    table->mask = mask;
    return true;
}

static bool grow_entries(struct tide_combine_table *table) {
    uint32_t capacity = table->capacity ? table->capacity * 2 : FIRST_SLOTS / 2;
    void *entries = tide_realloc_try(table->entries, capacity * sizeof *table->entries);

    if (!entries) return false;
    table->entries = entries;
    void *numbers = tide_realloc_try(table->seen.numbers, capacity * sizeof *table->seen.numbers);
    if (!numbers) return false;
    table->seen.numbers = numbers;
    table->capacity = capacity;
    return true;
}

static bool reserve_arena(struct tide_combine_table *table, size_t extra) {
    if (table->arena_capacity - table->arena_size >= extra) return true;
    uint64_t capacity = table->arena_capacity ? table->arena_capacity * 2 : 1024;
    while (capacity - table->arena_size < extra) capacity *= 2;
    uint8_t *arena = tide_realloc_try(table->arena, capacity);
    if (!arena) return false;
    table->arena = arena;
    table->arena_capacity = capacity;
    return true;
}

/* Adds an entry whose key is head + payload. `at`: a free slot for it. */
static uint32_t insert(struct tide_combine_table *table, uint32_t at, uint64_t hash, const uint8_t *head,
                       uint32_t head_size, const void *payload, size_t size, bool is_string) {
    if (table->seen.count == table->capacity && !grow_entries(table)) return TIDE_COMBINE_NOMEM;
    if (!reserve_arena(table, head_size + size)) return TIDE_COMBINE_NOMEM;
    if ((uint64_t)(table->seen.count + 1) * 5 > (uint64_t)table->mask * 3) {
        if (!grow_slots(table)) return TIDE_COMBINE_NOMEM;
        at = (uint32_t)hash & table->mask;
        while (table->slots[at].entry != 0) at = (at + 1) & table->mask;
    }
    uint32_t index = table->seen.count++;
    struct tide_combine_entry *entry = &table->entries[index];
    entry->hash = hash;
    entry->offset = table->arena_size;
    entry->size = (uint32_t)(head_size + size);
    entry->head = is_string ? head_size : 0;
    if (head_size > 0) memcpy(table->arena + table->arena_size, head, head_size);
    if (size > 0) memcpy(table->arena + table->arena_size + head_size, payload, size);
    table->arena_size += head_size + size;
    table->slots[at].tag = (uint32_t)hash;
    table->slots[at].entry = index + 1;
    table->seen.fresh = 1;
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

static uint32_t find_string(struct tide_combine_table *table, uint64_t hash, const void *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & table->mask;

    for (struct tide_combine_slot slot; (slot = table->slots[at]).entry != 0; at = (at + 1) & table->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &table->entries[slot.entry - 1];
        if (entry->head != 0 && entry->size - entry->head == size &&
            memcmp(table->arena + entry->offset + entry->head, data, size) == 0) {
            table->seen.fresh = 0;
            return slot.entry - 1;
        }
    }
    uint8_t head[STRING_HEAD_MAX];
    uint32_t head_size = string_head(head, size);
    return insert(table, at, hash, head, head_size, data, size, true);
}

uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size) {
    return find_string(whole(combine), tide_hash_string(data, size), data, size);
}

/* Keys other than strings, compared by their packed bytes in canonical form. */
static uint32_t find_packed(struct tide_combine_table *table, uint64_t hash, const uint8_t *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & table->mask;

    for (struct tide_combine_slot slot; (slot = table->slots[at]).entry != 0; at = (at + 1) & table->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &table->entries[slot.entry - 1];
        if (entry->head == 0 && entry->size == size && memcmp(table->arena + entry->offset, data, size) == 0) {
            table->seen.fresh = 0;
            return slot.entry - 1;
        }
    }
    return insert(table, at, hash, NULL, 0, data, size, false);
}

/* Integers beyond 2^53, and tables that hold them, have several forms that are equal in Lua: int64, uint64, and
 * sometimes a double. The entry keeps the first form. */
static uint32_t find_equal(struct tide_combine_table *table, uint64_t hash, const uint8_t *data, size_t size) {
    uint32_t tag = (uint32_t)hash;
    uint32_t at = tag & table->mask;

    for (struct tide_combine_slot slot; (slot = table->slots[at]).entry != 0; at = (at + 1) & table->mask) {
        if (slot.tag != tag) continue;
        const struct tide_combine_entry *entry = &table->entries[slot.entry - 1];
        const uint8_t *key = table->arena + entry->offset;
        if (entry->head == 0 && tide_key_same(key, entry->size, data, size)) {
            table->seen.fresh = 0;
            return slot.entry - 1;
        }
    }
    return insert(table, at, hash, NULL, 0, data, size, false);
}

static uint32_t find_number(struct tide_combine_table *table, uint64_t hash, double key) {
    uint8_t packed[TIDE_PACKED_NUMBER_MAX];

    if (key == 0) key = 0; /* -0 and 0 are the same key */
    size_t size = tide_pack_number_at(packed, key);
    if (key > EXACT || key < -EXACT) return find_equal(table, hash, packed, size);
    return find_packed(table, hash, packed, size);
}

uint32_t tide_combine_number(struct tide_combine *combine, double key) {
    return find_number(whole(combine), tide_hash_number(key), key);
}

uint32_t tide_combine_hashed(struct tide_combine *combine, uint64_t hash, const uint8_t *data, size_t size) {
    struct tide_value value = tide_unpack_value(data, data + size);

    switch (value.type) {
    case TIDE_VALUE_STRING: return find_string(whole(combine), hash, value.data, value.size);
    case TIDE_VALUE_NUMBER: return find_number(whole(combine), hash, value.number);
    case TIDE_VALUE_INT64:
    case TIDE_VALUE_UINT64:
    case TIDE_VALUE_ARRAY:
    case TIDE_VALUE_MAP: return find_equal(whole(combine), hash, data, size);
    default: return find_packed(whole(combine), hash, data, size);
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
