/*
 * Writes and projects the rows of a keyed state's dataset. The dataset of mapWithState holds its state and its
 * results side by side; the length of the value distinguishes them:
 *
 *   row                    is                                     projected to
 *   (key, [n, x])          a state (state_delta.h)                (key, x)    tide_state_rows_project
 *   (nil, [x])             a result that is a single value        x           tide_state_rows_project_mapped
 *   (key, [x, nil, nil])   a result that is a pair                (key, x)    tide_state_rows_project_mapped
 *
 * A projection skips all other rows.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. All append to `out`. false: no memory.
 */
#ifndef TIDE_KERNEL_STATE_ROWS_H
#define TIDE_KERNEL_STATE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/ffi.h"
#include "store/block.h"

/* The first byte of [n, x], a state. */
enum { TIDE_STATE_ROWS_HEAD = 0x92 };

#endif
