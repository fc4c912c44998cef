/*
 * Makes the next version of one partition of a keyed state: keys that change are written anew, all other records are
 * copied, large blocks without changes by reference. Used for inverse windows; mapWithState
 * numbers its keys with it.
 *
 *   state record   (key, [n, x])   n a number (a time, a count), x any value. Pairs whose value is not an array of
 *                                  two are skipped: they belong to no state.
 *
 *   delta = tide_state_delta_new();
 *   tide_state_delta_add(delta, records);              the keys that may change
 *   tide_state_delta_scan(delta, state, limit, out);   copies all other records; delta->old[entry]: the old one
 *   tide_state_delta_put(delta, entry, n, x, size);    a key's new record; keys without one are removed
 *   tide_state_delta_finish(delta);
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. The blocks must live, unchanged, as long
 * as the delta. false: no memory; the task fails.
 */
#ifndef TIDE_KERNEL_STATE_DELTA_H
#define TIDE_KERNEL_STATE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "kernel/ffi.h"
#include "store/block.h"

/* For window_sum.c: adds the key and leaves it open, with this sum. */
bool tide_state_delta_leave_open(struct tide_state_delta *delta, const uint8_t *key, size_t size, double sum);
/* For window_sum.c, instead of the scan: sets the list that keys are put to. */
void tide_state_delta_begin(struct tide_state_delta *delta, struct tide_blocks *out);

#endif
