/*
 * Pairs the records of two partitions: zip (the i-th with the i-th) and the Cartesian product (every one with every
 * other). Packed blocks in, packed pairs (a, b) out; a record that is a pair itself becomes the array [key, value].
 * No record is decoded.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_PRODUCT_H
#define TIDE_KERNEL_PRODUCT_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
