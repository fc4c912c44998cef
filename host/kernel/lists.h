/*
 * groupByKeyAndWindow's reading side: packed (key, array of values) blocks → one packed (key, array) record per key with
 * the values of all its arrays, in order of arrival. No value is decoded.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_LISTS_H
#define TIDE_KERNEL_LISTS_H

#include <stdbool.h>

#include "store/block.h"

/* Appends to `out`. Every block is packed, of arity 2, and every value is an array. false: memory is gone (out then holds a
 * part; the task fails). */
bool tide_group_concat(const struct tide_blocks *in, struct tide_blocks *out);

#endif
