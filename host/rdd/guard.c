/*
 * Guards (see guard.h). Called by the stream graph, which makes them where failures are skipped, and by the scheduler
 * when a run fails. Driver thread. The walks have their own list of nodes and visit each once, because lineage may be
 * long and shared; they happen only after a failure.
 */
#include "rdd/guard.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "rdd/node.h"

struct nodes {
    struct tide_rdd **items;
    uint32_t count, capacity;
};

struct tide_rdd *tide_rdd_guard_new(struct tide_rdd *parent, int64_t time, void *owner) {
    struct tide_rdd *rdd = tide_rdd_coalesce_new(parent, parent->partitions); /* one partition for each */

    rdd->kind = TIDE_RDD_GUARD;
    rdd->as.guard.owner = owner;
    rdd->as.guard.time = time;
    return rdd;
}

bool tide_rdd_lost(const struct tide_rdd *rdd) { return rdd->lost; }

void tide_rdd_needs_one_of(struct tide_rdd *rdd, uint32_t count) { rdd->needs_one_of = count; }

/* ---- Walks -------------------------------------------------------------------------------------------------- */

static void push(struct nodes *nodes, struct tide_rdd *rdd) {
    TIDE_ARRAY_RESERVE(nodes->items, nodes->capacity, nodes->count + 1);
    nodes->items[nodes->count++] = rdd;
}

static void push_parents(struct nodes *nodes, const struct tide_rdd *rdd) {
    if (tide_rdd_has_many(rdd))
        for (uint32_t i = 0; i < rdd->as.many.count; i++) push(nodes, rdd->as.many.parents[i]);
    else if (rdd->parent) push(nodes, rdd->parent);
}

/* Whether all partitions are cached, so that nothing behind the node is needed. */
static bool all_available(const struct tide_rdd *rdd) {
    for (uint32_t i = 0; rdd->cached && i < rdd->partitions; i++)
        if (!tide_cached_available(rdd->cached[i])) return false;
    return rdd->cached;
}

/* Whether stages end here: the datasets behind the node are computed in another stage, or not at all. */
static bool is_border(const struct tide_rdd *rdd) {
    if (rdd->kind == TIDE_RDD_BLOCKS || rdd->kind == TIDE_RDD_SHUFFLED) return true;
    return tide_rdd_persistent(rdd) && (!rdd->cached || all_available(rdd));
}

/* The next node of a walk over the nodes that are in one stage with `root`; NULL: that was all. */
static struct tide_rdd *next_of_stage(struct nodes *todo, uint64_t mark, const struct tide_rdd *root, bool computed) {
    while (todo->count > 0) {
        struct tide_rdd *node = todo->items[--todo->count];

        if (node->mark == mark) continue;
        node->mark = mark;
        if (node->kind == TIDE_RDD_SHUFFLED || (is_border(node) && !(computed && node == root))) continue;
        push_parents(todo, node);
        return node;
    }
    return NULL;
}

/* The guards that are in one stage with `root`; a reference each. */
static struct nodes guards_of(struct tide_rdd *root, bool computed) {
    struct nodes found = {0}, todo = {0};
    uint64_t mark = tide_rdd_next_mark();
    struct tide_rdd *node;

    push(&todo, root);
    while ((node = next_of_stage(&todo, mark, root, computed)))
        if (node->kind == TIDE_RDD_GUARD && !(computed && node == root)) push(&found, tide_rdd_retain(node));
    tide_free(todo.items);
    return found;
}

static void release_all(struct nodes *nodes) {
    for (uint32_t i = 0; i < nodes->count; i++) tide_rdd_release(nodes->items[i]);
    tide_free(nodes->items);
}

/* Whether `needed` is met below `from` without passing another guard. */
static bool reaches(struct tide_rdd *from, const struct tide_rdd *needed) {
    struct nodes todo = {0};
    uint64_t mark = tide_rdd_next_mark();
    bool found = from == needed;

    from->mark = mark;
    if (from->kind != TIDE_RDD_SHUFFLED) push_parents(&todo, from);
    while (todo.count > 0 && !found) {
        struct tide_rdd *node = todo.items[--todo.count];

        if (node->mark == mark) continue;
        node->mark = mark;
        found = node == needed;
        if (!is_border(node) && node->kind != TIDE_RDD_GUARD) push_parents(&todo, node);
    }
    tide_free(todo.items);
    return found;
}

/* The error of one of the parents that the node needs one of, if all are lost; else NULL. */
static const struct tide_error *all_lost(const struct tide_rdd *rdd) {
    const struct tide_error *why = NULL;

    for (uint32_t i = 0; tide_rdd_has_many(rdd) && i < rdd->needs_one_of; i++)
        if (!(why = rdd->as.many.parents[i]->lost)) return NULL;
    return why;
}

const struct tide_rdd *tide_guards_missing(struct tide_rdd *root, bool computed, struct tide_error *why) {
    struct nodes todo = {0};
    uint64_t mark = tide_rdd_next_mark();
    const struct tide_error *reason = NULL;
    struct tide_rdd *node, *found = NULL;

    push(&todo, root);
    while (!found && (node = next_of_stage(&todo, mark, root, computed)))
        if ((reason = all_lost(node))) found = node;
    if (found) tide_error_copy(why, reason);
    tide_free(todo.items);
    return found;
}

/* ---- Failures ----------------------------------------------------------------------------------------------- */

bool tide_guard_left(const struct tide_rdd *guard) { return guard->kind != TIDE_RDD_GUARD || guard->level != 0; }

bool tide_guards_set_apart(struct tide_rdd *const *guards, uint32_t count) {
    bool any = false;

    for (uint32_t i = 0; i < count; i++) {
        struct tide_rdd *guard = guards[i];

        if (tide_guard_left(guard) || is_border(guard->parent))
            continue; /* its records are not computed in this stage */
        tide_rdd_persist(guard, TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK, true);
        any = true;
    }
    return any;
}

bool tide_guards_lose(struct tide_rdd *root, bool computed, const struct tide_rdd *needed,
                      const struct tide_error *err, const struct tide_guard_watch *watch) {
    struct nodes guards = guards_of(root, computed);

    for (uint32_t i = 0; i < guards.count; i++)
        if (reaches(guards.items[i], needed)) tide_guard_lose(guards.items[i], err, watch);
    release_all(&guards);
    return !reaches(root, needed);
}

void tide_guard_lose(struct tide_rdd *guard, const struct tide_error *err, const struct tide_guard_watch *watch) {
    struct tide_rdd *parent = guard->parent;
    void *owner = guard->as.guard.owner;
    int64_t time = guard->as.guard.time;

    assert(guard->kind == TIDE_RDD_GUARD && !guard->cached);
    memset(&guard->as, 0, sizeof guard->as);
    guard->kind = TIDE_RDD_BLOCKS;
    guard->parent = NULL;
    guard->as.blocks.lists = tide_xcalloc(guard->partitions > 0 ? guard->partitions : 1, sizeof(struct tide_blocks));
    for (uint32_t i = 0; i < guard->partitions; i++) tide_blocks_create(&guard->as.blocks.lists[i]);
    guard->known_records = 0;
    guard->lost = tide_xcalloc(1, sizeof *guard->lost);
    tide_error_copy(guard->lost, err);
    tide_rdd_release(parent);
    if (watch->lost) watch->lost(owner, time, err, watch->arg);
}
