/*
 * How long streams remember their datasets. Called by driver/runner.c when a graph begins and whenever a batch is
 * done, on the driver thread.
 *
 * Every stream has a time to remember, as in Spark: the maximum of one slide, two checkpoint intervals, ssc:remember,
 * and the times of its children; a window adds its length. After that time a dataset is forgotten.
 *
 * The time is only an upper bound. Most datasets that are remembered for children are never read again, and they may
 * hold the received data of a whole window. So a dataset is released earlier, when its batch is done and no reader
 * can need it:
 *
 *   reader                                   until
 *   ssc:remember, for slices                 that time has passed
 *   a child made from one dataset a batch    it has its own dataset of that time, which refers to all that it is
 *                                            computed from, also when it is recomputed (rdd/rdd.h)
 *   a window over the stream                 its length has passed, and what it remembers itself
 *   an inverse window over the stream        the last complete window does not need it: each window is made from the
 *                                            one before, or from all datasets in it
 *   the stream itself (state, inverse        a later dataset of its own is complete: all later ones are made from
 *   windows)                                 that one
 *   the outputs of its batch                 the batch is done
 *
 * A dataset is complete when it is computed and cached and has released its parents. It cannot be recomputed then, so
 * its partitions are spilled but never dropped (store/cache.h): the level of a stream that windows read, or that is
 * made from its own datasets, determines where its data is, not whether it may be dropped.
 *
 * Datasets that the script provides itself (queues), and those of streams that need not remember longer than one
 * slide, are remembered for the full time. The entry of a released dataset stays in the stream's list until it would
 * have been forgotten: it shows that there was one.
 *
 * Per batch and stream, the dataset of the batch that is done is examined, and from the oldest on those that can be
 * released: the work does not grow with the number of datasets.
 */
#include "base/array.h"
#include "dstream/graph.h"
#include "dstream/stream.h"

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- Beginning ---------------------------------------------------------------------------------------------- */

static void remember_for_child(struct tide_stream *parent, const struct tide_stream *child) {
    bool window = child->ops->parent_remember;
    int64_t wanted = window ? child->ops->parent_remember(child) : child->remember;

    parent->reached = true;
    parent->remember = larger(parent->remember, wanted);
    if (window && !child->ops->remake) parent->due = larger(parent->due, wanted);
}

static void add_reader(struct tide_stream *parent, struct tide_stream *child) {
    TIDE_ARRAY_RESERVE(parent->readers, parent->readers_capacity, parent->nreaders + 1);
    parent->readers[parent->nreaders++] = child;
}

/* Datasets that the script provides are remembered for the full time: releasing them is the script's decision. */
static bool is_provided(const struct tide_stream *stream) {
    return stream->nparents == 0 && !tide_input_is_receiver(stream);
}

/* Of a start that was refused. */
static void forget_decisions(struct tide_graph *graph) {
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        struct tide_stream *stream = graph->streams[i];

        stream->reached = false;
        stream->remember = stream->due = 0;
        stream->nreaders = 0;
    }
}

void tide_graph_decide_remember(struct tide_graph *graph) {
    forget_decisions(graph);
    for (uint32_t i = 0; i < graph->noutputs; i++) graph->outputs[i]->reached = true;
    for (uint32_t i = graph->nstreams; i > 0; i--) {
        struct tide_stream *stream = graph->streams[i - 1];

        stream->remember = larger(stream->remember, stream->slide);
        if (!stream->reached) continue;
        if (stream->checkpoint == 0) stream->checkpoint = stream->must_checkpoint;
        if (stream->checkpoint >= stream->slide) stream->remember = larger(stream->remember, 2 * stream->checkpoint);
        stream->remember = larger(stream->remember, graph->remember);
        stream->due = larger(stream->due, graph->remember);
        if (!stream->ops->remake && stream->checkpoint > 0) stream->due = larger(stream->due, 2 * stream->checkpoint);
        for (uint32_t p = 0; p < stream->nparents; p++) remember_for_child(stream->parents[p], stream);
    }
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        struct tide_stream *stream = graph->streams[i];

        if (stream->remember <= larger(stream->due, stream->slide) || is_provided(stream))
            stream->due = stream->remember;
        for (uint32_t p = 0; stream->reached && p < stream->nparents; p++) add_reader(stream->parents[p], stream);
    }
}

/* ---- Forgetting --------------------------------------------------------------------------------------------- */

/* The dataset that the next one will be made from is never forgotten. */
static int64_t forget_limit(const struct tide_stream *stream, int64_t time) {
    int64_t limit = time - stream->remember;

    if (!stream->graph->skipping || !stream->ops->remake) return limit;

    int64_t base = tide_stream_before(stream, time + stream->slide);

    return limit < base ? limit : base - 1;
}

static bool is_complete(const struct tide_dataset *dataset) {
    return dataset->rdd && tide_rdd_kind(dataset->rdd) == TIDE_RDD_BLOCKS;
}

/* Looks for a later complete dataset, from which all later ones are made. */
static void advance_base(struct tide_stream *stream, int64_t time) {
    for (uint32_t i = tide_stream_find(stream, time + 1); i > 0; i--) {
        const struct tide_dataset *dataset = &stream->datasets[i - 1];

        stream->graph->visits++;
        if (dataset->time <= stream->base) return;
        if (is_complete(dataset)) {
            stream->base = dataset->time;
            return;
        }
    }
}

static bool has_made(const struct tide_stream *stream, int64_t time) {
    uint32_t at = tide_stream_find(stream, time);

    return time <= stream->forgotten || (at < stream->ndatasets && stream->datasets[at].time == time);
}

/* Whether the child will not read its parent's dataset of that time again. A window that is not made from the one
 * before is counted in `due`. */
static bool is_done_with(const struct tide_stream *child, int64_t time) {
    if (!child->ops->parent_remember) return has_made(child, time);
    if (!child->ops->remake) return true;

    int64_t length = child->ops->parent_remember(child) - child->remember;

    return child->base != INT64_MIN && time <= child->base - length;
}

static bool can_be_released(const struct tide_stream *stream, int64_t time, int64_t done) {
    stream->graph->visits++;
    if (time > done - stream->due) return false;
    if (stream->ops->remake && time >= stream->base) return false;
    for (uint32_t i = 0; i < stream->nreaders; i++)
        if (!is_done_with(stream->readers[i], time)) return false;
    return true;
}

static void release_datasets(struct tide_stream *stream, int64_t done) {
    uint32_t at = tide_stream_find(stream, done), from = tide_stream_find(stream, stream->kept_from);

    if (at < stream->ndatasets && stream->datasets[at].time == done && can_be_released(stream, done, done))
        tide_stream_release_dataset(stream, at);
    for (; from < stream->ndatasets; from++) {
        const struct tide_dataset *dataset = &stream->datasets[from];

        stream->kept_from = dataset->time;
        if (dataset->rdd && !can_be_released(stream, dataset->time, done)) return;
        tide_stream_release_dataset(stream, from);
    }
}

void tide_graph_forget(struct tide_graph *graph, int64_t time) {
    if (graph->done < time) graph->done = time;
    for (uint32_t i = graph->nstreams; i > 0; i--) { /* children first */
        struct tide_stream *stream = graph->streams[i - 1];
        int64_t limit = forget_limit(stream, time);

        tide_stream_forget(stream, limit);
        stream->forgotten = larger(stream->forgotten, limit);
        if (stream->ops->remake) advance_base(stream, time);
        if (stream->due < stream->remember) release_datasets(stream, time);
        if (stream->ops->forget) stream->ops->forget(stream, time);
    }
}

void tide_graph_forget_all(struct tide_graph *graph) {
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        tide_stream_forget(graph->streams[i], INT64_MAX);
        if (graph->streams[i]->ops->forget) graph->streams[i]->ops->forget(graph->streams[i], INT64_MAX);
        if (tide_input_is_receiver(graph->streams[i])) tide_input_forget_all(graph->streams[i]);
    }
}
