/*
 * What windows do with packed pairs whose values are numbers: the values of each key are brought together, a small range of
 * hashes after the other. The records of a range are read from every block into a table that fits in the processor's first
 * cache, which a table of all keys does not; what becomes of the keys is written in the order of their hashes (sort_by_hash.h), so that
 * the next fold can read it front to back.
 *
 *   tide_window_fold_open(&fold, state, leaving, entering, …);
 *   while (tide_window_fold_read(fold) == TIDE_WINDOW_FOLD_RANGE) {
 *       … what fold has of its keys 0 … count - 1 …
 *       tide_window_fold_write(fold, …);
 *   }
 *   tide_window_fold_finish(fold, out);                  or tide_window_fold_delete, when it has gone wrong
 *
 * Three sides, each of which may be absent: `state` holds (key, [n, x]) as in state_delta.h, n and x numbers; `leaving` and `entering`
 * hold (key, number). Values of one side and key are added where `adds`; else the first one stands with the key, and those that
 * come later are its `meetings`, for the caller to merge in their order.
 *
 * Thread: the worker that runs the task. The blocks given must live, unchanged, as long as the fold. Called by worker Lua
 * through FFI.
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
