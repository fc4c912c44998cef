/*
 * Grouping by key (see group.h): links the values by key (chains.h), then writes each key with the values of its
 * chain. Runs on a worker.
 */
#include "kernel/group.h"

#include "kernel/chains.h"
#include "kernel/record_writer.h"

static bool write_groups(const struct tide_chains *chains, struct tide_blocks *out) {
    struct tide_block *block = NULL;

    for (uint32_t i = 0; i < chains->keys->count; i++) {
        const struct tide_chain *chain = tide_chains_of(chains, i);
        uint32_t key_size;
        const uint8_t *key = tide_combine_key(chains->keys, i, &key_size);
        size_t size = key_size + TIDE_RECORD_WRITER_ARRAY + chain->bytes;

        if (block && block->size + size > TIDE_BLOCK_TARGET) {
            tide_blocks_push(out, block);
            block = NULL;
        }
        if (!tide_record_writer_room(&block, 2, size)) {
            tide_block_release(block);
            return false;
        }

        uint8_t *at = tide_record_writer_bytes(tide_record_writer_at(block), key, key_size);

        tide_record_writer_record(block, tide_chains_write(chains, chain, at));
    }
    if (block) tide_blocks_push(out, block);
    return true;
}

static bool group(const struct tide_blocks *in, enum tide_chain_use use, struct tide_blocks *out) {
    struct tide_chains chains;
    bool ok = tide_chains_create(&chains, 1) && tide_chains_read(&chains, 0, in, use) && write_groups(&chains, out);

    tide_chains_destroy(&chains);
    return ok;
}

bool tide_group_blocks(const struct tide_blocks *in, struct tide_blocks *out) {
    return group(in, TIDE_CHAIN_LINKED, out);
}

bool tide_group_concat(const struct tide_blocks *in, struct tide_blocks *out) {
    return group(in, TIDE_CHAIN_SPREAD, out);
}
