/*
 * Sorting packed pairs by the hash of their key (see order.h): by its upper half digit by digit, then what is still out of
 * order (hashes that differ in the lower half only) by insertion. Runs on a worker.
 */
#include "task/order.h"

#include <string.h>

#include "base/alloc.h"
#include "task/emit.h"
#include "wire/hash.h"
#include "wire/unpack.h"

enum { DIGIT_BITS = 11, DIGITS = 3, DIGIT_VALUES = 1 << DIGIT_BITS, FIRST_BIT = 64 - DIGITS * DIGIT_BITS };

/* So few are sorted by insertion alone. */
enum { FEW = 48 };

struct record {
    uint64_t hash;
    const uint8_t *at;
    uint32_t size;
};

static uint32_t digit_of(const struct record *record, int digit) {
    return (uint32_t)(record->hash >> (FIRST_BIT + digit * DIGIT_BITS)) & (DIGIT_VALUES - 1);
}

static uint32_t read_records(const struct tide_blocks *in, struct record *records) {
    uint32_t count = 0;

    for (uint32_t b = 0; b < in->count; b++) {
        const uint8_t *at = in->items[b]->data, *end = at + in->items[b]->size;

        for (uint32_t r = 0; r < in->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);

            records[count++] = (struct record){
                .hash = tide_hash_packed(at, (size_t)(value - at)), .at = at, .size = (uint32_t)(next - at)};
            at = next;
        }
    }
    return count;
}

static void insert(struct record *records, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        struct record record = records[i];
        uint32_t at = i;

        for (; at > 0 && records[at - 1].hash > record.hash; at--) records[at] = records[at - 1];
        records[at] = record;
    }
}

/* From `records` to `spare` and back, an odd number of times: the result is in `spare`. */
static void by_digits(struct record *records, struct record *spare, uint32_t count,
                      uint32_t (*starts)[DIGIT_VALUES]) {
    memset(starts, 0, DIGITS * sizeof *starts);
    for (uint32_t i = 0; i < count; i++)
        for (int d = 0; d < DIGITS; d++) starts[d][digit_of(&records[i], d)]++;
    for (int d = 0; d < DIGITS; d++) {
        uint32_t sum = 0;

        for (uint32_t v = 0; v < DIGIT_VALUES; v++) {
            uint32_t these = starts[d][v];

            starts[d][v] = sum;
            sum += these;
        }
        for (uint32_t i = 0; i < count; i++) spare[starts[d][digit_of(&records[i], d)]++] = records[i];

        struct record *other = records;

        records = spare;
        spare = other;
    }
}

static bool write(const struct record *records, uint32_t count, struct tide_blocks *out) {
    struct tide_block *block = NULL;

    for (uint32_t i = 0; i < count; i++) {
        if (block != NULL && block->size >= TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if (!tide_emit_room(&block, 2, records[i].size)) {
            tide_block_release(block);
            return false;
        }
        tide_emit_record(block, tide_emit_bytes(tide_emit_at(block), records[i].at, records[i].size));
    }
    if (block != NULL) tide_blocks_push(out, block);
    return true;
}

bool tide_order_blocks(const struct tide_blocks *in, struct tide_blocks *out) {
    uint64_t count = tide_blocks_records(in);
    struct record *records = NULL, *spare = NULL;
    uint32_t(*starts)[DIGIT_VALUES] = NULL;
    bool ok = false;

    if (count == 0) return true;
    if (count > UINT32_MAX) return false;
    records = tide_alloc_try(count * sizeof *records);
    if (records == NULL) goto done;
    read_records(in, records);
    if (count > FEW) {
        spare = tide_alloc_try(count * sizeof *spare);
        starts = tide_alloc_try(DIGITS * sizeof *starts);
        if (spare == NULL || starts == NULL) goto done;
        by_digits(records, spare, (uint32_t)count, starts);
    }
    insert(count > FEW ? spare : records, (uint32_t)count);
    ok = write(count > FEW ? spare : records, (uint32_t)count, out);
done:
    tide_free(records);
    tide_free(spare);
    tide_free(starts);
    return ok;
}
