/*
 * Which partitions of its parents a partition of a node is made of.
 *
 * Called by stages (rdd/stage.c). Driver thread only.
 */
#include <assert.h>

#include "rdd/node.h"

void tide_rdd_coalesce_range(const struct tide_rdd *rdd, uint32_t index, uint32_t *from, uint32_t *to) {
    uint64_t length = rdd->parent->partitions;

    *from = (uint32_t)(index * length / rdd->partitions);
    *to = (uint32_t)((index + 1) * length / rdd->partitions);
}

uint32_t tide_rdd_children(const struct tide_rdd *rdd, uint32_t index) {
    uint32_t from, to;

    if (rdd->kind != TIDE_RDD_COALESCE) return rdd->as.many.count;
    tide_rdd_coalesce_range(rdd, index, &from, &to);
    return to - from;
}

struct tide_rdd *tide_rdd_child(const struct tide_rdd *rdd, uint32_t index, uint32_t k, uint32_t *local) {
    uint32_t to;

    switch (rdd->kind) {
    case TIDE_RDD_COALESCE:
        tide_rdd_coalesce_range(rdd, index, local, &to);
        *local += k;
        return rdd->parent;
    case TIDE_RDD_CARTESIAN: {
        uint32_t width = rdd->as.many.parents[1]->partitions;

        *local = k == 0 ? index / width : index % width;
        return rdd->as.many.parents[k];
    }
    default: *local = index; return rdd->as.many.parents[k];
    }
}

struct tide_rdd *tide_rdd_union_parent(const struct tide_rdd *rdd, uint32_t index, uint32_t *local) {
    const uint32_t *first = rdd->as.many.first;
    uint32_t low = 0, high = rdd->as.many.count;

    assert(index < rdd->partitions);
    /* The last parent that begins at or before index; empty parents begin where the next one does. */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (first[middle] <= index) low = middle;
        else high = middle;
    }
    *local = index - first[low];
    return rdd->as.many.parents[low];
}
