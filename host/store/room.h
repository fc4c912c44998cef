/*
 * Room in the cache's memory (store/cache.h): what counts, and who has to go. Private to store/cache.c.
 *
 * Things share blocks: versions of a state, a dataset and what was made of it without change. A block counts once. `kept` says
 * how many things hold it in memory, those among them that are still looking for room, and it stops counting with the last
 * of them. So who has to go is found by taking things away in thought, the least recently opened first, until enough blocks would be
 * free; what frees nothing stays.
 *
 * Thread: any; everything here with the cache's lock held.
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
    uint32_t state;     /* written with the lock; atomic for those who ask without */
    uint64_t footprint; /* of its lists in memory, what it shares with others included */
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
    pthread_mutex_t lock;   /* guards the rest; `wake` may take a lock inside */
    pthread_cond_t written; /* somebody is done with writing a victim */
    uint32_t writing;       /* victims being written */
    void (*wake)(void *arg);
    void *arg;
    struct tide_list memory;  /* least recently opened first; before them those that have to go to disk */
    struct tide_list on_disk; /* in no order */
    uint64_t used;            /* bytes of the blocks of those in memory, or being written after they were */
    uint64_t peak, spilled, dropped;
    uint64_t refused, refused_bytes; /* the dataset that found no room last, and for how much */
    bool untidy;                     /* atomic for those who ask without the lock */
    bool failing;                    /* the last attempt to write failed */
    struct tide_log_kind write_failures, read_failures;
    bool closed;
};

/* For the blocks of all lists. */
#define TIDE_EACH_BLOCK(cached, block)                                                                               \
    for (uint32_t list_ = 0; list_ < (cached)->options.lists; list_++)                                               \
        for (struct tide_block **at_ = (cached)->lists[list_].items, **end_ = at_ + (cached)->lists[list_].count,    \
                               *block;                                                                               \
             at_ < end_ && (block = *at_, true); at_++)

/* It holds its blocks: they stay counted until it leaves, if they are. */
void tide_room_hold(struct tide_cached *cached);
/* The end of that. Blocks that nobody holds any more do not count. */
void tide_room_leave(struct tide_cache *cache, struct tide_cached *cached);
/* What would be counted in addition. */
uint64_t tide_room_addition(const struct tide_cached *cached);
/* All its blocks count from here on. It holds them. */
void tide_room_count(struct tide_cache *cache, struct tide_cached *cached);
/* The one to go first so that `wanted` bytes more find room; NULL when not enough could be made. None of the dataset and kind of `cached`
 * (NULL: any) has to go. */
struct tide_cached *tide_room_victim(const struct tide_cache *cache, const struct tide_cached *cached,
                                     uint64_t wanted);

#endif
