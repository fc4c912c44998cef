/*
 * One partition of a keyed state from one batch to the next: what changed is made anew, everything else is copied as it
 * stands, whole blocks by reference. The state of inverse windows and of mapWithState.
 *
 *   state record:  (key, [n, x])   n a number (a time, a count), x any value. Pairs whose value is no array of two are not
 *                                  part of the state and are passed over.
 *
 *   patch = tide_patch_new();
 *   tide_patch_add(patch, records);              … the keys that change
 *   tide_patch_scan(patch, state, limit, out);   copies the others; patch->old[entry] = what the state has of the keys added
 *   tide_patch_put(patch, entry, n, x, size);    … what becomes of them; a key that is not put is gone
 *   tide_patch_finish(patch);
 *
 * Thread: the worker that runs the task. The blocks given must live, unchanged, as long as the patch. Called by worker Lua
 * through FFI, which sees the first part of the struct. false: memory is gone, the task fails.
 */
#ifndef TIDE_KERNEL_STATE_PATCH_H
#define TIDE_KERNEL_STATE_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "store/block.h"

struct tide_patch_old {
    const uint8_t *value; /* x in the state; NULL: the state has not the key */
    double n;
    uint32_t size; /* of x */
    uint32_t reserved;
};

struct tide_patch_due {
    const uint8_t *key;   /* packed; the value follows it */
    const uint8_t *value; /* x */
};

struct tide_patch {
    struct tide_combine *keys;  /* the keys added */
    struct tide_patch_old *old; /* by entry of keys; after the scan */
    struct tide_patch_due *due; /* keys that were not added, with n below the limit: they have not been copied */
    uint32_t *order;            /* entry of each record added, in order */
    uint32_t *open; /* tide_sums_slide: entries that are left to the caller to put, their sums in keys->numbers */
    uint32_t records, dues, opens;
    uint32_t reserved;
    /* C only */
    struct tide_blocks *out;
    struct tide_block *block;
    uint32_t old_slots, due_slots, order_slots, open_slots;
};

struct tide_patch *tide_patch_new(void);          /* NULL: no memory */
void tide_patch_delete(struct tide_patch *patch); /* NULL is fine */
size_t tide_patch_size(void);                     /* of the struct, for Lua to compare */

/* The packed key of an entry. */
const uint8_t *tide_patch_key(const struct tide_patch *patch, uint32_t entry);
/* The keys of packed pairs. */
bool tide_patch_add(struct tide_patch *patch, const struct tide_blocks *records);
/* Once. `out` gets the new state and must live until tide_patch_finish. */
bool tide_patch_scan(struct tide_patch *patch, const struct tide_blocks *state, double limit,
                     struct tide_blocks *out);
/* (key of the entry, [n, x]); value NULL: x as it was. */
bool tide_patch_put(struct tide_patch *patch, uint32_t entry, double n, const uint8_t *value, size_t size);
void tide_patch_finish(struct tide_patch *patch);

/* Appends the pair to the last block of `out`, which is the caller's alone, or to a new one. */
bool tide_pairs_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *value, size_t size);
/* The same for what tide_pick_mapped reads: key NULL: the record is x alone. */
bool tide_mapped_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *x, size_t size);

/* (key, [n, x]) → (key, x); other pairs are passed over. Appends to out. */
bool tide_pick_state(const struct tide_blocks *in, struct tide_blocks *out);
/* (nil, [x]) → x, (key, [x, nil, nil]) → (key, x); other pairs are passed over: what mapWithState hands on besides its state.
 * Appends to out. */
bool tide_pick_mapped(const struct tide_blocks *in, struct tide_blocks *out);

#endif
