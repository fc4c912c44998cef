/*
 * Making the datasets of one batch, in two parts:
 *
 *   demand: from the outputs that are valid at T, in order of registration, depth first: which (stream, time) pairs
 *           have to be computed, parents before children. Pairs whose dataset is in memory are not asked again;
 *           "no dataset" is not kept in memory, but within one generation it is asked for once.
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

/* Finds the demand of batch `time`; the graph has begun and receiver inputs have been allocated their blocks. */
void tide_generation_begin(struct tide_generation *generation, int64_t time);
/* Instead of a batch: finds the demand of one dataset, at any time, also several before the run. Returns the number that
 * tide_generation_answer_of takes. */
uint32_t tide_generation_want(struct tide_generation *generation, struct tide_stream *stream, int64_t time);
/* Computes until all steps are done (DONE), a function of the script has to be run (ASKS), or a step failed (a
 * TIDE_E* code: the generation is over, tide_generation_end is what is left to do). */
int tide_generation_run(struct tide_generation *generation, struct tide_error *err);
/* After ASKS: the stream whose function is wanted, and its parents' datasets (borrowed, all there). */
struct tide_stream *tide_generation_asks(const struct tide_generation *generation, struct tide_rdd *const **parents,
                                         uint32_t *count);
/* The time its dataset is for: that of the batch, or an earlier one. */
int64_t tide_generation_asks_time(const struct tide_generation *generation);
/* After ASKS: the function's result (retained); go on with tide_generation_run. */
void tide_generation_answer(struct tide_generation *generation, struct tide_rdd *rdd);
/* Whether there is none because something has failed. */
bool tide_generation_failed(const struct tide_generation *generation, uint32_t output);
/* For graphs that are skipping, after ASKS or an error: what was to be made has failed, for good (tide_graph_set_skipping); go on
 * with tide_generation_run. false: that can't be passed over. */
bool tide_generation_skip(struct tide_generation *generation);
/* After DONE: the dataset of an output, borrowed until tide_generation_end, or NULL when it has none for this
 * batch. */
struct tide_rdd *tide_generation_output(const struct tide_generation *generation, uint32_t output);
/* The same for what was wanted. */
struct tide_rdd *tide_generation_answer_of(const struct tide_generation *generation, uint32_t want);
/* Number of steps computed, and the i-th of them: for tests and logs. */
uint32_t tide_generation_steps(const struct tide_generation *generation);
struct tide_stream *tide_generation_step(const struct tide_generation *generation, uint32_t index, int64_t *time);
/* Lets go of everything; at any point. */
void tide_generation_end(struct tide_generation *generation);

#endif
