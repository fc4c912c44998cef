/*
 * Persistence of nodes: their cached partitions, and when these are dropped. Received data handed to the cache. Pins,
 * which delay both this and the cutting of lineage (checkpoint.c).
 *
 * Called by the bindings and the stream graph (levels), by stages (pins) and the scheduler (computed partitions).
 * Driver thread only.
 */
#include <assert.h>
#include <stdio.h>

#include "base/alloc.h"
#include "rdd/node.h"

void tide_level_name(uint8_t level, char name[TIDE_LEVEL_NAME]) {
    bool memory = (level & TIDE_LEVEL_MEMORY) != 0, disk = (level & TIDE_LEVEL_DISK) != 0;
    const char *places = level == 0                      ? "NONE"
                         : (level & TIDE_LEVEL_OFF_HEAP) ? "OFF_HEAP"
                         : memory && disk                ? "MEMORY_AND_DISK"
                         : memory                        ? "MEMORY_ONLY"
                                                         : "DISK_ONLY";
    bool packed = memory && !(level & (TIDE_LEVEL_OBJECTS | TIDE_LEVEL_OFF_HEAP));

    snprintf(name, TIDE_LEVEL_NAME, "%s%s%s", places, packed ? "_SER" : "", level & TIDE_LEVEL_TWICE ? "_2" : "");
}

/* Turns a computed node of any kind into BLOCKS: parents, operators and map outputs are released. */
static void become_blocks(struct tide_rdd *rdd) {
    tide_rdd_release_content(rdd);
    rdd->kind = TIDE_RDD_BLOCKS;
    rdd->as.blocks.cached = rdd->cached;
    rdd->cached = NULL;
}

static void drop_cached(struct tide_rdd *rdd) {
    tide_rdd_free_cached(rdd->cached, rdd->partitions);
    rdd->cached = NULL;
    rdd->known_records = -1;
}

/* Forbids dropping any partition; false: some have been dropped already. */
static bool forbid_drop(struct tide_rdd *rdd) {
    bool all = true;

    for (uint32_t i = 0; i < rdd->partitions; i++) all = tide_cached_forbid_drop(rdd->cached[i]) && all;
    return all;
}

static int64_t cached_records(const struct tide_rdd *rdd) {
    int64_t sum = 0;

    for (uint32_t i = 0; i < rdd->partitions; i++) {
        int64_t records = tide_cached_records(rdd->cached[i]);

        if (records < 0) return -1;
        sum += records;
    }
    return sum;
}

/* Applies the storage level, once no stage waits to read from the node. */
static void settle_level(struct tide_rdd *rdd) {
    if (!rdd->cached || rdd->pins > 0) return;
    if (rdd->level == 0) drop_cached(rdd);
    else if (rdd->truncate && forbid_drop(rdd)) become_blocks(rdd);
    else if (rdd->truncate)
        drop_cached(rdd); /* truncate was set late, and a partition has been dropped: all are computed again */
}

void tide_rdd_persist(struct tide_rdd *rdd, uint8_t level, bool truncate) {
    assert(level != 0);
    rdd->level = level;
    rdd->truncate = truncate;
    if (rdd->cached) rdd->known_records = cached_records(rdd);
    settle_level(rdd);
}

void tide_rdd_unpersist(struct tide_rdd *rdd) {
    if (rdd->level == 0) return;
    rdd->level = 0;
    settle_level(rdd);
}

uint8_t tide_rdd_level(const struct tide_rdd *rdd) { return rdd->level; }

bool tide_rdd_available(const struct tide_rdd *rdd, uint64_t *bytes) {
    bool blocks = rdd->kind == TIDE_RDD_BLOCKS;
    struct tide_cached **cached = blocks ? rdd->as.blocks.cached : rdd->cached;

    if (bytes) *bytes = 0;
    if (!blocks && (!cached || rdd->level == 0)) return false;
    for (uint32_t i = 0; bytes && i < rdd->partitions; i++)
        *bytes += cached ? tide_cached_bytes(cached[i]) : tide_blocks_bytes(&rdd->as.blocks.lists[i]);
    return true;
}

bool tide_rdd_failed(const struct tide_rdd *rdd) { return rdd->failed; }

void tide_rdd_places(const struct tide_rdd *rdd, struct tide_rdd_places *places) {
    *places = (struct tide_rdd_places){0};
    for (uint32_t i = 0; rdd->cached && i < rdd->partitions; i++) {
        const struct tide_cached *cached = rdd->cached[i];

        if (!tide_cached_available(cached)) {
            places->gone++;
        } else if (tide_cached_on_disk(cached)) {
            places->disk++;
            places->disk_bytes += tide_cached_bytes(cached);
        } else {
            places->memory++;
            places->memory_bytes += tide_cached_bytes(cached);
        }
    }
}

void tide_rdd_set_cached(struct tide_rdd *rdd, struct tide_cached *const *take, const uint32_t *partitions,
                         uint32_t count) {
    assert(rdd->kind != TIDE_RDD_BLOCKS && (partitions || (!rdd->cached && count == rdd->partitions)));
    if (!partitions) {
        size_t size = (count > 0 ? count : 1) * sizeof(struct tide_cached *);

        rdd->cached = tide_xcalloc(1, size);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = partitions ? partitions[i] : i;

        if (!rdd->cached) { /* unpersisted in the meantime */
            tide_cached_release(take[i]);
            continue;
        }
        tide_cached_release(rdd->cached[at]);
        rdd->cached[at] = take[i];
    }
    if (!rdd->cached) return;
    rdd->failed = false;
    rdd->known_records = cached_records(rdd);
    settle_level(rdd);
}

void tide_rdd_cache_received(struct tide_rdd *rdd, struct tide_cache *cache, uint8_t level) {
    struct tide_blocks *lists = rdd->as.blocks.lists;

    if (rdd->kind != TIDE_RDD_BLOCKS || rdd->as.blocks.cached || rdd->known_records == 0) return;
    if (level == 0) level = rdd->level;
    rdd->as.blocks.cached = tide_xcalloc(rdd->partitions, sizeof *rdd->as.blocks.cached);
    for (uint32_t i = 0; i < rdd->partitions; i++) {
        struct tide_cached_options options = {
            .kind = TIDE_CACHED_RECEIVED,
            .dataset = rdd->id,
            .partition = i,
            .lists = 1,
            .memory = level == 0 || (level & TIDE_LEVEL_MEMORY) != 0,
            .disk = true,
        };

        rdd->as.blocks.cached[i] = tide_cached_new(cache, &options);
        tide_cached_put(rdd->as.blocks.cached[i], &lists[i]);
    }
    rdd->as.blocks.lists = NULL;
    tide_rdd_free_lists(lists, rdd->partitions);
}

void tide_rdd_pin(struct tide_rdd *rdd) { rdd->pins++; }

void tide_rdd_unpin(struct tide_rdd *rdd) {
    assert(rdd->pins > 0);
    rdd->pins--;
    settle_level(rdd);
    tide_rdd_checkpoint_settle(rdd);
}
