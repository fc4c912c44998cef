/*
 * Windows of sums (see sums.h). Runs on a worker.
 *
 * Two ways. Usually all sides are read range by range: the records with hashes of one range go from every block into a small
 * table whose slots are in the order of hashes, and from there to the output. Where hardly anything of a large state changes,
 * only what changes is put in a table, and the state is copied past it, whole blocks by reference (patch.h).
 */
#include "task/sums.h"

#include <string.h>

#include "base/alloc.h"
#include "task/emit.h"
#include "task/order.h"
#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* The head of a state record's value. */
enum { STATE_HEAD = 0x92 };

enum side { STATE, LEAVING, ENTERING };

/* Records read before their sums are written, and slots of the table at first: the double, so that few keys collide. */
enum { RANGE_RECORDS = 1024, FIRST_BITS = 6, MOST_SLOTS_PER_KEY = 64 };

/* Beyond the last slot, for keys that do not find theirs free. */
enum { SLACK = 32 };

/* One in so many keys of the state may change for the whole of it to be copied past the changes. */
enum { RARE = 256 };

/* Statuses besides those of the header. */
enum { GO_ON = TIDE_SUMS_DONE, OUT_OF_ORDER = 2 };

/* How far a block has been read: its next record. */
struct reader {
    const uint8_t *key, *value, *end;
    uint64_t hash; /* of the key */
    uint32_t left; /* records, the next one included */
    enum side side;
};

/* One key of the range. */
struct entry {
    uint64_t hash;
    const uint8_t *key;
    uint32_t size;
    uint32_t left, came; /* partial results that leave, that enter */
    uint32_t in_state;
    double old, n;            /* in the state: sum, number of partial results */
    double leaving, entering; /* sums */
};

struct fold {
    struct reader *readers;
    uint32_t nreaders;
    uint32_t
        *slots; /* index + 1 of an entry, or 0; (1 << bits) + SLACK of them, in the order of the entries' hashes but
                        for entries that found their slot taken */
    struct entry *entries;
    uint32_t *sorted; /* indexes of entries */
    uint32_t count, entry_slots, sorted_slots;
    unsigned bits;
    unsigned width; /* of a range of hashes, in bits */
    uint64_t first; /* hash of the range */
    struct tide_block *block;
    struct tide_blocks *out;
    struct tide_patch *patch; /* where keys are left open; or NULL */
};

/* ---- The table of a range ------------------------------------------------------------------------------------- */

static bool same_key(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
    return (a_size == b_size && memcmp(a, b, a_size) == 0) || tide_unpack_compare(a, a + a_size, b, b + b_size) == 0;
}

static uint32_t slot_of(const struct fold *fold, uint64_t hash) {
    return (uint32_t)((hash - fold->first) >> (fold->width - fold->bits));
}

static uint32_t slots_in(const struct fold *fold) { return (1U << fold->bits) + SLACK; }

/* false: every slot from the entry's own to the last is taken. */
static bool put_in_slot(struct fold *fold, uint32_t index) {
    uint32_t end = slots_in(fold);

    for (uint32_t at = slot_of(fold, fold->entries[index].hash); at < end; at++) {
        if (fold->slots[at] != 0) continue;
        fold->slots[at] = index + 1;
        return true;
    }
    return false;
}

/* Doubles the slots until all entries have one. OTHER: their hashes are too much alike. */
static int grow(struct fold *fold) {
    for (;;) {
        if (fold->bits + 1 >= fold->width || ((uint64_t)1 << fold->bits) / MOST_SLOTS_PER_KEY > fold->count + 64)
            return TIDE_SUMS_OTHER;
        fold->bits++;

        size_t size = slots_in(fold) * sizeof *fold->slots;
        uint32_t *slots = tide_realloc_try(fold->slots, size), done = 0;

        if (slots == NULL) return TIDE_SUMS_NO_MEMORY;
        fold->slots = slots;
        memset(slots, 0, size);
        while (done < fold->count && put_in_slot(fold, done)) done++;
        if (done == fold->count) return GO_ON;
    }
}

/* Entries stay where they are until the next call. */
static int entry_of(struct fold *fold, uint64_t hash, const uint8_t *key, uint32_t size, struct entry **entry) {
    uint32_t at = slot_of(fold, hash), end = slots_in(fold);

    for (; at < end && fold->slots[at] != 0; at++) {
        *entry = &fold->entries[fold->slots[at] - 1];
        if ((*entry)->hash == hash && same_key((*entry)->key, (*entry)->size, key, size)) return GO_ON;
    }
    if (fold->count == fold->entry_slots &&
        !tide_emit_grow((void **)&fold->entries, &fold->entry_slots, fold->count + 1, sizeof *fold->entries))
        return TIDE_SUMS_NO_MEMORY;
    *entry = &fold->entries[fold->count];
    **entry = (struct entry){.hash = hash, .key = key, .size = size};
    fold->count++;
    if (at < end && (uint64_t)fold->count * 2 <= (uint64_t)1 << fold->bits) {
        fold->slots[at] = fold->count;
        return GO_ON;
    }
    return grow(fold);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* The number at `at`; the byte after it, or NULL when there is something else. */
static inline const uint8_t *number_at(const uint8_t *at, const uint8_t *end, double *number) {
    switch (*at) {
    case 0xcc: *number = at[1]; return at + 2;
    case 0xcd: *number = (double)((uint32_t)at[1] << 8 | at[2]); return at + 3;
    case 0xce:
        *number = (double)((uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4]);
        return at + 5;
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

/* Finds the next record's value and its key's hash. The usual keys, short strings and whole numbers, do without a call more. */
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

static inline double plus(uint32_t before, double sum, double number) { return before > 0 ? sum + number : number; }

/* Takes the next record in; the byte after it, or NULL when its value is no number. */
static const uint8_t *take(const struct reader *reader, struct entry *entry) {
    double number;
    const uint8_t *next;

    switch (reader->side) {
    case STATE:
        next = number_at(reader->value + 1, reader->end, &entry->n);
        if (next == NULL) return NULL;
        entry->in_state = 1;
        return number_at(next, reader->end, &entry->old);
    case LEAVING:
        next = number_at(reader->value, reader->end, &number);
        entry->leaving = plus(entry->left++, entry->leaving, number);
        return next;
    default:
        next = number_at(reader->value, reader->end, &number);
        entry->entering = plus(entry->came++, entry->entering, number);
        return next;
    }
}

/* The records of one block up to this hash. */
static int read_to(struct fold *fold, struct reader *reader, uint64_t last) {
    while (reader->left > 0 && reader->hash <= last) {
        const uint8_t *next;

        if (reader->side == STATE && *reader->value != STATE_HEAD) {
            next = tide_unpack_skip(reader->value, reader->end); /* not part of the state */
        } else {
            struct entry *entry;
            int status = entry_of(fold, reader->hash, reader->key, (uint32_t)(reader->value - reader->key), &entry);

            if (status != GO_ON) return status;
            next = take(reader, entry);
            if (next == NULL) return TIDE_SUMS_OTHER;
        }

        uint64_t hash = reader->hash;

        reader->key = next;
        if (--reader->left == 0) break;
        look(reader);
        if (reader->hash < hash) return OUT_OF_ORDER;
    }
    return GO_ON;
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

static void finish_block(struct fold *fold) {
    if (fold->block != NULL) tide_blocks_push(fold->out, fold->block);
    fold->block = NULL;
}

/* Where the next record goes, its key written; NULL: no memory. */
static uint8_t *begin_record(struct fold *fold, const struct entry *entry) {
    size_t most = (size_t)entry->size + 1 + 2 * TIDE_PACKED_NUMBER_MAX;

    if (fold->block != NULL && fold->block->size >= TIDE_BLOCK_TARGET) finish_block(fold);
    if ((fold->block == NULL || fold->block->capacity - fold->block->size < most) &&
        !tide_emit_room(&fold->block, 2, most))
        return NULL;
    return tide_emit_bytes(tide_emit_at(fold->block), entry->key, entry->size);
}

static inline uint8_t *put_number(uint8_t *at, double number) {
    if (number >= 1 && number <= 127 && (double)(uint8_t)number == number) {
        *at = (uint8_t)number;
        return at + 1;
    }
    return at + tide_pack_number_at(at, number);
}

static bool leave_open(struct tide_patch *patch, const uint8_t *key, size_t size, double sum) {
    uint32_t entry = tide_combine_packed(patch->keys, key, size);

    if (entry == TIDE_COMBINE_NOMEM) return false;
    if (!tide_emit_grow((void **)&patch->open, &patch->open_slots, patch->opens + 1, sizeof *patch->open))
        return false;
    patch->open[patch->opens++] = entry;
    patch->keys->numbers[entry] = sum;
    return true;
}

static bool write_sum(struct fold *fold, const struct entry *entry) {
    uint8_t *at = begin_record(fold, entry);

    if (at == NULL) return false;
    tide_emit_record(fold->block, put_number(at, entry->entering));
    return true;
}

static bool write_state(struct fold *fold, const struct entry *entry) {
    double sum = entry->entering, n = entry->came;

    if (entry->in_state) {
        sum = entry->old;
        if (entry->left > 0) sum -= entry->leaving;
        if (entry->came > 0) sum += entry->entering;
        n += entry->n - entry->left;
    } else if (entry->came == 0) {
        return true;
    }
    if (fold->patch != NULL && n <= 0 && entry->left + entry->came > 0)
        return leave_open(fold->patch, entry->key, entry->size, sum);

    uint8_t *at = begin_record(fold, entry);

    if (at == NULL) return false;
    *at++ = STATE_HEAD;
    tide_emit_record(fold->block, put_number(put_number(at, n), sum));
    return true;
}

/* The entries of the range in the order of their hashes. They nearly are as they stand in their slots. */
static bool sort_entries(struct fold *fold) {
    uint32_t count = 0, end = slots_in(fold);

    if (!tide_emit_grow((void **)&fold->sorted, &fold->sorted_slots, fold->count, sizeof *fold->sorted)) return false;
    for (uint32_t s = 0; s < end && count < fold->count; s++) {
        if (fold->slots[s] == 0) continue;

        uint32_t index = fold->slots[s] - 1, at = count++;
        uint64_t hash = fold->entries[index].hash;

        for (; at > 0 && fold->entries[fold->sorted[at - 1]].hash > hash; at--)
            fold->sorted[at] = fold->sorted[at - 1];
        fold->sorted[at] = index;
        fold->slots[s] = 0;
    }
    return true;
}

typedef bool writer(struct fold *fold, const struct entry *entry);

static bool write_range(struct fold *fold, writer *write) {
    if (fold->count == 0) return true;
    if (!sort_entries(fold)) return false;
    for (uint32_t i = 0; i < fold->count; i++)
        if (!write(fold, &fold->entries[fold->sorted[i]])) return false;
    fold->count = 0;
    return true;
}

/* ---- Range by range ------------------------------------------------------------------------------------------- */

static uint64_t records_in(const struct tide_blocks *const sides[], uint32_t count) {
    uint64_t records = 0;

    for (uint32_t s = 0; s < count; s++) records += sides[s] != NULL ? tide_blocks_records(sides[s]) : 0;
    return records;
}

static bool add_readers(struct fold *fold, const struct tide_blocks *const sides[], uint32_t count) {
    uint32_t blocks = 0;

    for (uint32_t s = 0; s < count; s++) blocks += sides[s] != NULL ? sides[s]->count : 0;
    fold->readers = tide_alloc_try((blocks > 0 ? blocks : 1) * sizeof *fold->readers);
    if (fold->readers == NULL) return false;
    for (uint32_t s = 0; s < count; s++) {
        for (uint32_t b = 0; sides[s] != NULL && b < sides[s]->count; b++) {
            const struct tide_block *block = sides[s]->items[b];

            if (block->count == 0) continue;

            struct reader *reader = &fold->readers[fold->nreaders++];

            *reader = (struct reader){
                .key = block->data, .end = block->data + block->size, .left = block->count, .side = (enum side)s};
            look(reader);
        }
    }
    return true;
}

static int read_all(struct fold *fold, uint64_t records, writer *write) {
    unsigned ranges = 0; /* two to the power of it */

    while (ranges < 31 && records >> ranges > RANGE_RECORDS) ranges++;
    fold->width = 64 - ranges;
    for (uint64_t range = 0; range >> ranges == 0; range++) {
        fold->first = ranges > 0 ? range << fold->width : 0;

        uint64_t last = fold->first + (UINT64_MAX >> ranges);

        for (uint32_t i = 0; i < fold->nreaders; i++) {
            struct reader *reader = &fold->readers[i];

            if (reader->left == 0 || reader->hash > last) continue;

            int status = read_to(fold, reader, last);

            if (status != GO_ON) return status;
        }
        if (!write_range(fold, write)) return TIDE_SUMS_NO_MEMORY;
    }
    return TIDE_SUMS_DONE;
}

static void empty(struct tide_blocks *blocks) {
    tide_blocks_destroy(blocks);
    tide_blocks_create(blocks);
}

/* `sides`: as enum side; NULL where there is none. */
static int fold_sides(const struct tide_blocks *const sides[3], writer *write, struct tide_patch *patch,
                      struct tide_blocks *out) {
    struct fold fold = {.out = out, .patch = patch, .bits = FIRST_BITS};
    uint64_t records = records_in(sides, 3);
    int status = TIDE_SUMS_NO_MEMORY;

    while (fold.bits < 20 && (uint64_t)1 << fold.bits < 2 * records && 1U << fold.bits < 2 * RANGE_RECORDS)
        fold.bits++;
    fold.slots = tide_alloc_try(slots_in(&fold) * sizeof *fold.slots);
    if (fold.slots != NULL && add_readers(&fold, sides, 3)) {
        memset(fold.slots, 0, slots_in(&fold) * sizeof *fold.slots);
        status = read_all(&fold, records, write);
    }
    if (status == TIDE_SUMS_DONE) finish_block(&fold);
    else empty(out);
    tide_block_release(fold.block);
    tide_free(fold.readers);
    tide_free(fold.slots);
    tide_free(fold.entries);
    tide_free(fold.sorted);
    return status;
}

/* The same for sides that may be in any order. */
static int fold_ordered(const struct tide_blocks *const sides[3], writer *write, struct tide_patch *patch,
                        struct tide_blocks *out) {
    int status = fold_sides(sides, write, patch, out);

    if (status != OUT_OF_ORDER) return status;

    struct tide_blocks lists[3];
    const struct tide_blocks *ordered[3] = {NULL, NULL, NULL};
    bool ok = true;

    if (patch != NULL) patch->opens = 0;
    for (int s = 0; s < 3; s++) {
        tide_blocks_create(&lists[s]);
        if (sides[s] == NULL) continue;
        ok = ok && tide_order_blocks(sides[s], &lists[s]);
        ordered[s] = &lists[s];
    }
    status = ok ? fold_sides(ordered, write, patch, out) : TIDE_SUMS_NO_MEMORY;
    for (int s = 0; s < 3; s++) tide_blocks_destroy(&lists[s]);
    return status;
}

int tide_sums_merge(const struct tide_blocks *in, struct tide_blocks *out) {
    const struct tide_blocks *const sides[3] = {NULL, NULL, in};

    return fold_ordered(sides, write_sum, NULL, out);
}

/* ---- Past the changes ----------------------------------------------------------------------------------------- */

/* What leaves a window or comes into it, of one key. */
struct change {
    double sum;
    uint32_t count;
};

static int sum_up(struct tide_patch *patch, const struct tide_blocks *records, struct change **changes,
                  uint32_t *slots) {
    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            struct tide_value what = tide_unpack_value(value, end);
            uint32_t had = *slots, entry = tide_combine_packed(patch->keys, at, (size_t)(value - at));

            if (what.type != TIDE_VALUE_NUMBER) return TIDE_SUMS_OTHER;
            if (entry == TIDE_COMBINE_NOMEM) return TIDE_SUMS_NO_MEMORY;
            if (!tide_emit_grow((void **)changes, slots, entry + 1, sizeof **changes)) return TIDE_SUMS_NO_MEMORY;
            memset(*changes + had, 0, (size_t)(*slots - had) * sizeof **changes);

            struct change *change = &(*changes)[entry];

            change->sum = plus(change->count++, change->sum, what.number);
            at = what.next;
        }
    }
    return TIDE_SUMS_DONE;
}

static bool put_sum(struct tide_patch *patch, uint32_t entry, const struct change *leaving,
                    const struct change *entering, bool asks) {
    const struct tide_patch_old *old = &patch->old[entry];
    double sum = entering->sum, count = entering->count;
    uint8_t packed[TIDE_PACKED_NUMBER_MAX];

    if (old->value != NULL) {
        sum = tide_unpack_value(old->value, old->value + old->size).number;
        if (leaving->count > 0) sum -= leaving->sum;
        if (entering->count > 0) sum += entering->sum;
        count += old->n - leaving->count;
    } else if (entering->count == 0) {
        return true;
    }
    if (asks && count <= 0) {
        uint32_t size;
        const uint8_t *key = tide_combine_key(patch->keys, entry, &size);

        return leave_open(patch, key, size, sum);
    }
    return tide_patch_put(patch, entry, count, packed, tide_pack_number_at(packed, sum));
}

static bool old_are_numbers(const struct tide_patch *patch) {
    for (uint32_t i = 0; i < patch->keys->count; i++) {
        const struct tide_patch_old *old = &patch->old[i];

        if (old->value != NULL && tide_unpack_value(old->value, old->value + old->size).type != TIDE_VALUE_NUMBER)
            return false;
    }
    return true;
}

static int slide_past(struct tide_patch *patch, const struct tide_blocks *state, const struct tide_blocks *leaving,
                      const struct tide_blocks *entering, bool asks, struct tide_blocks *out) {
    static const struct change none;
    struct change *left = NULL, *came = NULL;
    uint32_t left_slots = 0, came_slots = 0;
    int status = sum_up(patch, leaving, &left, &left_slots);

    if (status == TIDE_SUMS_DONE) status = sum_up(patch, entering, &came, &came_slots);
    if (status == TIDE_SUMS_DONE && !tide_patch_scan(patch, state, -1, out)) status = TIDE_SUMS_NO_MEMORY;
    if (status == TIDE_SUMS_DONE && !old_are_numbers(patch)) {
        empty(out);
        status = TIDE_SUMS_OTHER;
    }
    for (uint32_t i = 0; status == TIDE_SUMS_DONE && i < patch->keys->count; i++)
        if (!put_sum(patch, i, i < left_slots ? &left[i] : &none, i < came_slots ? &came[i] : &none, asks))
            status = TIDE_SUMS_NO_MEMORY;
    tide_free(left);
    tide_free(came);
    return status;
}

int tide_sums_slide(struct tide_patch *patch, const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering, bool asks, struct tide_blocks *out) {
    const struct tide_blocks *const sides[3] = {state, leaving, entering};

    if (records_in(sides + 1, 2) * RARE < tide_blocks_records(state))
        return slide_past(patch, state, leaving, entering, asks, out);
    patch->out = out;
    return fold_ordered(sides, write_state, asks ? patch : NULL, out);
}
