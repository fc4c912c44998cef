/*
 * zip and Cartesian product (see product.h). Runs on a worker.
 */
#include "kernel/product.h"

#include "base/alloc.h"
#include "kernel/record_writer.h"
#include "wire/unpack.h"

/* A record in its block. */
struct span {
    const uint8_t *data;
    uint32_t size;
    uint32_t arity;
};

/* Iterates over the records of a list of blocks. */
struct cursor {
    const struct tide_blocks *blocks;
    uint32_t block;  /* index of the block of `at` */
    uint32_t record; /* index in the block of the next record */
    const uint8_t *at;
};

static struct cursor cursor_at_first(const struct tide_blocks *blocks) {
    return (struct cursor){.blocks = blocks, .at = blocks->count > 0 ? blocks->items[0]->data : NULL};
}

static bool next_span(struct cursor *cursor, struct span *span) {
    while (cursor->block < cursor->blocks->count) {
        const struct tide_block *block = cursor->blocks->items[cursor->block];

        if (cursor->record < block->count) {
            const uint8_t *end = block->data + block->size, *next = tide_unpack_skip(cursor->at, end);

            if (block->arity == 2) next = tide_unpack_skip(next, end);
            *span = (struct span){.data = cursor->at, .size = (uint32_t)(next - cursor->at), .arity = block->arity};
            cursor->at = next;
            cursor->record++;
            return true;
        }
        cursor->record = 0;
        if (++cursor->block < cursor->blocks->count) cursor->at = cursor->blocks->items[cursor->block]->data;
    }
    return false;
}

static uint8_t *write_element(uint8_t *at, const struct span *span) {
    if (span->arity == 2) at = tide_record_writer_array(at, 2);
    return tide_record_writer_bytes(at, span->data, span->size);
}

static bool write_pair(const struct span *a, const struct span *b, struct tide_block **block) {
    if (!tide_record_writer_room(block, 2, (size_t)a->size + b->size + 2 * TIDE_RECORD_WRITER_ARRAY)) return false;
    tide_record_writer_record(*block, write_element(write_element(tide_record_writer_at(*block), a), b));
    return true;
}

bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out) {
    struct cursor left = cursor_at_first(a), right = cursor_at_first(b);
    struct tide_block *block = NULL;
    struct span v, w;

    while (next_span(&left, &v) && next_span(&right, &w)) {
        if (!write_pair(&v, &w, &block)) {
            tide_block_release(block);
            return false;
        }
        if (block->size < TIDE_BLOCK_TARGET) continue;
        tide_blocks_push(out, block);
        block = NULL;
    }
    if (block) tide_blocks_push(out, block);
    return true;
}

/* ---- Cartesian ------------------------------------------------------------------------------------------------ */

struct tide_product {
    struct cursor left;
    struct span v; /* the current record of a */
    bool started;
    uint32_t next; /* index of the record of b to pair it with */
    uint32_t count;
    struct span spans[]; /* the records of b, which are read once for each record of a */
};

struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b) {
    uint64_t count = tide_blocks_records(b);
    struct tide_product *product =
        count < UINT32_MAX ? tide_alloc_try(sizeof *product + (size_t)count * sizeof product->spans[0]) : NULL;
    struct cursor right = cursor_at_first(b);

    if (!product) return NULL;
    product->left = cursor_at_first(a);
    product->started = false;
    product->next = 0;
    product->count = 0;
    while (product->count < count && next_span(&right, &product->spans[product->count])) product->count++;
    return product;
}

void tide_product_delete(struct tide_product *product) { tide_free(product); }

bool tide_product_next(struct tide_product *product, struct tide_block **out) {
    struct tide_block *block = NULL;

    *out = NULL;
    while (product->count > 0 && (!block || block->size < TIDE_BLOCK_TARGET)) {
        if (!product->started || product->next == product->count) {
            if (!next_span(&product->left, &product->v)) break;
            product->started = true;
            product->next = 0;
        }
        if (write_pair(&product->v, &product->spans[product->next++], &block)) continue;
        tide_block_release(block);
        return false;
    }
    *out = block;
    return true;
}
