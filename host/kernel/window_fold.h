/*
 * Combines packed pairs whose values are numbers by key, for windows: one small range of key hashes at a time. The
 * records of a range, from all blocks, meet in a table that fits in the processor's first-level cache (a table of all
 * keys does not). Results are written in the order of the hashes (sort_by_hash.h), so that the next window reads them
 * sequentially.
 *
 *   hash        0 ........ range ........ 2^64
 *   state       ──────────|─────|─────────        (key, [n, x])   a state (state_delta.h), n and x numbers
 *   leaving     ──────────|─────|─────────        (key, number)
 *   entering    ──────────|─────|─────────        (key, number)
 *                            └─► table of the range's keys ─► functions of the caller ─► out
 *
 *   tide_window_fold_open(&fold, state, leaving, entering, …);
 *   while (tide_window_fold_read(fold) == TIDE_WINDOW_FOLD_RANGE) {
 *       … change the values of keys 0 … count - 1 …
 *       tide_window_fold_write(fold, …);
 *   }
 *   tide_window_fold_finish(fold, out);   (tide_window_fold_delete on an error)
 *
 * Each of the three sides may be absent. With `adds`, the values of a side and key are added. Otherwise the fold
 * keeps the first one and reports the others as `meetings`, for the caller to merge in their order.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. The blocks must live, unchanged, as long
 * as the fold.
 */
#ifndef TIDE_KERNEL_WINDOW_FOLD_H
#define TIDE_KERNEL_WINDOW_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/ffi.h"
#include "store/block.h"

enum tide_window_fold_side { TIDE_WINDOW_FOLD_STATE, TIDE_WINDOW_FOLD_LEAVING, TIDE_WINDOW_FOLD_ENTERING };

#endif
