/*
 * Copies of blocks on disk, one for each block however many cache entries have it: the cache (store/cache.h) writes a
 * block the first time it is spilled. A block that was read from its copy, or is in memory for another entry, refers
 * to the copy and is not written again.
 *
 * A large block is written by itself, small neighbours together: that is the unit of space on disk, which is freed
 * when none of its copies is needed any more. References to a copy: cache entries that are on disk, and the block
 * itself while it is in memory.
 *
 * Thread: any; a short lock, never held while reading or writing. Writing, reading and tidying wait for the disk.
 * Releasing does not: space is freed by tidying.
 * Errors: those of store/spill.h.
 */
#ifndef TIDE_STORE_COPIES_H
#define TIDE_STORE_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/block.h"
#include "store/copy.h"
#include "store/spill.h"

struct tide_copies;

/* Takes the spill. */
struct tide_copies *tide_copies_new(struct tide_spill *take_spill);
/* `garbage` is called when there is something to tidy, on any thread, under the lock of the copies. NULL: it is not
 * called any more, once this returns. */
void tide_copies_on_garbage(struct tide_copies *copies, void (*garbage)(void *arg), void *arg);
/* Frees all space at once; no copy is read any more. */
void tide_copies_close(struct tide_copies *copies);
/* After closing. Copies that are still referred to keep the rest alive. */
void tide_copies_release(struct tide_copies *copies);
/* Frees the space of one unit that is not needed. true: there may be more. */
bool tide_copies_tidy(struct tide_copies *copies);
/* Bytes on disk. */
uint64_t tide_copies_bytes(const struct tide_copies *copies);

/* Writes the blocks whose made[i] is NULL, and sets these; *written += bytes. On failure nothing changes. */
int tide_copies_write(struct tide_copies *copies, struct tide_block *const *blocks, uint32_t count,
                      struct tide_copy **made, uint64_t *written, struct tide_error *err);
/* Appends the blocks that these are copies of, in order, to `out`; nothing on failure. */
int tide_copies_read(struct tide_copies *copies, struct tide_copy *const *from, uint32_t count,
                     struct tide_blocks *out, struct tide_error *err);

/* Whether reading it has failed: a block in memory has to be written again. */
bool tide_copy_damaged(const struct tide_copy *copy);

#endif
