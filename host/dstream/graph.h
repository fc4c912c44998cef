/*
 * The graph of streams of one streaming context: what is declared before start(), and the datasets each stream
 * remembers. It knows nothing of ticks, jobs or the script: driver/runner.c feeds it batch times and cuts, and
 * dstream/generation.h computes the datasets of one batch.
 *
 * A *stream* is a recipe: from the datasets of its parents it makes a dataset for every valid time (zero + k ×
 * slide). "No dataset" (NULL, "None") and an empty dataset are different things everywhere. Streams are numbered
 * 0, 1, 2 … in the order of their declaration, so a parent's number is always smaller than its child's.
 *
 * Thread: driver only. Ownership: the graph owns its streams; pointers to them are valid until tide_graph_delete.
 * Errors: constructors return NULL and set TIDE_EINVAL (bad argument) or TIDE_ESTATE (the graph is sealed).
 */
#ifndef TIDE_DSTREAM_GRAPH_H
#define TIDE_DSTREAM_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ingest/ingest.h"
#include "rdd/rdd.h"

struct tide_graph;
struct tide_stream;

/* ---- Declaring ---------------------------------------------------------------------------------------------- */

/* `batch` ms >= 1. `remember`: every stream keeps its datasets at least that long; 0 = only as long as needed. */
struct tide_graph *tide_graph_new(int64_t batch, int64_t remember);
/* The same `remember` as above, until the graph has begun. */
void tide_graph_set_remember(struct tide_graph *graph, int64_t remember);
/* Failures are skipped. A dataset that can't be made, or that fails when a job computes it, counts as no dataset from
 * then on: windows, states and unions continue without it, in the same batch and in batches that were generated
 * before the failure; other streams have no dataset at that time. Streams that are made from their own datasets
 * continue from the last one that could be computed. Default: failures are not skipped, because the program ends with
 * the batch. */
void tide_graph_set_skipping(struct tide_graph *graph, bool skipping);
/* Whether there is a directory for checkpoints: streams that must be checkpointed cannot be used without. */
void tide_graph_set_checkpointing(struct tide_graph *graph, bool checkpointing);
/* The cache that takes received data when its batch is done, borrowed; NULL: it stays in memory as it is. */
void tide_graph_set_cache(struct tide_graph *graph, struct tide_cache *cache);
/* Releases every stream and dataset, and closes sources that no ingest has taken. NULL is fine. */
void tide_graph_delete(struct tide_graph *graph);

/* The stream of a source that bind/ has made; its dataset is what arrived since the batch before. Takes the source,
 * also when it fails; the source's id must be tide_graph_next_id. */
struct tide_stream *tide_stream_receiver(struct tide_graph *graph, struct tide_source *take, struct tide_error *err);
/* A receiver's: the storage level of data that is remembered after its batch (tide_rdd_cache_received). 0: memory
 * first, then disk. */
void tide_stream_set_received_level(struct tide_stream *stream, uint8_t level);
/* Datasets pushed by the script: one per batch, or everything queued as their union. With nothing queued:
 * `otherwise` (retained), or an empty dataset of one partition when it is NULL. */
struct tide_stream *tide_stream_queue(struct tide_graph *graph, bool one_at_a_time, struct tide_rdd *otherwise,
                                      struct tide_error *err);
/* At any time. Retains. TIDE_EINVAL when it is not a queue stream. */
int tide_stream_push(struct tide_stream *stream, struct tide_rdd *rdd, struct tide_error *err);
/* Batch i (from 1) gets entries[i - 1]; NULL = no dataset in that batch. Past the end: `otherwise`, or an empty
 * dataset of one partition when it is NULL. Retains them all. */
struct tide_stream *tide_stream_replay(struct tide_graph *graph, struct tide_rdd *const *entries, uint32_t count,
                                       struct tide_rdd *otherwise, struct tide_error *err);
/* One operator on every partition. Retains op. No dataset in, no dataset out. */
struct tide_stream *tide_stream_narrow(struct tide_stream *parent, struct tide_op *op, struct tide_error *err);
/* A shuffle. Retains exchange. No dataset in, no dataset out. */
struct tide_stream *tide_stream_shuffled(struct tide_stream *parent, struct tide_exchange *exchange,
                                         struct tide_error *err);
/* All partitions of all parents in order. Parents: at least one, all of this graph, all of one slide. A parent
 * without a dataset is an error of the batch. */
struct tide_stream *tide_stream_union(struct tide_graph *graph, struct tide_stream *const *parents, uint32_t count,
                                      struct tide_error *err);
/* An operator (rdd/rdd.h: ZIP) reads the parents' datasets side by side. With an exchange, which must work in place
 * (tide_exchange_set_in_place), each is brought to its partitions first. Retains both. Same rules as union. */
struct tide_stream *tide_stream_zip(struct tide_graph *graph, struct tide_stream *const *parents, uint32_t count,
                                    struct tide_op *op, struct tide_exchange *exchange, struct tide_error *err);
/* The datasets of the last `length` ms, those there are, oldest first; one every `slide` ms (0: that of the parent).
 * Both multiples of the parent's slide. `single`: in one partition. The parent becomes persistent in memory. */
struct tide_stream *tide_stream_window(struct tide_stream *parent, int64_t length, int64_t slide, bool single,
                                       struct tide_error *err);
/* Whether an operator that makes one dataset of several may be applied to its own results, so that windows that
 * overlap share the work (merge_window.c). */
enum tide_merging {
    TIDE_MERGES_NOT,
    TIDE_MERGES,       /* a ZIP operator */
    TIDE_MERGES_NARROW /* an operator on the records of all, one dataset after the other */
};
/* The same for datasets that are all partitioned in the same way in `partitions`, made one by a ZIP operator over
 * one child that keeps keys, or with MERGES_NARROW by a narrow one. The parent becomes persistent in memory.
 * Retains op. */
struct tide_stream *tide_stream_merge_window(struct tide_stream *parent, int64_t length, int64_t slide,
                                             uint32_t partitions, struct tide_op *op, enum tide_merging merging,
                                             struct tide_error *err);
/* The same, each window made from the one before (inverse_window.c) by an operator with three inputs: the last own
 * dataset, what leaves, what comes. slide <= length. Must be checkpointed. The parent becomes persistent in memory.
 * `anew` is the operator for a window after one that could not be computed: the last that could, nothing, and all
 * that is in the window. Retains both. */
struct tide_stream *tide_stream_inverse_window(struct tide_stream *parent, int64_t length, int64_t slide,
                                               uint32_t partitions, struct tide_op *op, struct tide_op *anew,
                                               struct tide_error *err);
/* Shows part of what the parent keeps: a ZIP operator with one input. Retains op. No dataset in, no dataset out. */
struct tide_stream *tide_stream_view(struct tide_stream *parent, struct tide_op *op, struct tide_error *err);
/* Keyed state (state.c: updateStateByKey, mapWithState): an operator with the inputs values, last own dataset,
 * time, and for mapWithState in its first batch the initial state. Parent and initial (may be NULL) are partitioned
 * by key in `partitions`. Must be checkpointed. Retains op and initial. */
struct tide_stream *tide_stream_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                      struct tide_rdd *initial, struct tide_error *err);
struct tide_stream *tide_stream_map_with_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                               struct tide_rdd *initial, struct tide_error *err);
/* A function of the script maps the parents' datasets to one (generation.h: TIDE_GENERATION_ASKS). Same rules as
 * union. */
struct tide_stream *tide_stream_transform(struct tide_graph *graph, struct tide_stream *const *parents,
                                          uint32_t count, struct tide_error *err);
/* Every dataset of the stream becomes persistent when it is made (tide_rdd_persist), and no longer is when the stream
 * forgets it. level 0: not; the last call counts. TIDE_ESTATE when the graph is sealed. */
int tide_stream_persist(struct tide_stream *stream, uint8_t level, bool truncate, struct tide_error *err);
uint8_t tide_stream_level(const struct tide_stream *stream);
/* Whether the records of its datasets are single values or pairs (rdd/arity.h); borrowed. */
struct tide_arity *tide_stream_arity(const struct tide_stream *stream);
/* Every interval ms the stream's dataset goes into the checkpoint, which needs a directory (tide_graph_checkpointing)
 * and sets the storage level to memory, as Spark does. TIDE_ESTATE when the graph is sealed; whether the interval
 * fits is looked at by tide_graph_begin. */
int tide_stream_checkpoint(struct tide_stream *stream, int64_t interval, struct tide_error *err);
/* 0: none (set by the script, or by tide_graph_begin where it must have one). */
int64_t tide_stream_checkpoint_interval(const struct tide_stream *stream);
/* The name by which people, checkpoints and sinks know the stream: at least one byte, copied. `keeper` is the stream
 * that keeps the state of which this one shows a part (window, mapWithState), or NULL: it gets the same name, if it
 * has none. TIDE_EINVAL when another stream of the graph has that name or this one has one; TIDE_ESTATE when the
 * graph is sealed. */
int tide_stream_set_name(struct tide_stream *stream, struct tide_stream *keeper, const char *name,
                         struct tide_error *err);
const char *tide_stream_name(const struct tide_stream *stream); /* NULL: it has none */
/* The stream of that name; of a stream and its keeper the keeper, which has what is to be found again. NULL: none. */
struct tide_stream *tide_graph_named(const struct tide_graph *graph, const char *name);
/* Registers an output operation on the stream; *output is its number (0, 1, 2 … in order of registration). */
int tide_stream_output(struct tide_stream *stream, uint32_t *output, struct tide_error *err);

uint32_t tide_stream_id(const struct tide_stream *stream);
int64_t tide_stream_slide(const struct tide_stream *stream);
struct tide_graph *tide_stream_graph(const struct tide_stream *stream);
/* "receiver", "queue", "replay", "narrow", "shuffled", "union", "zip", "transform", "window" …; static text. */
const char *tide_stream_kind(const struct tide_stream *stream);
/* How long datasets are kept; known once the graph has begun. */
int64_t tide_stream_remember(const struct tide_stream *stream);
/* The dataset in memory for that time, borrowed, or NULL, also when it has failed. Computes nothing. */
struct tide_rdd *tide_stream_dataset(const struct tide_stream *stream, int64_t time);
/* The dataset in memory for that time, for readers that can do without it (slices, windows, states, unions),
 * borrowed: NULL when there is none, or it has failed; in a graph that is skipping its guard (rdd/rdd.h), the same
 * for all readers. */
struct tide_rdd *tide_stream_guarded(struct tide_stream *stream, int64_t time);

int64_t tide_graph_batch(const struct tide_graph *graph);
int64_t tide_graph_zero(const struct tide_graph *graph); /* -1 until it has begun */
uint32_t tide_graph_streams(const struct tide_graph *graph);
uint32_t tide_graph_outputs(const struct tide_graph *graph);
struct tide_stream *tide_graph_stream(const struct tide_graph *graph, uint32_t id); /* NULL: no such stream */
uint32_t tide_graph_next_id(const struct tide_graph *graph);
bool tide_graph_has_receivers(const struct tide_graph *graph);

/* ---- Running ------------------------------------------------------------------------------------------------ */

/* Whether the graph could begin. TIDE_EINVAL: no output operation, or a checkpoint interval that does not fit;
 * TIDE_ESTATE when it is sealed already. Decides how long each stream remembers; what was decided before is
 * forgotten, so a graph can be corrected. */
int tide_graph_check(struct tide_graph *graph, struct tide_error *err);
/* Checks, seals the graph and fixes its time grid: the first batch is zero + batch. An error changes nothing. */
int tide_graph_begin(struct tide_graph *graph, int64_t zero, struct tide_error *err);
/* Forbids adding streams and outputs. */
void tide_graph_seal(struct tide_graph *graph);
/* Hands all sources over. */
void tide_graph_start_sources(struct tide_graph *graph, struct tide_ingest *ingest);

/* Gives the received blocks of a cut (entries may be NULL) to batch `time`: they become the datasets of the
 * receiver inputs at that time, in at most `partitions` runs of neighbouring blocks of about equal size. What a
 * batch that failed left behind comes first. Returns the number of records. Followed by tide_graph_settle. */
int64_t tide_graph_allocate(struct tide_graph *graph, int64_t time, struct tide_cut_entry *entries, uint32_t count,
                            uint32_t partitions);
/* The batch was generated, or not: then its received blocks are kept for the next allocation, and what was
 * computed from them is forgotten (the inputs have an empty dataset at that time, so that a window sees no record
 * twice). */
void tide_graph_settle(struct tide_graph *graph, int64_t time, bool generated);
/* Batch `time` is done with: what was received for it and is still remembered (a window will want it) no longer holds
 * up its source; it is kept data from now on, in the cache. */
void tide_graph_cache_received(struct tide_graph *graph, int64_t time);
/* The inputs that an output depends on: their number, and the i-th one's id and how many records its dataset of that
 * time has (0 when there is none, or when that is known only after reading it). */
uint32_t tide_graph_inputs(const struct tide_graph *graph);
int64_t tide_graph_input(const struct tide_graph *graph, uint32_t index, int64_t time, uint32_t *id);
/* The i-th input's id, and how many of its received records are part of a batch that is being generated, or of one
 * that could not be. */
int64_t tide_graph_input_leftovers(const struct tide_graph *graph, uint32_t index, uint32_t *id);
/* Received records that a batch which could not be generated has left for the next one. */
int64_t tide_graph_leftovers(const struct tide_graph *graph);

/* Batch `time` is done: every stream forgets its datasets with time <= `time` - remember. */
void tide_graph_forget(struct tide_graph *graph, int64_t time);
/* For graphs that are skipping. The outputs of batch `time` have ended: what was generated since and is to be made
 * from a dataset that could not be computed is made from the last one that could. */
void tide_graph_remake(struct tide_graph *graph, int64_t time);
/* How many datasets, and nodes that stand for several (merge_window.c), batches and forgetting have looked at so far:
 * what is done for a batch besides its tasks. */
uint64_t tide_graph_visits(const struct tide_graph *graph);
/* Forgets every dataset and every received block. */
void tide_graph_forget_all(struct tide_graph *graph);

#endif
