/*
 * The graph as a whole: the list of streams and outputs, checks at the start, received blocks on their way into a
 * batch, batches that fail, and the records of inputs. Called by the bindings while a script declares its streams and
 * by driver/ while it runs, on the driver thread. Forgetting is in remember.c.
 *
 * A child's number is larger than its parents', so walking the streams by descending number visits every child before
 * its parents: no recursion anywhere.
 */
#include "dstream/graph.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "dstream/stream.h"

struct tide_graph *tide_graph_new(int64_t batch, int64_t remember) {
    assert(batch >= 1 && remember >= 0);
    struct tide_graph *graph = tide_xcalloc(1, sizeof *graph);
    graph->batch = batch;
    graph->remember = remember;
    graph->zero = -1;
    return graph;
}

void tide_graph_set_remember(struct tide_graph *graph, int64_t remember) {
    assert(remember >= 0 && graph->zero < 0);
    graph->remember = remember;
}

void tide_graph_set_skipping(struct tide_graph *graph, bool skipping) { graph->skipping = skipping; }

void tide_graph_set_checkpointing(struct tide_graph *graph, bool checkpointing) {
    graph->checkpointing = checkpointing;
}

void tide_graph_set_cache(struct tide_graph *graph, struct tide_cache *cache) { graph->cache = cache; }

void tide_graph_delete(struct tide_graph *graph) {
    if (!graph) return;
    for (uint32_t i = graph->nstreams; i > 0; i--) tide_stream_delete(graph->streams[i - 1]);
    tide_free(graph->streams);
    tide_free(graph->outputs);
    tide_free(graph);
}

/* ---- Declaring ---------------------------------------------------------------------------------------------- */

int tide_stream_output(struct tide_stream *stream, uint32_t *output, struct tide_error *err) {
    struct tide_graph *graph = stream->graph;

    if (graph->sealed) {
        return tide_error_set(
            err, TIDE_ESTATE,
            "output operations can't be added after start() or stop(); declare them before, or make "
            "a new StreamingContext");
    }
    TIDE_ARRAY_RESERVE(graph->outputs, graph->outputs_capacity, graph->noutputs + 1);
    *output = graph->noutputs;
    graph->outputs[graph->noutputs++] = stream;
    return TIDE_OK;
}

int tide_stream_set_name(struct tide_stream *stream, struct tide_stream *keeper, const char *name,
                         struct tide_error *err) {
    const struct tide_graph *graph = stream->graph;

    assert(name[0] && (!keeper || keeper->graph == graph));
    if (graph->sealed)
        return tide_error_set(err, TIDE_ESTATE, "streams can't be named after start() or stop(); name them before");
    if (stream->name) return tide_error_set(err, TIDE_EINVAL, "the stream is called '%s' already", stream->name);

    const struct tide_stream *other = tide_graph_named(graph, name);

    if (other) {
        return tide_error_set(err, TIDE_EINVAL,
                              "another stream is called '%s' already; names are unique among the streams of a "
                              "context",
                              name);
    }
    stream->name = tide_xstrdup(name);
    if (keeper && !keeper->name) keeper->name = tide_xstrdup(name);
    return TIDE_OK;
}

const char *tide_stream_name(const struct tide_stream *stream) { return stream->name; }

/* A keeper was declared before what shows its state. */
struct tide_stream *tide_graph_named(const struct tide_graph *graph, const char *name) {
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        if (graph->streams[i]->name && strcmp(graph->streams[i]->name, name) == 0) return graph->streams[i];
    }
    return NULL;
}

int64_t tide_graph_batch(const struct tide_graph *graph) { return graph->batch; }

int64_t tide_graph_zero(const struct tide_graph *graph) { return graph->zero; }

uint32_t tide_graph_streams(const struct tide_graph *graph) { return graph->nstreams; }

uint32_t tide_graph_outputs(const struct tide_graph *graph) { return graph->noutputs; }

struct tide_stream *tide_graph_stream(const struct tide_graph *graph, uint32_t id) {
    return id < graph->nstreams ? graph->streams[id] : NULL;
}

uint64_t tide_graph_visits(const struct tide_graph *graph) { return graph->visits; }

uint32_t tide_graph_next_id(const struct tide_graph *graph) { return graph->nstreams; }

bool tide_graph_has_receivers(const struct tide_graph *graph) { return graph->nreceivers > 0; }

/* ---- Beginning ---------------------------------------------------------------------------------------------- */

static int check_checkpoint(const struct tide_graph *graph, const struct tide_stream *stream,
                            struct tide_error *err) {
    const char *kind = stream->ops->name;
    int64_t interval = stream->checkpoint;

    if (interval == 0) return TIDE_OK;
    if (!graph->checkpointing) {
        return tide_error_set(err, TIDE_EINVAL,
                              "The checkpoint directory has not been set. Stream %" PRIu32 " (%s) needs one: call "
                              "ssc:checkpoint(directory) before start()",
                              stream->id, kind);
    }
    if (interval < stream->slide) {
        return tide_error_set(err, TIDE_EINVAL,
                              "the checkpoint interval of stream %" PRIu32 " (%s), %" PRId64 " ms, is lower than its "
                              "slide time of %" PRId64 " ms; set it to at least that",
                              stream->id, kind, interval, stream->slide);
    }
    if (interval % stream->slide != 0) {
        return tide_error_set(err, TIDE_EINVAL,
                              "the checkpoint interval of stream %" PRIu32 " (%s), %" PRId64
                              " ms, is not a multiple of "
                              "its slide time of %" PRId64 " ms",
                              stream->id, kind, interval, stream->slide);
    }
    if (stream->level == 0) {
        return tide_error_set(err, TIDE_EINVAL,
                              "stream %" PRIu32
                              " (%s) has been marked for checkpointing but the storage level has not "
                              "been set: checkpoint a stream made from it, and take this one's away with "
                              "checkpoint(nil)",
                              stream->id, kind);
    }
    if (stream->remember <= interval) {
        return tide_error_set(err, TIDE_EINVAL,
                              "stream %" PRIu32 " (%s) keeps its datasets for %" PRId64
                              " ms only, not longer than its "
                              "checkpoint interval of %" PRId64 " ms; raise ssc:remember",
                              stream->id, kind, stream->remember, interval);
    }
    return TIDE_OK;
}

/* The first error, children before parents. */
static int validate(const struct tide_graph *graph, struct tide_error *err) {
    int status = TIDE_OK;

    for (uint32_t i = graph->nstreams; i > 0 && status == TIDE_OK; i--) {
        if (graph->streams[i - 1]->reached) status = check_checkpoint(graph, graph->streams[i - 1], err);
    }
    return status;
}

int tide_graph_check(struct tide_graph *graph, struct tide_error *err) {
    if (graph->sealed)
        return tide_error_set(err, TIDE_ESTATE, "the streams of this context have been started before");
    if (graph->noutputs == 0) {
        return tide_error_set(
            err, TIDE_EINVAL,
            "no output operations registered, so nothing to execute; call print(), foreachRDD() or a "
            "saveAs...Files() on a stream before start()");
    }
    tide_graph_decide_remember(graph);
    return validate(graph, err);
}

int tide_graph_begin(struct tide_graph *graph, int64_t zero, struct tide_error *err) {
    int status = tide_graph_check(graph, err);

    if (status < 0) return status;
    graph->sealed = true;
    graph->zero = zero;
    return TIDE_OK;
}

void tide_graph_seal(struct tide_graph *graph) { graph->sealed = true; }

void tide_graph_start_sources(struct tide_graph *graph, struct tide_ingest *ingest) {
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        if (tide_input_is_receiver(graph->streams[i])) tide_input_start(graph->streams[i], ingest);
    }
}

/* ---- Received blocks ---------------------------------------------------------------------------------------- */

int64_t tide_graph_allocate(struct tide_graph *graph, int64_t time, struct tide_cut_entry *entries, uint32_t count,
                            uint32_t partitions) {
    int64_t records = 0;
    uint32_t next = 0; /* entries come in the order in which the sources were added, which is ours */

    for (uint32_t i = 0; graph->nreceivers > 0 && i < graph->nstreams; i++) {
        struct tide_stream *stream = graph->streams[i];
        if (!tide_input_is_receiver(stream)) continue;
        struct tide_blocks *received = NULL;
        for (uint32_t k = 0; k < count && !received; k++) {
            uint32_t at = (next + k) % count;
            if (entries[at].source_id != stream->id) continue;
            received = &entries[at].blocks;
            next = at + 1;
        }
        records += tide_input_allocate(stream, time, received, partitions);
    }
    return records;
}

void tide_graph_settle(struct tide_graph *graph, int64_t time, bool generated) {
    if (generated && graph->nreceivers == 0) return;
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        struct tide_stream *stream = graph->streams[i];
        /* Inputs keep what they had for that time: asking a queue a second time would take the next dataset. */
        if (!generated && stream->nparents > 0) tide_stream_drop(stream, time);
        if (stream->ops->settle) stream->ops->settle(stream, time, generated);
    }
}

void tide_graph_cache_received(struct tide_graph *graph, int64_t time) {
    for (uint32_t i = 0; graph->nreceivers > 0 && graph->cache && i < graph->nstreams; i++) {
        if (tide_input_is_receiver(graph->streams[i])) tide_input_cache_received(graph->streams[i], time);
    }
}

int64_t tide_graph_leftovers(const struct tide_graph *graph) {
    int64_t records = 0;

    for (uint32_t i = 0; graph->nreceivers > 0 && i < graph->nstreams; i++) {
        if (tide_input_is_receiver(graph->streams[i])) records += tide_input_leftovers(graph->streams[i]);
    }
    return records;
}

/* ---- Batches that fail -------------------------------------------------------------------------------------- */

void tide_graph_remake(struct tide_graph *graph, int64_t time) {
    if (graph->done < time) graph->done = time;
    for (uint32_t i = 0; i < graph->nstreams; i++) {
        struct tide_stream *stream = graph->streams[i];

        if (!stream->ops->remake) continue;
        for (uint32_t k = tide_stream_find(stream, graph->done + 1); k < stream->ndatasets; k++) {
            int64_t t = stream->datasets[k].time;

            graph->visits++;
            if (stream->datasets[k].rdd && tide_stream_lost(stream, t - stream->slide))
                stream->ops->remake(stream, t, stream->datasets[k].rdd);
        }
    }
}

/* ---- Inputs of a batch -------------------------------------------------------------------------------------- */

static bool is_used_input(const struct tide_stream *stream) { return stream->nparents == 0 && stream->reached; }

uint32_t tide_graph_inputs(const struct tide_graph *graph) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < graph->nstreams; i++) count += is_used_input(graph->streams[i]);
    return count;
}

/* Searched from the end, where the newest datasets are. */
static int64_t records_of(const struct tide_stream *stream, int64_t time) {
    for (uint32_t i = stream->ndatasets; i > 0 && stream->datasets[i - 1].time >= time; i--) {
        if (stream->datasets[i - 1].time != time) continue;
        const struct tide_rdd *rdd = stream->datasets[i - 1].rdd;
        int64_t records = rdd ? tide_rdd_read_records(rdd) : 0;
        return records > 0 ? records : 0;
    }
    return 0;
}

static const struct tide_stream *used_input(const struct tide_graph *graph, uint32_t index) {
    for (uint32_t i = 0; i < graph->nstreams; i++)
        if (is_used_input(graph->streams[i]) && index-- == 0) return graph->streams[i];
    return NULL;
}

int64_t tide_graph_input(const struct tide_graph *graph, uint32_t index, int64_t time, uint32_t *id) {
    const struct tide_stream *stream = used_input(graph, index);

    if (!stream) return 0;
    *id = stream->id;
    return records_of(stream, time);
}

int64_t tide_graph_input_leftovers(const struct tide_graph *graph, uint32_t index, uint32_t *id) {
    const struct tide_stream *stream = used_input(graph, index);

    if (!stream) return 0;
    *id = stream->id;
    return tide_input_is_receiver(stream) ? tide_input_leftovers(stream) : 0;
}
