/*
 * Room in the cache's memory (see room.h). Called by store/cache.c, with its lock.
 */
#include "store/room.h"

void tide_room_hold(struct tide_cached *cached) { TIDE_EACH_BLOCK(cached, block) block->kept++; }

void tide_room_leave(struct tide_cache *cache, struct tide_cached *cached) {
    TIDE_EACH_BLOCK(cached, block) {
        if (--block->kept > 0 || !block->counted) continue;
        block->counted = false;
        cache->used -= tide_block_footprint(block);
    }
}

uint64_t tide_room_addition(const struct tide_cached *cached) {
    uint64_t bytes = 0;

    TIDE_EACH_BLOCK(cached, block) {
        if (!block->counted) bytes += tide_block_footprint(block);
    }
    return bytes;
}

void tide_room_count(struct tide_cache *cache, struct tide_cached *cached) {
    TIDE_EACH_BLOCK(cached, block) {
        if (block->counted) continue;
        block->counted = true;
        cache->used += tide_block_footprint(block);
    }
    if (cache->used > cache->peak) cache->peak = cache->used;
}

/* Trial removal: returns the bytes of the blocks that no entry would hold any more. */
static uint64_t meet(const struct tide_cached *cached) {
    uint64_t freed = 0;

    TIDE_EACH_BLOCK(cached, block) {
        if (++block->met == block->kept && block->counted) freed += tide_block_footprint(block);
    }
    return freed;
}

static bool frees_something(const struct tide_cached *cached) {
    TIDE_EACH_BLOCK(cached, block) {
        if (block->met == block->kept && block->counted) return true;
    }
    return false;
}

static void forget_met(const struct tide_cached *cached) { TIDE_EACH_BLOCK(cached, block) block->met = 0; }

bool tide_room_is_fixed(const struct tide_cached *cached) {
    TIDE_EACH_BLOCK(cached, block) {
        if (block->attached) return true;
    }
    return false;
}

static bool is_related(const struct tide_cached *cached, const struct tide_cached *other) {
    return cached && other->options.dataset == cached->options.dataset && other->options.kind == cached->options.kind;
}

struct tide_cached *tide_room_victim(const struct tide_cache *cache, const struct tide_cached *cached,
                                     uint64_t wanted) {
    struct tide_cached *first = NULL;
    const struct tide_list *end = cache->memory.next;
    uint64_t left = cache->used;

    for (; end != &cache->memory && left + wanted > cache->limit; end = end->next) {
        const struct tide_cached *other = TIDE_CONTAINER_OF(end, struct tide_cached, link);

        if (!is_related(cached, other) && !tide_room_is_fixed(other)) left -= meet(other);
    }
    for (const struct tide_list *link = cache->memory.next; link != end; link = link->next) {
        struct tide_cached *other = TIDE_CONTAINER_OF(link, struct tide_cached, link);

        if (is_related(cached, other)) continue;
        if (!first && !tide_room_is_fixed(other) && frees_something(other)) first = other;
    }
    for (const struct tide_list *link = cache->memory.next; link != end; link = link->next) {
        const struct tide_cached *other = TIDE_CONTAINER_OF(link, struct tide_cached, link);

        if (!is_related(cached, other)) forget_met(other);
    }
    return left + wanted <= cache->limit ? first : NULL;
}
