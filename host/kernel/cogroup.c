/*
 * Meeting by key (see cogroup.h). All sides are read into one table of keys; each key has, for each side, a chain of
 * pointers into the blocks. Values are copied once, when a result is written. Runs on a worker.
 */
#include "kernel/cogroup.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "kernel/combine.h"
#include "kernel/record_writer.h"
#include "wire/hash.h"
#include "wire/unpack.h"

struct value_ref {
    const uint8_t *data;
    uint32_t size;
    uint32_t next; /* index + 1 of the next value of the same key and side; 0: none */
};

struct chain {
    uint32_t head, tail; /* index + 1; 0: no value */
    uint32_t count;
    uint64_t bytes;
};

struct tide_cogroup {
    enum tide_cogroup_mode mode;
    uint32_t sides;
    struct tide_combine *keys;
    struct chain *chains; /* of key k and side s: k * sides + s */
    struct value_ref *values;
    uint32_t chain_slots, value_slots, count; /* count: values */
    /* Where the next record is made from. */
    uint32_t key;
    uint32_t left, right; /* values (index + 1) of the key to pair; 0: that side has none. Both 0: begin the key */
};

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* Makes the chains of a new key. */
static bool new_key(struct tide_cogroup *group, uint32_t key) {
    if (key >= UINT32_MAX / group->sides - 1) return false;

    uint32_t needed = (key + 1) * group->sides;

    if (!tide_record_writer_grow((void **)&group->chains, &group->chain_slots, needed, sizeof *group->chains))
        return false;
    memset(group->chains + (size_t)key * group->sides, 0, group->sides * sizeof *group->chains);
    return true;
}

static bool add_value(struct tide_cogroup *group, struct chain *chain, const uint8_t *data, size_t size) {
    if (group->count >= UINT32_MAX - 1 || !tide_record_writer_grow((void **)&group->values, &group->value_slots,
                                                                   group->count + 1, sizeof *group->values))
        return false;
    group->values[group->count++] = (struct value_ref){.data = data, .size = (uint32_t)size};
    if (chain->tail != 0) group->values[chain->tail - 1].next = group->count;
    else chain->head = group->count;
    chain->tail = group->count;
    chain->bytes += size;
    return true;
}

/* A record that has been looked at. */
struct record {
    const uint8_t *key, *value, *next;
    uint64_t hash; /* of the key */
};

static bool add_record(struct tide_cogroup *group, uint32_t side, bool wanted, const struct record *record) {
    uint32_t key = tide_combine_hashed(group->keys, record->hash, record->key, (size_t)(record->value - record->key));

    if (key == TIDE_COMBINE_NOMEM) return false;
    if (group->keys->fresh && !new_key(group, key)) return false;
    assert(group->chains);

    struct chain *chain = &group->chains[(size_t)key * group->sides + side];

    if (wanted && !add_value(group, chain, record->value, (size_t)(record->next - record->value))) return false;
    chain->count++;
    return true;
}

/* Some records at a time, so that the waiting for the table's memory is shared by them. */
static bool read_block(struct tide_cogroup *group, uint32_t side, const struct tide_block *block) {
    enum { TOGETHER = 32 };
    struct record records[TOGETHER];
    const uint8_t *at = block->data, *end = block->data + block->size;
    bool wanted = side == 0 || (group->mode != TIDE_COGROUP_SUBTRACT && group->mode != TIDE_COGROUP_INTERSECT);

    for (uint32_t done = 0, count; done < block->count; done += count) {
        count = block->count - done < TOGETHER ? block->count - done : TOGETHER;
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);

            records[i] = (struct record){at, value, next, tide_hash_packed(at, (size_t)(value - at))};
            tide_combine_fetch_slot(group->keys, records[i].hash);
            at = next;
        }
        for (uint32_t i = 0; i < count; i++) tide_combine_fetch_entry(group->keys, records[i].hash);
        for (uint32_t i = 0; i < count; i++)
            if (!add_record(group, side, wanted, &records[i])) return false;
    }
    return true;
}

struct tide_cogroup *tide_cogroup_new(const struct tide_blocks *const *sides, uint32_t count, int mode) {
    struct tide_cogroup *group = tide_alloc_try(sizeof *group);

    if (!group) return NULL;
    *group = (struct tide_cogroup){.mode = (enum tide_cogroup_mode)mode, .sides = count, .keys = tide_combine_new()};
    if (!group->keys) goto fail;
    for (uint32_t s = 0; s < count; s++)
        for (uint32_t i = 0; i < sides[s]->count; i++)
            if (!read_block(group, s, sides[s]->items[i])) goto fail;
    return group;
fail:
    tide_cogroup_delete(group);
    return NULL;
}

void tide_cogroup_delete(struct tide_cogroup *group) {
    if (!group) return;
    tide_combine_delete(group->keys);
    tide_free(group->chains);
    tide_free(group->values);
    tide_free(group);
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

static uint8_t *write_chain(const struct tide_cogroup *group, uint8_t *at, const struct chain *chain) {
    at = tide_record_writer_array(at, chain->count);
    for (uint32_t v = chain->head; v != 0; v = group->values[v - 1].next)
        at = tide_record_writer_bytes(at, group->values[v - 1].data, group->values[v - 1].size);
    return at;
}

/* (k, [[…], […]]) */
static bool write_lists(struct tide_cogroup *group, const struct chain *chains, struct tide_block **block) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->keys, group->key, &key_size);
    size_t size = key_size + TIDE_RECORD_WRITER_ARRAY;

    for (uint32_t s = 0; s < group->sides; s++) size += TIDE_RECORD_WRITER_ARRAY + chains[s].bytes;
    if (!tide_record_writer_room(block, 2, size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    at = tide_record_writer_array(at, group->sides);
    for (uint32_t s = 0; s < group->sides; s++) at = write_chain(group, at, &chains[s]);
    tide_record_writer_record(*block, at);
    return true;
}

/* (k, v) for the left value alone. */
static bool write_value(struct tide_cogroup *group, uint32_t value, struct tide_block **block) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->keys, group->key, &key_size);
    const struct value_ref *left = &group->values[value - 1];

    if (!tide_record_writer_room(block, 2, (size_t)key_size + left->size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    tide_record_writer_record(*block, tide_record_writer_bytes(at, left->data, left->size));
    return true;
}

/* (k, [v, w]), (k, [v]) or (k, [nil, w]); 0 stands for an absent value. */
static bool write_pair(struct tide_cogroup *group, uint32_t left, uint32_t right, struct tide_block **block) {
    static const uint8_t nil = 0xc0;
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->keys, group->key, &key_size);
    const struct value_ref absent = {.data = &nil, .size = 1};
    const struct value_ref *v = left != 0 ? &group->values[left - 1] : &absent;
    const struct value_ref *w = right != 0 ? &group->values[right - 1] : NULL;

    if (!tide_record_writer_room(block, 2, (size_t)key_size + TIDE_RECORD_WRITER_ARRAY + v->size + (w ? w->size : 0)))
        return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    at = tide_record_writer_bytes(tide_record_writer_array(at, w ? 2 : 1), v->data, v->size);
    if (w) at = tide_record_writer_bytes(at, w->data, w->size);
    tide_record_writer_record(*block, at);
    return true;
}

/* Whether a key with these chains has records in the result at all. */
static bool joins(enum tide_cogroup_mode mode, const struct chain *chains) {
    bool left = chains[0].count > 0, right = chains[1].count > 0;

    switch (mode) {
    case TIDE_COGROUP_JOIN: return left && right;
    case TIDE_COGROUP_LEFT_OUTER: return left;
    case TIDE_COGROUP_RIGHT_OUTER: return right;
    case TIDE_COGROUP_SUBTRACT: return left && !right;
    default: return true;
    }
}

static bool meets_all(const struct tide_cogroup *group, const struct chain *chains) {
    for (uint32_t s = 0; s < group->sides; s++)
        if (chains[s].count == 0) return false;
    return true;
}

/* Writes the next record of the key of pairs, and goes on to the next pair or key. */
static bool step_pairs(struct tide_cogroup *group, const struct chain *chains, struct tide_block **block) {
    if (group->left == 0 && group->right == 0) {
        if (!joins(group->mode, chains)) {
            group->key++;
            return true;
        }
        group->left = chains[0].head;
        group->right = chains[1].head;
    }
    if (group->mode == TIDE_COGROUP_SUBTRACT ? !write_value(group, group->left, block)
                                             : !write_pair(group, group->left, group->right, block))
        return false;
    if (group->right != 0) group->right = group->values[group->right - 1].next;
    if (group->right != 0) return true;
    if (group->left != 0) group->left = group->values[group->left - 1].next;
    if (group->left != 0) group->right = chains[1].head;
    else group->key++;
    return true;
}

/* Writes what is next, at most one record. */
static bool step(struct tide_cogroup *group, struct tide_block **block) {
    const struct chain *chains = &group->chains[(size_t)group->key * group->sides];

    switch (group->mode) {
    case TIDE_COGROUP:
        if (!write_lists(group, chains, block)) return false;
        group->key++;
        return true;
    case TIDE_COGROUP_INTERSECT:
        if (meets_all(group, chains) && !write_value(group, chains[0].head, block)) return false;
        group->key++;
        return true;
    default: return step_pairs(group, chains, block);
    }
}

int tide_cogroup_next(struct tide_cogroup *group, struct tide_block **out) {
    struct tide_block *block = NULL;

    while (group->key < group->keys->count && (!block || block->size < TIDE_BLOCK_TARGET)) {
        if (step(group, &block)) continue;
        tide_block_release(block);
        return -1;
    }
    *out = block;
    return block ? 1 : 0;
}
