/*
 * A stage: the computation of chosen partitions of one dataset without crossing a shuffle. Cutting follows narrow
 * lineage down to the leaves (blocks, files, shuffles) and gives, for each partition, a plan and the list of its
 * inputs in the order in which the plan takes them. Partitions of one shape share one plan.
 *
 * Thread: driver only. Nothing recurses over lineage.
 */
#ifndef TIDE_RDD_STAGE_H
#define TIDE_RDD_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "rdd/arity.h"
#include "rdd/plans.h"
#include "rdd/rdd.h"
#include "task/task.h"

/* Where a stage's records go. */
enum tide_sink_kind {
    TIDE_SINK_FINAL,   /* op is the sink's descriptor; one output list */
    TIDE_SINK_CACHE,   /* the same, and the root is computed although it is persistent: its partitions are cached */
    TIDE_SINK_SHUFFLE, /* map side of a shuffle: one output list per partition of the exchange */
    TIDE_SINK_SAMPLE   /* first phase of a range shuffle: output 0 the records, output 1 sampled keys */
};

struct tide_sink {
    enum tide_sink_kind kind;
    struct tide_op *op; /* borrowed; FINAL: the sink, else the exchange's write operator (may be NULL) */
    enum tide_route route;
    bool ascending;
    uint32_t outputs; /* lists a task makes */
};

struct tide_sink tide_sink_final(struct tide_op *op);
struct tide_sink tide_sink_cache(struct tide_op *op);
/* The map side of an exchange: SAMPLE when bounds have to be found first (a range over several partitions), else
 * SHUFFLE. */
struct tide_sink tide_sink_map(const struct tide_exchange *exchange);
/* The second phase of a range shuffle. */
struct tide_sink tide_sink_route(const struct tide_exchange *exchange);

/* Where an input comes from. */
struct tide_stage_leaf {
    struct tide_rdd *rdd; /* retained and pinned: BLOCKS, FILES, SHUFFLED, or persistent */
    uint32_t partition;
    bool cached; /* a cached partition of a persistent dataset */
};

/* A dataset that has to be computed before the tasks of a stage can be made. */
struct tide_stage_need {
    struct tide_rdd *rdd; /* borrowed: it is a leaf */
    bool cached;          /* partitions of a persistent dataset; else the map side of a SHUFFLED */
    int64_t time;         /* the batch of its records, from a guard on the way; -1: no guard */
};

struct tide_stage_part {
    struct tide_plan *plan; /* a reference */
    uint32_t partition;     /* of the root */
    uint32_t leaves;
    uint32_t nslots; /* of its tasks (task/task.h) */
    bool guarded;    /* computed through guards */
    uint64_t first_leaf, first_slot;
};

struct tide_stage {
    struct tide_rdd *root; /* retained */
    struct tide_stage_part *parts;
    struct tide_stage_leaf *inputs;
    uint32_t *slots;               /* index of the fact of each, in the ledger */
    struct tide_stage_need *needs; /* of the leaves that were not computed when the stage was cut, each once */
    struct tide_rdd **guards;      /* retained: those it was cut through, each once */
    uint64_t ninputs, nslots;
    uint32_t count; /* parts */
    uint32_t nneeds, nguards;
    uint32_t outputs; /* lists per task */
    bool may_lose;    /* some input may be dropped before its task begins, or a guard may be lost */
};

/* partitions NULL: all of them. Every number must be below the root's partitions. Partitions of persistent datasets
 * that were dropped are computed within the stage. Those for which there is room again are needs, so that they are
 * cached first; not with `again`, when a task has found them missing. Datasets that must agree in their arity go into
 * the ledger. */
struct tide_stage *tide_stage_new(struct tide_plans *plans, struct tide_arities *arities, struct tide_rdd *root,
                                  const uint32_t *partitions, uint32_t npartitions, const struct tide_sink *sink,
                                  bool again);
void tide_stage_delete(struct tide_stage *stage);

/* The task of the index-th part with its inputs filled in. All needs must be computed by now. inputs[i].partition is
 * the number of the partition of the leaf that the input is. NULL: a cached partition has been dropped since the
 * stage was cut, so this partition must be cut again. */
struct tide_task *tide_stage_task(const struct tide_stage *stage, const struct tide_arities *arities, uint32_t index);

/* The plan of the second phase of a range shuffle (inputs: the records of one map task, then the bounds). A
 * reference. */
struct tide_plan *tide_stage_route_plan(struct tide_plans *plans, const struct tide_exchange *exchange);

#endif
