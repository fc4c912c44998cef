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
#include "rdd/ffi.h"
#include "rdd/op.h"
#include "store/block.h"
#include "store/cache.h"

enum tide_rdd_kind {
    TIDE_RDD_BLOCKS,    /* partitions of blocks at hand */
    TIDE_RDD_FILES,     /* byte ranges of text files */
    TIDE_RDD_NARROW,    /* parent, operator */
    TIDE_RDD_UNION,     /* partitions of all parents, in order */
    TIDE_RDD_COALESCE,  /* runs of neighbouring parent partitions, without a shuffle */
    TIDE_RDD_GUARD,     /* the parent as it is, until it turns out that it can't be computed */
    TIDE_RDD_SHUFFLED,  /* parent, exchange; has its map outputs kept once computed, as long as the node lives */
    TIDE_RDD_ZIP_UNION, /* parents of as many partitions each: partition i is theirs one after the other */
    TIDE_RDD_ZIP,       /* parents of as many partitions each: an operator makes partition i of all theirs */
    TIDE_RDD_CARTESIAN  /* two parents a, b: an operator makes partition i * |b| + j of a's i and b's j */
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
/* As shuffled, unless the exchange works in place and the parent is co-partitioned: then a ZIP over the parent, or the
 * parent itself (retained). */
struct tide_rdd *tide_rdd_partitioned_new(struct tide_rdd *parent, struct tide_exchange *exchange);
/* At least one parent. NULL when they differ in their number of partitions. */
struct tide_rdd *tide_rdd_zip_union_new(struct tide_rdd **parents, uint32_t count);
/* The union of datasets as programs mean it: a ZIP_UNION when all are partitioned by key in the same way,
 * which that union then is too; else a UNION. Datasets without partitions do not count, as in Spark. NULL when it would have too
 * many partitions. */
struct tide_rdd *tide_rdd_union_auto_new(struct tide_rdd **parents, uint32_t count);
/* At least one parent. NULL when they differ in their number of partitions. An op that keeps keys promises that each record
 * is in the partition that the first parent's partitioning gives its key. */
struct tide_rdd *tide_rdd_zip_new(struct tide_rdd **parents, uint32_t count, struct tide_op *op);
/* Makes a ZIP node that has not been computed, and is not being computed, be made from other inputs by another operator from
 * now on; nodes above it see the new records. Inputs and operator as for tide_rdd_zip_new, with as many partitions as the node.
 * false: it is too late. */
bool tide_rdd_zip_remake(struct tide_rdd *rdd, struct tide_rdd **parents, uint32_t count, struct tide_op *op);
/* NULL when it would have more than TIDE_RDD_MAX_PARTITIONS. */
struct tide_rdd *tide_rdd_cartesian_new(struct tide_rdd *a, struct tide_rdd *b, struct tide_op *op);
/* The parent's partitions, for a reader that can do without: when a job fails because the parent can't be computed, the node
 * is *lost*, once and for good; it has no records from then on, and what reads it, jobs under way too, goes on without it
 * (rdd/guard.h). `time`: the batch of the parent's records, for messages; `owner` and `time` are told to who hears of losses
 * (tide_scheduler_on_lost). */
struct tide_rdd *tide_rdd_guard_new(struct tide_rdd *parent, int64_t time, void *owner);
/* A GUARD that was lost. */
bool tide_rdd_lost(const struct tide_rdd *rdd);
/* The node can't do without all of its first `count` parents: when the last of them is lost, it can't be computed. */
void tide_rdd_wants_one(struct tide_rdd *rdd, uint32_t count);
/* No records, and so partitioned by key in whatever way is asked for. */
struct tide_rdd *tide_rdd_empty_new(uint32_t partitions);
struct tide_rdd *tide_rdd_retain(struct tide_rdd *rdd);
/* Long lineages are released without recursion. */
void tide_rdd_release(struct tide_rdd *rdd);
/* Live nodes in the whole process: for leak checks. Any thread. */
uint64_t tide_rdd_live(void);

uint64_t tide_rdd_id(const struct tide_rdd *rdd); /* unique in the process */
/* What is known of its records (rdd/arity.h); borrowed, NULL when it has none and never will. */
struct tide_arity *tide_rdd_arity(const struct tide_rdd *rdd);
/* For a node that nothing has been made of yet: its records are like those of a stream's other datasets. Retains. */
void tide_rdd_set_arity(struct tide_rdd *rdd, struct tide_arity *arity);
enum tide_rdd_kind tide_rdd_kind(const struct tide_rdd *rdd);
uint32_t tide_rdd_partitions(const struct tide_rdd *rdd);
/* Number of partitions if records are partitioned by key, else 0. */
uint32_t tide_rdd_key_partitions(const struct tide_rdd *rdd);
/* What by. NULL: key hash. Borrowed. */
struct tide_partitioner *tide_rdd_partitioner(const struct tide_rdd *rdd);
/* Records at hand without computing (BLOCKS, persistent ones that were computed, unions of these), or -1. */
int64_t tide_rdd_known_records(const struct tide_rdd *rdd);
/* A name for people, shown in lineage; NULL: none (also what is returned then). Copied. */
void tide_rdd_set_name(struct tide_rdd *rdd, const char *name);
const char *tide_rdd_name(const struct tide_rdd *rdd);

/* ---- Persistence ----------------------------------------------------------------------------------------------
 *
 * The first job that needs a persistent dataset computes all its partitions in a stage of its own, shared with the jobs
 * that want it meanwhile. They are kept in the cache (store/cache.h) as its level says, and the node is a source like BLOCKS
 * from then on. A partition that the cache has given up is computed by the jobs that need it as if the dataset were not
 * persistent; one for which there is room again is kept again first.
 */

/* "MEMORY_AND_DISK_SER_2", as Spark calls it; the text is of that size at most. */
enum { TIDE_LEVEL_NAME = 32 };
void tide_level_name(uint8_t level, char name[TIDE_LEVEL_NAME]);

/* level: not 0. truncate: the parents are let go of once it is computed, so that lineage does not grow from batch to batch;
 * for good, also if it is unpersisted later; so none of its partitions is ever given up. Calling it again changes both. */
void tide_rdd_persist(struct tide_rdd *rdd, uint8_t level, bool truncate);
/* What is kept is freed when no stage waits to read it; the dataset is computed from its parents again. Nothing happens to a
 * dataset that is not persistent. */
void tide_rdd_unpersist(struct tide_rdd *rdd);
uint8_t tide_rdd_level(const struct tide_rdd *rdd);
/* Whether its records are at hand: it is persistent and was computed, or it is BLOCKS. *bytes (may be NULL) = their size. */
bool tide_rdd_at_hand(const struct tide_rdd *rdd, uint64_t *bytes);
/* Whether the last attempt to compute a persistent node has failed; a later one that succeeds takes that back. */
bool tide_rdd_failed(const struct tide_rdd *rdd);

/* Where the partitions of a computed persistent dataset are. */
struct tide_rdd_places {
    uint32_t memory, disk, gone; /* partitions */
    uint64_t memory_bytes, disk_bytes;
};

void tide_rdd_places(const struct tide_rdd *rdd, struct tide_rdd_places *places);
/* From now on the cache has the blocks of this BLOCKS node, received data above all: they are nowhere else, so none is given up, but
 * they may go to disk, and with a level without MEMORY they do (0: its own one, if any; else memory
 * first). Nothing happens to other nodes and to what the cache has. */
void tide_rdd_cache_received(struct tide_rdd *rdd, struct tide_cache *cache, uint8_t level);

/* ---- Checkpoints (rdd/checkpoint.c) ---------------------------------------------------------------------------
 *
 * A node that is marked is written to files after the next job that reaches it, and reads them from then on instead of being
 * computed from its parents, which it lets go of. Who runs jobs does the writing (lua/moontide/operators/checkpoint.lua);
 * here is what the node knows of it.
 */

enum tide_checkpoint { TIDE_CHECKPOINT_NONE, TIDE_CHECKPOINT_MARKED, TIDE_CHECKPOINT_WRITING, TIDE_CHECKPOINT_DONE };

enum tide_checkpoint tide_rdd_checkpoint(const struct tide_rdd *rdd);
/* Where its files are or will be, and where in the script that was asked for; NULL when it is not marked. */
const char *tide_rdd_checkpoint_directory(const struct tide_rdd *rdd);
const char *tide_rdd_checkpoint_site(const struct tide_rdd *rdd);
/* NONE → MARKED. Otherwise nothing happens. Copies. */
void tide_rdd_checkpoint_mark(struct tide_rdd *rdd, const char *directory, const char *site);
/* The nodes to be written when a job on `rdd` has succeeded: on each way up from it (itself included) the first that is marked,
 * unless one that is being written or has been comes before. To be asked before the job, which may let go of what leads there.
 * *marked: heap array, borrowed nodes; NULL when there are none. Returns their number. */
uint32_t tide_rdd_checkpoint_due(struct tide_rdd *rdd, struct tide_rdd ***marked);
/* MARKED → WRITING. false: it is not marked, or somebody else writes it. */
bool tide_rdd_checkpoint_begin(struct tide_rdd *rdd);
/* WRITING → NONE: it could not be written. */
void tide_rdd_checkpoint_fail(struct tide_rdd *rdd);
/* WRITING → DONE, after a job has computed all partitions. `parts` (BLOCKS, as many partitions) says where the records of each
 * partition are, `read` gets them; both are retained. What the node keeps (persist) stays until it is unpersisted. Takes effect
 * on the lineage when no stage waits to read from the node. */
void tide_rdd_checkpoint_end(struct tide_rdd *rdd, struct tide_rdd *parts, struct tide_op *read);

#endif
