/*
 * Changes to a keyed state (see state_delta.h). Runs on a worker.
 */
#include "kernel/state_delta.h"

#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "kernel/record_writer.h"
#include "kernel/state_rows.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* Blocks smaller than this are copied together, so that the state does not fragment. */
enum { SHARED_BYTES = TIDE_BLOCK_TARGET / 4 };

/* The whole delta; its users see the first part only. */
struct delta {
    struct tide_state_delta seen;
    struct tide_blocks *out;
    struct tide_block *block;
    uint32_t old_slots, due_slots, order_slots, open_slots;
};

static struct delta *whole(struct tide_state_delta *delta) { return (struct delta *)delta; }

struct tide_state_delta *tide_state_delta_new(void) {
    struct delta *delta = tide_alloc_try(sizeof *delta);

    if (!delta) return NULL;
    *delta = (struct delta){.seen = {.keys = tide_combine_new()}};
    if (delta->seen.keys) return &delta->seen;
    tide_free(delta);
    return NULL;
}

void tide_state_delta_delete(struct tide_state_delta *seen) {
    struct delta *delta = whole(seen);

    if (!delta) return;
    tide_combine_delete(delta->seen.keys);
    tide_block_release(delta->block);
    tide_free(delta->seen.old);
    tide_free(delta->seen.due);
    tide_free(delta->seen.order);
    tide_free(delta->seen.open);
    tide_free(delta);
}

const uint8_t *tide_state_delta_key(const struct tide_state_delta *delta, uint32_t entry) {
    uint32_t size;

    return tide_combine_key(delta->keys, entry, &size);
}

/* ---- Keys that change ----------------------------------------------------------------------------------------- */

static bool add_record(struct delta *delta, const uint8_t *key, size_t size) {
    uint32_t entry = tide_combine_packed(delta->seen.keys, key, size);

    if (entry == TIDE_COMBINE_NOMEM || delta->seen.records == UINT32_MAX - 1) return false;
    if (!TIDE_ARRAY_RESERVE_TRY(delta->seen.order, delta->order_slots, delta->seen.records + 1)) return false;
    delta->seen.order[delta->seen.records++] = entry;
    return true;
}

bool tide_state_delta_add(struct tide_state_delta *seen, const struct tide_blocks *records) {
    struct delta *delta = whole(seen);

    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);

            if (!add_record(delta, at, (size_t)(value - at))) return false;
            at = tide_unpack_skip(value, end);
        }
    }
    return true;
}

/* ---- Keys that stay ------------------------------------------------------------------------------------------- */

static void finish_block(struct delta *delta) {
    if (delta->block) tide_blocks_push(delta->out, delta->block);
    delta->block = NULL;
}

static bool room(struct delta *delta, size_t size) {
    if (delta->block && delta->block->size >= TIDE_BLOCK_TARGET) finish_block(delta);
    return tide_record_writer_room(&delta->block, 2, size);
}

void tide_state_delta_finish(struct tide_state_delta *delta) { finish_block(whole(delta)); }

/* Consecutive records of a block that stay. */
struct run {
    const uint8_t *from;
    uint32_t count;
};

static bool copy_run(struct delta *delta, struct run *run, const uint8_t *to) {
    size_t size = (size_t)(to - run->from);

    if (run->count == 0) return true;
    if (!room(delta, size)) return false;
    memcpy(tide_record_writer_at(delta->block), run->from, size);
    delta->block->size += size;
    delta->block->count += run->count;
    run->count = 0;
    return true;
}

static bool add_due(struct delta *delta, const uint8_t *key, const uint8_t *value) {
    if (!TIDE_ARRAY_RESERVE_TRY(delta->seen.due, delta->due_slots, delta->seen.dues + 1)) return false;
    delta->seen.due[delta->seen.dues++] = (struct tide_state_delta_due){.key = key, .value = value};
    return true;
}

static bool scan_block(struct delta *delta, struct tide_block *block, double limit) {
    const uint8_t *at = block->data, *end = block->data + block->size;
    struct run run = {.count = 0};

    for (uint32_t r = 0; r < block->count; r++) {
        const uint8_t *key = at, *value = tide_unpack_skip(at, end);

        at = tide_unpack_skip(value, end);
        if (*value == TIDE_STATE_ROWS_HEAD) {
            uint32_t entry = tide_combine_find(delta->seen.keys, key, (size_t)(value - key));
            struct tide_value n = tide_unpack_value(value + 1, at);

            if (entry == TIDE_COMBINE_ABSENT && !(n.number < limit)) {
                if (run.count++ == 0) run.from = key;
                continue;
            }
            if (entry == TIDE_COMBINE_ABSENT) {
                if (!add_due(delta, key, n.next)) return false;
            } else {
                delta->seen.old[entry] =
                    (struct tide_state_delta_old){.value = n.next, .n = n.number, .size = (uint32_t)(at - n.next)};
            }
        }
        if (!copy_run(delta, &run, key)) return false;
    }
    if (run.count < block->count || block->size < SHARED_BYTES) return copy_run(delta, &run, end);
    finish_block(delta);
    tide_blocks_push(delta->out, tide_block_retain(block));
    return true;
}

bool tide_state_delta_scan(struct tide_state_delta *seen, const struct tide_blocks *state, double limit,
                           struct tide_blocks *out) {
    struct delta *delta = whole(seen);
    uint32_t count = delta->seen.keys->count;

    if (!TIDE_ARRAY_RESERVE_TRY(delta->seen.old, delta->old_slots, count)) return false;
    if (count > 0) memset(delta->seen.old, 0, (size_t)count * sizeof *delta->seen.old);
    delta->out = out;
    for (uint32_t b = 0; b < state->count; b++)
        if (!scan_block(delta, state->items[b], limit)) return false;
    return true;
}

bool tide_state_delta_put(struct tide_state_delta *seen, uint32_t entry, double n, const uint8_t *value,
                          size_t size) {
    struct delta *delta = whole(seen);
    uint32_t key_size;
    const uint8_t *key = tide_combine_key(delta->seen.keys, entry, &key_size);

    if (!value) {
        value = delta->seen.old[entry].value;
        size = delta->seen.old[entry].size;
    }
    if (!room(delta, (size_t)key_size + 1 + TIDE_PACKED_NUMBER_MAX + size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(delta->block), key, key_size);

    *at++ = TIDE_STATE_ROWS_HEAD;
    at += tide_pack_number_at(at, n);
    tide_record_writer_record(delta->block, tide_record_writer_bytes(at, value, size));
    return true;
}

/* ---- For window_sum.c ----------------------------------------------------------------------------------------- */

bool tide_state_delta_leave_open(struct tide_state_delta *seen, const uint8_t *key, size_t size, double sum) {
    struct delta *delta = whole(seen);
    uint32_t entry = tide_combine_packed(seen->keys, key, size);

    if (entry == TIDE_COMBINE_NOMEM) return false;
    if (!TIDE_ARRAY_RESERVE_TRY(seen->open, delta->open_slots, seen->opens + 1)) return false;
    seen->open[seen->opens++] = entry;
    seen->keys->numbers[entry] = sum;
    return true;
}

void tide_state_delta_begin(struct tide_state_delta *delta, struct tide_blocks *out) { whole(delta)->out = out; }
