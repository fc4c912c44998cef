/*
 * Records of two partitions side by side: zip and cartesian. Results are pairs (a, b); a record that is a pair itself
 * becomes the array [key, value] in there. Nothing is decoded.
 *
 * Thread: the worker that runs the task. Blocks must be packed. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_PRODUCT_H
#define TIDE_KERNEL_PRODUCT_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
