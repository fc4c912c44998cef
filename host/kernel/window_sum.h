/*
 * Windows over pairs whose values are numbers and are added (and taken away): the parts of a window merged, and a window made
 * from the one before. The results are in order (order.h); parts that are in order too are merged without a table of all keys
 * (fold.h).
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. Both answer TIDE_FOLD_DONE, TIDE_FOLD_NO_MEMORY, or
 * TIDE_FOLD_OTHER when a value is no number: nothing is in `out` then.
 */
#ifndef TIDE_KERNEL_WINDOW_SUM_H
#define TIDE_KERNEL_WINDOW_SUM_H

#include <stdbool.h>

#include "kernel/state_patch.h"
#include "store/block.h"

/* One pair for each key of `in`: its values added, in the order in which they come. */
int tide_sums_merge(const struct tide_blocks *in, struct tide_blocks *out);

/* An inverse window: `state` holds (key, [n, x]) (patch.h), n the number of partial results of the key that are in the window
 * and x their sum. Those in `leaving` are taken away, those in `entering` added. With `asks`, keys that have none left are not
 * put but left open: patch->open, to be put by the caller or not. The patch is a new one; tide_patch_finish comes afterwards. */
int tide_sums_slide(struct tide_patch *patch, const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering, bool asks, struct tide_blocks *out);

/* Whether so little changes that the state is copied past the changes (patch.h) rather than folded with them. */
bool tide_sums_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering);

#endif
