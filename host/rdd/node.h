/*
 * The body of struct tide_rdd, for rdd/ and for stage runs, which settle shuffles. Others see rdd.h.
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_NODE_H
#define TIDE_RDD_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "rdd/rdd.h"

struct tide_checkpointing {
    enum tide_checkpoint state;
    char *directory;
    char *site;
    struct tide_rdd *reader; /* complete, but the node is pinned: the node it will become */
};

struct tide_rdd {
    uint64_t id;
    uint64_t mark;      /* number of the walk that saw this node last (rdd/mark.c) */
    uint64_t cut_mark;  /* rdd/stage.c: number of the partition's plan that has this node as a child … */
    uint64_t cut_input; /* … and where: first input, partition, number of the child */
    uint32_t cut_partition, cut_number;
    uint32_t refs;
    uint32_t partitions;
    uint32_t key_partitions;              /* partitioned by key in so many; 0: not by key */
    struct tide_partitioner *partitioner; /* how: NULL: by key hash */
    bool empty;                           /* it has no record, so that it is partitioned in any way */
    enum tide_rdd_kind kind;
    int64_t known_records;
    int64_t told_records;        /* the same for listeners only: actions read the files; -1: not told */
    struct tide_rdd *next_dead;  /* chains nodes while they are being released */
    struct tide_rdd *parent;     /* NARROW, COALESCE, GUARD; SHUFFLED until it is computed, then NULL */
    char *name;                  /* or NULL */
    struct tide_cached **cached; /* persistent and computed: one for each partition */
    void *caching;               /* the run that computes them; NULL: none */
    struct tide_arity *arity;    /* of its records; NULL: there are none */
    uint32_t pins;               /* inputs of stages that will read the node as it is now */
    uint8_t level;               /* storage level; 0: not persistent */
    bool truncate;
    bool failed;                           /* persistent, and its last computation has failed */
    uint32_t needs_one_of;                 /* tide_rdd_needs_one_of: the number of parents */
    struct tide_error *lost;               /* it was a GUARD and is lost, for this reason; else NULL */
    struct tide_checkpointing *checkpoint; /* or NULL: not marked */
    union {
        struct { /* BLOCKS, by partition: one of the two */
            struct tide_blocks *lists;
            struct tide_cached **cached;
        } blocks;
        struct {                            /* FILES */
            struct tide_file_split *splits; /* one for each partition */
            struct tide_counts *counts;
        } files;
        struct tide_op *op; /* NARROW */
        struct {            /* GUARD */
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
            struct tide_cached **maps; /* once computed: the output of each map task, a list per partition */
            uint32_t nmaps;
            uint32_t *shifts; /* ROUNDROBIN, once computed: partition p reads list (p - shifts[i]) mod n of maps[i] */
            void *running;    /* the run that computes the map side; NULL: none */
        } shuffle;
    } as;
};

static inline bool tide_rdd_has_many(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_UNION || rdd->kind >= TIDE_RDD_ZIP_UNION;
}

/* Whether it is computed as a whole before it is read. */
static inline bool tide_rdd_persistent(const struct tide_rdd *rdd) {
    return rdd->level != 0 && rdd->kind != TIDE_RDD_BLOCKS;
}

/* The cached partition of a computed persistent node, also when it has become BLOCKS since; NULL: none. */
static inline struct tide_cached *tide_rdd_cached(const struct tide_rdd *rdd, uint32_t partition) {
    struct tide_cached **cached = rdd->kind == TIDE_RDD_BLOCKS ? rdd->as.blocks.cached : rdd->cached;

    return cached ? cached[partition] : NULL;
}

/* Partitions of a persistent node were computed; takes the references. partitions NULL: all of them, count is their
 * number; else those that had been dropped. */
void tide_rdd_set_cached(struct tide_rdd *rdd, struct tide_cached *const *take, const uint32_t *partitions,
                         uint32_t count);

/* A stage will read the node: it and its cached partitions do not change until it is unpinned. */
void tide_rdd_pin(struct tide_rdd *rdd);
void tide_rdd_unpin(struct tide_rdd *rdd);

/* Cuts the lineage of a node whose checkpoint is complete, once no stage waits to read from it. */
void tide_rdd_checkpoint_settle(struct tide_rdd *rdd);

/* Releases the parents of the node and the fields of its kind, which is set anew then. */
void tide_rdd_release_content(struct tide_rdd *rdd);
/* NULL is fine. */
void tide_rdd_free_lists(struct tide_blocks *lists, uint32_t count);
void tide_rdd_free_cached(struct tide_cached **cached, uint32_t count);
void tide_rdd_free_checkpoint(struct tide_rdd *rdd);

/* SHUFFLED, and its map side is computed. */
static inline bool tide_rdd_computed(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_SHUFFLED && rdd->as.shuffle.maps;
}

/* The list in the output of map task `map` that belongs to a partition of a computed SHUFFLED node. */
static inline uint32_t tide_rdd_map_list(const struct tide_rdd *rdd, uint32_t map, uint32_t partition) {
    if (!rdd->as.shuffle.shifts) return partition;

    uint32_t shift = rdd->as.shuffle.shifts[map];

    return partition >= shift ? partition - shift : partition + rdd->partitions - shift;
}

/* The map side of a SHUFFLED node is computed: takes the heap array of the map tasks' outputs. The parent is
 * released: map outputs are never dropped, so the data they were made from (input blocks above all) is not needed
 * again. */
void tide_rdd_settle(struct tide_rdd *rdd, struct tide_cached **take_maps, uint32_t count);

/* The parent partitions [*from, *to) that partition `index` of a COALESCE node consists of. */
void tide_rdd_coalesce_range(const struct tide_rdd *rdd, uint32_t index, uint32_t *from, uint32_t *to);

/* The k-th node that makes partition `index` of a COALESCE, ZIP_UNION, ZIP or CARTESIAN node, k from 0; *local = its
 * partition number there. */
struct tide_rdd *tide_rdd_child(const struct tide_rdd *rdd, uint32_t index, uint32_t k, uint32_t *local);
/* The number of such nodes. */
uint32_t tide_rdd_children(const struct tide_rdd *rdd, uint32_t index);

/* The parent of a UNION node that partition `index` comes from; *local = its number there. */
struct tide_rdd *tide_rdd_union_parent(const struct tide_rdd *rdd, uint32_t index, uint32_t *local);

/* A number that no walk over nodes has used yet (mark.c). */
uint64_t tide_rdd_next_mark(void);

#endif
