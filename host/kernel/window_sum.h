/*
 * Windows of sums: merges the partial sums of a window, and makes a window from the previous one by subtracting the
 * sums that leave and adding those that enter. Results are in hash order (sort_by_hash.h).
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. Both return TIDE_WINDOW_FOLD_DONE,
 * TIDE_WINDOW_FOLD_NO_MEMORY, or TIDE_WINDOW_FOLD_OTHER if a value is not a number; `out` is empty then.
 */
#ifndef TIDE_KERNEL_WINDOW_SUM_H
#define TIDE_KERNEL_WINDOW_SUM_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "kernel/state_delta.h"
#include "store/block.h"

#endif
