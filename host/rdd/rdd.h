/*
 * One batch's datasets: nodes of lineage. A node says how its partitions come from its parents; data is
 * computed only by jobs (rdd/stage.h, driver/job.h). Reference counted, driver thread only (plain counter).
 */
#ifndef TIDE_RDD_RDD_H
#define TIDE_RDD_RDD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/block.h"

/* An operator descriptor made in Lua: opaque MessagePack map. Reference counted; shared by all batches. */
struct tide_op {
    uint32_t refs;
    bool keeps_keys; /* keys are not changed: the partitioning of the parent still holds (filter, mapValues …) */
    uint32_t size;
    uint8_t bytes[];
};

struct tide_op *tide_op_new(const void *bytes, size_t size, bool keeps_keys);
struct tide_op *tide_op_retain(struct tide_op *op);
void tide_op_release(struct tide_op *op);

/* How records find their new partition. */
enum tide_route {
    TIDE_ROUTE_HASH,       /* by key group of the key */
    TIDE_ROUTE_ROUNDROBIN, /* repartition: evenly, whatever the record is */
    TIDE_ROUTE_SINGLE,     /* everything to partition 0 */
    TIDE_ROUTE_RANGE       /* by key order, bounds sampled from the data: sortByKey */
};

/* A shuffle: `write` runs at the end of the map-side task (combine or plain), `read` at the start of the
 * reduce-side task (merge, group, sort, concat). Reference counted. */
struct tide_exchange {
    uint32_t refs;
    enum tide_route route;
    uint32_t partitions;
    bool ascending; /* RANGE */
    struct tide_op *write;
    struct tide_op *read;
};

struct tide_exchange *tide_exchange_new(enum tide_route route, uint32_t partitions, bool ascending,
                                        struct tide_op *write, struct tide_op *read); /* retains the ops */
struct tide_exchange *tide_exchange_retain(struct tide_exchange *exchange);
void tide_exchange_release(struct tide_exchange *exchange);

enum tide_rdd_kind {
    TIDE_RDD_BLOCKS,   /* partitions of blocks at hand */
    TIDE_RDD_FILES,    /* byte ranges of text files */
    TIDE_RDD_NARROW,   /* parent, operator */
    TIDE_RDD_UNION,    /* partitions of all parents, in order */
    TIDE_RDD_COALESCE, /* runs of neighbouring parent partitions, without a shuffle */
    TIDE_RDD_SHUFFLED  /* parent, exchange; keeps its map outputs once computed, as long as the node lives */
};

/* Most partitions a dataset may have. */
enum { TIDE_RDD_MAX_PARTITIONS = 1 << 20 };

struct tide_rdd;

struct tide_file_split {
    char *path;
    uint64_t offset, length;
};

/* Constructors return a node with reference count 1 and retain parents and operators. */
/* Takes the lists (moves their content out). */
struct tide_rdd *tide_rdd_blocks_new(struct tide_blocks *partitions, uint32_t count);
/* Takes the paths (heap). */
struct tide_rdd *tide_rdd_files_new(struct tide_file_split *splits, uint32_t count);
struct tide_rdd *tide_rdd_narrow_new(struct tide_rdd *parent, struct tide_op *op);
/* NULL when it would have more than TIDE_RDD_MAX_PARTITIONS. */
struct tide_rdd *tide_rdd_union_new(struct tide_rdd **parents, uint32_t count);
struct tide_rdd *tide_rdd_coalesce_new(struct tide_rdd *parent, uint32_t partitions);
struct tide_rdd *tide_rdd_shuffled_new(struct tide_rdd *parent, struct tide_exchange *exchange);
struct tide_rdd *tide_rdd_retain(struct tide_rdd *rdd);
/* Long lineages are released without recursion. */
void tide_rdd_release(struct tide_rdd *rdd);

uint64_t tide_rdd_id(const struct tide_rdd *rdd); /* unique in the process */
enum tide_rdd_kind tide_rdd_kind(const struct tide_rdd *rdd);
uint32_t tide_rdd_partitions(const struct tide_rdd *rdd);
/* Number of partitions if records are partitioned by key hash, else 0. */
uint32_t tide_rdd_hash_partitions(const struct tide_rdd *rdd);
/* Records at hand without computing (BLOCKS and unions of it), or -1. */
int64_t tide_rdd_known_records(const struct tide_rdd *rdd);

#endif
