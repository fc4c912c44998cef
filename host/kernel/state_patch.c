/*
 * The keyed state of one partition, changed in some keys (see patch.h). Runs on a worker.
 */
#include "kernel/state_patch.h"

#include <string.h>

#include "base/alloc.h"
#include "kernel/record_writer.h"
#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* The head of a state record's value. */
enum { STATE = 0x92 };

static const uint32_t NOT_ADDED = UINT32_MAX;

/* Smaller blocks are copied and so joined, that a state does not fall apart into ever more of them. */
enum { SHARED_BYTES = TIDE_BLOCK_TARGET / 4 };

struct tide_patch *tide_patch_new(void) {
    struct tide_patch *patch = tide_alloc_try(sizeof *patch);

    if (!patch) return NULL;
    *patch = (struct tide_patch){.keys = tide_combine_new()};
    if (patch->keys) return patch;
    tide_free(patch);
    return NULL;
}

void tide_patch_delete(struct tide_patch *patch) {
    if (!patch) return;
    tide_combine_delete(patch->keys);
    tide_block_release(patch->block);
    tide_free(patch->old);
    tide_free(patch->due);
    tide_free(patch->order);
    tide_free(patch->open);
    tide_free(patch);
}

size_t tide_patch_size(void) { return sizeof(struct tide_patch); }

const uint8_t *tide_patch_key(const struct tide_patch *patch, uint32_t entry) {
    uint32_t size;

    return tide_combine_key(patch->keys, entry, &size);
}

/* ---- Keys that change ----------------------------------------------------------------------------------------- */

static bool add_record(struct tide_patch *patch, const uint8_t *key, size_t size) {
    uint32_t entry = tide_combine_packed(patch->keys, key, size);

    if (entry == TIDE_COMBINE_NOMEM || patch->records == UINT32_MAX - 1) return false;
    if (!tide_emit_grow((void **)&patch->order, &patch->order_slots, patch->records + 1, sizeof *patch->order))
        return false;
    patch->order[patch->records++] = entry;
    return true;
}

bool tide_patch_add(struct tide_patch *patch, const struct tide_blocks *records) {
    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);

            if (!add_record(patch, at, (size_t)(value - at))) return false;
            at = tide_unpack_skip(value, end);
        }
    }
    return true;
}

/* ---- The others ----------------------------------------------------------------------------------------------- */

static bool room(struct tide_patch *patch, size_t size) {
    if (patch->block && patch->block->size >= TIDE_BLOCK_TARGET) tide_patch_finish(patch);
    return tide_emit_room(&patch->block, 2, size);
}

void tide_patch_finish(struct tide_patch *patch) {
    if (patch->block) tide_blocks_push(patch->out, patch->block);
    patch->block = NULL;
}

/* A run of records of a block that stay as they are. */
struct run {
    const uint8_t *from;
    uint32_t count;
};

static bool copy_run(struct tide_patch *patch, struct run *run, const uint8_t *to) {
    size_t size = (size_t)(to - run->from);

    if (run->count == 0) return true;
    if (!room(patch, size)) return false;
    memcpy(tide_emit_at(patch->block), run->from, size);
    patch->block->size += size;
    patch->block->count += run->count;
    run->count = 0;
    return true;
}

static bool add_due(struct tide_patch *patch, const uint8_t *key, const uint8_t *value) {
    if (!tide_emit_grow((void **)&patch->due, &patch->due_slots, patch->dues + 1, sizeof *patch->due)) return false;
    patch->due[patch->dues++] = (struct tide_patch_due){.key = key, .value = value};
    return true;
}

static bool same_key(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
    return (a_size == b_size && memcmp(a, b, a_size) == 0) || tide_unpack_compare(a, a + a_size, b, b + b_size) == 0;
}

/* The entry of a key that was added, or NOT_ADDED. */
static uint32_t entry_of(const struct tide_combine *keys, const uint8_t *key, size_t size) {
    uint32_t tag = (uint32_t)tide_hash_packed(key, size), at = tag & keys->mask;

    for (struct tide_combine_slot slot; (slot = keys->slots[at]).entry != 0; at = (at + 1) & keys->mask) {
        if (slot.tag != tag) continue;

        uint32_t own_size;
        const uint8_t *own = tide_combine_key(keys, slot.entry - 1, &own_size);

        if (same_key(own, own_size, key, size)) return slot.entry - 1;
    }
    return NOT_ADDED;
}

static bool scan_block(struct tide_patch *patch, struct tide_block *block, double limit) {
    const uint8_t *at = block->data, *end = block->data + block->size;
    struct run run = {.count = 0};

    for (uint32_t r = 0; r < block->count; r++) {
        const uint8_t *key = at, *value = tide_unpack_skip(at, end);

        at = tide_unpack_skip(value, end);
        if (*value == STATE) {
            uint32_t entry = entry_of(patch->keys, key, (size_t)(value - key));
            struct tide_value n = tide_unpack_value(value + 1, at);

            if (entry == NOT_ADDED && !(n.number < limit)) {
                if (run.count++ == 0) run.from = key;
                continue;
            }
            if (entry == NOT_ADDED) {
                if (!add_due(patch, key, n.next)) return false;
            } else {
                patch->old[entry] =
                    (struct tide_patch_old){.value = n.next, .n = n.number, .size = (uint32_t)(at - n.next)};
            }
        }
        if (!copy_run(patch, &run, key)) return false;
    }
    if (run.count < block->count || block->size < SHARED_BYTES) return copy_run(patch, &run, end);
    tide_patch_finish(patch);
    tide_blocks_push(patch->out, tide_block_retain(block));
    return true;
}

bool tide_patch_scan(struct tide_patch *patch, const struct tide_blocks *state, double limit,
                     struct tide_blocks *out) {
    uint32_t count = patch->keys->count;

    if (!tide_emit_grow((void **)&patch->old, &patch->old_slots, count > 0 ? count : 1, sizeof *patch->old))
        return false;
    memset(patch->old, 0, (size_t)count * sizeof *patch->old);
    patch->out = out;
    for (uint32_t b = 0; b < state->count; b++)
        if (!scan_block(patch, state->items[b], limit)) return false;
    return true;
}

bool tide_patch_put(struct tide_patch *patch, uint32_t entry, double n, const uint8_t *value, size_t size) {
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(patch->keys, entry, &key_size);

    if (!value) {
        value = patch->old[entry].value;
        size = patch->old[entry].size;
    }
    if (!room(patch, (size_t)key_size + 1 + TIDE_PACKED_NUMBER_MAX + size)) return false;

    uint8_t *at = tide_emit_bytes(tide_emit_at(patch->block), key, key_size);

    *at++ = STATE;
    at += tide_pack_number_at(at, n);
    tide_emit_record(patch->block, tide_emit_bytes(at, value, size));
    return true;
}
