/*
 * Windows over pairs whose values are numbers and are added (and taken away): the parts of a window merged, and a window made
 * from the one before. The results are in order (sort_by_hash.h); parts that are in order too are merged without a table of all keys
 * (window_fold.h).
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. Both answer TIDE_WINDOW_FOLD_DONE, TIDE_WINDOW_FOLD_NO_MEMORY, or
 * TIDE_WINDOW_FOLD_OTHER when a value is no number: nothing is in `out` then.
 */
#ifndef TIDE_KERNEL_WINDOW_SUM_H
#define TIDE_KERNEL_WINDOW_SUM_H

#include <stdbool.h>

#include "kernel/state_delta.h"
#include "store/block.h"

/* One pair for each key of `in`: its values added, in the order in which they come. */
int tide_window_sum_merge(const struct tide_blocks *in, struct tide_blocks *out);

/* An inverse window: `state` holds (key, [n, x]) (state_delta.h), n the number of partial results of the key that are in the window
 * and x their sum. Those in `leaving` are taken away, those in `entering` added. With `asks`, keys that have none left are not
 * put but left open: delta->open, to be put by the caller or not. The delta is a new one; tide_state_delta_finish comes afterwards. */
int tide_window_sum_slide(struct tide_state_delta *delta, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool asks,
                          struct tide_blocks *out);

/* Whether so little changes that the state is copied past the changes (state_delta.h) rather than folded with them. */
bool tide_window_sum_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                          const struct tide_blocks *entering);

#endif
