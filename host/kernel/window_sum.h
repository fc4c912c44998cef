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

#include "kernel/ffi.h"
#include "kernel/state_delta.h"
#include "store/block.h"

#endif
