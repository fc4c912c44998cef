/*
 * The descriptions that nodes of lineage and streams share: operators, partitioners, and exchanges, which move
 * records to new partitions. Made by the bindings from Lua's descriptors, shared by the datasets of all batches.
 *
 * Driver thread only (plain counters). Immutable once made.
 */
#ifndef TIDE_RDD_OP_H
#define TIDE_RDD_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "rdd/ffi.h"

struct tide_broadcast_refs;

/* Most partitions a dataset may have. */
enum { TIDE_RDD_MAX_PARTITIONS = 1 << 20 };

/* An operator descriptor made in Lua: opaque MessagePack map. Reference counted; shared by all batches. */
struct tide_op {
    uint32_t refs;
    uint32_t in_plans; /* references among these that recent plans hold (rdd/plans.h) */
    bool keeps_keys;   /* keys are not changed: the parent's partitioning still holds (filter, mapValues …) */
    bool indexed;      /* its function gets the number of the partition; set after _new */
    uint8_t makes;     /* enum tide_makes */
    uint32_t size;
    struct tide_broadcast_refs *broadcasts; /* the broadcast variables that its functions use; NULL: none */
    uint8_t bytes[];
};

struct tide_op *tide_op_new(const void *bytes, size_t size, bool keeps_keys);
struct tide_op *tide_op_retain(struct tide_op *op);
void tide_op_release(struct tide_op *op);
/* Appends "map (job.lua:12)" from the descriptor, or `otherwise` when it tells no name. op may be NULL. */
void tide_op_label(const struct tide_op *op, const char *otherwise, struct tide_buffer *out);

/* A function of the script that gives the partition of a key. Two partitioners are the same if their identities are:
 * the name that the script gave, or else the content of the function. `bytes` is a descriptor made in Lua: opaque.
 * Reference counted. */
struct tide_partitioner {
    uint32_t refs;
    uint32_t size;
    uint64_t id[2];
    struct tide_broadcast_refs *broadcasts; /* as an operator's */
    uint8_t bytes[];
};

struct tide_partitioner *tide_partitioner_new(const void *identity, size_t identity_size, const void *bytes,
                                              size_t size);
struct tide_partitioner *tide_partitioner_retain(struct tide_partitioner *partitioner); /* NULL is fine */
void tide_partitioner_release(struct tide_partitioner *partitioner);                    /* NULL is fine */
/* NULL is the partitioner by key hash. */
bool tide_partitioner_same(const struct tide_partitioner *a, const struct tide_partitioner *b);

/* A shuffle: `write` runs at the end of the map-side task (combine or plain), `read` at the start of the
 * reduce-side task (merge, group, sort, concat). Reference counted. */
struct tide_exchange {
    uint32_t refs;
    enum tide_route route;
    uint32_t partitions;
    bool ascending;                       /* RANGE */
    struct tide_partitioner *partitioner; /* HASH: what `write` partitions by; NULL: key hash */
    bool in_place; /* HASH: a dataset that is co-partitioned is not shuffled (tide_exchange_set_in_place) */
    struct tide_op *write;
    struct tide_op *read;
    struct tide_op *in_place_op; /* replaces write and read then: a ZIP operator over one child; NULL: none needed */
};

struct tide_exchange *tide_exchange_new(enum tide_route route, uint32_t partitions, bool ascending,
                                        struct tide_op *write, struct tide_op *read); /* retains the ops */
/* HASH only. Retains. */
void tide_exchange_partition_by(struct tide_exchange *exchange, struct tide_partitioner *partitioner);
/* HASH only. A dataset that is partitioned by key in the same way already is not shuffled: `op` (retained) is applied
 * to each of its partitions; NULL: it is used as it is. See tide_rdd_partitioned_new. */
void tide_exchange_set_in_place(struct tide_exchange *exchange, struct tide_op *op);
struct tide_exchange *tide_exchange_retain(struct tide_exchange *exchange);
void tide_exchange_release(struct tide_exchange *exchange);

#endif
