/*
 * Checkpoints of nodes, and the cutting of lineage.
 *
 * Called by the bindings. Driver thread. The node itself becomes a reader of files, so that all nodes that were made
 * from it before read them too. Stages that have been cut with the node as an input read it when they start, so it is
 * not changed while it is pinned.
 */
#include <assert.h>

#include "base/alloc.h"
#include "base/array.h"
#include "rdd/node.h"

enum tide_checkpoint tide_rdd_checkpoint(const struct tide_rdd *rdd) {
    return rdd->checkpoint ? rdd->checkpoint->state : TIDE_CHECKPOINT_NONE;
}

const char *tide_rdd_checkpoint_directory(const struct tide_rdd *rdd) {
    return rdd->checkpoint ? rdd->checkpoint->directory : NULL;
}

const char *tide_rdd_checkpoint_site(const struct tide_rdd *rdd) {
    return rdd->checkpoint ? rdd->checkpoint->site : NULL;
}

void tide_rdd_checkpoint_mark(struct tide_rdd *rdd, const char *directory, const char *site) {
    if (rdd->checkpoint) return;
    rdd->checkpoint = tide_xcalloc(1, sizeof *rdd->checkpoint);
    rdd->checkpoint->state = TIDE_CHECKPOINT_MARKED;
    rdd->checkpoint->directory = tide_xstrdup(directory);
    rdd->checkpoint->site = tide_xstrdup(site);
}

/* ---- Which ones --------------------------------------------------------------------------------------------- */

struct nodes {
    struct tide_rdd **items;
    uint32_t count, capacity;
};

static void push(struct nodes *nodes, struct tide_rdd *rdd) {
    TIDE_ARRAY_RESERVE(nodes->items, nodes->capacity, nodes->count + 1);
    nodes->items[nodes->count++] = rdd;
}

uint32_t tide_rdd_checkpoint_due(struct tide_rdd *rdd, struct tide_rdd ***marked) {
    uint64_t mark = tide_rdd_next_mark();
    struct nodes todo = {0}, found = {0};

    push(&todo, rdd);
    while (todo.count > 0) {
        struct tide_rdd *node = todo.items[--todo.count];

        if (node->mark == mark) continue;
        node->mark = mark;
        if (node->checkpoint) {
            if (node->checkpoint->state == TIDE_CHECKPOINT_MARKED) push(&found, node);
        } else if (tide_rdd_has_many(node)) {
            for (uint32_t i = node->as.many.count; i > 0; i--) push(&todo, node->as.many.parents[i - 1]);
        } else if (node->parent) {
            push(&todo, node->parent);
        }
    }
    tide_free(todo.items);
    *marked = found.items;
    return found.count;
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

bool tide_rdd_checkpoint_begin(struct tide_rdd *rdd) {
    if (tide_rdd_checkpoint(rdd) != TIDE_CHECKPOINT_MARKED) return false;
    rdd->checkpoint->state = TIDE_CHECKPOINT_WRITING;
    return true;
}

void tide_rdd_checkpoint_fail(struct tide_rdd *rdd) {
    if (tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_WRITING) tide_rdd_free_checkpoint(rdd);
}

void tide_rdd_checkpoint_end(struct tide_rdd *rdd, struct tide_rdd *parts, struct tide_op *read) {
    assert(tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_WRITING && parts->partitions == rdd->partitions);
    /* All partitions were computed, so no run computes the map side of a shuffle any more. */
    assert(rdd->kind != TIDE_RDD_SHUFFLED || !rdd->as.shuffle.running);
    rdd->checkpoint->state = TIDE_CHECKPOINT_DONE;
    rdd->checkpoint->reader = tide_rdd_narrow_new(parts, read);
    tide_rdd_checkpoint_settle(rdd);
}

void tide_rdd_checkpoint_settle(struct tide_rdd *rdd) {
    if (!rdd->checkpoint || !rdd->checkpoint->reader || rdd->pins > 0) return;

    struct tide_rdd *reader = rdd->checkpoint->reader, old;

    rdd->checkpoint->reader = NULL;
    /* Partitions that the script asked to persist stay cached beside the files, as with any other node. */
    if (rdd->kind == TIDE_RDD_BLOCKS && rdd->level != 0) {
        rdd->cached = rdd->as.blocks.cached;
        rdd->as.blocks.cached = NULL;
    }
    rdd->truncate = false;
    if (!rdd->cached) rdd->known_records = -1;

    /* Number, name, partitioning and cached partitions stay; the origin of the records is exchanged with the
     * reader's. */
    old = *rdd;
    rdd->kind = reader->kind;
    rdd->parent = reader->parent;
    rdd->as = reader->as;
    reader->kind = old.kind;
    reader->parent = old.parent;
    reader->as = old.as;
    tide_rdd_release(reader); /* with the old lineage */
}
