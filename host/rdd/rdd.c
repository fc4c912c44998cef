/*
 * Nodes of lineage: constructors, reference counts, readers. Persistence is in persist.c, checkpoints in
 * checkpoint.c.
 *
 * Called by the bindings and the stream graph (constructors), by stages and the scheduler (reading, settling
 * shuffles). Driver thread only; the process-wide counters alone are atomic, because every engine has a driver thread
 * of its own. Nothing here computes data or recurses over lineage.
 */
#include "rdd/rdd.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "rdd/arity.h"
#include "rdd/node.h"
#include "task/counts.h"

static atomic_uint_fast64_t last_id;
static atomic_uint_fast64_t live;

/* ---- Constructors ------------------------------------------------------------------------------------------- */

static struct tide_rdd *node_new(enum tide_rdd_kind kind, uint32_t partitions) {
    struct tide_rdd *rdd = tide_xcalloc(1, sizeof *rdd);

    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    rdd->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    rdd->refs = 1;
    rdd->kind = kind;
    rdd->partitions = partitions;
    rdd->known_records = rdd->told_records = -1;
    return rdd;
}

/* Notes that the records are partitioned by key: in the given way, or as those of another node. */
static void partition_by(struct tide_rdd *rdd, uint32_t partitions, struct tide_partitioner *partitioner) {
    struct tide_partitioner *before = rdd->partitioner;

    rdd->empty = false;
    rdd->key_partitions = partitions;
    rdd->partitioner = partitions > 0 ? tide_partitioner_retain(partitioner) : NULL;
    tide_partitioner_release(before);
}

static void partition_as(struct tide_rdd *rdd, const struct tide_rdd *other) {
    partition_by(rdd, other->key_partitions, other->partitioner);
    rdd->empty = other->empty;
}

/* Whether the records are partitioned by key in that way. */
static bool is_partitioned_by(const struct tide_rdd *rdd, uint32_t partitions,
                              const struct tide_partitioner *partitioner) {
    return rdd->key_partitions == partitions && partitions > 0 &&
           (rdd->empty || tide_partitioner_same(rdd->partitioner, partitioner));
}

/* The first node with records: an empty one is partitioned in any way. */
static const struct tide_rdd *first_with_records(struct tide_rdd **parents, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!parents[i]->empty) return parents[i];
    return parents[0];
}

static int64_t records_of(const struct tide_blocks *lists, uint32_t count) {
    uint64_t records = 0;

    for (uint32_t i = 0; i < count; i++) records += tide_blocks_records(&lists[i]);
    return (int64_t)records;
}

struct tide_rdd *tide_rdd_blocks_new(struct tide_blocks *partitions, uint32_t count) {
    struct tide_rdd *rdd = node_new(TIDE_RDD_BLOCKS, count);

    rdd->as.blocks.lists = tide_xcalloc(count > 0 ? count : 1, sizeof *rdd->as.blocks.lists);
    for (uint32_t i = 0; i < count; i++) {
        tide_blocks_create(&rdd->as.blocks.lists[i]);
        tide_blocks_move(&rdd->as.blocks.lists[i], &partitions[i]);
    }
    rdd->known_records = records_of(rdd->as.blocks.lists, count);
    rdd->arity = tide_arity_of_blocks(rdd->as.blocks.lists, count);
    return rdd;
}

struct tide_rdd *tide_rdd_files_new(struct tide_file_split *splits, uint32_t count) {
    struct tide_rdd *rdd = node_new(TIDE_RDD_FILES, count);

    rdd->as.files.splits = tide_xcalloc(count > 0 ? count : 1, sizeof *splits);
    rdd->as.files.counts = tide_counts_new(count);
    for (uint32_t i = 0; i < count; i++) {
        rdd->as.files.splits[i] = splits[i];
        splits[i].path = NULL;
    }
    rdd->arity = tide_arity_known(TIDE_ARITY_SINGLE, NULL);
    return rdd;
}

struct tide_rdd *tide_rdd_narrow_new(struct tide_rdd *parent, struct tide_op *op) {
    struct tide_rdd *rdd = node_new(TIDE_RDD_NARROW, parent->partitions);

    rdd->parent = tide_rdd_retain(parent);
    rdd->as.op = tide_op_retain(op);
    rdd->arity = tide_arity_after(op, parent->arity);
    if (op->keeps_keys) partition_as(rdd, parent);
    return rdd;
}

static struct tide_rdd *many_new(enum tide_rdd_kind kind, uint32_t partitions, struct tide_rdd **parents,
                                 uint32_t count, struct tide_op *op) {
    struct tide_rdd *rdd = node_new(kind, partitions);

    rdd->as.many.parents = tide_xcalloc(count > 0 ? count : 1, sizeof *rdd->as.many.parents);
    rdd->as.many.count = count;
    rdd->as.many.op = op ? tide_op_retain(op) : NULL;
    for (uint32_t i = 0; i < count; i++) rdd->as.many.parents[i] = tide_rdd_retain(parents[i]);
    rdd->arity = op ? tide_arity_after(op, parents[0]->arity) : tide_arity_union(parents, count);
    return rdd;
}

/* The number of records of all parents; -1: one of them is not known, or single values and pairs may be mixed. */
static int64_t known_of_union(const struct tide_rdd *rdd) {
    int64_t records = 0;

    if (rdd->arity && rdd->arity->value == TIDE_ARITY_UNKNOWN) return -1;
    for (uint32_t i = 0; i < rdd->as.many.count; i++) {
        if (rdd->as.many.parents[i]->known_records < 0) return -1;
        records += rdd->as.many.parents[i]->known_records;
    }
    return records;
}

struct tide_rdd *tide_rdd_union_new(struct tide_rdd **parents, uint32_t count) {
    uint64_t partitions = 0;

    for (uint32_t i = 0; i < count; i++) {
        partitions += parents[i]->partitions;
        if (partitions > TIDE_RDD_MAX_PARTITIONS) return NULL;
    }

    struct tide_rdd *rdd = many_new(TIDE_RDD_UNION, (uint32_t)partitions, parents, count, NULL);

    rdd->as.many.first = tide_xcalloc((size_t)count + 1, sizeof *rdd->as.many.first);
    for (uint32_t i = 0; i < count; i++) rdd->as.many.first[i + 1] = rdd->as.many.first[i] + parents[i]->partitions;
    rdd->known_records = known_of_union(rdd);
    if (count == 1) partition_as(rdd, parents[0]);
    return rdd;
}

struct tide_rdd *tide_rdd_coalesce_new(struct tide_rdd *parent, uint32_t partitions) {
    uint32_t count = partitions < parent->partitions ? partitions : parent->partitions;

    if (count == 0 && parent->partitions > 0) count = 1;

    struct tide_rdd *rdd = node_new(TIDE_RDD_COALESCE, count);

    rdd->parent = tide_rdd_retain(parent);
    rdd->arity = tide_arity_retain(parent->arity);
    rdd->known_records = parent->known_records;
    if (count == parent->partitions) partition_as(rdd, parent);
    return rdd;
}

struct tide_rdd *tide_rdd_shuffled_new(struct tide_rdd *parent, struct tide_exchange *exchange) {
    struct tide_rdd *rdd = node_new(TIDE_RDD_SHUFFLED, exchange->partitions);

    rdd->parent = tide_rdd_retain(parent);
    rdd->as.shuffle.exchange = tide_exchange_retain(exchange);
    rdd->arity = tide_arity_shuffled(exchange, parent->arity);
    if (exchange->route == TIDE_ROUTE_HASH) partition_by(rdd, exchange->partitions, exchange->partitioner);
    return rdd;
}

struct tide_rdd *tide_rdd_partitioned_new(struct tide_rdd *parent, struct tide_exchange *exchange) {
    if (!exchange->in_place || !is_partitioned_by(parent, exchange->partitions, exchange->partitioner))
        return tide_rdd_shuffled_new(parent, exchange);
    if (!exchange->in_place_op) return tide_rdd_retain(parent);

    struct tide_rdd *rdd = tide_rdd_zip_new(&parent, 1, exchange->in_place_op);

    partition_by(rdd, exchange->partitions, exchange->partitioner);
    return rdd;
}

static bool alike(struct tide_rdd **parents, uint32_t count) {
    for (uint32_t i = 1; i < count; i++)
        if (parents[i]->partitions != parents[0]->partitions) return false;
    return count > 0;
}

static bool keyed_alike(struct tide_rdd **parents, uint32_t count) {
    if (count == 0) return false;

    const struct tide_rdd *first = first_with_records(parents, count);

    for (uint32_t i = 0; i < count; i++)
        if (!is_partitioned_by(parents[i], first->key_partitions, first->partitioner)) return false;
    return true;
}

struct tide_rdd *tide_rdd_zip_union_new(struct tide_rdd **parents, uint32_t count) {
    if (!alike(parents, count)) return NULL;

    struct tide_rdd *rdd = many_new(TIDE_RDD_ZIP_UNION, parents[0]->partitions, parents, count, NULL);

    rdd->known_records = known_of_union(rdd);
    if (keyed_alike(parents, count)) partition_as(rdd, first_with_records(parents, count));
    return rdd;
}

struct tide_rdd *tide_rdd_union_auto_new(struct tide_rdd **parents, uint32_t count) {
    struct tide_rdd **filled = tide_xcalloc(count > 0 ? count : 1, sizeof(struct tide_rdd *));
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        if (parents[i]->partitions > 0) filled[n++] = parents[i];

    struct tide_rdd *rdd =
        n > 1 && keyed_alike(filled, n) ? tide_rdd_zip_union_new(filled, n) : tide_rdd_union_new(filled, n);

    tide_free(filled);
    return rdd;
}

struct tide_rdd *tide_rdd_zip_new(struct tide_rdd **parents, uint32_t count, struct tide_op *op) {
    if (!alike(parents, count)) return NULL;

    struct tide_rdd *rdd = many_new(TIDE_RDD_ZIP, parents[0]->partitions, parents, count, op);

    if (op->keeps_keys) partition_as(rdd, first_with_records(parents, count));
    return rdd;
}

bool tide_rdd_zip_remake(struct tide_rdd *rdd, struct tide_rdd **parents, uint32_t count, struct tide_op *op) {
    if (rdd->kind != TIDE_RDD_ZIP || rdd->cached || rdd->caching) return false;
    if (!alike(parents, count) || parents[0]->partitions != rdd->partitions) return false;

    struct tide_rdd *made = many_new(TIDE_RDD_ZIP, rdd->partitions, parents, count, op);
    struct tide_rdd old = *rdd;

    rdd->as = made->as;
    made->as = old.as;
    partition_by(rdd, 0, NULL);
    if (op->keeps_keys) partition_as(rdd, first_with_records(parents, count));
    rdd->failed = false;
    tide_rdd_release(made); /* and with it the old inputs */
    return true;
}

struct tide_rdd *tide_rdd_cartesian_new(struct tide_rdd *a, struct tide_rdd *b, struct tide_op *op) {
    struct tide_rdd *parents[2] = {a, b};
    uint64_t partitions = (uint64_t)a->partitions * b->partitions;

    if (partitions > TIDE_RDD_MAX_PARTITIONS) return NULL;
    return many_new(TIDE_RDD_CARTESIAN, (uint32_t)partitions, parents, 2, op);
}

struct tide_rdd *tide_rdd_empty_new(uint32_t partitions) {
    struct tide_rdd *rdd = node_new(TIDE_RDD_BLOCKS, partitions);

    rdd->as.blocks.lists = tide_xcalloc(partitions > 0 ? partitions : 1, sizeof *rdd->as.blocks.lists);
    for (uint32_t i = 0; i < partitions; i++) tide_blocks_create(&rdd->as.blocks.lists[i]);
    rdd->key_partitions = partitions;
    rdd->empty = true;
    rdd->known_records = 0;
    return rdd;
}

/* ---- Counting ----------------------------------------------------------------------------------------------- */

struct tide_rdd *tide_rdd_retain(struct tide_rdd *rdd) {
    rdd->refs++;
    return rdd;
}

/* Drops one reference; a node without references joins the chain of dead ones. */
static void drop(struct tide_rdd *rdd, struct tide_rdd **dead) {
    if (!rdd || --rdd->refs > 0) return;
    rdd->next_dead = *dead;
    *dead = rdd;
}

void tide_rdd_free_lists(struct tide_blocks *lists, uint32_t count) {
    if (!lists) return;
    for (uint32_t i = 0; i < count; i++) tide_blocks_destroy(&lists[i]);
    tide_free(lists);
}

void tide_rdd_free_cached(struct tide_cached **cached, uint32_t count) {
    if (!cached) return;
    for (uint32_t i = 0; i < count; i++) tide_cached_release(cached[i]);
    tide_free(cached);
}

void tide_rdd_free_checkpoint(struct tide_rdd *rdd) {
    struct tide_checkpointing *checkpoint = rdd->checkpoint;

    if (!checkpoint) return;
    assert(!checkpoint->reader); /* a pin comes with a reference to the node */
    tide_free(checkpoint->directory);
    tide_free(checkpoint->site);
    tide_free(checkpoint);
    rdd->checkpoint = NULL;
}

/* Frees the fields of the kind of node. */
static void content_free(struct tide_rdd *rdd, struct tide_rdd **dead) {
    drop(rdd->parent, dead);
    rdd->parent = NULL;
    switch (rdd->kind) {
    case TIDE_RDD_BLOCKS:
        tide_rdd_free_lists(rdd->as.blocks.lists, rdd->partitions);
        tide_rdd_free_cached(rdd->as.blocks.cached, rdd->partitions);
        break;
    case TIDE_RDD_FILES:
        for (uint32_t i = 0; i < rdd->partitions; i++) tide_free(rdd->as.files.splits[i].path);
        tide_free(rdd->as.files.splits);
        tide_counts_release(rdd->as.files.counts);
        break;
    case TIDE_RDD_NARROW: tide_op_release(rdd->as.op); break;
    case TIDE_RDD_UNION:
    case TIDE_RDD_ZIP_UNION:
    case TIDE_RDD_ZIP:
    case TIDE_RDD_CARTESIAN:
        for (uint32_t i = 0; i < rdd->as.many.count; i++) drop(rdd->as.many.parents[i], dead);
        tide_free(rdd->as.many.parents);
        tide_free(rdd->as.many.first);
        tide_op_release(rdd->as.many.op);
        break;
    case TIDE_RDD_COALESCE:
    case TIDE_RDD_GUARD: break;
    case TIDE_RDD_SHUFFLED:
        assert(!rdd->as.shuffle.running);
        tide_rdd_free_cached(rdd->as.shuffle.maps, rdd->as.shuffle.nmaps);
        tide_free(rdd->as.shuffle.shifts);
        tide_exchange_release(rdd->as.shuffle.exchange);
        break;
    }
    memset(&rdd->as, 0, sizeof rdd->as);
}

static void bury(struct tide_rdd *dead) {
    while (dead) {
        struct tide_rdd *node = dead;

        dead = node->next_dead;
        assert(node->pins == 0 && !node->caching);
        content_free(node, &dead);
        if (node->lost) tide_error_clear(node->lost);
        tide_free(node->lost);
        tide_rdd_free_cached(node->cached, node->partitions);
        tide_rdd_free_checkpoint(node);
        tide_partitioner_release(node->partitioner);
        tide_arity_release(node->arity);
        tide_free(node->name);
        tide_free(node);
        atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    }
}

void tide_rdd_release(struct tide_rdd *rdd) {
    struct tide_rdd *dead = NULL;

    drop(rdd, &dead);
    bury(dead);
}

void tide_rdd_release_content(struct tide_rdd *rdd) {
    struct tide_rdd *dead = NULL;

    content_free(rdd, &dead);
    bury(dead);
}

uint64_t tide_rdd_live(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

/* ---- Reading ------------------------------------------------------------------------------------------------ */

uint64_t tide_rdd_id(const struct tide_rdd *rdd) { return rdd->id; }

enum tide_rdd_kind tide_rdd_kind(const struct tide_rdd *rdd) { return rdd->kind; }

uint32_t tide_rdd_partitions(const struct tide_rdd *rdd) { return rdd->partitions; }

uint32_t tide_rdd_key_partitions(const struct tide_rdd *rdd) { return rdd->key_partitions; }

struct tide_partitioner *tide_rdd_partitioner(const struct tide_rdd *rdd) {
    return rdd->partitioner;
}

int64_t tide_rdd_known_records(const struct tide_rdd *rdd) { return rdd->known_records; }

int64_t tide_rdd_read_records(const struct tide_rdd *rdd) {
    while (rdd->known_records < 0) {
        if (rdd->told_records >= 0) return rdd->told_records;
        if (rdd->kind == TIDE_RDD_FILES) return tide_counts_total(rdd->as.files.counts);
        if (rdd->kind == TIDE_RDD_COALESCE) rdd = rdd->parent;
        else if (rdd->kind == TIDE_RDD_UNION && rdd->as.many.count == 1) rdd = rdd->as.many.parents[0];
        else return -1;
    }
    return rdd->known_records;
}

void tide_rdd_tell_records(struct tide_rdd *rdd, int64_t records) { rdd->told_records = records; }

void tide_rdd_set_name(struct tide_rdd *rdd, const char *name) {
    char *copy = name ? tide_xstrdup(name) : NULL;

    tide_free(rdd->name);
    rdd->name = copy;
}

const char *tide_rdd_name(const struct tide_rdd *rdd) { return rdd->name; }

/* Every map task distributes its records from list 0 on, so its first lists may have one record more than the others.
 * Its lists are rotated by the number of records of the tasks before it: then partitions differ by one record at
 * most, as if one task had distributed all of them. */
static uint32_t *even_shifts(struct tide_cached *const *maps, uint32_t count, uint32_t partitions) {
    uint32_t *shifts = tide_xcalloc(count > 0 ? count : 1, sizeof *shifts);
    uint64_t records = 0;

    for (uint32_t i = 0; i < count; i++) {
        shifts[i] = (uint32_t)(records % partitions);
        records += (uint64_t)tide_cached_records(maps[i]);
    }
    return shifts;
}

void tide_rdd_settle(struct tide_rdd *rdd, struct tide_cached **take_maps, uint32_t count) {
    struct tide_rdd *parent = rdd->parent;

    assert(rdd->kind == TIDE_RDD_SHUFFLED && !rdd->as.shuffle.maps);
    rdd->as.shuffle.maps = take_maps;
    rdd->as.shuffle.nmaps = count;
    if (rdd->as.shuffle.exchange->route == TIDE_ROUTE_ROUNDROBIN)
        rdd->as.shuffle.shifts = even_shifts(take_maps, count, rdd->partitions);
    rdd->parent = NULL;
    tide_rdd_release(parent);
}
