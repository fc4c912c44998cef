/*
 * One key and its value, as they lie in a page. Header only; pure.
 *
 *   ┌──────┬──────────┬────────────────┬───────────────────────────────┬──────────────┐
 *   │ kind │ key size │     stamp      │ value                         │ key, packed  │
 *   └──────┴──────────┴────────────────┴───────────────────────────────┴──────────────┘
 *    1 byte  1 byte     6 bytes          NUMBER  8 bytes, a double
 *                                        PACKED  1 byte size, bytes (at most 100)
 *                                        BLOB    8 bytes: address of a blob with the value
 *                                        FAR     8 bytes: address of a blob with the value and the key (no key here)
 *
 * The stamp is a whole number from 0 to 2^48 - 1: the time of the last update, or a count. Rows are not aligned.
 */
#ifndef TIDE_STATE_ROW_H
#define TIDE_STATE_ROW_H

#include <stdint.h>
#include <string.h>

#include "state/arena.h"

enum tide_row_kind { TIDE_ROW_NUMBER, TIDE_ROW_PACKED, TIDE_ROW_BLOB, TIDE_ROW_FAR };
enum { TIDE_ROW_HEAD = 8, TIDE_ROW_VALUE_MAX = 100, TIDE_ROW_KEY_MAX = 200 };

/* A value that is too large for a page, followed by the key if that is, too. */
struct tide_blob {
    struct tide_arena_item item;
    uint64_t born; /* in which epoch (state/pin.h) */
    uint64_t hash; /* of the key */
    uint32_t size; /* of the value */
    uint32_t key_size;
    uint8_t bytes[];
};

static inline uint64_t tide_row_word(enum tide_row_kind kind, uint32_t key_size, int64_t stamp) {
    return (uint64_t)kind | (uint64_t)key_size << 8 | (uint64_t)stamp << 16;
}

static inline uint64_t tide_row_load(const uint8_t *at) {
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline void tide_row_store(uint8_t *at, uint64_t word) { memcpy(at, &word, sizeof word); }

static inline enum tide_row_kind tide_row_kind(const uint8_t *row) {
    return (enum tide_row_kind)(tide_row_load(row) & 0xff);
}

static inline int64_t tide_row_stamp(const uint8_t *row) { return (int64_t)(tide_row_load(row) >> 16); }

static inline double tide_row_number(const uint8_t *row) {
    double number;

    memcpy(&number, row + TIDE_ROW_HEAD, sizeof number);
    return number;
}

/* Of a BLOB or FAR row. */
static inline struct tide_blob *tide_row_blob(const uint8_t *row) {
    struct tide_blob *blob;

    memcpy(&blob, row + TIDE_ROW_HEAD, sizeof blob);
    return blob;
}

/* Bytes of the value in the row. */
static inline uint32_t tide_row_value_room(const uint8_t *row) {
    return tide_row_kind(row) == TIDE_ROW_PACKED ? 1u + row[TIDE_ROW_HEAD] : 8u;
}

/* Bytes of the key in the row. */
static inline uint32_t tide_row_key_room(const uint8_t *row) { return (uint32_t)(tide_row_load(row) >> 8 & 0xff); }

static inline uint32_t tide_row_size(const uint8_t *row) {
    return TIDE_ROW_HEAD + tide_row_value_room(row) + tide_row_key_room(row);
}

static inline const uint8_t *tide_row_key(const uint8_t *row, uint32_t *size) {
    if (tide_row_kind(row) == TIDE_ROW_FAR) {
        const struct tide_blob *blob = tide_row_blob(row);

        *size = blob->key_size;
        return blob->bytes + blob->size;
    }
    *size = tide_row_key_room(row);
    return row + TIDE_ROW_HEAD + tide_row_value_room(row);
}

/* The packed value; NULL: it is a number. */
static inline const uint8_t *tide_row_value(const uint8_t *row, uint32_t *size) {
    switch (tide_row_kind(row)) {
    case TIDE_ROW_NUMBER: *size = 0; return NULL;
    case TIDE_ROW_PACKED: *size = row[TIDE_ROW_HEAD]; return row + TIDE_ROW_HEAD + 1;
    default: *size = tide_row_blob(row)->size; return tide_row_blob(row)->bytes;
    }
}

#endif
