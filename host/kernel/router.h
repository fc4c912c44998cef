/*
 * Distributes packed records to the output partitions of a task: the writing side of a shuffle. Each partition's
 * records are collected in its own blocks.
 *
 *   by hash of the key   tide_router_hash, _pairs, _entry, _entries
 *   by range of the key  tide_router_range, _pairs
 *   in turn              tide_router_next, _spread
 *   chosen in Lua        tide_router_to, _entry_to
 *
 * Not thread-safe: one task, one worker. Called by worker Lua through FFI. false: no memory.
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
