/*
 * What the rows that a batch changes were before, in order: for rollback, and to know what has changed. By key, not
 * by place, so that rows may move.
 *
 *   record   ┌──────┬──────┬────────┬──────────┬────────────┬─────────────┬─────┐
 *            │ hash │ word │ before │ key size │ value room │ value, as   │ key │
 *            │      │      │        │          │            │ in its row  │     │
 *            └──────┴──────┴────────┴──────────┴────────────┴─────────────┴─────┘
 *
 * Thread: the store's owner.
 */
#ifndef TIDE_STATE_UNDO_H
#define TIDE_STATE_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "state/row.h"

enum { TIDE_UNDO_ABSENT = 0xff }; /* instead of the kind: there was no row */

struct tide_undo_record {
    uint64_t hash;
    uint64_t word;   /* head of the row */
    uint64_t before; /* where the record before begins */
    uint32_t key_size;
    uint32_t value_room; /* bytes of the value; 0: only the stamp has changed, or there was no row */
    uint8_t bytes[];
};

struct tide_undo {
    struct tide_buffer bytes;
    uint64_t last; /* record */
    uint32_t count;
};

void tide_undo_destroy(struct tide_undo *undo);
/* No records. Keeps moderate memory. */
void tide_undo_clear(struct tide_undo *undo);
/* Room for a record, which tide_undo_add then adds. false: no memory. */
bool tide_undo_ready(struct tide_undo *undo, uint32_t key_size);
/* row NULL: there was none. `stamp_only`: the value stays. */
void tide_undo_add(struct tide_undo *undo, uint64_t hash, const uint8_t *key, uint32_t key_size, const uint8_t *row,
                   bool stamp_only);

static inline const uint8_t *tide_undo_key(const struct tide_undo_record *record) {
    return record->bytes + record->value_room;
}

static inline const struct tide_undo_record *tide_undo_at(const struct tide_undo *undo, uint64_t at) {
    return (const struct tide_undo_record *)(undo->bytes.data + at);
}

/* Bytes from one record to the next. */
static inline size_t tide_undo_size(const struct tide_undo_record *record) {
    return (sizeof *record + record->value_room + record->key_size + 7) & ~(size_t)7;
}

/* The old value's blob that the batch has replaced; NULL. */
struct tide_blob *tide_undo_blob(const struct tide_undo_record *record);

#endif
