/*
 * Records to partitions (see router.h). Called by worker Lua through FFI: once per record, once per block, or once
 * per task for a combine table of numbers.
 */
#include "kernel/router.h"

#include <string.h>

#include "base/alloc.h"
#include "wire/hash.h"
#include "wire/key.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { FIRST_CAPACITY = 1024 };

struct tide_router {
    struct tide_blocks *outputs;
    uint32_t count;
    uint32_t arity;
    uint32_t next;
    struct tide_block **open; /* one per partition; NULL: no records yet */
    const struct tide_block *bounds;
    const uint8_t **bound_keys; /* where each bound key begins, and the end of the last */
    uint32_t nbounds;
};

struct tide_router *tide_router_new(struct tide_blocks *outputs, uint32_t count, uint32_t arity) {
    struct tide_router *router = tide_alloc_try(sizeof *router);
    if (!router) return NULL;
    memset(router, 0, sizeof *router);
    router->outputs = outputs;
    router->count = count;
    router->arity = arity;
    router->open = tide_alloc_try(count * sizeof *router->open);
    if (!router->open) {
        tide_free(router);
        return NULL;
    }
    memset(router->open, 0, count * sizeof *router->open);
    return router;
}

void tide_router_delete(struct tide_router *router) {
    if (!router) return;
    for (uint32_t i = 0; i < router->count; i++) {
        if (router->open[i]) tide_blocks_push(&router->outputs[i], router->open[i]);
    }
    tide_free(router->open);
    tide_free(router->bound_keys);
    tide_free(router);
}

/* Room for one record in the partition's open block. */
static uint8_t *space(struct tide_router *router, uint32_t partition, size_t size) {
    struct tide_block *block = router->open[partition];

    if (block && block->size + size > TIDE_BLOCK_TARGET && block->count > 0) {
        tide_blocks_push(&router->outputs[partition], block);
        router->open[partition] = block =
            tide_block_new(TIDE_BLOCK_PACKED, (int)router->arity, TIDE_BLOCK_TARGET, NULL);
        if (!block) return NULL;
    }
    if (!block) {
        block = router->open[partition] = tide_block_new(TIDE_BLOCK_PACKED, (int)router->arity,
                                                         size > FIRST_CAPACITY ? size : FIRST_CAPACITY, NULL);
        if (!block) return NULL;
    }
    if (block->capacity - block->size < size && !tide_block_reserve(block, size)) return NULL;
    return block->data + block->size;
}

static bool put(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size) {
    uint8_t *at = space(router, partition, size);

    if (!at) return false;
    memcpy(at, record, size);
    router->open[partition]->size += size;
    router->open[partition]->count++;
    return true;
}

bool tide_router_hash(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size) {
    return put(router, tide_key_partition(tide_hash_packed(record, key_size), router->count), record, size);
}

bool tide_router_to(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size) {
    return put(router, partition, record, size);
}

bool tide_router_next(struct tide_router *router, const uint8_t *record, size_t size) {
    uint32_t partition = router->next;

    router->next = partition + 1 == router->count ? 0 : partition + 1;
    return put(router, partition, record, size);
}

static bool index_bounds(struct tide_router *router, const struct tide_block *bounds) {
    router->bound_keys = tide_alloc_try((bounds->count + 1) * sizeof *router->bound_keys);
    if (!router->bound_keys) return false;
    const uint8_t *at = bounds->data;
    for (uint32_t i = 0; i < bounds->count; i++) {
        router->bound_keys[i] = at;
        at = tide_unpack_skip(at, bounds->data + bounds->size);
    }
    router->bound_keys[bounds->count] = at;
    router->bounds = bounds;
    router->nbounds = bounds->count;
    return true;
}

bool tide_router_range(struct tide_router *router, const struct tide_block *bounds, bool ascending,
                       const uint8_t *record, size_t key_size, size_t size) {
    if (router->bounds != bounds && !index_bounds(router, bounds)) return false;
    uint32_t low = 0, high = router->nbounds; /* first bound >= key */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tide_unpack_compare(router->bound_keys[middle], router->bound_keys[middle + 1], record,
                                record + key_size) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    uint32_t partition = ascending ? low : router->nbounds - low;
    return put(router, partition, record, size);
}

/* By hash, with the key in its plain form; its hash is the same. */
static bool put_plain(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size) {
    uint32_t partition = tide_key_partition(tide_hash_packed(record, key_size), router->count);
    uint8_t *at = space(router, partition, size);

    if (!at) return false;
    memcpy(at, record, key_size);

    size_t plain_size = tide_key_make_plain(at, key_size);

    memcpy(at + plain_size, record + key_size, size - key_size);
    router->open[partition]->size += plain_size + size - key_size;
    router->open[partition]->count++;
    return true;
}

int tide_router_pairs(struct tide_router *router, const struct tide_block *block, const struct tide_block *bounds,
                      bool ascending) {
    const uint8_t *at = block->data, *end = block->data + block->size;

    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);
        size_t key_size = (size_t)(value - at), size = (size_t)(next - at);

        bool plain = tide_key_is_plain(at, key_size);

        if (!plain && tide_key_has_nan(at, key_size)) return 0;
        if (!(bounds  ? tide_router_range(router, bounds, ascending, at, key_size, size)
              : plain ? tide_router_hash(router, at, key_size, size)
                      : put_plain(router, at, key_size, size)))
            return -1;
        at = next;
    }
    return 1;
}

int tide_router_spread(struct tide_router *router, const struct tide_block *block) {
    const uint8_t *at = block->data, *end = block->data + block->size;

    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *next = tide_unpack_skip(at, end);

        if (block->arity == 2) next = tide_unpack_skip(next, end);
        if (!tide_router_next(router, at, (size_t)(next - at))) return -1;
        at = next;
    }
    return 1;
}

bool tide_router_entry(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                       const uint8_t *value, size_t value_size) {
    uint32_t partition = tide_key_partition(tide_combine_hash(combine, index), router->count);

    return tide_router_entry_to(router, combine, index, partition, value, value_size);
}

bool tide_router_entry_to(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                          uint32_t partition, const uint8_t *value, size_t value_size) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(combine, index, &key_size);
    uint8_t number[TIDE_PACKED_NUMBER_MAX];

    if (!value) {
        value = number;
        value_size = tide_pack_number_at(number, combine->numbers[index]);
    }
    uint8_t *at = space(router, partition, key_size + value_size);
    if (!at) return false;
    memcpy(at, key, key_size);
    memcpy(at + key_size, value, value_size);
    router->open[partition]->size += key_size + value_size;
    router->open[partition]->count++;
    return true;
}

const uint8_t *tide_router_entry_key(const struct tide_combine *combine, uint32_t index) {
    uint32_t size;

    return tide_combine_key(combine, index, &size);
}

bool tide_router_entries(struct tide_router *router, const struct tide_combine *combine) {
    for (uint32_t i = 0; i < combine->count; i++) {
        if (!tide_router_entry(router, combine, i, NULL, 0)) return false;
    }
    return true;
}
