/*
 * Datasets: nodes of lineage. A node describes how its partitions are made from its parents'; records are computed
 * only by jobs (rdd/stage.h, driver/scheduler.h). Reference counted, driver thread only (plain counter).
 */
#ifndef TIDE_RDD_RDD_H
#define TIDE_RDD_RDD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rdd/ffi.h"
#include "rdd/op.h"
#include "store/block.h"
#include "store/cache.h"

enum tide_rdd_kind {
    TIDE_RDD_BLOCKS,    /* partitions of blocks */
    TIDE_RDD_FILES,     /* byte ranges of text files */
    TIDE_RDD_NARROW,    /* parent, operator */
    TIDE_RDD_UNION,     /* partitions of all parents, in order */
    TIDE_RDD_COALESCE,  /* runs of neighbouring parent partitions, without a shuffle */
    TIDE_RDD_GUARD,     /* the parent, or nothing once the parent can't be computed */
    TIDE_RDD_SHUFFLED,  /* parent, exchange; map outputs are cached once computed, as long as the node lives */
    TIDE_RDD_ZIP_UNION, /* parents with equal numbers of partitions: partition i is theirs, one after the other */
    TIDE_RDD_ZIP,       /* parents with equal numbers of partitions: an operator makes partition i from theirs */
    TIDE_RDD_CARTESIAN  /* two parents a, b: an operator makes partition i * |b| + j from a's i and b's j */
};

struct tide_rdd;
struct tide_arity;

struct tide_file_split {
    char *path;
    uint64_t offset, length;
    uint64_t size; /* of the file when it was listed; 0: not known */
    uint32_t once; /* not 0: it can be read only once (format/byte_source.h) */
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
/* As shuffled, unless the exchange works in place and the parent is co-partitioned: then a ZIP over the parent, or
 * the parent itself (retained). */
struct tide_rdd *tide_rdd_partitioned_new(struct tide_rdd *parent, struct tide_exchange *exchange);
/* At least one parent. NULL when they differ in their number of partitions. */
struct tide_rdd *tide_rdd_zip_union_new(struct tide_rdd **parents, uint32_t count);
/* The union of datasets: a ZIP_UNION when all are co-partitioned by key, and the result is partitioned in that way
 * too; else a UNION. Datasets without partitions do not count, as in Spark. NULL when it would have too many
 * partitions. */
struct tide_rdd *tide_rdd_union_auto_new(struct tide_rdd **parents, uint32_t count);
/* At least one parent. NULL when they differ in their number of partitions. An op that keeps keys leaves each record
 * in the partition that the first parent's partitioning gives its key. */
struct tide_rdd *tide_rdd_zip_new(struct tide_rdd **parents, uint32_t count, struct tide_op *op);
/* Replaces the inputs and the operator of a ZIP node; nodes made from it see the new records. As for
 * tide_rdd_zip_new, with as many partitions as the node. false: it is computed, or being computed. */
bool tide_rdd_zip_remake(struct tide_rdd *rdd, struct tide_rdd **parents, uint32_t count, struct tide_op *op);
/* NULL when it would have more than TIDE_RDD_MAX_PARTITIONS. */
struct tide_rdd *tide_rdd_cartesian_new(struct tide_rdd *a, struct tide_rdd *b, struct tide_op *op);
/* The parent's partitions, for a reader that can do without them: when a job fails because the parent can't be
 * computed, the node is *lost*, for good; it has no records from then on, and its readers, running jobs included,
 * continue without it (rdd/guard.h). `time`: the batch of the parent's records, for messages; `owner` and `time` are
 * passed to the callback of tide_scheduler_on_lost. */
struct tide_rdd *tide_rdd_guard_new(struct tide_rdd *parent, int64_t time, void *owner);
/* Whether it is a GUARD that was lost. */
bool tide_rdd_lost(const struct tide_rdd *rdd);
/* The node needs at least one of its first `count` parents: when the last of them is lost, it can't be computed. */
void tide_rdd_needs_one_of(struct tide_rdd *rdd, uint32_t count);
/* No records, and so co-partitioned with every dataset of as many partitions. */
struct tide_rdd *tide_rdd_empty_new(uint32_t partitions);
struct tide_rdd *tide_rdd_retain(struct tide_rdd *rdd);
/* Long lineages are released without recursion. */
void tide_rdd_release(struct tide_rdd *rdd);
/* Live nodes in the whole process: for leak checks. Any thread. */
uint64_t tide_rdd_live(void);

uint64_t tide_rdd_id(const struct tide_rdd *rdd); /* unique in the process */
/* Whether its records are single values or pairs (rdd/arity.h); borrowed; NULL: it has no records and never will. */
struct tide_arity *tide_rdd_arity(const struct tide_rdd *rdd);
/* Its records are like those of a stream's other datasets. Only before other nodes are made from it. Retains. */
void tide_rdd_set_arity(struct tide_rdd *rdd, struct tide_arity *arity);
enum tide_rdd_kind tide_rdd_kind(const struct tide_rdd *rdd);
uint32_t tide_rdd_partitions(const struct tide_rdd *rdd);
/* Number of partitions if records are partitioned by key, else 0. */
uint32_t tide_rdd_key_partitions(const struct tide_rdd *rdd);
/* The partitioner that they are partitioned by; NULL: key hash. Borrowed. */
struct tide_partitioner *tide_rdd_partitioner(const struct tide_rdd *rdd);
/* The number of records, where it is known without computing (BLOCKS, computed persistent nodes, their unions), or
 * -1. */
int64_t tide_rdd_known_records(const struct tide_rdd *rdd);
/* For listeners: the known number; of files, the number that jobs have read, if they have read all of them, or what
 * tide_rdd_tell_records said of them. */
int64_t tide_rdd_read_records(const struct tide_rdd *rdd);
void tide_rdd_tell_records(struct tide_rdd *rdd, int64_t records);
/* A name for people, shown in lineage; NULL: none (also what is returned then). Copied. */
void tide_rdd_set_name(struct tide_rdd *rdd, const char *name);
const char *tide_rdd_name(const struct tide_rdd *rdd);

/* ---- Persistence ----------------------------------------------------------------------------------------------
 *
 * The first job that needs a persistent dataset computes all its partitions in a stage of its own, shared with jobs
 * that need it meanwhile. They are cached (store/cache.h) according to the storage level, and the node is a source
 * like BLOCKS from then on. A partition that the cache has dropped is recomputed by the jobs that need it, as if the
 * dataset were not persistent; if there is room for it again, it is cached again first.
 */

/* Spark's name of a level, such as "MEMORY_AND_DISK_SER_2"; TIDE_LEVEL_NAME bytes at most. */
enum { TIDE_LEVEL_NAME = 32 };
void tide_level_name(uint8_t level, char name[TIDE_LEVEL_NAME]);

/* level: not 0. truncate: the parents are released once the node is computed, so that lineage does not grow from
 * batch to batch. That is final, also if the node is unpersisted later; so its partitions are never dropped. A second
 * call replaces both settings. */
void tide_rdd_persist(struct tide_rdd *rdd, uint8_t level, bool truncate);
/* Its cached partitions are freed when no stage waits to read them; the dataset is recomputed from its parents when
 * needed. Nothing happens to a dataset that is not persistent. */
void tide_rdd_unpersist(struct tide_rdd *rdd);
uint8_t tide_rdd_level(const struct tide_rdd *rdd);
/* Whether its records are available without computing: it is persistent and was computed, or it is BLOCKS. *bytes
 * (may be NULL) = their size. */
bool tide_rdd_available(const struct tide_rdd *rdd, uint64_t *bytes);
/* Whether the last attempt to compute a persistent node has failed. */
bool tide_rdd_failed(const struct tide_rdd *rdd);

/* Where the partitions of a computed persistent dataset are. */
struct tide_rdd_places {
    uint32_t memory, disk, gone; /* partitions */
    uint64_t memory_bytes, disk_bytes;
};

void tide_rdd_places(const struct tide_rdd *rdd, struct tide_rdd_places *places);
/* Hands the blocks of a BLOCKS node (usually received data) to the cache. They cannot be recomputed, so they may be
 * spilled but never dropped; with a level without MEMORY they are spilled at once. level 0: the node's own, if it has
 * one, else memory first. Nothing happens to other nodes, or if the cache has the blocks already. */
void tide_rdd_cache_received(struct tide_rdd *rdd, struct tide_cache *cache, uint8_t level);

/* ---- Checkpoints (rdd/checkpoint.c) ---------------------------------------------------------------------------
 *
 * A marked node is written to files after the next job that reaches it. From then on it reads the files instead of
 * being computed from its parents, which it releases. The driver's Lua writes
 * (lua/moontide/operators/checkpoint.lua); here is the node's state.
 */

enum tide_checkpoint { TIDE_CHECKPOINT_NONE, TIDE_CHECKPOINT_MARKED, TIDE_CHECKPOINT_WRITING, TIDE_CHECKPOINT_DONE };

enum tide_checkpoint tide_rdd_checkpoint(const struct tide_rdd *rdd);
/* The directory of its files, and the place in the script that asked for them; NULL when it is not marked. */
const char *tide_rdd_checkpoint_directory(const struct tide_rdd *rdd);
const char *tide_rdd_checkpoint_site(const struct tide_rdd *rdd);
/* NONE → MARKED. Otherwise nothing happens. Copies. */
void tide_rdd_checkpoint_mark(struct tide_rdd *rdd, const char *directory, const char *site);
/* The nodes to write when a job on `rdd` has succeeded: on each path up from it (itself included) the first that is
 * marked, unless one that is being written, or was, comes before. Call it before the job, which may release the
 * lineage on the way. *marked: heap array, borrowed nodes; NULL when there are none. Returns their number. */
uint32_t tide_rdd_checkpoint_due(struct tide_rdd *rdd, struct tide_rdd ***marked);
/* MARKED → WRITING. false: it is not marked, or being written already. */
bool tide_rdd_checkpoint_begin(struct tide_rdd *rdd);
/* WRITING → NONE: writing has failed. */
void tide_rdd_checkpoint_fail(struct tide_rdd *rdd);
/* WRITING → DONE, after a job has computed all partitions. `parts` (BLOCKS, as many partitions) names the files of
 * each partition, `read` reads them; both are retained. Cached partitions stay until the node is unpersisted. The
 * lineage is cut when no stage waits to read from the node. */
void tide_rdd_checkpoint_end(struct tide_rdd *rdd, struct tide_rdd *parts, struct tide_op *read);

#endif
