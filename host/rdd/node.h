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
    uint64_t mark; /* number of the walk that saw this node last (rdd/lineage.c, rdd/stage.c) */
    uint32_t refs;
    uint32_t partitions;
    uint32_t hash_partitions;
    enum tide_rdd_kind kind;
    int64_t known_records;
    struct tide_rdd *next_dead; /* chains nodes while they are being released */
    struct tide_rdd *parent;    /* NARROW, COALESCE; SHUFFLED until it is computed, then NULL */
    char *name;                 /* or NULL */
    struct tide_blocks *kept;   /* persistent and computed: one list per partition */
    void *keeping;              /* the scheduler's computation of them while one is under way */
    uint32_t pins;              /* inputs of stages that will read what this node has now */
    uint8_t level;              /* storage level; 0: not persistent */
    bool truncate;
    bool failed;                            /* persistent, and its last computation has failed */
    struct tide_rdd_checkpoint *checkpoint; /* or NULL: not marked */
    union {
        struct tide_blocks *lists;      /* BLOCKS: one list per partition */
        struct tide_file_split *splits; /* FILES: one split per partition */
        struct tide_op *op;             /* NARROW */
        struct {                        /* UNION, ZIP_UNION, GATHER, CARTESIAN */
            struct tide_rdd **parents;
            uint32_t *first; /* UNION: parents[i] begins at partition first[i]; count + 1 entries. Else NULL */
            uint32_t count;
            struct tide_op *op; /* GATHER, CARTESIAN; else NULL */
        } many;
        struct { /* SHUFFLED */
            struct tide_exchange *exchange;
            struct tide_blocks *outputs; /* one list per partition once computed, else NULL */
            void *running;               /* the scheduler's computation of the map side while one is under way */
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

/* The lists of a computed persistent node, also when it has become BLOCKS since. */
static inline const struct tide_blocks *tide_rdd_kept(const struct tide_rdd *rdd) {
    return rdd->kept != NULL ? rdd->kept : rdd->as.lists;
}

/* A persistent node is computed: takes the heap array of `partitions` lists. */
void tide_rdd_keep(struct tide_rdd *rdd, struct tide_blocks *take_lists);

/* An input of a stage stands for this node: what it holds now stays until it is unpinned. */
void tide_rdd_pin(struct tide_rdd *rdd);
void tide_rdd_unpin(struct tide_rdd *rdd);

/* Cuts the lineage of a node whose checkpoint is complete, once nothing waits to read from it. */
void tide_rdd_checkpoint_settle(struct tide_rdd *rdd);
/* Frees what a node that dies knows of its checkpoint. */
void tide_rdd_checkpoint_forget(struct tide_rdd *rdd);

/* SHUFFLED and its map side is at hand. */
static inline bool tide_rdd_computed(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_SHUFFLED && rdd->as.shuffle.outputs != NULL;
}

/* A SHUFFLED node's map side is computed: takes the heap array of `partitions` lists. The parent is let go: map outputs
 * are not lost while the process lives, so what they were made from (input blocks above all) need not be kept. */
void tide_rdd_settle(struct tide_rdd *rdd, struct tide_blocks *take_outputs);

/* The parent partitions [*from, *to) that partition `index` of a COALESCE node consists of. */
void tide_rdd_coalesce_range(const struct tide_rdd *rdd, uint32_t index, uint32_t *from, uint32_t *to);

/* The k-th node that makes partition `index` of a COALESCE, ZIP_UNION, GATHER or CARTESIAN node, k from 0; *local = its
 * partition number there. */
struct tide_rdd *tide_rdd_child(const struct tide_rdd *rdd, uint32_t index, uint32_t k, uint32_t *local);
/* How many there are. */
uint32_t tide_rdd_children(const struct tide_rdd *rdd, uint32_t index);

/* The parent of a UNION node that partition `index` comes from; *local = its number there. */
struct tide_rdd *tide_rdd_union_parent(const struct tide_rdd *rdd, uint32_t index, uint32_t *local);

/* A number no walk over nodes has used yet. */
uint64_t tide_rdd_next_mark(void);

#endif
