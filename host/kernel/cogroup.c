/*
 * Combining sides by key (see cogroup.h): links the values by key and side (chains.h), then makes the result key by
 * key. Runs on a worker.
 */
#include "kernel/cogroup.h"

#include "base/alloc.h"
#include "kernel/chains.h"
#include "kernel/record_writer.h"

struct tide_cogroup {
    enum tide_cogroup_mode mode;
    struct tide_chains chains;
    /* The next record is made from these. */
    uint32_t key;
    uint32_t left, right; /* links of the key to pair; 0: that side has none. Both 0: the key has not begun */
};

/* ---- Reading -------------------------------------------------------------------------------------------------- */

struct tide_cogroup *tide_cogroup_new(const struct tide_blocks *const *sides, uint32_t count, int mode) {
    struct tide_cogroup *group = tide_alloc_try(sizeof *group);

    if (!group) return NULL;
    *group = (struct tide_cogroup){.mode = (enum tide_cogroup_mode)mode};

    bool ok = tide_chains_create(&group->chains, count);

    for (uint32_t s = 0; ok && s < count; s++) {
        bool keys_only = s > 0 && (mode == TIDE_COGROUP_SUBTRACT || mode == TIDE_COGROUP_INTERSECT);

        ok = tide_chains_read(&group->chains, s, sides[s], keys_only ? TIDE_CHAIN_COUNTED : TIDE_CHAIN_LINKED);
    }
    if (ok) return group;
    tide_cogroup_delete(group);
    return NULL;
}

void tide_cogroup_delete(struct tide_cogroup *group) {
    if (!group) return;
    tide_chains_destroy(&group->chains);
    tide_free(group);
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

/* (k, [[…], […]]) */
static bool write_lists(struct tide_cogroup *group, const struct tide_chain *chains, struct tide_block **block) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->chains.keys, group->key, &key_size);
    size_t size = key_size + TIDE_RECORD_WRITER_ARRAY;

    for (uint32_t s = 0; s < group->chains.sides; s++) size += TIDE_RECORD_WRITER_ARRAY + chains[s].bytes;
    if (!tide_record_writer_room(block, 2, size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    at = tide_record_writer_array(at, group->chains.sides);
    for (uint32_t s = 0; s < group->chains.sides; s++) at = tide_chains_write(&group->chains, &chains[s], at);
    tide_record_writer_record(*block, at);
    return true;
}

/* (k, v) for the left value alone. */
static bool write_value(struct tide_cogroup *group, uint32_t value, struct tide_block **block) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->chains.keys, group->key, &key_size);
    const struct tide_chain_link *left = &group->chains.links[value - 1];

    if (!tide_record_writer_room(block, 2, (size_t)key_size + left->size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    tide_record_writer_record(*block, tide_record_writer_bytes(at, left->data, left->size));
    return true;
}

/* (k, [v, w]), (k, [v]) or (k, [nil, w]); link 0: no value. */
static bool write_pair(struct tide_cogroup *group, uint32_t left, uint32_t right, struct tide_block **block) {
    static const uint8_t nil = 0xc0;
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(group->chains.keys, group->key, &key_size);
    const struct tide_chain_link absent = {.data = &nil, .size = 1};
    const struct tide_chain_link *v = left != 0 ? &group->chains.links[left - 1] : &absent;
    const struct tide_chain_link *w = right != 0 ? &group->chains.links[right - 1] : NULL;

    if (!tide_record_writer_room(block, 2, (size_t)key_size + TIDE_RECORD_WRITER_ARRAY + v->size + (w ? w->size : 0)))
        return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(*block), key, key_size);

    at = tide_record_writer_bytes(tide_record_writer_array(at, w ? 2 : 1), v->data, v->size);
    if (w) at = tide_record_writer_bytes(at, w->data, w->size);
    tide_record_writer_record(*block, at);
    return true;
}

/* Whether a key with these chains has records in the result. */
static bool joins(enum tide_cogroup_mode mode, const struct tide_chain *chains) {
    bool left = chains[0].count > 0, right = chains[1].count > 0;

    switch (mode) {
    case TIDE_COGROUP_JOIN: return left && right;
    case TIDE_COGROUP_LEFT_OUTER: return left;
    case TIDE_COGROUP_RIGHT_OUTER: return right;
    case TIDE_COGROUP_SUBTRACT: return left && !right;
    default: return true;
    }
}

static bool meets_all(const struct tide_cogroup *group, const struct tide_chain *chains) {
    for (uint32_t s = 0; s < group->chains.sides; s++)
        if (chains[s].count == 0) return false;
    return true;
}

/* Writes the next pair of the key and advances to the next pair or key. */
static bool step_pairs(struct tide_cogroup *group, const struct tide_chain *chains, struct tide_block **block) {
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
    if (group->right != 0) group->right = group->chains.links[group->right - 1].next;
    if (group->right != 0) return true;
    if (group->left != 0) group->left = group->chains.links[group->left - 1].next;
    if (group->left != 0) group->right = chains[1].head;
    else group->key++;
    return true;
}

/* Advances by one step, which writes at most one record. */
static bool step(struct tide_cogroup *group, struct tide_block **block) {
    const struct tide_chain *chains = tide_chains_of(&group->chains, group->key);

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

bool tide_cogroup_next(struct tide_cogroup *group, struct tide_block **out) {
    struct tide_block *block = NULL;
    bool ok = true;

    while (ok && group->key < group->chains.keys->count && (!block || block->size < TIDE_BLOCK_TARGET))
        ok = step(group, &block);
    if (!ok) {
        tide_block_release(block);
        block = NULL;
    }
    *out = block;
    return ok;
}
