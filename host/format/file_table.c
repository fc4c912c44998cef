/*
 * Files by path (see file_table.h). Called by format/listing.c and dstream/file_choice.c.
 */
#include "format/file_table.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/hash.h"

enum { FIRST_SLOTS = 64 };

void tide_file_table_create(struct tide_file_table *table) { *table = (struct tide_file_table){0}; }

void tide_file_table_destroy(struct tide_file_table *table) {
    for (uint32_t i = 0; i < table->nslots; i++) tide_free(table->slots[i]);
    tide_free(table->slots);
    tide_file_table_create(table);
}

/* The slot of the path, or the empty one where it would be. */
static uint32_t find_slot(const struct tide_file_table *table, const char *path, uint64_t hash) {
    uint32_t mask = table->nslots - 1, slot = (uint32_t)hash & mask;

    for (; table->slots[slot]; slot = (slot + 1) & mask)
        if (table->slots[slot]->hash == hash && strcmp(table->slots[slot]->path, path) == 0) break;
    return slot;
}

static void insert(struct tide_file_table *table, struct tide_file_entry *entry) {
    table->slots[find_slot(table, entry->path, entry->hash)] = entry;
    table->count++;
}

/* Moves the entries from `mark` on into a table of their own size, and frees the others. */
static void rebuild(struct tide_file_table *table, uint32_t nslots, int64_t mark) {
    struct tide_file_table old = *table;

    *table = (struct tide_file_table){.slots = tide_xcalloc(nslots, sizeof *old.slots), .nslots = nslots};
    for (uint32_t i = 0; i < old.nslots; i++) {
        if (!old.slots[i]) continue;
        if (old.slots[i]->mark >= mark) insert(table, old.slots[i]);
        else tide_free(old.slots[i]);
    }
    tide_free(old.slots);
}

struct tide_file_entry *tide_file_table_find(const struct tide_file_table *table, const char *path) {
    if (table->count == 0) return NULL;
    return table->slots[find_slot(table, path, tide_hash_string(path, strlen(path)))];
}

struct tide_file_entry *tide_file_table_put(struct tide_file_table *table, const char *path) {
    struct tide_file_entry *entry = tide_file_table_find(table, path);
    size_t size = strlen(path) + 1;

    if (entry) return entry;
    if ((table->count + 1) * 2 > table->nslots)
        rebuild(table, table->nslots ? table->nslots * 2 : FIRST_SLOTS, INT64_MIN);
    entry = tide_xcalloc(1, sizeof *entry + size);
    entry->hash = tide_hash_string(path, size - 1);
    memcpy(entry->path, path, size);
    insert(table, entry);
    return entry;
}

void tide_file_table_sweep(struct tide_file_table *table, int64_t mark) {
    uint32_t kept = 0, nslots = FIRST_SLOTS;

    for (uint32_t i = 0; i < table->nslots; i++) kept += table->slots[i] && table->slots[i]->mark >= mark;
    if (kept == table->count) return;
    while (nslots < kept * 2) nslots *= 2;
    rebuild(table, nslots, mark);
}
