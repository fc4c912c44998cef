/*
 * Windows of numbers, range by range (see window_fold.h). Runs on a worker.
 */
#include "kernel/window_fold.h"

#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "kernel/record_writer.h"
#include "kernel/sort_by_hash.h"
#include "kernel/state_rows.h"
#include "wire/big_endian.h"
#include "wire/hash.h"
#include "wire/key.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { SIDES = 3 };

/* Records of a range; bits of the first number of slots; and the number of slots per key at which the hashes count as
 * too similar. */
enum { RANGE_RECORDS = 1024, FIRST_BITS = 6, MOST_SLOTS_PER_KEY = 64 };

/* Extra slots after the last, for keys whose own slots are taken. */
enum { SLACK = 32 };

enum { FIRST_KEYS = 256 };

enum { CONTINUE = TIDE_WINDOW_FOLD_DONE };

/* The position in a block: its next record. */
struct reader {
    const uint8_t *key, *value, *end;
    uint64_t hash; /* of the key */
    uint32_t left; /* records, the next one included */
    enum tide_window_fold_side side;
};

/* The whole fold; its users see the first part only. */
struct fold {
    struct tide_window_fold seen;
    uint32_t key_slots, meeting_slots;
    struct reader *readers; /* one for each block */
    uint32_t reader_count;
    uint32_t *slots; /* index + 1 of a key, or 0: in the order of hashes but for keys that found theirs taken */
    unsigned bits;   /* of the number of slots */
    uint32_t *sorted;
    uint32_t sorted_slots;
    unsigned ranges; /* two to the power of it */
    uint64_t range;  /* the next one */
    uint64_t first;  /* hash of the one that is read */
    bool adds;
    struct tide_block *block;
    struct tide_blocks made;
    struct tide_blocks ordered[SIDES]; /* sides that were not in order */
};

static struct fold *whole(struct tide_window_fold *fold) { return (struct fold *)fold; }

/* ---- The table of a range ------------------------------------------------------------------------------------- */

static uint32_t slot_of(const struct fold *fold, uint64_t hash) {
    return (uint32_t)((hash - fold->first) >> (64 - fold->ranges - fold->bits));
}

static uint32_t slots_in(const struct fold *fold) { return (1U << fold->bits) + SLACK; }

/* false: all slots from the key's own to the last are taken. */
static bool put_in_slot(struct fold *fold, uint32_t index) {
    uint32_t end = slots_in(fold);

    for (uint32_t at = slot_of(fold, fold->seen.keys[index].hash); at < end; at++) {
        if (fold->slots[at] != 0) continue;
        fold->slots[at] = index + 1;
        return true;
    }
    return false;
}

/* Doubles the slots until all keys have one. OTHER: their hashes are too similar. */
static int grow(struct fold *fold) {
    for (;;) {
        if (fold->bits + 1 >= 64 - fold->ranges ||
            ((uint64_t)1 << fold->bits) / MOST_SLOTS_PER_KEY > fold->seen.count + 64)
            return TIDE_WINDOW_FOLD_OTHER;
        fold->bits++;

        size_t size = slots_in(fold) * sizeof *fold->slots;
        uint32_t *slots = tide_realloc_try(fold->slots, size), done = 0;

        if (!slots) {
            fold->bits--;
            return TIDE_WINDOW_FOLD_NO_MEMORY;
        }
        fold->slots = slots;
        memset(slots, 0, size);
        while (done < fold->seen.count && put_in_slot(fold, done)) done++;
        if (done == fold->seen.count) return CONTINUE;
    }
}

static bool larger(void *array, size_t size) {
    void *grown = tide_realloc_try(*(void **)array, size);

    if (grown) *(void **)array = grown;
    return grown;
}

static bool make_room_for_keys(struct fold *fold) {
    uint32_t more = fold->key_slots > 0 ? fold->key_slots * 2 : FIRST_KEYS;

    if (!larger(&fold->seen.keys, more * sizeof *fold->seen.keys) ||
        !larger(&fold->seen.x, more * sizeof *fold->seen.x) || !larger(&fold->seen.n, more * sizeof *fold->seen.n) ||
        !larger(&fold->seen.there, more * sizeof *fold->seen.there) ||
        !larger(&fold->seen.values, 2 * (size_t)more * sizeof *fold->seen.values) ||
        !larger(&fold->seen.counts, 2 * (size_t)more * sizeof *fold->seen.counts))
        return false;
    fold->key_slots = more;
    return true;
}

/* The key's index, made if it is new. */
static int find_key(struct fold *fold, const struct reader *reader, uint32_t *index) {
    uint32_t at = slot_of(fold, reader->hash), end = slots_in(fold), size = (uint32_t)(reader->value - reader->key);

    for (; at < end && fold->slots[at] != 0; at++) {
        const struct tide_window_fold_key *key = &fold->seen.keys[fold->slots[at] - 1];

        *index = fold->slots[at] - 1;
        if (key->hash == reader->hash && tide_key_same(key->key, key->size, reader->key, size)) return CONTINUE;
    }
    if (fold->seen.count == fold->key_slots && !make_room_for_keys(fold)) return TIDE_WINDOW_FOLD_NO_MEMORY;
    *index = fold->seen.count++;
    fold->seen.keys[*index] = (struct tide_window_fold_key){.hash = reader->hash, .key = reader->key, .size = size};
    fold->seen.counts[2 * *index] = fold->seen.counts[2 * *index + 1] = 0;
    fold->seen.there[*index] = 0;
    if (at < end && (uint64_t)fold->seen.count * 2 <= (uint64_t)1 << fold->bits) {
        fold->slots[at] = fold->seen.count;
        return CONTINUE;
    }
    return grow(fold);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* Reads the number at `at`. Returns the byte after it, or NULL if it is not a number. */
static inline const uint8_t *number_at(const uint8_t *at, const uint8_t *end, double *number) {
    switch (*at) {
    case 0xcc: *number = at[1]; return at + 2;
    case 0xcd: *number = tide_load_big16(at + 1); return at + 3;
    case 0xce: *number = tide_load_big32(at + 1); return at + 5;
    default: break;
    }
    if (*at <= 0x7f) {
        *number = *at;
        return at + 1;
    }

    struct tide_value value = tide_unpack_value(at, end);

    *number = value.number;
    return value.type == TIDE_VALUE_NUMBER ? value.next : NULL;
}

/* Finds the value and the key's hash of the next record. Short strings and whole numbers, the usual keys, need no
 * further call. */
static inline void look(struct reader *reader) {
    const uint8_t *key = reader->key;
    double number;

    if (*key >= 0xa0 && *key <= 0xbf) {
        reader->value = key + 1 + (*key & 0x1f);
        reader->hash = tide_hash_string(key + 1, *key & 0x1f);
    } else if (*key <= 0x7f || (*key >= 0xcc && *key <= 0xce)) {
        reader->value = number_at(key, reader->end, &number);
        reader->hash = tide_hash_number(number);
    } else {
        reader->value = tide_unpack_skip(key, reader->end);
        reader->hash = tide_hash_packed(key, (size_t)(reader->value - key));
    }
}

/* Advances to the record at `next`. */
static inline int step(struct reader *reader, const uint8_t *next) {
    uint64_t hash = reader->hash;

    reader->key = next;
    if (--reader->left == 0) return CONTINUE;
    look(reader);
    return reader->hash < hash ? TIDE_WINDOW_FOLD_OUT_OF_ORDER : CONTINUE;
}

/* Pairs that belong to no state are skipped. */
static inline bool is_no_state(const struct reader *reader) {
    return reader->side == TIDE_WINDOW_FOLD_STATE && *reader->value != TIDE_STATE_ROWS_HEAD;
}

/* Reads the numbers of the next record, `n` of a state only. Returns the byte after them, or NULL if one is not a
 * number. */
static inline const uint8_t *numbers_of(const struct reader *reader, double *n, double *x) {
    if (reader->side != TIDE_WINDOW_FOLD_STATE) return number_at(reader->value, reader->end, x);

    const uint8_t *next = number_at(reader->value + 1, reader->end, n);

    return next ? number_at(next, reader->end, x) : NULL;
}

static bool note_meeting(struct fold *fold, uint32_t place, double value) {
    if (fold->seen.meetings == fold->meeting_slots) {
        uint32_t more = fold->meeting_slots > 0 ? fold->meeting_slots * 2 : FIRST_KEYS;

        if (!larger(&fold->seen.met, more * sizeof *fold->seen.met) ||
            !larger(&fold->seen.newcomers, more * sizeof *fold->seen.newcomers))
            return false;
        fold->meeting_slots = more;
    }
    fold->seen.met[fold->seen.meetings] = place;
    fold->seen.newcomers[fold->seen.meetings++] = value;
    return true;
}

static inline bool take(struct fold *fold, uint32_t key, enum tide_window_fold_side side, double n, double x) {
    uint32_t place = 2 * key + (side == TIDE_WINDOW_FOLD_ENTERING);

    if (side == TIDE_WINDOW_FOLD_STATE) {
        fold->seen.there[key] = 1;
        fold->seen.n[key] = n;
        fold->seen.x[key] = x;
        return true;
    }
    if (fold->seen.counts[place]++ == 0) fold->seen.values[place] = x;
    else if (fold->adds) fold->seen.values[place] += x;
    else return note_meeting(fold, place, x);
    return true;
}

/* Reads the records of a block up to the hash `last`. */
static int read_to(struct fold *fold, struct reader *reader, uint64_t last) {
    while (reader->left > 0 && reader->hash <= last) {
        const uint8_t *next;

        if (is_no_state(reader)) {
            next = tide_unpack_skip(reader->value, reader->end);
        } else {
            uint32_t key;
            double n = 0, x;
            int status = find_key(fold, reader, &key);

            if (status != CONTINUE) return status;
            next = numbers_of(reader, &n, &x);
            if (!next) return TIDE_WINDOW_FOLD_OTHER;
            if (!take(fold, key, reader->side, n, x)) return TIDE_WINDOW_FOLD_NO_MEMORY;
        }

        int status = step(reader, next);

        if (status != CONTINUE) return status;
    }
    return CONTINUE;
}

int tide_window_fold_read(struct tide_window_fold *seen) {
    struct fold *fold = whole(seen);

    fold->seen.count = fold->seen.meetings = 0;
    while (fold->range >> fold->ranges == 0) {
        fold->first = fold->ranges > 0 ? fold->range << (64 - fold->ranges) : 0;
        fold->range++;

        uint64_t last = fold->first + (UINT64_MAX >> fold->ranges);

        for (uint32_t i = 0; i < fold->reader_count; i++) {
            struct reader *reader = &fold->readers[i];

            if (reader->left == 0 || reader->hash > last) continue;

            int status = read_to(fold, reader, last);

            if (status != CONTINUE) return status;
        }
        if (fold->seen.count > 0) return TIDE_WINDOW_FOLD_RANGE;
    }
    return TIDE_WINDOW_FOLD_DONE;
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

static struct reader reader_of(const struct tide_block *block, enum tide_window_fold_side side) {
    struct reader reader = {.key = block->data, .end = block->data + block->size, .left = block->count, .side = side};

    if (block->count > 0) look(&reader);
    return reader;
}

/* DONE, OTHER, or, if all values are numbers, OUT_OF_ORDER. */
static int check_side(const struct tide_blocks *blocks, enum tide_window_fold_side side) {
    int status = TIDE_WINDOW_FOLD_DONE;

    for (uint32_t b = 0; b < blocks->count; b++) {
        struct reader reader = reader_of(blocks->items[b], side);

        while (reader.left > 0) {
            double n, x;
            const uint8_t *next =
                is_no_state(&reader) ? tide_unpack_skip(reader.value, reader.end) : numbers_of(&reader, &n, &x);

            if (!next) return TIDE_WINDOW_FOLD_OTHER;
            if (step(&reader, next) == TIDE_WINDOW_FOLD_OUT_OF_ORDER) status = TIDE_WINDOW_FOLD_OUT_OF_ORDER;
        }
    }
    return status;
}

/* Replaces sides that are not in order by sorted copies. */
static int order_sides(struct fold *fold, const struct tide_blocks *sides[SIDES], bool order) {
    for (int s = 0; s < SIDES; s++) {
        if (!sides[s]) continue;

        int status = fold->adds ? (order ? TIDE_WINDOW_FOLD_OUT_OF_ORDER : TIDE_WINDOW_FOLD_DONE)
                                : check_side(sides[s], (enum tide_window_fold_side)s);

        if (status == TIDE_WINDOW_FOLD_OTHER) return status;
        if (status != TIDE_WINDOW_FOLD_OUT_OF_ORDER) continue;
        if (!tide_sort_by_hash(sides[s], &fold->ordered[s])) return TIDE_WINDOW_FOLD_NO_MEMORY;
        sides[s] = &fold->ordered[s];
    }
    return TIDE_WINDOW_FOLD_DONE;
}

static bool add_readers(struct fold *fold, const struct tide_blocks *const sides[SIDES]) {
    uint32_t blocks = 0;

    for (int s = 0; s < SIDES; s++) blocks += sides[s] ? sides[s]->count : 0;
    fold->readers = tide_alloc_try((blocks > 0 ? blocks : 1) * sizeof *fold->readers);
    if (!fold->readers) return false;
    for (int s = 0; s < SIDES; s++)
        for (uint32_t b = 0; sides[s] && b < sides[s]->count; b++)
            fold->readers[fold->reader_count++] = reader_of(sides[s]->items[b], (enum tide_window_fold_side)s);
    return true;
}

/* Ranges of about RANGE_RECORDS records, and a table for as many keys. */
static bool make_table(struct fold *fold, uint64_t records) {
    fold->bits = FIRST_BITS;
    while (fold->ranges < 31 && records >> fold->ranges > RANGE_RECORDS) fold->ranges++;
    while ((uint64_t)1 << fold->bits < 2 * records && 1U << fold->bits < 2 * RANGE_RECORDS) fold->bits++;
    fold->slots = tide_alloc_try(slots_in(fold) * sizeof *fold->slots);
    if (!fold->slots) return false;
    memset(fold->slots, 0, slots_in(fold) * sizeof *fold->slots);
    return true;
}

int tide_window_fold_open(struct tide_window_fold **out, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool adds,
                          bool order) {
    const struct tide_blocks *sides[SIDES] = {state, leaving, entering};
    struct fold *fold = tide_alloc_try(sizeof *fold);
    uint64_t records = 0;
    int status;

    if (!fold) return TIDE_WINDOW_FOLD_NO_MEMORY;
    *fold = (struct fold){.adds = adds};
    tide_blocks_create(&fold->made);
    for (int s = 0; s < SIDES; s++) {
        tide_blocks_create(&fold->ordered[s]);
        records += sides[s] ? tide_blocks_records(sides[s]) : 0;
    }
    status = order_sides(fold, sides, order);
    if (status == TIDE_WINDOW_FOLD_DONE && !(make_table(fold, records) && add_readers(fold, sides)))
        status = TIDE_WINDOW_FOLD_NO_MEMORY;
    if (status == TIDE_WINDOW_FOLD_DONE) *out = &fold->seen;
    else tide_window_fold_delete(&fold->seen);
    return status;
}

void tide_window_fold_delete(struct tide_window_fold *seen) {
    struct fold *fold = whole(seen);

    if (!fold) return;
    for (int s = 0; s < SIDES; s++) tide_blocks_destroy(&fold->ordered[s]);
    tide_blocks_destroy(&fold->made);
    tide_block_release(fold->block);
    tide_free(fold->readers);
    tide_free(fold->slots);
    tide_free(fold->seen.keys);
    tide_free(fold->seen.x);
    tide_free(fold->seen.n);
    tide_free(fold->seen.there);
    tide_free(fold->seen.values);
    tide_free(fold->seen.counts);
    tide_free(fold->seen.met);
    tide_free(fold->seen.newcomers);
    tide_free(fold->sorted);
    tide_free(fold);
}

const uint8_t *tide_window_fold_key(const struct tide_window_fold *fold, uint32_t index) {
    return fold->keys[index].key;
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

static void finish_block(struct fold *fold) {
    if (fold->block) tide_blocks_push(&fold->made, fold->block);
    fold->block = NULL;
}

static inline uint8_t *put_number(uint8_t *at, double number) {
    if (number >= 1 && number <= 127 && (double)(uint8_t)number == number) {
        *at = (uint8_t)number;
        return at + 1;
    }
    return at + tide_pack_number_at(at, number);
}

static bool write_key(struct fold *fold, uint32_t index, bool states) {
    const struct tide_window_fold_key *key = &fold->seen.keys[index];
    size_t most = (size_t)key->size + 1 + 2 * TIDE_PACKED_NUMBER_MAX;

    if (fold->block && fold->block->size >= TIDE_BLOCK_TARGET) finish_block(fold);
    if ((!fold->block || fold->block->capacity - fold->block->size < most) &&
        !tide_record_writer_room(&fold->block, 2, most))
        return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(fold->block), key->key, key->size);

    if (states) {
        *at++ = TIDE_STATE_ROWS_HEAD;
        at = put_number(put_number(at, fold->seen.n[index]), fold->seen.x[index]);
    } else {
        at = put_number(at, fold->seen.values[2 * index + 1]);
    }
    tide_record_writer_record(fold->block, at);
    return true;
}

/* Sorts the keys of the range by hash (their slots are nearly in that order) and frees the slots. */
static bool sort_keys(struct fold *fold) {
    uint32_t count = 0, end = slots_in(fold);

    if (!TIDE_ARRAY_RESERVE_TRY(fold->sorted, fold->sorted_slots, fold->seen.count)) return false;
    for (uint32_t s = 0; s < end && count < fold->seen.count; s++) {
        if (fold->slots[s] == 0) continue;

        uint32_t index = fold->slots[s] - 1, at = count++;
        uint64_t hash = fold->seen.keys[index].hash;

        for (; at > 0 && fold->seen.keys[fold->sorted[at - 1]].hash > hash; at--)
            fold->sorted[at] = fold->sorted[at - 1];
        fold->sorted[at] = index;
        fold->slots[s] = 0;
    }
    return true;
}

bool tide_window_fold_write(struct tide_window_fold *seen, bool states) {
    struct fold *fold = whole(seen);

    if (!sort_keys(fold)) return false;
    for (uint32_t i = 0; i < fold->seen.count; i++) {
        uint32_t index = fold->sorted[i];

        if ((!states || fold->seen.there[index]) && !write_key(fold, index, states)) return false;
    }
    return true;
}

void tide_window_fold_finish(struct tide_window_fold *seen, struct tide_blocks *out) {
    struct fold *fold = whole(seen);

    finish_block(fold);
    tide_blocks_move(out, &fold->made);
    tide_window_fold_delete(seen);
}
