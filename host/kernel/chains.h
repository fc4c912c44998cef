/*
 * Links the values of each key: reads packed (key, value) blocks of one or more sides and links the values of each
 * key and side in the order of their arrival. Keys are numbered in the order of their first arrival. Values stay in
 * the blocks; each is copied once, when a result is written (group.c, cogroup.c).
 *
 *   keys (combine.h)   items                         links
 *   k ───────────────► [k * sides + side] ──head──► [data, size] ──next──► [data, size] ──► 0
 *
 * Thread: one worker. The blocks must live, unchanged, as long as the chains. false: no memory; the chains can then
 * only be destroyed.
 */
#ifndef TIDE_KERNEL_CHAINS_H
#define TIDE_KERNEL_CHAINS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/record_writer.h"
#include "store/block.h"

struct tide_chain_link {
    const uint8_t *data;
    uint32_t size;
    uint32_t next; /* number of the chain's next link, counted from 1; 0: none */
};

struct tide_chain {
    uint32_t head, tail; /* numbers of links, counted from 1; 0: no link */
    uint32_t count;      /* values, those that were only counted included */
    uint64_t bytes;      /* of the values linked */
};

struct tide_chains {
    struct tide_combine *keys;
    struct tide_chain *items;
    struct tide_chain_link *links;
    uint32_t sides, count; /* count: links */
    uint32_t item_capacity, link_capacity;
};

/* How the value of a record is read. */
enum tide_chain_use {
    TIDE_CHAIN_LINKED,
    TIDE_CHAIN_COUNTED, /* the chain's count grows by one, no link is made */
    TIDE_CHAIN_SPREAD   /* the value is an array: its elements are the values, all of them in one link */
};

/* No keys, and `sides` chains for each that comes. */
bool tide_chains_create(struct tide_chains *chains, uint32_t sides);
void tide_chains_destroy(struct tide_chains *chains);
/* Reads all records of one side. */
bool tide_chains_read(struct tide_chains *chains, uint32_t side, const struct tide_blocks *blocks,
                      enum tide_chain_use use);
/* The `sides` chains of a key. */
static inline const struct tide_chain *tide_chains_of(const struct tide_chains *chains, uint32_t key) {
    return &chains->items[(size_t)key * chains->sides];
}

/* Writes the chain's values as one array, at most TIDE_RECORD_WRITER_ARRAY + chain->bytes bytes. Returns the byte
 * after it. */
static inline uint8_t *tide_chains_write(const struct tide_chains *chains, const struct tide_chain *chain,
                                         uint8_t *at) {
    at = tide_record_writer_array(at, chain->count);
    for (uint32_t v = chain->head; v != 0; v = chains->links[v - 1].next)
        at = tide_record_writer_bytes(at, chains->links[v - 1].data, chains->links[v - 1].size);
    return at;
}

#endif
