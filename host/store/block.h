/*
 * Blocks: immutable, reference-counted runs of records outside the Lua heap. A block is filled by one
 * thread, sealed by handing it on, and then only read.
 *
 *   text:   data = received bytes, lines[i] = where line i lies in them (without separator)
 *   packed: data = MessagePack values one after the other; arity 1: a record is one value, arity 2: a
 *           record is key, value. Followed by TIDE_BLOCK_SLACK zero bytes, so that readers may look ahead.
 *
 * The structs are visible because worker Lua reads and writes them through FFI (lua/moontide/wire/ffi.lua
 * holds the same declarations and a size handshake). Reference counting is atomic; any thread.
 * The blocks of a source count in its share of the engine's budget (store/budget.h) until they are freed: that is how
 * ingest knows when to read on.
 */
#ifndef TIDE_STORE_BLOCK_H
#define TIDE_STORE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIDE_BLOCK_TEXT = 1, TIDE_BLOCK_PACKED = 2 };
enum { TIDE_BLOCK_SLACK = 16, TIDE_BLOCK_TARGET = 256 * 1024 };

struct tide_line {
    uint32_t offset;
    uint32_t length;
};

struct tide_share;
struct tide_copy;

struct tide_block {
    uint32_t refs;
    uint8_t kind;
    uint8_t arity;       /* 0 while empty and unknown */
    uint16_t firm;       /* counts in its share until it is freed, whoever is done with it */
    uint32_t count;      /* records */
    uint32_t line_slots; /* capacity of lines (text) */
    uint64_t size;       /* bytes used in data */
    uint64_t capacity;   /* bytes usable in data, slack not counted */
    uint8_t *data;
    struct tide_line *lines;
    struct tide_share *share; /* or NULL */
    struct tide_copy *copy;   /* of it on disk (store/copies.h), or NULL. This and what follows is the cache's: */
    uint32_t kept;            /* how many things in the cache hold it in memory */
    uint32_t met;             /* scratch */
    bool counted;             /* its bytes are in the cache's count */
    bool claimed;             /* somebody is writing it */
};

/* NULL when memory is gone. Reference count 1. `capacity` at least. share may be NULL; it is retained. */
struct tide_block *tide_block_new(int kind, int arity, size_t capacity, struct tide_share *share);
struct tide_block *tide_block_retain(struct tide_block *block);
void tide_block_release(struct tide_block *block); /* NULL is fine */
/* Writer only: makes room for `extra` more bytes (at least doubling); data may move. false: no memory. */
bool tide_block_reserve(struct tide_block *block, size_t extra);
/* Writer only: appends a line entry. false: no memory. */
bool tide_block_add_line(struct tide_block *block, uint32_t offset, uint32_t length);
/* Writer only: room for `count` lines in all. false: no memory. */
bool tide_block_reserve_lines(struct tide_block *block, uint32_t count);
/* Gives back room that is not used, if that is worth it and nobody else holds the block. */
void tide_block_trim(struct tide_block *block);
/* Its share no longer counts it: the batch it was received for is done with it, and others keep it. Any holder. */
void tide_block_discharge(struct tide_block *block);
/* A task has read it. It no longer counts, unless the budget is an absolute limit. Any holder. */
void tide_block_consumed(struct tide_block *block);
/* What it takes in memory, unused room and lines included. */
uint64_t tide_block_footprint(const struct tide_block *block);
/* Live blocks and their bytes in the whole process: for leak checks. */
uint64_t tide_block_live(void);
uint64_t tide_block_live_bytes(void);
/* Whether much less is alive than at some time since tide_block_given_back was called, so that the C library holds memory that the
 * system could have. Any thread; by about. */
bool tide_block_fell(void);
void tide_block_given_back(void);

/* A list of references: one partition of a dataset. Each entry holds a reference. */
struct tide_blocks {
    struct tide_block **items;
    uint32_t count;
    uint32_t capacity;
};

void tide_blocks_create(struct tide_blocks *blocks);
void tide_blocks_destroy(struct tide_blocks *blocks);                            /* releases all */
void tide_blocks_push(struct tide_blocks *blocks, struct tide_block *take);      /* takes the reference */
void tide_blocks_append(struct tide_blocks *to, const struct tide_blocks *from); /* retains each */
void tide_blocks_move(struct tide_blocks *to, struct tide_blocks *from);         /* appends and empties from */
uint64_t tide_blocks_records(const struct tide_blocks *blocks);
uint64_t tide_blocks_bytes(const struct tide_blocks *blocks);
/* What they take in memory, unused room and lines included. */
uint64_t tide_blocks_footprint(const struct tide_blocks *blocks);

#endif
