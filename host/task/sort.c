/*
 * Sorting packed pairs by key (see sort.h). Each record gets an entry with an order-preserving 8-byte prefix of its
 * key, so most comparisons touch neither key nor block. Runs on a worker.
 */
#include "task/sort.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/unpack.h"

struct sort_entry {
    uint64_t prefix; /* orders keys of the same rank; equal prefixes need the full comparison unless exact */
    const uint8_t *record;
    uint32_t key_size;
    uint32_t size;
    uint32_t sequence;
    uint8_t rank;
    bool exact; /* prefix says all there is to say (numbers, strings shorter than 8 bytes … */
};

static void set_prefix(struct sort_entry *entry) {
    struct tide_value value = tide_unpack_value(entry->record, entry->record + entry->key_size);
    entry->rank = 0;
    entry->exact = false;
    entry->prefix = 0;
    if (value.type == TIDE_VALUE_NUMBER) {
        double number = value.number == 0 ? 0 : value.number;
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        entry->prefix = bits >> 63 ? ~bits : bits | (1ULL << 63);
        entry->rank = 1;
        entry->exact = number == number;
        if (!entry->exact) entry->prefix = UINT64_MAX;
    } else if (value.type == TIDE_VALUE_STRING) {
        for (uint32_t i = 0; i < 8; i++) entry->prefix = entry->prefix << 8 | (i < value.size ? value.data[i] : 0);
        entry->rank = 2;
    }
}

static int by_key(const void *left, const void *right) {
    const struct sort_entry *a = left, *b = right;
    if (a->rank == b->rank && a->rank != 0) {
        if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
        if (a->exact && b->exact) return a->sequence < b->sequence ? -1 : 1;
    }
    int order = tide_unpack_compare(a->record, a->record + a->key_size, b->record, b->record + b->key_size);
    if (order != 0) return order;
    return a->sequence < b->sequence ? -1 : 1;
}

static int by_key_descending(const void *left, const void *right) {
    const struct sort_entry *a = left, *b = right;
    if (a->rank == b->rank && a->rank != 0) {
        if (a->prefix != b->prefix) return a->prefix < b->prefix ? 1 : -1;
        if (a->exact && b->exact) return a->sequence < b->sequence ? -1 : 1;
    }
    int order = tide_unpack_compare(b->record, b->record + b->key_size, a->record, a->record + a->key_size);
    if (order != 0) return order;
    return a->sequence < b->sequence ? -1 : 1;
}

bool tide_sort_blocks(const struct tide_blocks *in, bool ascending, struct tide_blocks *out) {
    uint64_t total = tide_blocks_records(in);
    if (total == 0) return true;
    if (total > UINT32_MAX) return false;
    struct sort_entry *entries = tide_alloc_try(total * sizeof(*entries));
    if (entries == NULL) return false;
    uint32_t count = 0;
    for (uint32_t b = 0; b < in->count; b++) {
        const struct tide_block *block = in->items[b];
        const uint8_t *at = block->data, *end = block->data + block->size;
        for (uint32_t r = 0; r < block->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            const uint8_t *next = tide_unpack_skip(value, end);
            struct sort_entry *entry = &entries[count];
            entry->record = at;
            entry->key_size = (uint32_t)(value - at);
            entry->size = (uint32_t)(next - at);
            entry->sequence = count++;
            set_prefix(entry);
            at = next;
        }
    }
    qsort(entries, count, sizeof(*entries), ascending ? by_key : by_key_descending);
    struct tide_block *block = NULL;
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        size_t size = entries[i].size;
        if (block != NULL && block->size + size > TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if (block == NULL) {
            uint64_t rest = 1024;
            block = tide_block_new(TIDE_BLOCK_PACKED, 2, size > rest ? size : rest, NULL);
            ok = block != NULL;
        } else if (block->capacity - block->size < size) {
            ok = tide_block_reserve(block, size);
        }
        if (!ok) break;
        memcpy(block->data + block->size, entries[i].record, size);
        block->size += size;
        block->count++;
    }
    if (block != NULL) tide_blocks_push(out, block);
    tide_free(entries);
    return ok;
}

bool tide_sort_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out) {
    uint64_t total = tide_blocks_records(in);
    if (total == 0 || wanted == 0) return true;
    uint64_t step = total / wanted + 1;
    struct tide_block *sample = tide_block_new(TIDE_BLOCK_PACKED, 1, 1024, NULL);
    if (sample == NULL) return false;
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
