/*
 * Work on a block of keys, ahead of which the processor fetches what it needs: a store is larger than its caches, and
 * a key's directory entry, page and row are three places in memory. Header only: the step is compiled into the loop.
 *
 *   key i + 24   hash, fetch the directory entry
 *   key i + 14   fetch the page's header and tags
 *   key i + 7    match the tag, fetch the row
 *   key i        step
 *
 * Thread: the store's owner.
 */
#ifndef TIDE_STATE_PIPELINE_H
#define TIDE_STATE_PIPELINE_H

#include "state/body.h"

/* GCC takes a function that does nothing but fetch for one without effect, and drops calls of it. */
#define TIDE_PIPELINE_INLINE static inline __attribute__((always_inline))

enum { TIDE_PIPELINE_ENTRY = 24, TIDE_PIPELINE_PAGE = 14, TIDE_PIPELINE_ROW = 7 };

static inline struct tide_page **tide_pipeline_place(const struct tide_state_store *store, uint64_t hash) {
    struct tide_buckets *buckets = tide_body_buckets(store, hash);

    return buckets ? tide_buckets_page(buckets, tide_buckets_of(buckets->count, hash)) : NULL;
}

TIDE_PIPELINE_INLINE void tide_pipeline_fetch_page(const struct tide_state_store *store, uint64_t hash) {
    struct tide_page **place = tide_pipeline_place(store, hash);

    if (!place || !*place) return;
    __builtin_prefetch(*place);
    __builtin_prefetch((const uint8_t *)*place + 64);
}

TIDE_PIPELINE_INLINE void tide_pipeline_fetch_row(const struct tide_state_store *store, uint64_t hash) {
    struct tide_page **place = tide_pipeline_place(store, hash);
    const struct tide_page *page = place ? *place : NULL;

    if (!page || page->rows == 0) return;

    uint32_t index = tide_page_guess(page, tide_page_tag(hash));

    if (index < page->rows) __builtin_prefetch(tide_page_row(page, index));
}

/* Calls `step` for each, until it returns false. Returns whether it never did. Sets the hashes. */
TIDE_PIPELINE_INLINE bool
tide_pipeline_run(const struct tide_state_store *store, struct tide_state_change *changes, uint32_t count,
                  bool (*step)(void *arg, const struct tide_state_change *change, uint32_t index), void *arg) {
    for (uint64_t i = 0; i < (uint64_t)count + TIDE_PIPELINE_ENTRY; i++) {
        if (i < count) {
            changes[i].hash = tide_hash_packed(changes[i].key, changes[i].key_size);
            __builtin_prefetch(tide_pipeline_place(store, changes[i].hash));
        }
        uint64_t page = i - (TIDE_PIPELINE_ENTRY - TIDE_PIPELINE_PAGE);
        uint64_t row = i - (TIDE_PIPELINE_ENTRY - TIDE_PIPELINE_ROW), done = i - TIDE_PIPELINE_ENTRY;

        if (page < count) tide_pipeline_fetch_page(store, changes[page].hash);
        if (row < count) tide_pipeline_fetch_row(store, changes[row].hash);
        if (done < count && !step(arg, &changes[done], (uint32_t)done)) return false;
    }
    return true;
}

#endif
