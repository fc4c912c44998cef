/*
 * Blocks of a shuffle into a combine table (see merge.h). Runs on a worker.
 */
#include "kernel/merge.h"

#include "wire/unpack.h"

void tide_merge_begin(struct tide_merge *merge, const struct tide_block *block) {
    merge->at = block->data;
    merge->end = block->data + block->size;
    merge->left = block->count;
}

int tide_merge_next(struct tide_merge *merge) {
    struct tide_combine *combine = merge->combine;

    while (merge->left > 0) {
        const uint8_t *key = merge->at;
        const uint8_t *value = tide_unpack_skip(key, merge->end);
        const uint8_t *next = tide_unpack_skip(value, merge->end);
        struct tide_value what = tide_unpack_value(value, merge->end);
        uint32_t entry = tide_combine_packed(combine, key, (size_t)(value - key));
        if (entry == TIDE_COMBINE_NOMEM) return TIDE_MERGE_NOMEM;
        merge->key = key;
        merge->at = next;
        merge->left--;
        merge->entry = entry;
        if (what.type == TIDE_VALUE_NUMBER) {
            if (combine->fresh) {
                combine->numbers[entry] = what.number;
            } else if (merge->add && !merge->general) {
                combine->numbers[entry] += what.number;
            } else {
                merge->number = what.number;
                return TIDE_MERGE_NUMBER;
            }
        } else {
            merge->value = value;
            merge->size = (uint32_t)(next - value);
            return combine->fresh ? TIDE_MERGE_FRESH : TIDE_MERGE_VALUE;
        }
    }
    return TIDE_MERGE_END;
}
