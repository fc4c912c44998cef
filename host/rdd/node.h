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
    union {
        struct tide_blocks *lists;      /* BLOCKS: one list per partition */
        struct tide_file_split *splits; /* FILES: one split per partition */
        struct tide_op *op;             /* NARROW */
        struct {                        /* UNION */
            struct tide_rdd **parents;
            uint32_t
                *first; /* first[i]: number of the first partition that comes from parents[i]; count + 1 entries */
            uint32_t count;
        } many;
        struct { /* SHUFFLED */
            struct tide_exchange *exchange;
            struct tide_blocks *outputs; /* one list per partition once computed, else NULL */
            void *running;               /* the scheduler's computation of the map side while one is under way */
        } shuffle;
    } as;
};

/* SHUFFLED and its map side is at hand. */
static inline bool tide_rdd_computed(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_SHUFFLED && rdd->as.shuffle.outputs != NULL;
}

/* A SHUFFLED node's map side is computed: takes the heap array of `partitions` lists. The parent is let go: map outputs
 * are not lost while the process lives, so what they were made from (input blocks above all) need not be kept. */
void tide_rdd_settle(struct tide_rdd *rdd, struct tide_blocks *take_outputs);

/* The parent partitions [*from, *to) that partition `index` of a COALESCE node consists of. */
void tide_rdd_coalesce_range(const struct tide_rdd *rdd, uint32_t index, uint32_t *from, uint32_t *to);

/* The parent of a UNION node that partition `index` comes from; *local = its number there. */
struct tide_rdd *tide_rdd_union_parent(const struct tide_rdd *rdd, uint32_t index, uint32_t *local);

/* A number no walk over nodes has used yet. */
uint64_t tide_rdd_next_mark(void);

#endif
