/*
 * What a state store is made of, for the files of state/ only.
 *
 *   store ──► buckets of key group 0 ──► page, page, …      first … first + groups - 1; made with the first key
 *         ──► buckets of key group 1 ──► page, …
 *         ──► arena    memory of pages and blobs
 *         ──► undo     what the batch has changed
 *         ──► pins     versions that are read, oldest first
 *
 * Thread: the owner's, but for `lock` and what it guards, `refs`, and pins' `refs`.
 */
#ifndef TIDE_STATE_BODY_H
#define TIDE_STATE_BODY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "state/arena.h"
#include "state/buckets.h"
#include "state/ffi.h"
#include "state/old.h"
#include "state/undo.h"
#include "wire/hash.h"

struct tide_state_pin {
    struct tide_state_store *store; /* a reference */
    uint64_t epoch;
    uint64_t rows;
    double version;
    uint64_t charged;                /* bytes that its block counts (state/handover.h) */
    struct tide_old *dead;           /* what died while this was the newest pin */
    uint32_t refs;                   /* atomic; 0: let go of */
    uint32_t count[TIDE_KEY_GROUPS]; /* buckets of each key group; 0: none */
};

struct tide_state_store {
    uint32_t refs; /* atomic: the owner's, and one of each pin */
    uint32_t first, groups;
    struct tide_buckets *group[TIDE_KEY_GROUPS]; /* by number; NULL: never had a key */
    struct tide_arena arena;
    struct tide_olds olds;
    struct tide_undo undo;
    struct tide_state_pin **pins;
    uint32_t npins, pins_capacity;
    struct tide_state_pin *newest; /* that is not known to be let go of */
    uint64_t pinned;               /* its epoch; 0: there is none */
    uint64_t epoch;                /* of what is written now */
    double version;                /* of the last commit */
    double batch;                  /* of the open batch */
    uint64_t rows;
    uint64_t changed; /* the epoch of the last commit that changed something */
    uint64_t charged; /* atomic; of all pins with blocks */
    uint32_t claimed; /* atomic; 1: somebody has it (state/handover.h) */
    bool open;        /* a batch is */
    bool shrunk;      /* the batch has made a page's content smaller: rollback needs the page's room */
    uint8_t *scratch; /* for splits */
    uint32_t scratch_capacity;
    pthread_mutex_t lock; /* entries of buckets, while there are pins; no other lock is taken under it */
};

static inline bool tide_body_is_pinned(const struct tide_state_store *store, uint64_t born) {
    return born <= store->pinned;
}

/* Around changes to entries of buckets. */
static inline void tide_body_lock(struct tide_state_store *store) {
    if (store->npins > 0) pthread_mutex_lock(&store->lock);
}

static inline void tide_body_unlock(struct tide_state_store *store) {
    if (store->npins > 0) pthread_mutex_unlock(&store->lock);
}

/* NULL: the store does not own the key group, or never had a key of it. */
static inline struct tide_buckets *tide_body_buckets(const struct tide_state_store *store, uint64_t hash) {
    return store->group[tide_key_group(hash)];
}

#endif
