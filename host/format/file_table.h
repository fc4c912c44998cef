/*
 * A table of files by path: what is known of each. Entries stay where they are until they are removed.
 *
 * Thread: the owner's. Ownership: embedded in the caller's struct.
 */
#ifndef TIDE_FORMAT_FILE_TABLE_H
#define TIDE_FORMAT_FILE_TABLE_H

#include <stdint.h>

struct tide_file_entry {
    uint64_t hash;
    uint64_t size, inode;
    int64_t mtime; /* ns */
    int64_t mark;  /* the owner's, for tide_file_table_sweep */
    char path[];
};

struct tide_file_table {
    struct tide_file_entry **slots; /* open addressing, at most half full */
    uint32_t nslots, count;
};

void tide_file_table_create(struct tide_file_table *table);
void tide_file_table_destroy(struct tide_file_table *table);
/* NULL: there is none. */
struct tide_file_entry *tide_file_table_find(const struct tide_file_table *table, const char *path);
/* The entry of this path; a new one, with everything zero, where there is none. */
struct tide_file_entry *tide_file_table_put(struct tide_file_table *table, const char *path);
/* Removes the entries with a smaller mark. */
void tide_file_table_sweep(struct tide_file_table *table, int64_t mark);

#endif
