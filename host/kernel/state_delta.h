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
 * through FFI, which sees the first part of the struct. false: memory is gone, the task fails.
 */
#ifndef TIDE_KERNEL_STATE_DELTA_H
#define TIDE_KERNEL_STATE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "store/block.h"

struct tide_state_delta_old {
    const uint8_t *value; /* x in the state; NULL: the state has not the key */
    double n;
    uint32_t size; /* of x */
    uint32_t reserved;
};

struct tide_state_delta_due {
    const uint8_t *key;   /* packed; the value follows it */
    const uint8_t *value; /* x */
};

struct tide_state_delta {
    struct tide_combine *keys;        /* the keys added */
    struct tide_state_delta_old *old; /* by entry of keys; after the scan */
    struct tide_state_delta_due
        *due;        /* keys that were not added, with n below the limit: they have not been copied */
    uint32_t *order; /* entry of each record added, in order */
    uint32_t
        *open; /* tide_window_sum_slide: entries that are left to the caller to put, their sums in keys->numbers */
    uint32_t records, dues, opens;
    uint32_t reserved;
    /* C only */
    struct tide_blocks *out;
    struct tide_block *block;
    uint32_t old_slots, due_slots, order_slots, open_slots;
};

struct tide_state_delta *tide_state_delta_new(void);          /* NULL: no memory */
void tide_state_delta_delete(struct tide_state_delta *delta); /* NULL is fine */
size_t tide_state_delta_size(void);                           /* of the struct, for Lua to compare */

/* The packed key of an entry. */
const uint8_t *tide_state_delta_key(const struct tide_state_delta *delta, uint32_t entry);
/* The keys of packed pairs. */
bool tide_state_delta_add(struct tide_state_delta *delta, const struct tide_blocks *records);
/* Once. `out` gets the new state and must live until tide_state_delta_finish. */
bool tide_state_delta_scan(struct tide_state_delta *delta, const struct tide_blocks *state, double limit,
                           struct tide_blocks *out);
/* (key of the entry, [n, x]); value NULL: x as it was. */
bool tide_state_delta_put(struct tide_state_delta *delta, uint32_t entry, double n, const uint8_t *value,
                          size_t size);
void tide_state_delta_finish(struct tide_state_delta *delta);

#endif
