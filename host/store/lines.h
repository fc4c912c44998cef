/*
 * Cuts a stream of bytes into text blocks. Bytes are read straight into the current block's memory
 * (space → read → commit), so a received byte is copied only when a line straddles two blocks.
 * Separators \n, \r\n, \r. Not thread-safe. Used by the socket source (ingest) and by the file reader (task).
 */
#ifndef TIDE_STORE_LINES_H
#define TIDE_STORE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/block.h"

struct tide_lines {
    struct tide_share *share; /* retained, may be NULL */
    uint32_t max_line;        /* longest line delivered */
    uint32_t block_size;      /* a block is sealed when it holds about this many bytes */
    struct tide_blocks sealed;
    struct tide_block *current; /* being filled; its first `current->size` bytes are committed */
    size_t line_start;          /* where the unfinished line begins in current */
    size_t scanned;             /* bytes of current already searched for separators */
    bool after_cr;              /* the last byte was \r: a \n that follows belongs to it */
    uint64_t skipping;          /* > 0: inside an over-long line, bytes of it seen so far */
    void (*on_long_line)(void *arg, const uint8_t *head, size_t head_size,
                         uint64_t length); /* once per over-long line, at its end */
    void *arg;
    uint8_t long_head[64];
    size_t long_head_size;
    uint64_t arrived; /* bytes committed since the last take */
    uint64_t traffic; /* what recent takes brought: the size of new blocks follows it */
};

/* max_line 0: as long as a block can hold (1 GiB); block_size 0: TIDE_BLOCK_TARGET. Allocates nothing yet. */
void tide_lines_create(struct tide_lines *lines, uint32_t max_line, uint32_t block_size, struct tide_share *share);
void tide_lines_destroy(struct tide_lines *lines);
/* Room to read into: at least 1 byte, usually tens of KB; NULL when memory is gone. */
uint8_t *tide_lines_space(struct tide_lines *lines, size_t *size);
/* `size` bytes were written to the space: finds lines. false when memory is gone; the bytes are kept all the same,
 * and the next commit (of 0 bytes, if need be), space, finish or take continues where this one stopped. */
bool tide_lines_commit(struct tide_lines *lines, size_t size);
/* End of stream: an unterminated last line becomes a record. Resets the separator state. false when memory is gone:
 * call again. */
bool tide_lines_finish(struct tide_lines *lines);
/* Moves every complete line to `out` as sealed blocks; the unfinished one stays. false when memory is gone (nothing
 * is lost). */
bool tide_lines_take(struct tide_lines *lines, struct tide_blocks *out);

#endif
