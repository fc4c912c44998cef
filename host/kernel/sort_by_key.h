/*
 * Sorts the packed pairs of a partition by key, and samples keys for the bounds of ranges: the kernels of sortByKey.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_SORT_BY_KEY_H
#define TIDE_KERNEL_SORT_BY_KEY_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
