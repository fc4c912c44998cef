/*
 * One partition of a keyed state from one batch to the next: what changed is made anew, everything else is copied as it
 * stands, whole blocks by reference. The state of inverse windows and of mapWithState.
 *
 *   state record:  (key, [n, x])   n a number (a time, a count), x any value. Pairs whose value is no array of two are not
 *                                  part of the state and are passed over.
 *
 *   delta = tide_state_delta_new();
 *   tide_state_delta_add(delta, records);              … the keys that change
 *   tide_state_delta_scan(delta, state, limit, out);   copies the others; delta->old[entry] = what the state has of the keys added
 *   tide_state_delta_put(delta, entry, n, x, size);    … what becomes of them; a key that is not put is gone
 *   tide_state_delta_finish(delta);
 *
 * Thread: the worker that runs the task. The blocks given must live, unchanged, as long as the delta. Called by worker Lua
 * through FFI. false: memory is gone, the task fails.
 */
#ifndef TIDE_KERNEL_STATE_DELTA_H
#define TIDE_KERNEL_STATE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/ffi.h"
#include "store/block.h"

/* For window_sum.c. The key is added and left open, with this sum. */
bool tide_state_delta_leave_open(struct tide_state_delta *delta, const uint8_t *key, size_t size, double sum);
/* For window_sum.c, in place of the scan: where keys are put. */
void tide_state_delta_begin(struct tide_state_delta *delta, struct tide_blocks *out);

#endif
