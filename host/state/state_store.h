/*
 * The state store: one partition of a keyed state, changed in place, batch by batch. A store owns a range of key
 * groups (wire/hash.h). A key is one packed value; its value is a number or any packed value of any size, and it has
 * a stamp: the time of its last update, or a count.
 *
 *   hash of a key  ┌─────────┬─────────┬─────────────┬──────────┐
 *                  │ 63 … 56 │         │ 38 … 32     │ 31 … 0   │
 *                  └─────────┴─────────┴─────────────┴──────────┘
 *                    tag                 key group     bucket
 *
 *   key group ─► directory (buckets.h) ─► page of a bucket (page.h) ─► row (row.h) ─► blob, if the value is large
 *
 * A batch:
 *
 *   tide_state_store_begin(store, time);
 *   tide_state_store_find(store, changes, count, found);
 *   … compute …
 *   if (tide_state_store_apply(store, changes, count)) tide_state_store_commit(store);
 *   else tide_state_store_rollback(store);
 *
 * After a rollback the store holds what it held before `begin`; it allocates nothing. When a change fails, for want
 * of memory, the changes before it are made: roll back. A commit can't fail.
 *
 * A pin is a version that stays readable while later batches are committed: the pages that it reads are copied, once,
 * when they change. It is taken between batches, and what it kept is freed in later begins and commits.
 *
 * Thread: the owner, which may be another thread from batch to batch. Pins may be read, retained and released on any
 * thread, at any time, beside the owner; a pin holds a reference to the store. Blocks are the caller's. false: no
 * memory.
 */
#ifndef TIDE_STATE_STATE_STORE_H
#define TIDE_STATE_STATE_STORE_H

#include "state/ffi.h"
#include "store/block.h"

#endif
