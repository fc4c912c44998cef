/*
 * Blocks: immutable, reference-counted runs of records outside the Lua heap. A block is filled by one thread, sealed
 * by handing it on, and then only read.
 *
 *   text:   data = received bytes, lines[i] = where line i lies in them (without separator)
 *   packed: data = MessagePack values one after the other; arity 1: a record is one value, arity 2: a
 *           record is key, value. Followed by TIDE_BLOCK_SLACK zero bytes, so that readers may look ahead.
 *
 * The structs are visible because worker Lua reads and writes them through FFI. Reference counting is atomic; any
 * thread. The blocks of a source count in its share of the engine's budget (store/budget.h) until they are freed:
 * that is how ingest knows when to read on.
 */
#ifndef TIDE_STORE_BLOCK_H
#define TIDE_STORE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ffi.h"

/* Writer only: appends a line entry. false: no memory. */
bool tide_block_add_line(struct tide_block *block, uint32_t offset, uint32_t length);
/* Writer only: room for `count` lines in all. false: no memory. */
bool tide_block_reserve_lines(struct tide_block *block, uint32_t count);
/* Frees unused memory of the block, if that pays and there is no other reference. */
void tide_block_trim(struct tide_block *block);
/* Its share no longer counts it: its batch is done, but there are other references. Any thread with a reference. */
void tide_block_discharge(struct tide_block *block);
/* A task has read it. It no longer counts, unless the budget is an absolute limit. Any thread with a reference. */
void tide_block_consumed(struct tide_block *block);
/* Bytes in memory, unused room and lines included. */
uint64_t tide_block_footprint(const struct tide_block *block);
/* Live blocks and their bytes in the whole process: for leak checks. */
uint64_t tide_block_live(void);
uint64_t tide_block_live_bytes(void);
/* Whether much less is live than at the peak since tide_block_given_back was called, so that the C library holds
 * memory that could be returned to the system. Any thread; approximate. */
bool tide_block_fell(void);
void tide_block_given_back(void);

/* Writer only, once: `take` lives as long as the block, which can't be spilled then; `detach` is called with it, on
 * any thread. `bytes` of memory that it stands for count as the block's. */
void tide_block_attach(struct tide_block *block, void *take, uint64_t bytes, void (*detach)(void *attached));

uint64_t tide_blocks_bytes(const struct tide_blocks *blocks);
/* Bytes in memory, unused room and lines included. */
uint64_t tide_blocks_footprint(const struct tide_blocks *blocks);

#endif
