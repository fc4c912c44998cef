/*
 * What nodes know of their checkpoints, and the cutting of lineage.
 *
 * Called by the bindings. Driver thread. The node itself becomes another one, a reader of files, so that everything made from it
 * before profits. Stages that have been cut with the node as an input look at it when they start, so it stays what it is as
 * long as it is pinned.
 */
#include <assert.h>

#include "base/alloc.h"
#include "rdd/node.h"

struct tide_rdd_checkpoint {
    enum tide_checkpoint state;
    char *directory;
    char *site;
    struct tide_rdd *reader; /* complete, but the node is pinned: what it will become */
};

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

void tide_rdd_checkpoint_forget(struct tide_rdd *rdd) {
    struct tide_rdd_checkpoint *checkpoint = rdd->checkpoint;

    if (!checkpoint) return;
    assert(!checkpoint->reader); /* whoever pins a node retains it too */
    tide_free(checkpoint->directory);
    tide_free(checkpoint->site);
    tide_free(checkpoint);
    rdd->checkpoint = NULL;
}

/* ---- Which ones ----------------------------------------------------------------------------------------------- */

struct nodes {
    struct tide_rdd **items;
    uint32_t count, capacity;
};

static void push(struct nodes *nodes, struct tide_rdd *rdd) {
    if (nodes->count == nodes->capacity) {
        nodes->capacity = nodes->capacity > 0 ? nodes->capacity * 2 : 16;
        nodes->items = tide_xrealloc(nodes->items, nodes->capacity * sizeof(struct tide_rdd *));
    }
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

/* ---- Writing -------------------------------------------------------------------------------------------------- */

bool tide_rdd_checkpoint_begin(struct tide_rdd *rdd) {
    if (tide_rdd_checkpoint(rdd) != TIDE_CHECKPOINT_MARKED) return false;
    rdd->checkpoint->state = TIDE_CHECKPOINT_WRITING;
    return true;
}

void tide_rdd_checkpoint_fail(struct tide_rdd *rdd) {
    if (tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_WRITING) tide_rdd_checkpoint_forget(rdd);
}

void tide_rdd_checkpoint_end(struct tide_rdd *rdd, struct tide_rdd *parts, struct tide_op *read) {
    assert(tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_WRITING && parts->partitions == rdd->partitions);
    /* All partitions were computed, so nobody computes the map side of a shuffle any more. */
    assert(rdd->kind != TIDE_RDD_SHUFFLED || !rdd->as.shuffle.running);
    rdd->checkpoint->state = TIDE_CHECKPOINT_DONE;
    rdd->checkpoint->reader = tide_rdd_narrow_new(parts, read);
    tide_rdd_checkpoint_settle(rdd);
}

void tide_rdd_checkpoint_settle(struct tide_rdd *rdd) {
    if (!rdd->checkpoint || !rdd->checkpoint->reader || rdd->pins > 0) return;

    struct tide_rdd *reader = rdd->checkpoint->reader, old;

    rdd->checkpoint->reader = NULL;
    /* What the program has asked to keep, and the cache has, is kept beside the files, as with any other node. */
    if (rdd->kind == TIDE_RDD_BLOCKS && rdd->level != 0) {
        rdd->kept = rdd->as.blocks.cached;
        rdd->as.blocks.cached = NULL;
    }
    rdd->truncate = false;
    if (!rdd->kept) rdd->known_records = -1;

    /* The number, the name, the partitioning and what is kept stay; where the records come from changes places. */
    old = *rdd;
    rdd->kind = reader->kind;
    rdd->parent = reader->parent;
    rdd->as = reader->as;
    reader->kind = old.kind;
    reader->parent = old.parent;
    reader->as = old.as;
    tide_rdd_release(reader); /* with the old lineage */
}
