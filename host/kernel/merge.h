/*
 * Reads packed (key, value) blocks into a combine table: the reading side of a reducing shuffle. New keys, and
 * numbers that are added, need no Lua; each step returns where Lua must merge two values or store one that is not a
 * number.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_MERGE_H
#define TIDE_KERNEL_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/ffi.h"
#include "store/block.h"

#endif
