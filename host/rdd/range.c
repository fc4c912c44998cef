/*
 * Chooses the bounds of a range shuffle.
 *
 * Called by stage runs on the driver thread between the two phases of a sortByKey. A sampled key is weighted by the
 * number of records it represents, so that a large partition counts for more than a small one; a bound is set where
 * the sum of the weights reaches the next equal share. A key that fills several shares by itself becomes one bound:
 * there are fewer bounds then, and the last partitions are empty.
 */
#include "rdd/range.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/unpack.h"

struct candidate {
    const uint8_t *key;
    const uint8_t *end;
    double weight;
};

struct candidates {
    struct candidate *items;
    size_t count;
    double weight;
};

static int compare(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;

    return tide_unpack_compare(a->key, a->end, b->key, b->end);
}

static int add_block(struct candidates *found, const struct tide_block *block, double weight,
                     struct tide_error *err) {
    const uint8_t *at = block->data, *end = block->data + block->size;

    if (block->kind != TIDE_BLOCK_PACKED || (block->count > 0 && block->arity != 1))
        return tide_error_set(err, TIDE_ECORRUPT, "sorting by key: a block of sampled keys is of kind %d, arity %d",
                              block->kind, block->arity);
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *next = tide_unpack_skip(at, end);

        if (!next)
            return tide_error_set(err, TIDE_ECORRUPT, "sorting by key: sampled key %u of %u can't be read", i + 1,
                                  block->count);
        found->items[found->count++] = (struct candidate){.key = at, .end = next, .weight = weight};
        found->weight += weight;
        at = next;
    }
    return TIDE_OK;
}

static int collect(struct candidates *found, const struct tide_range_sample *samples, uint32_t count,
                   struct tide_error *err) {
    uint64_t total = 0;

    for (uint32_t i = 0; i < count; i++) total += tide_blocks_records(samples[i].keys);
    found->items = tide_alloc_try((total > 0 ? total : 1) * sizeof *found->items);
    if (!found->items)
        return tide_error_set(err, TIDE_ENOMEM, "sorting by key: no memory for %llu sampled keys",
                              (unsigned long long)total);

    for (uint32_t i = 0; i < count; i++) {
        const struct tide_blocks *keys = samples[i].keys;
        uint64_t drawn = tide_blocks_records(keys);

        for (uint32_t j = 0; j < keys->count; j++) {
            int code = add_block(found, keys->items[j], (double)samples[i].records / (double)drawn, err);

            if (code != TIDE_OK) return code;
        }
    }
    return TIDE_OK;
}

static int pick(struct candidates *found, uint32_t partitions, struct tide_block *bounds, struct tide_error *err) {
    double step = found->weight / partitions, target = step, reached = 0;
    const struct candidate *before = NULL;

    qsort(found->items, found->count, sizeof *found->items, compare);
    for (size_t i = 0; i < found->count && bounds->count + 1 < partitions; i++) {
        const struct candidate *at = &found->items[i];
        size_t size = (size_t)(at->end - at->key);

        reached += at->weight;
        if (reached < target || (before && compare(at, before) <= 0)) continue;
        if (!tide_block_reserve(bounds, size))
            return tide_error_set(err, TIDE_ENOMEM, "sorting by key: no memory for the bounds of %u partitions",
                                  partitions);
        memcpy(bounds->data + bounds->size, at->key, size);
        bounds->size += size;
        bounds->count++;
        before = at;
        target += step;
    }
    memset(bounds->data + bounds->size, 0, TIDE_BLOCK_SLACK);
    return TIDE_OK;
}

struct tide_block *tide_range_bounds(const struct tide_range_sample *samples, uint32_t count, uint32_t partitions,
                                     struct tide_error *err) {
    struct candidates found = {0};
    struct tide_block *bounds = tide_block_new(TIDE_BLOCK_PACKED, 1, 256, NULL);
    int code;

    if (!bounds) {
        tide_error_set(err, TIDE_ENOMEM, "sorting by key: no memory for the bounds of %u partitions", partitions);
        return NULL;
    }
    code = collect(&found, samples, count, err);
    if (code == TIDE_OK) code = pick(&found, partitions, bounds, err);
    tide_free(found.items);
    if (code == TIDE_OK) return bounds;
    tide_block_release(bounds);
    return NULL;
}
