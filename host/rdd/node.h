/*
 * The body of struct tide_rdd, for rdd/ and for the scheduler, which settles shuffles. Everybody else sees rdd.h.
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_NODE_H
#define TIDE_RDD_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "rdd/rdd.h"

struct tide_rdd {
    uint64_t id;
    uint64_t mark;     /* number of the walk that saw this node last (rdd/lineage.c, rdd/stage.c) */
    uint64_t cut_mark; /* number of the partition's plan that has this node as a child, and there: (rdd/stage.c) */
    uint64_t cut_input;
    uint32_t cut_partition, cut_number;
    uint32_t refs;
    uint32_t partitions;
    uint32_t key_partitions;              /* partitioned by key in so many; 0: not by key */
    struct tide_partitioner *partitioner; /* how: NULL: by key hash */
    bool empty;                           /* it has no record, so that it is partitioned in any way */
    enum tide_rdd_kind kind;
    int64_t known_records;
    struct tide_rdd *next_dead; /* chains nodes while they are being released */
    struct tide_rdd *parent;    /* NARROW, COALESCE, GUARD; SHUFFLED until it is computed, then NULL */
    char *name;                 /* or NULL */
    struct tide_cached **kept;  /* persistent and computed: one for each partition */
    void *keeping;              /* the scheduler's computation of them while one is under way */
    struct tide_arity *arity;   /* of its records; NULL: there are none */
    uint32_t pins;              /* inputs of stages that will read what this node has now */
    uint8_t level;              /* storage level; 0: not persistent */
    bool truncate;
    bool failed;                            /* persistent, and its last computation has failed */
    uint32_t wants_one;                     /* tide_rdd_wants_one: of so many parents */
    struct tide_error *lost;                /* it was a GUARD: why its readers do without; else NULL */
    struct tide_rdd_checkpoint *checkpoint; /* or NULL: not marked */
    union {
        struct { /* BLOCKS, by partition: one of the two */
            struct tide_blocks *lists;
            struct tide_cached **cached;
        } blocks;
        struct tide_file_split *splits; /* FILES: one split per partition */
        struct tide_op *op;             /* NARROW */
        struct {                        /* GUARD */
            void *owner;
            int64_t time;
        } guard;
        struct { /* UNION, ZIP_UNION, ZIP, CARTESIAN */
            struct tide_rdd **parents;
            uint32_t *first; /* UNION: parents[i] begins at partition first[i]; count + 1 entries. Else NULL */
            uint32_t count;
            struct tide_op *op; /* ZIP, CARTESIAN; else NULL */
        } many;
        struct { /* SHUFFLED */
            struct tide_exchange *exchange;
            struct tide_cached **maps; /* once computed what each map task made, a list per partition; else NULL */
            uint32_t nmaps;
            uint32_t *
                shifts; /* ROUNDROBIN, once computed: partition p reads list (p - shifts[i]) mod n of maps[i]; else NULL */
            void *running; /* the scheduler's computation of the map side while one is under way */
        } shuffle;
    } as;
};

static inline bool tide_rdd_has_many(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_UNION || rdd->kind >= TIDE_RDD_ZIP_UNION;
}

/* To be computed as a whole before it is read. */
static inline bool tide_rdd_persistent(const struct tide_rdd *rdd) {
    return rdd->level != 0 && rdd->kind != TIDE_RDD_BLOCKS;
}

/* What is kept of a computed persistent node, also when it has become BLOCKS since; NULL: nothing. */
static inline struct tide_cached *tide_rdd_kept(const struct tide_rdd *rdd, uint32_t partition) {
    struct tide_cached **cached = rdd->kind == TIDE_RDD_BLOCKS ? rdd->as.blocks.cached : rdd->kept;

    return cached ? cached[partition] : NULL;
}

/* Partitions of a persistent node were computed; takes the references. partitions NULL: all of them, count is their number.
 * Otherwise these are some that had been given up. */
void tide_rdd_keep(struct tide_rdd *rdd, struct tide_cached *const *take, const uint32_t *partitions, uint32_t count);

/* An input of a stage stands for this node: what it holds now stays until it is unpinned. */
void tide_rdd_pin(struct tide_rdd *rdd);
void tide_rdd_unpin(struct tide_rdd *rdd);

/* Cuts the lineage of a node whose checkpoint is complete, once nothing waits to read from it. */
void tide_rdd_checkpoint_settle(struct tide_rdd *rdd);
/* Frees what a node that dies knows of its checkpoint. */
void tide_rdd_checkpoint_forget(struct tide_rdd *rdd);

/* SHUFFLED and its map side is at hand. */
static inline bool tide_rdd_computed(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_SHUFFLED && rdd->as.shuffle.maps;
}

/* Which list of what map task `map` made belongs to a partition of a computed SHUFFLED node. */
static inline uint32_t tide_rdd_map_list(const struct tide_rdd *rdd, uint32_t map, uint32_t partition) {
    if (!rdd->as.shuffle.shifts) return partition;

    uint32_t shift = rdd->as.shuffle.shifts[map];

    return partition >= shift ? partition - shift : partition + rdd->partitions - shift;
}

/* A SHUFFLED node's map side is computed: takes the heap array of what its map tasks made. The parent is let go: map outputs
 * are not given up, so what they were made from (input blocks above all) need not be kept. */
void tide_rdd_settle(struct tide_rdd *rdd, struct tide_cached **take_maps, uint32_t count);

/* The parent partitions [*from, *to) that partition `index` of a COALESCE node consists of. */
void tide_rdd_coalesce_range(const struct tide_rdd *rdd, uint32_t index, uint32_t *from, uint32_t *to);

/* The k-th node that makes partition `index` of a COALESCE, ZIP_UNION, ZIP or CARTESIAN node, k from 0; *local = its
 * partition number there. */
struct tide_rdd *tide_rdd_child(const struct tide_rdd *rdd, uint32_t index, uint32_t k, uint32_t *local);
/* How many there are. */
uint32_t tide_rdd_children(const struct tide_rdd *rdd, uint32_t index);

/* The parent of a UNION node that partition `index` comes from; *local = its number there. */
struct tide_rdd *tide_rdd_union_parent(const struct tide_rdd *rdd, uint32_t index, uint32_t *local);

/* A number no walk over nodes has used yet. */
uint64_t tide_rdd_next_mark(void);

#endif
