/*
 * Copies of blocks on disk, one for each block however many have kept it: the cache (store/cache.h) writes a block the first time
 * it has to go to disk, and a block that was read from its copy, or is in memory for somebody else, brings it along when it has to
 * go again.
 *
 * A large block is written by itself, small neighbours together: that is the unit of space on disk, which is given back when none
 * of its copies is needed any more. Who needs a copy holds a reference: things in the cache that are on disk, and the block
 * itself as long as it is in memory.
 *
 * Thread: any; a short lock, never held while reading or writing. Writing, reading and tidying wait for the disk. Releasing does
 * not: space is given back by tidying.
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
/* `garbage` is called when there is something to tidy, on any thread, under the lock of the copies. NULL: not any more, once this
 * returns. */
void tide_copies_on_garbage(struct tide_copies *copies, void (*garbage)(void *arg), void *arg);
/* Gives all space back at once; no copy is read any more. */
void tide_copies_close(struct tide_copies *copies);
/* After closing; what is left of copies that somebody still holds goes with them. */
void tide_copies_release(struct tide_copies *copies);
/* Gives back the space of one unit that nobody needs. true: there may be more. */
bool tide_copies_tidy(struct tide_copies *copies);
/* Bytes on disk. */
uint64_t tide_copies_bytes(const struct tide_copies *copies);

/* Writes the blocks whose made[i] is NULL, and sets these; *written += bytes. On failure nothing changes. */
int tide_copies_write(struct tide_copies *copies, struct tide_block *const *blocks, uint32_t count,
                      struct tide_copy **made, uint64_t *written, struct tide_error *err);
/* Appends the blocks that these are copies of, in order, to `out`; nothing on failure. */
int tide_copies_read(struct tide_copies *copies, struct tide_copy *const *from, uint32_t count,
                     struct tide_blocks *out, struct tide_error *err);

/* It could not be read: a block that is in memory is to be written again. */
bool tide_copy_damaged(const struct tide_copy *copy);

#endif
