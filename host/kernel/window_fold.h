/*
 * What windows do with packed pairs whose values are numbers: the values of each key are brought together, a small range of
 * hashes after the other. The records of a range are read from every block into a table that fits in the processor's first
 * cache, which a table of all keys does not; what becomes of the keys is written in the order of their hashes (sort_by_hash.h), so that
 * the next fold can read it front to back.
 *
 *   tide_window_fold_open(&fold, state, leaving, entering, …);
 *   while (tide_window_fold_read(fold) == TIDE_WINDOW_FOLD_RANGE) {
 *       … what fold has of its keys 0 … count - 1 …
 *       tide_window_fold_write(fold, …);
 *   }
 *   tide_window_fold_finish(fold, out);                  or tide_window_fold_delete, when it has gone wrong
 *
 * Three sides, each of which may be absent: `state` holds (key, [n, x]) as in state_delta.h, n and x numbers; `leaving` and `entering`
 * hold (key, number). Values of one side and key are added where `adds`; else the first one stands with the key, and those that
 * come later are its `meetings`, for the caller to merge in their order.
 *
 * Thread: the worker that runs the task. The blocks given must live, unchanged, as long as the fold. Called by worker Lua
 * through FFI, which sees the structs down to the mark.
 */
#ifndef TIDE_KERNEL_WINDOW_FOLD_H
#define TIDE_KERNEL_WINDOW_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/block.h"

enum tide_window_fold_status {
    TIDE_WINDOW_FOLD_NO_MEMORY = -1,
    TIDE_WINDOW_FOLD_OTHER = 0, /* some value is no number: the caller has to do it another way */
    TIDE_WINDOW_FOLD_DONE = 1,
    TIDE_WINDOW_FOLD_RANGE = 2,       /* keys are at hand */
    TIDE_WINDOW_FOLD_OUT_OF_ORDER = 3 /* `adds` only: open it anew with `order` */
};

enum tide_window_fold_side { TIDE_WINDOW_FOLD_STATE, TIDE_WINDOW_FOLD_LEAVING, TIDE_WINDOW_FOLD_ENTERING };

/* A key of the range. */
struct tide_window_fold_key {
    uint64_t hash;
    const uint8_t *key; /* packed */
    uint32_t size;
};

/* Arrays of numbers, not of structs: that is what LuaJIT reads without making an object for each. */
struct tide_window_fold {
    /* by key; `places` are 2 * key for what leaves, 2 * key + 1 for what enters */
    double *values;   /* by place */
    uint32_t *counts; /* by place: values there have been */
    double *x, *n;    /* in the state */
    uint32_t *there;  /* 1: in the state; when it is written: 1: it will be */
    /* meetings: values that are not the first at their place, in the order in which they come */
    uint32_t *met;     /* the place */
    double *newcomers; /* the value */
    uint32_t count;    /* keys */
    uint32_t meetings;
    uint32_t at; /* Lua only: the key that is being worked on, for messages */
    uint32_t reserved;
    /* C only */
    struct tide_window_fold_key *keys;
    uint32_t key_slots, meeting_slots;
    struct tide_window_fold_reader *readers; /* one for each block */
    uint32_t reader_count;
    uint32_t *slots; /* index + 1 of a key, or 0: in the order of hashes but for keys that found theirs taken */
    unsigned bits;   /* of the number of slots */
    uint32_t *sorted;
    uint32_t sorted_slots;
    unsigned ranges; /* two to the power of it */
    uint64_t range;  /* the next one */
    uint64_t first;  /* hash of the one at hand */
    bool adds;
    struct tide_block *block;
    struct tide_blocks made;
    struct tide_blocks ordered[3]; /* sides that were not in order */
};

/* DONE, OTHER or NO_MEMORY; *fold is there in the first case only. Sides may be NULL. Without `adds`, all that could stop the
 * fold later is looked for first (so that no function of a script is called twice), and sides are ordered if need be; with it only
 * where `order` says so. */
int tide_window_fold_open(struct tide_window_fold **fold, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool adds,
                          bool order);
/* RANGE, DONE at the end, or what has gone wrong. */
int tide_window_fold_read(struct tide_window_fold *fold);
/* The packed key. */
const uint8_t *tide_window_fold_key(const struct tide_window_fold *fold, uint32_t index);
/* The keys of the range: `states`: (key, [n, x]) of those that are `there`; else of all (key, what enters). false: no memory. */
bool tide_window_fold_write(struct tide_window_fold *fold, bool states);
/* Appends what was written to `out` and deletes the fold. */
void tide_window_fold_finish(struct tide_window_fold *fold, struct tide_blocks *out);
void tide_window_fold_delete(struct tide_window_fold *fold);
size_t tide_window_fold_size(void); /* of what Lua sees, for Lua to compare */

#endif
