/*
 * Collects the values of each key into one array, in the order of their arrival: packed (key, value) blocks in,
 * packed (key, [values]) blocks out. Keys come in the order of their first arrival. No value is decoded.
 *
 *   (k, v) (l, w) (k, x)   ── tide_group_blocks ──►  (k, [v, x]) (l, [w])          groupByKey
 *   (k, [v, x]) (k, [y])   ── tide_group_concat ──►  (k, [v, x, y])                groupByKeyAndWindow
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. Both append to `out`. false: no memory
 * (`out` then holds a part of the result, and the task fails).
 */
#ifndef TIDE_KERNEL_GROUP_H
#define TIDE_KERNEL_GROUP_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
