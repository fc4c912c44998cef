/*
 * The writing side of a shuffle: sends packed records to the partition they belong to, each partition's records
 * collected in its own blocks of the task's outputs.
 *
 * Not thread-safe: one task, one worker. Functions return false when memory is gone.
 */
#ifndef TIDE_KERNEL_ROUTER_H
#define TIDE_KERNEL_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/ffi.h"
#include "store/block.h"

#endif
