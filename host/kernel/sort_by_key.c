/*
 * Sorting by key (see sort_by_key.h). If all keys are numbers, or all are strings, a radix sort by 64 bits of each
 * key comes first: it is all for numbers; strings with equal first 8 bytes are then compared. Other keys are
 * merge-sorted with the full comparison. Runs on a worker.
 */
#include "kernel/sort_by_key.h"

#include <string.h>

#include "kernel/radix.h"
#include "kernel/sort_items.h"
#include "wire/key.h"
#include "wire/unpack.h"

/* The kinds of keys in a list, as bits. */
enum kind { NOTHING = 0, NUMBERS = 1, STRINGS = 2, OTHERS = 4 };

/* Runs of this length are sorted by insertion. */
enum { SHORT = 12 };

static uint64_t number_bits(double number) {
    uint64_t bits;

    if (number == 0) number = 0; /* -0 */
    memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t string_bits(const uint8_t *data, uint32_t size) {
    uint64_t bits = 0;

    for (uint32_t i = 0; i < 8; i++) bits = bits << 8 | (i < size ? data[i] : 0);
    return bits;
}

static enum kind set_key(struct tide_radix_item *item, bool ascending) {
    struct tide_value value = tide_unpack_value(item->at, item->at + item->key_size);
    enum kind kind = OTHERS;

    item->key = 0;
    if (value.type == TIDE_VALUE_NUMBER && value.number == value.number) {
        item->key = number_bits(value.number);
        kind = NUMBERS;
    } else if (value.type == TIDE_VALUE_STRING) {
        item->key = string_bits(value.data, value.size);
        kind = STRINGS;
    }
    if (!ascending) item->key = ~item->key;
    return kind;
}

/* Fills in the items. Returns the kinds of their keys. */
static unsigned read_records(const struct tide_blocks *in, bool ascending, struct tide_radix_item *items) {
    unsigned kinds = NOTHING;

    for (uint32_t b = 0; b < in->count; b++) {
        const uint8_t *at = in->items[b]->data, *end = at + in->items[b]->size;

        for (uint32_t r = 0; r < in->items[b]->count; r++, items++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);

            items->at = at;
            items->key_size = (uint32_t)(value - at);
            items->size = (uint32_t)(next - at);
            kinds |= set_key(items, ascending);
            at = next;
        }
    }
    return kinds;
}

/* ---- By comparison -------------------------------------------------------------------------------------------- */

static int compare(const struct tide_radix_item *a, const struct tide_radix_item *b, bool ascending) {
    int order = tide_unpack_compare(a->at, a->at + a->key_size, b->at, b->at + b->key_size);

    return ascending ? order : -order;
}

static void insert(struct tide_radix_item *items, uint32_t count, bool ascending) {
    for (uint32_t i = 1; i < count; i++) {
        struct tide_radix_item item = items[i];
        uint32_t at = i;

        for (; at > 0 && compare(&items[at - 1], &item, ascending) > 0; at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

/* Merges the sorted runs items[0 … middle) and items[middle … count). */
static void merge(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t middle, uint32_t count,
                  bool ascending) {
    uint32_t left = 0, right = middle, to = 0;

    if (compare(&items[middle - 1], &items[middle], ascending) <= 0) return; /* already in order */
    memcpy(spare, items, middle * sizeof *items);
    while (left < middle && right < count)
        items[to++] = compare(&spare[left], &items[right], ascending) <= 0 ? spare[left++] : items[right++];
    memcpy(items + to, spare + left, (middle - left) * sizeof *items);
}

/* Stable. No recursion: merges runs of SHORT, 2 * SHORT, 4 * SHORT … items in pairs. */
static void sort_by_comparing(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t count,
                              bool ascending) {
    for (uint32_t at = 0; at < count; at += count - at < SHORT ? count - at : SHORT)
        insert(items + at, count - at < SHORT ? count - at : SHORT, ascending);
    for (uint64_t run = SHORT; run < count; run *= 2) {
        for (uint64_t at = 0; at + run < count; at += 2 * run) {
            uint64_t rest = count - at;

            merge(items + at, spare, (uint32_t)run, (uint32_t)(rest < 2 * run ? rest : 2 * run), ascending);
        }
    }
}

/* Sorts strings whose first 8 bytes are equal. */
static void sort_ties(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t count, bool ascending) {
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && items[to].key == items[from].key;) to++;
        sort_by_comparing(items + from, spare, to - from, ascending);
    }
}

static struct tide_radix_item *sort(const struct tide_blocks *in, struct tide_radix_item *items,
                                    struct tide_radix_item *spare, uint32_t count, bool ascending) {
    unsigned kinds = read_records(in, ascending, items);
    struct tide_radix_item *sorted;

    if (kinds != NUMBERS && kinds != STRINGS) {
        sort_by_comparing(items, spare, count, ascending);
        return items;
    }
    sorted = tide_radix_sort(items, spare, count, 0);
    if (kinds == STRINGS) sort_ties(sorted, sorted == items ? spare : items, count, ascending);
    return sorted;
}

bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out) {
    return tide_sort_items(in, sort, ascending, out);
}

/* ---- Bounds --------------------------------------------------------------------------------------------------- */

bool tide_sort_by_key_has_place(const struct tide_block *block) {
    const uint8_t *at = block->data, *end = block->data + block->size;

    for (uint32_t r = 0; r < block->count; r++) {
        const uint8_t *value = tide_unpack_skip(at, end);

        if (tide_key_has_nan(at, (size_t)(value - at))) return false;
        at = tide_unpack_skip(value, end);
    }
    return true;
}

bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out) {
    uint64_t total = tide_blocks_records(in);

    if (total == 0 || wanted == 0) return true;
    uint64_t step = total / wanted + 1;
    struct tide_block *sample = tide_block_new(TIDE_BLOCK_PACKED, 1, 1024, NULL);
    if (!sample) return false;
    uint64_t seen = step / 2;
    for (uint32_t b = 0; b < in->count; b++) {
        const struct tide_block *block = in->items[b];
        const uint8_t *at = block->data, *end = block->data + block->size;
        for (uint32_t r = 0; r < block->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            if (seen++ % step == 0) {
                size_t size = (size_t)(value - at);
                if (sample->capacity - sample->size < size && !tide_block_reserve(sample, size)) {
                    tide_block_release(sample);
                    return false;
                }
                memcpy(sample->data + sample->size, at, size);
                sample->size += size;
                sample->count++;
            }
            at = tide_unpack_skip(value, end);
        }
    }
    tide_blocks_push(out, sample);
    return true;
}
