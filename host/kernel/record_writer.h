/*
 * Appends packed records to a block; the caller starts a new block when one has reached TIDE_BLOCK_TARGET.
 *
 *   if (!tide_record_writer_room(&block, 2, size)) … no memory …
 *   uint8_t *at = tide_record_writer_at(block);
 *   … write at most `size` bytes from `at` on …
 *   tide_record_writer_record(block, at);
 *
 * Thread: the worker that runs the kernel.
 */
#ifndef TIDE_KERNEL_RECORD_WRITER_H
#define TIDE_KERNEL_RECORD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/block.h"

/* Most bytes that tide_record_writer_array writes. */
enum { TIDE_RECORD_WRITER_ARRAY = 5 };

/* Makes room for `size` more bytes; makes the block if *block is NULL. false: no memory; *block stays valid. */
bool tide_record_writer_room(struct tide_block **block, int arity, size_t size);

static inline uint8_t *tide_record_writer_at(const struct tide_block *block) { return block->data + block->size; }

/* Completes a record that ends at `end`. */
static inline void tide_record_writer_record(struct tide_block *block, const uint8_t *end) {
    block->size = (uint64_t)(end - block->data);
    block->count++;
}

/* Writes the head of an array of `count` values. Returns the byte after it. */
static inline uint8_t *tide_record_writer_array(uint8_t *at, uint32_t count) {
    if (count < 16) {
        *at++ = (uint8_t)(0x90 | count);
    } else if (count < 65536) {
        *at++ = 0xdc;
        *at++ = (uint8_t)(count >> 8);
        *at++ = (uint8_t)count;
    } else {
        *at++ = 0xdd;
        for (int shift = 24; shift >= 0; shift -= 8) *at++ = (uint8_t)(count >> shift);
    }
    return at;
}

/* Copies bytes. Returns the byte after them. */
static inline uint8_t *tide_record_writer_bytes(uint8_t *at, const uint8_t *data, size_t size) {
    memcpy(at, data, size);
    return at + size;
}

#endif
