/*
 * What tasks have made and later ones will read: kept in memory up to a limit, and beyond it on disk or not at all.
 *
 * The unit is a *cached* thing: the output lists of one task (a partition of a persistent dataset, the map output of a
 * shuffle) or one partition of received data. It is filled once; readers open a list of it when they begin, and get
 * blocks, wherever they were. What a reader has opened is its own: nothing is pinned.
 *
 *     EMPTY ── fill ──► MEMORY ──► WRITING ──► DISK          limit reached, least recently opened first
 *                │         └─────────────────► GONE          the same, when it may be computed again and is not to go to disk
 *                └──────────────────────────► DISK, GONE     no room for it from the start
 *
 *     memory  disk  recomputable     with room      without room, or when the disk fails
 *       x      x       any           memory         disk         (disk fails: gone if recomputable, else memory)
 *       x              x             memory         gone
 *       x                            memory         disk         (disk fails: memory, beyond the limit, and a warning)
 *              x       any           disk           disk         (the same)
 *
 * Nothing that can't be computed again is ever given up. As in Spark, room is made by other datasets (and kinds of them) only, and nobody is sent
 * away for one that will not fit even so: a dataset larger than the memory stays there in part, and does not chase itself out.
 *
 * Thread: any, with one lock that is never held while reading, writing or freeing. fill, open and tidy may wait for the disk: they
 * are for workers. Everything else is for the driver too.
 */
#ifndef TIDE_STORE_CACHE_H
#define TIDE_STORE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/block.h"

struct tide_cache;
struct tide_cached;

struct tide_cache_options {
    uint64_t limit;        /* bytes of kept blocks in memory */
    const char *directory; /* of the spill files (store/spill.h); copied; may be NULL */
};

struct tide_cache_figures {
    uint64_t limit;
    uint64_t memory;  /* bytes of kept blocks in memory now */
    uint64_t peak;    /* the most there were */
    uint64_t disk;    /* bytes on disk now */
    uint64_t spilled; /* bytes written to disk so far */
    uint64_t dropped; /* times that something was given up, to be computed again */
};

/* NULL and err when the directory is of no use. Reference count 1. */
struct tide_cache *tide_cache_new(const struct tide_cache_options *options, struct tide_error *err);
struct tide_cache *tide_cache_retain(struct tide_cache *cache);
void tide_cache_release(struct tide_cache *cache);
/* `wake` is called when there is something to tidy, on any thread; it must only make somebody call tide_cache_tidy. NULL: not any
 * more, once this returns. */
void tide_cache_on_untidy(struct tide_cache *cache, void (*wake)(void *arg), void *arg);
/* Nobody reads any more: what is on disk is gone, and what is still filled is dropped. */
void tide_cache_close(struct tide_cache *cache);
/* Does one piece of what had to be put off: bringing memory below the limit, giving space on disk back. true: there may be more.
 * Quick when there is nothing. */
bool tide_cache_tidy(struct tide_cache *cache);
void tide_cache_figures(struct tide_cache *cache, struct tide_cache_figures *figures);

enum tide_cached_kind { TIDE_CACHED_PARTITION, TIDE_CACHED_MAP_OUTPUT, TIDE_CACHED_RECEIVED };

struct tide_cached_options {
    enum tide_cached_kind kind;
    uint64_t dataset;
    uint32_t partition;
    uint32_t lists;
    bool memory, disk;
    bool recomputable;
};

/* Empty; reference count 1. */
struct tide_cached *tide_cached_new(struct tide_cache *cache, const struct tide_cached_options *options);
struct tide_cached *tide_cached_retain(struct tide_cached *cached);
void tide_cached_release(struct tide_cached *cached); /* NULL is fine */

/* Once: takes the content of the lists. Budgets no longer count these blocks. May wait for the disk. */
void tide_cached_fill(struct tide_cached *cached, struct tide_blocks *take_lists);
/* The same without waiting: it is in memory, and goes to disk when somebody tidies. */
void tide_cached_put(struct tide_cached *cached, struct tide_blocks *take_lists);
/* Whether it is worth computing: false when another of its dataset found no room just before, and this one would not either. It
 * is GONE then. */
bool tide_cached_wanted(struct tide_cached *cached);

/* Appends the blocks of a list to `out`. May wait for the disk. TIDE_ELOST: it is gone and has to be computed again; TIDE_EIO,
 * TIDE_ECORRUPT: it can't be read, and not be computed again; TIDE_ENOMEM. */
int tide_cached_open(struct tide_cached *cached, uint32_t list, struct tide_blocks *out, struct tide_error *err);
/* Not GONE, for now. */
bool tide_cached_available(const struct tide_cached *cached);
/* Whether there is room for it at the moment, should it be computed again. A disk that has failed gets another chance. */
bool tide_cached_fits(struct tide_cached *cached);
/* From now on it can't be computed again. false: it is gone already. */
bool tide_cached_forbid_drop(struct tide_cached *cached);

int64_t tide_cached_records(const struct tide_cached *cached); /* -1: it was never computed */
uint64_t tide_cached_bytes(const struct tide_cached *cached);  /* of data in all its lists */
bool tide_cached_on_disk(const struct tide_cached *cached);

#endif
