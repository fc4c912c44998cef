/*
 * Rows of keyed states (see state_rows.h). Runs on a worker.
 */
#include "kernel/state_rows.h"

#include "kernel/record_writer.h"
#include "wire/unpack.h"

enum { MAPPED_ONE = 0x91, MAPPED_PAIR = 0x93, TRAILING_NILS = 2 };

struct projection {
    struct tide_block *block;
    struct tide_blocks *out;
};

static bool append(struct projection *projection, int arity, const uint8_t *key, size_t key_size,
                   const uint8_t *value, size_t size) {
    if (projection->block && projection->block->size >= TIDE_BLOCK_TARGET) {
        tide_blocks_push(projection->out, projection->block);
        projection->block = NULL;
    }
    if (!tide_record_writer_room(&projection->block, arity, key_size + size)) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(projection->block), key, key_size);

    tide_record_writer_record(projection->block, tide_record_writer_bytes(at, value, size));
    return true;
}

static bool project(const struct tide_blocks *in, struct tide_blocks *out, bool state) {
    struct projection projection = {.out = out};
    bool ok = true;

    for (uint32_t b = 0; ok && b < in->count; b++) {
        const uint8_t *at = in->items[b]->data, *end = at + in->items[b]->size;

        for (uint32_t r = 0; ok && r < in->items[b]->count; r++) {
            const uint8_t *key = at, *value = tide_unpack_skip(at, end);

            at = tide_unpack_skip(value, end);
            if (state && *value == TIDE_STATE_ROWS_HEAD) {
                const uint8_t *x = tide_unpack_skip(value + 1, at);

                ok = append(&projection, 2, key, (size_t)(value - key), x, (size_t)(at - x));
            } else if (!state && *value == MAPPED_ONE) {
                ok = append(&projection, 1, key, 0, value + 1, (size_t)(at - value - 1));
            } else if (!state && *value == MAPPED_PAIR) {
                ok = append(&projection, 2, key, (size_t)(value - key), value + 1,
                            (size_t)(at - value - 1 - TRAILING_NILS));
            }
        }
    }
    if (ok && projection.block) tide_blocks_push(out, projection.block);
    else tide_block_release(projection.block);
    return ok;
}

bool tide_state_rows_project(const struct tide_blocks *in, struct tide_blocks *out) { return project(in, out, true); }

bool tide_state_rows_project_mapped(const struct tide_blocks *in, struct tide_blocks *out) {
    return project(in, out, false);
}

/* ---- Writing -------------------------------------------------------------------------------------------------- */

/* The last block, or a new one, with room for `size` more bytes. NULL: no memory. */
static struct tide_block *open_block(struct tide_blocks *out, size_t size) {
    struct tide_block *block = out->count > 0 ? out->items[out->count - 1] : NULL;

    if (block && block->size < TIDE_BLOCK_TARGET) return tide_record_writer_room(&block, 2, size) ? block : NULL;
    block = NULL;
    if (!tide_record_writer_room(&block, 2, size)) return NULL;
    tide_blocks_push(out, block);
    return block;
}

bool tide_state_rows_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *value,
                         size_t size) {
    struct tide_block *block = open_block(out, key_size + size);

    if (!block) return false;
    tide_record_writer_record(
        block,
        tide_record_writer_bytes(tide_record_writer_bytes(tide_record_writer_at(block), key, key_size), value, size));
    return true;
}

bool tide_state_rows_put_mapped(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *x,
                                size_t size) {
    static const uint8_t nils[TRAILING_NILS] = {0xc0, 0xc0};
    struct tide_block *block = open_block(out, key_size + size + 2 + TRAILING_NILS);

    if (!block) return false;

    uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(block), key ? key : nils, key ? key_size : 1);

    *at++ = key ? MAPPED_PAIR : MAPPED_ONE;
    at = tide_record_writer_bytes(at, x, size);
    tide_record_writer_record(block, key ? tide_record_writer_bytes(at, nils, TRAILING_NILS) : at);
    return true;
}
