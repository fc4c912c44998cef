/*
 * The reading side of a reducing shuffle: folds packed (key, value) blocks into a combine table. Keys that are new
 * are stored without entering Lua; Lua is asked only where two values of one key meet.
 */
#ifndef TIDE_KERNEL_MERGE_H
#define TIDE_KERNEL_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/ffi.h"
#include "store/block.h"

#endif
