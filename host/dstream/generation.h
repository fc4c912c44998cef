/*
 * Making the datasets of one batch, in two parts:
 *
 *   demand: from the outputs that are valid at T, in order of registration, depth first: which (stream, time) pairs
 *           have to be computed, parents before children. Pairs whose dataset is in memory are not computed again;
 *           "no dataset" is not stored, but within one generation it is computed once.
 *   run:    computes these steps in that order. A transform step stops the run until the script has answered.
 *
 * Both are loops, whatever the depth of the graph and however far back a stream reaches.
 *
 * Thread: driver only. One generation at a time for a graph; its memory is used again for the next.
 */
#ifndef TIDE_DSTREAM_GENERATION_H
#define TIDE_DSTREAM_GENERATION_H

#include "dstream/graph.h"

struct tide_generation;

enum { TIDE_GENERATION_DONE = 0, TIDE_GENERATION_ASKS = 1 };

struct tide_generation *tide_generation_new(struct tide_graph *graph); /* borrows the graph */
void tide_generation_delete(struct tide_generation *generation);

/* Finds the demand of batch `time`; the graph has begun and the receiver inputs have their blocks. */
void tide_generation_begin(struct tide_generation *generation, int64_t time);
/* Instead of a batch: finds the demand of one dataset, of any time; may be called several times before the run.
 * Returns the number for tide_generation_answer_of. */
uint32_t tide_generation_want(struct tide_generation *generation, struct tide_stream *stream, int64_t time);
/* Computes until all steps are done (DONE), a function of the script has to be run (ASKS), or a step has failed (a
 * TIDE_E* code: then only tide_generation_skip or tide_generation_end may follow). */
int tide_generation_run(struct tide_generation *generation, struct tide_error *err);
/* After ASKS: the stream whose function has to run, and its parents' datasets (borrowed, none NULL). */
struct tide_stream *tide_generation_asks(const struct tide_generation *generation, struct tide_rdd *const **parents,
                                         uint32_t *count);
/* The time its dataset is for: that of the batch, or an earlier one. */
int64_t tide_generation_asks_time(const struct tide_generation *generation);
/* After ASKS: the function's result (retained); then continue with tide_generation_run. */
void tide_generation_answer(struct tide_generation *generation, struct tide_rdd *rdd);
/* Whether the output has no dataset because one has failed. */
bool tide_generation_failed(const struct tide_generation *generation, uint32_t output);
/* For graphs that are skipping, after ASKS or an error: marks the dataset of the current step as failed
 * (tide_graph_set_skipping); then continue with tide_generation_run. false: this failure can't be skipped. */
bool tide_generation_skip(struct tide_generation *generation);
/* After DONE: the dataset of an output, borrowed until tide_generation_end, or NULL when it has none for this
 * batch. */
struct tide_rdd *tide_generation_output(const struct tide_generation *generation, uint32_t output);
/* The same for tide_generation_want. */
struct tide_rdd *tide_generation_answer_of(const struct tide_generation *generation, uint32_t want);
/* Number of steps computed, and the i-th of them: for tests and logs. */
uint32_t tide_generation_steps(const struct tide_generation *generation);
struct tide_stream *tide_generation_step(const struct tide_generation *generation, uint32_t index, int64_t *time);
/* Releases everything; at any point. */
void tide_generation_end(struct tide_generation *generation);

#endif
