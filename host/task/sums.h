/*
 * Windows over pairs whose values are numbers and are added (and taken away): the parts of a window merged, and a window made
 * from the one before.
 *
 * The results are in order (order.h). Parts that are in order are read side by side, one small range of hashes after the
 * other: the keys of a range fit in the processor's first cache, which a table of all keys does not, and nothing is read or
 * written twice. Parts that are not in order are ordered first.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI.
 */
#ifndef TIDE_TASK_SUMS_H
#define TIDE_TASK_SUMS_H

#include <stdbool.h>

#include "store/block.h"
#include "task/patch.h"

/* What the functions below answer. */
enum tide_sums_result {
    TIDE_SUMS_NO_MEMORY = -1,
    TIDE_SUMS_OTHER = 0, /* some value is no number: nothing is in `out`, the caller has to do it another way */
    TIDE_SUMS_DONE = 1
};

/* One pair for each key of `in`: its values added, in the order in which they come. */
int tide_sums_merge(const struct tide_blocks *in, struct tide_blocks *out);

/* An inverse window: `state` holds (key, [n, x]) (patch.h), n the number of partial results of the key that are in the window
 * and x their sum. Those in `leaving` are taken away, those in `entering` added. With `asks`, keys that have none left are not
 * put but left open: patch->open, to be put by the caller or not. The patch is a new one; tide_patch_finish comes afterwards. */
int tide_sums_slide(struct tide_patch *patch, const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering, bool asks, struct tide_blocks *out);

#endif
