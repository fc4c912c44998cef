/*
 * Groups packed pairs by key (see group.h). Values are never copied until the result is written: each key has a
 * chain of pointers into the input blocks, which the task holds. Runs on a worker.
 */
#include "kernel/group.h"

#include <string.h>

#include "base/alloc.h"
#include "kernel/combine.h"
#include "kernel/record_writer.h"
#include "wire/unpack.h"

struct value_ref {
    const uint8_t *data;
    uint32_t size;
    uint32_t next; /* index + 1 of the next value of the same key, 0 = last */
};

struct chain {
    uint32_t head, tail; /* index + 1 */
    uint32_t count;
    uint64_t bytes;
};

static bool write_groups(const struct tide_combine *keys, const struct chain *chains, const struct value_ref *values,
                         struct tide_blocks *out) {
    if (!chains) return true; /* no keys */
    struct tide_block *block = NULL;
    for (uint32_t i = 0; i < keys->count; i++) {
        uint32_t key_size;
        const uint8_t *key = tide_combine_key(keys, i, &key_size);
        size_t size = key_size + 5 + chains[i].bytes;
        if (block && block->size + size > TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if (!block) {
            block = tide_block_new(TIDE_BLOCK_PACKED, 2, size, NULL);
            if (!block) return false;
        } else if (block->capacity - block->size < size && !tide_block_reserve(block, size)) {
            tide_block_release(block);
            return false;
        }
        uint8_t *at = block->data + block->size;
        memcpy(at, key, key_size);
        at = tide_record_writer_array(at + key_size, chains[i].count);
        for (uint32_t v = chains[i].head; v != 0; v = values[v - 1].next) {
            memcpy(at, values[v - 1].data, values[v - 1].size);
            at += values[v - 1].size;
        }
        block->size = (uint64_t)(at - block->data);
        block->count++;
    }
    if (block) tide_blocks_push(out, block);
    return true;
}

bool tide_group_blocks(const struct tide_blocks *in, struct tide_blocks *out) {
    struct tide_combine *keys = tide_combine_new();
    struct chain *chains = NULL;
    struct value_ref *values = NULL;
    uint32_t chain_capacity = 0, value_capacity = 0, nvalues = 0;
    bool ok = false;

    if (!keys) return false;
    for (uint32_t b = 0; b < in->count; b++) {
        const struct tide_block *block = in->items[b];
        const uint8_t *at = block->data, *end = block->data + block->size;
        for (uint32_t r = 0; r < block->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            const uint8_t *next = tide_unpack_skip(value, end);
            uint32_t key = tide_combine_packed(keys, at, (size_t)(value - at));
            if (key == TIDE_COMBINE_NOMEM) goto done;
            if (!tide_record_writer_grow((void **)&chains, &chain_capacity, key + 1, sizeof *chains)) goto done;
            if (!tide_record_writer_grow((void **)&values, &value_capacity, nvalues + 1, sizeof *values)) goto done;
            values[nvalues] = (struct value_ref){value, (uint32_t)(next - value), 0};
            nvalues++;
            struct chain *chain = &chains[key];
            if (keys->fresh) {
                *chain = (struct chain){nvalues, nvalues, 1, values[nvalues - 1].size};
            } else {
                values[chain->tail - 1].next = nvalues;
                chain->tail = nvalues;
                chain->count++;
                chain->bytes += values[nvalues - 1].size;
            }
            at = next;
        }
    }
    ok = write_groups(keys, chains, values, out);
done:
    tide_free(chains);
    tide_free(values);
    tide_combine_delete(keys);
    return ok;
}
