/*
 * Blocks: immutable, reference-counted runs of records outside the Lua heap. A block is filled by one
 * thread, sealed by handing it on, and then only read.
 *
 *   text:   data = received bytes, lines[i] = where line i lies in them (without separator)
 *   packed: data = MessagePack values one after the other; arity 1: a record is one value, arity 2: a
 *           record is key, value. Followed by TIDE_BLOCK_SLACK zero bytes, so that readers may look ahead.
 *
 * The structs are visible because worker Lua reads and writes them through FFI (lua/moontide/worker/ffi.lua
 * holds the same declarations and a size handshake). Reference counting is atomic; any thread.
 * A budget counts the bytes of the blocks created under it and tells its owner when they are freed: that
 * is how ingest knows when to read on.
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

struct tide_budget;

struct tide_block {
    uint32_t refs;
    uint8_t kind;
    uint8_t arity; /* 0 while empty and unknown */
    uint16_t reserved;
    uint32_t count;      /* records */
    uint32_t line_slots; /* capacity of lines (text) */
    uint64_t size;       /* bytes used in data */
    uint64_t capacity;   /* bytes usable in data, slack not counted */
    uint8_t *data;
    struct tide_line *lines;
    struct tide_budget *budget; /* or NULL */
};

/* NULL when memory is gone. Reference count 1. `capacity` at least. budget may be NULL; it is retained. */
struct tide_block *tide_block_new(int kind, int arity, size_t capacity, struct tide_budget *budget);
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
/* Its budget no longer counts it: whoever received it is done with it, and others keep it. Any holder. */
void tide_block_discharge(struct tide_block *block);
/* Live blocks and their bytes in the whole process: for leak checks. */
uint64_t tide_block_live(void);
uint64_t tide_block_live_bytes(void);

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

/* Counts bytes of live blocks. on_low is called (any thread, after the count fell to low or less, once per crossing) so that the
 * owner can wake itself up; it must only post. Reference counted because blocks outlive their source. */
struct tide_budget *tide_budget_new(uint64_t high, uint64_t low, void (*on_low)(void *arg), void *arg);
struct tide_budget *tide_budget_retain(struct tide_budget *budget);
void tide_budget_release(struct tide_budget *budget);
/* The owner goes away: on_low will not be called any more after this returns. */
void tide_budget_detach(struct tide_budget *budget);
uint64_t tide_budget_used(const struct tide_budget *budget);
/* true when used >= high; the next fall to low or below will call on_low. */
bool tide_budget_exceeded(struct tide_budget *budget);

#endif
