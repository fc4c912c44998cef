/*
 * Joining the arrays of equal keys (see lists.h). Runs on a worker.
 */
#include "kernel/lists.h"

#include "base/alloc.h"
#include "kernel/combine.h"
#include "kernel/record_writer.h"
#include "wire/unpack.h"

/* The elements of one array. */
struct run {
    const uint8_t *data;
    size_t size;
    uint32_t count;
    uint32_t next; /* index + 1 of the next array of the same key; 0: none */
};

struct chain {
    uint32_t head, tail; /* index + 1 */
    uint32_t count;
    size_t bytes;
};

struct lists {
    struct tide_combine *keys;
    struct chain *chains; /* by key */
    struct run *runs;
    uint32_t chain_slots, run_slots, count;
};

static bool add(struct lists *lists, const uint8_t *key, const uint8_t *value, const uint8_t *next) {
    uint32_t entry = tide_combine_packed(lists->keys, key, (size_t)(value - key));

    if (entry == TIDE_COMBINE_NOMEM || lists->count == UINT32_MAX - 1) return false;
    if (!tide_record_writer_grow((void **)&lists->chains, &lists->chain_slots, entry + 1, sizeof *lists->chains))
        return false;
    if (!tide_record_writer_grow((void **)&lists->runs, &lists->run_slots, lists->count + 1, sizeof *lists->runs))
        return false;

    struct tide_value array = tide_unpack_value(value, next);
    struct run *run = &lists->runs[lists->count++];
    struct chain *chain = &lists->chains[entry];

    *run = (struct run){.data = array.next, .size = (size_t)(next - array.next), .count = array.size};
    if (lists->keys->fresh) *chain = (struct chain){.head = lists->count};
    else lists->runs[chain->tail - 1].next = lists->count;
    chain->tail = lists->count;
    chain->count += run->count;
    chain->bytes += run->size;
    return true;
}

static bool write(const struct lists *lists, struct tide_blocks *out) {
    struct tide_block *block = NULL;

    if (!lists->chains) return true; /* not one key */
    for (uint32_t i = 0; i < lists->keys->count; i++) {
        const struct chain *chain = &lists->chains[i];
        uint32_t key_size;
        const uint8_t *key = tide_combine_key(lists->keys, i, &key_size);

        if (block && block->size >= TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if (!tide_record_writer_room(&block, 2, key_size + TIDE_RECORD_WRITER_ARRAY + chain->bytes)) {
            tide_block_release(block);
            return false;
        }

        uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(block), key, key_size);

        at = tide_record_writer_array(at, chain->count);
        for (uint32_t r = chain->head; r != 0; r = lists->runs[r - 1].next)
            at = tide_record_writer_bytes(at, lists->runs[r - 1].data, lists->runs[r - 1].size);
        tide_record_writer_record(block, at);
    }
    if (block) tide_blocks_push(out, block);
    return true;
}

bool tide_group_concat(const struct tide_blocks *in, struct tide_blocks *out) {
    struct lists lists = {.keys = tide_combine_new()};
    bool ok = lists.keys;

    for (uint32_t b = 0; ok && b < in->count; b++) {
        const uint8_t *at = in->items[b]->data, *end = at + in->items[b]->size;

        for (uint32_t r = 0; ok && r < in->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            const uint8_t *next = tide_unpack_skip(value, end);

            ok = add(&lists, at, value, next);
            at = next;
        }
    }
    ok = ok && write(&lists, out);
    tide_free(lists.chains);
    tide_free(lists.runs);
    tide_combine_delete(lists.keys);
    return ok;
}
