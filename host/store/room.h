/*
 * Room in the cache's memory (store/cache.h): the bytes that count, and the choice of a victim. Private to
 * store/cache.c.
 *
 * Entries share blocks: versions of a state, a dataset and one made from it without change. A block counts once. Its
 * field `kept` is the number of entries that hold it in memory, including those that are waiting for room; it stops
 * counting with the last of them. So a victim is found by a trial: entries are removed in thought, the least recently
 * opened first, until enough blocks would be free; entries that free nothing are left alone.
 *
 * Thread: any, with the cache's lock held.
 */
#ifndef TIDE_STORE_ROOM_H
#define TIDE_STORE_ROOM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "store/cache.h"

enum state { EMPTY, MEMORY, WRITING, DISK, GONE };

struct tide_cached {
    struct tide_list link; /* in cache->memory or on_disk */
    struct tide_cache *cache;
    struct tide_cached_options options;
    uint32_t refs;
    uint32_t state;     /* written with the lock; atomic because it is read without too */
    uint64_t footprint; /* bytes of its lists in memory, including blocks shared with others */
    uint64_t bytes;
    int64_t records;
    struct tide_copy *
        *copies;    /* once it is written: of the blocks of all lists, until the end, also when one is damaged */
    uint32_t *ends; /* with them: where each list ends */
    struct tide_blocks lists[];
};

struct tide_cache {
    uint32_t refs;
    uint64_t limit;
    struct tide_copies *copies;
    pthread_mutex_t lock;   /* guards the rest; `wake` may take another lock under it */
    pthread_cond_t written; /* a thread has finished writing an entry */
    uint32_t writing;       /* victims being written */
    void (*wake)(void *arg);
    void *arg;
    struct tide_list memory;  /* least recently opened first; before them those that are waiting to be spilled */
    struct tide_list on_disk; /* in no order */
    uint64_t used;            /* bytes of the blocks of entries in memory, or being written from there */
    uint64_t peak, spilled, dropped;
    uint64_t refused, refused_bytes; /* the dataset that found no room last, and the size of its entry */
    bool untidy;                     /* atomic because it is read without the lock too */
    bool failing;                    /* the last attempt to write failed */
    struct tide_log_kind write_failures, read_failures;
    bool closed;
};

/* Whether something is attached to a block of it: it stays in memory. */
bool tide_room_is_fixed(const struct tide_cached *cached);

/* For the blocks of all lists. */
#define TIDE_EACH_BLOCK(cached, block)                                                                               \
    for (uint32_t list_ = 0; list_ < (cached)->options.lists; list_++)                                               \
        for (struct tide_block **at_ = (cached)->lists[list_].items, **end_ = at_ + (cached)->lists[list_].count,    \
                               *block;                                                                               \
             at_ < end_ && (block = *at_, true); at_++)

/* The entry holds its blocks: those that count do so until it leaves. */
void tide_room_hold(struct tide_cached *cached);
/* The entry leaves memory. Blocks that no entry holds any more do not count. */
void tide_room_leave(struct tide_cache *cache, struct tide_cached *cached);
/* The bytes that would count in addition. */
uint64_t tide_room_addition(const struct tide_cached *cached);
/* All its blocks count from now on. It holds them. */
void tide_room_count(struct tide_cache *cache, struct tide_cached *cached);
/* The entry to evict first so that `wanted` bytes more find room; NULL when evicting can't make enough. Never one of
 * the dataset and kind of `cached` (NULL: any). */
struct tide_cached *tide_room_victim(const struct tide_cache *cache, const struct tide_cached *cached,
                                     uint64_t wanted);

#endif
