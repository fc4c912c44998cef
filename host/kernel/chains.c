/*
 * Chains of values by key (see chains.h). Runs on a worker.
 */
#include "kernel/chains.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "wire/hash.h"
#include "wire/unpack.h"

/* Records whose keys are looked up together, so that their waits for the table's memory overlap. */
enum { TOGETHER = 32 };

struct record {
    const uint8_t *key, *value, *next;
    uint64_t hash; /* of the key */
};

bool tide_chains_create(struct tide_chains *chains, uint32_t sides) {
    *chains = (struct tide_chains){.sides = sides, .keys = tide_combine_new()};
    return chains->keys;
}

void tide_chains_destroy(struct tide_chains *chains) {
    tide_combine_delete(chains->keys);
    tide_free(chains->items);
    tide_free(chains->links);
}

/* Makes the chains of a new key. */
static bool add_key(struct tide_chains *chains, uint32_t key) {
    if (key >= UINT32_MAX / chains->sides - 1) return false;

    uint32_t needed = (key + 1) * chains->sides;

    if (!TIDE_ARRAY_RESERVE_TRY(chains->items, chains->item_capacity, needed)) return false;
    memset(&chains->items[(size_t)key * chains->sides], 0, chains->sides * sizeof *chains->items);
    return true;
}

static bool add_link(struct tide_chains *chains, struct tide_chain *chain, const uint8_t *data, size_t size) {
    if (size > UINT32_MAX || chains->count == UINT32_MAX - 1 ||
        !TIDE_ARRAY_RESERVE_TRY(chains->links, chains->link_capacity, chains->count + 1))
        return false;
    chains->links[chains->count++] = (struct tide_chain_link){.data = data, .size = (uint32_t)size};
    if (chain->tail != 0) chains->links[chain->tail - 1].next = chains->count;
    else chain->head = chains->count;
    chain->tail = chains->count;
    chain->bytes += size;
    return true;
}

static bool add_record(struct tide_chains *chains, uint32_t side, const struct record *record,
                       enum tide_chain_use use) {
    uint32_t key =
        tide_combine_hashed(chains->keys, record->hash, record->key, (size_t)(record->value - record->key));
    const uint8_t *data = record->value;
    uint32_t values = 1;

    if (key == TIDE_COMBINE_NOMEM) return false;
    if (chains->keys->fresh && !add_key(chains, key)) return false;
    assert(chains->items);
    if (use == TIDE_CHAIN_SPREAD) {
        struct tide_value array = tide_unpack_value(record->value, record->next);

        data = array.next;
        values = array.size;
    }

    struct tide_chain *chain = &chains->items[(size_t)key * chains->sides + side];

    if (use != TIDE_CHAIN_COUNTED && !add_link(chains, chain, data, (size_t)(record->next - data))) return false;
    chain->count += values;
    return true;
}

static bool read_block(struct tide_chains *chains, uint32_t side, const struct tide_block *block,
                       enum tide_chain_use use) {
    struct record records[TOGETHER];
    const uint8_t *at = block->data, *end = block->data + block->size;

    for (uint32_t done = 0, count; done < block->count; done += count) {
        count = block->count - done < TOGETHER ? block->count - done : TOGETHER;
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);

            records[i] = (struct record){at, value, next, tide_hash_packed(at, (size_t)(value - at))};
            tide_combine_fetch_slot(chains->keys, records[i].hash);
            at = next;
        }
        for (uint32_t i = 0; i < count; i++) tide_combine_fetch_entry(chains->keys, records[i].hash);
        for (uint32_t i = 0; i < count; i++)
            if (!add_record(chains, side, &records[i], use)) return false;
    }
    return true;
}

bool tide_chains_read(struct tide_chains *chains, uint32_t side, const struct tide_blocks *blocks,
                      enum tide_chain_use use) {
    for (uint32_t b = 0; b < blocks->count; b++)
        if (!read_block(chains, side, blocks->items[b], use)) return false;
    return true;
}
