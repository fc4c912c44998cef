/*
 * Changes of single rows, each with its undo record. Called by state_store.c, snapshot.c and load.c within a batch.
 *
 * Thread: the store's owner. false: no memory; nothing has changed then.
 */
#ifndef TIDE_STATE_ROWS_H
#define TIDE_STATE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "state/body.h"

/* A value as it is stored. */
struct tide_rows_value {
    enum tide_row_kind kind;
    uint32_t room;          /* its bytes in the row */
    double number;          /* NUMBER */
    const uint8_t *bytes;   /* PACKED */
    struct tide_blob *blob; /* BLOB, FAR: made of memory of the store */
};

void tide_rows_find(const struct tide_state_store *store, uint64_t hash, const uint8_t *key, uint32_t key_size,
                    struct tide_state_found *found);
/* The row of a key; NULL: there is none. */
const uint8_t *tide_rows_at(const struct tide_state_store *store, uint64_t hash, const uint8_t *key,
                            uint32_t key_size);
bool tide_rows_put(struct tide_state_store *store, const struct tide_state_change *change);
bool tide_rows_stamp(struct tide_state_store *store, const struct tide_state_change *change);
bool tide_rows_remove(struct tide_state_store *store, uint64_t hash, const uint8_t *key, uint32_t key_size);
/* Removes rows with a stamp below the limit from a bucket, each after `visit`, which may fail. */
bool tide_rows_expire(struct tide_state_store *store, uint32_t group, uint32_t bucket, int64_t limit,
                      bool (*visit)(void *arg, const uint8_t *row), void *arg);
/* Undoes one change. Allocates nothing. */
void tide_rows_restore(struct tide_state_store *store, const struct tide_undo_record *record);

/* The value in the form for rows; makes the blob if it needs one, for the key too if that is far. */
bool tide_rows_value(struct tide_state_store *store, const struct tide_state_change *change, bool far,
                     struct tide_rows_value *value);
static inline bool tide_rows_is_far(uint32_t key_size) { return key_size > TIDE_ROW_KEY_MAX; }
/* A value that no row has got. */
void tide_rows_free_value(struct tide_state_store *store, const struct tide_rows_value *value);
uint32_t tide_rows_size(const struct tide_rows_value *value, uint32_t key_size);
/* Writes a row of that size. */
void tide_rows_write(uint8_t *row, const struct tide_rows_value *value, const struct tide_state_change *change);

#endif
