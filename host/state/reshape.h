/*
 * Where rows lie: pages are made larger, copied, split, merged and moved here, and nowhere else.
 *
 *   writable   the page of a bucket, with room; copied if a pin reads it (born <= newest pin), else the one there is
 *   split      when a key group has more than 16 rows a bucket: one bucket becomes two
 *   merge      when it has fewer than 12: the last bucket joins the one that it was split from
 *   evacuate   items leave the emptiest chunks of the arena (state/arena.h)
 *
 * Only `writable` is needed for a change and can fail. Without memory, the others wait for a later commit.
 *
 * Rollback allocates nothing. In a batch pages never get smaller, and once their content has (`shrunk`) they are not
 * split either: each page has room for what it held before.
 *
 * Thread: the store's owner.
 */
#ifndef TIDE_STATE_RESHAPE_H
#define TIDE_STATE_RESHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "state/body.h"

/* NULL: no memory. The order of rows stays. */
struct tide_page *tide_reshape_writable(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t group,
                                        uint32_t bucket, uint32_t slots, uint32_t bytes);
/* Puts the page into the place of the bucket's page, which is freed or kept for pins (`old`, or NULL: it is not
 * pinned). */
void tide_reshape_publish(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t bucket,
                          struct tide_page *page);
/* Splits while the group has too many rows for its buckets. */
void tide_reshape_grow(struct tide_state_store *store, uint32_t group);
/* A new page of exact size, in no bucket. NULL: no memory. */
struct tide_page *tide_reshape_fresh(struct tide_state_store *store, uint32_t slots, uint64_t row_bytes,
                                     uint32_t group, uint32_t bucket);
/* The key group, which has no rows, gets so many buckets. false: no memory. */
bool tide_reshape_open(struct tide_state_store *store, uint32_t group, uint32_t buckets);
/* Removes all rows of a key group. false: no memory for what pins read; some rows are left. */
bool tide_reshape_clear(struct tide_state_store *store, uint32_t group);
/* For a commit: splits, merges, moves. */
void tide_reshape_settle(struct tide_state_store *store);

/* The row has this stamp now. */
static inline void tide_reshape_note(struct tide_buckets *buckets, struct tide_page *page, int64_t stamp) {
    if (!tide_page_note(page, stamp)) return;
    *tide_buckets_oldest(buckets, page->bucket) = stamp;
    if (stamp < buckets->oldest) buckets->oldest = stamp;
}

#endif
