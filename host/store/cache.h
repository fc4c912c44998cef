/*
 * The cache: results of tasks that later tasks read, in memory up to a limit, beyond it on disk or dropped.
 *
 * An *entry* (struct tide_cached) has the output lists of one task (a partition of a persistent dataset, the map
 * output of a shuffle) or one partition of received data. It is filled once. Readers open a list when they begin, and
 * get its blocks from memory or disk; they hold references to the blocks, so entries need not be pinned.
 *
 *     EMPTY ── fill ──► MEMORY ──► WRITING ──► DISK          limit reached: evicted, least recently opened first
 *                │         └─────────────────► GONE          the same, for a recomputable entry without `disk`
 *                └──────────────────────────► DISK, GONE     no room for it from the start
 *
 *     memory  disk  recomputable     with room      without room, or when the disk fails
 *       x      x       any           memory         disk         (disk fails: gone if recomputable, else memory)
 *       x              x             memory         gone
 *       x                            memory         disk         (disk fails: memory, beyond the limit; a warning)
 *              x       any           disk           disk         (the same)
 *
 * Entries that cannot be recomputed are spilled but never dropped. As in Spark, an entry evicts only those of other
 * datasets (and kinds). Nothing is evicted for an entry that would not fit anyway, and a dataset never evicts its own
 * partitions.
 *
 * Thread: any, with one lock that is never held while reading, writing or freeing. fill, open and tidy may wait for
 * the disk: they are for workers. All other functions are for the driver too.
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
    uint64_t limit;        /* bytes of resident blocks */
    const char *directory; /* of the spill files (store/spill.h); copied; may be NULL */
};

struct tide_cache_figures {
    uint64_t limit;
    uint64_t memory;  /* bytes of resident blocks */
    uint64_t peak;    /* the highest value of `memory` */
    uint64_t disk;    /* bytes on disk */
    uint64_t spilled; /* bytes written to disk so far */
    uint64_t dropped; /* entries dropped so far, to be recomputed when needed */
};

/* NULL and err when no file can be made in the directory. Reference count 1. */
struct tide_cache *tide_cache_new(const struct tide_cache_options *options, struct tide_error *err);
struct tide_cache *tide_cache_retain(struct tide_cache *cache);
void tide_cache_release(struct tide_cache *cache);
/* `wake` is called when there is something to tidy, on any thread; it must only make some thread call
 * tide_cache_tidy. NULL: it is not called any more, once this returns. */
void tide_cache_on_untidy(struct tide_cache *cache, void (*wake)(void *arg), void *arg);
/* Nothing is read any more: entries on disk become GONE, and entries that are filled later are dropped. */
void tide_cache_close(struct tide_cache *cache);
/* Does one piece of deferred work: evicting until memory is below the limit, freeing space on disk. true: there may
 * be more. Quick when there is none. */
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
/* The same without waiting: the entry is in memory, and is spilled by tide_cache_tidy if necessary. */
void tide_cached_put(struct tide_cached *cached, struct tide_blocks *take_lists);
/* Whether computing it pays: false when another entry of its dataset found no room just before, and this one would
 * not either. It is GONE then. */
bool tide_cached_wanted(struct tide_cached *cached);

/* Appends the blocks of a list to `out`. May wait for the disk. TIDE_ELOST: it is GONE and has to be recomputed;
 * TIDE_EIO, TIDE_ECORRUPT: it can't be read and can't be recomputed; TIDE_ENOMEM. */
int tide_cached_open(struct tide_cached *cached, uint32_t list, struct tide_blocks *out, struct tide_error *err);
/* Whether it is not GONE, now. */
bool tide_cached_available(const struct tide_cached *cached);
/* Whether there is room for it now, if it were recomputed. A disk that has failed is tried again. */
bool tide_cached_fits(struct tide_cached *cached);
/* From now on it can't be recomputed, so it is never dropped. false: it is GONE already. */
bool tide_cached_forbid_drop(struct tide_cached *cached);

int64_t tide_cached_records(const struct tide_cached *cached); /* -1: it was never computed */
uint64_t tide_cached_bytes(const struct tide_cached *cached);  /* of data in all its lists */
bool tide_cached_on_disk(const struct tide_cached *cached);

#endif
